//! The sink on real Kafka and ClickHouse: what it recovers, what it repairs, what it refuses.
#![allow(clippy::disallowed_methods)] // Tests read the clock.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A broken set-up ends a test here.

mod support;

use std::time::Duration;

use chrono::TimeDelta;
use support::{Scene, an_hour_ago, conversation, hasty};
use voice_analytics::{
    rollups::{RollupConfig, Rollups},
    sink::{GROUP, SinkConfig},
};
use voice_kafka::{OutboundRecord, admin::Admin};
use voice_schemas::{events::call::CallEvent, topics};
use voice_telemetry::Metrics;

const FINGERPRINT: &str = "SELECT sum(cityHash64(tenant_id, campaign_id, call_id, hour, shard, direction, carrier, \
     first_at, last_at, answered_at, bridged_at, agent_kind, amd, ending, received_at)) AS number FROM calls FINAL";

fn shift(scene: &Scene, calls: u32) -> Vec<CallEvent> {
    (0..calls)
        .flat_map(|number| {
            conversation(
                scene.tenant,
                number,
                an_hour_ago() + TimeDelta::seconds(i64::from(number) * 2),
            )
        })
        .collect()
}

async fn rolled_up(scene: &Scene) {
    let config = RollupConfig::default();
    Rollups::new(scene.clickhouse.clone(), config, Metrics::empty())
        .round()
        .await
        .unwrap();
}

/// Offsets that were set back by hand find every row in place.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_starts_over_doubles_nothing() {
    let scene = Scene::new("starts_over").await;
    scene.produce(&shift(&scene, 300)).await;
    scene.drain(hasty()).await;
    let before = scene.number(FINGERPRINT).await;

    Admin::new(&scene.kafka)
        .unwrap()
        .forget_group(GROUP)
        .await
        .unwrap();
    assert_eq!(scene.audit().await.total().lag, 1_500);
    scene.drain(hasty()).await;

    let audit = scene.audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!((audit.total().rows, audit.calls), (1_500, 300));
    assert_eq!(scene.number(FINGERPRINT).await, before);
    scene.clear().await;
}

/// Rows that a store lost are written again, and only those; calls are derived from what is there.
#[tokio::test(flavor = "multi_thread")]
async fn rows_and_calls_that_a_store_lost_are_repaired_and_nothing_else_is() {
    let scene = Scene::new("repair").await;
    scene.produce(&shift(&scene, 300)).await;
    scene.drain(hasty()).await;
    let before = scene.number(FINGERPRINT).await;

    scene
        .execute("ALTER TABLE call_events DELETE WHERE _offset % 7 = 0 SETTINGS mutations_sync = 2")
        .await;
    scene.execute("TRUNCATE TABLE calls").await;
    assert!(scene.audit().await.total().gaps > 0);
    Admin::new(&scene.kafka)
        .unwrap()
        .forget_group(GROUP)
        .await
        .unwrap();
    // Deleted rows leave their tokens behind, so tokens of the same name would be ignored.
    scene
        .drain(SinkConfig {
            token_epoch: 1,
            ..hasty()
        })
        .await;

    let audit = scene.audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(
        scene.number(FINGERPRINT).await,
        before,
        "the statement that derives calls has drifted from the view"
    );
    scene.clear().await;
}

/// A record that is no event, one the table refuses, and one from a broken clock.
#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_the_dead_letters_and_their_neighbours_into_the_table() {
    let scene = Scene::new("poison").await;
    scene
        .execute("ALTER TABLE call_events ADD CONSTRAINT no_poison CHECK carrier_call_id != 'v3:13'")
        .await;
    let mut events = shift(&scene, 60);
    events[0].time = an_hour_ago() - TimeDelta::days(31);
    let last = events.len() - 1;
    events[last].time = an_hour_ago() + TimeDelta::days(2);
    scene.produce(&events).await;
    let nonsense = OutboundRecord {
        topic: scene.kafka.topic(&topics::CALLS),
        key: b"x".to_vec(),
        payload: b"{\"type\": \"call.teleported\"".to_vec(),
        headers: Vec::new(),
    };
    scene.producer.send(&nonsense).await.unwrap();
    scene.drain(hasty()).await;

    let audit = scene.audit().await;
    let total = audit.total();
    assert_eq!((total.duplicates, total.gaps, total.lag), (0, 0, 0), "{audit:?}");
    assert_eq!((total.rows, total.dead_letters), (60 * 5 - 2 - 5, 2 + 5 + 1));
    let kafka = scene.kafka.clone();
    let mut codes = tokio::task::spawn_blocking(move || {
        let mut codes = Vec::new();
        voice_kafka::dead_letters::for_each(&kafka, |kept| {
            assert!(!kept.letter.payload.is_empty(), "the bytes are kept");
            codes.push(kept.letter.code);
        })
        .unwrap();
        codes
    })
    .await
    .unwrap();
    codes.sort();
    let expected: Vec<&str> = ["malformed"]
        .into_iter()
        .chain(["refused_by_table"; 5])
        .chain(["time_out_of_range"; 2])
        .collect();
    assert_eq!(codes, expected);
    scene.clear().await;
}

