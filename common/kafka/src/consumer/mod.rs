//! The one consumer loop of the platform: a thread that owns the client, a worker per partition.
//!
//! The owner thread polls, copies records into chunks and hands each chunk to the worker of its partition.
//! Within a turn it works in this order, and the order carries the guarantees:
//!
//! 1. **stop**: a stop request is seen before more work is taken;
//! 2. **poll**: always, also while every partition is paused, because revocations arrive here;
//! 3. **hand over**: what the poll brought goes to the workers;
//! 4. **flow**: partitions over their budget are paused, drained ones resumed;
//! 5. **watch**: a worker that failed or stalls ends the loop, because an unowned partition that looks
//!    owned is worse than a restart.
//!
//! *Revocation and stop take the same path.* The rebalance callback runs inside the poll, before the
//! client gives the partitions up: it tells the workers to drain and waits for them, at most until the
//! drain deadline; a worker that is late is aborted. Nothing is committed that is not finished, so a new
//! owner reads again whatever was dropped.
//!
//! *Only the frontier is ever committed*, by the worker and never on receipt: see [`frontier::Frontier`].

mod chunk;
pub mod flow;
pub mod frontier;
mod partition;

use std::{
    collections::HashMap,
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{
    chunk::Load,
    flow::{Change, Flow},
    frontier::Frontier,
    partition::Pulse,
};
pub use self::{
    chunk::{Chunk, Record},
    partition::{Committed, Partition, Received},
};
use crate::{Config, KafkaError, events};

/// Chunks are handed over at this size at the latest.
const CHUNK_RECORDS: usize = 1_024;
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Chunks that wait for a worker; the budget pauses the partition long before.
const CHUNKS_WAITING: usize = 256;
/// Records taken per turn before the other duties get their share.
const RECORDS_PER_TURN: usize = 16 * 1_024;
const IDLE_POLL: Duration = Duration::from_millis(50);
const PAUSED_POLL: Duration = Duration::from_millis(5);
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);
const COMMITTED_TRIES: u32 = 12;

pub(crate) type Client = Arc<BaseConsumer<Context>>;

/// Why a worker gave its partition up before it was told to.
pub type WorkerError = Box<dyn std::error::Error + Send + Sync>;
/// The life of a worker: from assignment until [`Received::Drain`].
pub type WorkerFuture = Pin<Box<dyn Future<Output = Result<(), WorkerError>> + Send>>;

