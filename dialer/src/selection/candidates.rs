//! Reading: who is due, and everything that has to be known about them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::ContactId;
use voice_telephony::PhoneNumber;

use super::{claim::Order, evidence};
use crate::{
    attempts::small,
    campaigns::{CallerNumber, Campaign},
    gate::{Caller, Consent, Earlier, Facts},
    retry::{Class, Tries},
};

/// A contact that is due, and its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The place of the campaign among those that were asked for.
    pub(crate) of: usize,
    pub(crate) contact: ContactId,
    pub(crate) attempts_made: i16,
    /// In the order they are to be tried.
    pub(crate) phones: Vec<Phone>,
}

impl Candidate {
    /// This is the number that would be shown to them.
    pub(crate) fn show(&mut self, number: &CallerNumber) {
        for phone in &mut self.phones {
            phone.facts.caller = Some(Caller {
                number: number.number.clone(),
                presence: number.presence,
            });
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) number: PhoneNumber,
    pub(crate) token: Uuid,
    pub(crate) valid: bool,
    pub(crate) facts: Facts,
}

/// A row of the hopper.
struct Due {
    of: usize,
    contact: ContactId,
    attempts_made: i16,
    tries: Tries,
    callback_at: Option<DateTime<Utc>>,
}

/// The contacts of each shard that are due, most urgent first, locked; those another transaction holds are left out.
///
/// One index range per priority: contacts of a high priority whose time has not come are never walked over.
const DUE: &str = "
SELECT o.place, due.contact_id, due.attempts_made, due.tries, due.callback_at
FROM unnest($2::uuid[], $3::smallint[], $4::bigint[]) WITH ORDINALITY AS o(campaign_id, shard, look, place)
CROSS JOIN LATERAL (
    WITH RECURSIVE levels AS (
        (SELECT c.priority FROM app.campaign_contacts c
         WHERE c.tenant_id = $1 AND c.campaign_id = o.campaign_id AND c.shard = o.shard AND c.state = 'ready'
         ORDER BY c.priority DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT c.priority FROM app.campaign_contacts c
                WHERE c.tenant_id = $1 AND c.campaign_id = o.campaign_id AND c.shard = o.shard AND c.state = 'ready'
                  AND c.priority < l.priority
                ORDER BY c.priority DESC LIMIT 1)
        FROM levels l WHERE l.priority IS NOT NULL
    )
    SELECT of_level.* FROM levels l CROSS JOIN LATERAL (
        SELECT c.contact_id, c.attempts_made, c.tries::text AS tries, c.callback_at
        FROM app.campaign_contacts c
        WHERE c.tenant_id = $1 AND c.campaign_id = o.campaign_id AND c.shard = o.shard AND c.state = 'ready'
          AND c.priority = l.priority AND c.next_attempt_at <= $5
        ORDER BY c.next_attempt_at LIMIT o.look FOR UPDATE SKIP LOCKED
    ) AS of_level
    WHERE l.priority IS NOT NULL
    LIMIT o.look
) AS due
ORDER BY o.place";

/// The hopper is read in its order and no further than wanted, also where the planner takes it for a few rows that are
/// sooner all read and sorted.
const IN_ORDER: &str = "SET LOCAL enable_bitmapscan = off";

/// One contact, whether or not it is due, not locked: for "why not".
const ONE: &str = "
SELECT 1::bigint AS place, c.contact_id, c.attempts_made, c.tries::text AS tries, c.callback_at
FROM app.campaign_contacts c
WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.contact_id = $3";

/// Who is due in the shards of `orders`, in their order.
pub(crate) async fn due(tx: &mut TenantTx, orders: &[Order], now: DateTime<Utc>) -> Result<Vec<Candidate>> {
    sqlx::query(IN_ORDER).execute(&mut **tx).await?;
    let rows = sqlx::query(DUE)
        .bind(tx.tenant().0)
        .bind(column(orders, |order| order.campaign.id.0))
        .bind(column(orders, |order| small(order.shard)))
        .bind(column(orders, |order| i64::from(order.look)))
        .bind(now)
        .fetch_all(&mut **tx)
        .await?;
    let campaigns = column(orders, |order| order.campaign.as_ref());
    locked(tx, &campaigns, &rows, now).await
}

/// This contact, locked like those that are due; `None` when it is not to be called any more, or another transaction
/// holds it.
pub(crate) async fn chosen(
    tx: &mut TenantTx,
    campaign: &Campaign,
    contact: ContactId,
    now: DateTime<Utc>,
) -> Result<Option<Candidate>> {
    let sql = format!("{ONE} AND c.state = 'ready' FOR UPDATE SKIP LOCKED");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(campaign.id.0)
        .bind(contact.0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(locked(tx, &[campaign], &rows, now).await?.pop())
}

/// Everything about contacts whose rows are locked, with the ledger of their numbers locked too.
async fn locked(
    tx: &mut TenantTx,
    campaigns: &[&Campaign],
    rows: &[PgRow],
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>> {
    let mut candidates = gather(tx, campaigns, rows, now).await?;
    let tokens = tokens(&candidates);
    if tokens.is_empty() {
        return Ok(candidates);
    }
    // A number seen for the first time gets its row now, so that there is something to lock.
    sqlx::query(
        "INSERT INTO app.dial_ledger (tenant_id, phone_token)
         SELECT $1, t FROM unnest($2::uuid[]) t ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(&tokens)
    .execute(&mut **tx)
    .await?;
    let histories = histories(tx, &tokens, true).await?;
    candidates.retain_mut(|candidate| attach(candidate, &histories));
    Ok(candidates)
}

/// One contact with everything known about it; `None` when it is not in the campaign.
pub(crate) async fn one(
    tx: &mut TenantTx,
    campaign: &Campaign,
    contact: ContactId,
    now: DateTime<Utc>,
) -> Result<Option<Candidate>> {
    let rows = sqlx::query(ONE)
        .bind(tx.tenant().0)
        .bind(campaign.id.0)
        .bind(contact.0)
        .fetch_all(&mut **tx)
        .await?;
    let Some(mut candidate) = gather(tx, &[campaign], &rows, now).await?.pop() else {
        return Ok(None);
    };
    let tokens = tokens(std::slice::from_ref(&candidate));
    let mut histories = histories(tx, &tokens, false).await?;
    for token in tokens {
        histories.entry(token).or_default();
    }
    attach(&mut candidate, &histories);
    Ok(Some(candidate))
}

/// Puts the person's history beside each number; false when another transaction holds part of it.
fn attach(candidate: &mut Candidate, histories: &HashMap<Uuid, Vec<Earlier>>) -> bool {
    let mut person = Vec::new();
    for phone in &candidate.phones {
        let Some(history) = histories.get(&phone.token) else {
            return false;
        };
        person.extend(history.iter().cloned());
    }
    for phone in &mut candidate.phones {
        phone.facts.history.clone_from(&person);
    }
    candidate.phones.retain(|phone| phone.valid);
    true
}

/// The tokens of all their numbers, in the order they are locked in.
fn tokens(candidates: &[Candidate]) -> Vec<Uuid> {
    let tokens: BTreeSet<Uuid> = candidates
        .iter()
        .flat_map(|candidate| candidate.phones.iter().map(|phone| phone.token))
        .collect();
    tokens.into_iter().collect()
}

async fn histories(tx: &mut TenantTx, tokens: &[Uuid], lock: bool) -> Result<HashMap<Uuid, Vec<Earlier>>> {
    let sql = if lock {
        "SELECT phone_token, dials, companies, ends FROM app.dial_ledger
         WHERE tenant_id = $1 AND phone_token = ANY ($2) ORDER BY phone_token FOR UPDATE SKIP LOCKED"
    } else {
        "SELECT phone_token, dials, companies, ends FROM app.dial_ledger
         WHERE tenant_id = $1 AND phone_token = ANY ($2)"
    };
    let rows = sqlx::query(sql)
        .bind(tx.tenant().0)
        .bind(tokens)
        .fetch_all(&mut **tx)
        .await?;
    rows.iter()
        .map(|row| {
            let dials: Vec<DateTime<Utc>> = row.try_get("dials")?;
            let companies: Vec<Uuid> = row.try_get("companies")?;
            let ends: Vec<String> = row.try_get("ends")?;
            let history = dials
                .into_iter()
                .zip(companies)
                .zip(ends)
                .map(|((at, company), end)| Earlier {
                    at,
                    company,
                    class: Class::parse(&end),
                })
                .collect();
            Ok((row.try_get("phone_token")?, history))
        })
        .collect()
}

async fn gather(
    tx: &mut TenantTx,
    campaigns: &[&Campaign],
    rows: &[PgRow],
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>> {
    let due: Vec<Due> = rows.iter().map(read).collect::<Result<_>>()?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let contacts = column(&due, |one| one.contact.0);
    let companies = column(&due, |one| campaigns.get(one.of)?.company);
    let consents = consents(tx, &contacts, now).await?;
    let relationships = evidence::relationships(tx, &contacts, &companies).await?;
    let mut people: HashMap<usize, Vec<Phone>> = HashMap::new();
    let found = sqlx::query(
        // Looked up one by one: right after an import there are no statistics, and a join scans the tenant for each.
        "SELECT wanted.place, p.e164, p.token, p.region, p.kind, p.valid, c.timezone, c.status,
                c.attributes ->> 'country' AS country, c.attributes ->> 'state' AS state,
                (SELECT s.reason FROM app.suppressions s
                 WHERE s.tenant_id = $1 AND s.token = p.token AND (s.expires_at IS NULL OR s.expires_at > $3)
                   AND (s.scope = 'tenant' OR (s.scope = 'company' AND s.scope_id = wanted.company_id)
                        OR (s.scope = 'campaign' AND s.scope_id = wanted.campaign_id))
                 ORDER BY s.scope DESC LIMIT 1) AS suppressed
         FROM unnest($2::uuid[], $4::uuid[], $5::uuid[]) WITH ORDINALITY
              AS wanted (contact_id, company_id, campaign_id, place)
         CROSS JOIN LATERAL (SELECT c.timezone, c.status, c.attributes FROM app.contacts c
                             WHERE c.tenant_id = $1 AND c.id = wanted.contact_id OFFSET 0) c
         CROSS JOIN LATERAL (SELECT p.e164, p.token, p.region, p.kind, p.valid, p.is_primary
                             FROM app.contact_phones p
                             WHERE p.tenant_id = $1 AND p.contact_id = wanted.contact_id OFFSET 0) p
         ORDER BY wanted.place, p.is_primary DESC, p.e164",
    )
    .bind(tx.tenant().0)
    .bind(&contacts)
    .bind(now)
    .bind(&companies)
    .bind(column(&due, |one| {
        campaigns.get(one.of).map(|campaign| campaign.id.0)
    }))
    .fetch_all(&mut **tx)
    .await?;
    for row in found {
        let e164: String = row.try_get("e164")?;
        let Some(number) = PhoneNumber::parse(&e164) else {
            continue;
        };
        let facts = Facts {
            region: row.try_get("region")?,
            e164,
            number_kind: row.try_get("kind")?,
            timezone: row.try_get("timezone")?,
            address_country: row.try_get("country")?,
            address_state: row.try_get("state")?,
            suppressed: row.try_get("suppressed")?,
            gone: row.try_get::<&str, _>("status")? != "active",
            ..Facts::default()
        };
        people.entry(place(&row)?).or_default().push(Phone {
            number,
            token: row.try_get("token")?,
            valid: row.try_get("valid")?,
            facts,
        });
    }
    let tokens: BTreeSet<Uuid> = people.values().flatten().map(|phone| phone.token).collect();
    let registers = evidence::registers(tx, &tokens.into_iter().collect::<Vec<_>>()).await?;
    let candidates = due.into_iter().enumerate().map(|(place, one)| {
        let mut phones = people.remove(&place).unwrap_or_default();
        for phone in &mut phones {
            phone.facts.tries.clone_from(&one.tries);
            phone.facts.callback_at = one.callback_at;
            phone.facts.consents = consents.get(&one.contact.0).cloned().unwrap_or_default();
            phone.facts.relationship = relationships.get(&place).copied();
            phone.facts.registers = registers.of(phone.token);
        }
        Candidate {
            of: one.of,
            contact: one.contact,
            attempts_made: one.attempts_made,
            phones,
        }
    });
    Ok(candidates.collect())
}

fn read(row: &PgRow) -> Result<Due> {
    Ok(Due {
        of: place(row)?,
        contact: ContactId(row.try_get("contact_id")?),
        attempts_made: row.try_get("attempts_made")?,
        tries: serde_json::from_str(row.try_get("tries")?).unwrap_or_default(),
        callback_at: row.try_get("callback_at")?,
    })
}

/// Where the row stands in what was asked for: Postgres counts from one.
pub(super) fn place(row: &PgRow) -> Result<usize> {
    let place: i64 = row.try_get("place")?;
    Ok(usize::try_from(place - 1).unwrap_or(usize::MAX))
}

/// One value of each, as a parameter.
pub(super) fn column<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// The newest statement of each type about calls.
async fn consents(
    tx: &mut TenantTx,
    contacts: &[Uuid],
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Vec<Consent>>> {
    let rows = sqlx::query(
        "SELECT DISTINCT ON (contact_id, type) contact_id, type, status, captured_at, expires_at,
                coalesce(evidence ->> 'class' IN ('written', 'express_written'), false) AS written,
                evidence <> '{}' AS proof
         FROM app.consents
         WHERE tenant_id = $1 AND contact_id = ANY ($2) AND captured_at <= $3
           AND (channel IS NULL OR channel = 'voice')
         ORDER BY contact_id, type, captured_at DESC, id DESC",
    )
    .bind(tx.tenant().0)
    .bind(contacts)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    let mut consents: HashMap<Uuid, Vec<Consent>> = HashMap::new();
    for row in rows {
        consents
            .entry(row.try_get("contact_id")?)
            .or_default()
            .push(Consent {
                kind: row.try_get("type")?,
                status: row.try_get("status")?,
                written: row.try_get("written")?,
                proof: row.try_get("proof")?,
                captured_at: row.try_get("captured_at")?,
                expires_at: row.try_get("expires_at")?,
            });
    }
    Ok(consents)
}
