//! The outbox relay: committed events of Postgres, to Kafka.

use std::time::Duration;

use voice_kafka::{Config, KafkaError, OutboundRecord, Producer};
use voice_lifecycle::{Lifecycle, TaskPolicy};
use voice_postgres::{
    Database,
    outbox::{self, Publish, PublishError, Relay, RelayConfig},
};
use voice_telemetry::Metrics;

/// Starts the relay.
pub fn spawn(lifecycle: &Lifecycle, database: Database, producer: Producer, kafka: Config, metrics: Metrics) {
    let relay = Relay::new(
        database,
        ToKafka { producer, kafka },
        RelayConfig::default(),
        metrics,
    );
    lifecycle.spawn(
        "outbox relay",
        TaskPolicy::background(Duration::from_secs(10)),
        |stop| async move { relay.run(stop).await },
    );
}

struct ToKafka {
    producer: Producer,
    kafka: Config,
}

impl Publish for ToKafka {
    async fn publish(&self, records: Vec<outbox::OutboundRecord>) -> Result<(), PublishError> {
        let unavailable = |error: KafkaError| PublishError::Unavailable(error.to_string());
        let mut confirmations = Vec::with_capacity(records.len());
        for record in records {
            let headers = record
                .headers
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes()))
                .collect();
            let outbound = OutboundRecord {
                topic: format!("{}{}", self.kafka.prefix, record.topic),
                key: record.key.into_bytes(),
                payload: record.payload.unwrap_or_default(),
                headers,
            };
            confirmations.push(self.producer.enqueue(&outbound).map_err(unavailable)?);
        }
        for confirmation in confirmations {
            confirmation.await.map_err(unavailable)?;
        }
        Ok(())
    }
}
