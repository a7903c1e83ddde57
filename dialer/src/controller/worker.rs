//! The loop of one partition.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use voice_kafka::{
    KafkaError, Producer,
    consumer::{Chunk, Partition, Received, WorkerError},
};
use voice_lifecycle::SharedClock;
use voice_postgres::Database;
use voice_schemas::{
    AgentId, CampaignId, TenantId, TransferId,
    events::{call::CallEvent, campaign::CampaignStatus},
};
use voice_telemetry::{Emit as _, Metrics};
use voice_telephony::{ContextKeys, media::StreamUrls};

use super::{claims::Claimed, directory::Listings, hear::Late, shard::Shard};
use crate::{
    Config, agents, attempts,
    campaigns::{self, CommandError},
    events::{LINES, Postponed, SHARDS, Ticked},
    gate::Gate,
    origination::{
        carriers::{Lines, Placing},
        cps::Purse,
    },
    shards,
};

/// Committed at most this often; what is read again after a crash is applied again without effect.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Ends are written at the tick, or when so many wait.
const BATCH: usize = 500;
const AGAIN: Duration = Duration::from_millis(300);
/// Requests under way may take so long after the partition was taken away.
const LAST_ANSWERS: Duration = Duration::from_secs(12);
/// An agent view is not read more often than this.
pub(super) const REFRESH: TimeDelta = TimeDelta::milliseconds(200);
const REFRESH_ANYWAY: TimeDelta = TimeDelta::seconds(2);
/// The list of legs to look after is some seconds old.
pub(super) const MIND_AGAIN: TimeDelta = TimeDelta::milliseconds(2_500);
const ANSWERS_WAITING: usize = 4_096;

/// What workers need from outside.
#[derive(Clone)]
pub struct Deps {
    /// Where everything stands.
    pub database: Database,
    /// Where events go.
    pub producer: Producer,
    /// The names of topics.
    pub kafka: voice_kafka::Config,
    /// How many partitions `calls.events` has.
    pub partitions: u32,
    /// Accounts calls can be placed through.
    pub lines: Arc<RwLock<Arc<Lines>>>,
    /// Seals what comes back with webhooks.
    pub context: Arc<ContextKeys>,
    /// Where calls talk to AI agents.
    pub streams: StreamUrls,
    /// The law.
    pub gate: Arc<dyn Gate>,
    /// What is known of campaigns.
    pub listings: Listings,
    /// Dials taken out of the accounts' buckets.
    pub purse: Arc<Mutex<Purse>>,
    /// Requests under way.
    pub requests: Arc<Semaphore>,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Metrics,
    /// Settings.
    pub config: Config,
}

/// What a carrier answered, on its way back to the worker.
pub(super) struct Reply {
    pub(super) owner: ShardKey,
    pub(super) attempt: voice_schemas::AttemptId,
    pub(super) placing: Placing,
    /// Nobody was asked: the campaign was paused meanwhile.
    pub(super) withheld: bool,
}

pub(super) type ShardKey = (TenantId, CampaignId, u16);

/// One partition's worker.
pub(super) struct Worker {
    pub(super) deps: Deps,
    pub(super) number: i32,
    pub(super) shards: BTreeMap<ShardKey, Shard>,
    pub(super) replies: mpsc::Sender<Reply>,
    /// Claims under way, and whose.
    pub(super) claims: JoinSet<Claimed>,
    pub(super) claiming: BTreeSet<TenantId>,
    /// Grows with every look at who is to be dialled.
    pub(super) turn: usize,
    pub(super) rng: StdRng,
    /// Ends that are not written yet.
    pub(super) ends: Vec<attempts::Concluded>,
    /// Tenants of `ends`, in their order.
    pub(super) end_owners: Vec<ShardKey>,
    /// Events about attempts nobody holds in memory.
    pub(super) late: Late,
    /// Lines that had ended and of which more is known now, not written yet.
    pub(super) afterwards: Vec<(TenantId, attempts::Line)>,
    /// Attempts whose `attempt.dialled` is not confirmed.
    pub(super) unannounced: Vec<voice_kafka::OutboundRecord>,
    /// Somebody answered, or the detector spoke.
    pub(super) urgent: bool,
    /// People who want no more calls, not written yet.
    pub(super) opt_outs: Vec<super::hear::OptOut>,
    /// Events of legs of agents, not written yet.
    pub(super) leg_news: Vec<(TenantId, AgentId, CallEvent)>,
    /// When each of them was last looked after.
    pub(super) minded: HashMap<AgentId, DateTime<Utc>>,
    /// What has to happen to agents.
    pub(super) agent_inputs: Vec<super::hear::AgentInput>,
    /// Transfers whose call has ended, not written yet.
    pub(super) handed_over: Vec<(TenantId, TransferId)>,
    reconciled: DateTime<Utc>,
    /// What pacing learnt, being written.
    keeping: JoinHandle<()>,
    /// When each campaign was last asked whether it is done.
    pub(super) asked_done: HashMap<CampaignId, DateTime<Utc>>,
}

