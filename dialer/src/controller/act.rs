//! Acting on answered calls, on silence, and on agents who disagree with the calls.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use voice_pacing::{Ended, Event};
use voice_schemas::{
    AgentId, AttemptId, CallId, TenantId,
    events::{
        agent::AgentStatus,
        call::{AgentKind, CallOutcome},
    },
};

use super::{
    hear::concluded,
    say::{LONGEST_MESSAGE, Say, ask, command},
    shard::{Handled, Held, Shard},
    worker::{Deps, ShardKey, Worker},
};
use crate::{
    agents::{self, AgentRow, Input},
    answer::{self, Action},
    attempts::{Line as Attempt, Phase},
    campaigns::{self, Mode},
    events::{ANSWERS, Answer, Postponed},
    transfers,
};

/// Between two questions about one call.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(60);
const ASK_DONE: TimeDelta = TimeDelta::seconds(2);

/// What the owner before did about an answered call, as far as Postgres tells.
pub(super) fn inherited(line: &Attempt, agents: &[AgentRow]) -> Option<Handled> {
    // Whoever is reserved for it is to get it from the AI agent, and does not have it yet.
    if matches!(line.bridged, Some((_, AgentKind::Ai))) {
        return Some(Handled::Ai);
    }
    let reserved = agents.iter().find_map(|agent| {
        let held = agent.state.reservation?;
        (held.attempt == line.attempt).then_some(Handled::Person(agent.id, held.token))
    });
    let talking = agents
        .iter()
        .find(|agent| agent.state.call == Some(line.call))
        .map(|agent| Handled::Person(agent.id, agent.state.token));
    reserved.or(talking)
}

impl Worker {
    /// Decides what to do with every answered call that waits for a decision.
    pub(super) async fn handle_answers(&mut self, now: DateTime<Utc>) {
        let mut reserve: Vec<(ShardKey, AttemptId, AgentId)> = Vec::new();
        let metrics = self.deps.metrics.clone();
        for (key, shard) in &mut self.shards {
            shard.take_back_lost_reservations(now);
            // Whom nobody else may take comes first, and then who has waited longest.
            let mut due: Vec<(bool, Option<DateTime<Utc>>, AttemptId)> = shard
                .lines
                .iter()
                .filter(|(_, held)| undecided(held, now))
                .map(|(attempt, held)| (held.line.ai_consent, held.line.answered_at, *attempt))
                .collect();
            due.sort_unstable();
            for (.., attempt) in due {
                let account = shard.lines.get(&attempt).and_then(|held| held.line.account);
                let mut staff = shard.staff(account, now);
                // Those reserved in this round are not free any more.
                staff.free_people = staff
                    .free_people
                    .saturating_sub(reserve.iter().filter(|(owner, ..)| owner == key).count());
                let Some(call) = shard.lines.get(&attempt).and_then(Held::answered) else {
                    continue;
                };
                // In preview the agent who asked for the call is waiting for it.
                let holder = shard.holder(attempt);
                staff.free_people = staff.free_people.max(usize::from(holder.is_some()));
                let action = answer::decide(&shard.campaign.answers, &call, staff, now);
                let taken: HashSet<AgentId> = reserve.iter().map(|(.., agent)| *agent).collect();
                let told = match action {
                    Action::Wait(until) => {
                        set(shard.lines.get_mut(&attempt), Handled::Waiting(until));
                        continue;
                    }
                    Action::Keep => {
                        if let Some(held) = shard.lines.get_mut(&attempt) {
                            held.handled.get_or_insert(Handled::Ai);
                        }
                        continue;
                    }
                    Action::Person => {
                        if let Some(place) = holder {
                            connect(&self.deps, *key, shard, attempt, place, now);
                        } else if let Some(agent) = shard.longest_idle_but(&taken, account, now) {
                            reserve.push((*key, attempt, agent));
                        }
                        continue;
                    }
                    Action::Ai => {
                        set(shard.lines.get_mut(&attempt), Handled::Ai);
                        shard.tell_ringing(attempt, Ended::Person, now);
                        let overflow = shard.campaign.mode != Mode::Agentless;
                        shard.tell(
                            attempt,
                            if overflow {
                                Event::Overflowed
                            } else {
                                Event::Connected
                            },
                            now,
                        );
                        if let Some(held) = shard.lines.get_mut(&attempt) {
                            held.line.bridged = Some((now, AgentKind::Ai));
                        }
                        Answer::Ai
                    }
                    Action::HangUp | Action::LeaveMessage => {
                        set(shard.lines.get_mut(&attempt), Handled::Machine);
                        shard.tell_ringing(attempt, Ended::Machine, now);
                        if action == Action::HangUp {
                            Answer::HangUp
                        } else {
                            Answer::Message
                        }
                    }
                    Action::SafeHarbour | Action::GiveUp => {
                        set(shard.lines.get_mut(&attempt), Handled::Abandoned);
                        if let Some(held) = shard.lines.get_mut(&attempt) {
                            held.line.abandoned = true;
                        }
                        shard.tell_ringing(attempt, Ended::Person, now);
                        shard.tell(attempt, Event::Abandoned, now);
                        if action == Action::GiveUp {
                            Answer::Silent
                        } else {
                            Answer::SafeHarbour
                        }
                    }
                };
                metrics.counter(&ANSWERS).inc(told);
                let say = match action {
                    Action::Ai => Say::Ai,
                    Action::LeaveMessage => Say::Voicemail,
                    Action::SafeHarbour => Say::SafeHarbour,
                    _ => Say::HangUp,
                };
                if let Some(held) = shard.lines.get_mut(&attempt) {
                    held.dirty = true;
                    held.closing = say.is_message().then_some(now + LONGEST_MESSAGE);
                    command(&self.deps, *key, &shard.campaign, held, say);
                }
            }
        }
        self.reserve(reserve, now).await;
    }

