//! The platform's own sink, from joining the group until the broker has the last commit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use voice_analytics::{
    audit::{self, Scope},
    sink::{GROUP, Sink},
};
use voice_kafka::{Producer, admin::Admin};
use voice_lifecycle::SystemClock;
use voice_schemas::topics;
use voice_telemetry::Metrics;

use super::{rate, store::Store};
use crate::settings::Settings;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Rows per second; fails when a row is missing or there twice.
pub async fn measure(settings: &Settings, store: &Store, events: u64) -> anyhow::Result<f64> {
    let stop = CancellationToken::new();
    let sink = Sink {
        config: settings.analytics.sink.clone(),
        kafka: settings.kafka.clone(),
        clickhouse: store.clickhouse.clone(),
        producer: Producer::new(&settings.kafka)?,
        clock: SystemClock::shared(),
        metrics: Metrics::empty(),
    };
    let began = Instant::now();
    let mut running = tokio::spawn(sink.run(stop.clone()));
    tokio::select! {
        ended = &mut running => {
            ended?.context("the sink")?;
            anyhow::bail!("the sink ended before it was told to");
        }
        reached = store.reaches(events) => reached?,
    }
    committed(&settings.kafka, events).await?;
    let rate = rate(events, began.elapsed());
    stop.cancel();
    running.await?.context("the sink")?;

    // Calls of the generator may be cut short by the count, so their ends say nothing.
    let scope = Scope {
        tenant: None,
        silent_for_seconds: u32::MAX,
    };
    let total = audit::run(&settings.kafka, &store.clickhouse, scope)
        .await?
        .total();
    anyhow::ensure!(
        (
            total.records,
            total.rows,
            total.duplicates,
            total.gaps,
            total.dead_letters,
            total.lag
        ) == (events, events, 0, 0, 0, 0),
        "not exactly once: {total:?}"
    );
    Ok(rate)
}

/// Waits until the group has committed everything.
async fn committed(kafka: &voice_kafka::Config, events: u64) -> anyhow::Result<()> {
    let topic = kafka.topic(&topics::CALLS);
    let kafka = kafka.clone();
    let admin = std::sync::Arc::new(Admin::new(&kafka)?);
    loop {
        let (admin, topic) = (std::sync::Arc::clone(&admin), topic.clone());
        let offsets = tokio::task::spawn_blocking(move || admin.committed(GROUP, &topic)).await??;
        if offsets.values().sum::<i64>().cast_unsigned() >= events {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
