//! The questions that may be asked across tenants. Each is a function of the database that names rows and
//! shows nothing else of them; whoever takes one up opens a transaction of its tenant.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_schemas::{ReportId, ScheduleId, TenantId};

use crate::{Database, Result};

/// Report schedules that are due at `at`, longest due first. Needs [`Role::Worker`](crate::Role::Worker).
///
/// # Errors
/// When the database fails.
pub async fn due_schedules(
    database: &Database,
    at: DateTime<Utc>,
    most: u32,
) -> Result<Vec<(TenantId, ScheduleId)>> {
    let rows = due(
        database,
        "SELECT tenant_id, id FROM app.due_schedules($1, $2)",
        at,
        most,
    )
    .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, id)| (TenantId(tenant), ScheduleId(id)))
        .collect())
}

/// Reports whose time has come at `at` and that no job has finished, longest due first. Needs
/// [`Role::Worker`](crate::Role::Worker).
///
/// # Errors
/// When the database fails.
pub async fn due_reports(
    database: &Database,
    at: DateTime<Utc>,
    most: u32,
) -> Result<Vec<(TenantId, ReportId)>> {
    let rows = due(
        database,
        "SELECT tenant_id, id FROM app.due_reports($1, $2)",
        at,
        most,
    )
    .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, id)| (TenantId(tenant), ReportId(id)))
        .collect())
}

async fn due(
    database: &Database,
    sql: &'static str,
    at: DateTime<Utc>,
    most: u32,
) -> Result<Vec<(Uuid, Uuid)>> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    Ok(sqlx::query_as(sql)
        .bind(at)
        .bind(most)
        .fetch_all(database.pool())
        .await?)
}
