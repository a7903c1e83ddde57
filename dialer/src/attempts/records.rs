//! What is written about attempts, many at a time.
//!
//! Ends are applied with the state of the row as the judge: an attempt ends once, however often its end is
//! told, and what follows for the contact follows once.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, ProviderAccountId,
    events::call::{AgentKind, Amd, AnsweredBy, CallOutcome, Carrier, Ending, HangupBy},
};

use super::{End, Line, Phase};
use crate::retry::{Class, Next, RetryPolicy, Tries};

/// The end of an attempt, and what it means for the contact.
#[derive(Clone, Debug)]
pub struct Concluded {
    /// The campaign.
    pub campaign: CampaignId,
    /// The line; it has ended.
    pub line: Line,
    /// What follows for the contact.
    pub next: Next,
    /// Tries after this one.
    pub tries: Tries,
    /// The carrier never took it on: the try does not count, neither for policies nor for caps.
    pub refused: bool,
}

impl Concluded {
    /// What follows from the end of `line` at `now`; `None` while it lives.
    #[must_use]
    pub fn of(
        campaign: CampaignId,
        line: Line,
        policy: &RetryPolicy,
        refused: bool,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let class = line.class()?;
        let mut tries = line.tries.clone();
        let next = if refused {
            // The carrier may do it soon, or another one may.
            Next::Again(now + TimeDelta::seconds(5))
        } else {
            let count = tries.entry(class).or_default();
            *count = count.saturating_add(1);
            policy.next(class, &tries, now)
        };
        Some(Self {
            campaign,
            line,
            next,
            tries,
            refused,
        })
    }

    fn state(&self) -> &'static str {
        match self.next {
            Next::Again(_) => "ready",
            Next::Done => "completed",
            Next::Exhausted => "exhausted",
            Next::Hopeless => "failed",
            Next::Never => "suppressed",
        }
    }
}

/// What [`apply_ends`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Attempts that ended with this call.
    pub ended: HashSet<AttemptId>,
    /// Attempts that had ended and now came to something else.
    pub amended: HashSet<AttemptId>,
}

impl Applied {
    /// Whether the attempt is another than before.
    #[must_use]
    pub fn changed(&self, attempt: AttemptId) -> bool {
        self.ended.contains(&attempt) || self.amended.contains(&attempt)
    }
}

/// Writes how far lines have come. Never takes a state back; of an attempt that has ended, only what was not known is
/// filled in.
///
/// # Errors
/// When the database fails.
pub async fn apply_progress(tx: &mut TenantTx, lines: &[&Line]) -> Result<()> {
    let Some((least, most)) = span(lines.iter().map(|line| line.attempt)) else {
        return Ok(());
    };
    sqlx::query(
        "UPDATE app.attempts a SET
             state = CASE WHEN array_position('{claimed,unknown,placed,answered}', u.state)
                             > array_position('{claimed,unknown,placed,answered}', a.state)
                          THEN u.state ELSE a.state END,
             carrier = coalesce(a.carrier, u.carrier),
             carrier_call_id = coalesce(a.carrier_call_id, u.carrier_call_id),
             answered_at = least(a.answered_at, u.answered_at),
             answered_by = coalesce(u.answered_by, a.answered_by),
             bridged_at = coalesce(a.bridged_at, u.bridged_at),
             -- Whom an AI agent hands over to counts.
             agent_kind = CASE WHEN u.agent_kind = 'human' THEN 'human' ELSE coalesce(a.agent_kind, u.agent_kind) END,
             agent_id = CASE WHEN a.state = 'finished' THEN coalesce(a.agent_id, u.agent_id)
                             ELSE coalesce(u.agent_id, a.agent_id) END,
             abandoned = a.abandoned OR (u.abandoned AND a.state <> 'finished'),
             opted_out_at = coalesce(a.opted_out_at, u.opted_out_at)
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::timestamptz[],
                     $9::text[], $10::uuid[], $11::bool[], $14::timestamptz[])
              AS u(id, state, carrier, carrier_call_id, answered_at, answered_by, bridged_at, agent_kind, agent_id,
                   abandoned, opted_out_at)
         WHERE a.tenant_id = $1 AND a.id = u.id AND a.id BETWEEN $12 AND $13",
    )
    .bind(tx.tenant().0)
    .bind(ids(lines))
    .bind(column(lines, |line| Some(line.phase.min(Phase::Answered).as_str())))
    .bind(column(lines, |line| line.carrier.as_ref().map(|(carrier, _)| carrier.as_str())))
    .bind(column(lines, |line| line.carrier.as_ref().map(|(_, id)| id.as_str())))
    .bind(column(lines, |line| line.answered_at))
    .bind(column(lines, |line| line.answered_by().map(AnsweredBy::as_str)))
    .bind(column(lines, |line| line.bridged.map(|(at, _)| at)))
    .bind(column(lines, |line| line.bridged.map(|(_, kind)| kind.as_str())))
    .bind(column(lines, |line| line.agent.map(|agent| agent.0)))
    .bind(lines.iter().map(|line| line.abandoned).collect::<Vec<_>>())
    .bind(least)
    .bind(most)
    .bind(column(lines, |line| line.opted_out))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes ends, and what follows for the contacts and the ledger.