/// AGG-01: what is counted is what the calls say, however often, late and out of order they were told.
#[tokio::test(flavor = "multi_thread")]
async fn roll_ups_agree_with_the_calls_after_late_repeated_and_reordered_events() {
    let scene = Scene::new("rollups").await;
    let events = shift(&scene, 400);
    // The first event of every call comes last, so that its start moves to an earlier minute.
    let (first, rest): (Vec<CallEvent>, Vec<CallEvent>) = events
        .iter()
        .cloned()
        .partition(|event| event.kind == voice_schemas::EventType::CallInitiated);
    scene.produce(&rest).await;
    scene.drain(hasty()).await;
    rolled_up(&scene).await;
    scene.produce(&first).await;
    scene.produce(&rest[..500]).await;
    scene.drain(hasty()).await;
    rolled_up(&scene).await;

    assert_eq!(scene.audit().await.calls, 400);
    for (table, truncate) in [
        ("kpi_1m FINAL", "toStartOfMinute"),
        ("kpi_15m", "toStartOfFifteenMinutes"),
    ] {
        let differing = format!(
            "WITH counted AS (SELECT bucket, campaign_id, sum(calls) AS c, sum(bridged) AS b, sum(talk_ms) AS t, sum(wait_ms) AS w \
                 FROM {table} GROUP BY bucket, campaign_id HAVING c > 0), \
             told AS (SELECT {truncate}(toDateTime(started_at, 'UTC')) AS bucket, campaign_id, toUInt64(count()) AS c, \
                 toUInt64(countIf(bridged)) AS b, sum(toUInt64(talk_ms)) AS t, sum(toUInt64(wait_ms)) AS w FROM calls_final \
                 GROUP BY bucket, campaign_id) \
             SELECT assumeNotNull((SELECT count() FROM (SELECT * FROM counted EXCEPT SELECT * FROM told))) \
                 + assumeNotNull((SELECT count() FROM (SELECT * FROM told EXCEPT SELECT * FROM counted))) AS number"
        );
        assert_eq!(scene.number(&differing).await, 0, "{table}");
        assert_eq!(
            scene
                .number(&format!("SELECT sum(calls) AS number FROM {table}"))
                .await,
            400
        );
    }
    // Talk time is known: 0 to 99 s, four times.
    assert_eq!(
        scene.number("SELECT sum(talk_ms) AS number FROM kpi_15m").await,
        4 * 4_950_000
    );
    scene.clear().await;
}

/// A terminal event told twice, once by the watchdog, is one end with the carrier's content.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_one_end_and_the_carriers_word_wins_over_the_watchdogs() {
    let scene = Scene::new("one_end").await;
    let events = conversation(scene.tenant, 7, an_hour_ago());
    let carrier = events.last().unwrap();
    let mut watchdog = carrier.clone();
    if let Some(ending) = watchdog.data.ending.as_mut() {
        ending.reconciled = true;
        ending.cause = "lookup".to_owned();
    }
    watchdog.time += TimeDelta::seconds(30);
    assert_eq!(watchdog.id, carrier.id);
    let mut told = events.clone();
    told.insert(2, watchdog);
    scene.produce(&told).await;
    scene.drain(hasty()).await;

    let audit = scene.audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.calls, 1);
    let carriers_word =
        "SELECT count() AS number FROM calls_final WHERE cause = 'normal_clearing' AND NOT reconciled";
    assert_eq!(scene.number(carriers_word).await, 1);
    scene.clear().await;
}

