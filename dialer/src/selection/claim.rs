//! One claim: the transaction that turns due contacts into attempts.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, SubsecRound as _, Utc};
use chrono_tz::Tz;
use rand::Rng;
use sqlx::Row as _;
use uuid::{NoContext, Timestamp, Uuid};
use voice_postgres::{Database, TenantTx};
use voice_schemas::{AttemptId, CallId, ProviderAccountId, TenantId};
use voice_telephony::PhoneNumber;

use super::{
    candidates::{self, Candidate, Phone, column},
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

/// What one shard wants.
#[derive(Clone, Debug)]
pub struct Order {
    /// The campaign, as it is known; whether it still dials is asked again.
    pub campaign: Arc<Campaign>,
    /// The shard.
    pub shard: u16,
    /// Our ownership of it.
    pub epoch: u64,
    /// Dials wanted.
    pub want: u32,
    /// Contacts to look at, at most.
    pub look: u32,
    /// Accounts its calls may go through: somebody can take them.
    pub accounts: BTreeSet<ProviderAccountId>,
}

/// What shards of one tenant want.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Each shard's wish.
    pub shards: &'a [Order],
    /// Dials each account may still make, for all of them.
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

/// What a claim came to for one shard.
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

/// Why nothing was claimed; the first two are of one shard, the others of all that were asked for together.
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

/// Claims up to what each shard wants, all in one transaction: what it costs is round trips, whether one contact is
/// claimed or many. When this returns the attempts are committed, and nothing has been dialled. One claim for each
/// order, in their order; a shard that may not dial does not hinder the others.
///
/// # Errors
/// See [`ClaimError`].
pub async fn claim(
    database: &Database,
    orders: Orders<'_>,
    rng: &mut (impl Rng + Send),
    now: DateTime<Utc>,
) -> Result<Vec<Result<Claim, ClaimError>>, ClaimError> {
    // As exact as the tables keep it: what is written is looked up again.
    let now = now.trunc_subsecs(6);
    let mut tx = database.tenant(orders.tenant).await?;
    let standing = guard(&mut tx, orders.shards).await?;
    let open: Vec<Order> = (orders.shards.iter().zip(&standing))
        .filter(|(_, standing)| standing.is_ok())
        .map(|(order, _)| order.clone())
        .collect();
    let due = if open.is_empty() {
        Vec::new()
    } else {
        candidates::due(&mut tx, &open, now).await?
    };
    let mut claims: Vec<Claim> = open.iter().map(|_| Claim::default()).collect();
    if due.is_empty() {
        tx.rollback().await?;
    } else {
        let numbers = numbers(&mut tx, &open, now).await?;
        let mut desk = Desk {
            orders,
            numbers,
            accounts: orders.accounts.clone(),
            taken: HashSet::new(),
            decisions: Vec::with_capacity(due.len()),
        };
        for candidate in due {
            if let (Some(order), Some(claim)) = (open.get(candidate.of), claims.get_mut(candidate.of)) {
                desk.decide(order, claim, candidate, rng, now);
            }
        }
        let dials = open.iter().zip(&claims);
        let dials: Vec<_> = dials
            .flat_map(|(order, claim)| claim.dials.iter().map(move |dial| (order, dial)))
            .collect();
        writes::write(&mut tx, &dials, &desk.decisions, now).await?;
        tx.commit().await.map_err(ClaimError::Unconfirmed)?;
        let shown = dials.iter().map(|(_, dial)| *dial);
        number_days::count(database, orders.tenant, &uses(shown)).await;
    }
    let mut claims = claims.into_iter();
    let of_each = standing
        .into_iter()
        .map(|standing| standing.map(|()| claims.next().unwrap_or_default()));
    Ok(of_each.collect())
}

/// What is decided with, contact after contact.
struct Desk<'a> {
    orders: Orders<'a>,
    numbers: HashMap<Uuid, Vec<CallerNumber>>,
    accounts: HashMap<ProviderAccountId, u32>,
    /// Numbers that are dialled by this claim.
    taken: HashSet<Uuid>,
    decisions: Vec<writes::Decision<'a>>,
}

