//! Errors as clients see them: RFC 9457 problem documents with codes that never change.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::context::RequestId;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Where the catalogue of problems stands; `type` is this and the code in kebab case.
pub const PROBLEM_BASE: &str = "https://voice.kraliki.com/problems/";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $slug:literal, $status:ident, $title:literal;)+) => {
        /// The catalogue of problems. A code never changes its meaning; texts may.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// The whole catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire, upper snake case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The last segment of the problem's `type`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug),+ }
            }

            /// The status it is answered with unless the problem says otherwise.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),+ }
            }

            /// A short title in English.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    /// The request does not have the documented form, or its values break a documented rule.
    Validation = "VALIDATION_ERROR", "validation-error", BAD_REQUEST, "The request is not valid";
    /// Who asks is not known.
    Authentication = "AUTHENTICATION_ERROR", "authentication-error", UNAUTHORIZED, "Authentication is needed";
    /// Who asks may not do this.
    Authorization = "AUTHORIZATION_ERROR", "authorization-error", FORBIDDEN, "Not allowed";
    /// There is nothing here, or it belongs to another tenant.
    NotFound = "NOT_FOUND", "not-found", NOT_FOUND, "Not found";
    /// The resource has no such method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// Something with the same identity exists.
    Duplicate = "DUPLICATE_RESOURCE", "duplicate-resource", CONFLICT, "It exists already";
    /// The resource is in a state that does not allow this.
    InvalidTransition = "INVALID_TRANSITION", "invalid-transition", CONFLICT, "Not possible in this state";
    /// The resource changed meanwhile, or something still uses it.
    Conflict = "CONFLICT", "conflict", CONFLICT, "Conflict with the current state";
    /// A request with the same idempotency key is still running.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", "idempotency-in-progress", CONFLICT, "The same request is still running";
    /// The idempotency key was used for another request.
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH", "idempotency-mismatch", UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request";
    /// The resource is not in the version the request names.
    PreconditionFailed = "PRECONDITION_FAILED", "precondition-failed", PRECONDITION_FAILED, "The resource has changed";
    /// The request must name the version it changes.
    PreconditionRequired = "PRECONDITION_REQUIRED", "precondition-required", PRECONDITION_REQUIRED, "A version is needed";
    /// The page cursor belongs to another query.
    CursorMismatch = "CURSOR_MISMATCH", "cursor-mismatch", BAD_REQUEST, "The cursor belongs to another query";
    /// The body is larger than this resource takes.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body has a media type this resource does not take.
    UnsupportedMedia = "UNSUPPORTED_MEDIA_TYPE", "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not supported";
    /// Well formed, but it does not make sense.
    Unprocessable = "UNPROCESSABLE_ENTITY", "unprocessable-entity", UNPROCESSABLE_ENTITY, "The request cannot be carried out";
    /// Too many requests.
    RateLimit = "RATE_LIMIT_EXCEEDED", "rate-limit-exceeded", TOO_MANY_REQUESTS, "Too many requests";
    /// A quota is used up.
    Quota = "QUOTA_EXCEEDED", "quota-exceeded", TOO_MANY_REQUESTS, "The quota is used up";
    /// A budget is used up.
    Budget = "BUDGET_EXCEEDED", "budget-exceeded", CONFLICT, "The budget is used up";
    /// The contact must not be called.
    ContactSuppressed = "CONTACT_SUPPRESSED", "contact-suppressed", CONFLICT, "The contact must not be called";
    /// The law or the campaign forbids calls at this hour.
    OutsideCallingWindow = "OUTSIDE_CALLING_WINDOW", "outside-calling-window", CONFLICT, "Outside the calling window";
    /// The flow has faults.
    FlowInvalid = "FLOW_INVALID", "flow-invalid", UNPROCESSABLE_ENTITY, "The flow is not valid";
    /// Something this service depends on failed.
    ExternalService = "EXTERNAL_SERVICE_ERROR", "external-service-error", BAD_GATEWAY, "A service we depend on failed";
    /// A provider is not available now.
    ProviderUnavailable = "PROVIDER_UNAVAILABLE", "provider-unavailable", SERVICE_UNAVAILABLE, "A provider is not available";
    /// This service is not available now.
    Unavailable = "SERVICE_UNAVAILABLE", "service-unavailable", SERVICE_UNAVAILABLE, "Not available right now";
    /// A mistake of ours.
    Internal = "INTERNAL_ERROR", "internal-error", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: an RFC 6901 pointer as URI fragment, `#/schedule/start_at`; `#` is the whole document.
    pub pointer: String,
    /// What is wrong, lower snake case, stable.
    pub code: Cow<'static, str>,
    /// What is wrong, for people.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// A fault at `pointer`.
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.into(),
            message: message.into(),
        }
    }
}