///
/// # Errors
/// When the database fails.
pub async fn apply_ends(tx: &mut TenantTx, ends: &[Concluded], now: DateTime<Utc>) -> Result<Applied> {
    let lines: Vec<&Line> = ends.iter().map(|end| &end.line).collect();
    let Some((least, most)) = span(lines.iter().map(|line| line.attempt)) else {
        return Ok(Applied::default());
    };
    let ending = |line: &Line| line.end.as_ref().map(|end| end.ending.clone());
    // RETURNING shows only what a row has become, so what it was is read beside it, under its lock.
    let rows = sqlx::query(
        "WITH before AS MATERIALIZED (
             SELECT b.id, b.state FROM app.attempts b
             WHERE b.tenant_id = $1 AND b.id = ANY ($2) AND b.id BETWEEN $15 AND $16 ORDER BY b.id FOR UPDATE)
         UPDATE app.attempts a SET
             state = 'finished', outcome = u.outcome, class = u.class, ended_at = u.ended_at,
             concluded = u.concluded,
             carrier = coalesce(a.carrier, u.carrier),
             carrier_call_id = coalesce(a.carrier_call_id, u.carrier_call_id),
             answered_at = least(a.answered_at, u.answered_at),
             answered_by = coalesce(u.answered_by, a.answered_by),
             bridged_at = coalesce(a.bridged_at, u.bridged_at),
             -- Whom an AI agent hands over to counts.
             agent_kind = CASE WHEN u.agent_kind = 'human' THEN 'human' ELSE coalesce(a.agent_kind, u.agent_kind) END,
             agent_id = coalesce(u.agent_id, a.agent_id),
             abandoned = u.abandoned, opted_out_at = coalesce(a.opted_out_at, u.opted_out_at)
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::bool[], $7::text[], $8::text[],
                     $9::timestamptz[], $10::text[], $11::timestamptz[], $12::text[], $13::uuid[], $14::bool[],
                     $17::timestamptz[])
              AS u(id, outcome, class, ended_at, concluded, carrier, carrier_call_id, answered_at, answered_by,
                   bridged_at, agent_kind, agent_id, abandoned, opted_out_at)
              JOIN before ON before.id = u.id
         WHERE a.tenant_id = $1 AND a.id = u.id AND a.id BETWEEN $15 AND $16
           -- What we conclude never replaces what the carrier said.
           AND (a.state <> 'finished'
                OR ((a.concluded OR NOT u.concluded)
                    AND (a.class IS DISTINCT FROM u.class OR a.concluded <> u.concluded)))
         RETURNING a.id, before.state <> 'finished' AS fresh",
    )
    .bind(tx.tenant().0)
    .bind(ids(&lines))
    .bind(column(&lines, |line| {
        ending(line).map(|ending| ending.outcome.as_str())
    }))
    .bind(column(&lines, |line| line.class().map(Class::as_str)))
    .bind(column(&lines, |line| line.end.as_ref().map(|end| end.at)))
    .bind(
        lines
            .iter()
            .map(|line| ending(line).is_some_and(|ending| ending.reconciled))
            .collect::<Vec<_>>(),
    )
    .bind(column(&lines, |line| line.carrier.as_ref().map(|(carrier, _)| carrier.as_str())))
    .bind(column(&lines, |line| line.carrier.as_ref().map(|(_, id)| id.as_str())))
    .bind(column(&lines, |line| line.answered_at))
    .bind(column(&lines, |line| line.answered_by().map(AnsweredBy::as_str)))
    .bind(column(&lines, |line| line.bridged.map(|(at, _)| at)))
    .bind(column(&lines, |line| line.bridged.map(|(_, kind)| kind.as_str())))
    .bind(column(&lines, |line| line.agent.map(|agent| agent.0)))
    .bind(lines.iter().map(|line| line.abandoned).collect::<Vec<_>>())
    .bind(least)
    .bind(most)
    .bind(column(&lines, |line| line.opted_out))
    .fetch_all(&mut **tx)
    .await?;
    let mut applied = Applied::default();
    for row in rows {
        let id = AttemptId(row.try_get("id")?);
        if row.try_get("fresh")? {
            applied.ended.insert(id);
        } else {
            applied.amended.insert(id);
        }
    }
    let fresh: Vec<&Concluded> = ends
        .iter()
        .filter(|end| applied.ended.contains(&end.line.attempt))
        .collect();
    release_contacts(tx, &fresh, now).await?;
    let amended: Vec<&Concluded> = ends
        .iter()
        .filter(|end| applied.amended.contains(&end.line.attempt))
        .collect();
    settle_contacts(tx, &amended).await?;
    note_in_ledger(tx, fresh.iter().chain(&amended).copied()).await?;
    Ok(applied)
}

