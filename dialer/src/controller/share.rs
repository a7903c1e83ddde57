//! Lending agents between shards: those of this process and all others, through Postgres.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::{AgentId, events::agent::AgentStatus};

use super::worker::{ShardKey, Worker};
use crate::{
    agents::{
        self, Input,
        share::{self, Place},
    },
    events::{AGENTS_LENT, Postponed},
};

/// What a shard says of itself is believed for so long.
const FRESH: TimeDelta = TimeDelta::seconds(10);

impl Worker {
    /// Says which shards have somebody to call, and gives agents to those that need them more.
    pub(super) async fn lend_agents(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        let keys: Vec<ShardKey> = self
            .shards
            .iter()
            .filter(|(key, shard)| {
                let shares = shard.campaign.shards > 1 || listing.sharing.contains(&key.1);
                shares && shard.campaign.needs_people() && !shard.campaign.shadow
            })
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let dials = listing.dials(key.0, key.1);
            match self.lend(key, dials, now).await {
                Ok(lent) => {
                    self.deps.metrics.counter(&AGENTS_LENT).add((), lent);
                    if lent > 0 {
                        self.read_agents(key, now).await;
                    }
                }
                Err(error) => Postponed {
                    work: "lending agents",
                    kind: error.kind(),
                    error: &error,
                }
                .emit(),
            }
        }
    }

    async fn lend(
        &mut self,
        key: ShardKey,
        dials: bool,
        now: DateTime<Utc>,
    ) -> Result<u64, voice_postgres::Error> {
        let here: Place = (key.1, key.2);
        let mut tx = self.deps.database.tenant(key.0).await?;
        share::turn(&mut tx).await?;
        share::say_hungry(&mut tx, here, dials, now + FRESH, now).await?;
        let loads = share::loads(&mut tx, now).await?;
        // As they stand now, and not as they were last seen.
        let mut agents = agents::of_shard(&mut tx, key.1, key.2).await?;
        agents.retain(|agent| {
            agent.state.is_leased(now)
                && matches!(
                    agent.state.status,
                    AgentStatus::Available
                        | AgentStatus::Reserved
                        | AgentStatus::OnCall
                        | AgentStatus::WrapUp
                )
        });
        // Those who can go at once first, and of them those who waited longest.
        agents.sort_by_key(|agent| {
            (
                agent.state.status != AgentStatus::Available,
                agent.state.available_since,
                agent.id,
            )
        });
        let ids: Vec<AgentId> = agents.iter().map(|agent| agent.id).collect();
        let assigned = share::assignments(&mut tx, &ids).await?;
        let mine: Vec<(AgentId, Vec<Place>)> = agents
            .iter()
            .map(|agent| (agent.id, places(here, assigned.get(&agent.id), &loads)))
            .collect();
        let wanted = share::moves(here, &mine, &loads);
        let Some(shard) = self.shards.get_mut(&key) else {
            return Ok(0);
        };
        let idle = agents
            .iter()
            .filter(|agent| agent.state.status == AgentStatus::Available)
            .count();
        // Nobody goes who was dialled for.
        let spare = idle.saturating_sub(shard.in_the_air());
        let mut inputs = Vec::new();
        for (id, to) in &wanted {
            let agent = agents.iter().find(|agent| agent.id == *id);
            let Some(agent) = agent.filter(|agent| agent.state.status == AgentStatus::Available) else {
                continue;
            };
            if inputs.len() < spare {
                let epoch = agent.state.epoch;
                let (from, to) = (here, *to);
                inputs.push((*id, Input::Lend { epoch, from, to }));
            }
        }
        shard.owed = wanted.len() - inputs.len();
        let applied = agents::apply(&mut tx, &inputs, now).await?;
        tx.commit().await?;
        let lent = applied.iter().filter(|applied| applied.result.is_ok()).count();
        Ok(u64::try_from(lent).unwrap_or(0))
    }
}

/// Where an agent may work: every shard of the campaign they work for, and of those they are assigned to.
fn places(
    here: Place,
    assigned: Option<&Vec<voice_schemas::CampaignId>>,
    loads: &BTreeMap<Place, share::Load>,
) -> Vec<Place> {
    loads
        .keys()
        .filter(|(campaign, _)| {
            *campaign == here.0 || assigned.is_some_and(|assigned| assigned.contains(campaign))
        })
        .copied()
        .collect()
}
