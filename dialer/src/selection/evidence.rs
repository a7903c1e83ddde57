//! Reading what lifts a rule or stands behind one: relationships with the company, and what registers said.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_contacts::relationships::Relationship;
use voice_postgres::{Result, TenantTx};

use super::candidates;
use crate::gate::Looked;

/// What connects each person with the company beside them, by place; `None` is the tenant itself.
pub(super) async fn relationships(
    tx: &mut TenantTx,
    contacts: &[Uuid],
    companies: &[Option<Uuid>],
) -> Result<HashMap<usize, Relationship>> {
    let rows = sqlx::query(
        "SELECT wanted.place, r.last_purchase_at, r.last_inquiry_at, r.contract
         FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS wanted (contact_id, company_id, place)
         CROSS JOIN LATERAL (
             SELECT * FROM app.contact_relationships r
             WHERE r.tenant_id = $1 AND r.contact_id = wanted.contact_id
               AND r.company_id IS NOT DISTINCT FROM wanted.company_id OFFSET 0) r",
    )
    .bind(tx.tenant().0)
    .bind(contacts)
    .bind(companies)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            let known = Relationship {
                last_purchase: row.try_get("last_purchase_at")?,
                last_inquiry: row.try_get("last_inquiry_at")?,
                contract: row.try_get("contract")?,
            };
            Ok((candidates::place(row)?, known))
        })
        .collect()
}

/// What registers say of some numbers.
#[derive(Debug, Default)]
pub(super) struct Registers {
    /// Whole registers, with their day: who is not among `entries` is not listed.
    whole: BTreeMap<Uuid, (String, DateTime<Utc>)>,
    entries: HashMap<Uuid, Vec<(Uuid, Looked)>>,
}

impl Registers {
    /// What they say of the number.
    pub(super) fn of(&self, token: Uuid) -> Vec<Looked> {
        let entries = self.entries.get(&token).map(Vec::as_slice).unwrap_or_default();
        let unlisted = self
            .whole
            .iter()
            .filter(|(scrub, _)| entries.iter().all(|(of, _)| of != *scrub))
            .map(|(_, (list, at))| Looked {
                list: list.clone(),
                at: *at,
                listed: false,
            });
        let said = entries.iter().map(|(_, looked)| looked.clone());
        said.chain(unlisted).collect()
    }
}

pub(super) async fn registers(tx: &mut TenantTx, tokens: &[Uuid]) -> Result<Registers> {
    let mut registers = Registers::default();
    let scrubs = sqlx::query(
        "SELECT id, list, taken_at, covers = 'register' AS whole FROM app.registry_scrubs
         WHERE tenant_id = $1 AND state = 'current'",
    )
    .bind(tx.tenant().0)
    .fetch_all(&mut **tx)
    .await?;
    if scrubs.is_empty() {
        return Ok(registers);
    }
    for row in scrubs {
        if row.try_get("whole")? {
            registers.whole.insert(
                row.try_get("id")?,
                (row.try_get("list")?, row.try_get("taken_at")?),
            );
        }
    }
    // One look into the index per token, also where the table has no statistics yet.
    let entries = sqlx::query(
        "SELECT e.token, e.scrub_id, e.listed, s.list, s.taken_at
         FROM unnest($2::uuid[]) AS wanted (token)
         CROSS JOIN LATERAL (
             SELECT * FROM app.registry_entries e WHERE e.tenant_id = $1 AND e.token = wanted.token OFFSET 0) e
         JOIN app.registry_scrubs s ON s.tenant_id = $1 AND s.id = e.scrub_id AND s.state = 'current'",
    )
    .bind(tx.tenant().0)
    .bind(tokens)
    .fetch_all(&mut **tx)
    .await?;
    for row in entries {
        let looked = Looked {
            list: row.try_get("list")?,
            at: row.try_get("taken_at")?,
            listed: row.try_get("listed")?,
        };
        registers
            .entries
            .entry(row.try_get("token")?)
            .or_default()
            .push((row.try_get("scrub_id")?, looked));
    }
    Ok(registers)
}
