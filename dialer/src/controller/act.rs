//! Acting on answered calls, on silence, and on agents who disagree with the calls.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use voice_pacing::{Ended, Event};
use voice_schemas::{
    AgentId, AttemptId, CallId,
    events::{
        agent::AgentStatus,
        call::{AgentKind, CallFact, CallOutcome, CallRef, Direction, Ending, Evidence},
    },
    topics,
};
use voice_telemetry::Metrics;
use voice_telephony::{CallContext, Conference, ConnectStream, Gather, Instruction, Prompt};

use super::{
    hear::concluded,
    shard::{Handled, Held},
    worker::{Deps, ShardKey, Worker},
};
use crate::{
    agents::{self, AgentRow, Input},
    answer::{self, Action},
    attempts::{Line as Attempt, Phase},
    campaigns::{self, Campaign, Mode, SOURCE},
    events::{ANSWERS, Answer, CommandRefused, Postponed},
    shards,
};

/// Between two questions about one call.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(60);
const ASK_DONE: TimeDelta = TimeDelta::seconds(2);

/// What the owner before did about an answered call, as far as Postgres tells.
pub(super) fn inherited(line: &Attempt, agents: &[AgentRow]) -> Option<Handled> {
    let reserved = agents.iter().find_map(|agent| {
        let held = agent.state.reservation?;
        (held.attempt == line.attempt).then_some(Handled::Person(agent.id, held.token))
    });
    let talking = agents
        .iter()
        .find(|agent| agent.state.call == Some(line.call))
        .map(|agent| Handled::Person(agent.id, agent.state.token));
    reserved
        .or(talking)
        .or(matches!(line.bridged, Some((_, AgentKind::Ai))).then_some(Handled::Ai))
}

