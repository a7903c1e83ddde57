//! Claiming contacts as pacing wishes: all shards of a tenant together, beside the loop, one claim at a time.
//!
//! The loop never waits for a claim: whoever answers meanwhile is decided about at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::PoisonError,
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{SeedableRng as _, rngs::StdRng};
use voice_resilience::State;
use voice_schemas::{ProviderAccountId, TenantId};

use super::worker::{Deps, ShardKey, Worker};
use crate::{
    campaigns::Mode,
    events::{CLAIM_SECONDS, Postponed, ShardLost},
    origination::cps,
    selection::{Claim, ClaimError, Order, Orders, claim},
};

/// A hopper with nobody due is looked into again after this.
const REST: TimeDelta = TimeDelta::seconds(1);
/// A campaign that does not dial is asked about again after this; the listing will say why in a moment.
const STOPPED: TimeDelta = TimeDelta::milliseconds(200);

/// What a claim for shards of one tenant came to.
pub(super) struct Claimed {
    tenant: TenantId,
    orders: Vec<Order>,
    /// One for each order; none at all when no account had a dial left.
    result: Result<Vec<Result<Claim, ClaimError>>, ClaimError>,
}

impl Worker {
    /// Claims for every shard that wants dials and whose tenant has no claim under way.
    pub(super) fn claim(&mut self, now: DateTime<Utc>) {
        let mut wishes: BTreeMap<TenantId, Vec<Order>> = BTreeMap::new();
        let mut keys: Vec<ShardKey> = self.shards.keys().copied().collect();
        // What one transaction may claim is shared: another shard is the first each time.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % keys.len().max(1);
        keys.rotate_left(first);
        for key in keys {
            if self.claiming.contains(&key.0) {
                continue;
            }
            let left = wishes.get(&key.0).map_or(self.deps.config.claim, |orders| {
                let wanted = orders.iter().map(|order| order.want).sum();
                self.deps.config.claim.saturating_sub(wanted)
            });
            if let Some(order) = self.wish(key, left, now) {
                wishes.entry(key.0).or_default().push(order);
            }
        }
        for (tenant, orders) in wishes {
            self.claiming.insert(tenant);
            let deps = self.deps.clone();
            let rng = StdRng::from_rng(&mut self.rng);
            self.claims.spawn(together(deps, tenant, orders, rng, now));
        }
    }

    /// What pacing wishes for a shard, `left` dials at most.
    fn wish(&mut self, key: ShardKey, left: u32, now: DateTime<Utc>) -> Option<Order> {
        let paused = !self.deps.listings.borrow().dials(key.0, key.1);
        let shard = self.shards.get(&key)?;
        // In preview an agent asks for the call.
        if paused || shard.campaign.mode == Mode::Preview || shard.rest_until > now {
            return None;
        }
        let accounts = self.open_accounts(key, now);
        let shard = self.shards.get_mut(&key)?;
        let jurisdictions = shard.jurisdictions(now);
        let mut zones = shard.clocks.keys().copied();
        let law = (self.deps.gate).closes(&shard.campaign, &jurisdictions, &mut zones, now);
        let snapshot = shard.snapshot(paused, law, now);
        let wanted = shard.pacer.decide(&snapshot, &jurisdictions, now.into()).dials;
        let want = u32::try_from(wanted).unwrap_or(u32::MAX).min(left);
        if want == 0 || (accounts.is_empty() && !shard.campaign.shadow) {
            return None;
        }
        shard.claiming = usize::try_from(want).unwrap_or(usize::MAX);
        Some(shard.order(want, shard.look.far(want), accounts))
    }

    /// Accounts a call of the shard may go through: they work, and somebody can take calls of theirs.
    pub(super) fn open_accounts(&self, key: ShardKey, now: DateTime<Utc>) -> BTreeSet<ProviderAccountId> {
        let Some(shard) = self.shards.get(&key) else {
            return BTreeSet::new();
        };
        crate::app::lines(&self.deps.lines)
            .iter()
            .filter(|((owner, _), line)| *owner == key.0 && !matches!(line.breaker.state(), State::Open))
            .map(|((_, account), _)| *account)
            .filter(|account| shard.serves(*account, now))
            .collect()
    }

    /// Takes on what was claimed, and asks the carriers.
    pub(super) fn take_claimed(&mut self, claimed: Claimed) {
        let now = self.now();
        self.claiming.remove(&claimed.tenant);
        for order in &claimed.orders {
            if let Some(shard) = self.shards.get_mut(&order.key()) {
                shard.claiming = 0;
            }
        }
        let claims = match claimed.result {
            Ok(claims) => claims,
            Err(error) => {
                postponed(&error);
                if matches!(error, ClaimError::Unconfirmed(_)) {
                    // Whether it was committed stands in Postgres: start again from there.
                    for order in &claimed.orders {
                        self.shards.remove(&order.key());
                    }
                }
                return;
            }
        };
        for (order, claim) in claimed.orders.iter().zip(claims) {
            let key = order.key();
            // Whoever took the shard over since, here or elsewhere, has read these attempts.
            let Some(shard) = (self.shards.get_mut(&key)).filter(|shard| shard.epoch == order.epoch) else {
                continue;
            };
            match claim {
                Ok(claim) => {
                    shard.look.learn(&claim);
                    let nobody = claim.dials.is_empty() && (claim.looked_at == 0 || claim.no_number > 0);
                    if nobody {
                        shard.rest_until = now + REST;
                    }
                    self.start(key, &order.campaign, claim, now);
                }
                Err(error) => self.not_claimed(key, &error, now),
            }
        }
    }

