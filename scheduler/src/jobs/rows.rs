//! The rows of a report: asked for, taken, finished. Every state change is one transaction.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sqlx::{Row, types::Json};
use uuid::Uuid;
use voice_postgres::{
    Database, TenantTx,
    outbox::{OutboxRecord, enqueue},
};
use voice_reports::Format;
use voice_schemas::{
    CampaignId, Envelope, EventId, EventType, ReportId, ScheduleId, events::report::ReportData, topics,
};

use super::{
    ReportJob,
    decide::{Claim, Status, claim},
    files::StoredFile,
    queue,
};
use crate::{Error, config::JobsConfig};

/// What may be set about a report when it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The local day to report on; the previous full day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
}

/// A report that somebody or some schedule asks for.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// Its id.
    pub id: ReportId,
    /// The schedule and the time it was due; none when a person asks.
    pub scheduled: Option<(ScheduleId, DateTime<Utc>)>,
    /// Such as `daily_summary`.
    pub kind: String,
    /// The files wanted.
    pub formats: Vec<Format>,
    /// The language; none for the tenant's.
    pub locale: Option<String>,
    /// The zone its days are cut in.
    pub zone: Tz,
    /// What else was set.
    pub parameters: Parameters,
}

/// Writes a pending report and its job. False when the schedule's run exists already.
///
/// # Errors
/// When the database fails.
pub async fn request(
    tx: &mut TenantTx,
    report: &NewReport,
    now: DateTime<Utc>,
    config: &JobsConfig,
) -> Result<bool, Error> {
    let formats: Vec<&str> = report.formats.iter().map(|format| format.extension()).collect();
    let written = sqlx::query(
        "INSERT INTO app.reports (tenant_id, id, schedule_id, scheduled_for, kind, formats, locale, timezone,
                                  parameters, period_as_of, run_after, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT ON CONSTRAINT reports_schedule_run DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(report.id.0)
    .bind(report.scheduled.map(|(schedule, _)| schedule.0))
    .bind(report.scheduled.map(|(_, due)| due))
    .bind(&report.kind)
    .bind(&formats)
    .bind(&report.locale)
    .bind(report.zone.name())
    .bind(Json(&report.parameters))
    .bind(report.scheduled.map_or(now, |(_, due)| due))
    // Should its job be lost, the tick pushes another one then.
    .bind(now + config.lease())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    queue::push(
        tx,
        &ReportJob {
            tenant: tx.tenant(),
            report_id: report.id,
        },
    )
    .await?;
    Ok(true)
}

/// A report that a job has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The job.
    pub job: ReportJob,
    /// The schedule it belongs to.
    pub schedule: Option<ScheduleId>,
    /// Such as `daily_summary`.
    pub kind: String,
    /// The files wanted.
    pub formats: Vec<Format>,
    /// The language; none for the tenant's.
    pub locale: Option<String>,
    /// The zone its days are cut in.
    pub zone: Tz,
    /// What else was set.
    pub parameters: Parameters,
    /// The previous day is the one before this instant.
    pub as_of: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Which try this is, from 1. Also the fence: a later try makes this one's result void.
    pub attempt: i32,
}

/// What came of trying to take a report.
#[derive(Debug)]
pub enum TakeResult {
    /// It is ours until the lease ends.
    Taken(Box<Taken>),
    /// It is not for us, or not now.
    NotTaken(Claim),
    /// It is ours, but its row holds something this program does not understand.
    Unreadable {
        /// The fence, as in [`Taken::attempt`].
        attempt: i32,
        /// The schedule it belongs to.
        schedule: Option<ScheduleId>,
        /// As it stands in the row.
        kind: String,
        /// What it does not understand.
        error: Error,
    },
}