/// Consumes `topics` as a member of `group` until `stop` fires, giving every assigned partition to a
/// worker of its own. Returns after all workers drained and the member left the group.
///
/// # Errors
/// When the client cannot be made, a worker fails, or a partition stalls. The caller restarts the
/// process: everything uncommitted is read again.
pub async fn run(
    config: &Config,
    group: &str,
    topics: &[&str],
    worker: impl Fn(Partition) -> WorkerFuture + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<(), KafkaError> {
    let group = config.group(group);
    let context = Context {
        lanes: Mutex::new(Lanes {
            open: HashMap::new(),
            worker: Box::new(worker),
            runtime: Handle::current(),
            budget: (config.consumer.budget_records, config.consumer.budget_bytes),
            drain_deadline: config.drain_deadline(),
            failure: None,
            latest: LaneKey::default(),
        }),
        client: OnceLock::new(),
    };
    let client: BaseConsumer<Context> = config
        .consumer_client(&group)
        .create_with_context(context)
        .map_err(KafkaError::Client)?;
    let client = Arc::new(client);
    // A second set is impossible: the cell was made above.
    let _first = client.context().client.set(Arc::downgrade(&client));
    client.subscribe(topics).map_err(KafkaError::Client)?;

    let stall = config.stall();
    let owner = tokio::task::spawn_blocking(move || own(&client, stall, &stop));
    match owner.await {
        Ok(outcome) => outcome,
        Err(panicked) => Err(KafkaError::Worker {
            topic: group,
            partition: -1,
            reason: format!("the consumer loop panicked: {panicked}"),
        }),
    }
}

fn own(client: &Client, stall: Duration, stop: &CancellationToken) -> Result<(), KafkaError> {
    let outcome = turn_until_stopped(client, stall, stop);
    client.context().lanes().drain_all();
    // Leaves the group, so that others need not wait for the session to time out.
    client.unsubscribe();
    outcome
}

fn turn_until_stopped(client: &Client, stall: Duration, stop: &CancellationToken) -> Result<(), KafkaError> {
    let mut poll = IDLE_POLL;
    while !stop.is_cancelled() {
        for taken in 0..RECORDS_PER_TURN {
            let wait = if taken == 0 { poll } else { Duration::ZERO };
            match client.poll(wait) {
                None => break,
                Some(Ok(message)) => client.context().lanes().take(&message),
                Some(Err(error)) => judge(error)?,
            }
        }
        let mut lanes = client.context().lanes();
        lanes.hand_over();
        let paused = lanes.regulate(client);
        poll = if paused { PAUSED_POLL } else { IDLE_POLL };
        lanes.watch(Instant::now(), stall)?;
    }
    Ok(())
}

/// Lets pass what the client recovers from by itself.
fn judge(error: ClientError) -> Result<(), KafkaError> {
    match error {
        ClientError::MessageConsumptionFatal(_) => Err(KafkaError::Consume(error)),
        ClientError::MessageConsumption(
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed,
        ) => Err(KafkaError::Consume(error)),
        passing => {
            events::BrokerTrouble { error: &passing }.emit();
            Ok(())
        }
    }
}

type LaneKey = (String, i32);

struct Lane {
    sender: mpsc::Sender<Chunk>,
    pending: Chunk,
    load: Arc<Load>,
    flow: Flow,
    pulse: Arc<Pulse>,
    end: Arc<AtomicI64>,
    drain: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
}

struct Lanes {
    open: HashMap<LaneKey, Lane>,
    worker: Box<dyn Fn(Partition) -> WorkerFuture + Send + Sync>,
    runtime: Handle,
    budget: (usize, usize),
    drain_deadline: Duration,
    failure: Option<KafkaError>,
    /// Where the latest record belonged: they come in runs, and a key for each would be an allocation each.
    latest: LaneKey,
}

impl Lanes {
    fn open(
        &mut self,
        client: &Client,
        topic: &str,
        number: i32,
        committed: Option<Committed>,
        share: usize,
    ) {
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        let load = Arc::new(Load::default());
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let end = Arc::new(AtomicI64::new(0));
        let drain = CancellationToken::new();
        let partition = Partition {
            topic: topic.into(),
            number,
            frontier: Frontier::new(committed.as_ref().map(|committed| committed.offset)),
            committed,
            chunks,
            client: Arc::clone(client),
            pulse: Arc::clone(&pulse),
            end: Arc::clone(&end),
            drain: drain.clone(),
        };
        let lane = Lane {
            sender,
            pending: Chunk::new(Arc::clone(&load)),
            load,
            flow: Flow::new(self.budget.0 / share, self.budget.1 / share),
            pulse,
            end,
            drain,
            worker: self.runtime.spawn((self.worker)(partition)),
        };
        if let Some(former) = self.open.insert((topic.to_owned(), number), lane) {
            former.worker.abort();
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, number) = (message.topic(), message.partition());
        if self.latest.1 != number || self.latest.0 != topic {
            self.latest = (topic.to_owned(), number);
        }
        // A record of a partition that was revoked within this turn belongs to its next owner.
        let Some(lane) = self.open.get_mut(&self.latest) else {
            return;
        };
        lane.pending
            .push(message.offset(), message.key(), message.payload());
        if lane.pending.len() >= CHUNK_RECORDS || lane.pending.bytes() >= CHUNK_BYTES {
            lane.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.open.values_mut().for_each(Lane::hand_over);
    }

    /// Pauses and resumes; true when anything is paused.
    fn regulate(&mut self, client: &Client) -> bool {
        let mut paused = false;
        for ((topic, number), lane) in &mut self.open {
            let (records, bytes) = lane.load.held();
            if let Some(change) = lane.flow.observe(records, bytes) {
                let mut list = TopicPartitionList::with_capacity(1);
                list.add_partition(topic, *number);
                let told = match change {
                    Change::Pause => client.pause(&list),
                    Change::Resume => client.resume(&list),
                };
                if let Err(error) = told {
                    events::BrokerTrouble { error: &error }.emit();
                }
            }
            paused |= lane.flow.is_paused();
        }
        paused
    }

    fn watch(&mut self, now: Instant, stall: Duration) -> Result<(), KafkaError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let over = self
            .open
            .iter()
            .find(|(_, lane)| lane.worker.is_finished())
            .map(|(key, _)| key.clone());
        if let Some(key) = over
            && let Some(lane) = self.open.remove(&key)
        {
            let reason = match self.runtime.block_on(lane.worker) {
                Ok(Ok(())) => "the worker returned although the partition is still assigned".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(panicked) => panicked.to_string(),
            };
            return Err(KafkaError::Worker {
                topic: key.0,
                partition: key.1,
                reason,
            });
        }
        for ((topic, number), lane) in &self.open {
            if let Some(quiet) = lane.pulse.stalled_for(now).filter(|quiet| *quiet >= stall) {
                return Err(KafkaError::Stalled {
                    topic: topic.clone(),
                    partition: *number,
                    seconds: quiet.as_secs(),
                });
            }
        }
        Ok(())
    }

    fn drain_all(&mut self) {
        let lanes = mem::take(&mut self.open);
        self.drain(lanes.into_iter().collect());
    }

    fn drain_some(&mut self, list: &TopicPartitionList) {
        let lanes = list
            .elements()
            .iter()
            .filter_map(|element| {
                let key = (element.topic().to_owned(), element.partition());
                self.open.remove(&key).map(|lane| (key, lane))
            })
            .collect();
        self.drain(lanes);
    }

    fn drain(&self, mut lanes: Vec<(LaneKey, Lane)>) {
        for (_, lane) in &lanes {
            lane.drain.cancel();
        }
        let deadline = tokio::time::Instant::now() + self.drain_deadline;
        for ((topic, number), lane) in &mut lanes {
            let finished = self
                .runtime
                .block_on(async { tokio::time::timeout_at(deadline, &mut lane.worker).await });
            match finished {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    events::DrainedWithError {
                        topic,
                        partition: *number,
                        reason: &error.to_string(),
                    }
                    .emit();
                }
                Ok(Err(panicked)) => {
                    events::DrainedWithError {
                        topic,
                        partition: *number,
                        reason: &panicked.to_string(),
                    }
                    .emit();
                }
                Err(_) => {
                    lane.worker.abort();
                    events::DrainedWithError {
                        topic,
                        partition: *number,
                        reason: "drain deadline",
                    }
                    .emit();
                }
            }
        }
    }
}

