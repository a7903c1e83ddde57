//! Writing a claim: decisions, attempts, the ledger, the contacts, the days of the numbers; one statement each.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx, outbox::OutboxRecord};
use voice_schemas::{
    AttemptId, CampaignId, ContactId, Envelope, EventId, EventType,
    events::attempt::{AttemptData, AttemptEvent},
    topics,
};

use super::{
    candidates::{Candidate, Phone, column},
    claim::{Dial, Order, next_number},
    judge::Judged,
};
use crate::{attempts::small, campaigns::SOURCE, gate::Verdict, outbox, shards};

/// How many dials of a number are kept: more than any cap counts.
const KEPT: i32 = 40;
/// In shadow mode a contact that would have been called rests for so long.
const SHADOW_REST: TimeDelta = TimeDelta::days(1);
/// A rule that gave no time is asked again after this.
const ASK_AGAIN: TimeDelta = TimeDelta::hours(1);

/// A decision to store.
pub(super) struct Decision<'a> {
    pub(super) order: &'a Order,
    pub(super) id: Uuid,
    /// Which try it is about, from 1.
    pub(super) number: u16,
    pub(super) contact: ContactId,
    pub(super) phone: Option<Uuid>,
    pub(super) judged: Judged,
}

impl<'a> Decision<'a> {
    pub(super) fn of(
        order: &'a Order,
        id: Uuid,
        candidate: &Candidate,
        phone: Option<&Phone>,
        judged: Judged,
    ) -> Self {
        Self {
            order,
            id,
            number: next_number(candidate),
            contact: candidate.contact,
            phone: phone.map(|phone| phone.token),
            judged,
        }
    }
}

/// The judgement of a contact without a number.
pub(super) fn no_number_left() -> Judged {
    Judged {
        verdict: Verdict {
            reasons: vec!["no_number".to_owned()],
            next_at: None,
            policy_version: "none".to_owned(),
            local_time: None,
        },
        for_good: true,
    }
}

