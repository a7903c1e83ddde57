//! Dialling: how many, whom, and the one request of each attempt.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use voice_kafka::OutboundRecord;
use voice_resilience::State;
use voice_schemas::{EventType, ProviderAccountId, TenantId, events::call::Carrier};
use voice_telemetry::Metrics;
use voice_telephony::{AmdMode, CallContext, Instruction, OriginateRequest, Prompt};

use super::{
    flush::event,
    say::{context, stream},
    shard::Held,
    worker::{Deps, Reply, ShardKey, Worker},
};
use crate::{
    answer::OnMachine,
    attempts::Line as Attempt,
    campaigns::{Campaign, Mode},
    events::{CLAIM_SECONDS, DECISIONS, Decided, Postponed, ShardLost},
    origination::{
        carriers::{Line, Placing, place},
        cps,
    },
    selection::{Claim, ClaimError, Dial, Order, claim},
};

/// Contacts looked at for a single dial, at least.
const LOOK: u32 = 16;
const LOOK_MOST: u32 = 500;
/// How long a carrier may hold a dial back before it rings.
const LONGEST_QUEUE: TimeDelta = TimeDelta::minutes(5);
/// A hopper with nobody due is looked into again after this.
const REST: TimeDelta = TimeDelta::seconds(1);

impl Worker {
    /// Dials for every shard as pacing wishes.
    pub(super) async fn dial(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        let keys: Vec<ShardKey> = self.shards.keys().copied().collect();
        for key in keys {
            let paused = !listing.dials(key.0, key.1);
            let Some(shard) = self.shards.get_mut(&key) else {
                continue;
            };
            // In preview an agent asks for the call.
            if paused || shard.campaign.mode == Mode::Preview || shard.rest_until > now {
                continue;
            }
            let snapshot = shard.snapshot(paused, now);
            let jurisdictions = shard.jurisdictions(now);
            let wanted = shard.pacer.decide(&snapshot, &jurisdictions, now.into()).dials;
            let want = u32::try_from(wanted)
                .unwrap_or(u32::MAX)
                .min(self.deps.config.claim);
            if want > 0 {
                self.dial_some(key, want, now).await;
            }
        }
    }

    async fn dial_some(&mut self, key: ShardKey, want: u32, now: DateTime<Utc>) {
        let Some(shard) = self.shards.get(&key) else {
            return;
        };
        let (campaign, number, epoch) = (Arc::clone(&shard.campaign), shard.number, shard.epoch);
        let look = want.saturating_mul(2).max(LOOK).max(shard.look).min(LOOK_MOST);
        let accounts = if campaign.shadow {
            HashMap::new()
        } else {
            self.accounts(key, want, now).await
        };
        let granted: u32 = accounts.values().fold(0, |sum, dials| sum.saturating_add(*dials));
        let want = if campaign.shadow { want } else { want.min(granted) };
        if want == 0 {
            return;
        }
        let order = Order {
            campaign: &campaign,
            shard: number,
            epoch,
            want,
            look,
            accounts: &accounts,
            gate: self.deps.gate.as_ref(),
        };
        let began = std::time::Instant::now();
        let claimed = claim(&self.deps.database, &order, &mut self.rng, now).await;
        self.deps
            .metrics
            .histogram(&CLAIM_SECONDS)
            .observe_duration((), began.elapsed());
        match claimed {
            Ok(claimed) => self.start(key, &campaign, claimed, look, now),
            Err(error) => self.not_claimed(key, &error, now),
        }
    }

