//! What can be wrong with a shift before the first webhook is sent.

use chrono::{DateTime, Utc};
use voice_schemas::events::call::Carrier;
use voice_telephony::KeyError;

/// Why a shift cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A parameter is out of its range.
    #[error("`{field}` {reason}")]
    Parameter {
        /// The parameter.
        field: &'static str,
        /// What it has to be.
        reason: &'static str,
    },
    /// The shift has calls at a carrier at which there is no account.
    #[error("the shift has calls at {carrier} and there is no account there")]
    NoAccount {
        /// The carrier.
        carrier: Carrier,
    },
    /// The shift began so long ago that its webhooks would be taken for replays.
    #[error("the shift starts at {starts_at}; its webhooks are only believed when it starts after {oldest}")]
    TooOld {
        /// When it starts.
        starts_at: DateTime<Utc>,
        /// The earliest start.
        oldest: DateTime<Utc>,
    },
    /// The shift ends so far in the future that its events would be refused.
    #[error("the last call of the shift may end at {ends_at}, which is after {latest}")]
    TooNew {
        /// When the last call ends at the latest.
        ends_at: DateTime<Utc>,
        /// The latest end.
        latest: DateTime<Utc>,
    },
    /// A key of an account is unusable.
    #[error("a key of a {carrier} account: {source}")]
    Key {
        /// The carrier.
        carrier: Carrier,
        /// What is wrong with it.
        source: KeyError,
    },
}

impl SimulatorError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Parameter { .. } => "parameter",
            Self::NoAccount { .. } => "no_account",
            Self::TooOld { .. } => "too_old",
            Self::TooNew { .. } => "too_new",
            Self::Key { .. } => "key",
        }
    }
}
