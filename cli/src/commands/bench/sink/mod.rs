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

use voice_analytics::sink::GROUP;
use voice_kafka::admin::Admin;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::topics;

use self::store::Store;
use super::{
    figures::{Figure, median, ratios},
    machine::Machine,
};
use crate::{args::BenchArgs, progress, settings::Settings};

const EVENTS: u64 = 2_000_000;

/// Figures of all runs, one element per run.
#[derive(Default)]
struct Found {
    ours: Vec<f64>,
    ours_facts_only: Vec<f64>,
    engine_facts_only: Vec<f64>,
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
        let mut bench = Bench {
            settings: &settings,
            tag: format!("{tag}_{run}"),
            events,
            machine,
        };
        let outcome = bench.run(run, &mut found).await;
        let names = [
            settings.kafka.topic(&topics::CALLS),
            settings.kafka.topic(&topics::DEAD_LETTERS),
        ];
        admin.delete(&names.each_ref().map(String::as_str)).await?;
        outcome?;
    }
    Ok(figures(&found))
}

/// One run over one topic.
struct Bench<'a> {
    settings: &'a Settings,
    /// What the databases of the run begin with.
    tag: String,
    events: u64,
    machine: &'a mut Machine,
}

impl Bench<'_> {
    async fn run(&mut self, run: usize, found: &mut Found) -> anyhow::Result<()> {
        let bar = progress::bar(self.events, format!("run {}: events", run + 1));
        events::fill(&self.settings.kafka, self.events, SystemClock.now(), &bar).await?;
        bar.finish_and_clear();
        let wheel = progress::wheel(format!("run {}", run + 1));
        // Who comes first finds the log in another state than who comes last.
        if run.is_multiple_of(2) {
            self.ours(found).await?;
            self.engine(found).await?;
        } else {
            self.engine(found).await?;
            self.ours(found).await?;
        }
        self.facts_only(found).await?;
        self.ceilings(found).await?;
        wheel.finish_and_clear();
        Ok(())
    }

    async fn ours(&mut self, found: &mut Found) -> anyhow::Result<()> {
        let store = self.store("ours").await?;
        found
            .ours
            .push(ours::measure(self.settings, &store, self.events).await?);
        store.drop().await
    }

    async fn engine(&mut self, found: &mut Found) -> anyhow::Result<()> {
        for (setup, found) in engine::SETUPS.into_iter().zip(&mut found.engine) {
            let store = self.store("engine").await?;
            found.push(engine::measure(&self.settings.kafka, &store, setup, self.events).await?);
            store.drop().await?;
        }
        Ok(())
    }

    /// Both again without the view that makes `calls`, which costs them the same.
    async fn facts_only(&mut self, found: &mut Found) -> anyhow::Result<()> {
        const DETACH: &str = "DROP VIEW calls_from_events";
        let store = self.store("ours_facts").await?;
        store.execute(DETACH).await?;
        let kafka = &self.settings.kafka;
        Admin::new(kafka)?.forget_group(GROUP).await?;
        let rate = ours::measure(self.settings, &store, self.events).await?;
        found.ours_facts_only.push(rate);
        store.drop().await?;
        let store = self.store("engine_facts").await?;
        store.execute(DETACH).await?;
        let rate = engine::measure(&self.settings.kafka, &store, engine::FASTEST, self.events).await?;
        found.engine_facts_only.push(rate);
        store.drop().await
    }

    async fn ceilings(&mut self, found: &mut Found) -> anyhow::Result<()> {
        let (kafka, events) = (&self.settings.kafka, self.events);
        self.machine.pause().await?;
        found.read.push(ceilings::read(kafka, events).await?);
        self.machine.pause().await?;
        let (decoded, blocks) =
            ceilings::decode(kafka, events, self.settings.analytics.sink.max_rows).await?;
        found.decode.push(decoded);
        let store = self.store("insert").await?;
        found
            .insert
            .push(ceilings::insert(&store, blocks, at_once()).await?);
        store.drop().await
    }

    /// A database of its own, on a machine that is quiet again.
    async fn store(&mut self, what: &str) -> anyhow::Result<Store> {
        let store = Store::make(&self.settings.clickhouse, &format!("{}_{what}", self.tag)).await?;
        self.machine.pause().await?;
        Ok(store)
    }
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
        Figure::alone("facts_only.events_per_second", "rows/s", &found.ours_facts_only).beside(
            &format!("ClickHouse's Kafka engine, {}", engine::FASTEST.name),
            &found.engine_facts_only,
            ratios(&found.ours_facts_only, &found.engine_facts_only),
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
