//! What can go wrong with a carrier, one closed enum per direction.
//!
//! No message carries a number, a key or a byte of what the carrier sent beyond names and codes.

use std::time::Duration;

use crate::context::ContextError;

/// A key or token that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A Telnyx public key is 32 bytes in Base64.
    #[error("the public key is not 32 bytes in Base64")]
    Encoding,
    /// Bytes that are no point of the curve, or one of small order that would verify almost anything.
    #[error("the public key is not a usable Ed25519 key")]
    NotAKey,
    /// An empty token would let anybody sign.
    #[error("the signing token is empty")]
    Empty,
}

impl KeyError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::NotAKey => "not_a_key",
            Self::Empty => "empty",
        }
    }
}

/// Why a delivery is not to be believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    /// A header the signature needs is absent.
    #[error("the header `{header}` is missing")]
    MissingSignature {
        /// Its name.
        header: &'static str,
    },
    /// A header is there and cannot be a signature or a time.
    #[error("the header `{header}` is malformed")]
    MalformedSignature {
        /// Its name.
        header: &'static str,
    },
    /// The signature is of another request, URL, body or key.
    #[error("the signature does not match the request")]
    WrongSignature,
    /// Signed by the carrier, but so long ago (or so far ahead) that it is a replay. Answer 200 and drop it.
    #[error("the delivery is {age_seconds} s old")]
    Stale {
        /// Our clock minus the signed time.
        age_seconds: i64,
    },
}

impl VerifyError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MissingSignature { .. } => "missing_signature",
            Self::MalformedSignature { .. } => "malformed_signature",
            Self::WrongSignature => "wrong_signature",
            Self::Stale { .. } => "stale",
        }
    }
}

/// Why an authentic delivery is not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// The body is not what this hook receives: answer 400, keep the bytes.
    #[error("{place}: {reason}")]
    Malformed {
        /// Which field, in the carrier's names.
        place: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Well-formed, of a type nobody taught us: keep the bytes.
    #[error("unknown event `{carrier_event}`")]
    UnknownEvent {
        /// The carrier's name of it, shortened to 64 characters.
        carrier_event: String,
    },
    /// The call context that came back is not one we sent, or belongs to another tenant.
    #[error("call context: {0}")]
    BadContext(#[from] ContextError),
}

impl ParseError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::UnknownEvent { .. } => "unknown_event",
            Self::BadContext(_) => "bad_context",
        }
    }

    pub(crate) fn malformed(place: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            place,
            reason: reason.into(),
        }
    }

    pub(crate) fn unknown(carrier_event: &str) -> Self {
        Self::UnknownEvent {
            carrier_event: carrier_event.chars().take(64).collect(),
        }
    }
}

/// Why a carrier did not do what it was asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CarrierError {
    /// No usable answer: the request may have had its effect. Never repeat it blindly; ask, or wait for events.
    #[error("the carrier gave no usable answer ({reason})")]
    Unknown {
        /// `timeout`, `connection`, `http_502`, `body`.
        reason: String,
    },
    /// Too many requests or calls at once; nothing was done.
    #[error("the carrier throttles us")]
    Throttled {
        /// How long to wait, where the carrier says so.
        retry_after: Option<Duration>,
    },
    /// The carrier's own queue of calls is full; nothing was done.
    #[error("the carrier's call queue is full")]
    QueueFull,
    /// The number cannot be called.
    #[error("the carrier does not accept the number")]
    InvalidNumber,
    /// The credentials are wrong or not allowed to do this.
    #[error("the carrier refuses our credentials")]
    Auth,
    /// The carrier does not know the call.
    #[error("the carrier does not know this call")]
    NotFound,
    /// Refused for another reason.
    #[error("the carrier refused with code {code}")]
    Rejected {
        /// The carrier's error code, or `http_400` where it gave none.
        code: String,
    },
    /// The carrier could not be reached; nothing was sent.
    #[error("the carrier cannot be reached")]
    Unavailable,
    /// This carrier cannot do this at all; nothing was sent.
    #[error(transparent)]
    Unsupported(#[from] InstructionError),
}

impl CarrierError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::Throttled { .. } => "throttled",
            Self::QueueFull => "queue_full",
            Self::InvalidNumber => "invalid_number",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Rejected { .. } => "rejected",
            Self::Unavailable => "unavailable",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// True when the request certainly had no effect, so that trying again cannot do it twice.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

/// An instruction this carrier has no words for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InstructionError {
    /// The carrier has nothing like it.
    #[error("{carrier} has no `{instruction}`")]
    Unsupported {
        /// The carrier.
        carrier: voice_schemas::events::call::Carrier,
        /// The instruction.
        instruction: &'static str,
    },
    /// A value is outside what the carrier takes.
    #[error("`{instruction}`: {reason}")]
    Invalid {
        /// The instruction.
        instruction: &'static str,
        /// What is wrong, without the value.
        reason: &'static str,
    },
}