/// An error as the client sees it. It holds nothing that only operators should see: whoever turns an
/// error into a problem logs the error itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a problem says nothing until it is answered"]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    code: Code,
    status: StatusCode,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// The problem with this code, its usual status and no further words.
    pub fn of(code: Code) -> Self {
        Self(Box::new(Inner {
            code,
            status: code.status(),
            detail: None,
            errors: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
        }))
    }

    /// 400: not of the documented form.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Code::Validation).with_detail(detail)
    }

    /// 400 for one field.
    pub fn invalid_field(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Code::Validation).with_error(FieldError::new(pointer, code, message))
    }

    /// 401 with the challenge of `WWW-Authenticate`, such as `Bearer realm="voice"`.
    pub fn unauthorized(challenge: &'static str) -> Self {
        Self::of(Code::Authentication)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 403: known inside the own tenant, but not allowed. What belongs to another tenant is
    /// [`not_found`](Self::not_found).
    pub fn forbidden() -> Self {
        Self::of(Code::Authorization)
    }

    /// 404: unknown, or somebody else's.
    pub fn not_found() -> Self {
        Self::of(Code::NotFound)
    }

    /// 405. `allow` lists the methods there are, `GET, HEAD`; empty when the router sets the header itself.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::of(Code::MethodNotAllowed);
        if allow.is_empty() {
            problem
        } else {
            problem.with_header(header::ALLOW, HeaderValue::from_static(allow))
        }
    }

    /// 409 with one of the codes of conflict.
    pub fn conflict(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(code)
            .with_status(StatusCode::CONFLICT)
            .with_detail(detail)
    }

    /// 413.
    pub fn payload_too_large() -> Self {
        Self::of(Code::PayloadTooLarge)
    }

    /// 415, naming what is taken instead.
    pub fn unsupported_media(expected: &'static str) -> Self {
        Self::of(Code::UnsupportedMedia).with_detail(format!("send `{expected}`"))
    }

    /// 422: well formed, but breaks rules; one entry per fault.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::of(Code::Unprocessable);
        problem.0.errors = errors;
        problem
    }

    /// 429 with `Retry-After`.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::of(Code::RateLimit).with_retry_after(retry_after)
    }

    /// 503 with `Retry-After`: the same request may be sent again.
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::of(Code::Unavailable).with_retry_after(retry_after)
    }

    /// 500. Says nothing; the cause belongs in the log, under the same request id.
    pub fn internal() -> Self {
        Self::of(Code::Internal)
    }

    /// Another status than the usual one of the code.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// What happened this time, for people; free of secrets and of anything the client may not see.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a fault of one field.
    pub fn with_error(mut self, error: FieldError) -> Self {
        self.0.errors.push(error);
        self
    }

    /// When to try again; in the body and, in whole seconds, rounded up, in `Retry-After`.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retry_after = Some(retry_after);
        self
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The problem that stands for a bare status: what a handler answers when it returns only that.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Authentication,
            StatusCode::FORBIDDEN => Code::Authorization,
            StatusCode::NOT_FOUND | StatusCode::GONE => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::CONFLICT => Code::Conflict,
            StatusCode::PRECONDITION_FAILED => Code::PreconditionFailed,
            StatusCode::PRECONDITION_REQUIRED => Code::PreconditionRequired,
            StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMedia,
            StatusCode::UNPROCESSABLE_ENTITY => Code::Unprocessable,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimit,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Code::ExternalService,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            status if status.is_client_error() => Code::Validation,
            _ => Code::Internal,
        };
        Self::of(code).with_status(status)
    }

    /// The answer, naming the request it belongs to.
    pub(crate) fn respond(self, request_id: Option<&RequestId>) -> Response {
        let inner = &self.0;
        let document = Document {
            kind: format!("{PROBLEM_BASE}{}", inner.code.slug()),
            title: inner.code.title(),
            status: inner.status.as_u16(),
            detail: inner.detail.as_deref(),
            instance: request_id.map(|id| format!("/requests/{id}")),
            code: inner.code.as_str(),
            request_id: request_id.map(RequestId::as_str),
            errors: &inner.errors,
            retry_after_seconds: inner.retry_after.map(whole_seconds),
        };
        // Strings and numbers: this serialises, or the program is out of memory.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (inner.status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = document.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in &inner.headers {
            headers.append(name, value.clone());
        }
        // The request layers find the problem here and answer it again with the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(None)
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}
