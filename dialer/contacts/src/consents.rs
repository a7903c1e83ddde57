//! The ledger of consents: statements are added, never changed; the newest one counts.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{Row as _, types::Json};
use uuid::Uuid;
use voice_postgres::{Error, Result, TenantTx};
use voice_schemas::ContactId;

use crate::{
    ConsentStatus, ConsentType, Statement, events,
    suppressions::{self, Reason, Scope},
};

/// Adds statements, with an event for each. One that is already there, to the letter, is not added again. Returns
/// how many were new.
///
/// # Errors
/// When the database fails or a contact does not exist.
pub async fn add(tx: &mut TenantTx, statements: &[(ContactId, Statement)]) -> Result<u64> {
    let added = store(tx, statements).await?;
    for (id, (contact, statement)) in &added {
        events::consented(tx, *contact, statement, *id).await?;
    }
    Ok(u64::try_from(added.len()).unwrap_or(u64::MAX))
}

/// Adds statements and tells of none: an import tells of itself as a whole. Gives those that were new.
pub(crate) async fn store<'a>(
    tx: &mut TenantTx,
    statements: &'a [(ContactId, Statement)],
) -> Result<Vec<(Uuid, &'a (ContactId, Statement))>> {
    let ids: Vec<Uuid> = statements.iter().map(|_| Uuid::now_v7()).collect();
    let contacts: Vec<Uuid> = statements.iter().map(|(contact, _)| contact.0).collect();
    let each = |part: fn(&Statement) -> Option<&str>| -> Vec<Option<&str>> {
        statements.iter().map(|(_, statement)| part(statement)).collect()
    };
    let times = |part: fn(&Statement) -> Option<DateTime<Utc>>| -> Vec<Option<DateTime<Utc>>> {
        statements.iter().map(|(_, statement)| part(statement)).collect()
    };
    let evidence: Vec<Json<&Map<String, Value>>> = statements
        .iter()
        .map(|(_, statement)| Json(&statement.evidence))
        .collect();
    let written: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO app.consents
             (tenant_id, id, contact_id, type, status, purpose, channel, source, evidence, captured_at, expires_at)
         SELECT $1, u.* FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::jsonb[], $10::timestamptz[], $11::timestamptz[]) AS u
         ON CONFLICT ON CONSTRAINT consents_statement DO NOTHING RETURNING id",
    )
    .bind(tx.tenant().0)
    .bind(&ids)
    .bind(&contacts)
    .bind(each(|statement| Some(statement.kind.as_str())))
    .bind(each(|statement| Some(statement.status.as_str())))
    .bind(each(|statement| statement.purpose.as_deref()))
    .bind(each(|statement| statement.channel.map(|channel| channel.as_str())))
    .bind(each(|statement| statement.source.as_deref()))
    .bind(&evidence)
    .bind(times(|statement| Some(statement.captured_at)))
    .bind(times(|statement| statement.expires_at))
    .fetch_all(&mut **tx)
    .await?;
    let written: HashSet<Uuid> = written.into_iter().collect();
    Ok(std::iter::zip(ids, statements)
        .filter(|(id, _)| written.contains(id))
        .collect())
}

/// Writes a withdrawal and, where it takes away the right to call (`marketing`, `data_storage`), suppresses all
/// numbers of the contact in the same transaction. Other types leave the numbers callable: whoever dials asks
/// [`for_calls`]. Returns how many numbers were suppressed.
///
/// # Errors
/// When the database fails or the contact does not exist.
pub async fn withdraw(
    tx: &mut TenantTx,
    contact: ContactId,
    kind: ConsentType,
    source: Option<String>,
    evidence: Map<String, Value>,
    scope: Scope,
    now: DateTime<Utc>,
) -> Result<u64> {
    let statement = Statement {
        kind,
        status: ConsentStatus::Withdrawn,
        purpose: None,
        channel: None,
        source,
        evidence,
        captured_at: now,
        expires_at: None,
    };
    add(tx, &[(contact, statement)]).await?;
    if !matches!(kind, ConsentType::Marketing | ConsentType::DataStorage) {
        return Ok(0);
    }
    suppressions::suppress_person(tx, contact, None, scope, Reason::Withdrawn, now).await
}

/// What somebody last said about one type, as far as calls are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What was said.
    pub status: ConsentStatus,
    /// When.
    pub captured_at: DateTime<Utc>,
    /// When it runs out.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// Whether it is a yes that still holds.
    #[must_use]
    pub fn is_granted(&self, now: DateTime<Utc>) -> bool {
        self.status == ConsentStatus::Granted && self.expires_at.is_none_or(|end| end > now)
    }
}

/// What each of these contacts last said about each type: one query for a whole batch of dials. Statements
/// about text messages or e-mail do not count. Where a yes and a no carry the same time, the no counts.
///
/// # Errors
/// When the database fails, or holds a type or status this program does not know.
pub async fn for_calls(
    tx: &mut TenantTx,
    contacts: &[ContactId],
) -> Result<HashMap<(ContactId, ConsentType), Standing>> {
    let ids: Vec<Uuid> = contacts.iter().map(|contact| contact.0).collect();
    let rows = sqlx::query(
        // One look into the index per contact, also where the table has no statistics yet.
        "SELECT c.contact_id, c.type, c.status, c.captured_at, c.expires_at
         FROM (SELECT DISTINCT unnest($2::uuid[])) AS wanted (contact_id)
         CROSS JOIN LATERAL (
             SELECT DISTINCT ON (c.type) c.* FROM app.consents c
             WHERE c.tenant_id = $1 AND c.contact_id = wanted.contact_id AND coalesce(c.channel, 'voice') = 'voice'
             ORDER BY c.type, c.captured_at DESC, (c.status = 'granted'), c.id DESC) c",
    )
    .bind(tx.tenant().0)
    .bind(&ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            let contact = ContactId(row.try_get("contact_id")?);
            let kind = ConsentType::parse(row.try_get("type")?).ok_or(Error::Unreadable {
                column: "consents.type",
            })?;
            let standing = Standing {
                status: ConsentStatus::parse(row.try_get("status")?).ok_or(Error::Unreadable {
                    column: "consents.status",
                })?,
                captured_at: row.try_get("captured_at")?,
                expires_at: row.try_get("expires_at")?,
            };
            Ok(((contact, kind), standing))
        })
        .collect()
}
