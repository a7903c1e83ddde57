//! The consumer loop, the producer, the dead letters and the administrator on a real broker.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A broken set-up ends a test here.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use voice_kafka::{
    Config, KafkaError, OutboundRecord, Producer,
    admin::{Admin, Applied},
    consumer::{self, Partition, WorkerFuture},
    dead_letters::{self, DeadLetter, Origin},
    record,
};
use voice_schemas::topics::{self, Retention, Topic};

const ONE_PARTITION: Topic = Topic {
    name: "one.partition",
    key: "anything",
    partitions: 1,
    retention: Retention::Time(Duration::from_secs(86_400)),
};

/// A topic of the test's own, with this many records: their payloads are their numbers.
async fn topic_with(name: &str, records: u32) -> Config {
    let brokers = std::env::var("KAFKA_BROKERS").expect(
        "KAFKA_BROKERS is not set: VOICE_STACK=test deploy/local/stack up, then eval its env (or: make test)",
    );
    let mut config = Config {
        brokers,
        prefix: format!("{name}-{}.", std::process::id()),
        ..Config::default()
    };
    config.consumer.drain_deadline_ms = 3_000;
    Admin::new(&config)
        .unwrap()
        .apply(&ONE_PARTITION, 1)
        .await
        .unwrap();
    let producer = Producer::new(&config).unwrap();
    let mut confirmations = Vec::new();
    for number in 0..records {
        let record = OutboundRecord {
            topic: config.topic(&ONE_PARTITION),
            key: b"key".to_vec(),
            payload: number.to_string().into_bytes(),
            headers: Vec::new(),
        };
        confirmations.push(producer.enqueue(&record).unwrap());
    }
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
    config
}

async fn clear(config: &Config) {
    Admin::new(config)
        .unwrap()
        .delete(&[&config.topic(&ONE_PARTITION)])
        .await
        .unwrap();
}

fn worker<F, Fut>(life: F) -> impl Fn(Partition) -> WorkerFuture + Send + Sync + 'static
where
    F: Fn(Partition) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), consumer::WorkerError>> + Send + 'static,
{
    move |partition| Box::pin(life(partition))
}

