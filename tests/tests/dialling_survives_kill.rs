//! A campaign is dialled over the wire of both carriers while dialers die and join, and the carriers lose, repeat,
//! reorder and delay what they tell.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use support::{Scene, eventually, scene::free_port, seed, wait_for};
use tokio::net::TcpListener;
use url::Url;
use voice_analytics::audit::{self, Scope};
use voice_clickhouse::{Row, clickhouse};
use voice_dialer::attempts::{self, Totals};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::Role;
use voice_schemas::{
    EventType,
    events::call::{CallOutcome, Carrier},
};
use voice_simulator::{
    Faults,
    live::{CallTruth, Fate, Live, LiveOptions, Population},
    plan::LogNormal,
    twin::{Twin, serve_twin},
};

const PEOPLE: u32 = 1_600;
/// Calls in the air when a dialer is killed.
const IN_THE_AIR: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(180);

/// An event, as far as this suite reads it.
#[derive(Deserialize)]
struct Told {
    id: String,
    #[serde(rename = "type")]
    kind: EventType,
    data: AboutAttempt,
}

#[derive(Deserialize)]
struct AboutAttempt {
    attempt_id: Option<String>,
    outcome: Option<CallOutcome>,
}

#[derive(Row, Deserialize)]
struct Ended {
    outcome: String,
    attempts: u64,
}

#[derive(Row, Deserialize)]
struct Call {
    carrier_call_id: String,
    outcome: String,
    reconciled: bool,
}

fn quick_people() -> Population {
    Population {
        fates: vec![
            (Fate::Person, 0.55),
            (Fate::Machine, 0.10),
            (Fate::RingsOut, 0.15),
            (Fate::Busy, 0.15),
            (Fate::Disconnected, 0.05),
        ],
        setup_ms: LogNormal::new(300.0, 0.3, 50, 1_000),
        ring_ms: LogNormal::new(4_000.0, 0.5, 500, 12_000),
        machine_ring_ms: LogNormal::new(6_000.0, 0.3, 1_000, 12_000),
        ai_talk_ms: LogNormal::new(7_000.0, 0.5, 1_000, 20_000),
        ..Population::default()
    }
}

