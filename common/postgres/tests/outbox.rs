//! What is committed reaches the broker, in order within a key, however relays and brokers fail.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::tenant;
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use voice_postgres::{
    Database, Role,
    outbox::{OutboundRecord, OutboxRecord, Publish, PublishError, Relay, RelayConfig, enqueue},
    testing::TestDatabase,
};
use voice_schemas::TenantId;
use voice_telemetry::Metrics;

const PATIENCE: Duration = Duration::from_secs(20);
/// So long that a test which depended on it would not end.
const NEVER_TICKS: RelayConfig = RelayConfig {
    batch_rows: 1_000,
    batch_buckets: 64,
    publish_timeout_ms: 30_000,
    tick_ms: 3_600_000,
    backoff_ms: 1,
};

fn record(key: &str, number: usize) -> OutboxRecord {
    OutboxRecord {
        topic: "reports.events",
        key: key.to_owned(),
        kind: "report.completed".to_owned(),
        // Spaces and order of fields must come out as they went in.
        payload: Some(RawValue::from_string(format!(r#"{{"z": {number},  "a":1}}"#)).unwrap()),
        headers: BTreeMap::from([("h".to_owned(), "v".to_owned())]),
    }
}

fn number(record: &OutboundRecord) -> usize {
    let value: serde_json::Value = serde_json::from_slice(record.payload.as_ref().unwrap()).unwrap();
    usize::try_from(value["z"].as_u64().unwrap()).unwrap()
}

async fn put(api: &Database, tenant: TenantId, key: &str, number: usize) {
    let mut tx = api.tenant(tenant).await.unwrap();
    enqueue(&mut tx, &record(key, number)).await.unwrap();
    tx.commit().await.unwrap();
}

/// A broker that keeps what it gets and answers from a script, then always well.
#[derive(Default)]
struct Broker {
    script: Mutex<Vec<PublishError>>,
    taken: Mutex<Vec<OutboundRecord>>,
}

impl Broker {
    fn failing(script: Vec<PublishError>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script),
            ..Self::default()
        })
    }

    fn numbers(&self) -> Vec<usize> {
        self.taken.lock().unwrap().iter().map(number).collect()
    }
}

struct Handle(Arc<Broker>, mpsc::Sender<usize>);

impl Publish for Handle {
    async fn publish(&self, records: Vec<OutboundRecord>) -> Result<(), PublishError> {
        let scripted = {
            let mut script = self.0.script.lock().unwrap();
            if script.is_empty() {
                None
            } else {
                Some(script.remove(0))
            }
        };
        if let Some(error) = scripted {
            return Err(error);
        }
        let numbers: Vec<usize> = records.iter().map(number).collect();
        self.0.taken.lock().unwrap().extend(records);
        for number in numbers {
            self.1.send(number).await.unwrap();
        }
        Ok(())
    }
}

fn relay(database: &Database, broker: &Arc<Broker>) -> (Relay<Handle>, mpsc::Receiver<usize>) {
    let (sender, receiver) = mpsc::channel(10_000);
    (
        Relay::new(
            database.clone(),
            Handle(broker.clone(), sender),
            NEVER_TICKS,
            Metrics::empty(),
        ),
        receiver,
    )
}

async fn rows(relay: &Relay<Handle>) -> u64 {
    relay.lag().await.unwrap().1
}

#[tokio::test]
async fn a_record_goes_out_as_it_came_in_and_leaves_no_row() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    put(&database.connect(Role::Api).await, a, "k", 1).await;
    let broker = Arc::new(Broker::default());
    let (relay, _receiver) = relay(&database.connect(Role::Relay).await, &broker);
    assert_eq!(rows(&relay).await, 1);
    relay.drain().await.unwrap();
    assert_eq!(rows(&relay).await, 0);
    let taken = broker.taken.lock().unwrap().clone();
    assert_eq!(
        taken,
        [OutboundRecord {
            tenant: a,
            topic: "reports.events".to_owned(),
            key: "k".to_owned(),
            kind: "report.completed".to_owned(),
            payload: Some(br#"{"z": 1,  "a":1}"#.to_vec()),
            headers: BTreeMap::from([("h".to_owned(), "v".to_owned())]),
        }]
    );
}