/// Consumes, committing after every chunk, until `wanted` payloads were seen; gives them in order.
async fn consume(config: &Config, wanted: usize) -> Vec<u32> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    let life = {
        let (seen, stop) = (Arc::clone(&seen), stop.clone());
        worker(move |mut partition: Partition| {
            let (seen, stop) = (Arc::clone(&seen), stop.clone());
            async move {
                while let Some(chunk) = partition.recv().await {
                    let offsets: Vec<i64> = chunk.records().map(|record| record.offset).collect();
                    let numbers = chunk.records().map(|record| {
                        std::str::from_utf8(record.payload.unwrap())
                            .unwrap()
                            .parse::<u32>()
                            .unwrap()
                    });
                    let total = {
                        let mut seen = seen.lock().unwrap();
                        seen.extend(numbers);
                        seen.len()
                    };
                    partition.finish(offsets[0], *offsets.last().unwrap());
                    partition.commit(offsets[0], "done".to_owned()).await?;
                    if total >= wanted {
                        stop.cancel();
                    }
                }
                Ok(())
            }
        })
    };
    let name = config.topic(&ONE_PARTITION);
    let topics = [name.as_str()];
    let run = consumer::run(config, "readers", &topics, life, stop);
    tokio::time::timeout(Duration::from_secs(40), run)
        .await
        .expect("nothing hangs")
        .unwrap();
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_in_order_and_a_restart_goes_on_behind_the_committed_frontier() {
    let config = topic_with("restart", 5_000).await;
    let first = consume(&config, 2_000).await;
    assert_eq!(
        first,
        (0..u32::try_from(first.len()).unwrap()).collect::<Vec<_>>()
    );
    let name = config.topic(&ONE_PARTITION);
    let reader = config.clone();
    let committed =
        tokio::task::spawn_blocking(move || Admin::new(&reader).unwrap().committed("readers", &name));
    assert_eq!(
        committed.await.unwrap().unwrap()[&0],
        i64::try_from(first.len()).unwrap()
    );
    if first.len() < 5_000 {
        let rest = consume(&config, 5_000 - first.len()).await;
        assert_eq!(
            rest,
            (u32::try_from(first.len()).unwrap()..5_000).collect::<Vec<_>>()
        );
    }
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_a_commit_reaches_the_next_owner_although_the_offset_did_not_move() {
    let config = topic_with("metadata", 10).await;
    let name = config.topic(&ONE_PARTITION);
    let found = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let stop = CancellationToken::new();
        let life = {
            let (found, stop) = (Arc::clone(&found), stop.clone());
            worker(move |mut partition: Partition| {
                let (found, stop) = (Arc::clone(&found), stop.clone());
                async move {
                    found.lock().unwrap().push(partition.committed().cloned());
                    if let Some(chunk) = partition.recv().await {
                        let first = chunk.records().next().unwrap().offset;
                        partition.commit(first, format!("intent from {first}")).await?;
                    }
                    stop.cancel();
                    partition.draining().cancelled().await;
                    Ok(())
                }
            })
        };
        consumer::run(&config, "announcers", &[&name], life, stop)
            .await
            .unwrap();
    }
    let found = found.lock().unwrap().clone();
    assert_eq!(found[0], None);
    assert_eq!(
        found[1],
        Some(consumer::Committed {
            offset: 0,
            metadata: "intent from 0".to_owned()
        })
    );
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_fails_and_one_that_stalls_end_the_loop_and_say_where() {
    let mut config = topic_with("stall", 10).await;
    config.consumer.stall_ms = 300;
    config.consumer.drain_deadline_ms = 200;
    let name = config.topic(&ONE_PARTITION);
    let failing = worker(|mut partition: Partition| async move {
        partition.recv().await;
        Err("the disk is on fire".into())
    });
    let failed = consumer::run(&config, "failing", &[&name], failing, CancellationToken::new()).await;
    assert!(
        matches!(&failed, Err(KafkaError::Worker { partition: 0, reason, .. }) if reason.contains("on fire")),
        "{failed:?}"
    );

    let stalling = worker(|mut partition: Partition| async move {
        partition.recv().await;
        std::future::pending().await
    });
    let stalled = consumer::run(&config, "stalling", &[&name], stalling, CancellationToken::new()).await;
    assert!(
        matches!(&stalled, Err(KafkaError::Stalled { partition: 0, .. })),
        "{stalled:?}"
    );
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_says_it_waits_is_not_taken_for_stalled_and_holds_no_more_than_the_budget() {
    let mut config = topic_with("budget", 60_000).await;
    config.consumer.budget_records = 4_000;
    config.consumer.stall_ms = 500;
    let name = config.topic(&ONE_PARTITION);
    let (most, total) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stop = CancellationToken::new();
    let life = {
        let (most, total, stop) = (Arc::clone(&most), Arc::clone(&total), stop.clone());
        worker(move |mut partition: Partition| {
            let (most, total, stop) = (Arc::clone(&most), Arc::clone(&total), stop.clone());
            async move {
                let mut held = vec![partition.recv().await];
                // Longer than a stall, in which the loop could hand over everything there is.
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    partition.waiting();
                }
                while let Ok(more) = tokio::time::timeout(Duration::from_millis(50), partition.recv()).await {
                    held.push(more);
                    partition.waiting();
                }
                most.store(
                    held.iter().flatten().map(consumer::Chunk::len).sum(),
                    Ordering::Relaxed,
                );
                total.fetch_add(most.load(Ordering::Relaxed), Ordering::Relaxed);
                let last = |chunk: &consumer::Chunk| chunk.records().last().map_or(0, |record| record.offset);
                let reached = held.iter().flatten().map(last).max().unwrap_or(0);
                held.clear();
                partition.finish(0, reached);
                while let Some(chunk) = partition.recv().await {
                    partition.finish(0, last(&chunk));
                    if total.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len() >= 60_000 {
                        stop.cancel();
                    }
                }
                Ok(())
            }
        })
    };
    let topics = [name.as_str()];
    let run = consumer::run(&config, "slow", &topics, life, stop);
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("resumes after the pause")
        .unwrap();
    // One turn of the loop may go over the budget before it pauses; sixty thousand would be no budget.
    assert!(
        (4_000..=4_000 + 17_408).contains(&most.load(Ordering::Relaxed)),
        "{most:?}"
    );
    assert_eq!(total.load(Ordering::Relaxed), 60_000);
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_its_bytes_and_origin_and_is_replayed_to_where_it_came_from() {
    let config = topic_with("letters", 0).await;
    Admin::new(&config)
        .unwrap()
        .apply(&topics::DEAD_LETTERS, 1)
        .await
        .unwrap();
    let producer = Producer::new(&config).unwrap();
    let letter = DeadLetter {
        origin: Origin::Record {
            topic: config.topic(&ONE_PARTITION),
            partition: 0,
            offset: 17,
        },
        stage: "sink.call_events".to_owned(),
        code: "malformed".to_owned(),
        detail: "not an event".to_owned(),
        at: "2026-11-21T10:00:00.123456Z".parse().unwrap(),
        key: b"key".to_vec(),
        payload: vec![0, 159, 146, 150],
    };
    producer.send(&letter.clone().into_record(&config)).await.unwrap();
    let reader = config.clone();
    let mut kept = tokio::task::spawn_blocking(move || {
        let mut kept = Vec::new();
        dead_letters::for_each(&reader, |one| kept.push(one)).unwrap();
        kept
    })
    .await
    .unwrap();
    assert_eq!(kept.iter().map(|one| &one.letter).collect::<Vec<_>>(), [&letter]);

    let written = dead_letters::replay(&producer, kept.remove(0))
        .await
        .unwrap()
        .unwrap();
    let (reader, name) = (config.clone(), config.topic(&ONE_PARTITION));
    let read =
        tokio::task::spawn_blocking(move || record::read(&reader, &name, written.partition, written.offset));
    assert_eq!(read.await.unwrap().unwrap(), Some((letter.key, letter.payload)));
    Admin::new(&config)
        .unwrap()
        .delete(&[&config.topic(&topics::DEAD_LETTERS)])
        .await
        .unwrap();
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_once_and_only_ever_grows() {
    let config = topic_with("topics", 0).await;
    let admin = Admin::new(&config).unwrap();
    assert_eq!(admin.apply(&ONE_PARTITION, 1).await.unwrap(), Applied::Kept);
    let wider = Topic {
        partitions: 3,
        ..ONE_PARTITION
    };
    assert_eq!(admin.apply(&wider, 1).await.unwrap(), Applied::Grown { from: 1 });
    assert_eq!(admin.apply(&ONE_PARTITION, 1).await.unwrap(), Applied::Kept);
    clear(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_an_error_within_the_delivery_time_out() {
    let mut config = Config {
        brokers: "127.0.0.1:9".to_owned(),
        ..Config::default()
    };
    config.producer.delivery_timeout_ms = 500;
    let producer = Producer::new(&config).unwrap();
    let record = OutboundRecord {
        topic: "anything".to_owned(),
        ..OutboundRecord::default()
    };
    let sent = tokio::time::timeout(Duration::from_secs(10), producer.send(&record))
        .await
        .expect("in time");
    assert!(matches!(sent, Err(KafkaError::NotConfirmed { .. })), "{sent:?}");
}