pub(super) async fn write(
    tx: &mut TenantTx,
    dials: &[(&Order, &Dial)],
    decisions: &[Decision<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    if decisions.is_empty() {
        return Ok(());
    }
    store_decisions(tx, decisions, now).await?;
    hold_back(tx, decisions, now).await?;
    if dials.is_empty() {
        return Ok(());
    }
    insert_attempts(tx, dials, now).await?;
    note_dials(tx, dials, now).await?;
    move_to_dialling(tx, dials, now).await
}

async fn store_decisions(tx: &mut TenantTx, decisions: &[Decision<'_>], now: DateTime<Utc>) -> Result<()> {
    let verdict = |decision: &Decision<'_>| decision.judged.verdict.clone();
    sqlx::query(
        "INSERT INTO app.contact_decisions
             (tenant_id, id, campaign_id, contact_id, phone_token, at, allowed, reasons, next_at, policy_version,
              local_time)
         SELECT $1, u.id, u.campaign_id, u.contact_id, u.phone_token, $2, u.reasons = '',
                string_to_array(u.reasons, ' '), u.next_at, u.policy_version, u.local_time
         FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[], $9::text[],
                     $10::text[])
              AS u(id, campaign_id, contact_id, phone_token, reasons, next_at, policy_version, local_time)",
    )
    .bind(tx.tenant().0)
    .bind(now)
    .bind(column(decisions, |decision| decision.id))
    .bind(column(decisions, |decision| decision.order.campaign.id.0))
    .bind(column(decisions, |decision| decision.contact.0))
    .bind(column(decisions, |decision| decision.phone))
    .bind(column(decisions, |decision| decision.judged.verdict.reasons.join(" ")))
    .bind(column(decisions, |decision| decision.judged.verdict.next_at))
    .bind(column(decisions, |decision| verdict(decision).policy_version))
    .bind(column(decisions, |decision| verdict(decision).local_time))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Contacts that may not be called now leave the front of the hopper until they may; those who never may leave it.
async fn hold_back(tx: &mut TenantTx, decisions: &[Decision<'_>], now: DateTime<Utc>) -> Result<()> {
    let back: Vec<(&Decision<'_>, &str, DateTime<Utc>, String)> = decisions
        .iter()
        .filter_map(|decision| {
            let verdict = &decision.judged.verdict;
            if verdict.allowed() {
                let shadow = decision.order.campaign.shadow;
                return shadow.then(|| (decision, "ready", now + SHADOW_REST, "shadow".to_owned()));
            }
            let state = match decision.judged.for_good {
                false => "ready",
                true if verdict.reasons.iter().any(|reason| reason == "exhausted") => "exhausted",
                true if verdict.reasons.iter().any(|reason| reason == "no_number") => "failed",
                true => "suppressed",
            };
            // Never again at once: a rule that says "now" would be asked at every tick.
            let next = verdict
                .next_at
                .unwrap_or(now + ASK_AGAIN)
                .max(now + TimeDelta::seconds(1));
            Some((decision, state, next, verdict.reasons.join(" ")))
        })
        .collect();
    if back.is_empty() {
        return Ok(());
    }
    // The rows are locked by this transaction, so what they were is what they are to the statement.
    let rows = sqlx::query_as(
        "WITH wanted AS MATERIALIZED (
             SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
                  AS u(campaign_id, contact_id, state, next_at, reasons)),
         before AS MATERIALIZED (
             SELECT b.campaign_id, b.contact_id, b.last_reasons FROM wanted u CROSS JOIN LATERAL (
                 SELECT * FROM app.campaign_contacts b
                 WHERE b.tenant_id = $1 AND b.campaign_id = u.campaign_id AND b.contact_id = u.contact_id OFFSET 0) b),
         done AS (
             UPDATE app.campaign_contacts c SET
                 state = u.state, next_attempt_at = u.next_at, last_reasons = string_to_array(u.reasons, ' '),
                 updated_at = $2
             FROM wanted u
             WHERE c.tenant_id = $1 AND c.campaign_id = u.campaign_id AND c.contact_id = u.contact_id
             RETURNING c.campaign_id, c.contact_id, c.last_reasons)
         SELECT done.campaign_id, done.contact_id FROM done JOIN before USING (campaign_id, contact_id)
         WHERE done.last_reasons IS DISTINCT FROM before.last_reasons",
    )
    .bind(tx.tenant().0)
    .bind(now)
    .bind(column(&back, |(decision, ..)| decision.order.campaign.id.0))
    .bind(column(&back, |(decision, ..)| decision.contact.0))
    .bind(column(&back, |(_, state, ..)| *state))
    .bind(column(&back, |(_, _, next, _)| *next))
    .bind(column(&back, |(.., reasons)| reasons.as_str()))
    .fetch_all(&mut **tx)
    .await?;
    let changed: HashSet<(Uuid, Uuid)> = rows.into_iter().collect();
    let skipped = back
        .iter()
        .filter(|(decision, ..)| changed.contains(&(decision.order.campaign.id.0, decision.contact.0)))
        .map(|(decision, state, next, reasons)| {
            let reasons = reasons.split(' ').map(str::to_owned).collect();
            let next = (*state == "ready").then_some(*next);
            let of = (decision.order.campaign.id, decision.order.shard);
            let about = (AttemptId(decision.id), decision.contact, decision.number);
            skipped(tx, of, about, reasons, next, now)
        })
        .collect::<Result<Vec<_>>>()?;
    outbox::tell(tx, &skipped).await
}

/// `attempt.skipped`: told when the reasons of a contact change, not whenever it is looked at.
fn skipped(
    tx: &TenantTx,
    (campaign, shard): (CampaignId, u16),
    (attempt, contact, number): (AttemptId, ContactId, u16),
    reasons: Vec<String>,
    next_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<OutboxRecord> {
    let kind = EventType::AttemptSkipped;
    let data = AttemptData {
        attempt_id: attempt,
        campaign_id: campaign,
        shard,
        contact_id: contact,
        call_id: None,
        number,
        reasons,
        next_at,
        outcome: None,
        class: None,
    };
    let id = EventId::derived(now, &[kind.as_str().as_bytes(), attempt.0.as_bytes()]);
    let event: AttemptEvent = Envelope::new(id, tx.tenant(), SOURCE, kind, now, data);
    OutboxRecord::event(&topics::CALLS, shards::key(campaign, shard), &event)
}

/// `attempt.skipped`, because an agent passed the contact over.
pub(crate) fn skipped_by_agent(
    tx: &TenantTx,
    of: (CampaignId, u16),
    about: (AttemptId, ContactId, u16),
    reasons: Vec<String>,
    again_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<OutboxRecord> {
    skipped(tx, of, about, reasons, Some(again_at), now)
}

/// The decision of an agent against a dial.
pub(crate) async fn passed_over(
    tx: &mut TenantTx,
    campaign: CampaignId,
    id: Uuid,
    contact: ContactId,
    reasons: &[String],
    again_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.contact_decisions
             (tenant_id, id, campaign_id, contact_id, at, allowed, reasons, next_at, policy_version)
         VALUES ($1, $2, $3, $4, $5, false, $6, $7, 'agent')",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .bind(campaign.0)
    .bind(contact.0)
    .bind(now)
    .bind(reasons)
    .bind(again_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_attempts(tx: &mut TenantTx, dials: &[(&Order, &Dial)], now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.attempts (tenant_id, id, campaign_id, contact_id, shard, number, phone_token, call_id,
                                   account_id, caller_number_id, epoch, ai_consent, claimed_at)
         SELECT $1, u.id, u.campaign_id, u.contact_id, u.shard, u.number, u.phone_token, u.call_id, u.account_id,
                u.caller_number_id, u.epoch, u.ai_consent, $2
         FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[], $7::smallint[], $8::uuid[], $9::uuid[],
                     $10::uuid[], $11::uuid[], $12::bigint[], $13::bool[])
              AS u(id, campaign_id, contact_id, shard, number, phone_token, call_id, account_id, caller_number_id,
                   epoch, ai_consent)",
    )
    .bind(tx.tenant().0)
    .bind(now)
    .bind(column(dials, |(_, dial)| dial.line.attempt.0))
    .bind(column(dials, |(order, _)| order.campaign.id.0))
    .bind(column(dials, |(_, dial)| dial.line.contact.0))
    .bind(column(dials, |(order, _)| small(order.shard)))
    .bind(column(dials, |(_, dial)| small(dial.line.number)))
    .bind(column(dials, |(_, dial)| dial.line.phone_token))
    .bind(column(dials, |(_, dial)| dial.line.call.0))
    .bind(column(dials, |(_, dial)| dial.account.0))
    .bind(column(dials, |(_, dial)| dial.line.caller_number))
    .bind(column(dials, |(order, _)| i64::try_from(order.epoch).unwrap_or(i64::MAX)))
    .bind(column(dials, |(_, dial)| dial.line.ai_consent))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The dial counts before it is made.
async fn note_dials(tx: &mut TenantTx, dials: &[(&Order, &Dial)], now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE app.dial_ledger l SET
             dials = l.dials[greatest(1, cardinality(l.dials) - $5 + 2):] || $3::timestamptz,
             companies = l.companies[greatest(1, cardinality(l.companies) - $5 + 2):] || u.company,
             ends = l.ends[greatest(1, cardinality(l.ends) - $5 + 2):] || ''::text
         FROM unnest($2::uuid[], $4::uuid[]) AS u(token, company)
         WHERE l.tenant_id = $1 AND l.phone_token = u.token",
    )
    .bind(tx.tenant().0)
    .bind(column(dials, |(_, dial)| dial.line.phone_token))
    .bind(now)
    .bind(column(dials, |(order, _)| {
        order.campaign.company.unwrap_or_default()
    }))
    .bind(KEPT)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn move_to_dialling(tx: &mut TenantTx, dials: &[(&Order, &Dial)], now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE app.campaign_contacts c SET
             state = 'dialling', attempts_made = u.number, attempt_id = u.attempt_id, last_reasons = '{}',
             updated_at = $2
         FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[])
              AS u(campaign_id, contact_id, attempt_id, number)
         WHERE c.tenant_id = $1 AND c.campaign_id = u.campaign_id AND c.contact_id = u.contact_id
           AND c.state = 'ready'",
    )
    .bind(tx.tenant().0)
    .bind(now)
    .bind(column(dials, |(order, _)| order.campaign.id.0))
    .bind(column(dials, |(_, dial)| dial.line.contact.0))
    .bind(column(dials, |(_, dial)| dial.line.attempt.0))
    .bind(column(dials, |(_, dial)| small(dial.line.number)))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
