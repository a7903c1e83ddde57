//! Workers hear of each other's breakers on `config.changes`, which keeps the last word on every account: one that
//! begins learns at once who is to be left alone.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;
use voice_kafka::{
    Config, OutboundRecord, Producer,
    consumer::{self, Partition, WorkerFuture},
};
use voice_lifecycle::{CancellationToken, SharedClock};
use voice_resilience::BACKGROUND;
use voice_schemas::{EventType, events::provider::BreakerEvent, topics};
use voice_telemetry::{Emit as _, Metrics};

use super::Breakers;
use crate::events::FactDropped;

/// A consumer that lasted so long had heard something: the next one is made without delay.
const LASTED: Duration = Duration::from_secs(60);

/// Between the breakers of this worker and those of others.
#[derive(Debug)]
pub struct Link {
    breakers: Arc<Breakers>,
    worker: Uuid,
    changes: mpsc::Receiver<BreakerEvent>,
}

impl Link {
    pub(super) const fn new(
        breakers: Arc<Breakers>,
        worker: Uuid,
        changes: mpsc::Receiver<BreakerEvent>,
    ) -> Self {
        Self {
            breakers,
            worker,
            changes,
        }
    }

    #[cfg(test)]
    pub(super) fn into_changes(self) -> mpsc::Receiver<BreakerEvent> {
        self.changes
    }

    /// Tells and hears until `stop`. While Kafka is away, this worker knows what it finds out for itself.
    pub async fn run(self, producer: Producer, kafka: Config, clock: SharedClock, stop: CancellationToken) {
        let metrics = self.breakers.metrics.clone();
        tokio::join!(
            tell(self.changes, &producer, &kafka, &metrics, &stop),
            hear(&self.breakers, self.worker, &kafka, &clock, &stop),
        );
    }
}

async fn tell(
    mut changes: mpsc::Receiver<BreakerEvent>,
    producer: &Producer,
    kafka: &Config,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    while let Some(Some(event)) = stop.run_until_cancelled(changes.recv()).await {
        let dropped = |reason| {
            let kind = "breaker_changed";
            FactDropped { kind, reason }.emit(metrics);
        };
        let Ok(payload) = serde_json::to_vec(&event) else {
            dropped("json");
            continue;
        };
        let record = OutboundRecord {
            topic: kafka.topic(&topics::CONFIG),
            key: event.subject.into_bytes(),
            payload,
            headers: Vec::new(),
        };
        if let Err(error) = producer.send(&record).await {
            dropped(error.kind());
        }
    }
}

async fn hear(
    breakers: &Arc<Breakers>,
    worker: Uuid,
    kafka: &Config,
    clock: &SharedClock,
    stop: &CancellationToken,
) {
    // A group of its own: every worker hears everything, and again from the beginning when it begins.
    let (group, topic) = (format!("media-breakers-{worker}"), kafka.topic(&topics::CONFIG));
    let mut wait = BACKGROUND.first_wait;
    while !stop.is_cancelled() {
        let (breakers, clock) = (Arc::clone(breakers), clock.clone());
        let listen = move |partition| listen(partition, Arc::clone(&breakers), clock.clone());
        let began = Instant::now();
        let ended = consumer::run(kafka, &group, &[&topic], listen, stop.clone()).await;
        if let Err(error) = ended {
            tracing::warn!(
                kind = error.kind(),
                "other workers' circuit breakers are not heard of"
            );
        }
        if began.elapsed() >= LASTED {
            wait = BACKGROUND.first_wait;
        }
        let _stopped = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        wait = (wait * 2).min(BACKGROUND.longest_wait);
    }
}

fn listen(mut partition: Partition, breakers: Arc<Breakers>, clock: SharedClock) -> WorkerFuture {
    Box::pin(async move {
        while let Some(chunk) = partition.recv().await {
            let mut heard: Option<(i64, i64)> = None;
            for record in chunk.records() {
                if let Some(event) = record.payload.and_then(breaker_event) {
                    breakers.hear(&event, clock.now());
                }
                heard = Some((heard.map_or(record.offset, |(first, _)| first), record.offset));
            }
            if let Some((first, last)) = heard {
                partition.finish(first, last);
            }
        }
        Ok(())
    })
}

/// The event, if it is about a breaker: the topic has others.
fn breaker_event(payload: &[u8]) -> Option<BreakerEvent> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    let head: Head<'_> = serde_json::from_slice(payload).ok()?;
    if head.kind != EventType::ProviderBreakerChanged.as_str() {
        return None;
    }
    serde_json::from_slice(payload).ok()
}
