//! What can go wrong between the platform and Kafka, for the person who has to act on it.

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};

/// A failed Kafka operation.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The client refused its settings.
    #[error("the Kafka client could not be made: {0}")]
    Client(#[source] ClientError),
    /// The broker did not confirm the record in time, or not at all. It may have been written.
    #[error("the record for {topic} was not confirmed by the broker: {source}")]
    NotConfirmed {
        /// Where it should have gone.
        topic: String,
        /// What the client said.
        source: ClientError,
    },
    /// The queue of unconfirmed records is full; nothing was sent.
    #[error("too many records for {0} wait for the broker's confirmation")]
    QueueFull(String),
    /// The group gave the partition to somebody else.
    #[error("the commit was refused because another consumer owns the partition now: {0}")]
    Fenced(Code),
    /// The commit did not get through.
    #[error("the offsets could not be committed: {0}")]
    Commit(#[source] ClientError),
    /// The client gave up for good.
    #[error("the consumer stopped: {0}")]
    Consume(#[source] ClientError),
    /// A partition had work and made no progress.
    #[error("{topic}[{partition}] has made no progress for {seconds} s")]
    Stalled {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Since the last progress.
        seconds: u64,
    },
    /// The worker of a partition failed.
    #[error("{topic}[{partition}]: {reason}")]
    Worker {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What the worker said.
        reason: String,
    },
    /// An administrative request failed.
    #[error("{what}: {source}")]
    Admin {
        /// What was asked for.
        what: String,
        /// What the client said.
        source: ClientError,
    },
    /// The broker refused an administrative request.
    #[error("{what}: {code}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The broker's reason.
        code: Code,
    },
}

impl KafkaError {
    /// A stable label for metrics and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::QueueFull(_) => "queue_full",
            Self::Fenced(_) => "fenced",
            Self::Commit(_) => "commit",
            Self::Consume(_) => "consume",
            Self::Stalled { .. } => "stalled",
            Self::Worker { .. } => "worker",
            Self::Admin { .. } => "admin",
            Self::Refused { .. } => "refused",
        }
    }

    /// Sorts a failed commit: fenced commits must not be repeated, others may.
    pub(crate) fn from_commit(error: ClientError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                code @ (Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
                | Code::FencedMemberEpoch),
            ) => Self::Fenced(code),
            _ => Self::Commit(error),
        }
    }
}
