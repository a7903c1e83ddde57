//! Putting the service together.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use voice_clickhouse::ClickHouse;
use voice_kafka::Producer;
use voice_lifecycle::{Lifecycle, SharedClock, TaskPolicy};
use voice_telemetry::Metrics;

use crate::{
    Config,
    processors::{media_events::MediaEvents, transcripts::Transcripts},
    rollups::Rollups,
    sink::Sink,
    watchdog::{Carriers, Watchdog},
};

/// What the service needs from outside.
pub struct Dependencies {
    /// How to reach the brokers.
    pub kafka: voice_kafka::Config,
    /// Where rows go and counts are kept.
    pub clickhouse: ClickHouse,
    /// Where dead letters and found ends go.
    pub producer: Producer,
    /// Whom the watchdog asks.
    pub carriers: Arc<dyn Carriers>,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Metrics,
}

/// The service, ready to start.
pub struct App {
    sink: Sink,
    rollups: Rollups,
    watchdog: Watchdog,
    drain: Duration,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn build(config: Config, dependencies: Dependencies) -> Self {
        let Dependencies {
            kafka,
            clickhouse,
            producer,
            carriers,
            clock,
            metrics,
        } = dependencies;
        Self {
            drain: Duration::from_millis(kafka.consumer.drain_deadline_ms) + Duration::from_secs(5),
            rollups: Rollups::new(clickhouse.clone(), config.rollups, metrics.clone()),
            watchdog: Watchdog {
                config: config.watchdog,
                clickhouse: clickhouse.clone(),
                carriers,
                producer: producer.clone(),
                kafka: kafka.clone(),
                clock: clock.clone(),
                metrics: metrics.clone(),
            },
            sink: Sink {
                config: config.sink,
                kafka,
                clickhouse,
                producer,
                clock,
                metrics,
            },
        }
    }

    /// Starts every part. Roll-ups and watchdog do no harm in several processes, they only do their work
    /// twice: each counts from scratch, and every end the watchdog reports has the id all ends of the call
    /// have.
    pub fn start(self, lifecycle: &Lifecycle) {
        let Self {
            sink,
            rollups,
            watchdog,
            drain,
        } = self;
        let (media, transcripts) = (sink.clone(), sink.clone());
        lifecycle.spawn(
            "analytics sink",
            TaskPolicy::workers(drain),
            |stop: CancellationToken| sink.run(stop),
        );
        lifecycle.spawn(
            "media sink",
            TaskPolicy::workers(drain),
            |stop: CancellationToken| media.run_feed::<MediaEvents>(stop),
        );
        lifecycle.spawn(
            "transcript sink",
            TaskPolicy::workers(drain),
            |stop: CancellationToken| transcripts.run_feed::<Transcripts>(stop),
        );
        lifecycle.spawn(
            "roll-ups",
            TaskPolicy::background(drain),
            |stop: CancellationToken| rollups.run(stop),
        );
        lifecycle.spawn(
            "call watchdog",
            TaskPolicy::background(drain),
            |stop: CancellationToken| watchdog.run(stop),
        );
    }
}
