//! Report schedules: when they run, what a missed run means, and the loop that starts the runs.

pub mod cron;
pub mod plan;
pub mod tick;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::types::Json;
use voice_postgres::TenantTx;
use voice_reports::Format;
use voice_schemas::ScheduleId;

pub use self::{
    cron::{BadCron, CronSpec},
    plan::CatchUp,
};
use crate::{Error, jobs::rows::Parameters};

/// A schedule as it is written.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its name for people, unique in the tenant.
    pub name: String,
    /// Such as `daily_summary`.
    pub kind: String,
    /// Five cron fields.
    pub cron: String,
    /// The zone of its wall clock and of the report's days.
    pub zone: Tz,
    /// The files wanted.
    pub formats: Vec<Format>,
    /// The language; none for the tenant's.
    pub locale: Option<String>,
    /// What happens to missed runs.
    pub catch_up: CatchUp,
    /// What else was set.
    pub parameters: Parameters,
    /// It does not run before this.
    pub start_at: Option<DateTime<Utc>>,
    /// It does not run at or after this.
    pub end_at: Option<DateTime<Utc>>,
}

/// Writes a schedule and returns its first run. Needs [`Role::Api`](voice_postgres::Role::Api) or the owner.
///
/// # Errors
/// [`Error::Unsupported`] when the cron expression is none; otherwise when the database fails or refuses it.
pub async fn create(
    tx: &mut TenantTx,
    schedule: &NewSchedule,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let cron: CronSpec = schedule
        .cron
        .parse()
        .map_err(|_: BadCron| Error::Unsupported("cron expression"))?;
    // A start that is itself a run counts as one, hence the second before it.
    let after = schedule
        .start_at
        .map_or(now, |start| (start - chrono::TimeDelta::seconds(1)).max(now));
    let first = cron
        .next_run(schedule.zone, after)
        .filter(|run| schedule.end_at.is_none_or(|end| *run < end));
    let formats: Vec<&str> = schedule.formats.iter().map(|format| format.extension()).collect();
    sqlx::query(
        "INSERT INTO app.report_schedules (tenant_id, id, name, kind, cron, timezone, formats, locale,
                                           parameters, catch_up, start_at, end_at, next_run_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(tx.tenant().0)
    .bind(schedule.id.0)
    .bind(&schedule.name)
    .bind(&schedule.kind)
    .bind(&schedule.cron)
    .bind(schedule.zone.name())
    .bind(&formats)
    .bind(&schedule.locale)
    .bind(Json(&schedule.parameters))
    .bind(schedule.catch_up.as_str())
    .bind(schedule.start_at)
    .bind(schedule.end_at)
    .bind(first)
    .execute(&mut **tx)
    .await?;
    Ok(first)
}
