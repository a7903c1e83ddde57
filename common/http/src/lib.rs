//! What every HTTP surface of the platform has in common, so that they all answer, log and stop alike.
//!
//! A service builds an axum `Router`, hands it to [`Stack::apply`] and the result to [`serve`]. From then
//! on every answer carries a request id, every error is a [`Problem`] (RFC 9457), every request is counted
//! under its route template, bodies and handlers have limits, and a panic is a 500 that says nothing.
//! Handlers take their input through the extractors of this crate, whose refusals are problems too.
//!
//! ```
//! use axum::{Router, routing::post};
//! use voice_http::{ClientAddress, HttpConfig, Json, Listener, Problem, Stack};
//! use voice_telemetry::Metrics;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Rename {
//!     name: String,
//! }
//!
//! async fn rename(client: ClientAddress, Json(rename): Json<Rename>) -> Result<(), Problem> {
//!     if rename.name.is_empty() {
//!         return Err(Problem::invalid_field("#/name", "required", "a campaign has a name"));
//!     }
//!     Ok(())
//! }
//!
//! let router = Router::new().route("/campaigns/{id}/name", post(rename));
//! let app = Stack::new(Listener("api"), HttpConfig::default(), Metrics::empty()).apply(router);
//! # let _: Router = app;
//! ```

mod client_address;
mod context;
mod events;
mod extract;
mod keys;
mod ops;
mod pointer;
mod problem;
mod routes;
mod serve;
mod stack;

pub use client_address::{ClientAddress, client_address};
pub use context::{RequestContext, RequestId, TraceParent};
pub use events::{
    HTTP_IN_FLIGHT, HTTP_PANICS, HTTP_REQUEST_DURATION, HTTP_REQUESTS, Listener, Method, RequestFinished,
    RequestPanicked, Route, Status,
};
pub use extract::{Json, Path, Query, RawBody};
pub use keys::{ApiKey, KeyHolder, Keys};
pub use ops::ops_router;
pub use problem::{Code, FieldError, PROBLEM_BASE, PROBLEM_JSON, Problem};
pub use serve::serve;
pub use stack::{HttpConfig, Stack};
