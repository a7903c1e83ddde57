//! ClickHouse, Kafka and Postgres die one after the other while calls go on. Nobody does anything but
//! start them again.
//!
//! The suite has a stack of its own, `VOICE_STACK=faults`, which it starts and deletes.

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use serde::Deserialize;
use support::{Scene, eventually, scene::free_port, seed, stack::OwnStack, wait_for};
use url::Url;
use voice_analytics::audit::{self, Scope};
use voice_clickhouse::{Row, clickhouse};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_simulator::{
    Expected, FactSet, Faults, Simulator,
    plan::{PlannedCall, Shift},
    player::{Observer, Pace, PlayOptions, Progress},
    wire::Target,
};

const CALLS: u64 = 6_000;
/// How long the shift is played: all faults and some peace at both ends.
const PLAY: Duration = Duration::from_secs(110);
const CLICKHOUSE_IS_AWAY: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts what ingest took.
#[derive(Default)]
struct Delivered(AtomicU64);

impl Observer for Delivered {
    fn progress(&self, progress: &Progress) {
        self.0.store(progress.delivered, Ordering::Relaxed);
    }

    fn finished(&self, _: &PlannedCall, _: FactSet, _: FactSet) {}
}

impl Delivered {
    fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until so many more were taken.
    async fn more(&self, count: u64) {
        let goal = self.so_far() + count;
        eventually("webhooks are taken", PATIENCE, async || self.so_far() >= goal).await;
    }
}

/// The tables' answer to what the simulator expects.
#[derive(Debug, PartialEq, Eq, Row, Deserialize)]
struct Figures {
    calls: u64,
    inbound: u64,
    answered: u64,
    contacted: u64,
    offered: u64,
    bridged: u64,
    bridged_sl: u64,
    abandoned: u64,
    short_abandoned: u64,
    machines: u64,
    reconciled: u64,
    ring_ms: u64,
    wait_ms: u64,
    talk_ms: u64,
    line_ms: u64,
}

impl From<&Expected> for Figures {
    fn from(expected: &Expected) -> Self {
        Self {
            calls: expected.calls,
            inbound: expected.inbound,
            answered: expected.answered,
            contacted: expected.contacted,
            offered: expected.offered,
            bridged: expected.bridged,
            bridged_sl: expected.bridged_sl,
            abandoned: expected.abandoned,
            short_abandoned: expected.short_abandoned,
            machines: expected.machines,
            reconciled: expected.reconciled,
            ring_ms: expected.ring_ms,
            wait_ms: expected.wait_ms,
            talk_ms: expected.talk_ms,
            line_ms: expected.line_ms,
        }
    }
}

// The columns are named with their table: an alias of a count would be taken for the column.
const FIGURES: &str = "SELECT count() AS calls, countIf(f.direction = 'inbound') AS inbound, \
     countIf(f.answered) AS answered, countIf(f.contacted) AS contacted, countIf(f.offered) AS offered, \
     countIf(f.bridged) AS bridged, countIf(f.bridged AND f.wait_ms <= 20000) AS bridged_sl, \
     countIf(f.abandoned) AS abandoned, countIf(f.short_abandoned) AS short_abandoned, \
     countIf(f.answered_by = 'machine') AS machines, countIf(f.reconciled) AS reconciled, \
     sum(toUInt64(f.ring_ms)) AS ring_ms, sum(toUInt64(f.wait_ms)) AS wait_ms, \
     sum(toUInt64(f.talk_ms)) AS talk_ms, sum(toUInt64(f.line_ms)) AS line_ms FROM calls_final AS f";

