//! What the scheduler reports: one struct per thing that happens, log line and metric together.

use std::time::Duration;

use chrono::{DateTime, Utc};
use voice_schemas::{ScheduleId, TenantId};
use voice_telemetry::{CounterDef, Definition, Emit, HistogramDef, Label, Metrics, buckets};

use crate::{
    Error,
    jobs::{
        ReportJob,
        rows::{Made, Taken},
    },
    schedules::tick::Ticked,
};

/// The stable label of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorKind(pub &'static str);

impl Label for ErrorKind {
    const NAME: &'static str = "kind";

    fn value(self) -> &'static str {
        self.0
    }
}

voice_telemetry::labels! {
    /// What follows a failed try.
    pub enum Then: "then" { Retry = "retry", GivenUp = "given_up" }
}

/// Reports started by their schedule.
pub const RUNS_STARTED: CounterDef<()> = CounterDef::new(
    "scheduler_runs_started_total",
    "Reports written because their schedule was due.",
);
/// Jobs pushed again.
pub const PUSHED_AGAIN: CounterDef<()> = CounterDef::new(
    "scheduler_pushed_again_total",
    "Jobs pushed again for overdue reports.",
);
/// Looks that failed.
pub const TICKS_FAILED: CounterDef<ErrorKind> = CounterDef::new(
    "scheduler_ticks_failed_total",
    "Looks for due schedules that failed.",
);
/// Schedules that were taken off the plan.
pub const SCHEDULES_FAULTY: CounterDef<ErrorKind> = CounterDef::new(
    "scheduler_schedules_faulty_total",
    "Schedules that cannot be planned any more.",
);
/// Finished reports.
pub const REPORTS_COMPLETED: CounterDef<()> =
    CounterDef::new("reports_completed_total", "Reports whose files are stored.");
/// How long a report took.
pub const REPORT_SECONDS: HistogramDef<()> = HistogramDef::new(
    "reports_duration_seconds",
    "Time to make one report.",
    buckets::DURATION_SECONDS,
);
/// Failed tries.
pub const REPORTS_FAILED: CounterDef<(ErrorKind, Then)> =
    CounterDef::new("reports_failed_total", "Tries to make a report that failed.");
/// Jobs whose outcome could not be written down.
pub const JOBS_FAILED: CounterDef<ErrorKind> = CounterDef::new(
    "scheduler_jobs_failed_total",
    "Jobs whose outcome could not be written down.",
);
/// Queue workers that ended.
pub const WORKERS_FAILED: CounterDef<()> = CounterDef::new(
    "scheduler_workers_failed_total",
    "Queue workers that failed and were replaced.",
);

/// All metrics of this crate.
pub const CATALOGUE: &[&dyn Definition] = &[
    &RUNS_STARTED,
    &PUSHED_AGAIN,
    &TICKS_FAILED,
    &SCHEDULES_FAULTY,
    &REPORTS_COMPLETED,
    &REPORT_SECONDS,
    &REPORTS_FAILED,
    &JOBS_FAILED,
    &WORKERS_FAILED,
];

/// A look started something.
#[derive(Debug)]
pub struct RunsStarted {
    /// What.
    pub ticked: Ticked,
}

impl Emit for RunsStarted {
    fn emit(&self, metrics: &Metrics) {
        let Ticked {
            started,
            pushed_again,
        } = self.ticked;
        tracing::info!(started, pushed_again, "report jobs pushed");
        metrics.counter(&RUNS_STARTED).add((), started as u64);
        metrics.counter(&PUSHED_AGAIN).add((), pushed_again as u64);
    }
}

/// A look failed; the next one comes in a few seconds.
#[derive(Debug)]
pub struct TickFailed<'a> {
    /// Why.
    pub error: &'a Error,
}

impl Emit for TickFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        let kind = self.error.kind();
        tracing::warn!(kind, error = %self.error, "looking for due schedules failed, will try again");
        metrics.counter(&TICKS_FAILED).inc(ErrorKind(kind));
    }
}

/// A schedule holds something this program does not understand; it is off the plan until mended.
#[derive(Debug)]
pub struct ScheduleFaulty<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub schedule: ScheduleId,
    /// What it does not understand.
    pub error: &'a Error,
}

impl Emit for ScheduleFaulty<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self {
            tenant,
            schedule,
            error,
        } = self;
        tracing::error!(%tenant, %schedule, kind = error.kind(), %error, "schedule taken off the plan");
        metrics.counter(&SCHEDULES_FAULTY).inc(ErrorKind(error.kind()));
    }
}

