//! Lists of contacts.

use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::ListId;

/// A list as an import needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// The company it belongs to.
    pub company: Option<Uuid>,
    /// Its members are rows, and not whom a filter finds.
    pub is_static: bool,
}

/// The list with this id (`lst_…` or a UUID) or this name.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx, name: &str) -> Result<Option<List>> {
    let id: Option<ListId> = name.parse().ok();
    let row = sqlx::query(
        "SELECT id, company_id, kind FROM app.call_lists
         WHERE tenant_id = $1 AND (id = $2 OR ($2 IS NULL AND name = $3))",
    )
    .bind(tx.tenant().0)
    .bind(id.map(|id| id.0))
    .bind(name)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(List {
            id: ListId(row.try_get("id")?),
            company: row.try_get("company_id")?,
            is_static: row.try_get::<&str, _>("kind")? == "static",
        })
    })
    .transpose()
}

/// Makes a static list with this name, unless there is one.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &mut TenantTx, name: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.call_lists (tenant_id, id, name) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT call_lists_name DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(ListId::random().0)
    .bind(name)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
