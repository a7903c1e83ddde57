//! The composition root of the scheduler: everything it is made of comes in here.

use std::{sync::Arc, time::Duration};

use object_store::ObjectStore;
use voice_lifecycle::{Lifecycle, SharedClock, TaskPolicy};
use voice_postgres::Database;
use voice_telemetry::Metrics;

use crate::{
    Config,
    jobs::{queue, runner::Runner},
    schedules::tick::Tick,
    source::{ReportSource, Watermark},
};

/// What the scheduler is given.
pub struct Deps {
    /// In [`Role::Worker`](voice_postgres::Role::Worker).
    pub database: Database,
    /// Where figures come from.
    pub source: Arc<dyn ReportSource>,
    /// How far they are complete.
    pub watermark: Arc<dyn Watermark>,
    /// Where files go; see [`folder`](crate::jobs::files::folder).
    pub objects: Arc<dyn ObjectStore>,
    /// What time it is.
    pub clock: SharedClock,
    /// Where events are counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// A scheduler, ready to start.
#[derive(Clone, Debug)]
pub struct App {
    /// Looks for due schedules; also for callers that want to look right now.
    pub tick: Tick,
    /// Makes reports; also for callers that want one right now.
    pub runner: Arc<Runner>,
    config: Config,
}

impl App {
    /// Puts it together. Nothing runs yet.
    #[must_use]
    pub fn build(config: Config, deps: Deps) -> Self {
        let Deps {
            database,
            source,
            watermark,
            objects,
            clock,
            metrics,
        } = deps;
        let tick = Tick {
            database: database.clone(),
            clock: clock.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
        };
        let jobs = config.jobs.clone();
        let runner = Arc::new(Runner {
            database,
            source,
            watermark,
            objects,
            clock,
            config: jobs,
            metrics,
        });
        Self { tick, runner, config }
    }

    /// Starts both loops. On shutdown no new job is taken; those that have begun get their time-out to end.
    pub fn spawn(self, lifecycle: &Lifecycle) {
        let budget = self.config.jobs.timeout() + Duration::from_secs(5);
        let tick = self.tick;
        lifecycle.spawn(
            "report schedules",
            TaskPolicy::workers(Duration::from_secs(10)),
            move |stop| async move {
                tick.run(stop).await;
            },
        );
        let (runner, config) = (self.runner, self.config.jobs);
        lifecycle.spawn(
            "report jobs",
            TaskPolicy::workers(budget),
            move |stop| async move {
                let (database, metrics) = (runner.database.clone(), runner.metrics.clone());
                queue::work(database, runner, config, metrics, stop).await;
            },
        );
    }
}
