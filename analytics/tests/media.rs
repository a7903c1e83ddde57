//! Media streams and transcripts on real Kafka and ClickHouse: through the same sink as calls, exactly once.
#![allow(clippy::disallowed_methods)] // Tests read the clock.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A broken set-up ends a test here.

mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use support::{Scene, an_hour_ago, conversation, hasty};
use voice_analytics::{
    audit::total,
    processors::{Feed as _, media_events::MediaEvents, transcripts::Transcripts},
    sink::SinkConfig,
};
use voice_kafka::admin::Admin;
use voice_schemas::{
    CallId, TenantId,
    events::{
        call::Carrier,
        media::{
            ChangeKind, MediaFact, MediaRef, ProviderChange, Quantities, Recording, Speaker, Start, Stop,
            ToolUse, TranscriptData, Turn, Usage,
        },
    },
    topics,
};

/// What everything derived from the events says, whatever the order of its rows.
const FINGERPRINT: &str = "SELECT assumeNotNull((SELECT sum(cityHash64(tenant_id, call_id, hour, agent_id, first_at, last_at, \
     started_at, disclosed_at, start, speaking, turns, tools, changes, verdict, language, ending, recording)) FROM media_streams FINAL)) \
     + assumeNotNull((SELECT sum(cityHash64(*)) FROM media_usage FINAL)) AS number";
/// Events of a call.
const EVENTS: u64 = 10;
/// Utterances of a call.
const UTTERANCES: u64 = 4;

fn call_of(number: u32) -> (CallId, DateTime<Utc>) {
    let start = an_hour_ago() + TimeDelta::seconds(i64::from(number) * 2);
    // The same id as the call of `conversation`.
    (CallId::derived(start, &[&number.to_be_bytes()]), start)
}

/// The events of a stream: the turn latencies are 400, 600 and 1 000 ms, and it costs 3 000 micros.
fn stream(tenant: TenantId, number: u32) -> Vec<(String, Vec<u8>)> {
    let (call_id, start) = call_of(number);
    let turn = |number: u32, latency_ms| {
        MediaFact::Turn(Turn {
            number,
            latency_ms,
            interrupted: number == 2,
            unprompted: number == 4,
            decision_ms: Some(latency_ms / 2),
            bridge_us: Some(300),
            ..Turn::default()
        })
    };
    let usage = |number, micros| {
        MediaFact::Usage(Usage {
            number,
            model: "gpt-realtime-2.1".to_owned(),
            quantities: Quantities {
                audio_out: 50,
                ..Quantities::default()
            },
            price_table: "2026-11-21".to_owned(),
            currency: "USD".to_owned(),
            micros,
            unpriced: false,
        })
    };
    let key = format!("recordings/{}/{}.rec", tenant.0, call_id.0);
    let facts = [
        MediaFact::Started(Start {
            carrier: Carrier::Twilio,
            model: "gpt-realtime-2.1".to_owned(),
            codec: "pcmu".to_owned(),
            pass_through: true,
            recorded: true,
        }),
        turn(1, 400),
        turn(2, 600),
        usage(1, 1_000),
        MediaFact::ToolUsed(ToolUse {
            number: 1,
            name: "set_disposition".to_owned(),
            outcome: "done".to_owned(),
            duration_ms: 12,
        }),
        MediaFact::ProviderChanged(ProviderChange {
            number: 1,
            kind: ChangeKind::Failover,
            from: "gemini_live".to_owned(),
            to: "openai_realtime".to_owned(),
            cause: "stalled".to_owned(),
            gap_ms: 900,
            lost_ms: 0,
        }),
        turn(3, 1_000),
        usage(2, 2_000),
        MediaFact::Stopped(Stop {
            cause: "carrier".to_owned(),
            fault: None,
            duration_ms: 30_000,
            frames: 1_499,
            lost: 1,
            malformed: 0,
            micros: 3_000,
            currency: "USD".to_owned(),
            recording: Some(key.clone()),
        }),
        MediaFact::RecordingReady(Recording {
            key,
            sha256: "ab".repeat(32),
            bytes: 480_000,
            duration_ms: 30_000,
            retention: "standard".to_owned(),
            key_id: "2026-11".to_owned(),
            salvaged: false,
        }),
    ];
    let media = MediaRef {
        call_id,
        agent_id: None,
        provider: "openai_realtime",
    };
    let mut at = start;
    facts
        .into_iter()
        .map(|fact| {
            at += TimeDelta::seconds(3);
            let event = fact.into_event(tenant, "/workers/media", at, &media);
            (call_id.0.to_string(), serde_json::to_vec(&event).unwrap())
        })
        .collect()
}