    /// Reserves people for calls; whoever was taken meanwhile is not given a call, and the call is decided again.
    async fn reserve(&mut self, wanted: Vec<(ShardKey, AttemptId, AgentId)>, now: DateTime<Utc>) {
        let until = now + TimeDelta::milliseconds(self.deps.config.reservation_ms);
        let mut tenants: Vec<_> = wanted.iter().map(|((tenant, ..), ..)| *tenant).collect();
        tenants.dedup();
        for tenant in tenants {
            let inputs: Vec<(AgentId, Input)> = wanted
                .iter()
                .filter(|((owner, ..), ..)| *owner == tenant)
                .map(|((_, campaign, shard), attempt, agent)| {
                    (
                        *agent,
                        Input::Reserve {
                            attempt: *attempt,
                            by: (*campaign, *shard),
                            until,
                        },
                    )
                })
                .collect();
            let applied = async {
                let mut tx = self.deps.database.tenant(tenant).await?;
                let applied = agents::apply(&mut tx, &inputs, now).await?;
                tx.commit().await?;
                Ok::<_, voice_postgres::Error>(applied)
            };
            let applied = match applied.await {
                Ok(applied) => applied,
                Err(error) => {
                    Postponed {
                        work: "reserving agents",
                        kind: error.kind(),
                        error: &error,
                    }
                    .emit();
                    continue;
                }
            };
            for (key, attempt, agent) in wanted.iter().filter(|((owner, ..), ..)| *owner == tenant) {
                let Some(shard) = self.shards.get_mut(key) else {
                    continue;
                };
                let rows = applied.iter().map(|applied| applied.agent.clone());
                shard.see(rows, now);
                let token = applied
                    .iter()
                    .filter(|applied| applied.agent.id == *agent && applied.result.is_ok())
                    .find_map(|applied| applied.agent.state.reservation)
                    .filter(|held| held.attempt == *attempt)
                    .map(|held| held.token);
                let Some(token) = token else { continue };
                connect(&self.deps, *key, shard, *attempt, (*agent, token), now);
            }
        }
    }

