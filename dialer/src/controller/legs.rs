//! Looking after the legs of agents: those keyed to this partition, whatever campaign they work for.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use voice_schemas::{
    AgentId, AttemptId, TenantId,
    events::{
        agent::AgentStatus,
        call::{
            AgentLeg, CallEvent, CallFact, CallOutcome, CallRef, Carrier, Direction, Ending, Evidence,
            agent_leg_key,
        },
    },
    topics,
};
use voice_telephony::{
    AmdMode, CallContext, Conference, HookUrls, Instruction, OriginateRequest, SealedContext,
};

use super::{
    say::{LONGEST_MESSAGE, Say, command, room},
    worker::{Deps, Worker},
};
use crate::{
    agents::{
        Reach,
        legs::{self, Heard, Leg, Minded, RING, Summons},
    },
    campaigns::SOURCE,
    error::Error,
    events::{CommandRefused, LEGS, Leg as Told, Postponed},
    origination::carriers::{self, Line, Placing},
    shards,
};

/// Longer than any shift.
const LONGEST_SHIFT: Duration = Duration::from_secs(4 * 3_600);

impl Worker {
    /// Calls agents who wait for calls, lets go those who signed out, and asks about legs nobody heard of.
    pub(super) async fn mind_legs(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        for (tenant, agent) in &listing.legs {
            if shards::of_agent(*agent, self.deps.partitions) != self.number {
                continue;
            }
            // Named until the next look: done already.
            if self
                .minded
                .get(agent)
                .is_some_and(|at| now - *at < super::worker::MIND_AGAIN)
            {
                continue;
            }
            self.minded.insert(*agent, now);
            match self.mind(*tenant, *agent, now).await {
                Ok(minded) => self.act_on_leg(*tenant, *agent, minded, now),
                Err(error) => Postponed {
                    work: "looking after the leg of an agent",
                    kind: error.kind(),
                    error: &error,
                }
                .emit(),
            }
        }
        self.minded.retain(|_, at| now - *at < super::worker::MIND_AGAIN);
    }

    async fn mind(&self, tenant: TenantId, agent: AgentId, now: DateTime<Utc>) -> Result<Minded, Error> {
        let mut tx = self.deps.database.tenant(tenant).await?;
        let minded = legs::mind(&mut tx, agent, now).await?;
        tx.commit().await?;
        Ok(minded)
    }

    fn act_on_leg(&self, tenant: TenantId, agent: AgentId, minded: Minded, now: DateTime<Utc>) {
        match minded {
            Minded::Nothing => {}
            Minded::Place(summons) => {
                self.deps.metrics.counter(&LEGS).inc(Told::Placed);
                tokio::spawn(place(self.deps.clone(), tenant, agent, *summons));
            }
            Minded::HangUp(leg) => {
                self.deps.metrics.counter(&LEGS).inc(Told::Ended);
                let Some((way, (_, id))) = way(&self.deps, tenant, &leg).zip(leg.carrier) else {
                    return;
                };
                tokio::spawn(async move {
                    report("hangup", way.client.hangup(&id).await);
                });
            }
            Minded::Ask(leg) => {
                self.deps.metrics.counter(&LEGS).inc(Told::Asked);
                tokio::spawn(ask(self.deps.clone(), tenant, agent, leg, now));
            }
        }
    }

    /// What an event of a leg asks for, once it is written.
    pub(super) fn seat(&self, tenant: TenantId, event: &CallEvent, heard: Heard) {
        let call = &event.data.call;
        if heard == Heard::Stray {
            return self.end_stray(tenant, call);
        }
        // Twilio was told with the call.
        let (Heard::Seat, Carrier::Telnyx, Some(agent)) = (heard, call.carrier, call.agent_id) else {
            return;
        };
        let (deps, call) = (self.deps.clone(), call.clone());
        tokio::spawn(async move {
            let read = async {
                let mut tx = deps.database.tenant(tenant).await?;
                let account = legs::account(&mut tx, agent, call.call_id).await?;
                tx.commit().await?;
                Ok::<_, voice_postgres::Error>(account)
            };
            let Ok(Some(account)) = read.await else { return };
            let Some(way) = crate::app::lines(&deps.lines).get(&(tenant, account)).cloned() else {
                return;
            };
            let sealed = deps.context.seal(&context(tenant, agent, call.call_id));
            let steps = [seat(agent, &way.hooks, &sealed)];
            report(
                "conference",
                way.client.answer(&call.carrier_call_id, &steps).await.map(drop),
            );
        });
    }

    /// Ends a leg nobody keeps any more. Which account it went through is forgotten: those of its carrier are asked.
    fn end_stray(&self, tenant: TenantId, call: &CallRef) {
        let lines = crate::app::lines(&self.deps.lines);
        for ((owner, _), way) in lines.iter() {
            if *owner == tenant && way.client.carrier() == call.carrier {
                let (client, id) = (Arc::clone(&way.client), call.carrier_call_id.clone());
                tokio::spawn(async move {
                    // All but one of them do not know it.
                    let _unknown_elsewhere = client.hangup(&id).await;
                });
            }
        }
    }

    /// A customer whose agent has fallen out of the room is not left alone in it.
    pub(super) fn leave_nobody_alone(&mut self, now: DateTime<Utc>) {
        for (key, shard) in &mut self.shards {
            let people = shard.agents.values().chain(shard.guests.values());
            let gone = people.filter_map(|agent| {
                // What the end of a leg leaves behind; an address that was only just entered does not.
                let lost =
                    agent.reach == Reach::Nowhere && agent.state.next_status == Some(AgentStatus::Away);
                (agent.state.status == AgentStatus::OnCall && lost).then_some(agent.state.call?)
            });
            for call in gone {
                for held in shard.lines.values_mut() {
                    if held.line.call == call && held.closing.is_none() {
                        held.closing = Some(now + LONGEST_MESSAGE);
                        command(&self.deps, *key, &shard.campaign, held, Say::HangUp);
                    }
                }
            }
        }
    }
}

