//! What identifies one request, here and in everything it causes.

use std::{fmt, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use uuid::Uuid;

use crate::Problem;

/// Name of the header that carries the request id, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of one request: 8 to 64 characters of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id the client sent, if it has the right form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (8..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        fits.then(|| Self(text.into()))
    }

    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A W3C trace context header of version 00: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// The header's value, if it is valid. Later versions are read as version 00, as the standard asks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let valid = hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && hex(trace, 32)
            && !zero(trace)
            && hex(parent, 16)
            && !zero(parent)
            && hex(flags, 2);
        valid.then(|| Self(format!("00-{trace}-{parent}-{flags}").into()))
    }

    /// The start of a new trace that is not sampled by anybody yet.
    #[must_use]
    pub fn generate() -> Self {
        let span = format!("{:032x}", Uuid::new_v4().as_u128());
        Self(format!("00-{:032x}-{}-00", Uuid::new_v4().as_u128(), &span[..16]).into())
    }

    /// The value of the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 hexadecimal digits that name the trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }
}

/// What identifies the request; extract it to pass it on to events and outgoing calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The id in `X-Request-Id`, in every log line and in every problem.
    pub request_id: RequestId,
    /// The trace the request belongs to.
    pub traceparent: TraceParent,
}

impl RequestContext {
    /// What the client sent where it is valid, new where it is not.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            request_id: text(X_REQUEST_ID)
                .and_then(RequestId::parse)
                .unwrap_or_else(RequestId::generate),
            traceparent: text(TRACEPARENT)
                .and_then(TraceParent::parse)
                .unwrap_or_else(TraceParent::generate),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_trace_is_continued() {
        let trace = TraceParent::parse(VALID).unwrap();
        assert_eq!(
            (trace.as_str(), trace.trace_id()),
            (VALID, "4bf92f3577b34da6a3ce929d0e0e4736")
        );
        let later = VALID.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(TraceParent::parse(&later).unwrap().as_str(), VALID);
    }

    #[test]
    fn a_trace_that_breaks_the_standard_is_not_continued() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_new_trace_is_a_valid_one_and_no_two_are_equal() {
        let (one, other) = (TraceParent::generate(), TraceParent::generate());
        assert_eq!(TraceParent::parse(one.as_str()).as_ref(), Some(&one));
        assert_ne!(one.trace_id(), other.trace_id());
    }
}
