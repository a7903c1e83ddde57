//! How far a report is, for whoever waits for it.

use sqlx::Row;
use voice_postgres::TenantTx;
use voice_schemas::ReportId;

use crate::Error;

/// Where a report stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `pending`, `generating`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// The stable label of the last failure.
    pub failure: Option<String>,
    /// Keys of its files in the object store.
    pub object_keys: Vec<String>,
}

/// Looks a report up; none when the tenant has no such report.
///
/// # Errors
/// When the database fails.
pub async fn of(tx: &mut TenantTx, report: ReportId) -> Result<Option<Progress>, Error> {
    let row = sqlx::query(
        "SELECT r.status, r.failure, array_remove(array_agg(f.object_key ORDER BY f.format), NULL) AS object_keys
         FROM app.reports r LEFT JOIN app.report_files f ON f.tenant_id = r.tenant_id AND f.report_id = r.id
         WHERE r.id = $1 GROUP BY r.tenant_id, r.id",
    )
    .bind(report.0)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Progress {
            status: row.try_get("status")?,
            failure: row.try_get("failure")?,
            object_keys: row.try_get("object_keys")?,
        })
    })
    .transpose()
}