    /// What a refused claim means for its shard.
    pub(super) fn not_claimed(&mut self, key: ShardKey, error: &ClaimError, now: DateTime<Utc>) {
        match error {
            // Somebody else runs it: nothing of it is ours to write any more.
            ClaimError::Fenced => {
                self.shards.remove(&key);
                ShardLost {
                    campaign: key.1,
                    shard: key.2,
                }
                .emit();
            }
            ClaimError::NotDialling => {
                if let Some(shard) = self.shards.get_mut(&key) {
                    shard.rest_until = now + STOPPED;
                }
            }
            ClaimError::Database(_) => postponed(error),
            ClaimError::Unconfirmed(_) => {
                self.shards.remove(&key);
                postponed(error);
            }
        }
    }
}

impl Order {
    fn key(&self) -> ShardKey {
        (self.campaign.tenant, self.campaign.id, self.shard)
    }
}

fn postponed(error: &ClaimError) {
    Postponed {
        work: "claiming contacts",
        kind: match error {
            ClaimError::Fenced => "fenced",
            ClaimError::NotDialling => "not_dialling",
            ClaimError::Database(error) | ClaimError::Unconfirmed(error) => error.kind(),
        },
        error,
    }
    .emit();
}

/// The claim itself, with the dials it needs; what is left of those goes back.
async fn together(
    deps: Deps,
    tenant: TenantId,
    orders: Vec<Order>,
    mut rng: StdRng,
    now: DateTime<Utc>,
) -> Claimed {
    let dialling = || orders.iter().filter(|order| !order.campaign.shadow);
    let want = dialling().map(|order| order.want).sum();
    let accounts = dialling()
        .flat_map(|order| order.accounts.iter().copied())
        .collect();
    let mut granted = granted(&deps, tenant, &accounts, want, now).await;
    let idle = granted.is_empty() && dialling().count() == orders.len();
    let result = if idle {
        Ok(Vec::new())
    } else {
        let began = std::time::Instant::now();
        let asked = Orders {
            tenant,
            shards: &orders,
            accounts: &granted,
            gate: deps.gate.as_ref(),
        };
        let result = claim(&deps.database, asked, &mut rng, now).await;
        let took = deps.metrics.histogram(&CLAIM_SECONDS);
        took.observe_duration((), began.elapsed());
        result
    };
    let claims = result.iter().flatten().flatten();
    for dial in claims.flat_map(|claim| &claim.dials) {
        if let Some(left) = granted.get_mut(&dial.account) {
            *left = left.saturating_sub(1);
        }
    }
    give_back(&deps, tenant, granted, now);
    Claimed {
        tenant,
        orders,
        result,
    }
}

/// Takes dials of each account out of what this process holds, and out of the bucket what is short.
pub(super) async fn granted(
    deps: &Deps,
    tenant: TenantId,
    accounts: &BTreeSet<ProviderAccountId>,
    want: u32,
    now: DateTime<Utc>,
) -> HashMap<ProviderAccountId, u32> {
    let mut granted = HashMap::new();
    for account in accounts {
        let (held, may_ask) = {
            let mut purse = deps.purse.lock().unwrap_or_else(PoisonError::into_inner);
            (
                purse.take(tenant, *account, want, now),
                purse.may_ask(tenant, *account, now),
            )
        };
        let mut dials = held;
        if held < want && may_ask {
            let short = want - held;
            match cps::take(&deps.database, tenant, *account, short, now).await {
                Ok(grant) => {
                    dials += grant.dials;
                    let mut purse = deps.purse.lock().unwrap_or_else(PoisonError::into_inner);
                    purse.asked(tenant, *account, short, grant, now);
                }
                Err(error) => Postponed {
                    work: "taking dials out of an account's bucket",
                    kind: error.kind(),
                    error: &error,
                }
                .emit(),
            }
        }
        if dials > 0 {
            granted.insert(*account, dials);
        }
    }
    granted
}

/// Puts back what was not dialled.
pub(super) fn give_back(
    deps: &Deps,
    tenant: TenantId,
    left: HashMap<ProviderAccountId, u32>,
    since: DateTime<Utc>,
) {
    let mut purse = deps.purse.lock().unwrap_or_else(PoisonError::into_inner);
    for (account, dials) in left {
        purse.give_back(tenant, account, dials, since);
    }
}
