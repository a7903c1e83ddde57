//! Writing what was heard, and telling of it.
//!
//! First Postgres, then Kafka, and only then are the records finished that caused it. An end the carrier told needs no
//! outbox: the record of `calls.events` that ended the call is read again until `attempt.finished` is confirmed, and the
//! event has the same id each time. An end we concluded ourselves has no such record, and what replaces one must be
//! told after it: those go through the outbox, in the transaction that writes them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use voice_contacts::suppressions::{Reason, suppress_person};
use voice_kafka::OutboundRecord;
use voice_postgres::outbox::OutboxRecord;
use voice_schemas::{
    AttemptId, Envelope, EventId, EventType, TenantId, TransferId,
    events::attempt::{AttemptClass, AttemptData, AttemptEvent},
    topics,
};

use super::{
    hear::{OptOut, opts_out},
    say::{LONGEST_MESSAGE, Say, command},
    shard::Shard,
    worker::{Deps, ShardKey, Worker},
};
use crate::{
    agents,
    attempts::{self, Line, News},
    campaigns::SOURCE,
    error::Error,
    events::{ENDED, OPT_OUTS},
    origination::number_days::{self, Use, Uses},
    outbox, shards, transfers,
};

impl Worker {
    /// Writes everything that is not written yet, and waits until it is told.
    ///
    /// # Errors
    /// When a store is away; nothing is lost and the same call does the rest.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        self.recall().await?;
        let mut tenants: BTreeSet<TenantId> = self.end_owners.iter().map(|(tenant, ..)| *tenant).collect();
        tenants.extend(self.leg_news.iter().map(|(tenant, ..)| *tenant));
        tenants.extend(self.opt_outs.iter().map(|said| said.owner.0));
        tenants.extend(self.afterwards.iter().map(|(tenant, _)| *tenant));
        tenants.extend(self.agent_inputs.iter().map(|(tenant, ..)| *tenant));
        tenants.extend(
            self.shards
                .iter()
                .filter(|(_, shard)| shard.lines.values().any(|held| held.dirty))
                .map(|((tenant, ..), _)| *tenant),
        );
        for tenant in tenants {
            self.write(tenant).await?;
        }
        self.tell().await
    }

    async fn write(&mut self, tenant: TenantId) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.deps.database.tenant(tenant).await?;
        let inputs: Vec<_> = self
            .agent_inputs
            .iter()
            .filter(|(owner, ..)| *owner == tenant)
            .map(|(_, agent, input)| (*agent, input.clone()))
            .collect();
        let changed = agents::apply(&mut tx, &inputs, now).await?;
        let mut dirty: Vec<&Line> = self
            .shards
            .range((tenant, voice_schemas::CampaignId(uuid::Uuid::nil()), 0)..)
            .take_while(|((owner, ..), _)| *owner == tenant)
            .flat_map(|(_, shard)| shard.lines.values())
            .filter(|held| held.dirty)
            .map(|held| &held.line)
            .collect();
        let written: Vec<AttemptId> = dirty.iter().map(|line| line.attempt).collect();
        // Each once, as it is known last: a statement must not meet the same row twice.
        let late: BTreeMap<AttemptId, &Line> = self
            .afterwards
            .iter()
            .filter(|(owner, _)| *owner == tenant)
            .map(|(_, line)| (line.attempt, line))
            .collect();
        dirty.extend(late.into_values());
        attempts::apply_progress(&mut tx, &dirty).await?;
        let (ends, owners): (Vec<_>, Vec<_>) = self
            .ends
            .iter()
            .zip(&self.end_owners)
            .filter(|(_, (owner, ..))| *owner == tenant)
            .map(|(end, owner)| (end.clone(), *owner))
            .unzip();
        let applied = attempts::apply_ends(&mut tx, &ends, now).await?;
        let to_tell = (ends.iter().zip(&owners))
            .filter(|(end, _)| !is_read_again(end, &applied) && applied.changed(end.line.attempt))
            .map(|(end, owner)| {
                let event = about(*owner, EventType::AttemptFinished, &end.line);
                OutboxRecord::event(&topics::CALLS, shards::key(owner.1, owner.2), &event)
            })
            .collect::<Result<Vec<_>, _>>()?;
        outbox::tell(&mut tx, &to_tell).await?;
        let (over, open): (Vec<_>, Vec<_>) =
            (self.handed_over.iter().copied()).partition(|(owner, _)| *owner == tenant);
        let over: Vec<TransferId> = over.into_iter().map(|(_, transfer)| transfer).collect();
        transfers::close(&mut tx, &over, now).await?;
        for said in self.opt_outs.iter().filter(|said| said.owner.0 == tenant) {
            let token = Some(said.token);
            suppress_person(&mut tx, said.contact, token, said.scope, Reason::OptOut, said.at).await?;
        }
        let (news, rest): (Vec<_>, Vec<_>) = self
            .leg_news
            .iter()
            .cloned()
            .partition(|(owner, ..)| *owner == tenant);
        let mut seats = Vec::new();
        for (_, agent, event) in &news {
            seats.push((event, agents::legs::hear(&mut tx, *agent, event, now).await?));
        }
        tx.commit().await?;
        number_days::count(&self.deps.database, tenant, &answers(&ends, &applied)).await;
        for (event, heard) in seats {
            self.seat(tenant, event, heard);
        }
        self.leg_news = rest;
        self.handed_over = open;
        self.afterwards.retain(|(owner, _)| *owner != tenant);
        self.say_farewell(tenant, now);

        #[allow(clippy::cast_precision_loss)]
        self.deps
            .metrics
            .counter(&ENDED)
            .add((), applied.ended.len() as u64);
        for ((owner, ..), shard) in &mut self.shards {
            if *owner == tenant {
                for attempt in &written {
                    if let Some(held) = shard.lines.get_mut(attempt) {
                        held.dirty = false;
                    }
                }
                shard.see(changed.iter().map(|applied| applied.agent.clone()), now);
            }
        }
        self.agent_inputs.retain(|(owner, ..)| *owner != tenant);
        // Told also when it was written before: then the telling may have been what was lost.
        let (mut kept, mut owners) = (Vec::new(), Vec::new());
        for (end, owner) in self.ends.drain(..).zip(self.end_owners.drain(..)) {
            if owner.0 == tenant {
                if is_read_again(&end, &applied) {
                    self.unannounced
                        .extend(event(&self.deps, owner, EventType::AttemptFinished, &end.line));
                }
            } else {
                kept.push(end);
                owners.push(owner);
            }
        }
        (self.ends, self.end_owners) = (kept, owners);
        Ok(())
    }

    /// Whoever pressed the key is told that it was heard, once that is written, and the call ends.
    fn say_farewell(&mut self, tenant: TenantId, now: DateTime<Utc>) {
        let (heard, rest) = std::mem::take(&mut self.opt_outs)
            .into_iter()
            .partition(|said| said.owner.0 == tenant);
        self.opt_outs = rest;
        let heard: Vec<OptOut> = heard;
        for said in heard {
            self.deps.metrics.counter(&OPT_OUTS).inc(());
            let Some(shard) = self.shards.get_mut(&said.owner) else {
                continue;
            };
            if let Some(held) = shard.lines.get_mut(&said.attempt) {
                let say = if shard.campaign.opt_out_url.is_some() {
                    Say::Farewell
                } else {
                    Say::HangUp
                };
                held.closing = Some(now + LONGEST_MESSAGE);
                command(&self.deps, said.owner, &shard.campaign, held, say);
            }
        }
    }

    /// Hands all events over and waits for the broker's confirmation.
    async fn tell(&mut self) -> Result<(), Error> {
        let mut confirmations = Vec::with_capacity(self.unannounced.len());
        for record in &self.unannounced {
            confirmations.push(self.deps.producer.enqueue(record)?);
        }
        for confirmation in confirmations {
            confirmation.await?;
        }
        self.unannounced.clear();
        Ok(())
    }

    /// Reads the attempts late events are about, and takes note of what changes their ends.
    async fn recall(&mut self) -> Result<(), Error> {
        if self.late.0.is_empty() {
            return Ok(());
        }
        let mut by_tenant: BTreeMap<TenantId, Vec<AttemptId>> = BTreeMap::new();
        for ((tenant, ..), attempt, _) in &self.late.0 {
            by_tenant.entry(*tenant).or_default().push(*attempt);
        }
        let mut found: BTreeMap<AttemptId, (ShardKey, Line)> = BTreeMap::new();
        for (tenant, attempts) in by_tenant {
            let mut tx = self.deps.database.tenant(tenant).await?;
            for (campaign, shard, line) in attempts::lines(&mut tx, &attempts).await? {
                found.insert(line.attempt, ((tenant, campaign, shard), line));
            }
            tx.commit().await?;
        }
        let now = self.now();
        for (_, attempt, event) in std::mem::take(&mut self.late.0) {
            let Some((key, line)) = found.get_mut(&attempt) else {
                continue;
            };
            let mut news = line.hear(&event);
            if let Some(shard) = self.shards.get(key)
                && let Some(pressed) = opts_out(&shard.campaign, line, news, &event)
            {
                self.opt_outs
                    .push(OptOut::of(*key, line, &shard.campaign, pressed));
                news = line.end.is_some().then_some(News::EndedOtherwise);
            }
            let (key, line) = (*key, line.clone());
            if matches!(news, Some(News::Ended | News::EndedOtherwise)) {
                self.amend(key, line.clone(), now);
            } else if news == Some(News::Late) {
                self.afterwards.push((key.0, line.clone()));
            }
            if let Some(shard) = self.shards.get_mut(&key)
                && line.end.is_some()
            {
                shard.ended.insert(attempt, (line, now));
            }
        }
        Ok(())
    }
}

