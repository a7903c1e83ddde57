//! Whole campaigns on the real Postgres and Kafka, through carriers of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use support::{Fate, Stage, now};
use voice_dialer::{Config, campaigns::Mode, shards};
use voice_schemas::{EventType, topics};

const FINISHED: &str = "SELECT status = 'completed' FROM app.campaigns WHERE id = $1";

fn quick() -> Config {
    Config {
        tick_ms: 20,
        silence_ms: 60_000,
        reconcile_ms: 200,
        ..Config::default()
    }
}

/// CAM-03
#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_dialled_to_its_end_through_both_carriers_and_every_attempt_ends_once() {
    let stage = Stage::new("dial").await;
    let contacts = stage.contacts(60).await;
    for (position, fate) in [Fate::Person, Fate::Person, Fate::Person].into_iter().enumerate() {
        for (_, fake) in stage.accounts.values() {
            for number in (0..60).filter(|number| number % 4 == position) {
                fake.fate(&format!("+420600{number:06}"), fate);
            }
        }
    }
    // The last quarter is refused for good by the retry policy below: busy, and not tried again soon.
    stage.everybody(Fate::Busy);
    let campaign = stage.campaign(|new| new.mode = Mode::Progressive).await;
    let agents = stage.agents(campaign, 8).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "everybody was called once",
            "SELECT count(*) = 60 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
            campaign,
        )
        .await;
    stage
        .until(
            "agents are free again",
            "SELECT count(*) = 8 FROM app.agent_states WHERE campaign_id = $1 AND status = 'available'",
            campaign,
        )
        .await;
    dialer.stop().await;

    let outcomes = stage
        .counts(
            "SELECT class, count(*) FROM app.attempts WHERE campaign_id = $1 GROUP BY 1",
            campaign,
        )
        .await;
    assert_eq!(
        outcomes,
        BTreeMap::from([("busy".to_owned(), 15), ("reached".to_owned(), 45)])
    );
    let states = stage
        .counts(
            "SELECT state, count(*) FROM app.campaign_contacts WHERE campaign_id = $1 GROUP BY 1",
            campaign,
        )
        .await;
    assert_eq!(
        states,
        BTreeMap::from([("completed".to_owned(), 45), ("ready".to_owned(), 15)])
    );
    let dialled = stage.dialled();
    let distinct: BTreeSet<_> = dialled.iter().collect();
    assert_eq!((dialled.len(), distinct.len()), (contacts.len(), contacts.len()));
    for (_, fake) in stage.accounts.values() {
        assert!(!fake.dialled().is_empty(), "both carriers were used");
    }
    assert_eq!(agents.len(), 8);

    // One terminal event of each attempt on the topic, with the outcome that stands in Postgres.
    let finished = attempt_events(&stage, EventType::AttemptFinished).await;
    let announced = attempt_events(&stage, EventType::AttemptDialled).await;
    assert_eq!(finished.len(), 60);
    assert_eq!(announced.len(), 60);
    let busy = finished
        .values()
        .filter(|outcome| outcome.as_deref() == Some("busy"))
        .count();
    assert_eq!(busy, 15);
}

/// T4
#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_nothing_dials_however_often_anything_ticks() {
    let stage = Stage::new("pause").await;
    stage.contacts(400).await;
    stage.everybody(Fate::Busy);
    let campaign = stage.campaign(|_| {}).await;
    stage.agents(campaign, 3).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "it dials",
            "SELECT count(*) > 20 FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    voice_dialer::start::pause(&mut tx, campaign, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let paused_at = now();
    stage
        .until(
            "calls under way end",
            "SELECT count(*) = 0 FROM app.attempts WHERE campaign_id = $1 AND state <> 'finished'",
            campaign,
        )
        .await;
    let dialled = stage.dialled().len();
    // A hundred ticks.
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert_eq!(stage.dialled().len(), dialled);
    let mut tx = stage.tx().await;
    let late: i64 =
        sqlx::query_scalar("SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND claimed_at > $2")
            .bind(campaign.0)
            .bind(paused_at)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    drop(tx);
    assert_eq!(late, 0, "nothing was claimed after the pause was committed");
    let status = stage
        .count(
            "SELECT count(*) FROM app.campaigns WHERE id = $1 AND status = 'paused'",
            campaign,
        )
        .await;
    assert_eq!(status, 1);
    // A person starts it again, and it goes on.
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    voice_dialer::start::start(&mut tx, &support::Open, campaign, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    stage
        .until(
            "it goes on",
            "SELECT count(*) = 400 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
            campaign,
        )
        .await;
    dialer.stop().await;
    let dialled = stage.dialled();
    assert_eq!(dialled.len(), dialled.iter().collect::<BTreeSet<_>>().len());
}

