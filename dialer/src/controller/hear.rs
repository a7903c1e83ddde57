//! From what carriers say to what is known of lines.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_contacts::suppressions::Scope;
use voice_kafka::consumer::Chunk;
use voice_pacing::{Ended, Event};
use voice_schemas::{
    AgentId, AttemptId, ContactId, TenantId,
    events::call::{AgentKind, CallEvent, CallOutcome, Ending, HangupBy},
};
use voice_telemetry::Metrics;

use super::{
    say::{Say, command},
    shard::{Handled, Shard, ended_as},
    worker::{Reply, ShardKey, Worker},
};
use crate::{
    agents::Input,
    answer::OnMachine,
    attempts::{Concluded, End, Line, News},
    campaigns::{Campaign, Mode},
    events::{REQUESTS, Request},
    origination::carriers::Placing,
    shards,
    transfers::Place,
};

/// Events of attempts that are no longer in memory.
#[derive(Debug, Default)]
pub(super) struct Late(pub(super) Vec<(ShardKey, AttemptId, CallEvent)>);

/// What a line's news mean for an agent, to be written with them.
pub(super) type AgentInput = (TenantId, AgentId, Input);

impl Worker {
    /// Folds the events of a chunk into the lines they are about. Events of other campaigns than ours pass by.
    pub(super) fn hear(&mut self, chunk: &Chunk) {
        let now = self.now();
        // The key says whose it is before anything is parsed.
        let ours: HashSet<String> = self
            .shards
            .keys()
            .map(|(_, campaign, shard)| shards::key(*campaign, *shard))
            .collect();
        for record in chunk.records() {
            let key = record.key.and_then(|key| std::str::from_utf8(key).ok());
            let leg = key.is_some_and(|key| key.starts_with("agent#"));
            if !leg && !key.is_some_and(|key| ours.contains(key)) {
                continue;
            }
            // What is no call event is another's: the sink keeps what cannot be read.
            let Some(Ok(event)) = record.payload.map(serde_json::from_slice::<CallEvent>) else {
                continue;
            };
            let call = &event.data.call;
            if let (true, Some(agent)) = (leg, call.agent_id) {
                self.leg_news.push((event.tenantid, agent, event));
                continue;
            }
            let (Some(campaign), Some(attempt)) = (call.campaign_id, call.attempt_id) else {
                continue;
            };
            let key = (event.tenantid, campaign, call.shard.unwrap_or(0));
            self.heard(key, attempt, event, now);
        }
    }

    fn heard(&mut self, key: ShardKey, attempt: AttemptId, event: CallEvent, now: DateTime<Utc>) {
        let Some(shard) = self.shards.get_mut(&key) else {
            return;
        };
        if let Some((line, _)) = shard.ended.get_mut(&attempt) {
            let mut news = line.hear(&event);
            if let Some(pressed) = opts_out(&shard.campaign, line, news, &event) {
                self.opt_outs
                    .push(OptOut::of(key, line, &shard.campaign, pressed));
                news = Some(News::EndedOtherwise);
            }
            match news {
                Some(News::EndedOtherwise) => {
                    let line = line.clone();
                    self.amend(key, line, now);
                }
                Some(News::Late) => self.afterwards.push((key.0, line.clone())),
                _ => {}
            }
            return;
        }
        let Some(held) = shard.lines.get_mut(&attempt) else {
            self.late.0.push((key, attempt, event));
            return;
        };
        let Some(news) = held.line.hear(&event) else {
            return;
        };
        held.dirty = true;
        self.urgent |= matches!(news, News::Answered | News::Verdict);
        match news {
            News::Placed | News::EndedOtherwise | News::Late => {}
            News::Answered => answered(shard, attempt, now),
            News::Verdict => {
                // Decided again with the verdict; a decision that stands is kept by the decision itself.
                if let Some(Handled::Waiting(until)) = &mut held.handled {
                    *until = now;
                }
            }
            News::Bridged => {
                let to_person = matches!(held.line.bridged, Some((_, AgentKind::Human)));
                if let (Some((_, place)), true) = (held.transfer, to_person) {
                    held.handled = Some(Handled::Person(place.agent, place.token));
                    held.line.agent = Some(place.agent);
                }
                if let (Some(Handled::Person(agent, token)), true) = (held.handled, to_person) {
                    let call = held.line.call;
                    self.agent_inputs
                        .push((key.0, agent, Input::Connect { token, call }));
                } else if held.handled.is_none() || matches!(held.handled, Some(Handled::Waiting(_))) {
                    held.handled = Some(Handled::Ai);
                }
            }
            News::Key(_) => {
                if let Some(pressed) = opts_out(&shard.campaign, &mut held.line, Some(news), &event) {
                    self.opt_outs
                        .push(OptOut::of(key, &held.line, &shard.campaign, pressed));
                } else if news == News::Key(None) && held.closing.is_some() {
                    // The message is over.
                    command(&self.deps, key, &shard.campaign, held, Say::HangUp);
                }
            }
            News::Ended => self.conclude(key, attempt, false, now),
        }
    }

