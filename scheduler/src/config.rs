//! How the scheduler works: one struct per component.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;

use crate::schedules::plan::Limits;

/// Settings of the scheduler; every field has a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The loop that looks for due schedules.
    pub tick: TickConfig,
    /// The jobs that make reports.
    pub jobs: JobsConfig,
}

/// The loop that looks for due schedules and overdue reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TickConfig {
    /// How often it looks.
    pub interval_ms: u64,
    /// The most schedules, and the most reports, of one look.
    pub batch: u32,
    /// A run that is later than this was missed, and the schedule's catch-up policy decides.
    pub grace_seconds: u32,
    /// The most runs that are caught up at once for a schedule.
    pub most_runs: usize,
    /// Rows of finished jobs are deleted from the queue after this.
    pub keep_jobs_hours: u32,
}

impl Default for TickConfig {
    fn default() -> Self {
        Self {
            interval_ms: 5_000,
            batch: 100,
            grace_seconds: 300,
            most_runs: 50,
            keep_jobs_hours: 168,
        }
    }
}

impl TickConfig {
    pub(crate) const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            grace: TimeDelta::seconds(i64::from(self.grace_seconds)),
            most_runs: self.most_runs,
        }
    }
}

/// The jobs that make reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Reports made at the same time in this process.
    pub concurrency: usize,
    /// How often the queue is asked for jobs.
    pub poll_ms: u64,
    /// How often this process says that it lives.
    pub heartbeat_seconds: u64,
    /// After this many silent intervals its jobs are given to others.
    pub missed_heartbeats: usize,
    /// How long one report may take.
    pub timeout_seconds: u32,
    /// How often a report is tried.
    pub most_attempts: u32,
    /// Pause before the second try; each further one is four times as long.
    pub retry_seconds: u32,
    /// The longest pause between two tries.
    pub longest_retry_seconds: u32,
    /// How long a report waits for the last events of its period before it is made without them.
    pub freshness_patience_seconds: u32,
    /// How often it looks whether they have come.
    pub freshness_poll_seconds: u32,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            concurrency: 2,
            poll_ms: 1_000,
            heartbeat_seconds: 15,
            missed_heartbeats: 4,
            timeout_seconds: 120,
            most_attempts: 5,
            retry_seconds: 60,
            longest_retry_seconds: 3_600,
            freshness_patience_seconds: 1_800,
            freshness_poll_seconds: 60,
        }
    }
}

impl JobsConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    /// How long a report belongs to the job that took it. Longer than the time-out, so that two jobs never
    /// write the same files at once.
    pub(crate) fn lease(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.timeout_seconds) + 30)
    }
}