    /// Ends calls whose message must be over by now, though nobody said so.
    pub(super) fn close_the_silent(&mut self, now: DateTime<Utc>) {
        for (key, shard) in &mut self.shards {
            for held in shard.lines.values_mut() {
                if held.closing.is_some_and(|at| at <= now) {
                    held.closing = Some(now + LONGEST_MESSAGE);
                    command(&self.deps, *key, &shard.campaign, held, Say::HangUp);
                }
            }
        }
    }

    /// Asks the carrier about calls it has been silent about; concludes those it was never heard to have.
    pub(super) fn ask_about_the_overdue(&mut self, now: DateTime<Utc>) {
        let patience = TimeDelta::milliseconds(self.deps.config.silence_ms);
        let mut unheard = Vec::new();
        for (key, shard) in &mut self.shards {
            for (attempt, held) in &mut shard.lines {
                if held.requesting
                    || held.overdue(&shard.campaign, patience) > now
                    || held.asked.is_some_and(|asked| now - asked < ASK_AGAIN)
                {
                    continue;
                }
                held.asked = Some(now);
                if held.line.carrier.is_none() {
                    // Nobody ever said a word of it, in the time it could have rung. It may yet: then its own word
                    // replaces this conclusion.
                    held.line.end = Some(concluded(CallOutcome::Unknown, "silence", true, now));
                    held.line.phase = Phase::Ended;
                    unheard.push((*key, *attempt));
                } else {
                    ask(&self.deps, *key, &held.line, now);
                }
            }
            shard.forget(now);
        }
        for (key, attempt) in unheard {
            self.conclude(key, attempt, false, now);
        }
    }

    /// Repairs agents whose status disagrees with the calls, and lets their timers run out.
    pub(super) async fn reconcile_agents(&mut self, now: DateTime<Utc>) {
        for (key, shard) in &mut self.shards {
            let mut calls: HashSet<CallId> = shard.lines.values().map(|held| held.line.call).collect();
            match across(&self.deps, key.0, shard, &calls).await {
                Ok((alive, guests)) => {
                    calls.extend(alive);
                    shard.welcome(guests);
                }
                Err(error) => {
                    Postponed {
                        work: "looking at calls of other shards",
                        kind: error.kind(),
                        error: &error,
                    }
                    .emit();
                    continue;
                }
            }
            let lines = || shard.lines.values().map(|held| (&held.line, held.handled));
            let mut inputs = repairs(shard.agents.values(), lines(), &calls, now);
            // The rest is for whoever they work for.
            let guests = repairs(shard.guests.values(), lines(), &calls, now);
            inputs.extend(
                guests
                    .into_iter()
                    .filter(|(_, input)| matches!(input, Input::Correct { call: Some(_), .. })),
            );
            if inputs.is_empty() {
                continue;
            }
            let apply = async {
                let mut tx = self.deps.database.tenant(key.0).await?;
                let applied = agents::apply(&mut tx, &inputs, now).await?;
                tx.commit().await?;
                Ok::<_, voice_postgres::Error>(applied)
            };
            match apply.await {
                Ok(applied) => shard.see(applied.into_iter().map(|applied| applied.agent), now),
                Err(error) => Postponed {
                    work: "repairing agents",
                    kind: error.kind(),
                    error: &error,
                }
                .emit(),
            }
        }
    }

    /// Completes campaigns that have nobody left to call.
    pub(super) async fn complete_campaigns(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        for ((tenant, campaign, _), shard) in &self.shards {
            let asked = self
                .asked_done
                .get(campaign)
                .is_some_and(|at| now - *at < ASK_DONE);
            if !shard.lines.is_empty() || shard.campaign.shadow || asked || !listing.dials(*tenant, *campaign)
            {
                continue;
            }
            self.asked_done.insert(*campaign, now);
            let complete = async {
                let mut tx = self.deps.database.tenant(*tenant).await?;
                if campaigns::complete_when_done(&mut tx, *campaign, now).await? {
                    tx.commit().await?;
                }
                Ok::<_, campaigns::CommandError>(())
            };
            if let Err(error) = complete.await {
                Postponed {
                    work: "completing a campaign",
                    kind: error.kind(),
                    error: &error,
                }
                .emit();
            }
        }
    }
}

