//! Callers an AI agent hands over: finding a person among the agents of our shards, and putting our calls into their rooms.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use voice_postgres::{Result, TenantTx, outbox::OutboxRecord};
use voice_schemas::{
    AgentId, TransferId,
    events::call::{AgentKind, Bridge, CallFact, CallRef, Carrier, Direction, Evidence},
    topics,
    transfers::TransferState,
};
use voice_telephony::{Instruction, Prompt};

use super::{
    legs::seat_again,
    say::person,
    shard::{Handled, Held, Shard},
    worker::{Deps, ShardKey, Worker},
};
use crate::{
    agents::{self, Input},
    attempts::Line as Attempt,
    campaigns::SOURCE,
    events::{CommandRefused, Handover, Postponed, TRANSFERS},
    outbox, shards,
    transfers::{self, Briefing, Caller, PLACE, Place, Step, Transfer, Wanted},
};

impl Worker {
    /// Sees to every transfer that is about an agent or a call of ours.
    pub(super) async fn mind_transfers(&mut self, now: DateTime<Utc>) {
        let listing = Arc::clone(&self.deps.listings.borrow());
        for transfer in &listing.transfers {
            if transfer.state == TransferState::Asked && transfer.until > now {
                self.find_somebody(transfer, now).await;
            }
            let key = (transfer.tenant, transfer.of.0, transfer.of.1);
            if let Some(shard) = self.shards.get_mut(&key) {
                let step = transfers::step(transfer, caller(shard, transfer), now);
                self.take_step(key, transfer, step, now).await;
            }
        }
    }

    /// Reserves whoever is wanted and free, if they work for a shard of ours.
    async fn find_somebody(&mut self, transfer: &Transfer, now: DateTime<Utc>) {
        let keys: Vec<ShardKey> = self
            .shards
            .keys()
            .filter(|(tenant, campaign, _)| {
                *tenant == transfer.tenant
                    && match transfer.wanted {
                        Wanted::Anybody(of) => *campaign == of,
                        Wanted::Person(_) => true,
                    }
            })
            .copied()
            .collect();
        for key in keys {
            // Nobody else reads who works for a campaign that calls with AI agents only.
            if self.shards.get(&key).is_some_and(|shard| shard.is_stale(now)) {
                self.read_agents(key, now).await;
            }
            let Some(agent) = self.shards.get(&key).and_then(|shard| free(shard, transfer, now)) else {
                continue;
            };
            match self.reserve_for(key, transfer, agent, now).await {
                Ok(true) => {
                    self.deps.metrics.counter(&TRANSFERS).inc(Handover::Reserved);
                    return;
                }
                Ok(false) => {}
                Err(error) => postponed("reserving a person for a caller", &error),
            }
        }
    }

