//! The producer: a record counts as sent when all in-sync replicas have it.

use std::time::Duration;

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError as ClientError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
};

use crate::{Config, KafkaError, events};

/// A record to write.
#[derive(Clone, Debug, Default)]
pub struct OutboundRecord {
    /// The topic's full name.
    pub topic: String,
    /// What the record is keyed by; equal keys stay in order.
    pub key: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
    /// Headers, names and values.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Writes records; cheap to clone, one per process.
///
/// Idempotent and with `acks=all`: the client's own retries neither lose nor repeat a record while the
/// process lives. A record whose confirmation was lost with the process may be sent again by whoever
/// was told nothing; its event id is the same then.
#[derive(Clone)]
pub struct Producer {
    client: FutureProducer<Context>,
}

impl Producer {
    /// A producer for this cluster. Does not wait for a connection.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let client = config
            .producer_client()
            .create_with_context(Context)
            .map_err(KafkaError::Client)?;
        Ok(Self { client })
    }

    /// Queues the record; the future resolves when the broker has confirmed it. The record is queued
    /// when this returns, so records of one key keep the order of the calls.
    ///
    /// # Errors
    /// [`KafkaError::QueueFull`] at once when too many records wait already.
    pub fn enqueue(
        &self,
        record: &OutboundRecord,
    ) -> Result<impl Future<Output = Result<Delivery, KafkaError>> + Send + use<>, KafkaError> {
        let mut outbound = FutureRecord::to(&record.topic)
            .key(&record.key)
            .payload(&record.payload);
        if !record.headers.is_empty() {
            let headers = record.headers.iter().fold(
                OwnedHeaders::new_with_capacity(record.headers.len()),
                |headers, (key, value)| {
                    headers.insert(Header {
                        key,
                        value: Some(value),
                    })
                },
            );
            outbound = outbound.headers(headers);
        }
        let topic = record.topic.clone();
        match self.client.send_result(outbound) {
            Ok(confirmation) => Ok(async move {
                match confirmation.await {
                    Ok(Ok(delivery)) => Ok(Delivery {
                        partition: delivery.partition,
                        offset: delivery.offset,
                    }),
                    Ok(Err((source, _))) => Err(KafkaError::NotConfirmed { topic, source }),
                    Err(_canceled) => Err(KafkaError::NotConfirmed {
                        topic,
                        source: ClientError::Canceled,
                    }),
                }
            }),
            Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(KafkaError::QueueFull(topic))
            }
            Err((source, _)) => Err(KafkaError::NotConfirmed { topic, source }),
        }
    }

    /// Sends one record and waits for the broker's confirmation.
    ///
    /// # Errors
    /// When it was not confirmed in time; it may have been written all the same.
    pub async fn send(&self, record: &OutboundRecord) -> Result<Delivery, KafkaError> {
        self.enqueue(record)?.await
    }

    /// Waits until nothing is unconfirmed, at most this long.
    ///
    /// # Errors
    /// When records are still unconfirmed at the deadline.
    pub async fn flush(&self, deadline: Duration) -> Result<(), KafkaError> {
        let client = self.client.clone();
        tokio::task::spawn_blocking(move || client.flush(deadline))
            .await
            .unwrap_or(Err(ClientError::Canceled))
            .map_err(|source| KafkaError::NotConfirmed {
                topic: "the queue".to_owned(),
                source,
            })
    }
}

#[derive(Clone)]
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        events::client_log(level, facility, message);
    }

    fn error(&self, error: ClientError, _reason: &str) {
        events::BrokerTrouble { error: &error }.emit();
    }
}
