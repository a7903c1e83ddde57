//! What the log says about a campaign, read as any consumer would read it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use voice_kafka::{admin::Admin, consumer};
use voice_schemas::{CampaignId, EventId, EventType, topics};

use crate::settings::Settings;

/// How long reading the log may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part of an event that says what it is.
#[derive(Deserialize)]
struct Head {
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    kind: EventType,
    subject: Uuid,
}

/// The events of a campaign in the log.
#[derive(Debug, Default)]
pub struct Logged {
    /// Events of calls, by id.
    calls: HashSet<EventId>,
    /// `attempt.finished` by attempt.
    ends: HashMap<Uuid, HashSet<EventId>>,
}

impl Logged {
    /// Distinct events of calls carriers told of.
    pub fn call_events(&self) -> u64 {
        self.calls.len() as u64
    }

    /// Attempts that ended.
    pub fn finished(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Attempts that ended more than once.
    pub fn ended_twice(&self) -> u64 {
        self.ends.values().filter(|ids| ids.len() > 1).count() as u64
    }

    fn take(&mut self, payload: &[u8]) {
        let Ok(head) = serde_json::from_slice::<Head>(payload) else {
            return;
        };
        if head.kind == EventType::AttemptFinished {
            self.ends.entry(head.subject).or_default().insert(head.id);
        } else if head.kind.as_str().starts_with("call.")
            && head.kind != EventType::CallTransferred
            && head.source != voice_workers::outbox::SOURCE
        {
            self.calls.insert(head.id);
        }
    }
}

/// Reads all of `calls.events` that there is now.
pub async fn read(settings: &Settings, campaign: CampaignId) -> anyhow::Result<Logged> {
    let kafka = settings.kafka.clone();
    let topic = kafka.topic(&topics::CALLS);
    let admin = Admin::new(&kafka)?;
    let until: HashMap<i32, i64> = admin
        .watermarks(&topic)?
        .into_iter()
        .filter(|(_, marks)| marks.high > marks.low)
        .map(|(partition, marks)| (partition, marks.high))
        .collect();
    // Partitions that were not read to where they ended then.
    let left: Arc<Mutex<HashMap<i32, i64>>> = Arc::new(Mutex::new(until));
    let logged: Arc<Mutex<Logged>> = Arc::default();
    let prefix: Arc<str> = format!("{}#", campaign.0).into();
    let stop = CancellationToken::new();
    let group = format!("demo-reader-{}", Uuid::now_v7().simple());
    let reading = tokio::spawn({
        let (kafka, topic, group, stop) = (kafka.clone(), topic.clone(), group.clone(), stop.clone());
        let (logged, left) = (Arc::clone(&logged), Arc::clone(&left));
        async move {
            let worker = move |mut partition: consumer::Partition| -> consumer::WorkerFuture {
                let (logged, left, prefix) = (Arc::clone(&logged), Arc::clone(&left), Arc::clone(&prefix));
                Box::pin(async move {
                    while let Some(chunk) = partition.recv().await {
                        let mut logged = logged.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut last = -1;
                        for record in chunk.records() {
                            last = record.offset;
                            // The key says whose it is before anything is parsed.
                            if record.key.is_some_and(|key| key.starts_with(prefix.as_bytes())) {
                                logged.take(record.payload.unwrap_or_default());
                            }
                        }
                        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                        if left
                            .get(&partition.number())
                            .is_some_and(|high| last + 1 >= *high)
                        {
                            left.remove(&partition.number());
                        }
                    }
                    Ok(())
                })
            };
            consumer::run(&kafka, &group, &[&topic], worker, stop).await
        }
    });
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !left.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
        ensure!(
            tokio::time::Instant::now() < deadline && !reading.is_finished(),
            "the log could not be read in time"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    reading.await??;
    admin.forget_group(&kafka.group(&group)).await?;
    Ok(std::mem::take(
        &mut *logged.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}
