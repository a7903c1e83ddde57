//! What the relay needs from a broker.

use std::{collections::BTreeMap, future::Future};

use voice_schemas::TenantId;

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRecord {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it goes.
    pub topic: String,
    /// Its Kafka key.
    pub key: String,
    /// The CloudEvents type, or the name of the entity on a compacted topic.
    pub kind: String,
    /// JSON bytes; none deletes the key of a compacted topic.
    pub payload: Option<Vec<u8>>,
    /// Kafka headers.
    pub headers: BTreeMap<String, String>,
}

/// Why a batch did not reach the broker. Neither text may carry a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It may work later; the whole batch is tried again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// This record can never be published (too large, no such topic): it is set aside for a person and the
    /// rest of the batch is tried again.
    #[error("the broker refuses record {position}: {reason}")]
    Refused {
        /// Its position in the batch.
        position: usize,
        /// Why, as a short stable text.
        reason: String,
    },
}

impl PublishError {
    /// A stable label for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}

/// A broker, as the relay sees it.
pub trait Publish: Send + Sync {
    /// Publishes the records, those of one key in the given order, and returns once the broker has
    /// acknowledged all of them. On an error some may have been published; they come again.
    ///
    /// # Errors
    /// See [`PublishError`].
    fn publish(&self, records: Vec<OutboundRecord>) -> impl Future<Output = Result<(), PublishError>> + Send;
}
