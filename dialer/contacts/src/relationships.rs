//! What connects people with a company: it lifts some rules about calling them.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::ContactId;

/// What is known of a person and a company.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relationship {
    /// Last purchase or payment.
    pub last_purchase: Option<DateTime<Utc>>,
    /// Last time they asked for something.
    pub last_inquiry: Option<DateTime<Utc>>,
    /// A contract is running, and the calls are about it.
    pub contract: bool,
}

/// Writes what is known; `None` is the tenant itself. Times only grow: an older file does not undo a newer one.
///
/// # Errors
/// When the database fails, or the contact or company does not exist.
pub async fn put(
    tx: &mut TenantTx,
    contact: ContactId,
    company: Option<Uuid>,
    is: Relationship,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.contact_relationships AS r
             (tenant_id, contact_id, company_id, last_purchase_at, last_inquiry_at, contract, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT ON CONSTRAINT contact_relationships_one DO UPDATE SET
             last_purchase_at = greatest(r.last_purchase_at, excluded.last_purchase_at),
             last_inquiry_at = greatest(r.last_inquiry_at, excluded.last_inquiry_at),
             contract = excluded.contract, updated_at = excluded.updated_at",
    )
    .bind(tx.tenant().0)
    .bind(contact.0)
    .bind(company)
    .bind(is.last_purchase)
    .bind(is.last_inquiry)
    .bind(is.contract)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
