//! What a long task promises: when it may end, what its end means, how long it may take to stop.

use std::time::Duration;

/// When a task is told to stop. Stages are cancelled in this order, each after the one before it
/// has stopped, so that nothing new comes in while the rest is still being worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Listeners and whatever else lets new work in.
    Ingress,
    /// Whatever works off what has come in: consumers, controllers, media sessions.
    Workers,
    /// Whatever the workers lean on until their end: producers, outbox relay, telemetry, ops listener.
    Background,
}

impl Stage {
    /// All stages in the order they are cancelled.
    pub const ORDER: [Self; 3] = [Self::Ingress, Self::Workers, Self::Background];

    /// Name for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Workers => "workers",
            Self::Background => "background",
        }
    }
}

/// What it means for the process when a task ends that was not asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// The process shuts down in order, and its supervisor starts it again.
    Shutdown,
    /// The process lives on without it, and says so: the readiness check named after the task fails.
    Degrade,
}

/// What a task is registered with. Start from [`ingress`](Self::ingress), [`workers`](Self::workers) or
/// [`background`](Self::background); without further words an early end, clean or not, is a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskPolicy {
    pub(crate) stage: Stage,
    pub(crate) budget: Duration,
    pub(crate) on_end: OnEnd,
    pub(crate) may_finish: bool,
}

impl TaskPolicy {
    const fn new(stage: Stage, budget: Duration) -> Self {
        Self {
            stage,
            budget,
            on_end: OnEnd::Shutdown,
            may_finish: false,
        }
    }

    /// Stops first, within `budget`.
    #[must_use]
    pub const fn ingress(budget: Duration) -> Self {
        Self::new(Stage::Ingress, budget)
    }

    /// Stops once ingress has, within `budget`.
    #[must_use]
    pub const fn workers(budget: Duration) -> Self {
        Self::new(Stage::Workers, budget)
    }

    /// Stops last, within `budget`.
    #[must_use]
    pub const fn background(budget: Duration) -> Self {
        Self::new(Stage::Background, budget)
    }

    /// The process survives an early end of this task and answers "not ready" from then on.
    #[must_use]
    pub const fn or_degrade(self) -> Self {
        Self {
            on_end: OnEnd::Degrade,
            ..self
        }
    }

    /// The task may end by itself with success; only a failure counts.
    #[must_use]
    pub const fn may_finish(self) -> Self {
        Self {
            may_finish: true,
            ..self
        }
    }

    /// When it is told to stop.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// How long it may take to stop.
    #[must_use]
    pub const fn budget(&self) -> Duration {
        self.budget
    }
}