fn words(tenant: TenantId, number: u32) -> Vec<(String, Vec<u8>)> {
    let (call_id, start) = call_of(number);
    (1..=4)
        .map(|utterance: u32| {
            let speaker = if utterance % 2 == 1 {
                Speaker::Caller
            } else {
                Speaker::Agent
            };
            let said = TranscriptData {
                call_id,
                agent_id: None,
                number: utterance,
                speaker,
                text: format!("utterance {utterance} of {number}"),
                heard: (speaker == Speaker::Agent).then(|| "utterance".to_owned()),
                language: Some("en".to_owned()),
                interrupted: speaker == Speaker::Agent,
                starts_ms: None,
                ends_ms: Some(u64::from(utterance) * 1_000),
                generated_ms: None,
                heard_ms: Some(400),
            };
            let at = start + TimeDelta::seconds(i64::from(utterance));
            let event = said.into_event(tenant, "/workers/media", at);
            (call_id.0.to_string(), serde_json::to_vec(&event).unwrap())
        })
        .collect()
}

async fn tell(scene: &Scene, calls: u32) {
    let events = (0..calls).flat_map(|number| stream(scene.tenant, number));
    scene.write(&topics::MEDIA, events).await;
    let said = (0..calls).flat_map(|number| words(scene.tenant, number));
    scene.write(&topics::TRANSCRIPTS, said).await;
}

/// Sets the offsets of both groups back.
async fn start_over(scene: &Scene) {
    let admin = Admin::new(&scene.kafka).unwrap();
    for group in [MediaEvents::GROUP, Transcripts::GROUP] {
        admin.forget_group(group).await.unwrap();
    }
}

/// Every event is one row, and what is derived from them says what they said.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_stream_is_one_row_and_turns_costs_and_streams_are_what_the_events_say() {
    let scene = Scene::with_media("media").await;
    let calls = 60;
    tell(&scene, calls).await;
    let spoken: Vec<_> = (0..calls)
        .flat_map(|number| conversation(scene.tenant, number, call_of(number).1))
        .collect();
    scene.produce(&spoken).await;
    scene.drain(hasty()).await;
    scene.drain_media(hasty(), None).await;

    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    let (events, said) = (total(&audit.events), total(&audit.transcripts));
    assert_eq!((events.rows, said.rows), (60 * EVENTS, 60 * UTTERANCES));
    assert_eq!((audit.streams, audit.streams_without_end), (60, 0));

    for (what, sql, wanted) in [
        ("turns", "SELECT count() AS number FROM media_turns", 180),
        (
            "finished streams",
            "SELECT count() AS number FROM media_streams_final WHERE turns = 3 AND tools = 1 AND changes = 1 \
             AND micros = 3000 AND carrier = 'twilio' AND last_provider = 'openai_realtime' AND cause = 'carrier' \
             AND recording_bytes = 480000 AND recording_key LIKE 'recordings/%' AND isNotNull(stopped_at)",
            60,
        ),
        (
            "money",
            "SELECT sum(micros) AS number FROM media_usage FINAL",
            60 * 3_000,
        ),
        (
            "words",
            "SELECT count() AS number FROM transcripts WHERE speaker = 'agent' AND heard = 'utterance' AND isNull(starts_ms)",
            120,
        ),
        (
            "money of calls with their campaign",
            "SELECT sum(cost_micros) AS number FROM mart_media_call_cost WHERE campaign_id != '' AND lower_bound = 0",
            60 * 3_000,
        ),
        (
            "calls of campaigns",
            "SELECT sum(calls) AS number FROM mart_media_campaign_day WHERE round(cost_per_call * 1000000) = 3000",
            60,
        ),
        (
            "latencies",
            "SELECT turns AS number FROM mart_media_turn_day WHERE prompted = 180 AND interrupted = 60 AND over_800_ms = 60 \
             AND latency_p50_s = 0.6 AND latency_p99_s = 1 AND bridge_p99_ms = 0.3 AND decision_p50_s = 0.3 AND isNull(heard_p50_s)",
            180,
        ),
        (
            "streams of the day",
            "SELECT streams AS number FROM mart_media_stream_day WHERE unfinished = 0 AND failed = 0 AND moved = 60 \
             AND recorded = 60 AND stream_s = 1800 AND round(frame_loss * 1500) = 1",
            60,
        ),
    ] {
        assert_eq!(scene.number(sql).await, wanted, "{what}");
    }
    for mart in voice_schemas::tables::MARTS {
        let silent = format!(
            "SELECT count() AS number FROM system.columns WHERE database = currentDatabase() AND table = '{mart}' \
             AND (comment = '' OR match(type, 'UInt64|Enum|Map|AggregateFunction'))"
        );
        assert_eq!(scene.number(&silent).await, 0, "{mart}");
    }
    scene.clear().await;
}

