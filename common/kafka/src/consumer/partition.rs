//! What a worker sees of the partition it was given: its records, its frontier, its commits.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Client, chunk::Chunk, frontier::Frontier};
use crate::KafkaError;

/// The offset the group committed, and what it was committed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// Whatever the committer wrote beside it.
    pub metadata: String,
}

/// What [`Partition::recv_until`] came back with.
#[derive(Debug)]
pub enum Received {
    /// More records.
    Chunk(Chunk),
    /// The deadline passed.
    Deadline,
    /// The partition is being taken away or the process stops: finish or drop what is open, then return.
    Drain,
}

/// One partition, owned by one worker from assignment to revocation.
pub struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) number: i32,
    pub(super) committed: Option<Committed>,
    pub(super) chunks: mpsc::Receiver<Chunk>,
    pub(super) frontier: Frontier,
    pub(super) client: Client,
    pub(super) pulse: Arc<Pulse>,
    /// The offset the next record of the log will get, as of the client's latest statistics.
    pub(super) end: Arc<AtomicI64>,
    pub(super) drain: CancellationToken,
}

impl Partition {
    /// The topic's full name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number.
    #[must_use]
    pub const fn number(&self) -> i32 {
        self.number
    }

    /// What the group had committed when the partition was assigned; `None` for a partition it never
    /// committed.
    #[must_use]
    pub const fn committed(&self) -> Option<&Committed> {
        self.committed.as_ref()
    }

    /// Fires when the partition is being taken away or the process stops.
    #[must_use]
    pub const fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// The next records, or `None` when it is time to return.
    pub async fn recv(&mut self) -> Option<Chunk> {
        let chunk = tokio::select! {
            biased;
            () = self.drain.cancelled() => None,
            chunk = self.chunks.recv() => chunk,
        }?;
        self.note(&chunk);
        Some(chunk)
    }

    /// The next records, unless `deadline` passes first.
    pub async fn recv_until(&mut self, deadline: tokio::time::Instant) -> Received {
        match tokio::time::timeout_at(deadline, self.recv()).await {
            Ok(Some(chunk)) => Received::Chunk(chunk),
            Ok(None) => Received::Drain,
            Err(_) => Received::Deadline,
        }
    }

    fn note(&mut self, chunk: &Chunk) {
        for record in chunk.records() {
            self.frontier.received(record.offset);
        }
        self.pulse.beat(self.frontier.is_open());
    }

    /// Marks the records from `first` to `last` as done, both included.
    pub fn finish(&mut self, first: i64, last: i64) {
        self.frontier.finish(first, last);
        self.pulse.beat(self.frontier.is_open());
    }

    /// Says that the worker is alive though its frontier does not move: it waits for a store that is
    /// down, and keeps trying.
    pub fn waiting(&self) {
        self.pulse.beat(self.frontier.is_open());
    }

    /// How many records of the log are behind the ones received, by a figure that is up to half a second old;
    /// 0 when nothing is known.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        let end = self.end.load(Ordering::Relaxed);
        let next = self.frontier.next().unwrap_or(end);
        u64::try_from(end - next).unwrap_or(0)
    }

    /// The offset a commit would write: everything before it is finished.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        self.frontier.position()
    }

    /// Commits the frontier with `metadata` beside it and waits for the broker's answer. `at` names the
    /// offset where nothing was committed or finished yet: the first one the worker holds.
    ///
    /// # Errors
    /// [`KafkaError::Fenced`] when the partition belongs to somebody else by now: whatever the worker
    /// has not written must be dropped. [`KafkaError::Commit`] when the broker could not be reached.
    pub async fn commit(&self, at: i64, metadata: String) -> Result<(), KafkaError> {
        let offset = self.frontier.position().unwrap_or(at);
        let (client, topic, number) = (Arc::clone(&self.client), Arc::clone(&self.topic), self.number);
        let committed = tokio::task::spawn_blocking(move || {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(&topic, number, Offset::Offset(offset))?;
            if let Some(mut element) = list.find_partition(&topic, number) {
                element.set_metadata(metadata);
            }
            client.commit(&list, CommitMode::Sync)
        })
        .await;
        self.pulse.beat(self.frontier.is_open());
        match committed {
            Ok(answer) => answer.map_err(KafkaError::from_commit),
            Err(stopped) => Err(KafkaError::Worker {
                topic: self.topic.to_string(),
                partition: self.number,
                reason: format!("the commit was cut off: {stopped}"),
            }),
        }
    }
}

/// When a partition last made progress, and whether it has anything to do.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Mutex<Instant>,
    open: AtomicBool,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: Mutex::new(now),
            open: AtomicBool::new(false),
        }
    }

    fn beat(&self, open: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.open.store(open, Ordering::Relaxed);
    }

    /// How long the partition has had open work without a sign of life.
    pub(super) fn stalled_for(&self, now: Instant) -> Option<std::time::Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.open
            .load(Ordering::Relaxed)
            .then(|| now.saturating_duration_since(last))
    }
}