impl Lane {
    /// A full channel leaves the chunk where it is; it grows until the budget pauses the partition.
    fn hand_over(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Ok(place) = self.sender.try_reserve() {
            place.send(mem::replace(
                &mut self.pending,
                Chunk::new(Arc::clone(&self.load)),
            ));
        }
    }
}

/// What the client calls back into: assignments open lanes, revocations drain them.
pub(crate) struct Context {
    lanes: Mutex<Lanes>,
    client: OnceLock<Weak<BaseConsumer<Self>>>,
}

impl Context {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let Some(client) = self.client.get().and_then(Weak::upgrade) else {
            return;
        };
        let mut lanes = self.lanes();
        let committed = match committed(consumer, list) {
            Ok(committed) => committed,
            Err(error) => {
                lanes.failure = Some(KafkaError::Consume(error));
                return;
            }
        };
        let share = (lanes.open.len() + list.count()).max(1);
        for element in list.elements() {
            let (topic, number) = (element.topic(), element.partition());
            let committed =
                committed
                    .find_partition(topic, number)
                    .and_then(|element| match element.offset() {
                        Offset::Offset(offset) => Some(Committed {
                            offset,
                            metadata: element.metadata().to_owned(),
                        }),
                        _ => None,
                    });
            lanes.open(&client, topic, number, committed, share);
        }
        events::Assigned {
            partitions: list.count(),
        }
        .emit();
    }
}

/// The broker may be electing or restarting just when it assigns; a few seconds settle that.
fn committed(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> Result<TopicPartitionList, ClientError> {
    let mut wanted = TopicPartitionList::with_capacity(list.count());
    for element in list.elements() {
        wanted.add_partition(element.topic(), element.partition());
    }
    let mut tries = 0;
    loop {
        match consumer.committed_offsets(wanted.clone(), COMMITTED_TIMEOUT) {
            Ok(committed) => return Ok(committed),
            Err(error) if tries == COMMITTED_TRIES => return Err(error),
            Err(error) => {
                tries += 1;
                events::BrokerTrouble { error: &error }.emit();
                std::thread::park_timeout(Duration::from_millis(250 * u64::from(tries)));
            }
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        events::client_log(level, facility, message);
    }

    fn error(&self, error: ClientError, _reason: &str) {
        events::BrokerTrouble { error: &error }.emit();
    }

    /// Arrives inside the poll, as often as the client's configuration says.
    fn stats(&self, statistics: Statistics) {
        let lanes = self.lanes();
        for (topic, partitions) in statistics.topics {
            for (number, partition) in partitions.partitions {
                if let Some(lane) = lanes.open.get(&(topic.clone(), number)) {
                    lane.end.store(partition.ls_offset, Ordering::Relaxed);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.assign(consumer, list),
            Rebalance::Revoke(list) => {
                self.lanes().drain_some(list);
                events::Revoked {
                    partitions: list.count(),
                }
                .emit();
            }
            Rebalance::Error(error) => self.lanes().failure = Some(KafkaError::Consume(error.clone())),
        }
    }
}
