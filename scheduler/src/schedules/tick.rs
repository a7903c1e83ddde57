//! The loop that starts due runs and pushes overdue reports again.
//!
//! Any number of processes tick. Which schedules are due is asked across tenants; each one is then taken up
//! in a transaction of its tenant, which locks the row (a row locked by another process is passed over),
//! looks again, writes the reports with their jobs, and moves the schedule on. Either all of that happens
//! or none of it. Should two processes get past the lock one after the other, the second finds the schedule
//! no longer due; and the unique (schedule, time) of reports stands behind both.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use voice_lifecycle::SharedClock;
use voice_postgres::{Database, doors};
use voice_schemas::{ReportId, ScheduleId, TenantId};
use voice_telemetry::{Emit, Metrics};

use super::{
    cron::CronSpec,
    plan::{CatchUp, plan},
};
use crate::{
    Config, Error,
    events::{RunsStarted, ScheduleFaulty, TickFailed},
    jobs::{
        ReportJob, queue,
        rows::{self, NewReport},
    },
};

/// What a look found and started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Reports written for due schedules.
    pub started: usize,
    /// Reports whose job was pushed again.
    pub pushed_again: usize,
}

/// Looks for due schedules and overdue reports.
#[derive(Clone)]
pub struct Tick {
    /// In [`Role::Worker`](voice_postgres::Role::Worker).
    pub database: Database,
    /// What time it is.
    pub clock: SharedClock,
    /// Settings.
    pub config: Config,
    /// Where events are counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Tick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tick")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Tick {
    /// Looks every few seconds until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut next_sweep = self.clock.now();
        while !stop.is_cancelled() {
            let wake = Instant::now() + self.config.tick.interval();
            if let Err(error) = self.once().await {
                TickFailed { error: &error }.emit(&self.metrics);
            }
            if self.clock.now() >= next_sweep {
                next_sweep = self.clock.now() + TimeDelta::hours(1);
                if let Err(error) = queue::sweep(&self.database, self.config.tick.keep_jobs_hours).await {
                    TickFailed { error: &error }.emit(&self.metrics);
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Looks once. A schedule that cannot be taken up does not hold up the others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn once(&self) -> Result<Ticked, Error> {
        let now = self.clock.now();
        let mut ticked = Ticked::default();
        for (tenant, schedule) in doors::due_schedules(&self.database, now, self.config.tick.batch).await? {
            ticked.started += self.start(tenant, schedule, now).await?;
        }
        for (tenant, report_id) in doors::due_reports(&self.database, now, self.config.tick.batch).await? {
            let job = ReportJob { tenant, report_id };
            if rows::push_again(&self.database, job, now, &self.config.jobs).await? {
                ticked.pushed_again += 1;
            }
        }
        if ticked != Ticked::default() {
            RunsStarted { ticked }.emit(&self.metrics);
        }
        Ok(ticked)
    }

    async fn start(&self, tenant: TenantId, id: ScheduleId, now: DateTime<Utc>) -> Result<usize, Error> {
        let mut tx = self.database.tenant(tenant).await?;
        let row = sqlx::query(
            "SELECT kind, cron, timezone, formats, locale, parameters, catch_up, end_at, next_run_at
             FROM app.report_schedules
             WHERE tenant_id = $1 AND id = $2 AND NOT paused AND next_run_at <= $3
             FOR UPDATE SKIP LOCKED",
        )
        .bind(tenant.0)
        .bind(id.0)
        .bind(now)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            tx.rollback().await?;
            return Ok(0);
        };
        let mut started = 0;
        let (next, fault) = match read(&row) {
            Ok(schedule) => {
                let bounds = (row.try_get("next_run_at")?, row.try_get("end_at")?);
                let limits = self.config.tick.limits();
                let plan = plan(
                    &schedule.cron,
                    schedule.template.zone,
                    schedule.catch_up,
                    bounds,
                    now,
                    limits,
                );
                for due in &plan.runs {
                    let report = NewReport {
                        id: ReportId::random(),
                        scheduled: Some((id, *due)),
                        ..schedule.template.clone()
                    };
                    if rows::request(&mut tx, &report, now, &self.config.jobs).await? {
                        started += 1;
                    }
                }
                (plan.next, None)
            }
            // Without a next run it is left alone until somebody mends it.
            Err(error) => {
                ScheduleFaulty {
                    tenant,
                    schedule: id,
                    error: &error,
                }
                .emit(&self.metrics);
                (None, Some(error.kind()))
            }
        };
        sqlx::query(
            "UPDATE app.report_schedules SET next_run_at = $3, fault = $4,
                    last_run_at = CASE WHEN $5 THEN $6 ELSE last_run_at END
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant.0)
        .bind(id.0)
        .bind(next)
        .bind(fault)
        .bind(started > 0)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(started)
    }
}

struct Schedule {
    cron: CronSpec,
    catch_up: CatchUp,
    /// Each run is this, with an id and a time.
    template: NewReport,
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Schedule, Error> {
    let zone: String = row.try_get("timezone")?;
    let formats: Vec<String> = row.try_get("formats")?;
    let parameters: serde_json::Value = row.try_get("parameters")?;
    Ok(Schedule {
        cron: row
            .try_get::<String, _>("cron")?
            .parse()
            .map_err(|_| Error::Unsupported("cron expression"))?,
        catch_up: CatchUp::parse(row.try_get("catch_up")?).ok_or(Error::Unsupported("catch-up policy"))?,
        template: NewReport {
            id: ReportId(uuid::Uuid::nil()),
            scheduled: None,
            kind: row.try_get("kind")?,
            formats: formats
                .iter()
                .map(|name| Ok(name.parse()?))
                .collect::<Result<_, Error>>()?,
            locale: row.try_get("locale")?,
            zone: zone.parse().map_err(|_| Error::Unsupported("timezone"))?,
            parameters: serde_json::from_value(parameters).map_err(|_| Error::Unsupported("parameters"))?,
        },
    })
}
