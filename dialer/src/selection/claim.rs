//! One claim: the transaction that turns due contacts into attempts.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound as _, Utc};
use chrono_tz::Tz;
use rand::Rng;
use uuid::{NoContext, Timestamp, Uuid};
use voice_postgres::{Database, TenantTx};
use voice_schemas::{AttemptId, CallId, ProviderAccountId};
use voice_telephony::PhoneNumber;

use super::{
    candidates::{self, Candidate, Phone},
    judge::{Judged, judge, zone},
    writes,
};
use crate::{
    attempts::{Line, small},
    campaigns::{CallerNumber, Campaign, caller_numbers},
    gate::Gate,
    origination::{
        caller_id,
        number_days::{self, Use, Uses},
    },
};

/// What is wanted.
#[derive(Debug)]
pub struct Order<'a> {
    /// The campaign, as it is known; whether it still dials is asked again.
    pub campaign: &'a Campaign,
    /// The shard.
    pub shard: u16,
    /// Our ownership of it.
    pub epoch: u64,
    /// Dials wanted.
    pub want: u32,
    /// Contacts to look at, at most.
    pub look: u32,
    /// Dials each account may still make.
    pub accounts: &'a HashMap<ProviderAccountId, u32>,
    /// The law.
    pub gate: &'a dyn Gate,
}

/// An attempt that is committed; now the carrier may be asked, once.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The attempt.
    pub line: Line,
    /// Whom to call.
    pub to: PhoneNumber,
    /// The number to show.
    pub from: PhoneNumber,
    /// Through which account.
    pub account: ProviderAccountId,
    /// Where the number plan places it.
    pub region: Option<String>,
    /// The clock the campaign's hours were looked up on.
    pub zone: Tz,
}

/// What a claim came to.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// Committed attempts.
    pub dials: Vec<Dial>,
    /// Contacts looked at.
    pub looked_at: usize,
    /// Contacts that may not be called now, or ever.
    pub refused: usize,
    /// Contacts that might have been called had there been a number to show.
    pub no_number: usize,
}

/// Why nothing was claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The shard belongs to somebody else.
    #[error("the shard belongs to another process")]
    Fenced,
    /// The campaign does not dial, or all dialling is stopped.
    #[error("the campaign does not dial")]
    NotDialling,
    /// The database failed; nothing was claimed.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
    /// The commit was not confirmed: attempts may have been claimed. Whoever runs the shard starts again from
    /// what is in the database.
    #[error("the commit was not confirmed: {0}")]
    Unconfirmed(#[source] voice_postgres::Error),
}

impl From<sqlx::Error> for ClaimError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Claims up to `order.want` contacts. When this returns they are committed, and nothing has been dialled.
///
/// # Errors
/// See [`ClaimError`].
pub async fn claim(
    database: &Database,
    order: &Order<'_>,
    rng: &mut (impl Rng + Send),
    now: DateTime<Utc>,
) -> Result<Claim, ClaimError> {
    // As exact as the tables keep it: what is written is looked up again.
    let now = now.trunc_subsecs(6);
    let mut tx = database.tenant(order.campaign.tenant).await?;
    guard(&mut tx, order).await?;
    let mut due = candidates::due(&mut tx, order.campaign, order.shard, order.look, now).await?;
    let mut claim = Claim {
        looked_at: due.len(),
        ..Claim::default()
    };
    if due.is_empty() {
        tx.rollback().await?;
        return Ok(claim);
    }
    let mut numbers = match order.campaign.caller_pool {
        Some(pool) => caller_numbers(&mut tx, pool, now).await?,
        None => Vec::new(),
    };
    let mut accounts = order.accounts.clone();
    let mut decisions = Vec::with_capacity(due.len());
    let mut taken: HashSet<Uuid> = HashSet::new();
    for candidate in &mut due {
        if claim.dials.len() >= usize::try_from(order.want).unwrap_or(usize::MAX) {
            break;
        }
        // Two contacts may share a number: the second waits until the first claim is in the ledger.
        if candidate.phones.iter().any(|phone| taken.contains(&phone.token)) {
            continue;
        }
        // The number shown is part of what is judged.
        let open = |account: ProviderAccountId| {
            order.campaign.shadow || accounts.get(&account).is_some_and(|left| *left > 0)
        };
        let region = candidate
            .phones
            .first()
            .and_then(|phone| phone.facts.region.clone());
        let shown = caller_id::choose(&numbers, region.as_deref(), open, rng);
        let shown = shown.and_then(|chosen| numbers.get_mut(chosen));
        if shown.is_none() && !candidate.phones.is_empty() {
            claim.no_number += 1;
            continue;
        }
        if let Some(number) = &shown {
            candidate.show(number);
        }
        let (phone, judged) = best(order, candidate, now);
        let allowed = judged.verdict.allowed() && !order.campaign.shadow;
        let (Some(phone), Some(number), true) = (phone, shown, allowed) else {
            claim.refused += usize::from(!judged.verdict.allowed());
            decisions.push(writes::Decision {
                id: fresh_id(now),
                number: next_number(candidate),
                contact: candidate.contact,
                phone: phone.map(|phone| phone.token),
                judged,
            });
            continue;
        };
        number.left_today = number.left_today.saturating_sub(1);
        if let Some(left) = accounts.get_mut(&number.account) {
            *left -= 1;
        }
        let dial = dial(AttemptId(fresh_id(now)), candidate, phone, number, now);
        decisions.push(writes::Decision {
            id: dial.line.attempt.0,
            number: dial.line.number,
            contact: candidate.contact,
            phone: Some(phone.token),
            judged,
        });
        taken.extend(candidate.phones.iter().map(|phone| phone.token));
        claim.dials.push(dial);
    }
    writes::write(&mut tx, order, &claim.dials, &decisions, now).await?;
    tx.commit().await.map_err(ClaimError::Unconfirmed)?;
    number_days::count(database, order.campaign.tenant, &uses(&claim.dials)).await;
    Ok(claim)
}