/// The marts answer, with a comment on every column (BI tools show them).
#[tokio::test(flavor = "multi_thread")]
async fn every_mart_answers_and_says_what_its_columns_mean() {
    let scene = Scene::new("marts").await;
    scene.produce(&shift(&scene, 20)).await;
    scene.drain(hasty()).await;
    rolled_up(&scene).await;
    let of_calls = |mart: &&&str| !mart.starts_with("mart_media_");
    for mart in voice_schemas::tables::MARTS.iter().filter(of_calls) {
        assert!(
            scene
                .number(&format!("SELECT count() AS number FROM {mart}"))
                .await
                > 0,
            "{mart} is empty"
        );
        let silent = format!(
            "SELECT count() AS number FROM system.columns WHERE database = currentDatabase() AND table = '{mart}' \
             AND (comment = '' OR match(type, 'UInt64|Enum|Map|AggregateFunction'))"
        );
        assert_eq!(scene.number(&silent).await, 0, "{mart}");
    }
    assert_eq!(
        scene
            .number("SELECT toUInt64(sum(calls)) AS number FROM mart_kpi_15m")
            .await,
        20
    );
    scene.clear().await;
}

/// The watchdog asks the carrier about a silent call and writes its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_was_lost_gets_it_from_the_watchdog() {
    use std::{collections::HashMap, sync::Arc};
    use tokio_util::sync::CancellationToken;
    use voice_analytics::watchdog::{CarrierMap, Watchdog, WatchdogConfig};
    use voice_schemas::events::call::Carrier;

    let scene = Scene::new("watchdog").await;
    let mut events = conversation(scene.tenant, 3, an_hour_ago());
    events.pop();
    scene.produce(&events).await;
    scene.drain(hasty()).await;
    assert_eq!(scene.audit().await.calls_without_end, 1);

    let client: Arc<dyn voice_telephony::CarrierClient> = Arc::new(support_carrier::Over);
    let watchdog = Watchdog {
        config: WatchdogConfig {
            interval_ms: 50,
            ..WatchdogConfig::default()
        },
        clickhouse: scene.clickhouse.clone(),
        carriers: Arc::new(CarrierMap(HashMap::from([(
            (scene.tenant, Carrier::Telnyx),
            client,
        )]))),
        producer: scene.producer.clone(),
        kafka: scene.kafka.clone(),
        clock: voice_lifecycle::SystemClock::shared(),
        metrics: Metrics::empty(),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(watchdog.run(stop.clone()));
    tokio::time::timeout(Duration::from_secs(20), async {
        while scene.audit().await.calls_without_end > 0 {
            scene.drain(hasty()).await;
        }
    })
    .await
    .unwrap();
    stop.cancel();
    running.await.unwrap();

    let audit = scene.audit().await;
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.total().rows, 5, "asked once, told once");
    assert_eq!(
        scene
            .number("SELECT count() AS number FROM calls_final WHERE reconciled AND outcome = 'completed'")
            .await,
        1
    );
    scene.clear().await;
}

mod support_carrier {
    //! A carrier that says every call is over.

    use voice_schemas::events::call::{CallOutcome, Carrier, Ending, HangupBy};
    use voice_telephony::{
        Answered, CallSnapshot, CallState, CarrierClient, CarrierError, CarrierFuture, Instruction,
        OriginateRequest, Originated, SealedContext,
    };

    #[derive(Debug)]
    pub struct Over;

    impl CarrierClient for Over {
        fn carrier(&self) -> Carrier {
            Carrier::Telnyx
        }

        fn originate<'a>(&'a self, _: &'a OriginateRequest) -> CarrierFuture<'a, Originated> {
            Box::pin(async { Err(CarrierError::NotFound) })
        }

        fn hangup<'a>(&'a self, _: &'a str) -> CarrierFuture<'a, ()> {
            Box::pin(async { Ok(()) })
        }

        fn lookup<'a>(&'a self, _: &'a str) -> CarrierFuture<'a, CallSnapshot> {
            let ending = Ending {
                outcome: CallOutcome::Completed,
                hangup_by: HangupBy::Unknown,
                cause: "lookup".to_owned(),
                sip_code: None,
                duration_ms: None,
                reconciled: true,
            };
            let snapshot = CallSnapshot {
                state: CallState::Ended,
                ending: Some(ending),
                answered_by: None,
                started_at: None,
                ended_at: None,
            };
            Box::pin(async { Ok(snapshot) })
        }

        fn answer<'a>(&'a self, _: &'a str, _: &'a [Instruction]) -> CarrierFuture<'a, Answered> {
            Box::pin(async { Ok(Answered::default()) })
        }

        fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
            Box::pin(async { Ok(()) })
        }
    }
}