/// Runs the partition until it is taken away.
///
/// # Errors
/// When the partition cannot be committed for another reason than a broker that is away.
pub async fn run(deps: Deps, mut partition: Partition) -> Result<(), WorkerError> {
    let (replies, mut answers) = mpsc::channel(ANSWERS_WAITING);
    let now = deps.clock.now();
    let mut worker = Worker {
        number: partition.number(),
        shards: BTreeMap::new(),
        replies,
        claims: JoinSet::new(),
        claiming: BTreeSet::new(),
        turn: 0,
        rng: StdRng::from_rng(&mut rand::rng()),
        ends: Vec::new(),
        end_owners: Vec::new(),
        late: Late::default(),
        afterwards: Vec::new(),
        unannounced: Vec::new(),
        opt_outs: Vec::new(),
        leg_news: Vec::new(),
        minded: HashMap::new(),
        agent_inputs: Vec::new(),
        handed_over: Vec::new(),
        urgent: false,
        reconciled: now,
        keeping: tokio::spawn(async {}),
        asked_done: HashMap::new(),
        deps,
    };
    let tick = Duration::from_millis(worker.deps.config.tick_ms);
    let mut next_tick = Instant::now();
    let mut committed = Instant::now();
    let mut open: Option<(i64, i64)> = None;
    // Read anew and not from the listing, which may be older than what the owner before us dialled.
    if !worker.first_look(&partition).await {
        return Ok(());
    }
    loop {
        let chunk = tokio::select! {
            biased;
            Some(reply) = answers.recv() => {
                worker.take_reply(reply);
                while let Ok(reply) = answers.try_recv() {
                    worker.take_reply(reply);
                }
                None
            }
            Some(claimed) = worker.claims.join_next() => {
                worker.take_claimed(claimed?);
                None
            }
            received = partition.recv_until(next_tick) => match received {
                Received::Chunk(chunk) => Some(chunk),
                Received::Deadline => None,
                Received::Drain => break,
            },
        };
        if let Some(chunk) = &chunk {
            if !worker.adopted(&partition).await {
                break;
            }
            worker.hear(chunk);
            open = span(open, chunk);
        }
        // Whoever answered does not wait for the tick.
        if std::mem::take(&mut worker.urgent) {
            worker.handle_answers(worker.now()).await;
        }
        let due = Instant::now() >= next_tick;
        let pressing = !worker.opt_outs.is_empty() || !worker.leg_news.is_empty();
        if due || worker.ends.len() >= BATCH || pressing {
            if !worker.settle(&partition).await? {
                break;
            }
            if let Some((first, last)) = open.take() {
                partition.finish(first, last);
            }
        }
        if due {
            let began = Instant::now();
            let listing = Arc::clone(&worker.deps.listings.borrow());
            let _tried_again_at_the_next_tick = worker.adopt(&listing).await;
            worker.tick().await;
            Ticked {
                took: began.elapsed(),
            }
            .emit(&worker.deps.metrics);
            next_tick = Instant::now() + tick;
        }
        if committed.elapsed() >= COMMIT_EVERY && partition.position().is_some() {
            commit(&partition).await?;
            committed = Instant::now();
        }
    }
    worker.leave(&partition, &mut answers).await;
    if partition.position().is_some() {
        commit(&partition).await?;
    }
    Ok(())
}

fn span(open: Option<(i64, i64)>, chunk: &Chunk) -> Option<(i64, i64)> {
    let offsets = || chunk.records().map(|record| record.offset);
    let (first, last) = (offsets().min()?, offsets().max()?);
    Some(open.map_or((first, last), |(earlier, _)| (earlier, last)))
}

