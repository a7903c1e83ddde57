//! Whether accounts at AI providers can be used, on `config.changes`: the last event of an account is its state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::wire_enum;
use crate::{Envelope, ProviderAccountId, envelope::EventData};

/// An event on `config.changes` about an account at an AI provider.
pub type BreakerEvent = Envelope<BreakerData>;

wire_enum!(
    /// What a circuit breaker does with sessions.
    BreakerState {
        /// They are opened.
        Closed = "closed",
        /// They are not, until the breaker has cooled down.
        Open = "open",
        /// One worker tries a few.
        HalfOpen = "half_open",
    }
);

/// The account and what one worker has found out about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerData {
    /// The account, by an id that its tenant and its name always give.
    pub account_id: ProviderAccountId,
    /// The operator's name of it.
    pub account: String,
    /// The provider: `openai_realtime`.
    pub provider: String,
    /// What its breaker does from now on.
    pub state: BreakerState,
    /// The process that found it out.
    pub worker: Uuid,
}

impl EventData for BreakerData {
    const SCHEMA: &'static str = "provider-event.v1.json";

    fn subject(&self) -> String {
        self.account_id.0.to_string()
    }
}
