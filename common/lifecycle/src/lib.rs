//! How a process starts its long tasks, says whether it is ready, and stops without losing work.
//!
//! A `main` builds a [`Lifecycle`], spawns every long task through it and ends in
//! [`Lifecycle::run_until_signal`]. From then on three things can happen: a signal arrives, a task
//! that should run for ever ends, or a task fails. All take the same path: readiness answers 503,
//! then the stages are cancelled one after the other ([`Stage`]), and every task gets its own budget
//! to finish. What did not finish is named in the [`ExitReport`].
//!
//! [`Clock`] lives here because it is the other thing a process is given rather than reads.

mod clock;
mod policy;
mod readiness;
mod registry;
mod report;
mod signal;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock, TokioClock};
pub use policy::{OnEnd, Stage, TaskPolicy};
pub use readiness::{Check, FailingCheck, Readiness, ReadinessReport};
pub use registry::{Lifecycle, TaskResult};
pub use report::{Cause, ExitReport, TaskFailure};
pub use tokio_util::sync::CancellationToken;
