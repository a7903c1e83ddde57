//! `POST /api/v1/events`: a trusted producer writes a batch, and hears about every event of it.
//!
//! The body is a JSON array or `application/x-ndjson`. Each event is judged and appended by itself; one bad
//! event does not stop the others. `accepted` means that the brokers have it, `rejected` that it will never
//! be taken as it is, `retry` that the same event, with the same id, should be sent again. Event ids come from
//! the producer and make a second sending harmless: readers take equal ids as one fact.

mod body;
mod item;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::sync::Semaphore;
use voice_http::{Keys, PROBLEM_JSON, Problem, client_address};
use voice_lifecycle::SharedClock;
use voice_resilience::{Quota, RateLimiter, RetryAfter};
use voice_schemas::EventId;

use crate::{
    EventsConfig, error::RETRY_AFTER, events::Counters, hooks::guard::rate::AddressGuard, outlet::Outlet,
};
use item::{Ready, Rejected};

/// What a client that shows no key, or a wrong one, is asked for.
const CHALLENGE: &str = r#"Bearer realm="voice""#;

/// Everything a batch meets.
pub(crate) struct EventsApi {
    config: EventsConfig,
    trusted_hops: usize,
    addresses: Arc<AddressGuard>,
    keys: Keys,
    rate: RateLimiter<usize>,
    slots: Semaphore,
    outlet: Outlet,
    clock: SharedClock,
    counters: Arc<Counters>,
}

impl EventsApi {
    pub(crate) fn new(
        config: EventsConfig,
        trusted_hops: usize,
        addresses: Arc<AddressGuard>,
        outlet: Outlet,
        clock: SharedClock,
        counters: Arc<Counters>,
    ) -> Self {
        let quota = Quota::per_second(config.batches_per_second)
            .with_burst(config.batches_per_second.saturating_mul(2));
        Self {
            trusted_hops,
            addresses,
            keys: Keys::new(&config.keys),
            rate: RateLimiter::new(quota, config.keys.len().max(1)),
            slots: Semaphore::new(config.max_in_flight),
            outlet,
            clock,
            counters,
            config,
        }
    }
}

/// The routes.
pub(crate) fn router(api: Arc<EventsApi>) -> Router {
    Router::new()
        .route("/api/v1/events", post(receive))
        .with_state(api)
}

/// What became of one event.
#[derive(Debug, Serialize)]
struct Outcome {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Accepted,
    Rejected,
    Retry,
}

impl Outcome {
    fn accepted(index: usize, id: EventId) -> Self {
        Self {
            index,
            id: Some(id.0.to_string()),
            status: Status::Accepted,
            code: None,
            detail: None,
        }
    }

    fn rejected(index: usize, rejected: Rejected) -> Self {
        Self {
            index,
            id: rejected.id.map(|id| id.0.to_string()),
            status: Status::Rejected,
            code: Some(rejected.code),
            detail: Some(rejected.detail),
        }
    }

    fn retry(index: usize, id: EventId) -> Self {
        Self {
            index,
            id: Some(id.0.to_string()),
            status: Status::Retry,
            code: Some("NOT_CONFIRMED"),
            detail: Some("the brokers have not confirmed it: send the same event again".to_owned()),
        }
    }
}

async fn receive(
    State(api): State<Arc<EventsApi>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    api.receive(peer, request)
        .await
        .unwrap_or_else(Problem::into_response)
}

impl EventsApi {
    async fn receive(&self, peer: SocketAddr, request: Request<Body>) -> Result<Response, Problem> {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let client = client_address(peer.ip(), &parts.headers, self.trusted_hops);
        let limited = |RetryAfter(wait)| Problem::rate_limited(wait);
        self.addresses.check(client, now).map_err(limited)?;
        let producer = self
            .keys
            .find(&parts.headers)
            .ok_or_else(|| Problem::unauthorized(CHALLENGE))?;
        self.rate.check(&producer.index, now).map_err(limited)?;
        let form = body::Form::of(&parts.headers)?;
        let _slot = self
            .slots
            .try_acquire()
            .map_err(|_| Problem::unavailable(RETRY_AFTER))?;
        let bytes = body::read(&parts.headers, body, self.config.max_body_bytes).await?;
        let items = form.split(&bytes, self.config.max_items)?;

        let judged: Vec<_> = items
            .iter()
            .map(|item| item::judge(item, producer.tenant, now))
            .collect();
        Ok(self.answer(self.append(judged).await))
    }

    /// Queues everything that may be written, in order, and then waits for all confirmations at once.
    async fn append(&self, judged: Vec<Result<Ready, Rejected>>) -> Vec<Outcome> {
        let judged: Vec<_> = judged
            .into_iter()
            .map(|judged| {
                judged.map(|ready| {
                    (
                        ready.id,
                        self.outlet.record(ready.topic, ready.key, ready.payload),
                    )
                })
            })
            .collect();
        let queued: Vec<_> = judged
            .iter()
            .map(|judged| {
                judged
                    .as_ref()
                    .ok()
                    .map(|(_, record)| self.outlet.enqueue(record))
            })
            .collect();
        let mut confirmed = Vec::with_capacity(queued.len());
        for queued in queued {
            confirmed.push(match queued {
                Some(Ok(confirmation)) => confirmation.await.is_ok(),
                Some(Err(_)) | None => false,
            });
        }
        std::iter::zip(judged, confirmed)
            .enumerate()
            .map(|(index, item)| match item {
                (Err(rejected), _) => Outcome::rejected(index, rejected),
                (Ok((id, _)), true) => Outcome::accepted(index, id),
                (Ok((id, _)), false) => Outcome::retry(index, id),
            })
            .collect()
    }

    /// 200 with one result per event. 503 only when something should be sent again and nothing was
    /// accepted: then the whole batch may as well.
    fn answer(&self, outcomes: Vec<Outcome>) -> Response {
        let count = |status| outcomes.iter().filter(|outcome| outcome.status == status).count() as u64;
        let (accepted, rejected, retry) = (
            count(Status::Accepted),
            count(Status::Rejected),
            count(Status::Retry),
        );
        self.counters.batch(accepted, rejected, retry);
        if accepted > 0 || retry == 0 {
            return axum::Json(Results { results: outcomes }).into_response();
        }
        unavailable(outcomes)
    }
}

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// The problem of a 503, with the results as an extension member (RFC 9457, 3.2).
fn unavailable(results: Vec<Outcome>) -> Response {
    let code = voice_http::Code::Unavailable;
    let document = serde_json::json!({
        "type": format!("{}{}", voice_http::PROBLEM_BASE, code.slug()),
        "title": code.title(),
        "status": StatusCode::SERVICE_UNAVAILABLE.as_u16(),
        "code": code.as_str(),
        "detail": "the brokers confirmed nothing: send the same batch again",
        "retry_after_seconds": RETRY_AFTER.as_secs(),
        "results": results,
    });
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, axum::Json(document)).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    response
}