/// A producer that tells twice, groups that start over, and sinks that are stopped in the middle of their batches.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_twice_costs_once_and_neither_restarts_nor_replays_double_a_row() {
    let scene = Scene::with_media("media_twice").await;
    tell(&scene, 40).await;
    let small = SinkConfig {
        max_rows: 17,
        linger_ms: 20,
        ..SinkConfig::default()
    };
    for _ in 0..3 {
        scene
            .drain_media(small.clone(), Some(Duration::from_millis(400)))
            .await;
    }
    scene.drain_media(small.clone(), None).await;
    let once = scene.number(FINGERPRINT).await;
    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");

    // The same events at other offsets: rows of their own, but no other truth.
    tell(&scene, 40).await;
    scene.drain_media(hasty(), None).await;
    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(total(&audit.events).rows, 2 * 40 * EVENTS);
    assert_eq!(scene.number(FINGERPRINT).await, once);
    assert_eq!(
        scene.number("SELECT count() AS number FROM media_turns").await,
        120,
        "a turn counts once"
    );

    start_over(&scene).await;
    assert_eq!(total(&scene.media_audit().await.events).lag, 2 * 40 * EVENTS);
    scene.drain_media(hasty(), None).await;
    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(
        (total(&audit.events).rows, total(&audit.transcripts).rows),
        (2 * 40 * EVENTS, 2 * 40 * UTTERANCES)
    );
    assert_eq!(scene.number(FINGERPRINT).await, once);
    scene.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_streams_and_costs_that_a_store_lost_are_repaired() {
    let scene = Scene::with_media("media_repair").await;
    tell(&scene, 40).await;
    scene.drain_media(hasty(), None).await;
    let before = scene.number(FINGERPRINT).await;
    for lost in [
        "ALTER TABLE media_events DELETE WHERE _offset % 7 = 0 SETTINGS mutations_sync = 2",
        "ALTER TABLE transcripts DELETE WHERE _offset % 3 = 0 SETTINGS mutations_sync = 2",
        "TRUNCATE TABLE media_usage",
        "TRUNCATE TABLE media_streams",
    ] {
        scene.execute(lost).await;
    }
    let audit = scene.media_audit().await;
    assert!(total(&audit.events).gaps > 0 && total(&audit.transcripts).gaps > 0);
    start_over(&scene).await;
    // Deleted rows leave their tokens behind, so tokens of the same name would be ignored.
    let config = SinkConfig {
        token_epoch: 1,
        ..hasty()
    };
    scene.drain_media(config, None).await;
    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(
        scene.number(FINGERPRINT).await,
        before,
        "the statements that derive have drifted from the views"
    );
    scene.clear().await;
}

