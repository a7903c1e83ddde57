//! Why a stream is refused, and why one ends.

use http::StatusCode;
use voice_providers::FaultKind;
use voice_telephony::media::TokenError;

/// Why a stream is not opened. The carrier is told a status, before the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No carrier streams to this path.
    #[error("no such stream")]
    UnknownPath,
    /// The token does not open it.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// This worker has as much as it can do.
    #[error("no room for another call")]
    Busy,
    /// This worker takes no calls any more.
    #[error("no further calls are taken")]
    Draining,
    /// The head of the request did not come, or is none.
    #[error("not a WebSocket request")]
    Handshake,
}

impl Refusal {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::Token(error) => error.kind(),
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Handshake => "handshake",
        }
    }

    /// What the carrier is told.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Token(TokenError::Full) | Self::Busy | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) => StatusCode::FORBIDDEN,
            Self::Handshake => StatusCode::BAD_REQUEST,
        }
    }
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The carrier ended it: somebody hung up.
    Carrier,
    /// The carrier's connection broke, or it did not take what it was sent.
    CarrierLost,
    /// The carrier never said what it would send.
    NoStart,
    /// The carrier sent an event nobody knows.
    UnknownEvent,
    /// The carrier sends a format that cannot be bridged.
    UnknownFormat,
    /// The call is none this worker knows how to answer.
    NoPlan,
    /// The agent said goodbye and hung up.
    HungUp,
    /// The caller was handed over.
    Transferred,
    /// It has cost as much as it may.
    Budget,
    /// A machine answered, and everything that was to be said to it is said.
    Machine,
    /// The provider failed, and so did every other one.
    ProviderFailed(FaultKind),
    /// Nobody said anything for too long.
    Idle,
    /// It lasted as long as a call may.
    TooLong,
    /// The worker had to stop before the call was over.
    Stopped,
}

impl Ending {
    /// A stable label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::CarrierLost => "carrier_lost",
            Self::NoStart => "no_start",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownFormat => "unknown_format",
            Self::NoPlan => "no_plan",
            Self::HungUp => "hung_up",
            Self::Transferred => "transferred",
            Self::Budget => "budget",
            Self::Machine => "machine",
            Self::ProviderFailed(_) => "provider_failed",
            Self::Idle => "idle",
            Self::TooLong => "too_long",
            Self::Stopped => "stopped",
        }
    }

    /// The failure behind it, where there is one.
    #[must_use]
    pub const fn fault(self) -> Option<FaultKind> {
        match self {
            Self::ProviderFailed(kind) => Some(kind),
            _ => None,
        }
    }
}

/// Settings that cannot be used, all of them at once.
#[derive(Debug, thiserror::Error)]
#[error("media workers cannot start: {}", .0.join("; "))]
pub struct BuildError(
    /// One sentence each.
    pub Vec<String>,
);