#[derive(Row, Deserialize)]
struct Events {
    kind: String,
    facts: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clickhouse_kafka_and_postgres_come_back_and_nothing_is_lost_or_doubled_and_nobody_did_anything() {
    let seed = seed("stores_go_away");
    let own = OwnStack::up("faults").await;
    let mut scene = Scene::on("faults", &own.stack).await;
    let accounts = scene.found_company(seed).await;
    let address = format!("127.0.0.1:{}", free_port());
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let objects = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(&scene.name);
    scene.set("ingest.listen", &address);
    scene.set("ingest.public_base_url", url.as_str().trim_end_matches('/'));
    scene.set("ingest.per_address_per_second", 1_000_000);
    scene.set("objects.folder", objects.display());
    let ops = format!("127.0.0.1:{}", free_port());
    scene.set("ops.listen", &ops);

    let mut voice = scene.start("all");
    voice.has_said("\"running\"").await;
    voice.has_said("partitions assigned").await;
    let clock = SystemClock::shared();
    let mut shift = Shift::new(seed, CALLS, SystemClock.now() - TimeDelta::hours(18));
    shift.duration = TimeDelta::hours(12);
    let shift_lasts = shift.duration.to_std().unwrap();
    let faults = Faults {
        duplicates: 0.02,
        reordered: 0.03,
        ..Faults::default()
    };
    let simulator = Simulator::new(shift, faults, accounts, scene.context_keys()).unwrap();
    let delivered = Arc::new(Delivered::default());
    let playing = tokio::spawn({
        let (delivered, clock) = (Arc::clone(&delivered), clock.clone());
        async move {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let pace = Pace::Scaled(shift_lasts.as_secs_f64() / PLAY.as_secs_f64());
            let mut options = PlayOptions {
                pace,
                ..PlayOptions::default()
            };
            options.retries.tries = 60;
            options.retries.longest_wait = Duration::from_secs(2);
            simulator
                .play(&http, &Target::direct(url), &options, &clock, &*delivered)
                .await
                .unwrap()
        }
    });

    delivered.more(300).await;
    own.kill("clickhouse").await;
    let began = delivered.so_far();
    // The fault itself, not a wait for its end: webhooks are taken all the while.
    tokio::time::sleep(CLICKHOUSE_IS_AWAY).await;
    assert!(
        delivered.so_far() > began + 1_000,
        "ingest took next to nothing without ClickHouse"
    );
    own.revive("clickhouse").await;
    delivered.more(300).await;
    voice.must_run();

    own.kill("kafka").await;
    own.revive("kafka").await;
    delivered.more(300).await;
    voice.must_run();

    own.kill("postgres").await;
    delivered.more(300).await;
    own.revive("postgres").await;
    delivered.more(300).await;
    voice.must_run();
    assert!(!playing.is_finished(), "the shift was over before the last fault");

    let tally = playing.await.unwrap();
    assert_eq!(tally.undelivered, 0, "{tally:?}");
    let scope = Scope {
        tenant: None,
        silent_for_seconds: 0,
    };
    let found = wait_for("the audit", PATIENCE * 3, async || {
        voice.must_run();
        let found = audit::run(&scene.kafka, &scene.clickhouse, scope).await.ok()?;
        (found.total().lag == 0 && found.total().records > 0).then_some(found)
    })
    .await;
    assert!(found.is_clean(), "{found:#?}");
    let total = found.total();
    assert_eq!((total.rows, total.dead_letters), (total.records, 0), "{found:#?}");

    // By fact, not by record: what was answered 503 may have been written all the same, and came again
    // under its id.
    let facts: Vec<Events> = scene
        .clickhouse
        .rows(
            "counting facts",
            "SELECT toString(event_type) AS kind, uniqExact(event_id) AS facts FROM call_events GROUP BY kind ORDER BY kind",
            |query| query,
        )
        .await
        .unwrap();
    let facts: BTreeMap<_, _> = facts.into_iter().map(|row| (row.kind, row.facts)).collect();
    let expected: BTreeMap<_, _> = tally
        .expected
        .events
        .iter()
        .map(|(kind, count)| (kind.as_str().to_owned(), *count))
        .collect();
    assert_eq!(facts, expected);
    let figures: Figures = scene
        .clickhouse
        .row("counting calls", FIGURES, |query| query)
        .await
        .unwrap();
    assert_eq!(figures, Figures::from(&tally.expected));
    // What follows the rows has caught up, and every part says that it is well.
    scene.rolls_up(&scene.calls().await, PATIENCE).await;
    eventually("every part is ready", PATIENCE, async || {
        reqwest::get(format!("http://{ops}/health/ready"))
            .await
            .is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    voice.must_run();
    let said = voice.terminate().await;
    println!(
        "{} requests, {} refused, {} unanswered; {} facts in {} records; {} tries of the sink had to wait",
        tally.requests,
        tally.refusals.values().sum::<u64>(),
        tally.unanswered,
        facts.values().sum::<u64>(),
        total.records,
        said.matches("the sink waits").count(),
    );
    let _leftovers_are_harmless = std::fs::remove_dir_all(objects);
}