/// The carrier's own word, and the first: its record is read again until the telling is confirmed.
fn is_read_again(end: &attempts::Concluded, applied: &attempts::Applied) -> bool {
    let told = end.line.end.as_ref().is_some_and(|end| !end.ending.reconciled);
    told && end.line.carrier.is_some() && !applied.amended.contains(&end.line.attempt)
}

/// Answers of attempts that ended just now, by the number shown.
fn answers(ends: &[attempts::Concluded], applied: &attempts::Applied) -> Uses {
    let ended = ends.iter().map(|end| &end.line);
    let answered = ended.filter(|line| applied.ended.contains(&line.attempt) && line.answered_at.is_some());
    number_days::uses(answered, Use::ANSWER)
}

impl Shard {
    /// Takes note of how agents stand, and tells pacing how long they talked and wrapped up.
    pub(super) fn see(&mut self, agents: impl Iterator<Item = agents::AgentRow>, now: DateTime<Utc>) {
        use voice_schemas::events::agent::AgentStatus as S;
        let mine = Some((self.campaign.id, self.number));
        for agent in agents {
            if agent.state.works_for != mine {
                self.agents.remove(&agent.id);
                continue;
            }
            if let Some(before) = self.agents.get(&agent.id)
                && before.state.status != agent.state.status
            {
                let since = before.state.since.into();
                let event = match before.state.status {
                    S::OnCall => Some(voice_pacing::Event::TalkEnded { since }),
                    S::WrapUp => Some(voice_pacing::Event::WrapEnded { since }),
                    _ => None,
                };
                if let Some(event) = event {
                    self.pacer
                        .observe(event, &voice_pacing::Jurisdiction(String::new()), now.into());
                }
            }
            self.agents.insert(agent.id, agent);
        }
    }
}

