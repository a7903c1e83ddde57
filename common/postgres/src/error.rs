//! What can go wrong with Postgres, under stable labels.

use sqlx::error::ErrorKind;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the database or of what was asked of it. No text of it carries a value from a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not a Postgres address.
    #[error("the database URL is not valid: {0}")]
    Url(String),
    /// The server could not be reached, or the pool is exhausted.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A named constraint refused the write.
    #[error("the database refused the write: constraint {0}")]
    Constraint(String),
    /// Row-level security or a missing grant refused the statement.
    #[error("the database role may not do this: {0}")]
    Denied(String),
    /// Another transaction was in the way; the same work may succeed when repeated.
    #[error("another transaction was in the way: {0}")]
    Conflict(String),
    /// Any other answer of the server.
    #[error("the database answered with an error: {0}")]
    Query(#[source] sqlx::Error),
    /// A migration that this database has applied was changed afterwards.
    #[error("migration {name} was edited after it was applied to this database")]
    MigrationEdited {
        /// Its file name without extension.
        name: String,
    },
    /// The database is newer than this program.
    #[error(
        "this database has migration {version}, which this program does not know: the program is too old"
    )]
    MigrationUnknown {
        /// The version in the database.
        version: i64,
    },
    /// A migration failed; the database is as it was before it.
    #[error("migration {name} failed: {source}")]
    MigrationFailed {
        /// Its file name without extension.
        name: String,
        /// What the server said.
        source: sqlx::Error,
    },
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Sealed(#[from] crate::sealed::SealError),
    /// A row holds a value this program does not know.
    #[error("column {column} holds a value this program does not know")]
    Unreadable {
        /// Which column.
        column: &'static str,
    },
}

impl Error {
    /// A stable label for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Unavailable(_) => "unavailable",
            Self::Constraint(_) => "constraint",
            Self::Denied(_) => "denied",
            Self::Conflict(_) => "conflict",
            Self::Query(_) => "query",
            Self::MigrationEdited { .. } => "migration_edited",
            Self::MigrationUnknown { .. } => "migration_unknown",
            Self::MigrationFailed { .. } => "migration_failed",
            Self::Sealed(error) => error.kind(),
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// Whether the same work may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_))
    }

    /// The name of the constraint that refused the write.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint(name) => Some(name),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                other => Self::Query(other),
            };
        };
        let code = database.code().unwrap_or_default().into_owned();
        match (database.kind(), code.as_str()) {
            (
                ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::CheckViolation
                | ErrorKind::ExclusionViolation,
                _,
            ) => Self::Constraint(database.constraint().unwrap_or("unnamed").to_owned()),
            (_, "42501") => Self::Denied(database.message().to_owned()),
            // Serialization failure, deadlock, lock not available.
            (_, "40001" | "40P01" | "55P03") => Self::Conflict(database.message().to_owned()),
            // Connection exceptions, shutdown of the server, too many connections, starting up.
            (_, "57P01" | "57P02" | "57P03" | "53300") => Self::Unavailable(error),
            (_, code) if code.starts_with("08") => Self::Unavailable(error),
            _ => Self::Query(error),
        }
    }
}