    pub(super) fn not_claimed(&mut self, key: ShardKey, error: &ClaimError, now: DateTime<Utc>) {
        let kind = match error {
            // Somebody else runs it: nothing of it is ours to write any more.
            ClaimError::Fenced => {
                self.shards.remove(&key);
                ShardLost {
                    campaign: key.1,
                    shard: key.2,
                }
                .emit();
                return;
            }
            // The listing will say why in a moment.
            ClaimError::NotDialling => {
                if let Some(shard) = self.shards.get_mut(&key) {
                    shard.rest_until = now + TimeDelta::milliseconds(200);
                }
                return;
            }
            ClaimError::Database(error) => error.kind(),
            // Whether it was committed stands in Postgres: start again from there.
            ClaimError::Unconfirmed(error) => {
                self.shards.remove(&key);
                error.kind()
            }
        };
        Postponed {
            work: "claiming contacts",
            kind,
            error,
        }
        .emit();
    }

    /// The attempts are committed: asks the carriers, beside the loop.
    pub(super) fn start(
        &mut self,
        key: ShardKey,
        campaign: &Arc<Campaign>,
        claimed: Claim,
        look: u32,
        now: DateTime<Utc>,
    ) {
        count(&self.deps.metrics, &claimed);
        let Some(shard) = self.shards.get_mut(&key) else {
            return;
        };
        if claimed.looked_at == 0 {
            shard.rest_until = now + REST;
        }
        // Nobody of all that were looked at: the front of the hopper is full of them, look further.
        shard.look = if claimed.refused == claimed.looked_at {
            look.saturating_mul(4)
        } else {
            0
        };
        if claimed.no_number > 0 && claimed.dials.is_empty() {
            shard.rest_until = now + REST;
        }
        for dial in claimed.dials {
            {
                let mut purse = self
                    .deps
                    .purse
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                purse.spend(key.0, dial.account, 1);
            }
            let way = crate::app::lines(&self.deps.lines)
                .get(&(key.0, dial.account))
                .cloned();
            self.unannounced.extend(announcement(&self.deps, key, &dial.line));
            let jurisdiction = self.deps.gate.jurisdiction(dial.region.as_deref());
            let mut held = Held::new(dial.line.clone(), jurisdiction);
            held.requesting = way.is_some();
            shard.take_on(held, dial.zone, now);
            if let Some(way) = way {
                request(&self.deps, key, campaign, way, dial, self.replies.clone());
            }
        }
    }

