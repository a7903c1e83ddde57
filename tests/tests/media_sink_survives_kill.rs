//! `kill -9` of analytics in the middle of the events of media streams and transcripts: every record is one row, and
//! every stream costs what its events say.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use support::{Scene, eventually, random_moment, seed};
use voice_analytics::{
    audit::{self, MediaAudit, Scope, total},
    processors::{Feed as _, media_events::MediaEvents, transcripts::Transcripts},
};
use voice_clickhouse::{Row, clickhouse};
use voice_kafka::OutboundRecord;
use voice_schemas::{
    CallId, TenantId,
    events::media::{MediaFact, MediaRef, Quantities, Speaker, Stop, TranscriptData, Usage},
    topics::{self, Topic},
};

const CALLS: u32 = 2_000;
const USAGES: u32 = 4;
const KILLS: u32 = 5;
/// Some batches' time: intent, insert and done take tens of milliseconds each.
const LONGEST_LIFE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(90);

/// The events of a stream and what was said on it. Piece of usage n of any call costs n micros.
fn story(tenant: TenantId, number: u32, at: DateTime<Utc>) -> Vec<(&'static Topic, CallId, Vec<u8>)> {
    let call_id = CallId::derived(at, &[&number.to_be_bytes()]);
    let media = MediaRef {
        call_id,
        agent_id: None,
        provider: "openai_realtime",
    };
    let usage = |number: u32| {
        MediaFact::Usage(Usage {
            number,
            model: "gpt-realtime-2.1".to_owned(),
            quantities: Quantities::default(),
            price_table: "1".to_owned(),
            currency: "USD".to_owned(),
            micros: number.into(),
            unpriced: false,
        })
    };
    let stop = MediaFact::Stopped(Stop {
        cause: "carrier".to_owned(),
        fault: None,
        duration_ms: 1_000,
        frames: 50,
        lost: 0,
        malformed: 0,
        micros: 10,
        currency: "USD".to_owned(),
        recording: None,
    });
    let mut told: Vec<_> = (1..=USAGES)
        .map(usage)
        .chain([stop])
        .map(|fact| {
            let event = fact.into_event(tenant, "/workers/media", at, &media);
            (&topics::MEDIA, call_id, serde_json::to_vec(&event).unwrap())
        })
        .collect();
    let said = TranscriptData {
        call_id,
        agent_id: None,
        number: 1,
        speaker: Speaker::Caller,
        text: "Hello".to_owned(),
        heard: None,
        language: None,
        interrupted: false,
        starts_ms: None,
        ends_ms: None,
        generated_ms: None,
        heard_ms: None,
    };
    let event = said.into_event(tenant, "/workers/media", at);
    told.push((&topics::TRANSCRIPTS, call_id, serde_json::to_vec(&event).unwrap()));
    told
}

async fn write(scene: &Scene, tenant: TenantId, calls: std::ops::Range<u32>, at: DateTime<Utc>) {
    let mut confirmations = Vec::new();
    for number in calls {
        for (topic, call, payload) in story(tenant, number, at + TimeDelta::milliseconds(number.into())) {
            let record = OutboundRecord {
                topic: scene.kafka.topic(topic),
                key: call.0.to_string().into_bytes(),
                payload,
                headers: Vec::new(),
            };
            confirmations.push(scene.producer.enqueue(&record).unwrap());
        }
    }
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
}

async fn compare(scene: &Scene) -> MediaAudit {
    let scope = Scope {
        tenant: None,
        silent_for_seconds: 3_600,
    };
    audit::media(&scene.kafka, &scene.clickhouse, scope)
        .await
        .unwrap()
}

async fn number(scene: &Scene, sql: &str) -> u64 {
    #[derive(Row, serde::Deserialize)]
    struct Number {
        number: u64,
    }
    let asked = scene.clickhouse.row::<Number>("asking", sql, |query| query);
    asked.await.unwrap().number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_leave_every_event_and_utterance_once_and_every_cost_exact() {
    let mut rng = fastrand::Rng::with_seed(seed("media_sink_survives_kill"));
    let tenant = TenantId::random();
    let mut scene = Scene::new("media_kill").await;
    scene.set("analytics.sink.max_rows", 60);
    scene.set("analytics.sink.linger_ms", 30);
    scene.set("analytics.watchdog.interval_ms", 3_600_000);
    for group in [MediaEvents::GROUP, Transcripts::GROUP] {
        scene.expel_after(group, Duration::from_secs(3)).await;
    }
    #[allow(clippy::disallowed_methods, reason = "events lie in the last 30 days")]
    let at = Utc::now() - TimeDelta::hours(1);
    let share = CALLS / (KILLS + 1);
    for kill in 0..KILLS {
        let mut voice = scene.start("analytics");
        let before = total(&compare(&scene).await.events).rows;
        write(&scene, tenant, kill * share..(kill + 1) * share, at).await;
        eventually("rows are written", PATIENCE, async || {
            voice.must_run();
            total(&compare(&scene).await.events).rows > before
        })
        .await;
        random_moment(&mut rng, LONGEST_LIFE).await;
        voice.kill().await;
    }
    let mut last = scene.start("analytics");
    write(&scene, tenant, KILLS * share..CALLS, at).await;
    eventually("everything is written", PATIENCE, async || {
        last.must_run();
        let audit = compare(&scene).await;
        total(&audit.events).lag + total(&audit.transcripts).lag == 0
    })
    .await;
    last.terminate().await;

    let audit = compare(&scene).await;
    assert!(audit.is_clean(), "{audit:?}");
    let calls = u64::from(CALLS);
    assert_eq!(total(&audit.events).rows, calls * u64::from(USAGES + 1));
    assert_eq!(total(&audit.transcripts).rows, calls);
    let spent = number(
        &scene,
        "SELECT toUInt64(sum(micros)) AS number FROM media_usage FINAL",
    )
    .await;
    assert_eq!(spent, calls * 10);
    let finished =
        "SELECT count() AS number FROM media_streams_final WHERE micros = 10 AND isNotNull(stopped_at)";
    assert_eq!(number(&scene, finished).await, calls);

    let shown = scene.run(&["audit"]).await;
    let shown_text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{shown_text}");
    for said in [
        "media.events",
        "media.transcripts",
        "2000 media streams, 0 without an end",
    ] {
        assert!(shown_text.contains(said), "{said} is missing in:\n{shown_text}");
    }
}
