//! Facts on their way to Kafka, from a queue that never holds up audio.
//!
//! A fact that finds the queue full is counted and lost; so is one that Kafka does not confirm. What people said is not
//! written here: the restricted topic has no event for it yet.

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc::{self, error::TrySendError};
use voice_kafka::{Config, Delivery, KafkaError, OutboundRecord, Producer};
use voice_schemas::{
    Envelope, EventId, EventType,
    events::media::{MediaData, Turn},
    topics,
};
use voice_telemetry::{Emit as _, Metrics};

use crate::{
    events::FactDropped,
    facts::{Fact, Sink, Subject},
};

/// Who writes these events.
const SOURCE: &str = "/workers/media";
/// Facts that Kafka has not confirmed yet.
const MOST_UNCONFIRMED: usize = 1_024;

/// The end of the queue that calls see.
#[derive(Clone, Debug)]
pub struct Queue {
    facts: mpsc::Sender<(Subject, DateTime<Utc>, Fact)>,
    metrics: Metrics,
}

impl Sink for Queue {
    fn emit(&self, subject: &Subject, at: DateTime<Utc>, fact: Fact) {
        if matches!(fact, Fact::Utterance(_)) {
            return;
        }
        if let Err(TrySendError::Full((_, _, fact)) | TrySendError::Closed((_, _, fact))) =
            self.facts.try_send((*subject, at, fact))
        {
            FactDropped {
                kind: fact.kind(),
                reason: "queue_full",
            }
            .emit(&self.metrics);
        }
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct Outbox {
    facts: mpsc::Receiver<(Subject, DateTime<Utc>, Fact)>,
    metrics: Metrics,
}

/// A queue for so many facts.
#[must_use]
pub fn queue(waiting: usize, metrics: Metrics) -> (Queue, Outbox) {
    let (sender, receiver) = mpsc::channel(waiting);
    let queue = Queue {
        facts: sender,
        metrics: metrics.clone(),
    };
    let outbox = Outbox {
        facts: receiver,
        metrics,
    };
    (queue, outbox)
}

impl Outbox {
    /// Writes until every [`Queue`] is dropped. Facts are handed to Kafka in the order they were told and
    /// confirmed side by side; while too many are unconfirmed, the queue fills.
    pub async fn run(mut self, producer: Producer, kafka: Config) {
        let topic = kafka.topic(&topics::MEDIA);
        let mut unconfirmed = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((kind, confirmed)) = unconfirmed.next() => {
                    let confirmed: Result<Delivery, KafkaError> = confirmed;
                    if let Err(error) = confirmed {
                        self.dropped(kind, error.kind());
                    }
                }
                told = self.facts.recv(), if unconfirmed.len() < MOST_UNCONFIRMED => {
                    let Some((subject, at, fact)) = told else {
                        break;
                    };
                    let Some(event) = event(&subject, at, &fact) else {
                        continue;
                    };
                    let kind = fact.kind();
                    let Ok(payload) = serde_json::to_vec(&event) else {
                        self.dropped(kind, "json");
                        continue;
                    };
                    let record = OutboundRecord {
                        topic: topic.clone(),
                        key: subject.call.0.to_string().into_bytes(),
                        payload,
                        headers: Vec::new(),
                    };
                    match producer.enqueue(&record) {
                        Ok(confirmation) => unconfirmed.push(async move { (kind, confirmation.await) }),
                        Err(error) => self.dropped(kind, error.kind()),
                    }
                }
            }
        }
        while let Some((kind, confirmed)) = unconfirmed.next().await {
            if let Err(error) = confirmed {
                self.dropped(kind, error.kind());
            }
        }
    }

    fn dropped(&self, kind: &'static str, reason: &'static str) {
        FactDropped { kind, reason }.emit(&self.metrics);
    }
}

/// The event of a fact, if it has one.
fn event(subject: &Subject, at: DateTime<Utc>, fact: &Fact) -> Option<Envelope<MediaData>> {
    let (kind, number, turn) = match fact {
        Fact::Started => (EventType::MediaStarted, 0, None),
        Fact::Stopped(_) => (EventType::MediaStopped, 0, None),
        Fact::Turn(turn) => {
            let latency_us = turn.first_byte_out_us.or(turn.first_byte_in_us)?;
            let told = Turn {
                number: turn.number,
                latency_ms: u32::try_from(latency_us / 1_000).unwrap_or(u32::MAX),
                interrupted: turn.interrupted,
            };
            (EventType::MediaTurn, turn.number, Some(told))
        }
        Fact::Utterance(_) => return None,
    };
    let seed: [&[u8]; 3] = [
        subject.call.0.as_bytes(),
        kind.as_str().as_bytes(),
        &number.to_be_bytes(),
    ];
    let data = MediaData {
        call_id: subject.call,
        agent_id: subject.agent,
        provider: subject.provider.as_str().to_owned(),
        turn,
    };
    Some(Envelope::new(
        EventId::derived(at, &seed),
        subject.tenant,
        SOURCE,
        kind,
        at,
        data,
    ))
}

#[cfg(test)]
mod tests {
    use voice_providers::{Provider, Speaker};
    use voice_schemas::{CallId, TenantId, events::call::Carrier};
    use voice_turns::timeline;

    use super::*;
    use crate::{events::DROPPED, events::Kind, facts::Utterance};

    fn subject() -> Subject {
        Subject {
            tenant: TenantId::random(),
            call: CallId::random(),
            agent: None,
            carrier: Carrier::Telnyx,
            provider: Provider::OpenaiRealtime,
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let metrics = Metrics::empty();
        let (queue, _outbox) = queue(1, metrics.clone());
        for _ in 0..3 {
            queue.emit(&subject(), DateTime::UNIX_EPOCH, Fact::Started);
        }
        assert_eq!(metrics.counter(&DROPPED).get(Kind("started")), 2);
    }

    #[test]
    fn a_turn_becomes_an_event_with_the_same_id_however_often_it_is_told() {
        let subject = subject();
        let turn = Fact::Turn(timeline::Turn {
            number: 3,
            first_byte_out_us: Some(641_900),
            interrupted: true,
            ..timeline::Turn::default()
        });
        let of = |fact: &Fact| event(&subject, DateTime::UNIX_EPOCH, fact).unwrap();
        let told = of(&turn);
        assert_eq!(told.id, of(&turn).id);
        assert_ne!(told.id, of(&Fact::Started).id);
        let turn = told.data.turn.unwrap();
        assert_eq!((turn.number, turn.latency_ms, turn.interrupted), (3, 641, true));
    }

    #[test]
    fn what_was_said_is_written_nowhere() {
        let said = Fact::Utterance(Utterance {
            speaker: Speaker::Caller,
            text: "secret".to_owned(),
            heard: "secret".to_owned(),
            language: None,
            heard_ms: None,
            generated_ms: None,
            interrupted: false,
        });
        assert_eq!(event(&subject(), DateTime::UNIX_EPOCH, &said), None);
        assert!(!format!("{said:?}").contains("secret"));
    }
}