#[tokio::test]
async fn a_rolled_back_change_sends_nothing() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    let mut tx = api.tenant(a).await.unwrap();
    enqueue(&mut tx, &record("k", 1)).await.unwrap();
    tx.rollback().await.unwrap();
    let broker = Arc::new(Broker::default());
    let (relay, _receiver) = relay(&database.connect(Role::Relay).await, &broker);
    relay.drain().await.unwrap();
    assert_eq!(broker.numbers(), Vec::<usize>::new());
}

#[tokio::test]
async fn two_relays_at_once_keep_the_order_of_every_key_and_double_nothing() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    let broker = Arc::new(Broker::default());
    let stop = CancellationToken::new();
    let mut receivers = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (sender, receiver) = mpsc::channel(10_000);
        let config = RelayConfig {
            batch_rows: 7,
            batch_buckets: 2,
            ..NEVER_TICKS
        };
        let relay = Relay::new(
            database.connect(Role::Relay).await,
            Handle(broker.clone(), sender),
            config,
            Metrics::empty(),
        );
        let stop = stop.clone();
        receivers.push(receiver);
        tasks.push(tokio::spawn(async move { relay.run(stop).await }));
    }
    // Written while they work.
    for number in 0..400 {
        put(&api, a, &format!("key-{}", number % 20), number).await;
    }
    let (mut first, mut second) = (receivers.remove(0), receivers.remove(0));
    for _ in 0..400 {
        timeout(PATIENCE, async {
            tokio::select! { n = first.recv() => n, n = second.recv() => n }
        })
        .await
        .expect("all records arrive");
    }
    stop.cancel();
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    let taken = broker.taken.lock().unwrap();
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for record in taken.iter() {
        by_key.entry(&record.key).or_default().push(number(record));
    }
    assert_eq!(taken.len(), 400);
    assert_eq!(by_key.len(), 20);
    for (key, numbers) in by_key {
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 20, "{key}");
    }
}

/// A broker that says it has begun and then waits to be let go.
struct Stuck {
    begun: mpsc::Sender<Vec<String>>,
    go: Arc<Notify>,
}

impl Publish for Stuck {
    async fn publish(&self, records: Vec<OutboundRecord>) -> Result<(), PublishError> {
        self.begun
            .send(records.into_iter().map(|record| record.key).collect())
            .await
            .unwrap();
        self.go.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn a_relay_that_waits_for_its_broker_holds_up_only_its_own_keys() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    for number in 0..40 {
        put(&api, a, &format!("key-{number}"), number).await;
    }
    let (begun, mut begins) = mpsc::channel(8);
    let go = Arc::new(Notify::new());
    let config = RelayConfig {
        batch_buckets: 1,
        ..NEVER_TICKS
    };
    let slow = Arc::new(Relay::new(
        database.connect(Role::Relay).await,
        Stuck {
            begun,
            go: go.clone(),
        },
        config,
        Metrics::empty(),
    ));
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (slow, stop) = (slow.clone(), stop.clone());
        async move { slow.run(stop).await }
    });
    let held: BTreeSet<String> = timeout(PATIENCE, begins.recv())
        .await
        .unwrap()
        .unwrap()
        .into_iter()
        .collect();

    let broker = Arc::new(Broker::default());
    let (other, _receiver) = relay(&database.connect(Role::Relay).await, &broker);
    other.drain().await.unwrap();
    let others: BTreeSet<String> = broker
        .taken
        .lock()
        .unwrap()
        .iter()
        .map(|record| record.key.clone())
        .collect();
    assert!(!held.is_empty() && !others.is_empty());
    assert!(held.is_disjoint(&others));
    assert_eq!(held.len() + others.len(), 40);
    assert_eq!(rows(&other).await, held.len() as u64);

    stop.cancel();
    go.notify_one();
    timeout(PATIENCE, task)
        .await
        .expect("a stopped relay finishes its batch")
        .unwrap();
    assert_eq!(rows(&other).await, 0);
}