fn report(command: &'static str, result: Result<(), voice_telephony::CarrierError>) {
    if let Err(error) = result {
        CommandRefused {
            command,
            error: &error,
        }
        .emit();
    }
}

fn way(deps: &Deps, tenant: TenantId, leg: &Leg) -> Option<Line> {
    crate::app::lines(&deps.lines)
        .get(&(tenant, leg.account))
        .cloned()
}

fn context(tenant: TenantId, agent: AgentId, call: voice_schemas::CallId) -> CallContext {
    CallContext {
        agent: Some(agent),
        agent_leg: true,
        ..CallContext::new(tenant, call, Direction::Outbound)
    }
}

/// The agent's place in their room, in silence until a customer comes.
fn seat(agent: AgentId, hooks: &HookUrls, context: &SealedContext) -> Instruction {
    let mut conference = Conference::new(room(agent));
    conference.label = Some("agent".to_owned());
    conference.wait_url = Some(String::new());
    Instruction::Conference(conference.reporting_to(hooks, context))
}

/// The same for a leg that was told something in between.
pub(super) fn seat_again(
    deps: &Deps,
    tenant: TenantId,
    agent: AgentId,
    call: voice_schemas::CallId,
    hooks: &HookUrls,
) -> Instruction {
    seat(agent, hooks, &deps.context.seal(&context(tenant, agent, call)))
}

/// The one request for a leg.
async fn place(deps: Deps, tenant: TenantId, agent: AgentId, summons: Summons) {
    let found = crate::app::lines(&deps.lines)
        .get(&(tenant, summons.account))
        .cloned();
    let Some(way) = found else {
        return settle(&deps, tenant, agent, &summons, None).await;
    };
    let sealed = deps.context.seal(&context(tenant, agent, summons.call));
    let request = OriginateRequest {
        attempt: AttemptId(summons.call.0),
        to: summons.to.clone(),
        from: summons.from.clone(),
        hooks: way.hooks.clone(),
        ring_timeout: RING.to_std().unwrap_or(Duration::from_secs(30)),
        time_limit: Some(LONGEST_SHIFT),
        amd: AmdMode::Off,
        record: false,
        on_answer: match way.client.carrier() {
            Carrier::Twilio => vec![seat(agent, &way.hooks, &sealed)],
            Carrier::Telnyx => Vec::new(),
        },
        context: sealed,
    };
    let placing = carriers::place(&way, &request).await;
    settle(
        &deps,
        tenant,
        agent,
        &summons,
        Some((way.client.carrier(), placing)),
    )
    .await;
}

/// Writes what the carrier answered. What it did not answer is heard of, or given up.
async fn settle(
    deps: &Deps,
    tenant: TenantId,
    agent: AgentId,
    summons: &Summons,
    answer: Option<(Carrier, Placing)>,
) {
    let now = deps.clock.now();
    let write = async {
        let mut tx = deps.database.tenant(tenant).await?;
        match &answer {
            Some((_, Placing::Unknown)) => return Ok(()),
            Some((carrier, Placing::Placed { carrier_call_id, .. })) => {
                legs::placed(&mut tx, agent, summons.call, *carrier, carrier_call_id).await?;
            }
            Some((_, Placing::Not { outcome, .. })) => {
                legs::over(&mut tx, agent, summons.call, *outcome, now).await?;
            }
            None => {
                legs::over(&mut tx, agent, summons.call, CallOutcome::CarrierError, now).await?;
            }
        }
        tx.commit().await
    };
    if let Err(error) = write.await {
        Postponed {
            work: "writing what became of the leg of an agent",
            kind: error.kind(),
            error: &error,
        }
        .emit();
    }
}

/// Asks the carrier about a leg. Its end goes to `calls.events` like any other.
async fn ask(deps: Deps, tenant: TenantId, agent: AgentId, leg: Leg, now: DateTime<Utc>) {
    let Some((way, (carrier, id))) = way(&deps, tenant, &leg).zip(leg.carrier) else {
        return;
    };
    let snapshot = match way.client.lookup(&id).await {
        Ok(snapshot) => snapshot,
        Err(error) => return report("lookup", Err(error)),
    };
    let Some(ending) = snapshot.ending else { return };
    let call = CallRef {
        call_id: leg.call,
        direction: Direction::Outbound,
        carrier,
        carrier_call_id: id,
        campaign_id: None,
        shard: None,
        attempt_id: None,
        contact_id: None,
        queue_id: None,
        agent_id: Some(agent),
        phone_token: None,
    };
    let evidence = Evidence {
        carrier_event: "lookup".to_owned(),
        dedupe_key: "dialer".to_owned(),
        sequence: None,
        received_at: now,
    };
    let ended = CallFact::AgentLeg(AgentLeg::Ended(Ending {
        reconciled: true,
        ..ending
    }));
    let event = ended.into_event(tenant, SOURCE, snapshot.ended_at.unwrap_or(now), call, evidence);
    let Ok(payload) = serde_json::to_vec(&event) else {
        return;
    };
    let record = voice_kafka::OutboundRecord {
        topic: deps.kafka.topic(&topics::CALLS),
        key: agent_leg_key(agent).into_bytes(),
        payload,
        headers: Vec::new(),
    };
    // Asked again in two minutes should it not arrive.
    if let Err(error) = deps.producer.send(&record).await {
        Postponed {
            work: "telling of the end of an agent's leg",
            kind: error.kind(),
            error: &error,
        }
        .emit();
    }
}