/// A broker that is away is asked again later; a partition that is another's is left as it is.
async fn commit(partition: &Partition) -> Result<(), WorkerError> {
    match partition.commit(0, String::new()).await {
        Ok(()) | Err(KafkaError::Fenced { .. } | KafkaError::Commit { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn postponed(error: &CommandError) {
    Postponed {
        work: "taking a campaign shard over",
        kind: error.kind(),
        error,
    }
    .emit();
}

impl Worker {
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.deps.clock.now()
    }

    /// Takes over what is keyed to this partition, before the first record is taken; false when the partition goes
    /// meanwhile.
    async fn first_look(&mut self, partition: &Partition) -> bool {
        loop {
            let looked = match campaigns::live(&self.deps.database).await {
                Ok((live, _)) => {
                    let campaigns = live.into_iter().map(|live| (live.id, live)).collect();
                    let listing = super::Listing {
                        campaigns,
                        ..super::Listing::default()
                    };
                    self.adopt(&listing).await
                }
                Err(error) => {
                    postponed(&error.into());
                    false
                }
            };
            if looked {
                return true;
            }
            if !self.pause(partition).await {
                return false;
            }
        }
    }

    /// Takes over whatever is ours and new. Records wait for it: events of a shard nobody holds would pass unheard.
    async fn adopted(&mut self, partition: &Partition) -> bool {
        loop {
            let listing = Arc::clone(&self.deps.listings.borrow());
            if self.adopt(&listing).await {
                return true;
            }
            if !self.pause(partition).await {
                return false;
            }
        }
    }

    /// Waits a moment; false when the partition goes.
    async fn pause(&self, partition: &Partition) -> bool {
        partition.waiting();
        tokio::select! {
            biased;
            () = partition.draining().cancelled() => false,
            () = tokio::time::sleep(AGAIN) => true,
        }
    }

    /// Takes over shards that are keyed to this partition and not run here yet; reads changed settings again; drops
    /// what is over. False when that did not work out for all of them.
    async fn adopt(&mut self, listing: &super::Listing) -> bool {
        let mut all = true;
        let mut wanted = Vec::new();
        for live in listing.campaigns.values() {
            for shard in 0..live.shards {
                if shards::partition(live.id, shard, self.deps.partitions) != self.number {
                    continue;
                }
                let key = (live.tenant, live.id, shard);
                let known = self.shards.get(&key).map(|shard| shard.campaign.version);
                let new = known.is_none() && live.status != CampaignStatus::Scheduled;
                if new || known.is_some_and(|version| version < live.version) {
                    wanted.push((key, new));
                }
            }
        }
        for (key, new) in wanted {
            let done = if new {
                self.take_over(key).await
            } else {
                self.reload(key).await
            };
            if let Err(error) = done {
                postponed(&error);
                all = false;
            }
        }
        let mut lines = 0;
        self.shards.retain(|(tenant, campaign, _), shard| {
            lines += shard.lines.len();
            let busy = !shard.lines.is_empty() || !shard.ended.is_empty() || self.claiming.contains(tenant);
            busy || listing.campaigns.contains_key(campaign)
        });
        #[allow(clippy::cast_precision_loss)]
        {
            self.deps.metrics.gauge(&SHARDS).set((), self.shards.len() as f64);
            self.deps.metrics.gauge(&LINES).set((), lines as f64);
        }
        all
    }

    /// Writes what was heard, as often as it takes; false when the partition goes meanwhile.
    ///
    /// # Errors
    /// When a store refuses for good: then the partition must not look as if it were served.
    async fn settle(&mut self, partition: &Partition) -> Result<bool, WorkerError> {
        loop {
            match self.flush().await {
                Ok(()) => return Ok(true),
                Err(error) if !error.is_transient() => return Err(error.into()),
                Err(error) => {
                    Postponed {
                        work: "writing what became of attempts",
                        kind: error.kind(),
                        error: &error,
                    }
                    .emit();
                    if !self.pause(partition).await {
                        return Ok(false);
                    }
                }
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.now();
        self.refresh_agents(now).await;
        self.handle_answers(now).await;
        self.mind_transfers(now).await;
        self.close_the_silent(now);
        self.mind_legs(now).await;
        self.leave_nobody_alone(now);
        self.ask_about_the_overdue(now);
        if now - self.reconciled >= TimeDelta::milliseconds(self.deps.config.reconcile_ms) {
            self.reconciled = now;
            self.reconcile_agents(now).await;
            self.lend_agents(now).await;
            self.keep_pacers();
            self.complete_campaigns(now).await;
        }
        self.answer_previews(now).await;
        self.claim(now);
    }

    async fn refresh_agents(&mut self, now: DateTime<Utc>) {
        let changed = self.deps.listings.borrow().agents_changed;
        let due: Vec<ShardKey> = self
            .shards
            .iter()
            .filter(|(_, shard)| {
                let since = now - shard.refreshed;
                shard.campaign.needs_people()
                    && since >= REFRESH
                    && (shard.agents_seen != changed || since >= REFRESH_ANYWAY)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.read_agents(key, now).await;
        }
    }

    /// Reads how the agents of a shard stand.
    pub(super) async fn read_agents(&mut self, key: ShardKey, now: DateTime<Utc>) {
        let changed = self.deps.listings.borrow().agents_changed;
        let read = async {
            let mut tx = self.deps.database.tenant(key.0).await?;
            let agents = agents::of_shard(&mut tx, key.1, key.2).await?;
            tx.commit().await?;
            Ok::<_, voice_postgres::Error>(agents)
        };
        match (read.await, self.shards.get_mut(&key)) {
            (Ok(agents), Some(shard)) => {
                let here: BTreeSet<_> = agents.iter().map(|agent| agent.id).collect();
                shard.agents.retain(|id, _| here.contains(id));
                shard.see(agents.into_iter(), now);
                shard.agents_seen = changed;
                shard.refreshed = now;
            }
            (Err(error), _) => Postponed {
                work: "reading agents",
                kind: error.kind(),
                error: &error,
            }
            .emit(),
            (Ok(_), None) => {}
        }
    }

    /// Keeps what pacing learnt, beside the loop: the rows may be locked by a claim.
    fn keep_pacers(&mut self) {
        if !self.keeping.is_finished() {
            return;
        }
        let learnt = self.shards.iter().filter_map(|(key, shard)| {
            let state = serde_json::to_value(shard.pacer.state()).ok()?;
            Some((*key, shard.epoch, state))
        });
        self.keeping = tokio::spawn(keep(self.deps.database.clone(), learnt.collect()));
    }

    fn requesting(&self) -> bool {
        let mut lines = self.shards.values().flat_map(|shard| shard.lines.values());
        lines.any(|held| held.requesting)
    }

    /// The partition goes: no more dials; claims and requests under way are waited for, what is known is written.
    async fn leave(&mut self, partition: &Partition, answers: &mut mpsc::Receiver<Reply>) {
        let deadline = Instant::now() + LAST_ANSWERS;
        while !self.claiming.is_empty() || self.requesting() {
            let answered = tokio::select! {
                Some(reply) = answers.recv() => {
                    self.take_reply(reply);
                    true
                }
                Some(Ok(claimed)) = self.claims.join_next() => {
                    self.take_claimed(claimed);
                    true
                }
                () = tokio::time::sleep_until(deadline) => false,
            };
            if !answered {
                break;
            }
        }
        // What cannot be written now is read again by the next owner, or was never finished.
        if let Err(error) = self.flush().await {
            Postponed {
                work: "writing what became of attempts",
                kind: error.kind(),
                error: &error,
            }
            .emit();
        }
        let _kept = (&mut self.keeping).await;
        self.keep_pacers();
        let _kept = (&mut self.keeping).await;
        partition.waiting();
    }
}

/// One shard after the other: nobody holds one row and waits for the next.
async fn keep(database: Database, learnt: Vec<(ShardKey, u64, serde_json::Value)>) {
    for ((tenant, campaign, number), epoch, state) in learnt {
        let keep = async {
            let mut tx = database.tenant(tenant).await?;
            campaigns::keep_pacer(&mut tx, campaign, number, epoch, &state).await?;
            tx.commit().await?;
            Ok::<_, CommandError>(())
        };
        if let Err(error) = keep.await {
            Postponed {
                work: "keeping what pacing learnt",
                kind: error.kind(),
                error: &error,
            }
            .emit();
        }
    }
}