/// CAM: an attempt ends once; nobody is called twice by accident.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialers_die_with_500_calls_in_the_air_and_every_attempt_ends_once_and_nobody_is_called_twice() {
    let seed = seed("dialling_survives_kill");
    let mut scene = Scene::new("dialling").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let carrier = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let opened = scene.found_company_at(seed, Some(&carrier)).await;
    let (ids, accounts): (BTreeSet<_>, Vec<_>) = opened.into_iter().unzip();
    let (tenant, clock) = (accounts[0].tenant, SystemClock::shared());
    let accounts: Arc<[_]> = accounts.into();
    let options = LiveOptions {
        seed,
        population: quick_people(),
        faults: Faults {
            duplicates: 0.05,
            reordered: 0.05,
            reorder_window_ms: 3_000,
            loss: 0.02,
            late: 0.01,
            late_ms: LogNormal::new(20_000.0, 0.3, 12_000, 40_000),
            ..Faults::default()
        },
        ..LiveOptions::default()
    };
    let live = Live::new(options, Arc::clone(&accounts), Arc::clone(&clock)).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::spawn(live.clone().run(http, std::future::pending()));
    let twin = Twin::of_live(accounts, clock, live.clone());
    tokio::spawn(serve_twin(listener, twin, std::future::pending()));

    let address = format!("127.0.0.1:{}", free_port());
    scene.set("ingest.listen", &address);
    scene.set("ingest.public_base_url", format!("http://{address}"));
    scene.set("ingest.per_address_per_second", 1_000_000);
    scene.set("dialer.silence_ms", 10_000);
    scene.set("kafka.consumer.session_timeout_ms", 6_000);
    scene.set("kafka.consumer.drain_deadline_ms", 5_000);
    scene.set("analytics.sink.linger_ms", 200);
    scene.set("analytics.watchdog.interval_ms", 1_000);
    scene.set("analytics.watchdog.silence_ringing_ms", 20_000);
    scene.set("analytics.watchdog.silence_answered_ms", 30_000);
    scene
        .expel_after(voice_dialer::GROUP, Duration::from_secs(3))
        .await;
    scene.import_people(tenant, PEOPLE).await;

    let mut others = [
        scene.start("ingest"),
        scene.start("analytics"),
        scene.start("scheduler"),
    ];
    for other in &mut others {
        other.has_said("\"running\"").await;
    }
    let mut first = scene.start("dialer");
    first.has_said("partitions assigned").await;
    let campaign = scene
        .start_campaign(tenant, &ids, SystemClock.now(), |campaign| {
            campaign.max_concurrent = 700;
        })
        .await;

    eventually("500 calls are in the air", PATIENCE, async || {
        live.truth().alive >= IN_THE_AIR
    })
    .await;
    first.kill().await;
    let mut second = scene.start("dialer");
    second.has_said("took a campaign shard over").await;
    let before = live.truth().placed;
    eventually("the second one dials", PATIENCE, async || {
        live.truth().placed > before + 50
    })
    .await;
    let third = scene.start("dialer");
    eventually(
        "500 calls are in the air again, or all were made",
        PATIENCE,
        async || {
            let truth = live.truth();
            truth.alive >= IN_THE_AIR || truth.placed >= u64::from(PEOPLE) - 100
        },
    )
    .await;
    second.kill().await;

    let database = scene.database(Role::Worker).await;
    wait_for(
        "everybody was called and every attempt has ended",
        PATIENCE,
        async || {
            let mut tx = database.tenant(tenant).await.unwrap();
            let totals = attempts::totals(&mut tx).await.unwrap();
            let funnel = voice_dialer::campaigns::funnel(&mut tx, campaign, SystemClock.now())
                .await
                .unwrap();
            (totals.open == 0 && funnel.due == 0 && funnel.dialling == 0 && live.is_quiet()).then_some(())
        },
    )
    .await;
    let scope = Scope {
        tenant: None,
        silent_for_seconds: 0,
    };
    wait_for("the tables have everything", PATIENCE, async || {
        let found = audit::run(&scene.kafka, &scene.clickhouse, scope).await.ok()?;
        (found.total().lag == 0 && found.calls_without_end == 0).then_some(())
    })
    .await;
    third.terminate().await;
    // Read when nobody writes any more: a carrier that spoke late may have changed an end that was concluded.
    let mut tx = database.tenant(tenant).await.unwrap();
    let totals = attempts::totals(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();

    // An attempt is one call at most, and nobody is called again before the last call to them was over.
    let (truth, calls, keys) = (live.truth(), live.calls(), scene.context_keys());
    let mut attempted = BTreeSet::new();
    let mut called: BTreeMap<&str, &CallTruth> = BTreeMap::new();
    for call in &calls {
        let sealed = call.context.as_deref().unwrap();
        let context = match call.carrier {
            Carrier::Telnyx => keys.open_client_state(sealed).unwrap(),
            Carrier::Twilio => keys.open_query(sealed).unwrap(),
        };
        assert!(
            attempted.insert(context.attempt.unwrap()),
            "one attempt, two calls: {call:?}"
        );
        if let Some(before) = called.insert(&call.to, call) {
            assert!(call.placed_at > before.ended_at.unwrap(), "{before:?} {call:?}");
        }
    }
    let never_asked = totals.ended.get(&CallOutcome::Unknown).copied().unwrap_or(0);
    assert!(
        called.len() as u64 + never_asked >= u64::from(PEOPLE),
        "{totals:?} {truth:?}"
    );
    assert!(totals.finished() >= truth.placed, "{totals:?} {truth:?}");

    // The three stores agree on how attempts ended. An end that was concluded in silence is told again under its id
    // when the carrier speaks after all: the last word counts.
    let mut ends: BTreeMap<String, (String, CallOutcome)> = BTreeMap::new();
    for told in scene.events_in_kafka::<Told>().await {
        if told.kind == EventType::AttemptFinished {
            let (attempt, outcome) = (told.data.attempt_id.unwrap(), told.data.outcome.unwrap());
            let known = ends.entry(attempt).or_insert_with(|| (told.id.clone(), outcome));
            assert_eq!(known.0, told.id, "an attempt has two ends");
            known.1 = outcome;
        }
    }
    let mut in_kafka = BTreeMap::new();
    for (_, outcome) in ends.values() {
        *in_kafka.entry(outcome.as_str().to_owned()).or_default() += 1;
    }
    assert_eq!(in_kafka, by_name(&totals));
    assert_eq!(in_clickhouse(&scene).await, by_name(&totals));

    // What the platform says of a call is what its carrier knows, unless nobody could tell it.
    let rows: Vec<Call> = scene
        .clickhouse
        .rows(
            "reading calls",
            "SELECT carrier_call_id, toString(outcome) AS outcome, reconciled FROM calls_final WHERE carrier_call_id != ''",
            |query| query,
        )
        .await
        .unwrap();
    let known: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row.carrier_call_id.as_str(), row))
        .collect();
    for call in calls.iter().filter(|call| call.end_told) {
        let row = known[call.carrier_call_id.as_str()];
        assert_eq!(row.outcome, call.outcome.unwrap().as_str(), "{call:?}");
        assert!(!row.reconciled, "the carrier's own word wins");
    }
    for other in others {
        other.terminate().await;
    }
    println!(
        "{} attempts, {} calls, {} webhooks lost, {} told twice, {} ends nobody told",
        totals.finished(),
        truth.placed,
        truth.lost,
        truth.repeated,
        truth.ends_missing + truth.untold,
    );
}

fn by_name(totals: &Totals) -> BTreeMap<String, u64> {
    totals
        .ended
        .iter()
        .map(|(outcome, count)| (outcome.as_str().to_owned(), *count))
        .collect()
}

async fn in_clickhouse(scene: &Scene) -> BTreeMap<String, u64> {
    let rows: Vec<Ended> = scene
        .clickhouse
        .rows(
            "counting attempts",
            "SELECT last AS outcome, count() AS attempts FROM \
             (SELECT attempt_id, toString(argMax(outcome, _offset)) AS last FROM call_events \
              WHERE event_type = 'attempt.finished' GROUP BY attempt_id) GROUP BY outcome",
            |query| query,
        )
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.outcome, row.attempts)).collect()
}
