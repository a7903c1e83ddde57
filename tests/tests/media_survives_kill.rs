//! A media worker is killed while calls talk: every call ends with a cause, every attempt is resolved, and what was
//! recorded up to then can be listened to.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::TimeDelta;
use serde::Deserialize;
use support::{Scene, eventually, scene::free_port, seed, wait_for};
use tokio::net::TcpListener;
use url::Url;
use voice_clickhouse::{Row, clickhouse};
use voice_dialer::attempts;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::Role;
use voice_recordings::Note;
use voice_schemas::{
    CallId,
    events::call::{CallOutcome, Carrier},
};
use voice_simulator::{
    live::{CallTruth, Fate, Live, LiveOptions, Population, Streams},
    plan::LogNormal,
    twin::{Twin, serve_twin},
};
use voice_simulator_providers::{Scripts, Twins, serve};

const PEOPLE: u32 = 60;
/// Calls that talk when the worker is killed.
const TALKING: usize = 20;
/// For how long, at least.
const FOR: TimeDelta = TimeDelta::seconds(5);
/// What is recorded is written to disk every second, and handed out when it is settled.
const UNWRITTEN_MS: i64 = 3_000;
const PATIENCE: Duration = Duration::from_secs(150);

#[derive(Row, Deserialize)]
struct Ended {
    carrier_call_id: String,
    outcome: String,
    hangup_by: String,
    agent_kind: String,
    abandoned: bool,
}

/// People who answer soon and like to talk.
fn talkative() -> Population {
    Population {
        fates: vec![(Fate::Person, 1.0)],
        setup_ms: LogNormal::new(200.0, 0.3, 50, 500),
        ring_ms: LogNormal::new(700.0, 0.4, 200, 2_000),
        ai_talk_ms: LogNormal::new(25_000.0, 0.2, 18_000, 40_000),
        patience_ms: LogNormal::new(3_000.0, 0.3, 1_500, 6_000),
        ..Population::default()
    }
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _leftovers_are_harmless = std::fs::remove_dir_all(&self.0);
    }
}