    /// Takes note of what a carrier answered to our request.
    pub(super) fn take_reply(&mut self, reply: Reply) {
        let now = self.now();
        let Some(shard) = self.shards.get_mut(&reply.owner) else {
            return;
        };
        let Some(held) = shard.lines.get_mut(&reply.attempt) else {
            return;
        };
        held.requesting = false;
        held.dirty = true;
        count(&self.deps.metrics, &reply);
        let carrier = held.line.account.and_then(|account| {
            crate::app::lines(&self.deps.lines)
                .get(&(reply.owner.0, account))
                .map(|line| line.client.carrier())
        });
        match reply.placing {
            Placing::Placed { carrier_call_id, .. } => {
                if let Some(carrier) = carrier {
                    held.line.placed(carrier, carrier_call_id);
                }
            }
            Placing::Unknown => held.line.unanswered(),
            Placing::Not { outcome, refused, .. } => {
                // The carrier's own events may already have told of a call it says it did not place: they win.
                if held.line.carrier.is_none() {
                    held.line.end = Some(concluded(outcome, "not_placed", false, now));
                    self.conclude(reply.owner, reply.attempt, refused || reply.withheld, now);
                }
            }
        }
    }

    /// The line is over: what follows is queued for writing.
    pub(super) fn conclude(&mut self, key: ShardKey, attempt: AttemptId, refused: bool, now: DateTime<Utc>) {
        let Some(shard) = self.shards.get_mut(&key) else {
            return;
        };
        left_waiting(shard, attempt, now);
        let Some(held) = shard.lines.get(&attempt) else {
            return;
        };
        let outcome = held
            .line
            .end
            .as_ref()
            .map_or(CallOutcome::Unknown, |end| end.ending.outcome);
        shard.tell_ringing(attempt, ended_as(outcome, refused), now);
        let Some(held) = shard.lines.remove(&attempt) else {
            return;
        };
        if let Some((agent, token)) = shard.holder(attempt)
            && !matches!(held.handled, Some(Handled::Person(..)))
        {
            self.agent_inputs.push((key.0, agent, Input::Release { token }));
        }
        let wrap = |agent| {
            let colleague = shard.colleague(agent);
            colleague.map_or_else(Default::default, |agent| agent.wrap)
        };
        if let Some((transfer, Place { agent, token })) = held.transfer {
            // However far it came: what does not fit is refused.
            let (call, wrap) = (held.line.call, wrap(agent));
            self.agent_inputs
                .push((key.0, agent, Input::CallEnded { call, wrap }));
            self.agent_inputs.push((key.0, agent, Input::Release { token }));
            self.handed_over.push((key.0, transfer));
        } else if let Some(Handled::Person(agent, token)) = held.handled {
            let wrap = wrap(agent);
            let input = if held.line.bridged.is_some() {
                Input::CallEnded {
                    call: held.line.call,
                    wrap,
                }
            } else {
                Input::Release { token }
            };
            self.agent_inputs.push((key.0, agent, input));
        }
        shard.ended.insert(attempt, (held.line.clone(), now));
        // A place is free: somebody may be due who was not looked at.
        shard.rest_until = shard.rest_until.min(now + chrono::TimeDelta::milliseconds(500));
        let policy = &shard.campaign.retry;
        if let Some(end) = Concluded::of(key.1, held.line, policy, refused, now) {
            self.ends.push(end);
            self.end_owners.push(key);
        }
    }