    /// Dials each account may still make: what this process holds, and what the buckets give.
    pub(super) async fn accounts(
        &self,
        key: ShardKey,
        want: u32,
        now: DateTime<Utc>,
    ) -> HashMap<ProviderAccountId, u32> {
        let tenant = key.0;
        let serves = |account| {
            self.shards
                .get(&key)
                .is_some_and(|shard| shard.serves(account, now))
        };
        let all: Vec<ProviderAccountId> = {
            let lines = crate::app::lines(&self.deps.lines);
            lines
                .iter()
                .filter(|((owner, _), line)| *owner == tenant && !matches!(line.breaker.state(), State::Open))
                .map(|((_, account), _)| *account)
                .filter(|account| serves(*account))
                .collect()
        };
        let mut granted = HashMap::new();
        for account in all {
            let (holds, may_ask) = {
                let purse = self
                    .deps
                    .purse
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                (
                    purse.holds(tenant, account, now),
                    purse.may_ask(tenant, account, now),
                )
            };
            let mut dials = holds;
            if holds < want && may_ask {
                let short = want - holds;
                match cps::take(&self.deps.database, tenant, account, short, now).await {
                    Ok(grant) => {
                        dials += grant.dials;
                        let mut purse = self
                            .deps
                            .purse
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        purse.put(tenant, account, short, grant, now);
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
                granted.insert(account, dials);
            }
        }
        granted
    }
}

/// `attempt.dialled`, told again by whoever takes the attempt over: its id stays the same.
pub(super) fn announcement(deps: &Deps, key: ShardKey, line: &Attempt) -> Option<OutboundRecord> {
    event(deps, key, EventType::AttemptDialled, line)
}

fn count(metrics: &Metrics, claimed: &Claim) {
    let number = |count: usize| u64::try_from(count).unwrap_or(0);
    let decisions = metrics.counter(&DECISIONS);
    decisions.add(Decided::Dial, number(claimed.dials.len()));
    decisions.add(Decided::Refuse, number(claimed.refused));
    decisions.add(Decided::NoNumber, number(claimed.no_number));
}

/// The one request of an attempt. The campaign is looked at once more right before it.
fn request(
    deps: &Deps,
    key: ShardKey,
    campaign: &Arc<Campaign>,
    way: Line,
    dial: Dial,
    replies: tokio::sync::mpsc::Sender<Reply>,
) {
    let (deps, campaign) = (deps.clone(), Arc::clone(campaign));
    tokio::spawn(async move {
        let Ok(_permit) = deps.requests.acquire().await else {
            return;
        };
        let attempt = dial.line.attempt;
        let dials = deps.listings.borrow().dials(key.0, key.1);
        let placing = if dials {
            let placing = place(&way, &originate(&deps, key, &campaign, &way, &dial)).await;
            after(&deps, key.0, &way, dial.account, &placing).await;
            placing
        } else {
            Placing::Not {
                outcome: voice_schemas::events::call::CallOutcome::Canceled,
                refused: true,
                rest: None,
            }
        };
        let reply = Reply {
            owner: key,
            attempt,
            placing,
            withheld: !dials,
        };
        // A worker that has gone reads it from the carrier's events.
        let _gone = replies.send(reply).await;
    });
}

/// What an answer means beyond its attempt: an account that rests, a call that would ring too late.
async fn after(deps: &Deps, tenant: TenantId, way: &Line, account: ProviderAccountId, placing: &Placing) {
    match placing {
        Placing::Placed {
            carrier_call_id,
            too_late: true,
        } => {
            if let Err(error) = way.client.hangup(carrier_call_id).await {
                crate::events::CommandRefused {
                    command: "hangup",
                    error: &error,
                }
                .emit();
            }
        }
        Placing::Not { rest: Some(rest), .. } => {
            let until = deps.clock.now() + *rest;
            {
                let mut purse = deps
                    .purse
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                purse.spoil(tenant, account, until);
            }
            if let Err(error) = cps::block(&deps.database, tenant, account, until).await {
                Postponed {
                    work: "telling other processes that an account rests",
                    kind: error.kind(),
                    error: &error,
                }
                .emit();
            }
        }
        _ => {}
    }
}

fn originate(deps: &Deps, key: ShardKey, campaign: &Campaign, way: &Line, dial: &Dial) -> OriginateRequest {
    let positive = |seconds: TimeDelta| seconds.to_std().unwrap_or(Duration::from_secs(15));
    OriginateRequest {
        attempt: dial.line.attempt,
        context: deps.context.seal(&CallContext {
            // An AI agent says at once which key ends all calls.
            opt_out_key: (campaign.mode == Mode::Agentless).then_some(campaign.opt_out_key),
            ..context(key, &dial.line)
        }),
        to: dial.to.clone().into(),
        from: dial.from.clone(),
        hooks: way.hooks.clone(),
        ring_timeout: positive(campaign.ring),
        time_limit: Some(positive(campaign.longest_call)),
        amd: match campaign.answers.on_machine {
            OnMachine::Ignore => AmdMode::Off,
            OnMachine::HangUp => AmdMode::Detect,
            OnMachine::LeaveMessage => AmdMode::DetectBeep,
        },
        record: campaign.record,
        on_answer: match (campaign.mode, way.client.carrier()) {
            (Mode::Agentless, carrier) => {
                stream(deps, campaign, &dial.line, carrier, campaign.ring + LONGEST_QUEUE)
                    .into_iter()
                    .collect()
            }
            // Held in silence until we say where it goes; Telnyx does that by itself.
            (_, Carrier::Twilio) => vec![Instruction::Prompt(Prompt::Pause { seconds: 10 })],
            (_, Carrier::Telnyx) => Vec::new(),
        },
    }
}
