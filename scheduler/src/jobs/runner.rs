//! Makes one report: take it, read the figures, render, store, mark it done.
//!
//! At least once: a job may run again after a crash at any point. Every step before the last is repeatable
//! (files are overwritten under the same keys), and the last is one transaction fenced by the number of the
//! try, so that a job that lost its lease changes nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use object_store::ObjectStore;
use tokio::{task::spawn_blocking, time::timeout};
use voice_lifecycle::SharedClock;
use voice_postgres::{Database, tenants};
use voice_reports::{Locale, daily_summary, period::day_bounds, render};
use voice_telemetry::{Emit, Metrics};

use super::{
    ReportJob,
    decide::{Claim, Freshness, freshness, next_try, previous_day},
    files,
    rows::{self, Made, TakeResult, Taken},
};
use crate::{
    Error,
    config::JobsConfig,
    events::{JobFailed, ReportFailed, ReportMade},
    source::{DailyRequest, ReportSource, Watermark},
};

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// The report is done.
    Completed,
    /// Its figures are not complete yet; it is due again then.
    Postponed(DateTime<Utc>),
    /// It failed and is due again then.
    Retrying(DateTime<Utc>),
    /// It failed for good.
    Failed,
    /// There was nothing to do, or another job is at it.
    NothingToDo,
    /// The database failed, so nothing could be written down; the lease will run out.
    Unknown,
}

/// Everything a report job needs.
pub struct Runner {
    /// In [`Role::Worker`](voice_postgres::Role::Worker).
    pub database: Database,
    /// Where figures come from.
    pub source: Arc<dyn ReportSource>,
    /// How far they are complete.
    pub watermark: Arc<dyn Watermark>,
    /// Where files go.
    pub objects: Arc<dyn ObjectStore>,
    /// What time it is.
    pub clock: SharedClock,
    /// Settings.
    pub config: JobsConfig,
    /// Where events are counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Does what the report's row asks for.
    pub async fn run(&self, job: ReportJob) -> Ran {
        match self.attempt(job).await {
            Ok(ran) => ran,
            Err(error) => {
                JobFailed {
                    job: &job,
                    error: &error,
                }
                .emit(&self.metrics);
                Ran::Unknown
            }
        }
    }

    async fn attempt(&self, job: ReportJob) -> Result<Ran, Error> {
        let begun = self.clock.now();
        let (taken, error) = match rows::take(&self.database, job, begun, &self.config).await? {
            TakeResult::NotTaken(Claim::Take | Claim::Leave | Claim::Done) => return Ok(Ran::NothingToDo),
            TakeResult::Unreadable {
                attempt,
                schedule,
                kind,
                error,
            } => {
                return self.failed(job, (attempt, schedule, &kind), &error).await;
            }
            TakeResult::Taken(taken) => match timeout(self.config.timeout(), self.make(&taken)).await {
                Ok(Ok(Some(made))) => return self.finish(&taken, made, begun).await,
                Ok(Ok(None)) => return Ok(Ran::NothingToDo),
                Ok(Err(MakeError::Wait(until))) => {
                    rows::postpone(&self.database, &taken, until).await?;
                    return Ok(Ran::Postponed(until));
                }
                Ok(Err(MakeError::Failed(error))) => (taken, error),
                Err(_elapsed) => (taken, Error::TimedOut),
            },
        };
        self.failed(job, (taken.attempt, taken.schedule, &taken.kind), &error)
            .await
    }

    async fn finish(&self, taken: &Taken, made: Made, begun: DateTime<Utc>) -> Result<Ran, Error> {
        let now = self.clock.now();
        if !rows::complete(&self.database, taken, &made, now).await? {
            return Ok(Ran::NothingToDo);
        }
        ReportMade {
            taken,
            made: &made,
            took: (now - begun).to_std().unwrap_or_default(),
        }
        .emit(&self.metrics);
        Ok(Ran::Completed)
    }

    async fn failed(
        &self,
        job: ReportJob,
        fence: (i32, Option<voice_schemas::ScheduleId>, &str),
        error: &Error,
    ) -> Result<Ran, Error> {
        let now = self.clock.now();
        let next = if error.is_worth_retrying() {
            next_try(u32::try_from(fence.0).unwrap_or(u32::MAX), now, &self.config)
        } else {
            None
        };
        if !rows::fail(&self.database, job, fence, error.kind(), next, now).await? {
            return Ok(Ran::NothingToDo);
        }
        ReportFailed {
            job: &job,
            error,
            next,
        }
        .emit(&self.metrics);
        Ok(next.map_or(Ran::Failed, Ran::Retrying))
    }

    /// Reads, renders and stores. None when the tenant is gone.
    async fn make(&self, taken: &Taken) -> Result<Option<Made>, MakeError> {
        if taken.kind != daily_summary::KIND {
            return Err(Error::Unsupported("report kind").into());
        }
        let (tenant, campaign_names) = {
            let mut tx = self
                .database
                .tenant(taken.job.tenant)
                .await
                .map_err(Error::from)?;
            let tenant = tenants::current(&mut tx)
                .await
                .map_err(Error::from)?
                .ok_or(Error::NoTenant)?;
            (tenant, rows::campaign_names(&mut tx).await.map_err(Error::from)?)
        };
        let day = taken
            .parameters
            .day
            .unwrap_or_else(|| previous_day(taken.as_of, taken.zone));
        let (from, to) = day_bounds(day, taken.zone);
        let complete_until = self
            .watermark
            .complete_until(tenant.id)
            .await
            .map_err(Error::from)?;
        let now = self.clock.now();
        let provisional = match freshness(to, taken.requested_at, complete_until, now, &self.config) {
            Freshness::Final => false,
            Freshness::Provisional => true,
            Freshness::Wait(until) => return Err(MakeError::Wait(until)),
        };
        let language = taken.locale.as_deref().unwrap_or(&tenant.default_locale);
        let request = DailyRequest {
            campaign_names,
            tenant: tenant.id,
            tenant_name: tenant.name,
            day,
            zone: taken.zone,
            from,
            to,
            // A language without a catalogue gets the default one rather than no report.
            locale: language.parse::<Locale>().unwrap_or_default(),
            generated_at: now,
            provisional,
        };
        let data = self.source.daily_summary(&request).await.map_err(Error::from)?;
        let report = Arc::new(data.report().map_err(Error::from)?);
        let files = try_join_all(taken.formats.iter().map(|format| {
            let (report, format) = (report.clone(), *format);
            async move {
                let content = spawn_blocking(move || render(&report, format))
                    .await
                    .map_err(|_| Error::Broken)??;
                let key = files::key(
                    taken.job.tenant,
                    taken.job.report_id,
                    daily_summary::KIND,
                    &day.to_string(),
                    format,
                );
                files::store(&*self.objects, key, format, content).await
            }
        }))
        .await?;
        Ok(Some(Made {
            from,
            to,
            provisional,
            files,
        }))
    }
}

/// Why there is no report.
enum MakeError {
    /// Its figures are not complete.
    Wait(DateTime<Utc>),
    /// Something failed.
    Failed(Error),
}

impl From<Error> for MakeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
