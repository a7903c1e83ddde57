//! Why a request is not taken, and what its sender hears.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use voice_http::Problem;
use voice_kafka::KafkaError;
use voice_resilience::RetryAfter;
use voice_telephony::VerifyError;

/// How long a sender should wait when the fault is ours: a broker that is electing a leader, a burst.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request that is not taken. What is taken and thrown away on purpose (stale, replayed) is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No such carrier, account or kind of hook; all the same to whoever guesses.
    #[error("there is no such hook")]
    UnknownHook,
    /// Too often, from this address.
    #[error("this address asks too often")]
    AddressRate(RetryAfter),
    /// Too often, for this account.
    #[error("the account's allowance is used up")]
    AccountRate(RetryAfter),
    /// Not from the carrier's networks.
    #[error("the address is not one of the carrier's")]
    Address,
    /// The body is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not arrive, or not in time.
    #[error("the body did not arrive whole")]
    Incomplete,
    /// Not signed by the carrier.
    #[error("the signature is not valid: {0}")]
    Signature(VerifyError),
    /// Authentic, and unreadable.
    #[error("{0}")]
    Malformed(String),
    /// The accounts have not been read yet.
    #[error("the accounts have not been read yet")]
    Starting,
    /// As much is in flight as may be.
    #[error("as many requests are in flight as may be")]
    Busy,
    /// The broker did not confirm the record.
    #[error("the record was not confirmed: {0}")]
    NotStored(#[from] KafkaError),
    /// The copy this one waited for was not stored.
    #[error("another copy of this delivery was not stored")]
    CopyNotStored,
}

impl Refusal {
    /// A stable label.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownHook => "unknown_hook",
            Self::AddressRate(_) => "address_rate",
            Self::AccountRate(_) => "account_rate",
            Self::Address => "address",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Signature(error) => error.kind(),
            Self::Malformed(_) => "malformed",
            Self::Starting => "starting",
            Self::Busy => "busy",
            Self::NotStored(error) => error.kind(),
            Self::CopyNotStored => "copy_not_stored",
        }
    }

    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::UnknownHook => Problem::not_found(),
            Self::AddressRate(RetryAfter(wait)) | Self::AccountRate(RetryAfter(wait)) => {
                Problem::rate_limited(*wait)
            }
            Self::Address => Problem::forbidden().with_detail("the address is not one of the carrier's"),
            Self::TooLarge => Problem::payload_too_large(),
            Self::Incomplete => Problem::bad_request("the body did not arrive whole"),
            // Names the header at most, never what was expected.
            Self::Signature(error) => Problem::forbidden().with_detail(error.to_string()),
            Self::Malformed(detail) => Problem::bad_request(detail.clone()),
            Self::Starting | Self::Busy | Self::NotStored(_) | Self::CopyNotStored => {
                Problem::unavailable(RETRY_AFTER)
                    .with_detail("nothing was stored for certain: send the same again")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_refusal_has_the_status_its_sender_acts_on() {
        let wait = RetryAfter(Duration::from_millis(20));
        let cases = [
            (Refusal::UnknownHook, StatusCode::NOT_FOUND),
            (Refusal::AddressRate(wait), StatusCode::TOO_MANY_REQUESTS),
            (Refusal::AccountRate(wait), StatusCode::TOO_MANY_REQUESTS),
            (Refusal::Address, StatusCode::FORBIDDEN),
            (Refusal::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            (Refusal::Incomplete, StatusCode::BAD_REQUEST),
            (
                Refusal::Signature(VerifyError::WrongSignature),
                StatusCode::FORBIDDEN,
            ),
            (
                Refusal::Malformed("body: is empty".to_owned()),
                StatusCode::BAD_REQUEST,
            ),
            (Refusal::Starting, StatusCode::SERVICE_UNAVAILABLE),
            (Refusal::Busy, StatusCode::SERVICE_UNAVAILABLE),
            (
                Refusal::NotStored(KafkaError::QueueFull("t".to_owned())),
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            (Refusal::CopyNotStored, StatusCode::SERVICE_UNAVAILABLE),
        ];
        for (refusal, status) in cases {
            let kind = refusal.kind();
            let response = refusal.into_response();
            assert_eq!(response.status(), status, "{kind}");
            let says_when = response.headers().contains_key("retry-after");
            let should = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            assert_eq!(says_when, should, "{kind}");
        }
    }
}