/// Contacts whose attempt is over go on to what follows.
async fn release_contacts(tx: &mut TenantTx, ends: &[&Concluded], now: DateTime<Utc>) -> Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    let tries = |end: &Concluded| serde_json::to_string(&end.tries).unwrap_or_else(|_| "{}".to_owned());
    sqlx::query(
        "UPDATE app.campaign_contacts c SET
             -- Whoever asked for another call during this one gets it, whatever the retry policy makes of this one.
             state = CASE WHEN c.callback_at > $8 AND u.state <> 'suppressed' THEN 'ready' ELSE u.state END,
             next_attempt_at = CASE WHEN c.callback_at > $8 THEN c.callback_at
                                    ELSE coalesce(u.next_at, c.next_attempt_at) END,
             callback_at = CASE WHEN c.callback_at > $8 THEN c.callback_at END,
             tries = u.tries::jsonb, last_outcome = u.class, attempt_id = NULL, updated_at = $8
         FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[], $9::text[])
              AS u(campaign_id, contact_id, attempt_id, state, next_at, tries, class)
         WHERE c.tenant_id = $1 AND c.campaign_id = u.campaign_id AND c.contact_id = u.contact_id
           AND c.attempt_id = u.attempt_id",
    )
    .bind(tx.tenant().0)
    .bind(ends.iter().map(|end| end.campaign.0).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.line.contact.0).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.line.attempt.0).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.state()).collect::<Vec<_>>())
    .bind(
        ends.iter()
            .map(|end| match end.next {
                Next::Again(at) => Some(at),
                _ => None,
            })
            .collect::<Vec<_>>(),
    )
    .bind(ends.iter().map(|end| tries(end)).collect::<Vec<_>>())
    .bind(now)
    .bind(
        ends.iter()
            .map(|end| end.line.class().map(Class::as_str))
            .collect::<Vec<_>>(),
    )
    .execute(&mut **tx)
    .await?;
    let invalid: Vec<Uuid> = ends
        .iter()
        .filter(|end| end.line.class() == Some(Class::InvalidNumber))
        .map(|end| end.line.phone_token)
        .collect();
    if invalid.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE app.contact_phones SET valid = false WHERE tenant_id = $1 AND token = ANY ($2) AND valid",
    )
    .bind(tx.tenant().0)
    .bind(&invalid)
    .execute(&mut **tx)
    .await?;
    // Another number of the contact may do.
    sqlx::query(
        "UPDATE app.campaign_contacts c SET state = 'ready'
         FROM unnest($2::uuid[], $3::uuid[]) AS u(campaign_id, contact_id)
         WHERE c.tenant_id = $1 AND c.campaign_id = u.campaign_id AND c.contact_id = u.contact_id
           AND c.state = 'failed'
           AND EXISTS (SELECT FROM app.contact_phones p
                       WHERE p.tenant_id = $1 AND p.contact_id = u.contact_id AND p.valid)",
    )
    .bind(tx.tenant().0)
    .bind(ends.iter().map(|end| end.campaign.0).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.line.contact.0).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A contact that turns out to have been talked to, or to want no calls, is not called again, unless it is being
