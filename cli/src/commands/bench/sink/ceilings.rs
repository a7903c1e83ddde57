//! What no sink can exceed: reading the topic and doing nothing, reading and decoding, inserting the
//! finished columns.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use voice_analytics::processors::{Meta, call_events::CallEvents};
use voice_clickhouse::{Block, BlockWriter as _, Insert, block::Columns as _};
use voice_kafka::consumer::{self, Chunk, Partition, WorkerFuture};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::{tables, topics};

use super::{rate, store::Store};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Records per second through the platform's consumer loop with workers that drop what they get.
pub async fn read(kafka: &voice_kafka::Config, events: u64) -> anyhow::Result<f64> {
    let seen = Arc::new(AtomicU64::new(0));
    let worker = {
        let seen = Arc::clone(&seen);
        move |mut partition: Partition| -> WorkerFuture {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                while let Some(chunk) = partition.recv().await {
                    finish(&mut partition, &chunk);
                    seen.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
                Ok(())
            })
        }
    };
    consume(kafka, "bench-read", worker, &seen, events).await
}

/// Records per second that are read and decoded to columns, and the columns as blocks of `max_rows`.
pub async fn decode(
    kafka: &voice_kafka::Config,
    events: u64,
    max_rows: usize,
) -> anyhow::Result<(f64, Vec<Block>)> {
    let seen = Arc::new(AtomicU64::new(0));
    let blocks = Arc::new(Mutex::new(Vec::new()));
    let now = SystemClock.now();
    let worker = {
        let (seen, blocks) = (Arc::clone(&seen), Arc::clone(&blocks));
        move |mut partition: Partition| -> WorkerFuture {
            let (seen, blocks) = (Arc::clone(&seen), Arc::clone(&blocks));
            Box::pin(async move {
                let keep = |rows: &mut CallEvents| {
                    let block = rows.block(0..rows.len());
                    blocks.lock().unwrap_or_else(PoisonError::into_inner).push(block);
                    rows.clear();
                };
                let (topic, number) = (partition.topic().to_owned(), partition.number());
                let mut rows = CallEvents::default();
                while let Some(chunk) = partition.recv().await {
                    for record in chunk.records() {
                        let meta = Meta {
                            topic: &topic,
                            partition: number,
                            offset: record.offset,
                        };
                        rows.push(meta, record.payload, now)?;
                        if rows.len() == max_rows {
                            keep(&mut rows);
                        }
                    }
                    finish(&mut partition, &chunk);
                    seen.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
                keep(&mut rows);
                Ok(())
            })
        }
    };
    let rate = consume(kafka, "bench-decode", worker, &seen, events).await?;
    let blocks = std::mem::take(&mut *blocks.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((rate, blocks))
}

fn finish(partition: &mut Partition, chunk: &Chunk) {
    let mut offsets = chunk.records().map(|record| record.offset);
    if let Some(first) = offsets.next() {
        partition.finish(first, offsets.last().unwrap_or(first));
    }
}

async fn consume(
    kafka: &voice_kafka::Config,
    group: &'static str,
    worker: impl Fn(Partition) -> WorkerFuture + Send + Sync + 'static,
    seen: &AtomicU64,
    events: u64,
) -> anyhow::Result<f64> {
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn({
        let (kafka, topic, stop) = (kafka.clone(), kafka.topic(&topics::CALLS), stop.clone());
        async move { consumer::run(&kafka, group, &[&topic], worker, stop).await }
    });
    while seen.load(Ordering::Relaxed) < events {
        anyhow::ensure!(!running.is_finished(), "the reader ended before it was told to");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let rate = rate(events, began.elapsed());
    stop.cancel();
    running.await?.context("reading")?;
    Ok(rate)
}

/// Rows per second that the server takes when it is given finished blocks, `at_once` at a time.
pub async fn insert(store: &Store, blocks: Vec<Block>, at_once: usize) -> anyhow::Result<f64> {
    let rows: usize = blocks.iter().map(|block| block.rows).sum();
    let inserts = blocks.into_iter().enumerate().map(|(number, block)| Insert {
        table: tables::CALL_EVENTS,
        token: format!("bench/{number}"),
        block,
    });
    let began = Instant::now();
    stream::iter(inserts.map(Ok))
        .try_for_each_concurrent(
            at_once,
            |insert| async move { store.clickhouse.write(&insert).await },
        )
        .await?;
    let rate = rate(rows as u64, began.elapsed());
    anyhow::ensure!(store.rows().await? == rows as u64, "not all rows were inserted");
    Ok(rate)
}
