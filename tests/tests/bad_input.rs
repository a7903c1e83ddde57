//! What does not belong on the log or in the table goes to the dead letters with its bytes and its reason,
//! its neighbours go on, and an operator brings back what can be brought back.
//!
//! What carriers send over HTTP is the business of `ingest/tests/http`; this is the sink's half.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{
    Scene,
    exact::assert_same,
    fold::fold,
    seed,
    story::{Story, record},
};
use uuid::Uuid;
use voice_analytics::audit::{self, Scope};
use voice_clickhouse::{Row, clickhouse};
use voice_kafka::{Delivery, OutboundRecord, dead_letters::Origin};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::events::call::CallEvent;

const PATIENCE: Duration = Duration::from_secs(60);
/// A value the table of this test refuses.
const REFUSED: u32 = u32::MAX;

#[derive(Debug, PartialEq, Eq, Row, Deserialize)]
struct Dead {
    partition: u16,
    offset: u64,
    code: String,
}

#[derive(Row, Deserialize)]
struct Copies {
    #[serde(with = "voice_clickhouse::uuid")]
    event: Uuid,
    rows: u64,
}

/// Everything the sink cannot use, with the code it must say why.
fn unusable(good: &CallEvent) -> Vec<(&'static str, Vec<u8>)> {
    let now = SystemClock.now();
    let changed = |pointer: &str, value: Value| {
        let mut event = serde_json::to_value(good).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&event).unwrap()
    };
    vec![
        ("unknown_type", changed("/type", json!("call.teleported"))),
        ("wrong_topic", changed("/type", json!("agent.reserved"))),
        (
            "time_out_of_range",
            changed("/time", json!(now - TimeDelta::days(31))),
        ),
        (
            "time_out_of_range",
            changed("/time", json!(now + TimeDelta::days(2))),
        ),
        ("missing_section", changed("/data/evidence", Value::Null)),
        ("malformed", changed("/data/call/call_id", json!("nonsense"))),
        ("malformed", b"{\"id\":".to_vec()),
        ("malformed", vec![0xff, 0xfe, 0x00]),
        ("malformed", Vec::new()),
    ]
}

impl Scene {
    async fn send(&self, record: &OutboundRecord) -> (u16, u64) {
        let Delivery { partition, offset } = self.producer.send(record).await.unwrap();
        (u16::try_from(partition).unwrap(), offset.cast_unsigned())
    }

    async fn noted(&self) -> Vec<Dead> {
        let sql = "SELECT _partition AS partition, _offset AS offset, toString(code) AS code \
                   FROM sink_dead_letters FINAL ORDER BY partition, offset";
        self.clickhouse
            .rows("reading the dead letters", sql, |query| query)
            .await
            .unwrap()
    }

    async fn copies(&self) -> BTreeMap<Uuid, u64> {
        let sql = "SELECT event_id AS event, count() AS rows FROM call_events GROUP BY event_id";
        let copies: Vec<Copies> = self
            .clickhouse
            .rows("counting copies", sql, |query| query)
            .await
            .unwrap();
        copies.into_iter().map(|row| (row.event, row.rows)).collect()
    }

