//! Two workers whose breakers hear of each other on a real broker.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use voice_kafka::{Config, Producer, admin::Admin};
use voice_lifecycle::{CancellationToken, Clock as _, ManualClock};
use voice_providers::Provider;
use voice_schemas::{TenantId, topics};
use voice_telemetry::Metrics;
use voice_workers::breakers::{Account, Breakers, shared};

const PATIENCE: Duration = Duration::from_secs(60);

struct Worker {
    breakers: Arc<Breakers>,
    stop: CancellationToken,
    link: tokio::task::JoinHandle<()>,
}

impl Worker {
    fn begin(kafka: &Config, clock: &ManualClock) -> Self {
        let (breakers, link) = shared(64, Metrics::empty());
        let stop = CancellationToken::new();
        let producer = Producer::new(kafka).unwrap();
        let link = link.run(producer, kafka.clone(), clock.shared(), stop.clone());
        Self {
            breakers,
            stop,
            link: tokio::spawn(link),
        }
    }

    /// Whether it opens sessions, as soon as that is `wanted`.
    async fn until(&self, account: Account<'_>, clock: &ManualClock, wanted: bool) {
        let waits = async {
            while self.breakers.lets_through(account, clock.now()) != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waits)
            .await
            .unwrap_or_else(|_| panic!("it never heard of it: {wanted}"));
    }

    fn session_stands(&self, account: Account<'_>, clock: &ManualClock) {
        let (permit, _) = self.breakers.acquire(account, clock.now());
        self.breakers.succeeded(account, permit.unwrap(), clock.now());
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.link).await.unwrap().unwrap();
    }
}

/// RES-01: what one worker finds out, another one knows, and so does one that begins later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_hear_of_each_others_breakers_and_one_that_begins_learns_what_is_known() {
    let brokers = std::env::var("KAFKA_BROKERS").expect(
        "KAFKA_BROKERS is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\"",
    );
    let kafka = Config {
        brokers,
        prefix: format!("breakers-{}.", uuid::Uuid::now_v7().simple()),
        ..Config::default()
    };
    let admin = Admin::new(&kafka).unwrap();
    admin.apply(&topics::CONFIG, 1).await.unwrap();

    let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let account = Account {
        tenant: TenantId::random(),
        name: "openai-eu",
        provider: Provider::OpenaiRealtime,
    };
    let (first, second) = (Worker::begin(&kafka, &clock), Worker::begin(&kafka, &clock));
    assert!(second.breakers.lets_through(account, clock.now()));
    for _ in 0..5 {
        first.breakers.failed(account, None, clock.now());
    }
    assert!(!first.breakers.lets_through(account, clock.now()));
    second.until(account, &clock, false).await;
    clock.advance(TimeDelta::seconds(30));
    let third = Worker::begin(&kafka, &clock);
    third.until(account, &clock, false).await;

    // A minute later one of them tries it, and it works.
    clock.advance(TimeDelta::seconds(34));
    for _ in 0..2 {
        first.session_stands(account, &clock);
    }
    second.until(account, &clock, true).await;
    third.until(account, &clock, true).await;
    for worker in [first, second, third] {
        worker.end().await;
    }
    admin.delete(&[&kafka.topic(&topics::CONFIG)]).await.unwrap();
}

/// Without a broker a worker knows what it finds out for itself, and stops as fast as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_kafka_a_worker_still_leaves_a_broken_account_alone() {
    let kafka = Config {
        // Nobody listens there.
        brokers: "127.0.0.1:1".to_owned(),
        ..Config::default()
    };
    let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let account = Account {
        tenant: TenantId::random(),
        name: "openai-eu",
        provider: Provider::OpenaiRealtime,
    };
    let worker = Worker::begin(&kafka, &clock);
    for _ in 0..5 {
        worker.breakers.failed(account, None, clock.now());
    }
    assert!(!worker.breakers.lets_through(account, clock.now()));
    clock.advance(TimeDelta::seconds(64));
    for _ in 0..2 {
        worker.session_stands(account, &clock);
    }
    assert!(worker.breakers.lets_through(account, clock.now()));
    worker.end().await;
}