/// An event about an attempt, keyed like the events of its call. Its id is a function of attempt and type: there is one of
/// each, however often it is told.
pub(super) fn event(deps: &Deps, key: ShardKey, kind: EventType, line: &Line) -> Option<OutboundRecord> {
    Some(OutboundRecord {
        topic: deps.kafka.topic(&topics::CALLS),
        key: shards::key(key.1, key.2).into_bytes(),
        payload: serde_json::to_vec(&about(key, kind, line)).ok()?,
        headers: Vec::new(),
    })
}

fn about((tenant, campaign, shard): ShardKey, kind: EventType, line: &Line) -> AttemptEvent {
    let data = AttemptData {
        attempt_id: line.attempt,
        campaign_id: campaign,
        shard,
        contact_id: line.contact,
        call_id: Some(line.call),
        number: line.number,
        reasons: Vec::new(),
        next_at: None,
        class: line.class().and_then(|class| AttemptClass::parse(class.as_str())),
        outcome: line.end.as_ref().map(|end| end.ending.outcome),
    };
    let at = line.end.as_ref().map_or(line.claimed_at, |end| end.at);
    let id = EventId::derived(
        line.claimed_at,
        &[kind.as_str().as_bytes(), line.attempt.0.as_bytes()],
    );
    Envelope::new(id, tenant, SOURCE, kind, at, data)
}
