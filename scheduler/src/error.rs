//! What can go wrong in the scheduler, under stable labels.

use crate::source::SourceError;

/// A failure of a tick or a job. The label of a failed job is kept in its report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
    /// The job queue failed.
    #[error("the job queue failed: {0}")]
    Queue(String),
    /// This server has no hstore, which the job queue's tables need.
    #[error(
        "the job queue needs the hstore extension of PostgreSQL (contrib), which this server does not offer"
    )]
    NoHstore,
    /// The figures could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The figures could not be made a document.
    #[error(transparent)]
    Render(#[from] voice_reports::RenderError),
    /// A file could not be stored.
    #[error("the object store refused a file: {0}")]
    Store(#[from] object_store::Error),
    /// A value of a schedule or report that this program does not understand.
    #[error("the report cannot be made: {0} is not supported")]
    Unsupported(&'static str),
    /// The tenant of the report does not exist.
    #[error("the tenant of the report does not exist")]
    NoTenant,
    /// The report took longer than it may.
    #[error("the report was not ready in time")]
    TimedOut,
    /// The code that made the report broke; a defect.
    #[error("making the report broke off")]
    Broken,
}

impl Error {
    /// A stable label for logs, metrics and the report's `failure`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Database(error) => error.kind(),
            Self::Queue(_) => "queue",
            Self::NoHstore => "no_hstore",
            Self::Source(error) => error.kind(),
            Self::Render(error) => error.kind(),
            Self::Store(_) => "object_store",
            Self::Unsupported(_) => "unsupported",
            Self::NoTenant => "no_tenant",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
        }
    }

    /// Whether trying again without a change by a person can help.
    #[must_use]
    pub const fn is_worth_retrying(&self) -> bool {
        !matches!(self, Self::Unsupported(_) | Self::NoTenant | Self::NoHstore)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<apalis_postgres::Error> for Error {
    fn from(error: apalis_postgres::Error) -> Self {
        Self::Queue(error.to_string())
    }
}
