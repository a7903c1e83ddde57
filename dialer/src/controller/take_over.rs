//! Taking a shard over: everything its owner has to know, out of Postgres.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::DateTime;
use voice_pacing::{Jurisdiction, Pacer};

use super::{
    act::inherited,
    dial::announcement,
    look::Look,
    shard::{Held, Shard, pacing},
    worker::{ShardKey, Worker},
};
use crate::{
    agents, attempts,
    campaigns::{self, CommandError},
    events::ShardTaken,
    transfers,
};

impl Worker {
    /// Becomes the owner of a shard, and reads all there is to know of it.
    pub(super) async fn take_over(&mut self, key: ShardKey) -> Result<(), CommandError> {
        let (tenant, campaign, number) = key;
        let now = self.now();
        let mut tx = self.deps.database.tenant(tenant).await?;
        let (epoch, pacer) = match campaigns::take_over(&mut tx, campaign, number, now).await {
            // The rows of the shards are made when the campaign starts.
            Err(CommandError::Missing) => return Ok(()),
            taken => taken?,
        };
        let Some(settings) = campaigns::load(&mut tx, campaign).await? else {
            return Ok(());
        };
        let under_way = attempts::open_lines(&mut tx, campaign, number).await?;
        let agents = agents::of_shard(&mut tx, campaign, number).await?;
        let transfers: HashMap<_, _> = transfers::of_shard(&mut tx, campaign, number)
            .await?
            .into_iter()
            .filter_map(|transfer| Some((transfer.attempt, (transfer.id, transfer.place?))))
            .collect();
        tx.commit().await?;
        let strictest = self.deps.gate.jurisdiction(None);
        let lines: HashMap<_, _> = under_way
            .into_iter()
            .map(|line| {
                let mut held = Held::new(line, strictest.clone());
                self.unannounced.extend(announcement(&self.deps, key, &held.line));
                if held.line.agent.is_some() || held.line.bridged.is_some() {
                    held.handled = inherited(&held.line, &agents);
                }
                held.transfer = transfers.get(&held.line.attempt).copied();
                (held.line.attempt, held)
            })
            .collect();
        let config = pacing(&settings);
        // Whose ledgers there are, in the words of the kept state.
        let seen = pacer
            .iter()
            .filter_map(|state| state.get("ledgers")?.as_object())
            .flat_map(|ledgers| ledgers.keys().cloned())
            .chain([strictest])
            .map(Jurisdiction)
            .collect();
        let pacer = pacer
            .and_then(|state| serde_json::from_value(state).ok())
            .and_then(|state| Pacer::resume(config, state).ok())
            .map_or_else(|| Pacer::new(config), Ok)
            .or_else(|_| Pacer::new(voice_pacing::Config::default()))
            .map_err(|_| voice_postgres::Error::Unreadable {
                column: "campaigns.dialling_mode",
            })?;
        ShardTaken {
            campaign,
            shard: number,
            epoch,
            lines: lines.len(),
        }
        .emit();
        self.shards.insert(
            key,
            Shard {
                campaign: Arc::new(settings),
                number,
                epoch,
                lines,
                ended: HashMap::new(),
                agents: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
                guests: BTreeMap::new(),
                seen,
                pacer,
                clocks: HashMap::new(),
                claiming: 0,
                look: Look::default(),
                rest_until: now,
                agents_seen: 0,
                refreshed: now,
                previews_read: DateTime::UNIX_EPOCH,
                previews_seen: 0,
                owed: 0,
            },
        );
        Ok(())
    }

    /// Reads changed settings again.
    pub(super) async fn reload(&mut self, key: ShardKey) -> Result<(), CommandError> {
        let mut tx = self.deps.database.tenant(key.0).await?;
        let settings = campaigns::load(&mut tx, key.1).await?;
        tx.commit().await?;
        if let (Some(shard), Some(settings)) = (self.shards.get_mut(&key), settings) {
            let changed = pacing(&settings) != pacing(&shard.campaign);
            if changed && let Ok(pacer) = Pacer::resume(pacing(&settings), shard.pacer.state().clone()) {
                shard.pacer = pacer;
            }
            shard.campaign = Arc::new(settings);
            shard.rest_until = DateTime::UNIX_EPOCH;
        }
        Ok(())
    }
}