/// RES
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_worker_is_killed_while_calls_talk_and_every_call_ends_and_its_recording_is_salvaged() {
    let seed = seed("media_survives_kill");
    let mut scene = Scene::new("media").await;
    let carrier = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", carrier.local_addr().unwrap())).unwrap();
    let opened = scene.found_company_at(seed, Some(&base)).await;
    let (ids, accounts): (BTreeSet<_>, Vec<_>) = opened.into_iter().unzip();
    let (tenant, clock) = (accounts[0].tenant, SystemClock::shared());
    let accounts: Arc<[_]> = accounts.into();
    let options = LiveOptions {
        seed,
        population: talkative(),
        streams: Streams::Opened,
        ..LiveOptions::default()
    };
    let live = Live::new(options, Arc::clone(&accounts), Arc::clone(&clock)).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::spawn(live.clone().run(http, std::future::pending()));
    let twin = Twin::of_live(accounts, Arc::clone(&clock), live.clone());
    tokio::spawn(serve_twin(carrier, twin, std::future::pending()));
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider_at = provider.local_addr().unwrap();
    let twins = Twins::new("test-key", Scripts::default());
    tokio::spawn(serve(provider, twins, None, std::future::pending()));

    let folder = Folder::new(&scene.name);
    let ingest = format!("127.0.0.1:{}", free_port());
    let media = format!("127.0.0.1:{}", free_port());
    scene.set("ingest.listen", &ingest);
    scene.set("ingest.public_base_url", format!("http://{ingest}"));
    scene.set("ingest.per_address_per_second", 1_000_000);
    scene.set("media.listen", &media);
    scene.set("media.public_url", format!("ws://{media}"));
    scene.set("media.lanes", 1);
    scene.set("media.max_lag_ms", 500);
    scene.set("media.drain_seconds", 5);
    scene.set("media.providers.openai.base_url", format!("ws://{provider_at}"));
    scene.set("media.providers.openai.key", "test-key");
    scene.set("media.recording.spool", folder.0.join("spool").display());
    scene.set(
        "media.recording.keys",
        format!("[{{id=\"test\",key=\"{}\"}}]", BASE64.encode([14; 32])),
    );
    scene.set("objects.folder", folder.0.join("objects").display());
    scene.set("dialer.silence_ms", 10_000);
    scene.set("analytics.sink.linger_ms", 200);
    scene.set("analytics.watchdog.interval_ms", 1_000);
    scene.import_people(tenant, PEOPLE).await;

    let mut others = [
        scene.start("ingest"),
        scene.start("analytics"),
        scene.start("scheduler"),
        scene.start("dialer"),
    ];
    for other in &mut others {
        other.has_said("\"running\"").await;
    }
    let mut first = scene.start("media");
    first.has_said("\"running\"").await;
    let campaign = scene
        .start_campaign(tenant, &ids, SystemClock.now(), |campaign| {
            campaign.max_concurrent = 30;
        })
        .await;

    let talking = |calls: Vec<CallTruth>| -> Vec<CallTruth> {
        let long_enough = SystemClock.now() - FOR;
        calls
            .into_iter()
            .filter(|call| call.ended_at.is_none() && call.first_heard.is_some_and(|at| at <= long_enough))
            .collect()
    };
    eventually("twenty calls talk", PATIENCE, async || {
        talking(live.calls()).len() >= TALKING
    })
    .await;
    let cut_off = talking(live.calls());
    let killed_at = SystemClock.now();
    first.kill().await;

    // Twilio ends a call whose stream is gone; at Telnyx the callee hears nothing and hangs up.
    let names: BTreeSet<String> = cut_off.iter().map(|call| call.carrier_call_id.clone()).collect();
    eventually("the calls that were cut off end", PATIENCE, async || {
        let over = live.calls();
        over.iter()
            .filter(|call| names.contains(&call.carrier_call_id))
            .all(|call| call.ended_at.is_some())
    })
    .await;
    let mut second = scene.start("media");
    second.has_said("\"running\"").await;

    let database = scene.database(Role::Worker).await;
    let totals = wait_for("every attempt has ended", PATIENCE, async || {
        let mut tx = database.tenant(tenant).await.unwrap();
        let totals = attempts::totals(&mut tx).await.unwrap();
        let funnel = voice_dialer::campaigns::funnel(&mut tx, campaign, SystemClock.now())
            .await
            .unwrap();
        (totals.open == 0 && funnel.due == 0 && funnel.dialling == 0 && live.is_quiet()).then_some(totals)
    })
    .await;
    assert_eq!(totals.ended.get(&CallOutcome::Unknown), None, "{totals:?}");

    // Every call that was cut off has ended in the tables, by somebody.
    let ends = wait_for("the tables have the ends", PATIENCE, async || {
        let rows: Vec<Ended> = scene
            .clickhouse
            .rows(
                "reading calls",
                "SELECT carrier_call_id, toString(outcome) AS outcome, toString(hangup_by) AS hangup_by,
                        toString(agent_kind) AS agent_kind, abandoned = 1 AS abandoned
                 FROM calls_final",
                |query| query,
            )
            .await
            .unwrap();
        let ended: BTreeMap<String, Ended> = rows
            .into_iter()
            .filter(|row| names.contains(&row.carrier_call_id) && !row.outcome.is_empty())
            .map(|row| (row.carrier_call_id.clone(), row))
            .collect();
        (ended.len() == names.len()).then_some(ended)
    })
    .await;
    for call in &cut_off {
        let end = &ends[&call.carrier_call_id];
        assert_eq!(end.outcome, "completed", "{call:?}");
        assert_eq!(
            (end.agent_kind.as_str(), end.abandoned),
            ("ai", false),
            "{call:?}"
        );
        // Twilio does not say who hung up.
        let known = call.carrier == Carrier::Twilio || ["caller", "callee"].contains(&&*end.hangup_by);
        assert!(known, "{}", end.hangup_by);
    }

    // What the worker had recorded is stored, marked as salvaged, and opens.
    let keys = scene.context_keys();
    for call in &cut_off {
        let sealed = call.context.as_deref().unwrap();
        let context = match call.carrier {
            Carrier::Telnyx => keys.open_client_state(sealed).unwrap(),
            Carrier::Twilio => keys.open_query(sealed).unwrap(),
        };
        let id: CallId = context.call_id;
        let object = folder.0.join("objects").join(voice_recordings::key(tenant, id));
        let note_path = PathBuf::from(format!("{}.json", object.display()));
        let note: Note = wait_for("a salvaged recording", PATIENCE, async || {
            serde_json::from_slice(&std::fs::read(&note_path).ok()?).ok()
        })
        .await;
        assert!(note.salvaged, "{note:?}");
        let talked = (killed_at - call.first_heard.unwrap()).num_milliseconds();
        let recorded = i64::try_from(note.duration_ms).unwrap();
        assert!(
            recorded >= talked - UNWRITTEN_MS,
            "{recorded} of {talked} ms were recorded"
        );
    }
    let last = &cut_off[0];
    let context = match last.carrier {
        Carrier::Telnyx => keys.open_client_state(last.context.as_deref().unwrap()),
        Carrier::Twilio => keys.open_query(last.context.as_deref().unwrap()),
    };
    let (call, wav) = (context.unwrap().call_id.to_string(), folder.0.join("call.wav"));
    let fetched = scene
        .run(&[
            "recordings",
            "fetch",
            &call,
            "--tenant",
            &tenant.to_string(),
            "--out",
            wav.to_str().unwrap(),
        ])
        .await;
    assert!(fetched.status.success(), "{fetched:?}");
    let wav = std::fs::read(wav).unwrap();
    assert!(wav.starts_with(b"RIFF") && wav.len() > 2 * 8_000);

    let truth = live.truth();
    assert!(
        truth.streams > truth.streams_refused + TALKING as u64,
        "{truth:?}"
    );
    second.terminate().await;
    for other in others {
        other.terminate().await;
    }
    println!(
        "{} attempts, {} streams, {} of them refused while no worker ran, {} calls cut off and salvaged",
        totals.finished(),
        truth.streams,
        truth.streams_refused,
        cut_off.len(),
    );
}