/// The person who is reserved for the call gets it.
fn connect(
    deps: &Deps,
    key: ShardKey,
    shard: &mut Shard,
    attempt: AttemptId,
    (agent, token): (AgentId, u64),
    now: DateTime<Utc>,
) {
    shard.tell_ringing(attempt, Ended::Person, now);
    shard.tell(attempt, Event::Connected, now);
    if let Some(held) = shard.lines.get_mut(&attempt) {
        held.handled = Some(Handled::Person(agent, token));
        held.line.agent = Some(agent);
        held.dirty = true;
        deps.metrics.counter(&ANSWERS).inc(Answer::Person);
        command(deps, key, &shard.campaign, held, Say::Person);
    }
}

/// Whether an answered line needs a decision now.
fn undecided(held: &Held, now: DateTime<Utc>) -> bool {
    held.line.answered_at.is_some()
        && match held.handled {
            None => held.line.bridged.is_none(),
            Some(Handled::Waiting(until)) => until <= now,
            // A verdict that came after somebody was connected can still say that it is a machine.
            Some(Handled::Person(..)) => held.line.bridged.is_none() && held.line.amd.is_some() && !held.told,
            Some(Handled::Ai | Handled::Machine | Handled::Abandoned) => false,
        }
}

fn set(held: Option<&mut Held>, handled: Handled) {
    if let Some(held) = held {
        held.handled = Some(handled);
    }
}

/// What callers who were handed over make of two shards: calls of others our people are on, and people of others our
/// callers are with.
async fn across(
    deps: &Deps,
    tenant: TenantId,
    shard: &Shard,
    calls: &HashSet<CallId>,
) -> Result<(Vec<CallId>, Vec<AgentRow>), voice_postgres::Error> {
    let abroad: Vec<AgentId> = shard
        .agents
        .values()
        .filter(|agent| agent.state.status == AgentStatus::OnCall)
        .filter(|agent| agent.state.call.is_some_and(|call| !calls.contains(&call)))
        .map(|agent| agent.id)
        .collect();
    let guests: Vec<AgentId> = shard
        .lines
        .values()
        .filter_map(Held::with)
        .filter(|agent| !shard.agents.contains_key(agent))
        .collect();
    if abroad.is_empty() && guests.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut tx = deps.database.tenant(tenant).await?;
    let alive = transfers::alive(&mut tx, &abroad).await?;
    let guests = agents::some(&mut tx, &guests).await?;
    tx.commit().await?;
    Ok((alive, guests))
}

/// What has to happen to agents so that they agree with the calls.
fn repairs<'a>(
    agents: impl Iterator<Item = &'a AgentRow>,
    lines: impl Iterator<Item = (&'a Attempt, Option<Handled>)>,
    calls: &HashSet<CallId>,
    now: DateTime<Utc>,
) -> Vec<(AgentId, Input)> {
    let bridged: Vec<(AgentId, CallId)> = lines
        .filter_map(|(line, handled)| match (handled, line.bridged) {
            (Some(Handled::Person(agent, _)), Some((_, AgentKind::Human))) => Some((agent, line.call)),
            _ => None,
        })
        .collect();
    let mut inputs = Vec::new();
    for agent in agents {
        let wrap = agent.wrap;
        let talks = bridged
            .iter()
            .find(|(id, _)| *id == agent.id)
            .map(|(_, call)| *call);
        match (agent.state.status, talks) {
            (AgentStatus::OnCall, None) if agent.state.call.is_none_or(|call| !calls.contains(&call)) => {
                inputs.push((agent.id, Input::Correct { call: None, wrap }));
            }
            (AgentStatus::Available | AgentStatus::Reserved | AgentStatus::WrapUp, Some(call)) => {
                inputs.push((
                    agent.id,
                    Input::Correct {
                        call: Some(call),
                        wrap,
                    },
                ));
            }
            _ if agent.state.next_timer().is_some_and(|at| at <= now) => inputs.push((agent.id, Input::Tick)),
            _ => {}
        }
    }
    inputs
}
