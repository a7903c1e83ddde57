//! What a process says about its own end.

use std::process::ExitCode;

/// Why the process stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator or the supervisor asked (`SIGTERM`, `SIGINT`).
    Signal(&'static str),
    /// The program asked through [`Lifecycle::shut_down`](crate::Lifecycle::shut_down).
    Requested(String),
    /// A task that should have run for ever ended without an error.
    TaskEnded(&'static str),
    /// A task failed or panicked; its error is among [`ExitReport::failures`].
    TaskFailed(&'static str),
    /// All tasks were allowed to finish, and did.
    AllFinished,
}

/// A task that ended with an error or a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// Name of the task.
    pub task: &'static str,
    /// The error with its causes, or what the panic said.
    pub error: String,
}

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReport {
    /// What started the shutdown.
    pub cause: Cause,
    /// Every task that failed, before or during the shutdown.
    pub failures: Vec<TaskFailure>,
    /// Every task that was still running at the end of its budget and was cut off.
    pub unfinished: Vec<&'static str>,
}

impl ExitReport {
    /// 0: asked to stop and stopped clean. 1: a task ended or failed. 3: a task was cut off.
    #[must_use]
    pub fn code(&self) -> u8 {
        if !self.unfinished.is_empty() {
            return 3;
        }
        match self.cause {
            _ if !self.failures.is_empty() => 1,
            Cause::TaskEnded(_) | Cause::TaskFailed(_) => 1,
            Cause::Signal(_) | Cause::Requested(_) | Cause::AllFinished => 0,
        }
    }

    /// [`code`](Self::code) as `main` returns it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