/// Takes a report for a job, in a transaction of its own.
///
/// # Errors
/// When the database fails.
pub async fn take(
    database: &Database,
    job: ReportJob,
    now: DateTime<Utc>,
    config: &JobsConfig,
) -> Result<TakeResult, Error> {
    let mut tx = database.tenant(job.tenant).await?;
    let row = sqlx::query(
        "SELECT schedule_id, kind, status, formats, locale, timezone, parameters, period_as_of, run_after,
                attempts, created_at
         FROM app.reports WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
    )
    .bind(job.tenant.0)
    .bind(job.report_id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(TakeResult::NotTaken(Claim::Done));
    };
    let status = Status::parse(row.try_get("status")?).ok_or(Error::Unsupported("status"))?;
    match claim(status, row.try_get("run_after")?, now) {
        Claim::Take => {}
        other => return Ok(TakeResult::NotTaken(other)),
    }
    let attempt = row.try_get::<i32, _>("attempts")?.saturating_add(1);
    sqlx::query(
        "UPDATE app.reports SET status = 'generating', attempts = $3, run_after = $4,
                started_at = coalesce(started_at, $5)
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(job.tenant.0)
    .bind(job.report_id.0)
    .bind(attempt)
    .bind(now + config.lease())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let schedule = row.try_get::<Option<_>, _>("schedule_id")?.map(ScheduleId);
    let kind: String = row.try_get("kind")?;
    Ok(match read(&row, job, schedule, kind.clone(), attempt) {
        Ok(taken) => TakeResult::Taken(Box::new(taken)),
        Err(error) => TakeResult::Unreadable {
            attempt,
            schedule,
            kind,
            error,
        },
    })
}

fn read(
    row: &sqlx::postgres::PgRow,
    job: ReportJob,
    schedule: Option<ScheduleId>,
    kind: String,
    attempt: i32,
) -> Result<Taken, Error> {
    let formats: Vec<String> = row.try_get("formats")?;
    let zone: String = row.try_get("timezone")?;
    let parameters: serde_json::Value = row.try_get("parameters")?;
    Ok(Taken {
        job,
        schedule,
        kind,
        formats: formats
            .iter()
            .map(|name| Ok(name.parse()?))
            .collect::<Result<_, Error>>()?,
        locale: row.try_get("locale")?,
        zone: zone.parse().map_err(|_| Error::Unsupported("timezone"))?,
        parameters: serde_json::from_value(parameters).map_err(|_| Error::Unsupported("parameters"))?,
        as_of: row.try_get("period_as_of")?,
        requested_at: row.try_get("created_at")?,
        attempt,
    })
}

/// Gives a report back until its figures are complete; the try does not count.
///
/// # Errors
/// When the database fails.
pub async fn postpone(database: &Database, taken: &Taken, until: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = database.tenant(taken.job.tenant).await?;
    sqlx::query(
        "UPDATE app.reports SET status = 'pending', attempts = attempts - 1, run_after = $4
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND status = 'generating'",
    )
    .bind(taken.job.tenant.0)
    .bind(taken.job.report_id.0)
    .bind(taken.attempt)
    .bind(until)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// A report that is ready.
#[derive(Clone, Debug)]
pub struct Made {
    /// First instant of its period.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// Events may have been missing.
    pub provisional: bool,
    /// Its files, stored.
    pub files: Vec<StoredFile>,
}

/// Marks a report done, with its files and its event, in one transaction. False when another try has taken
/// over meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn complete(
    database: &Database,
    taken: &Taken,
    made: &Made,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let ReportJob { tenant, report_id } = taken.job;
    let mut tx = database.tenant(tenant).await?;
    let updated = sqlx::query(
        "UPDATE app.reports SET status = 'completed', failure = NULL, run_after = NULL, finished_at = $4,
                period_from = $5, period_to = $6, provisional = $7
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND status = 'generating'",
    )
    .bind(tenant.0)
    .bind(report_id.0)
    .bind(taken.attempt)
    .bind(now)
    .bind(made.from)
    .bind(made.to)
    .bind(made.provisional)
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    sqlx::query("DELETE FROM app.report_files WHERE tenant_id = $1 AND report_id = $2")
        .bind(tenant.0)
        .bind(report_id.0)
        .execute(&mut *tx)
        .await?;
    for file in &made.files {
        sqlx::query(
            "INSERT INTO app.report_files (tenant_id, report_id, format, object_key, bytes, sha256)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant.0)
        .bind(report_id.0)
        .bind(file.format.extension())
        .bind(&file.key)
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(&file.sha256[..])
        .execute(&mut *tx)
        .await?;
    }
    let object_keys = made.files.iter().map(|file| file.key.clone()).collect();
    let outcome = Outcome {
        schedule: taken.schedule,
        kind: taken.kind.clone(),
        object_keys,
        failure: None,
    };
    announce(&mut tx, taken.job, outcome, now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Writes down a failure: with the time of the next try, or for good and with the event.
///
/// # Errors
/// When the database fails.
pub async fn fail(
    database: &Database,
    job: ReportJob,
    (attempt, schedule, kind): (i32, Option<ScheduleId>, &str),
    failure: &'static str,
    next: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let mut tx = database.tenant(job.tenant).await?;
    let updated = sqlx::query(
        "UPDATE app.reports SET status = 'failed', failure = $4, run_after = $5, finished_at = $6
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND status = 'generating'",
    )
    .bind(job.tenant.0)
    .bind(job.report_id.0)
    .bind(attempt)
    .bind(failure)
    .bind(next)
    .bind(if next.is_none() { Some(now) } else { None })
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    if next.is_none() {
        let outcome = Outcome {
            schedule,
            kind: kind.to_owned(),
            object_keys: Vec::new(),
            failure: Some(failure.to_owned()),
        };
        announce(&mut tx, job, outcome, now).await?;
    }
    tx.commit().await?;
    Ok(true)
}

struct Outcome {
    schedule: Option<ScheduleId>,
    kind: String,
    object_keys: Vec<String>,
    failure: Option<String>,
}

/// The one event that tells how a report ended. Its id follows from the report and the time of its end.
async fn announce(
    tx: &mut TenantTx,
    job: ReportJob,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let kind = if outcome.failure.is_none() {
        EventType::ReportCompleted
    } else {
        EventType::ReportFailed
    };
    let id = EventId::derived(now, &[kind.as_str().as_bytes(), job.report_id.0.as_bytes()]);
    let data = ReportData {
        report_id: job.report_id,
        schedule_id: outcome.schedule,
        kind: outcome.kind,
        object_keys: outcome.object_keys,
        failure: outcome.failure,
    };
    let event = Envelope::new(id, job.tenant, "/scheduler", kind, now, data);
    let key = format!("{}:{}", job.tenant.0, job.report_id.0);
    Ok(enqueue(tx, &OutboxRecord::event(&topics::REPORTS, key, &event)?).await?)
}

/// Pushes a job for a report whose time has come: a failed one, or one whose job was lost. False when it is
/// not due any more, or another process is at it.
///
/// # Errors
/// When the database fails.
pub async fn push_again(
    database: &Database,
    job: ReportJob,
    now: DateTime<Utc>,
    config: &JobsConfig,
) -> Result<bool, Error> {
    let mut tx = database.tenant(job.tenant).await?;
    let due = sqlx::query(
        "UPDATE app.reports SET status = 'pending', run_after = $4
         WHERE tenant_id = $1 AND id = (
             SELECT id FROM app.reports WHERE tenant_id = $1 AND id = $2 AND run_after <= $3
             FOR UPDATE SKIP LOCKED)",
    )
    .bind(job.tenant.0)
    .bind(job.report_id.0)
    .bind(now)
    .bind(now + config.lease())
    .execute(&mut *tx)
    .await?;
    if due.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    queue::push(&mut tx, &job).await?;
    tx.commit().await?;
    Ok(true)
}

/// What the tenant calls its campaigns. Two of one name are told apart by their ids.
pub(super) async fn campaign_names(
    tx: &mut TenantTx,
) -> Result<HashMap<CampaignId, String>, voice_postgres::Error> {
    let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "SELECT id, name, count(*) OVER (PARTITION BY name) > 1 FROM app.campaigns WHERE tenant_id = $1",
    )
    .bind(tx.tenant().0)
    .fetch_all(&mut **tx)
    .await?;
    let named = rows.into_iter().map(|(id, name, shared)| {
        let id = CampaignId(id);
        (id, if shared { format!("{name} ({id})") } else { name })
    });
    Ok(named.collect())
}
