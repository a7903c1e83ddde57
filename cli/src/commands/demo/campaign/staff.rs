//! The people of a demo: they sign in, stay signed in, and wrap their calls up.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;
use voice_dialer::agents::{self, Input};
use voice_lifecycle::SharedClock;
use voice_postgres::Database;
use voice_schemas::{
    AgentId, CampaignId, TenantId,
    events::{agent::AgentStatus, call::AgentKind},
};

const LOOK: Duration = Duration::from_millis(250);
const HEARTBEAT: TimeDelta = TimeDelta::seconds(4);
const LEASE: TimeDelta = TimeDelta::seconds(15);
/// Whoever has not finished up by then is taken for finished.
const WRAP: TimeDelta = TimeDelta::seconds(6);

/// What they have done so far, in agents times seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worked {
    /// Reserved or on a call.
    pub talking: f64,
    /// Finishing up.
    pub wrapping: f64,
    /// Waiting for a call.
    pub waiting: f64,
}

impl Worked {
    /// The share of their time they were not waiting.
    pub fn utilisation(&self) -> f64 {
        let all = self.talking + self.wrapping + self.waiting;
        if all > 0.0 {
            (self.talking + self.wrapping) / all
        } else {
            0.0
        }
    }
}

/// Everybody who works for a campaign.
#[derive(Clone)]
pub struct Staff {
    database: Database,
    tenant: TenantId,
    campaign: CampaignId,
    people: Arc<[AgentId]>,
    clock: SharedClock,
    worked: Arc<Mutex<Worked>>,
    /// There is somebody left to call: waiting is lost time.
    pub busy_times: Arc<AtomicBool>,
}

impl Staff {
    /// Signs so many people up, and in.
    pub async fn sign_in(
        database: Database,
        tenant: TenantId,
        campaign: CampaignId,
        count: u32,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let people: Arc<[AgentId]> = (0..count).map(|_| AgentId::random()).collect();
        let now = clock.now();
        let mut tx = database.tenant(tenant).await?;
        for agent in people.iter() {
            agents::sign_up(&mut tx, *agent, AgentKind::Human, WRAP, now).await?;
        }
        let input = Input::SignIn {
            works_for: (campaign, 0),
            lease_until: now + LEASE,
        };
        let inputs: Vec<_> = people.iter().map(|agent| (*agent, input.clone())).collect();
        agents::apply(&mut tx, &inputs, now).await?;
        tx.commit().await?;
        Ok(Self {
            database,
            tenant,
            campaign,
            people,
            clock,
            worked: Arc::default(),
            busy_times: Arc::default(),
        })
    }

    /// What they have done while there was somebody left to call.
    pub fn worked(&self) -> Worked {
        *self.worked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until `stop`, then signs out.
    pub async fn work(self, seed: u64, stop: CancellationToken) -> anyhow::Result<()> {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x7374_6166);
        // When each finishes up with the call they had.
        let mut finishes: HashMap<AgentId, DateTime<Utc>> = HashMap::new();
        let mut beaten = self.clock.now();
        let mut looked = self.clock.now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.clock.now();
            let mut tx = self.database.tenant(self.tenant).await?;
            let rows = agents::of_shard(&mut tx, self.campaign, 0).await?;
            let mut inputs = Vec::new();
            let mut doing = Worked::default();
            for agent in &rows {
                match agent.state.status {
                    AgentStatus::WrapUp => {
                        doing.wrapping += 1.0;
                        let took = TimeDelta::milliseconds(chance.random_range(700..3_000));
                        let finished = *finishes.entry(agent.id).or_insert(agent.state.since + took);
                        if finished <= now {
                            inputs.push((agent.id, Input::Finish));
                        }
                    }
                    status => {
                        finishes.remove(&agent.id);
                        match status {
                            AgentStatus::Reserved | AgentStatus::OnCall => doing.talking += 1.0,
                            AgentStatus::Available => doing.waiting += 1.0,
                            _ => {}
                        }
                    }
                }
            }
            if now - beaten >= HEARTBEAT {
                beaten = now;
                let lease_until = now + LEASE;
                inputs.extend(
                    self.people
                        .iter()
                        .map(|agent| (*agent, Input::Heartbeat { lease_until })),
                );
            }
            if !inputs.is_empty() {
                agents::apply(&mut tx, &inputs, now).await?;
            }
            tx.commit().await?;
            self.count_time(&doing, now - looked);
            looked = now;
        }
        let now = self.clock.now();
        let out = Input::Choose {
            status: AgentStatus::Offline,
            reason: None,
        };
        let inputs: Vec<_> = self.people.iter().map(|agent| (*agent, out.clone())).collect();
        let mut tx = self.database.tenant(self.tenant).await?;
        agents::apply(&mut tx, &inputs, now).await?;
        tx.commit().await?;
        Ok(())
    }

    fn count_time(&self, doing: &Worked, span: TimeDelta) {
        if !self.busy_times.load(Ordering::Relaxed) {
            return;
        }
        let seconds = span.as_seconds_f64();
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        worked.talking += doing.talking * seconds;
        worked.wrapping += doing.wrapping * seconds;
        worked.waiting += doing.waiting * seconds;
    }
}
