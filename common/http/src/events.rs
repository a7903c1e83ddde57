//! What the HTTP layers tell operators.

use std::time::Duration;

use axum::http::StatusCode;
use voice_telemetry::{CounterDef, Emit, GaugeDef, HistogramDef, Label, Metrics, buckets, labels};

pub use crate::routes::Route;

/// Which of the process's listeners: `api`, `ingest`, `ops`. A constant of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener(pub &'static str);

impl Label for Listener {
    const NAME: &'static str = "listener";

    fn value(self) -> &'static str {
        self.0
    }
}

labels! {
    /// The method of a request; whatever is not standard is `other`.
    pub enum Method: "method" {
        Get = "GET", Head = "HEAD", Post = "POST", Put = "PUT", Patch = "PATCH", Delete = "DELETE",
        Options = "OPTIONS", Other = "other",
    }
}

impl From<&axum::http::Method> for Method {
    fn from(method: &axum::http::Method) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == method.as_str())
            .unwrap_or(Self::Other)
    }
}

labels! {
    /// The status of an answer: those that mean something of their own, and the class of the others.
    pub enum Status: "status" {
        Informational = "1xx", Success = "2xx", Redirect = "3xx",
        BadRequest = "400", Unauthorized = "401", Forbidden = "403", NotFound = "404", Conflict = "409",
        TooLarge = "413", Unprocessable = "422", TooMany = "429", ClientError = "4xx",
        Unavailable = "503", ServerError = "5xx",
        /// The client went away before there was an answer.
        Abandoned = "abandoned",
    }
}

impl From<StatusCode> for Status {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            422 => Self::Unprocessable,
            429 => Self::TooMany,
            503 => Self::Unavailable,
            _ if status.is_informational() => Self::Informational,
            _ if status.is_success() => Self::Success,
            _ if status.is_redirection() => Self::Redirect,
            _ if status.is_client_error() => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Requests by route template and status.
pub const HTTP_REQUESTS: CounterDef<(Listener, Method, Route, Status)> = CounterDef::new(
    "http_requests_total",
    "HTTP requests, by route template and status.",
);

/// Time from the last header of a request to the first of its answer.
pub const HTTP_REQUEST_DURATION: HistogramDef<(Listener, Method, Route)> = HistogramDef::new(
    "http_request_duration_seconds",
    "Time until an HTTP request is answered, without sending the body of the answer.",
    buckets::LATENCY_SECONDS,
);

/// Requests being worked on.
pub const HTTP_IN_FLIGHT: GaugeDef<Listener> =
    GaugeDef::new("http_in_flight", "HTTP requests that are being worked on.");

/// A request has its answer, or its client went away.
#[derive(Debug)]
pub struct RequestFinished {
    /// Where it arrived.
    pub listener: Listener,
    /// Its method.
    pub method: Method,
    /// The template its path matched.
    pub route: Route,
    /// How it was answered.
    pub status: Status,
    /// How long that took.
    pub took: Duration,
}

impl Emit for RequestFinished {
    fn emit(&self, metrics: &Metrics) {
        let (status, took_us) = (
            self.status.as_str(),
            u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
        );
        match self.status {
            Status::ServerError | Status::Unavailable => tracing::warn!(status, took_us, "request failed"),
            _ => tracing::debug!(status, took_us, "request finished"),
        }
        metrics
            .counter(&HTTP_REQUESTS)
            .inc((self.listener, self.method, self.route, self.status));
        metrics
            .histogram(&HTTP_REQUEST_DURATION)
            .observe_duration((self.listener, self.method, self.route), self.took);
    }
}

/// Requests whose handler panicked.
pub const HTTP_PANICS: CounterDef<Listener> =
    CounterDef::new("http_panics_total", "HTTP requests whose handler panicked.");

/// A handler panicked; a person is needed.
#[derive(Debug)]
pub struct RequestPanicked {
    /// Where the request arrived.
    pub listener: Listener,
}

impl Emit for RequestPanicked {
    fn emit(&self, metrics: &Metrics) {
        // What the panic said went to standard error through the panic hook; it may quote the request.
        tracing::error!("request handler panicked");
        metrics.counter(&HTTP_PANICS).inc(self.listener);
    }
}