/// called already or asked for it.
async fn settle_contacts(tx: &mut TenantTx, ends: &[&Concluded]) -> Result<()> {
    let reached: Vec<_> = ends
        .iter()
        .filter(|end| matches!(end.next, Next::Done | Next::Never))
        .collect();
    if reached.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE app.campaign_contacts c SET state = u.state, last_outcome = u.class
         FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[])
              AS u(campaign_id, contact_id, number, state, class)
         WHERE c.tenant_id = $1 AND c.campaign_id = u.campaign_id AND c.contact_id = u.contact_id
           AND c.attempts_made = u.number AND c.state IN ('ready', 'exhausted')
           AND (c.callback_at IS NULL OR u.state = 'suppressed')",
    )
    .bind(tx.tenant().0)
    .bind(reached.iter().map(|end| end.campaign.0).collect::<Vec<_>>())
    .bind(reached.iter().map(|end| end.line.contact.0).collect::<Vec<_>>())
    .bind(
        reached
            .iter()
            .map(|end| small(end.line.number))
            .collect::<Vec<_>>(),
    )
    .bind(reached.iter().map(|end| end.state()).collect::<Vec<_>>())
    .bind(
        reached
            .iter()
            .map(|end| end.line.class().map(Class::as_str))
            .collect::<Vec<_>>(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What caps and lock-outs need to know: what a dial came to, or that it never was one.
async fn note_in_ledger(tx: &mut TenantTx, ends: impl Iterator<Item = &Concluded>) -> Result<()> {
    let mut notes: Vec<(Uuid, DateTime<Utc>, &'static str)> = ends
        .filter_map(|end| {
            let word = if end.refused {
                NEVER_WAS
            } else {
                end.line.class()?.as_str()
            };
            Some((end.line.phone_token, end.line.claimed_at, word))
        })
        .collect();
    if notes.is_empty() {
        return Ok(());
    }
    // Equal order everywhere, so that two transactions never wait for each other in a circle.
    notes.sort_unstable();
    sqlx::query(
        "WITH notes AS (
             SELECT * FROM unnest($2::uuid[], $3::timestamptz[], $4::text[]) AS n(token, at, word)),
         -- Looked up one by one and written over: in a new table, without statistics, a join scans the tenant.
         held AS MATERIALIZED (
             SELECT l.* FROM (SELECT DISTINCT token FROM notes ORDER BY token) AS n
             CROSS JOIN LATERAL (
                 SELECT l.phone_token, l.dials, l.companies, l.ends FROM app.dial_ledger l
                 WHERE l.tenant_id = $1 AND l.phone_token = n.token FOR UPDATE OFFSET 0) AS l)
         INSERT INTO app.dial_ledger AS l (tenant_id, phone_token, dials, companies, ends)
         SELECT $1, held.phone_token, u.dials, u.companies, u.ends
         FROM held CROSS JOIN LATERAL (
             SELECT coalesce(array_agg(e.at ORDER BY e.i), '{}') AS dials,
                    coalesce(array_agg(e.company ORDER BY e.i), '{}') AS companies,
                    coalesce(array_agg(coalesce(n.word, e.word) ORDER BY e.i), '{}') AS ends
             FROM unnest(held.dials, held.companies, held.ends) WITH ORDINALITY AS e(at, company, word, i)
             LEFT JOIN notes n ON n.token = held.phone_token AND n.at = e.at
             WHERE n.word IS DISTINCT FROM $5) AS u
         ON CONFLICT (tenant_id, phone_token)
         DO UPDATE SET dials = excluded.dials, companies = excluded.companies, ends = excluded.ends",
    )
    .bind(tx.tenant().0)
    .bind(notes.iter().map(|(token, ..)| *token).collect::<Vec<_>>())
    .bind(notes.iter().map(|(_, at, _)| *at).collect::<Vec<_>>())
    .bind(notes.iter().map(|(.., word)| *word).collect::<Vec<_>>())
    .bind(NEVER_WAS)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The carrier refused: the dial leaves the ledger.
const NEVER_WAS: &str = "never_was";

const LINE: &str = "SELECT a.id, a.campaign_id, a.shard, a.contact_id, a.call_id, a.number, a.phone_token, a.account_id,
           a.caller_number_id, a.ai_consent, a.state, a.carrier, a.carrier_call_id, a.claimed_at, a.answered_at, a.answered_by,
           a.bridged_at, a.agent_kind, a.agent_id, a.abandoned, a.opted_out_at, a.ended_at, a.outcome, a.concluded,
           coalesce(c.tries, '{}')::text AS tries
    FROM app.attempts a LEFT JOIN app.campaign_contacts c
      ON c.tenant_id = a.tenant_id AND c.campaign_id = a.campaign_id AND c.contact_id = a.contact_id";

/// The lines of a shard that are under way: what a new owner starts from.
///
/// # Errors
/// When the database fails.
pub async fn open_lines(tx: &mut TenantTx, campaign: CampaignId, shard: u16) -> Result<Vec<Line>> {
    let sql = format!(
        "{LINE} WHERE a.tenant_id = $1 AND a.campaign_id = $2 AND a.shard = $3
           AND a.state IN ('claimed', 'unknown', 'placed', 'answered') ORDER BY a.id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(campaign.0)
        .bind(small(shard))
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| Ok(read(row)?.2)).collect()
}

/// Lines by id, also those that have ended: for events that come after the end.
///
/// # Errors
/// When the database fails.
pub async fn lines(tx: &mut TenantTx, attempts: &[AttemptId]) -> Result<Vec<(CampaignId, u16, Line)>> {
    let Some((least, most)) = span(attempts.iter().copied()) else {
        return Ok(Vec::new());
    };
    let sql = format!("{LINE} WHERE a.tenant_id = $1 AND a.id = ANY ($2) AND a.id BETWEEN $3 AND $4");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(attempts.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(least)
        .bind(most)
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &sqlx::postgres::PgRow) -> Result<(CampaignId, u16, Line)> {
    let word = |column: &str| row.try_get::<Option<String>, _>(column);
    let mut line = Line::new(
        AttemptId(row.try_get("id")?),
        ContactId(row.try_get("contact_id")?),
        CallId(row.try_get("call_id")?),
        u16::try_from(row.try_get::<i16, _>("number")?).unwrap_or(1),
        row.try_get("claimed_at")?,
    );
    line.phase = word("state")?
        .as_deref()
        .and_then(Phase::parse)
        .unwrap_or(Phase::Claimed);
    line.phone_token = row.try_get("phone_token")?;
    line.account = row
        .try_get::<Option<Uuid>, _>("account_id")?
        .map(ProviderAccountId);
    line.caller_number = row.try_get("caller_number_id")?;
    line.ai_consent = row.try_get("ai_consent")?;
    line.tries = serde_json::from_str(&row.try_get::<String, _>("tries")?).unwrap_or_default();
    line.carrier = word("carrier")?
        .as_deref()
        .and_then(Carrier::parse)
        .zip(word("carrier_call_id")?);
    line.answered_at = row.try_get("answered_at")?;
    line.amd = word("answered_by")?
        .as_deref()
        .and_then(AnsweredBy::parse)
        .map(|answered_by| Amd {
            answered_by,
            beep: false,
            detection_ms: None,
        });
    line.bridged = row
        .try_get::<Option<DateTime<Utc>>, _>("bridged_at")?
        .zip(word("agent_kind")?.as_deref().and_then(AgentKind::parse));
    line.agent = row.try_get::<Option<Uuid>, _>("agent_id")?.map(AgentId);
    line.abandoned = row.try_get("abandoned")?;
    line.opted_out = row.try_get("opted_out_at")?;
    if let Some((outcome, at)) = word("outcome")?
        .as_deref()
        .and_then(CallOutcome::parse)
        .zip(row.try_get::<Option<DateTime<Utc>>, _>("ended_at")?)
    {
        line.end = Some(End {
            ending: Ending {
                outcome,
                hangup_by: HangupBy::Unknown,
                cause: String::new(),
                sip_code: None,
                duration_ms: None,
                reconciled: row.try_get("concluded")?,
            },
            at,
        });
    }
    let shard = u16::try_from(row.try_get::<i16, _>("shard")?).unwrap_or(0);
    Ok((CampaignId(row.try_get("campaign_id")?), shard, line))
}

fn ids(lines: &[&Line]) -> Vec<Uuid> {
    lines.iter().map(|line| line.attempt.0).collect()
}

fn column<'a, T>(lines: &[&'a Line], value: impl Fn(&'a Line) -> Option<T>) -> Vec<Option<T>> {
    lines.iter().map(|line| value(line)).collect()
}

/// The smallest and the greatest id: what lets the server leave out the partitions of other months.
fn span(ids: impl Iterator<Item = AttemptId>) -> Option<(Uuid, Uuid)> {
    ids.map(|id| (id.0, id.0))
        .reduce(|(least, most), (id, _)| (least.min(id), most.max(id)))
}

/// Numbers of attempts and shards, as the tables hold them.
pub(crate) fn small(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