/// The kill switch of a tenant, thrown while a campaign dials as fast as it may: a second later no carrier is asked any
/// more, and what was committed and not asked for is withheld.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_after_the_kill_switch_no_carrier_is_asked_any_more() {
    let stage = Stage::new("kill").await;
    stage.contacts(2_000).await;
    stage.everybody(Fate::Busy);
    let campaign = stage.campaign(|_| {}).await;
    stage.agents(campaign, 5).await;
    // The tick an operator gets by default.
    let dialer = stage.dialer(Config::default());
    stage
        .until(
            "it dials",
            "SELECT count(*) > 30 FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    let thrown = tokio::time::Instant::now();
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    voice_dialer::campaigns::stop_dialling(&mut tx, "test", now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    tokio::time::sleep_until(thrown + Duration::from_secs(1)).await;
    let dialled = stage.dialled().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.dialled().len(), dialled);
    stage
        .until(
            "what was under way ends",
            "SELECT count(*) = 0 FROM app.attempts WHERE campaign_id = $1 AND state <> 'finished'",
            campaign,
        )
        .await;
    dialer.stop().await;
    assert!(dialled < 2_000, "it was thrown in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_is_never_repeated_and_its_attempt_ends_by_what_is_heard() {
    let stage = Stage::new("unknown").await;
    stage.contacts(40).await;
    // Fewer failures than open the breaker of either account.
    for (_, fake) in stage.accounts.values() {
        for (number, fate) in [
            (3, Fate::Unanswered),
            (11, Fate::Unanswered),
            (19, Fate::Lost),
            (27, Fate::Lost),
        ] {
            fake.fate(&format!("+420600{number:06}"), fate);
        }
    }
    stage.everybody(Fate::Busy);
    let campaign = stage.campaign(|new| new.ring_seconds = 15).await;
    stage.agents(campaign, 8).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "those that had dialled end by their own events",
            "SELECT count(*) FILTER (WHERE outcome = 'busy') = 38 AND count(*) FILTER (WHERE state = 'unknown') = 2
             FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    dialer.stop().await;
    let dialled = stage.dialled();
    assert_eq!(dialled.len(), 40);
    assert_eq!(dialled.iter().collect::<BTreeSet<_>>().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account_rests_and_a_refused_try_counts_for_nothing() {
    let stage = Stage::new("throttle").await;
    stage.contacts(10).await;
    stage.everybody(Fate::Throttled);
    let campaign = stage.campaign(|_| {}).await;
    stage.agents(campaign, 10).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "the carrier refuses",
            "SELECT count(*) >= 2 FROM app.attempts WHERE campaign_id = $1 AND outcome = 'carrier_error'",
            campaign,
        )
        .await;
    let counted = stage
        .count(
            "SELECT count(*) FROM app.campaign_contacts WHERE campaign_id = $1 AND tries <> '{}'",
            campaign,
        )
        .await;
    assert_eq!(counted, 0);
    stage.everybody(Fate::Person);
    stage.until("it is dialled after all", FINISHED, campaign).await;
    dialer.stop().await;
    let left = stage
        .count(
            "SELECT count(*) FROM app.dial_ledger WHERE cardinality(dials) <> 1 AND $1::uuid IS NOT NULL",
            campaign,
        )
        .await;
    assert_eq!(left, 0, "only the call that was made stands in the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn ai_agents_call_only_those_who_agreed_and_never_more_at_once_than_they_can_take() {
    let stage = Stage::new("ai").await;
    stage.contacts(60).await;
    stage.everybody(Fate::Person);
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'ai_processing', 'granted', '2026-01-01T00:00:00Z'
         FROM app.contact_phones WHERE e164 < '+420600000030'",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let agent = stage.ai_agent().await;
    let campaign = stage
        .campaign(|new| {
            new.mode = Mode::Agentless;
            new.max_concurrent = 5;
            new.ai_agent = Some(agent);
        })
        .await;
    let dialer = stage.dialer(quick());
    let mut most = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND class = 'reached'",
            campaign,
        )
        .await
        < 30
    {
        most = most.max(stage.accounts.values().map(|(_, fake)| fake.alive()).sum());
        assert!(
            tokio::time::Instant::now() < deadline,
            "thirty people are reached"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage
        .until(
            "the others were looked at",
            "SELECT count(*) = 30 FROM app.campaign_contacts
             WHERE campaign_id = $1 AND 'no_consent_ai' = ANY (last_reasons)",
            campaign,
        )
        .await;
    dialer.stop().await;
    assert!((1..=5).contains(&most), "{most} calls at once");
    assert_eq!(stage.dialled().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dialers_share_campaigns_and_hand_them_over_without_a_call_twice_or_lost() {
    let stage = Stage::new("rebalance").await;
    stage.contacts(150).await;
    stage.everybody(Fate::Busy);
    let mut campaigns = Vec::new();
    for _ in 0..4 {
        let campaign = stage.campaign(|_| {}).await;
        stage.agents(campaign, 4).await;
        campaigns.push(campaign);
    }
    let first = stage.dialer(quick());
    stage
        .until(
            "the first dials",
            "SELECT count(*) > 20 FROM app.attempts WHERE campaign_id = $1",
            campaigns[0],
        )
        .await;
    let second = stage.dialer(quick());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    first.stop().await;
    for campaign in &campaigns {
        stage
            .until(
                "everybody was called once",
                "SELECT count(*) = 150 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
                *campaign,
            )
            .await;
    }
    second.stop().await;
    let dialled = stage.dialled();
    assert_eq!(dialled.len(), 600);
    assert_eq!(dialled.iter().collect::<BTreeSet<_>>().len(), 600);
    assert_eq!(
        attempt_events(&stage, EventType::AttemptFinished).await.len(),
        600
    );
}

/// Ownership of a shard follows from where its records go: both sides must agree on that.
#[tokio::test(flavor = "multi_thread")]
async fn the_producer_puts_the_records_of_a_shard_where_its_owner_looks_for_them() {
    let stage = Stage::new("keys").await;
    for shard in 0..40 {
        let campaign = voice_schemas::CampaignId::random();
        let record = voice_kafka::OutboundRecord {
            topic: stage.kafka.topic(&topics::CALLS),
            key: shards::key(campaign, shard).into_bytes(),
            payload: b"{}".to_vec(),
            headers: Vec::new(),
        };
        let delivery = stage.producer.send(&record).await.unwrap();
        assert_eq!(delivery.partition, shards::partition(campaign, shard, 4));
    }
}

/// Outcomes of the events of a type about attempts on the topic, by event id.
async fn attempt_events(stage: &Stage, kind: EventType) -> BTreeMap<String, Option<String>> {
    let topic = stage.kafka.topic(&topics::CALLS);
    let marks = voice_kafka::admin::Admin::new(&stage.kafka)
        .unwrap()
        .watermarks(&topic)
        .unwrap();
    let wanted: i64 = marks.values().map(|marks| marks.high - marks.low).sum();
    let (sender, mut payloads) = tokio::sync::mpsc::channel(1_024);
    let stop = tokio_util::sync::CancellationToken::new();
    let (kafka, stopped) = (stage.kafka.clone(), stop.clone());
    let group = format!("reader-{:08x}", fastrand::u32(..));
    let reading = tokio::spawn(async move {
        let worker =
            move |mut partition: voice_kafka::consumer::Partition| -> voice_kafka::consumer::WorkerFuture {
                let sender = sender.clone();
                Box::pin(async move {
                    while let Some(chunk) = partition.recv().await {
                        for record in chunk.records() {
                            let _gone = sender.send(record.payload.unwrap_or_default().to_vec()).await;
                        }
                    }
                    Ok(())
                })
            };
        voice_kafka::consumer::run(&kafka, &group, &[&topic], worker, stopped).await
    });
    let mut events = BTreeMap::new();
    for _ in 0..wanted {
        let payload = tokio::time::timeout(Duration::from_secs(20), payloads.recv())
            .await
            .expect("every record of the topic is read")
            .unwrap();
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        if event["type"] == kind.as_str() {
            let outcome = event["data"]["outcome"].as_str().map(str::to_owned);
            events.insert(event["id"].as_str().unwrap().to_owned(), outcome);
        }
    }
    stop.cancel();
    reading.await.unwrap().unwrap();
    events
}