/// The campaign dials, nothing stops it and the shard is ours: as long as this transaction lasts.
pub(super) async fn guard(tx: &mut TenantTx, order: &Order<'_>) -> Result<(), ClaimError> {
    let row: Option<(bool, bool)> = sqlx::query_as(
        "SELECT s.epoch = $4,
                c.status = 'active' AND c.epoch = $5 AND (c.end_at IS NULL OR c.end_at > now())
                AND NOT EXISTS (SELECT FROM app.all_dial_stops() d
                                WHERE d.tenant_id IN ($1, '00000000-0000-0000-0000-000000000000'))
         FROM app.campaigns c
         JOIN app.campaign_shards s ON s.tenant_id = c.tenant_id AND s.campaign_id = c.id AND s.shard = $3
         WHERE c.tenant_id = $1 AND c.id = $2 FOR SHARE",
    )
    .bind(tx.tenant().0)
    .bind(order.campaign.id.0)
    .bind(small(order.shard))
    .bind(i64::try_from(order.epoch).unwrap_or(i64::MAX))
    .bind(i64::try_from(order.campaign.epoch).unwrap_or(i64::MAX))
    .fetch_optional(&mut **tx)
    .await?;
    match row {
        Some((true, true)) => Ok(()),
        Some((false, _)) => Err(ClaimError::Fenced),
        Some((true, false)) | None => Err(ClaimError::NotDialling),
    }
}

/// The first number that may be called; else the one that may be called soonest.
pub(super) fn best<'a>(
    order: &Order<'_>,
    candidate: &'a Candidate,
    now: DateTime<Utc>,
) -> (Option<&'a Phone>, Judged) {
    let mut best: Option<(&Phone, Judged)> = None;
    for phone in &candidate.phones {
        let judged = judge(order.gate, order.campaign, &phone.facts, now);
        let better = best.as_ref().is_none_or(|(_, known)| sooner(&judged, known));
        if better {
            let allowed = judged.verdict.allowed();
            best = Some((phone, judged));
            if allowed {
                break;
            }
        }
    }
    match best {
        Some((phone, judged)) => (Some(phone), judged),
        None => (None, writes::no_number_left()),
    }
}

fn sooner(one: &Judged, other: &Judged) -> bool {
    match (one.verdict.allowed(), other.verdict.allowed()) {
        (true, allowed) => !allowed,
        (false, true) => false,
        (false, false) => match (one.verdict.next_at, other.verdict.next_at) {
            (Some(one), Some(other)) => one < other,
            (one, other) => one.is_some() && other.is_none(),
        },
    }
}

pub(super) fn dial(
    attempt: AttemptId,
    candidate: &Candidate,
    phone: &Phone,
    number: &CallerNumber,
    now: DateTime<Utc>,
) -> Dial {
    let call = CallId::derived(now, &[b"attempt", attempt.0.as_bytes()]);
    let mut line = Line::new(attempt, candidate.contact, call, next_number(candidate), now);
    line.account = Some(number.account);
    line.phone_token = phone.token;
    line.caller_number = Some(number.id);
    line.tries = phone.facts.tries.clone();
    line.ai_consent = phone.facts.consents_to("ai_processing", now);
    Dial {
        line,
        to: phone.number.clone(),
        from: number.number.clone(),
        account: number.account,
        region: phone.facts.region.clone(),
        zone: zone(&phone.facts),
    }
}

pub(super) fn next_number(candidate: &Candidate) -> u16 {
    u16::try_from(candidate.attempts_made)
        .unwrap_or(0)
        .saturating_add(1)
}

/// A UUIDv7 of this moment.
pub(crate) fn fresh_id(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

/// What the numbers shown were used for.
pub(super) fn uses(dials: &[Dial]) -> Uses {
    number_days::uses(dials.iter().map(|dial| &dial.line), Use::DIAL)
}
