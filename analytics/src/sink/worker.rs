//! The writer of one partition: a thin loop around [`Batch`] and [`Intent`].

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use voice_clickhouse::{BlockWriter as _, ClickHouseError, Insert, error::Remedy};
use voice_kafka::{
    KafkaError,
    consumer::{Chunk, Partition, Received, WorkerError, WorkerFuture},
    dead_letters::{DeadLetter, Limits, Origin, TooMany},
};
use voice_telemetry::Emit as _;

use super::{
    Sink,
    batch::{Batch, Rejected},
    intent::{self, Intent, Recovery},
    split, table,
};
use crate::{
    events::{BatchWritten, DeadLettered, Recovered, Waiting},
    processors::{Feed, Reject},
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const RANGE_PATIENCE: Duration = Duration::from_secs(30);

/// Why a writer gave up its batch.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// The partition goes to somebody else, or the process stops: the next owner does the batch again.
    #[error("the partition was given up")]
    Released,
    /// A person has to act.
    #[error(transparent)]
    Refused(#[from] ClickHouseError),
    /// The fault is not in single records.
    #[error(transparent)]
    TooManyDeadLetters(#[from] TooMany),
    /// Waiting cannot help.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// How an insert ended short of success.
enum Unwritten {
    Rows(ClickHouseError),
    Stopped(Stopped),
}

pub(super) struct Worker<F> {
    sink: Arc<Sink>,
    partition: Partition,
    batch: Batch<F>,
    recovery: Recovery,
    /// When the broker last accepted an intent of this batch.
    leased: Instant,
    limits: Limits,
}

impl<F: Feed> Worker<F> {
    pub(super) fn new(sink: Arc<Sink>, partition: Partition) -> Self {
        let recovery = intent::recovery(
            partition.committed(),
            sink.config.token_epoch,
            sink.clock.now(),
            sink.config.window(),
        );
        let limits = sink.config.dead_letters.clone();
        Self {
            sink,
            partition,
            batch: Batch::default(),
            recovery,
            leased: Instant::now(),
            limits,
        }
    }

    pub(super) fn start(mut self) -> WorkerFuture {
        Box::pin(async move {
            match self.run().await {
                Ok(()) => Ok(()),
                Err(Stopped::Released) => {
                    self.partition.draining().cancelled().await;
                    Ok(())
                }
                Err(fatal) => Err(WorkerError::from(fatal)),
            }
        })
    }

    async fn run(&mut self) -> Result<(), Stopped> {
        loop {
            let received = match self.due() {
                Some(deadline) => self.partition.recv_until(deadline).await,
                None => self
                    .partition
                    .recv()
                    .await
                    .map_or(Received::Drain, Received::Chunk),
            };
            match received {
                Received::Chunk(chunk) => self.take(&chunk).await?,
                Received::Deadline => self.write().await?,
                // What has no intent yet was never inserted: the next owner reads it again.
                Received::Drain => return Ok(()),
            }
        }
    }

    /// A batch that repeats a known range waits for the whole of it, unless retention took its end.
    fn due(&self) -> Option<Instant> {
        let due = self.batch.due(&self.sink.config, self.partition.ahead())?;
        Some(if self.known_range().is_some() {
            due + RANGE_PATIENCE
        } else {
            due
        })
    }

    const fn known_range(&self) -> Option<&Intent> {
        match &self.recovery {
            Recovery::Repeat(intent) | Recovery::Verify(Some(intent)) => Some(intent),
            Recovery::Continue | Recovery::Verify(None) => None,
        }
    }

    async fn take(&mut self, chunk: &Chunk) -> Result<(), Stopped> {
        let topic = self.partition.topic().to_owned();
        let number = self.partition.number();
        let now = self.sink.clock.now();
        for record in chunk.records() {
            // The end of a known range may have been deleted by retention.
            if self.known_range().is_some_and(|known| record.offset > known.last) {
                self.write().await?;
            }
            if self.batch.push(&topic, number, record, now) {
                self.limits.good();
            } else {
                self.limits.dead()?;
            }
            let complete = match self.known_range() {
                Some(known) => record.offset >= known.last,
                None => self.batch.is_full(&self.sink.config),
            };
            if complete {
                self.write().await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Stopped> {
        let recovery = std::mem::replace(&mut self.recovery, Recovery::Continue);
        let Some(formed) = self
            .batch
            .intent(self.sink.config.token_epoch, self.sink.clock.now())
        else {
            return Ok(());
        };
        let intent = match recovery {
            Recovery::Continue => formed,
            Recovery::Repeat(found) if same_block(&found, &formed) => {
                Recovered { repaired_rows: None }.emit(&self.sink.metrics);
                found
            }
            Recovery::Repeat(_) | Recovery::Verify(_) => Intent {
                repairing: true,
                ..formed
            },
        };
        self.announce(&intent).await?;
        if intent.repairing {
            self.repair(&intent).await?
        } else {
            self.insert(&intent).await?
        }
        self.bury().await?;
        self.partition.finish(intent.first, intent.last);
        self.commit(intent.first, intent::done()).await?;
        BatchWritten {
            rows: self.batch.rows.len(),
            earliest_arrival_us: self.batch.rows.earliest_arrival(),
            now: self.sink.clock.now(),
        }
        .emit(&self.sink.metrics);
        self.batch.clear();
        Ok(())
    }

    async fn announce(&mut self, intent: &Intent) -> Result<(), Stopped> {
        self.commit(intent.first, intent.metadata()).await?;
        self.leased = Instant::now();
        Ok(())
    }

    async fn insert(&mut self, intent: &Intent) -> Result<(), Stopped> {
        let rows = 0..self.batch.rows.len();
        match self.send(intent, rows.clone(), self.token(intent)).await {
            Ok(()) => Ok(()),
            Err(Unwritten::Stopped(stopped)) => Err(stopped),
            Err(Unwritten::Rows(_)) => {
                let intent = Intent {
                    repairing: true,
                    ..intent.clone()
                };
                self.announce(&intent).await?;
                self.insert_all_but_refused(&intent, rows).await
            }
        }
    }

    /// Inserts the rows the table does not have, and lets what the views make of the range be derived again.
    async fn repair(&mut self, intent: &Intent) -> Result<(), Stopped> {
        let (topic, number) = (self.partition.topic().to_owned(), self.partition.number());
        let clickhouse = self.sink.clickhouse.clone();
        let present = self
            .insist(|| table::present(&clickhouse, F::TABLE, &topic, number, intent.first, intent.last))
            .await?;
        let offsets = (0..self.batch.rows.len()).filter_map(|position| self.batch.rows.offset(position));
        let runs = split::missing_runs(offsets, &present);
        let repaired = runs.iter().map(ExactSizeIterator::len).sum();
        for run in runs {
            self.insert_all_but_refused(intent, run).await?;
        }
        if !present.is_empty() {
            for statement in F::DERIVED {
                self.insist(|| {
                    table::derive(&clickhouse, statement, &topic, number, intent.first, intent.last)
                })
                .await?;
            }
        }
        Recovered {
            repaired_rows: Some(repaired),
        }
        .emit(&self.sink.metrics);
        Ok(())
    }

    /// Halves the run around every row the table refuses, down to the row, which goes to the dead letters.
    async fn insert_all_but_refused(
        &mut self,
        intent: &Intent,
        run: std::ops::Range<usize>,
    ) -> Result<(), Stopped> {
        let mut open = vec![run];
        while let Some(run) = open.pop() {
            let offset = |position| self.batch.rows.offset(position).unwrap_or_default();
            let token = format!(
                "{}/rows-{}-{}",
                self.token(intent),
                offset(run.start),
                offset(run.end.saturating_sub(1))
            );
            match self.send(intent, run.clone(), token).await {
                Ok(()) => {}
                Err(Unwritten::Stopped(stopped)) => return Err(stopped),
                Err(Unwritten::Rows(error)) => match split::halves(&run) {
                    Some((lower, upper)) => open.extend([upper, lower]),
                    None => self.condemn(run.start, &error).await?,
                },
            }
        }
        Ok(())
    }

    /// Sends a block until the table has it or refuses it.
    async fn send(
        &mut self,
        intent: &Intent,
        rows: std::ops::Range<usize>,
        token: String,
    ) -> Result<(), Unwritten> {
        let insert = Insert {
            table: F::TABLE,
            token,
            block: self.batch.rows.block(rows),
        };
        let mut wait = FIRST_WAIT;
        loop {
            if self.leased.elapsed() >= self.sink.config.lease() {
                self.announce(intent).await.map_err(Unwritten::Stopped)?;
            }
            let error = match self.sink.clickhouse.write(&insert).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error.remedy() {
                Remedy::Retry => self.wait(&mut wait, &error).await.map_err(Unwritten::Stopped)?,
                Remedy::Bisect => return Err(Unwritten::Rows(error)),
                Remedy::Stop => return Err(Unwritten::Stopped(error.into())),
            }
        }
    }

    /// Asks again until there is an answer.
    async fn insist<T, A>(&mut self, ask: impl Fn() -> A) -> Result<T, Stopped>
    where
        A: Future<Output = Result<T, ClickHouseError>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.remedy() == Remedy::Retry => self.wait(&mut wait, &error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn commit(&mut self, at: i64, metadata: String) -> Result<(), Stopped> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.partition.commit(at, metadata.clone()).await {
                Ok(()) => return Ok(()),
                Err(KafkaError::Fenced(_)) => return Err(Stopped::Released),
                Err(error) => self.wait(&mut wait, &error).await?,
            }
        }
    }

    /// Waits before the next try, longer each time and never in step with the other partitions.
    async fn wait(
        &mut self,
        wait: &mut Duration,
        error: &(dyn std::error::Error + Sync),
    ) -> Result<(), Stopped> {
        Waiting {
            partition: self.partition.number(),
            error,
        }
        .emit(&self.sink.metrics);
        self.partition.waiting();
        let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        *wait = (*wait * 2).min(LONGEST_WAIT);
        tokio::select! {
            biased;
            () = self.partition.draining().cancelled() => Err(Stopped::Released),
            () = tokio::time::sleep(jittered) => Ok(()),
        }
    }

    /// Sends a refused row to the dead letters, with the bytes of its record.
    async fn condemn(&mut self, position: usize, error: &ClickHouseError) -> Result<(), Stopped> {
        let offset = self
            .batch
            .rows
            .offset(position)
            .and_then(|offset| i64::try_from(offset).ok())
            .unwrap_or(-1);
        let (topic, number) = (self.partition.topic().to_owned(), self.partition.number());
        let kafka = self.sink.kafka.clone();
        let read =
            tokio::task::spawn_blocking(move || voice_kafka::record::read(&kafka, &topic, number, offset));
        let (key, payload) = read.await.ok().and_then(Result::ok).flatten().unwrap_or_default();
        self.limits.dead()?;
        self.batch.rejected.push(Rejected {
            offset,
            key,
            payload,
            reject: Reject {
                code: "refused_by_table",
                detail: format!("code {}", error.code.unwrap_or_default()),
            },
        });
        Ok(())
    }

    /// Writes the batch's dead letters, to their topic first, then to the table the audit reads.
    async fn bury(&mut self) -> Result<(), Stopped> {
        let (topic, number) = (self.partition.topic().to_owned(), self.partition.number());
        for mut dead in std::mem::take(&mut self.batch.rejected) {
            if F::RESTRICTED {
                dead.payload.clear();
            }
            let letter = DeadLetter {
                origin: Origin::Record {
                    topic: topic.clone(),
                    partition: number,
                    offset: dead.offset,
                },
                stage: F::STAGE.to_owned(),
                code: dead.reject.code.to_owned(),
                detail: dead.reject.detail.clone(),
                at: self.sink.clock.now(),
                key: dead.key,
                payload: dead.payload,
            };
            let record = letter.into_record(&self.sink.kafka);
            let mut wait = FIRST_WAIT;
            while let Err(error) = self.sink.producer.send(&record).await {
                self.wait(&mut wait, &error).await?;
            }
            let clickhouse = self.sink.clickhouse.clone();
            let Reject { code, detail } = &dead.reject;
            self.insist(|| {
                table::note_dead_letter(&clickhouse, &topic, number, dead.offset, F::STAGE, code, detail)
            })
            .await?;
            DeadLettered { code }.emit(&self.sink.metrics);
        }
        Ok(())
    }

    fn token(&self, intent: &Intent) -> String {
        intent.token(
            &self.sink.config.cluster,
            self.partition.topic(),
            self.partition.number(),
        )
    }
}

fn same_block(found: &Intent, formed: &Intent) -> bool {
    (found.first, found.last, found.rows, found.digest)
        == (formed.first, formed.last, formed.rows, formed.digest)
}