impl Worker {
    /// Decides what to do with every answered call that waits for a decision.
    pub(super) async fn handle_answers(&mut self, now: DateTime<Utc>) {
        let mut reserve: Vec<(ShardKey, AttemptId, AgentId)> = Vec::new();
        let metrics = self.deps.metrics.clone();
        for (key, shard) in &mut self.shards {
            shard.take_back_lost_reservations(now);
            let due: Vec<AttemptId> = shard
                .lines
                .iter()
                .filter(|(_, held)| undecided(held, now))
                .map(|(attempt, _)| *attempt)
                .collect();
            for attempt in due {
                let mut staff = shard.staff(now);
                // Those reserved in this round are not free any more.
                staff.free_people = staff
                    .free_people
                    .saturating_sub(reserve.iter().filter(|(owner, ..)| owner == key).count());
                let Some(call) = shard.lines.get(&attempt).and_then(Held::answered) else {
                    continue;
                };
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
                        let agent = shard.longest_idle_but(&taken, now);
                        if let Some(agent) = agent {
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
                if let Some(held) = shard.lines.get_mut(&attempt) {
                    held.dirty = true;
                    command(&self.deps, *key, &shard.campaign, &held.line, action);
                }
            }
        }
        self.reserve(reserve, now, &metrics).await;
    }

    /// Reserves people for calls; whoever was taken meanwhile is not given a call, and the call is decided again.
    async fn reserve(
        &mut self,
        wanted: Vec<(ShardKey, AttemptId, AgentId)>,
        now: DateTime<Utc>,
        metrics: &Metrics,
    ) {
        let until = now + TimeDelta::milliseconds(self.deps.config.reservation_ms);
        let mut tenants: Vec<_> = wanted.iter().map(|((tenant, ..), ..)| *tenant).collect();
        tenants.dedup();
        for tenant in tenants {
            let inputs: Vec<(AgentId, Input)> = wanted
                .iter()
                .filter(|((owner, ..), ..)| *owner == tenant)
                .map(|(_, attempt, agent)| {
                    (
                        *agent,
                        Input::Reserve {
                            attempt: *attempt,
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
                shard.tell_ringing(*attempt, Ended::Person, now);
                shard.tell(*attempt, Event::Connected, now);
                if let Some(held) = shard.lines.get_mut(attempt) {
                    held.handled = Some(Handled::Person(*agent, token));
                    held.line.agent = Some(*agent);
                    held.dirty = true;
                    metrics.counter(&ANSWERS).inc(Answer::Person);
                    command(&self.deps, *key, &shard.campaign, &held.line, Action::Person);
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
            let calls: HashSet<CallId> = shard.lines.values().map(|held| held.line.call).collect();
            let inputs = repairs(
                shard.agents.values(),
                shard.lines.values().map(|held| (&held.line, held.handled)),
                &calls,
                now,
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

/// Tells the carrier what to do with an answered call, beside the loop: it must not wait for a carrier.
fn command(deps: &Deps, key: ShardKey, campaign: &Campaign, line: &Attempt, action: Action) {
    let Some((_, id)) = line.carrier.clone() else {
        return;
    };
    let Some(account) = line.account else { return };
    let found = crate::app::lines(&deps.lines).get(&(key.0, account)).cloned();
    let Some(way) = found else { return };
    let context = deps.context.seal(&context(key, line));
    let hang_up = vec![Instruction::Hangup];
    let instructions = match action {
        Action::Person => {
            let room = line.agent.map_or_else(|| line.call.0, |agent| agent.0);
            let mut conference = Conference::new(format!("agent-{room}"));
            conference.label = Some("customer:human".to_owned());
            vec![Instruction::Conference(
                conference.reporting_to(&way.hooks, &context),
            )]
        }
        Action::Ai => stream(campaign, line).into_iter().collect(),
        Action::LeaveMessage => match &campaign.voicemail_url {
            Some(url) => vec![
                Instruction::Prompt(Prompt::Play { url: url.clone() }),
                Instruction::Hangup,
            ],
            None => hang_up,
        },
        Action::SafeHarbour => match &campaign.safe_harbour_url {
            Some(url) => vec![
                Instruction::Gather(Gather {
                    prompts: vec![Prompt::Play { url: url.clone() }],
                    digits: Some(1),
                    timeout_seconds: Some(5),
                    ..Gather::default()
                }),
                Instruction::Hangup,
            ],
            None => hang_up,
        },
        _ => hang_up,
    };
    let name = instructions.first().map_or("none", Instruction::name);
    tokio::spawn(async move {
        if let Err(error) = way.client.answer(&id, &instructions).await {
            CommandRefused {
                command: name,
                error: &error,
            }
            .emit();
        }
    });
}

/// Where the audio of an AI agent goes.
pub(super) fn stream(campaign: &Campaign, line: &Attempt) -> Option<Instruction> {
    let url = campaign.ai_stream_url.clone()?;
    Some(Instruction::ConnectStream(ConnectStream {
        url,
        name: None,
        parameters: [
            ("attempt_id".to_owned(), line.attempt.0.to_string()),
            ("call_id".to_owned(), line.call.0.to_string()),
        ]
        .into(),
    }))
}

/// What comes back with every webhook of the call.
pub(super) fn context(key: ShardKey, line: &Attempt) -> CallContext {
    let (tenant, campaign, shard) = key;
    CallContext {
        campaign: Some((campaign, shard)),
        attempt: Some(line.attempt),
        contact: Some(line.contact),
        agent: line.agent,
        phone_token: Some(line.phone_token.simple().to_string()),
        ..CallContext::new(tenant, line.call, Direction::Outbound)
    }
}

/// Asks the carrier where a call stands. Its end, when it has one, goes to `calls.events` like any other: the whole
/// platform learns it from there, this worker included.
fn ask(deps: &Deps, key: ShardKey, line: &Attempt, now: DateTime<Utc>) {
    let Some((carrier, id)) = line.carrier.clone() else {
        return;
    };
    let Some(account) = line.account else { return };
    let found = crate::app::lines(&deps.lines).get(&(key.0, account)).cloned();
    let Some(way) = found else { return };
    let (deps, line) = (deps.clone(), line.clone());
    tokio::spawn(async move {
        let snapshot = match way.client.lookup(&id).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                CommandRefused {
                    command: "lookup",
                    error: &error,
                }
                .emit();
                return;
            }
        };
        let Some(ending) = snapshot.ending else { return };
        let (tenant, campaign, shard) = key;
        let call = CallRef {
            call_id: line.call,
            direction: Direction::Outbound,
            carrier,
            carrier_call_id: id,
            campaign_id: Some(campaign),
            shard: Some(shard),
            attempt_id: Some(line.attempt),
            contact_id: Some(line.contact),
            queue_id: None,
            agent_id: line.agent,
            phone_token: Some(line.phone_token.simple().to_string()),
        };
        let evidence = Evidence {
            carrier_event: "lookup".to_owned(),
            dedupe_key: "dialer".to_owned(),
            sequence: None,
            received_at: now,
        };
        let ended = CallFact::Ended(Ending {
            reconciled: true,
            ..ending
        });
        let at = snapshot.ended_at.unwrap_or(now);
        let event = ended.into_event(tenant, SOURCE, at, call, evidence);
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let record = voice_kafka::OutboundRecord {
            topic: deps.kafka.topic(&topics::CALLS),
            key: shards::key(campaign, shard).into_bytes(),
            payload,
            headers: Vec::new(),
        };
        // Asked again in a minute should it not arrive.
        if let Err(error) = deps.producer.send(&record).await {
            Postponed {
                work: "telling of an end the carrier was asked for",
                kind: error.kind(),
                error: &error,
            }
            .emit();
        }
    });
}
