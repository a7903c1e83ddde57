//! Facts on their way to Kafka, from a queue that never holds up audio.
//!
//! A fact that finds the queue full is counted and lost; so is one that Kafka does not confirm. What people said goes to
//! a topic of its own, which is restricted, and nowhere else. A recording that is ready is told through the same
//! queue, but whoever tells it waits until Kafka has it.

mod event;

use chrono::{DateTime, Utc};
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use voice_kafka::{Config, Delivery, KafkaError, OutboundRecord, Producer};
use voice_recordings::{Announce, Ready};
use voice_telemetry::{Emit as _, Metrics};

use self::event::{event, recording_ready};
use crate::{
    events::FactDropped,
    facts::{Fact, Sink, Subject},
};

/// The source of what media workers tell.
pub const SOURCE: &str = "/workers/media";
/// Facts that Kafka has not confirmed yet.
const MOST_UNCONFIRMED: usize = 1_024;

/// What is told.
#[derive(Debug)]
enum Told {
    Fact(Subject, DateTime<Utc>, Fact),
    Recording(Ready, oneshot::Sender<bool>),
}

impl Told {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Fact(_, _, fact) => fact.kind(),
            Self::Recording(..) => "recording_ready",
        }
    }
}

/// The end of the queue that calls see.
#[derive(Clone, Debug)]
pub struct Queue {
    told: mpsc::Sender<Told>,
    metrics: Metrics,
}

impl Sink for Queue {
    fn emit(&self, subject: &Subject, at: DateTime<Utc>, fact: Fact) {
        if let Err(TrySendError::Full(told) | TrySendError::Closed(told)) =
            self.told.try_send(Told::Fact(*subject, at, fact))
        {
            FactDropped {
                kind: told.kind(),
                reason: "queue_full",
            }
            .emit(&self.metrics);
        }
    }
}

impl Announce for Queue {
    fn announce(&self, ready: Ready) -> BoxFuture<'_, bool> {
        async move {
            let (confirm, confirmed) = oneshot::channel();
            self.told.send(Told::Recording(ready, confirm)).await.is_ok() && confirmed.await.unwrap_or(false)
        }
        .boxed()
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct Outbox {
    told: mpsc::Receiver<Told>,
    metrics: Metrics,
}

/// A queue for so many facts.
#[must_use]
pub fn queue(waiting: usize, metrics: Metrics) -> (Queue, Outbox) {
    let (sender, receiver) = mpsc::channel(waiting);
    let queue = Queue {
        told: sender,
        metrics: metrics.clone(),
    };
    let outbox = Outbox {
        told: receiver,
        metrics,
    };
    (queue, outbox)
}

/// What came of a record: the fact's label, who waits for it, and Kafka's word.
type Outcome = (
    &'static str,
    Option<oneshot::Sender<bool>>,
    Result<Delivery, KafkaError>,
);

impl Outbox {
    /// Writes until every [`Queue`] is dropped. Facts are handed to Kafka in the order they were told and
    /// confirmed side by side; while too many are unconfirmed, the queue fills.
    pub async fn run(mut self, producer: Producer, kafka: Config) {
        let mut unconfirmed = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(outcome) = unconfirmed.next() => self.conclude(outcome),
                told = self.told.recv(), if unconfirmed.len() < MOST_UNCONFIRMED => {
                    let Some(told) = told else {
                        break;
                    };
                    let kind = told.kind();
                    let (event, waiting) = match told {
                        Told::Fact(subject, at, fact) => (event(&subject, at, fact), None),
                        Told::Recording(ready, waiting) => (Some(recording_ready(ready)), Some(waiting)),
                    };
                    let Some(event) = event else {
                        continue;
                    };
                    let Ok(payload) = event.payload() else {
                        self.dropped(kind, "json");
                        continue;
                    };
                    let record = OutboundRecord {
                        topic: kafka.topic(event.topic()),
                        key: event.key().into_bytes(),
                        payload,
                        headers: Vec::new(),
                    };
                    match producer.enqueue(&record) {
                        Ok(confirmation) => {
                            unconfirmed.push(async move { (kind, waiting, confirmation.await) });
                        }
                        Err(error) => self.dropped(kind, error.kind()),
                    }
                }
            }
        }
        while let Some(outcome) = unconfirmed.next().await {
            self.conclude(outcome);
        }
    }

    fn conclude(&self, (kind, waiting, confirmed): Outcome) {
        if let Err(error) = &confirmed {
            self.dropped(kind, error.kind());
        }
        if let Some(waiting) = waiting {
            // Whoever does not wait any more tells it again at the next start.
            let _gone = waiting.send(confirmed.is_ok());
        }
    }

    fn dropped(&self, kind: &'static str, reason: &'static str) {
        FactDropped { kind, reason }.emit(&self.metrics);
    }
}

#[cfg(test)]
mod tests {
    use voice_providers::Provider;
    use voice_schemas::{AgentId, CallId, TenantId, events::call::Carrier, events::media::Recording};

    use super::*;
    use crate::events::{DROPPED, Kind};

    fn subject() -> Subject {
        Subject {
            tenant: TenantId::random(),
            call: CallId::random(),
            agent: Some(AgentId::random()),
            carrier: Carrier::Telnyx,
            provider: Provider::OpenaiRealtime,
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let metrics = Metrics::empty();
        let (queue, _outbox) = queue(1, metrics.clone());
        for _ in 0..3 {
            queue.emit(&subject(), DateTime::UNIX_EPOCH, Fact::Disclosed);
        }
        assert_eq!(metrics.counter(&DROPPED).get(Kind("disclosed")), 2);
    }

    #[tokio::test]
    async fn whoever_announces_a_recording_learns_that_nobody_took_it() {
        let (queue, outbox) = queue(1, Metrics::empty());
        drop(outbox);
        let ready = Ready {
            tenant: TenantId::random(),
            call: CallId::random(),
            at: DateTime::UNIX_EPOCH,
            recording: Recording {
                key: String::new(),
                sha256: String::new(),
                bytes: 0,
                duration_ms: 0,
                retention: String::new(),
                key_id: String::new(),
                salvaged: false,
            },
        };
        assert!(!queue.announce(ready).await);
    }
}
