//! `voice bench sink`: Kafka to ClickHouse, beside ClickHouse's own Kafka engine.
//!
//! Every run makes a topic of its own with the same events and lets everybody read it: our sink, the
//! engine in three set-ups, and the ceilings. Every measurement writes into a database of its own with the
//! platform's tables and the `calls` view attached.

mod ceilings;
mod engine;
mod events;
mod ours;
mod store;

use std::time::Duration;

use voice_kafka::admin::Admin;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::topics;

use self::store::Store;
use super::{
    figures::{Figure, median, ratios},
    machine::Machine,
};
use crate::{args::BenchArgs, progress, settings::Settings};

const EVENTS: u64 = 1_000_000;

/// Figures of all runs, one element per run.
#[derive(Default)]
struct Found {
    ours: Vec<f64>,
    engine: [Vec<f64>; engine::SETUPS.len()],
    read: Vec<f64>,
    decode: Vec<f64>,
    insert: Vec<f64>,
}

/// Measures; fails when our sink was not exactly-once.
pub async fn measure(
    settings: &Settings,
    args: &BenchArgs,
    machine: &mut Machine,
) -> anyhow::Result<Vec<Figure>> {
    let events = args.events.unwrap_or(EVENTS);
    let mut found = Found::default();
    let tag = format!("bench_{:x}", SystemClock.now().timestamp());
    for run in 0..args.runs.max(1) {
        let mut settings = settings.clone();
        settings.kafka.prefix = format!("{tag}-{run}.");
        let admin = Admin::new(&settings.kafka)?;
        // The dead letters are for a sink that finds any, which then fails.
        for topic in [&topics::CALLS, &topics::DEAD_LETTERS] {
            admin.apply(topic, 1).await?;
        }
        let outcome = one_run(&settings, &format!("{tag}_{run}"), run, events, &mut found).await;
        let names = [
            settings.kafka.topic(&topics::CALLS),
            settings.kafka.topic(&topics::DEAD_LETTERS),
        ];
        admin.delete(&names.each_ref().map(String::as_str)).await?;
        outcome?;
        machine.pause().await?;
    }
    Ok(figures(&found))
}

async fn one_run(
    settings: &Settings,
    tag: &str,
    run: usize,
    events: u64,
    found: &mut Found,
) -> anyhow::Result<()> {
    let bar = progress::bar(events, format!("run {}: events", run + 1));
    events::fill(&settings.kafka, events, SystemClock.now(), &bar).await?;
    bar.finish_and_clear();
    let config = &settings.clickhouse;
    // Who comes first finds the log in another state than who comes last.
    for ours in [run.is_multiple_of(2), !run.is_multiple_of(2)] {
        if ours {
            let wheel = progress::wheel(format!("run {}: our sink", run + 1));
            let store = Store::make(config, &format!("{tag}_ours")).await?;
            found.ours.push(ours::measure(settings, &store, events).await?);
            store.drop().await?;
            wheel.finish_and_clear();
            continue;
        }
        for (position, setup) in engine::SETUPS.into_iter().enumerate() {
            let wheel = progress::wheel(format!("run {}: engine, {}", run + 1, setup.name));
            let store = Store::make(config, &format!("{tag}_engine_{position}")).await?;
            found.engine[position].push(engine::measure(&settings.kafka, &store, setup, events).await?);
            store.drop().await?;
            wheel.finish_and_clear();
        }
    }
    let wheel = progress::wheel(format!("run {}: ceilings", run + 1));
    found.read.push(ceilings::read(&settings.kafka, events).await?);
    let (decoded, blocks) =
        ceilings::decode(&settings.kafka, events, settings.analytics.sink.max_rows).await?;
    found.decode.push(decoded);
    let store = Store::make(config, &format!("{tag}_insert")).await?;
    found
        .insert
        .push(ceilings::insert(&store, blocks, at_once()).await?);
    store.drop().await?;
    wheel.finish_and_clear();
    Ok(())
}

/// Inserts at a time: as many as there are processors to serve them.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn figures(found: &Found) -> Vec<Figure> {
    let best = (0..engine::SETUPS.len())
        .max_by(|one, other| median(&found.engine[*one]).total_cmp(&median(&found.engine[*other])))
        .unwrap_or(0);
    let peer = format!("ClickHouse's Kafka engine, {}", engine::SETUPS[best].name);
    let engine = &found.engine[best];
    vec![
        Figure::alone("events_per_second", "rows/s", &found.ours).beside(
            &peer,
            engine,
            ratios(&found.ours, engine),
        ),
        Figure::alone("read_only", "rows/s", &found.read),
        Figure::alone("read_and_decode_only", "rows/s", &found.decode),
        Figure::alone("insert_only", "rows/s", &found.insert),
    ]
}

#[allow(clippy::cast_precision_loss)] // Far below 2^52.
fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
