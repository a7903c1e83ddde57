//! Dialling: the one request of each attempt.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use voice_kafka::OutboundRecord;
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
    events::{DECISIONS, Decided, Postponed},
    origination::{
        carriers::{Line, Placing, place},
        cps,
    },
    selection::{Claim, Dial},
};

/// How long a carrier may hold a dial back before it rings.
const LONGEST_QUEUE: TimeDelta = TimeDelta::minutes(5);

impl Worker {
    /// The attempts are committed: asks the carriers, beside the loop.
    pub(super) fn start(
        &mut self,
        key: ShardKey,
        campaign: &Arc<Campaign>,
        claimed: Claim,
        now: DateTime<Utc>,
    ) {
        count(&self.deps.metrics, &claimed);
        let Some(shard) = self.shards.get_mut(&key) else {
            return;
        };
        for dial in claimed.dials {
            let way = crate::app::lines(&self.deps.lines)
                .get(&(key.0, dial.account))
                .cloned();
            self.unannounced.extend(announcement(&self.deps, key, &dial.line));
            let jurisdiction = self.deps.gate.jurisdiction(dial.region.as_deref());
            let mut held = Held::new(dial.line.clone(), jurisdiction);
            held.duties = self.deps.gate.duties(dial.to.expose(), now);
            held.requesting = way.is_some();
            shard.take_on(held, dial.zone, now);
            if let Some(way) = way {
                request(&self.deps, key, campaign, way, dial, self.replies.clone());
            }
        }
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
                let duties = deps.gate.duties(dial.to.expose(), deps.clock.now());
                let opens_within = campaign.ring + LONGEST_QUEUE;
                stream(deps, key, campaign, &dial.line, (carrier, duties), opens_within)
                    .into_iter()
                    .collect()
            }
            // Held in silence until we say where it goes; Telnyx does that by itself.
            (_, Carrier::Twilio) => vec![Instruction::Prompt(Prompt::Pause { seconds: 10 })],
            (_, Carrier::Telnyx) => Vec::new(),
        },
    }
}