    /// Both or neither: the person is reserved and the transfer says so.
    async fn reserve_for(
        &mut self,
        key: ShardKey,
        transfer: &Transfer,
        agent: AgentId,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let until = now + PLACE;
        let reserve = Input::Reserve {
            attempt: transfer.attempt,
            by: (key.1, key.2),
            until,
        };
        let mut tx = self.deps.database.tenant(key.0).await?;
        let applied = agents::apply(&mut tx, &[(agent, reserve)], now).await?;
        let token = applied
            .iter()
            .filter(|applied| applied.result.is_ok())
            .find_map(|applied| applied.agent.state.reservation)
            .map(|held| held.token);
        let Some(token) = token else {
            // They were taken meanwhile.
            tx.rollback().await?;
            self.read_agents(key, now).await;
            return Ok(false);
        };
        let wanted = transfers::reserve(&mut tx, transfer.id, Place { agent, token }, until, now).await?;
        if !wanted {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        if let Some(shard) = self.shards.get_mut(&key) {
            shard.see(applied.into_iter().map(|applied| applied.agent), now);
        }
        Ok(true)
    }

    async fn take_step(&mut self, key: ShardKey, transfer: &Transfer, step: Step, now: DateTime<Utc>) {
        let done = match (step, transfer.place) {
            (Step::Order, Some(place)) => self.order(key, transfer, place, now).await,
            (Step::Done, Some(place)) => {
                let line = self
                    .shards
                    .get(&key)
                    .and_then(|shard| shard.lines.get(&transfer.attempt));
                match line.map(|held| held.line.clone()) {
                    Some(line) => settle(&self.deps, key, &line, (transfer.id, place), true, now).await,
                    None => Ok(()),
                }
            }
            (Step::Fail, _) => self.give_up(transfer, now).await,
            (Step::Forget, _) => {
                let to = (TransferState::Asked, TransferState::NobodyFree);
                move_on(&self.deps, transfer, to, now).await.map(drop)
            }
            (Step::Wait | Step::Order | Step::Done, _) => Ok(()),
        };
        if let Err(error) = done {
            postponed("handing a caller over", &error);
        }
    }

    /// First the row, then the carrier, once.
    async fn order(
        &mut self,
        key: ShardKey,
        transfer: &Transfer,
        place: Place,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut tx = self.deps.database.tenant(key.0).await?;
        let to = (TransferState::Reserved, TransferState::Ordered);
        if !transfers::advance(&mut tx, transfer.id, to, now).await? {
            return tx.rollback().await;
        }
        let guests = agents::some(&mut tx, &[place.agent]).await?;
        let briefing = transfers::briefing(&mut tx, transfer.id).await?;
        tx.commit().await?;
        let Some(shard) = self.shards.get_mut(&key) else {
            return Ok(());
        };
        shard.welcome(guests);
        if let Some(held) = shard.lines.get_mut(&transfer.attempt) {
            let transfer = (transfer.id, place);
            held.transfer = Some(transfer);
            let line = held.line.clone();
            let deps = self.deps.clone();
            tokio::spawn(async move {
                if let Some(briefing) = briefing {
                    brief(&deps, key, &line, place.agent, &briefing).await;
                }
                put_through(deps, key, line, transfer.0, transfer.1).await;
            });
        }
        Ok(())
    }

    /// It came to nothing; the person is free again.
    async fn give_up(&mut self, transfer: &Transfer, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.deps.database.tenant(transfer.tenant).await?;
        let key = (transfer.tenant, transfer.of.0, transfer.of.1);
        let ours = self
            .shards
            .get(&key)
            .is_some_and(|shard| shard.lines.contains_key(&transfer.attempt));
        // A call we do not know may be that of a new owner.
        if !ours && !transfers::is_over(&mut tx, transfer.attempt).await? {
            return tx.rollback().await;
        }
        if let Some(place) = transfer.place {
            let release = Input::Release { token: place.token };
            agents::apply(&mut tx, &[(place.agent, release)], now).await?;
        }
        let to = (transfer.state, TransferState::Failed);
        if transfers::advance(&mut tx, transfer.id, to, now).await? {
            tx.commit().await?;
            self.deps.metrics.counter(&TRANSFERS).inc(Handover::Failed);
            return Ok(());
        }
        tx.rollback().await
    }
}

/// Who of the shard takes the caller.
fn free(shard: &Shard, transfer: &Transfer, now: DateTime<Utc>) -> Option<AgentId> {
    let account = Some(transfer.account);
    match transfer.wanted {
        Wanted::Anybody(_) => shard.longest_idle_but(&HashSet::new(), account, now),
        Wanted::Person(agent) => shard
            .agents
            .get(&agent)
            .filter(|agent| agent.kind == AgentKind::Human && agent.takes(account, now))
            .map(|agent| agent.id),
    }
}

/// Where the call of the transfer stands. What found somebody is noted: it may have been ordered by the owner before.
fn caller(shard: &mut Shard, transfer: &Transfer) -> Caller {
    let Some(held) = shard.lines.get_mut(&transfer.attempt) else {
        return Caller::Gone;
    };
    if transfer.state == TransferState::Ordered && held.transfer.is_none() {
        held.transfer = transfer.place.map(|place| (transfer.id, place));
    }
    stands(held)
}

/// Only a stream asks to be handed over, however late the carrier is to say that the call was answered.
fn stands(held: &Held) -> Caller {
    match (held.handled, held.line.bridged) {
        (Some(Handled::Person(..)), _) | (_, Some((_, AgentKind::Human))) => Caller::WithPerson,
        (Some(Handled::Machine | Handled::Abandoned), _) => Caller::Elsewhere,
        _ if held.closing.is_some() => Caller::Elsewhere,
        (None | Some(Handled::Ai | Handled::Waiting(_)), _) => Caller::WithAi,
    }
}

/// The person hears in a line who comes; the caller stays with the AI agent meanwhile. Without it they come all the same.
async fn brief(deps: &Deps, key: ShardKey, line: &Attempt, agent: AgentId, briefing: &Briefing) {
    let way = line
        .account
        .and_then(|account| crate::app::lines(&deps.lines).get(&(key.0, account)).cloned());
    let Some(way) = way else { return };
    let words = Instruction::Prompt(Prompt::Say {
        text: briefing.words.clone(),
        language: None,
        voice: None,
    });
    let steps = match way.client.carrier() {
        // A new document takes the leg out of the room.
        Carrier::Twilio => vec![words, seat_again(deps, key.0, agent, briefing.leg, &way.hooks)],
        Carrier::Telnyx => vec![words],
    };
    match way.client.answer(&briefing.carrier_call_id, &steps).await {
        Ok(_) => tokio::time::sleep(briefing.lasts()).await,
        Err(error) => CommandRefused {
            command: "say",
            error: &error,
        }
        .emit(),
    }
}

/// The one order to the carrier.
async fn put_through(deps: Deps, key: ShardKey, line: Attempt, id: TransferId, place: Place) {
    let line = Attempt {
        agent: Some(place.agent),
        ..line
    };
    let way = line
        .account
        .and_then(|account| crate::app::lines(&deps.lines).get(&(key.0, account)).cloned());
    let told = match (&way, &line.carrier) {
        (Some(way), Some((_, call))) => {
            let steps = [person(&deps, key, &line, &way.hooks)];
            way.client.answer(call, &steps).await.map(drop)
        }
        _ => Err(voice_telephony::CarrierError::NotFound),
    };
    let taken = match told {
        Ok(()) => true,
        Err(error) => {
            let command = "conference";
            CommandRefused {
                command,
                error: &error,
            }
            .emit();
            // It may have been done: then it is heard of, or the place runs out.
            if !error.is_certain() {
                return;
            }
            false
        }
    };
    if let Err(error) = settle(&deps, key, &line, (id, place), taken, deps.clock.now()).await {
        postponed("writing that a caller was handed over", &error);
    }
}

/// Writes what came of an order, and tells of it.
async fn settle(
    deps: &Deps,
    key: ShardKey,
    line: &Attempt,
    (id, place): (TransferId, Place),
    taken: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    let (input, to, result) = if taken {
        let connect = Input::Connect {
            token: place.token,
            call: line.call,
        };
        (connect, TransferState::Done, Handover::Done)
    } else {
        let release = Input::Release { token: place.token };
        (release, TransferState::Failed, Handover::Failed)
    };
    let mut tx = deps.database.tenant(key.0).await?;
    // Refused when the carrier's own word was faster.
    agents::apply(&mut tx, &[(place.agent, input)], now).await?;
    if !transfers::advance(&mut tx, id, (TransferState::Ordered, to), now).await? {
        return tx.rollback().await;
    }
    if taken {
        let told = transferred(&tx, key, line, (id, place), now)?;
        outbox::tell(&mut tx, told.as_slice()).await?;
    }
    tx.commit().await?;
    deps.metrics.counter(&TRANSFERS).inc(result);
    Ok(())
}

/// `call.transferred`: also the word of the platform itself, where the carrier's about the room is lost.
fn transferred(
    tx: &TenantTx,
    (_, campaign, shard): ShardKey,
    line: &Attempt,
    (id, place): (TransferId, Place),
    now: DateTime<Utc>,
) -> Result<Option<OutboxRecord>> {
    let Some((carrier, carrier_call_id)) = line.carrier.clone() else {
        return Ok(None);
    };
    let call = CallRef {
        call_id: line.call,
        direction: Direction::Outbound,
        carrier,
        carrier_call_id,
        campaign_id: Some(campaign),
        shard: Some(shard),
        attempt_id: Some(line.attempt),
        contact_id: Some(line.contact),
        queue_id: None,
        agent_id: Some(place.agent),
        phone_token: Some(line.phone_token.simple().to_string()),
    };
    let evidence = Evidence {
        carrier_event: "transfer".to_owned(),
        dedupe_key: id.0.to_string(),
        sequence: None,
        received_at: now,
    };
    let bridge = Bridge {
        agent_kind: AgentKind::Human,
    };
    let event = CallFact::Transferred(bridge).into_event(tx.tenant(), SOURCE, now, call, evidence);
    OutboxRecord::event(&topics::CALLS, shards::key(campaign, shard), &event).map(Some)
}

async fn move_on(
    deps: &Deps,
    transfer: &Transfer,
    to: (TransferState, TransferState),
    now: DateTime<Utc>,
) -> Result<bool> {
    let mut tx = deps.database.tenant(transfer.tenant).await?;
    let moved = transfers::advance(&mut tx, transfer.id, to, now).await?;
    tx.commit().await?;
    Ok(moved)
}

fn postponed(work: &'static str, error: &voice_postgres::Error) {
    Postponed {
        work,
        kind: error.kind(),
        error,
    }
    .emit();
}