#[tokio::test]
async fn a_relay_killed_between_acknowledgement_and_delete_sends_the_same_event_again() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    put(&database.connect(Role::Api).await, a, "k", 1).await;
    let (begun, mut begins) = mpsc::channel(8);
    let killed = Relay::new(
        database.connect(Role::Relay).await,
        Stuck {
            begun,
            go: Arc::default(),
        },
        NEVER_TICKS,
        Metrics::empty(),
    );
    let task = tokio::spawn(async move { killed.run(CancellationToken::new()).await });
    timeout(PATIENCE, begins.recv()).await.unwrap().unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    let broker = Arc::new(Broker::default());
    let (next, mut receiver) = relay(&database.connect(Role::Relay).await, &broker);
    // The server frees the bucket when it notices the death; until then there is nothing to take.
    timeout(PATIENCE, async {
        while broker.numbers().is_empty() {
            next.drain().await.unwrap();
        }
    })
    .await
    .expect("the bucket becomes free");
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(rows(&next).await, 0);
}

#[tokio::test]
async fn a_broker_that_fails_loses_nothing_and_changes_no_order() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    for number in 0..10 {
        put(&api, a, "k", number).await;
    }
    let down = PublishError::Unavailable("down".to_owned());
    let broker = Broker::failing(vec![down.clone(), down.clone(), down]);
    let (relay, mut receiver) = relay(&database.connect(Role::Relay).await, &broker);
    relay.drain().await.unwrap();
    assert_eq!((rows(&relay).await, broker.numbers().len()), (10, 0));

    let relay = Arc::new(relay);
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (relay, stop) = (relay.clone(), stop.clone());
        async move { relay.run(stop).await }
    });
    for expected in 0..10 {
        assert_eq!(timeout(PATIENCE, receiver.recv()).await.unwrap(), Some(expected));
    }
    stop.cancel();
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(rows(&relay).await, 0);
}

#[tokio::test]
async fn a_record_the_broker_refuses_is_parked_and_blocks_nobody() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    for number in 0..5 {
        put(&api, a, "k", number).await;
    }
    let broker = Broker::failing(vec![PublishError::Refused {
        position: 2,
        reason: "too_large".to_owned(),
    }]);
    let (relay, _receiver) = relay(&database.connect(Role::Relay).await, &broker);
    relay.drain().await.unwrap();
    assert_eq!(broker.numbers(), [0, 1, 3, 4]);
    assert_eq!(rows(&relay).await, 0);
    let parked: Vec<(String, String)> =
        sqlx::query_as("SELECT payload ->> 'z', parked_reason FROM app.outbox WHERE parked_at IS NOT NULL")
            .fetch_all(&database.connect(Role::Relay).await.job_pool())
            .await
            .unwrap();
    assert_eq!(parked, [("2".to_owned(), "too_large".to_owned())]);
}

#[tokio::test]
async fn a_transaction_that_commits_late_with_a_small_id_is_not_passed_over() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    let mut late = api.tenant(a).await.unwrap();
    enqueue(&mut late, &record("late", 1)).await.unwrap();
    put(&api, a, "early", 2).await;
    let broker = Arc::new(Broker::default());
    let (relay, _receiver) = relay(&database.connect(Role::Relay).await, &broker);
    relay.drain().await.unwrap();
    assert_eq!(broker.numbers(), [2]);
    late.commit().await.unwrap();
    relay.drain().await.unwrap();
    assert_eq!(broker.numbers(), [2, 1]);
}

#[tokio::test]
async fn a_commit_wakes_a_sleeping_relay_even_after_its_connections_were_cut() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let (api, owner) = (
        database.connect(Role::Api).await,
        database.connect(Role::Owner).await,
    );
    let broker = Arc::new(Broker::default());
    let (relay, mut receiver) = relay(&database.connect(Role::Relay).await, &broker);
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { relay.run(stop).await }
    });
    let mut latencies = Vec::new();
    for number in 0..30 {
        if number == 20 {
            let cut: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'voice-relay'",
            )
            .fetch_one(&owner.job_pool())
            .await
            .unwrap();
            assert!(cut >= 1);
        }
        let begun = Instant::now();
        put(&api, a, "k", number).await;
        // The tick is an hour away: only a notification can bring this.
        let mut next = async || {
            timeout(PATIENCE, receiver.recv())
                .await
                .expect("woken by the commit")
        };
        let mut got = next().await;
        // Cut off between publishing and removing, the one before is published again.
        if number == 20 && got == Some(19) {
            got = next().await;
        }
        assert_eq!(got, Some(number));
        latencies.push(begun.elapsed());
    }
    latencies.sort();
    println!(
        "commit to publish: median {:?}, slowest {:?}",
        latencies[15], latencies[29]
    );
    stop.cancel();
    timeout(PATIENCE, task).await.unwrap().unwrap();
}