/// A report is done.
#[derive(Debug)]
pub struct ReportMade<'a> {
    /// Which.
    pub taken: &'a Taken,
    /// What came of it.
    pub made: &'a Made,
    /// How long it took.
    pub took: Duration,
}

impl Emit for ReportMade<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self { taken, made, took } = self;
        tracing::info!(
            tenant = %taken.job.tenant,
            report = %taken.job.report_id,
            kind = taken.kind,
            files = made.files.len(),
            bytes = made.files.iter().map(|file| file.bytes).sum::<u64>(),
            provisional = made.provisional,
            took_ms = took.as_millis(),
            "report made"
        );
        metrics.counter(&REPORTS_COMPLETED).inc(());
        metrics.histogram(&REPORT_SECONDS).observe_duration((), *took);
    }
}

/// A try failed.
#[derive(Debug)]
pub struct ReportFailed<'a> {
    /// Which report.
    pub job: &'a ReportJob,
    /// Why.
    pub error: &'a Error,
    /// When it is tried again; none when it is given up.
    pub next: Option<DateTime<Utc>>,
}

impl Emit for ReportFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self { job, error, next } = self;
        let (tenant, report, kind) = (job.tenant, job.report_id, error.kind());
        let then = match next {
            Some(next) => {
                tracing::warn!(%tenant, %report, kind, %error, %next, "report failed, will be tried again");
                Then::Retry
            }
            None => {
                tracing::error!(%tenant, %report, kind, %error, "report failed for good");
                Then::GivenUp
            }
        };
        metrics.counter(&REPORTS_FAILED).inc((ErrorKind(kind), then));
    }
}

/// The outcome of a job could not be written down; its lease will run out and the tick pushes it again.
#[derive(Debug)]
pub struct JobFailed<'a> {
    /// Which.
    pub job: &'a ReportJob,
    /// Why.
    pub error: &'a Error,
}

impl Emit for JobFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self { job, error } = self;
        let kind = error.kind();
        tracing::warn!(report = %job.report_id, kind, %error, "report job broke off, will be pushed again");
        metrics.counter(&JOBS_FAILED).inc(ErrorKind(kind));
    }
}

/// The queue's worker ended; another one starts.
#[derive(Debug)]
pub struct WorkerFailed<'a> {
    /// What the queue library said.
    pub error: &'a str,
}

impl Emit for WorkerFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::warn!(error = self.error, "the queue worker failed and is replaced");
        metrics.counter(&WORKERS_FAILED).inc(());
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use voice_reports::Format;
    use voice_schemas::ReportId;
    use voice_telemetry::{assert_documented, assert_emits};

    use super::*;
    use crate::jobs::{files::StoredFile, rows::Parameters};

    #[test]
    fn every_metric_is_documented_and_moved_by_an_event() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let job = ReportJob {
            tenant: TenantId::random(),
            report_id: ReportId::random(),
        };
        let taken = Taken {
            job,
            schedule: None,
            kind: "daily_summary".to_owned(),
            formats: vec![Format::Csv],
            locale: None,
            zone: Tz::UTC,
            parameters: Parameters::default(),
            as_of: now,
            requested_at: now,
            attempt: 1,
        };
        let file = StoredFile {
            format: Format::Csv,
            key: "k".to_owned(),
            bytes: 1,
            sha256: [0; 32],
        };
        let made = Made {
            from: now,
            to: now,
            provisional: false,
            files: vec![file],
        };
        let error = &Error::TimedOut;
        assert_documented(CATALOGUE);
        assert_emits(CATALOGUE, |metrics| {
            RunsStarted {
                ticked: Ticked {
                    started: 1,
                    pushed_again: 1,
                },
            }
            .emit(metrics);
            TickFailed { error }.emit(metrics);
            ScheduleFaulty {
                tenant: job.tenant,
                schedule: ScheduleId::random(),
                error,
            }
            .emit(metrics);
            ReportMade {
                taken: &taken,
                made: &made,
                took: Duration::from_secs(1),
            }
            .emit(metrics);
            ReportFailed {
                job: &job,
                error,
                next: Some(now),
            }
            .emit(metrics);
            ReportFailed {
                job: &job,
                error,
                next: None,
            }
            .emit(metrics);
            JobFailed { job: &job, error }.emit(metrics);
            WorkerFailed { error: "gone" }.emit(metrics);
        });
    }
}