    /// A line that had ended came to something else.
    pub(super) fn amend(&mut self, key: ShardKey, line: Line, now: DateTime<Utc>) {
        let Some(shard) = self.shards.get(&key) else {
            return;
        };
        let policy = Arc::clone(&shard.campaign);
        if let Some(end) = Concluded::of(key.1, line, &policy.retry, false, now) {
            self.ends.push(end);
            self.end_owners.push(key);
        }
    }
}

/// Somebody pressed the key that ends all calls to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptOut {
    pub(super) owner: ShardKey,
    pub(super) attempt: AttemptId,
    pub(super) contact: ContactId,
    pub(super) token: Uuid,
    pub(super) scope: Scope,
    pub(super) at: DateTime<Utc>,
}

impl OptOut {
    pub(super) fn of(owner: ShardKey, line: &Line, campaign: &Campaign, at: DateTime<Utc>) -> Self {
        Self {
            owner,
            attempt: line.attempt,
            contact: line.contact,
            token: line.phone_token,
            scope: campaign.opt_out_scope,
            at,
        }
    }
}

/// When they pressed the key, if this event is the first to say so. A key pressed while talking to a person is between
/// the two of them.
pub(super) fn opts_out(
    campaign: &Campaign,
    line: &mut Line,
    news: Option<News>,
    event: &CallEvent,
) -> Option<DateTime<Utc>> {
    let pressed = news == Some(News::Key(Some(campaign.opt_out_key)));
    let talks = matches!(line.bridged, Some((_, AgentKind::Human)));
    (pressed && !talks && line.opt_out(event.time)).then_some(event.time)
}

/// Somebody or something picked up.
fn answered(shard: &mut Shard, attempt: AttemptId, now: DateTime<Utc>) {
    let listens = shard.campaign.answers.on_machine != OnMachine::Ignore;
    let ai = shard.campaign.mode == Mode::Agentless;
    if !listens {
        shard.tell_ringing(attempt, Ended::Person, now);
    }
    let Some(held) = shard.lines.get_mut(&attempt) else {
        return;
    };
    if ai {
        // The stream was sent along with the call: the AI agent is there as soon as it is answered.
        held.handled = Some(Handled::Ai);
        held.line.bridged = held.line.answered_at.map(|at| (at, AgentKind::Ai));
        shard.tell(attempt, Event::Connected, now);
    } else if held.handled.is_none() {
        held.handled = Some(Handled::Waiting(now));
    }
}

/// A person who waited for an agent has gone: that is an abandoned call.
fn left_waiting(shard: &mut Shard, attempt: AttemptId, now: DateTime<Utc>) {
    let Some(held) = shard.lines.get_mut(&attempt) else {
        return;
    };
    let waiting = matches!(held.handled, Some(Handled::Waiting(_)));
    let machine = held
        .answered()
        .and_then(|call| call.machine)
        .is_some_and(|chance| chance >= 0.9);
    if waiting && held.line.answered_at.is_some() && held.line.bridged.is_none() {
        if machine {
            shard.tell_ringing(attempt, Ended::Machine, now);
            return;
        }
        held.line.abandoned = true;
        shard.tell_ringing(attempt, Ended::Person, now);
        shard.tell(attempt, Event::Abandoned, now);
    }
}

/// An end we conclude ourselves.
pub(super) fn concluded(outcome: CallOutcome, cause: &str, reconciled: bool, at: DateTime<Utc>) -> End {
    End {
        ending: Ending {
            outcome,
            hangup_by: HangupBy::System,
            cause: cause.to_owned(),
            sip_code: None,
            duration_ms: None,
            reconciled,
        },
        at,
    }
}

fn count(metrics: &Metrics, reply: &Reply) {
    let request = match &reply.placing {
        _ if reply.withheld => Request::Withheld,
        Placing::Placed { too_late: true, .. } => Request::Late,
        Placing::Placed { .. } => Request::Placed,
        Placing::Unknown => Request::Unknown,
        Placing::Not { refused: true, .. } => Request::Refused,
        Placing::Not { .. } => Request::Failed,
    };
    metrics.counter(&REQUESTS).inc(request);
}
