//! Answering agents in preview: finding them a contact, dialling it when they say so, letting offers lapse.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    claims::{give_back, granted},
    worker::{ShardKey, Worker},
};
use crate::{
    campaigns::Mode,
    events::Postponed,
    preview::{self, Offer, State},
    selection::{Accepted, ClaimError, accept, offer},
};

/// Offers are read when agents changed somewhere, and at the latest after this.
const READ_ANYWAY: TimeDelta = TimeDelta::seconds(1);
/// Contacts looked at for one offer.
const LOOK: u32 = 32;
/// A reservation outlives the ringing by this.
const MARGIN: TimeDelta = TimeDelta::seconds(20);

impl Worker {
    /// Answers every question and decision of agents in preview.
    pub(super) async fn answer_previews(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        let keys: Vec<ShardKey> = self
            .shards
            .iter()
            .filter(|(key, shard)| shard.campaign.mode == Mode::Preview && listing.dials(key.0, key.1))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let Some(shard) = self.shards.get_mut(&key) else {
                continue;
            };
            if shard.previews_seen == listing.agents_changed && now - shard.previews_read < READ_ANYWAY {
                continue;
            }
            shard.previews_seen = listing.agents_changed;
            shard.previews_read = now;
            match self.waiting(key).await {
                Ok(offers) => {
                    for offer in offers {
                        self.answer_preview(key, &offer, now).await;
                    }
                }
                Err(error) => postponed("reading what agents in preview want", &error),
            }
        }
    }

    async fn waiting(&self, key: ShardKey) -> Result<Vec<Offer>, voice_postgres::Error> {
        let mut tx = self.deps.database.tenant(key.0).await?;
        let offers = preview::waiting(&mut tx, key.1, key.2).await?;
        tx.commit().await?;
        Ok(offers)
    }

    async fn answer_preview(&mut self, key: ShardKey, asked: &Offer, now: DateTime<Utc>) {
        let over = asked.until.is_some_and(|until| until <= now);
        match asked.state {
            _ if over => {
                let lapse = async {
                    let mut tx = self.deps.database.tenant(key.0).await?;
                    let reasons = ["no_answer_in_time".to_owned()];
                    preview::close(&mut tx, asked, State::Lapsed, &reasons, now).await?;
                    tx.commit().await
                };
                if let Err(error) = lapse.await {
                    postponed("letting an offer lapse", &error);
                }
            }
            State::Asked => {
                let Some(shard) = self.shards.get(&key) else {
                    return;
                };
                let order = shard.order(1, LOOK, BTreeSet::new());
                let gate = self.deps.gate.as_ref();
                if let Err(error) = offer(&self.deps.database, gate, &order, asked, &mut self.rng, now).await
                {
                    self.not_claimed(key, &error, now);
                }
            }
            State::Accepted => self.dial_accepted(key, asked, now).await,
            _ => {}
        }
    }

    async fn dial_accepted(&mut self, key: ShardKey, accepted: &Offer, now: DateTime<Utc>) {
        let open = self.open_accounts(key, now);
        let Some(shard) = self.shards.get(&key) else {
            return;
        };
        if shard.campaign.shadow {
            return;
        }
        let mut granted = granted(&self.deps, key.0, &open, 1, now).await;
        let order = shard.order(1, 1, granted.keys().copied().collect());
        let (gate, until) = (self.deps.gate.as_ref(), now + order.campaign.ring + MARGIN);
        let result: Result<Accepted, ClaimError> = accept(
            &self.deps.database,
            gate,
            &order,
            accepted,
            &mut self.rng,
            until,
            now,
        )
        .await;
        if let Ok(Accepted::Dial(claimed)) = &result {
            granted.retain(|account, _| claimed.dials.iter().all(|dial| dial.account != *account));
        }
        give_back(&self.deps, key.0, granted, now);
        match result {
            Ok(Accepted::Dial(claimed)) => {
                // Who answers is theirs: the reservation has to be known before the call can be.
                self.read_agents(key, now).await;
                self.start(key, &order.campaign, *claimed, now);
            }
            Ok(Accepted::Refused) => {}
            Ok(Accepted::Later) => {
                // No account had a dial left: looked at again at the next tick.
                if let Some(shard) = self.shards.get_mut(&key) {
                    shard.previews_read = DateTime::UNIX_EPOCH;
                }
            }
            Err(error) => self.not_claimed(key, &error, now),
        }
    }
}

fn postponed(work: &'static str, error: &voice_postgres::Error) {
    Postponed {
        work,
        kind: error.kind(),
        error,
    }
    .emit();
}
