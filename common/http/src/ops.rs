//! The listener for operators and their tools: liveness, readiness, metrics. Never on a public port.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use voice_lifecycle::Readiness;
use voice_telemetry::{Metrics, TEXT_FORMAT};

use crate::{Json, Problem};

/// `GET /health/live`, `GET /health/ready` and `GET /metrics`.
pub fn ops_router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed("") })
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Vec<&'static str>,
    failing: Vec<Failing>,
}

#[derive(Serialize)]
struct Failing {
    check: &'static str,
    reason: String,
}

async fn live() -> Json<Live> {
    Json(Live { status: "live" })
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let (code, status) = match (report.ready(), report.draining) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let failing = report.failing.into_iter().map(|check| Failing {
        check: check.name,
        reason: check.reason,
    });
    let body = Ready {
        status,
        checks: report.checks,
        failing: failing.collect(),
    };
    (code, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn render(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], metrics.render()).into_response()
}