    async fn operator(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_goes_to_the_dead_letters_its_neighbours_go_on_and_an_operator_brings_it_back()
{
    let seed = seed("bad_input");
    let mut story = Story::new(seed, 2_000);
    let mut seen = std::collections::BTreeSet::new();
    story.events.retain(|event| seen.insert(event.id));
    let mut scene = Scene::new("bad").await;
    scene.set("analytics.sink.linger_ms", 300);
    scene.set("analytics.watchdog.interval_ms", 3_600_000);
    let topic = scene.calls_topic();
    let constrain = format!("ALTER TABLE call_events ADD CONSTRAINT test CHECK sequence != {REFUSED}");
    scene
        .clickhouse
        .execute("adding a constraint", &constrain, |query| query)
        .await
        .unwrap();

    // All of it is in the log before the sink starts, so that bad and good share batches.
    let mut written = BTreeMap::new();
    let mut bad: BTreeMap<(u16, u64), (&str, Vec<u8>)> = BTreeMap::new();
    let unusable = unusable(&story.events[0]);
    let mut refused = Vec::new();
    for (position, event) in story.events.iter().enumerate() {
        let mut event = event.clone();
        let outbound = record(&event, &topic);
        if position % 40 == 7 {
            event.data.evidence.sequence = Some(REFUSED);
            let outbound = record(&event, &topic);
            let at = scene.send(&outbound).await;
            refused.push(event.id.0);
            bad.insert(at, ("refused_by_table", outbound.payload));
            continue;
        }
        if position % 60 == 9 {
            let (code, payload) = unusable[position / 60 % unusable.len()].clone();
            let at = scene
                .send(&OutboundRecord {
                    payload: payload.clone(),
                    ..outbound.clone()
                })
                .await;
            bad.insert(at, (code, payload));
        }
        let (partition, offset) = scene.send(&outbound).await;
        written.insert((i32::from(partition), offset.cast_signed()), Some(event.id.0));
    }
    let mut everything = written.clone();
    everything.extend(
        bad.keys()
            .map(|(partition, offset)| ((i32::from(*partition), offset.cast_signed()), None)),
    );

    let mut voice = scene.start("analytics");
    scene.settles(&everything, PATIENCE).await;
    voice.must_run();
    // The neighbours are stored, once each.
    let good: BTreeMap<Uuid, u64> = written.values().flatten().map(|event| (*event, 1)).collect();
    assert_eq!(scene.copies().await, good);
    // The others are noted under their offsets, and kept with their bytes.
    let noted: Vec<Dead> = bad
        .iter()
        .map(|((partition, offset), (code, _))| Dead {
            partition: *partition,
            offset: *offset,
            code: (*code).to_owned(),
        })
        .collect();
    assert_same("dead letters in the table", &scene.noted().await, &noted);
    let letters = scene.dead_letters().await;
    assert_eq!(letters.len(), bad.len());
    for kept in &letters {
        let Origin::Record {
            topic: from,
            partition,
            offset,
        } = &kept.letter.origin
        else {
            panic!("{kept:?}")
        };
        let (code, payload) = &bad[&(u16::try_from(*partition).unwrap(), offset.cast_unsigned())];
        assert_eq!((from, &*kept.letter.code), (&topic, *code));
        assert!(
            kept.letter.payload == *payload,
            "the bytes of {partition}@{offset} were changed"
        );
    }
    let scope = Scope {
        tenant: None,
        silent_for_seconds: 3_600,
    };
    let total = audit::run(&scene.kafka, &scene.clickhouse, scope)
        .await
        .unwrap()
        .total();
    assert_eq!((total.gaps, total.duplicates, total.lag), (0, 0, 0), "{total:?}");
    assert_eq!(total.dead_letters, bad.len() as u64);

    // What an operator sees.
    let shown = scene.operator(&["dead-letters", "list"]).await;
    assert!(shown.contains(&format!("{} dead letters", bad.len())), "{shown}");
    for (code, _) in bad.values() {
        assert!(shown.contains(code), "{code} is missing in {shown}");
    }
    let shown = scene
        .operator(&["dead-letters", "list", "--code", "refused_by_table"])
        .await;
    assert!(
        shown.contains(&format!("{} dead letters", refused.len())),
        "{shown}"
    );

    // What an operator can do about it: the table is mended, the rows come back, once.
    let mend = "ALTER TABLE call_events DROP CONSTRAINT test";
    scene
        .clickhouse
        .execute("dropping the constraint", mend, |query| query)
        .await
        .unwrap();
    scene
        .operator(&["dead-letters", "replay", "--code", "refused_by_table"])
        .await;
    let all: BTreeMap<Uuid, u64> = good
        .into_iter()
        .chain(refused.iter().map(|event| (*event, 1)))
        .collect();
    support::eventually("the refused rows are stored", PATIENCE, async || {
        scene.copies().await == all
    })
    .await;
    let mut total = audit::run(&scene.kafka, &scene.clickhouse, scope)
        .await
        .unwrap()
        .total();
    support::eventually("the sink commits them", PATIENCE, async || {
        total = audit::run(&scene.kafka, &scene.clickhouse, scope)
            .await
            .unwrap()
            .total();
        total.lag == 0
    })
    .await;
    assert_eq!((total.gaps, total.duplicates), (0, 0), "{total:?}");
    assert_same("calls", &scene.calls().await, &fold(&story.events));
    voice.terminate().await;
}