impl<'a> Desk<'a> {
    fn decide(
        &mut self,
        order: &'a Order,
        claim: &mut Claim,
        mut candidate: Candidate,
        rng: &mut (impl Rng + Send),
        now: DateTime<Utc>,
    ) {
        claim.looked_at += 1;
        if claim.dials.len() >= usize::try_from(order.want).unwrap_or(usize::MAX) {
            return;
        }
        // Two contacts may share a number: the second waits until the first claim is in the ledger.
        if (candidate.phones.iter()).any(|phone| self.taken.contains(&phone.token)) {
            return;
        }
        // The number shown is part of what is judged.
        let open = |account: ProviderAccountId| {
            let left = || self.accounts.get(&account).is_some_and(|left| *left > 0);
            order.campaign.shadow || (order.accounts.contains(&account) && left())
        };
        let pool = order
            .campaign
            .caller_pool
            .and_then(|pool| self.numbers.get_mut(&pool));
        let shown = pool.and_then(|numbers| show(numbers, &candidate, open, rng));
        if shown.is_none() && !candidate.phones.is_empty() {
            claim.no_number += 1;
            return;
        }
        if let Some(number) = &shown {
            candidate.show(number);
        }
        let (phone, judged) = best(self.orders.gate, &order.campaign, &candidate, now);
        let allowed = judged.verdict.allowed() && !order.campaign.shadow;
        let (Some(phone), Some(number), true) = (phone, shown, allowed) else {
            claim.refused += usize::from(!judged.verdict.allowed());
            let decision = writes::Decision::of(order, fresh_id(now), &candidate, phone, judged);
            self.decisions.push(decision);
            return;
        };
        number.left_today = number.left_today.saturating_sub(1);
        if let Some(left) = self.accounts.get_mut(&number.account) {
            *left -= 1;
        }
        let dial = dial(AttemptId(fresh_id(now)), &candidate, phone, number, now);
        let decision = writes::Decision::of(order, dial.line.attempt.0, &candidate, Some(phone), judged);
        self.decisions.push(decision);
        self.taken
            .extend(candidate.phones.iter().map(|phone| phone.token));
        claim.dials.push(dial);
    }
}

/// Each campaign dials, nothing stops it and its shard is ours: as long as this transaction lasts.
pub(super) async fn guard(
    tx: &mut TenantTx,
    orders: &[Order],
) -> Result<Vec<Result<(), ClaimError>>, ClaimError> {
    let epoch = |epoch: u64| i64::try_from(epoch).unwrap_or(i64::MAX);
    let rows = sqlx::query(
        // Locked in one order everywhere.
        "SELECT o.place, s.epoch = o.shard_epoch AS ours,
                c.status = 'active' AND c.epoch = o.campaign_epoch AND (c.end_at IS NULL OR c.end_at > now())
                AND NOT EXISTS (SELECT FROM app.all_dial_stops() d
                                WHERE d.tenant_id IN ($1, '00000000-0000-0000-0000-000000000000')) AS dials
         FROM unnest($2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY
              AS o (campaign_id, shard, shard_epoch, campaign_epoch, place)
         JOIN app.campaigns c ON c.tenant_id = $1 AND c.id = o.campaign_id
         JOIN app.campaign_shards s ON s.tenant_id = $1 AND s.campaign_id = o.campaign_id AND s.shard = o.shard
         ORDER BY o.campaign_id, o.shard FOR SHARE OF c, s",
    )
    .bind(tx.tenant().0)
    .bind(column(orders, |order| order.campaign.id.0))
    .bind(column(orders, |order| small(order.shard)))
    .bind(column(orders, |order| epoch(order.epoch)))
    .bind(column(orders, |order| epoch(order.campaign.epoch)))
    .fetch_all(&mut **tx)
    .await?;
    let mut standing: Vec<_> = orders.iter().map(|_| Err(ClaimError::NotDialling)).collect();
    for row in rows {
        if let Some(standing) = standing.get_mut(candidates::place(&row)?) {
            *standing = match (row.try_get("ours")?, row.try_get("dials")?) {
                (true, true) => Ok(()),
                (false, _) => Err(ClaimError::Fenced),
                (true, false) => Err(ClaimError::NotDialling),
            };
        }
    }
    Ok(standing)
}

/// The numbers the campaigns of `orders` may show, by pool.
pub(super) async fn numbers(
    tx: &mut TenantTx,
    orders: &[Order],
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Vec<CallerNumber>>, ClaimError> {
    let pools: BTreeSet<Uuid> = (orders.iter())
        .filter_map(|order| order.campaign.caller_pool)
        .collect();
    let mut numbers = HashMap::new();
    for pool in pools {
        numbers.insert(pool, caller_numbers(tx, pool, now).await?);
    }
    Ok(numbers)
}

/// A number to show the candidate, through an account that is open.
pub(super) fn show<'a>(
    numbers: &'a mut [CallerNumber],
    candidate: &Candidate,
    open: impl Fn(ProviderAccountId) -> bool,
    rng: &mut (impl Rng + Send),
) -> Option<&'a mut CallerNumber> {
    let region = candidate
        .phones
        .first()
        .and_then(|phone| phone.facts.region.as_deref());
    let chosen = caller_id::choose(numbers, region, open, rng)?;
    numbers.get_mut(chosen)
}

/// The first number that may be called; else the one that may be called soonest.
pub(super) fn best<'a>(
    gate: &dyn Gate,
    campaign: &Campaign,
    candidate: &'a Candidate,
    now: DateTime<Utc>,
) -> (Option<&'a Phone>, Judged) {
    let mut best: Option<(&Phone, Judged)> = None;
    for phone in &candidate.phones {
        let judged = judge(gate, campaign, &phone.facts, now);
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
pub(super) fn uses<'a>(dials: impl Iterator<Item = &'a Dial>) -> Uses {
    number_days::uses(dials.map(|dial| &dial.line), Use::DIAL)
}
