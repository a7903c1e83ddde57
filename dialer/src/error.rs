//! Why a piece of work was not done, under stable labels.

use crate::campaigns::CommandError;

/// A store that did not do its part; the work is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] voice_kafka::KafkaError),
    /// A command on a campaign.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// An event could not be written as JSON.
    #[error("an event could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether the same work may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) | Self::Command(CommandError::Database(error)) => error.is_transient(),
            Self::Kafka(_) => true,
            Self::Command(_) | Self::Json(_) => false,
        }
    }

    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Database(error) => error.kind(),
            Self::Kafka(error) => error.kind(),
            Self::Command(error) => error.kind(),
            Self::Json(_) => "json",
        }
    }
}