/// A record that is no event, one that belongs elsewhere, one the table refuses, and one from a broken clock.
#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_the_dead_letters_alone_and_no_word_of_a_transcript_does() {
    let scene = Scene::with_media("media_poison").await;
    scene
        .execute("ALTER TABLE media_events ADD CONSTRAINT no_poison CHECK lost != 13")
        .await;
    tell(&scene, 10).await;
    let (call, event) = stream(scene.tenant, 3).remove(8);
    let event = String::from_utf8(event).unwrap();
    let refused = event.replace("\"lost\":1,", "\"lost\":13,");
    assert_ne!(event, refused);
    let early = event.replacen("\"time\":\"20", "\"time\":\"19", 1);
    let bad = [
        refused,
        early,
        "{\"type\": \"media.teleported\"}".to_owned(),
        "no event at all".to_owned(),
    ];
    scene
        .write(
            &topics::MEDIA,
            bad.map(|payload| (call.clone(), payload.into_bytes())),
        )
        .await;
    let (call, said) = words(scene.tenant, 3).remove(0);
    let said = String::from_utf8(said).unwrap();
    let secret = said
        .replace("\"number\":1", "\"number\":\"one\"")
        .replace("utterance 1 of 3", "4111 1111 1111 1111");
    assert_ne!(said, secret);
    let elsewhere = stream(scene.tenant, 3).remove(0).1;
    scene
        .write(
            &topics::TRANSCRIPTS,
            [(call.clone(), secret.into_bytes()), (call, elsewhere)],
        )
        .await;
    scene.drain_media(hasty(), None).await;

    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    let (events, said) = (total(&audit.events), total(&audit.transcripts));
    assert_eq!((events.rows, events.dead_letters), (10 * EVENTS, 4));
    assert_eq!((said.rows, said.dead_letters), (10 * UTTERANCES, 2));
    let kafka = scene.kafka.clone();
    let mut letters = tokio::task::spawn_blocking(move || {
        let mut letters = Vec::new();
        voice_kafka::dead_letters::for_each(&kafka, |kept| {
            let letter = kept.letter;
            letters.push((letter.stage, letter.code, letter.payload.is_empty()));
        })
        .unwrap();
        letters
    })
    .await
    .unwrap();
    letters.sort();
    let expected = [
        ("sink.media_events", "malformed", false),
        ("sink.media_events", "refused_by_table", false),
        ("sink.media_events", "time_out_of_range", false),
        ("sink.media_events", "unknown_type", false),
        ("sink.transcripts", "malformed", true),
        ("sink.transcripts", "malformed", true),
    ]
    .map(|(stage, code, empty)| (stage.to_owned(), code.to_owned(), empty));
    assert_eq!(letters, expected);
    scene.clear().await;
}

/// What a killed worker leaves: a stream without an end, its money and nothing else wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_worker_died_is_found_without_an_end_and_costs_what_it_had_used() {
    let scene = Scene::with_media("media_killed").await;
    let mut events = stream(scene.tenant, 1);
    events.truncate(8);
    scene.write(&topics::MEDIA, events).await;
    scene.write(&topics::MEDIA, stream(scene.tenant, 2)).await;
    scene.drain_media(hasty(), None).await;
    let audit = scene.media_audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!((audit.streams, audit.streams_without_end), (2, 1));
    let unfinished = "SELECT sum(unfinished) AS number FROM mart_media_stream_day";
    assert_eq!(scene.number(unfinished).await, 1);
    let cost = "SELECT sum(cost_micros) AS number FROM mart_media_call_cost";
    assert_eq!(scene.number(cost).await, 6_000);
    scene.clear().await;
}
