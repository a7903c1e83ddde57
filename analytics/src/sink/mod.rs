//! Kafka to ClickHouse, exactly once: one sequential writer per partition, for every topic that is kept as facts.
//!
//! A batch is written in four steps: **intent** (its range goes into the metadata of an offset commit that
//! does not move the offset), **insert** (one block under a token made of that range), **dead letters**
//! (confirmed by the broker), **done** (the offset moves behind the batch). See [`intent`] for why no
//! crash, rebalance or lost answer between any two steps loses or doubles a row:
//!
//! | what happens | outcome |
//! |---|---|
//! | crash before the intent | nothing was inserted; the records are read again |
//! | crash after the intent, before or after the insert | the next owner repeats the range under its token |
//! | the answer to the insert is lost | the same bytes are sent again under the same token |
//! | a view fails half way | the repeat completes only what is missing |
//! | two owners send the same range | one token, one copy |
//! | an owner wakes up after the partition moved on | its intent is refused, so it never inserts |
//! | the token may be forgotten, or offsets were set by hand | the table says which offsets it has |
//! | ClickHouse is down | the same bytes are tried until it is back; Kafka keeps the rest |
//!
//! A writer sends only while its *lease* runs: the time since the broker last accepted its intent. When
//! it ends the intent is committed again, which the broker refuses to anybody but the owner.

mod batch;
pub mod config;
pub mod intent;
mod split;
mod table;
mod worker;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use voice_clickhouse::ClickHouse;
use voice_kafka::{KafkaError, Producer, consumer};
use voice_lifecycle::SharedClock;
use voice_telemetry::Metrics;

pub use self::config::SinkConfig;
use crate::processors::{Feed, call_events::CallEvents};

/// The consumer group whose offsets say what is in `call_events`.
pub const GROUP: &str = CallEvents::GROUP;

/// Everything the writers share.
#[derive(Clone)]
pub struct Sink {
    /// Limits.
    pub config: SinkConfig,
    /// How to reach the brokers.
    pub kafka: voice_kafka::Config,
    /// Where rows go.
    pub clickhouse: ClickHouse,
    /// Where dead letters go.
    pub producer: Producer,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Metrics,
}

impl Sink {
    /// Writes calls until `stop` fires.
    ///
    /// # Errors
    /// As [`run_feed`](Self::run_feed).
    pub async fn run(self, stop: CancellationToken) -> Result<(), KafkaError> {
        self.run_feed::<CallEvents>(stop).await
    }

    /// Writes the records of one topic until `stop` fires. Each topic has a group of its own, so that trouble with one
    /// does not hold up another.
    ///
    /// # Errors
    /// When a person has to act, or a restart has to sort things out; see [`consumer::run`].
    pub async fn run_feed<F: Feed>(self, stop: CancellationToken) -> Result<(), KafkaError> {
        let sink = Arc::new(self);
        let topic = sink.kafka.topic(F::TOPIC);
        let kafka = sink.kafka.clone();
        let worker = move |partition| worker::Worker::<F>::new(Arc::clone(&sink), partition).start();
        consumer::run(&kafka, F::GROUP, &[&topic], worker, stop).await
    }
}
