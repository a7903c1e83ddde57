//! The way out of this service: records and dead letters, confirmed by the brokers.

use chrono::{DateTime, Utc};
use voice_kafka::{
    Config, Delivery, KafkaError, OutboundRecord, Producer,
    dead_letters::{DeadLetter, Origin},
};
use voice_schemas::{
    events::call::{CallEvent, record_key},
    topics::{self, Topic},
};

/// The stage that dead letters of this service name.
pub(crate) const STAGE: &str = "ingest.parse";

/// Appends to the topics of this deployment. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outlet {
    producer: Producer,
    config: Config,
    calls: String,
}

/// Bytes nobody understood, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    /// Path and query of the request: the query of a Twilio hook carries the call's context, without which
    /// a replay would be another event.
    pub(crate) path: &'a str,
    pub(crate) code: &'static str,
    pub(crate) detail: &'a str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) key: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Outlet {
    pub(crate) fn new(producer: Producer, config: Config) -> Self {
        let calls = config.topic(&topics::CALLS);
        Self {
            producer,
            config,
            calls,
        }
    }

    /// Appends a call event, keyed as the catalogue says, and waits for the brokers.
    ///
    /// # Errors
    /// When they did not confirm it; it may be there all the same, under the same event id.
    pub(crate) async fn call(&self, event: &CallEvent) -> Result<(), KafkaError> {
        let record = OutboundRecord {
            topic: self.calls.clone(),
            key: record_key(&event.data.call).into_bytes(),
            payload: json(event),
            headers: Vec::new(),
        };
        self.producer.send(&record).await.map(drop)
    }

    /// The record of an event on this topic.
    pub(crate) fn record(&self, topic: &Topic, key: String, payload: Vec<u8>) -> OutboundRecord {
        OutboundRecord {
            topic: self.config.topic(topic),
            key: key.into_bytes(),
            payload,
            headers: Vec::new(),
        }
    }

    /// Queues a record; the future says when the brokers have it.
    ///
    /// # Errors
    /// At once when the queue is full.
    pub(crate) fn enqueue(
        &self,
        record: &OutboundRecord,
    ) -> Result<impl Future<Output = Result<Delivery, KafkaError>> + Send, KafkaError> {
        self.producer.enqueue(record)
    }

    /// Keeps bytes as a dead letter and waits for the brokers.
    ///
    /// # Errors
    /// When they did not confirm it.
    pub(crate) async fn keep(&self, letter: Letter<'_>) -> Result<(), KafkaError> {
        let letter = DeadLetter {
            origin: Origin::Request {
                path: letter.path.to_owned(),
            },
            stage: STAGE.to_owned(),
            code: letter.code.to_owned(),
            detail: letter.detail.to_owned(),
            at: letter.at,
            key: letter.key.to_vec(),
            payload: letter.body.to_vec(),
        };
        self.producer
            .send(&letter.into_record(&self.config))
            .await
            .map(drop)
    }
}

/// Events hold strings, numbers and enums: this serialises, or the program is out of memory.
pub(crate) fn json<T: serde::Serialize>(event: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1_024);
    match serde_json::to_writer(&mut bytes, event) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}
