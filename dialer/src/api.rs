//! What programs may ask the dialer over HTTP: why a contact is not called now, where those of a campaign stand, and, for
//! agents in preview, whom to call next.
//!
//! On a listener of its own, for programs with a key, and without a name or number: whoever asks knows the contact by
//! its id. The answers are made by the functions that decide about dials.

mod preview;
mod transfer;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::{net::TcpListener, sync::Semaphore};
use voice_http::{HttpConfig, Json, KeyHolder, Keys, Listener, Path, Problem, Stack};
use voice_lifecycle::{Lifecycle, SharedClock, TaskPolicy};
use voice_postgres::{Database, TenantTx};
use voice_resilience::{Quota, RateLimiter, RetryAfter};
use voice_schemas::{CampaignId, ContactId};
use voice_telemetry::Metrics;

use crate::{
    campaigns::{self, Campaign},
    config::ApiConfig,
    events::Postponed,
    gate::Gate,
    selection::explain,
};

const CHALLENGE: &str = r#"Bearer realm="voice""#;
const DRAIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A funnel reads all contacts of its campaign.
const FUNNELS_AT_ONCE: usize = 2;

/// What answers need.
pub(crate) struct Api {
    pub(crate) database: Database,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) clock: SharedClock,
    keys: Keys,
    rate: RateLimiter<usize>,
    funnels: Semaphore,
}

impl Api {
    pub(crate) fn new(
        config: &ApiConfig,
        database: Database,
        gate: Arc<dyn Gate>,
        clock: SharedClock,
    ) -> Self {
        let quota = Quota::per_second(config.requests_per_second)
            .with_burst(config.requests_per_second.saturating_mul(2));
        Self {
            database,
            gate,
            clock,
            keys: Keys::new(&config.keys),
            rate: RateLimiter::new(quota, config.keys.len().max(1)),
            funnels: Semaphore::new(FUNNELS_AT_ONCE),
        }
    }

    /// Runs as a task of `lifecycle`.
    pub(crate) fn spawn(self, lifecycle: &Lifecycle, listener: TcpListener, metrics: Metrics) {
        let router =
            Stack::new(Listener("dialer"), HttpConfig::default(), metrics).apply(router(Arc::new(self)));
        lifecycle.spawn("dialer listener", TaskPolicy::ingress(DRAIN), |stop| {
            voice_http::serve(listener, router, stop)
        });
    }

    fn admit(&self, headers: &HeaderMap) -> Result<KeyHolder, Problem> {
        let holder = self
            .keys
            .find(headers)
            .ok_or_else(|| Problem::unauthorized(CHALLENGE))?;
        self.rate
            .check(&holder.index, self.clock.now())
            .map_err(|RetryAfter(wait)| Problem::rate_limited(wait))?;
        Ok(holder)
    }

    /// The campaign, if it is one of the key's tenant.
    async fn campaign(&self, holder: KeyHolder, id: &str) -> Result<(TenantTx, Campaign), Problem> {
        let id: CampaignId = id.parse().map_err(|_| Problem::not_found())?;
        let mut tx = self.database.tenant(holder.tenant).await.map_err(unavailable)?;
        let campaign = campaigns::load(&mut tx, id).await.map_err(unavailable)?;
        campaign
            .map(|campaign| (tx, campaign))
            .ok_or_else(Problem::not_found)
    }
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/v1/campaigns/{id}/contacts/{contact}/why-not", get(why_not))
        .route("/api/v1/campaigns/{id}/funnel", get(funnel))
        .merge(preview::router())
        .merge(transfer::router())
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed("") })
        .with_state(api)
}

fn unavailable(error: voice_postgres::Error) -> Problem {
    Postponed {
        work: "answering a program",
        kind: error.kind(),
        error: &error,
    }
    .emit();
    if error.is_transient() {
        Problem::unavailable(RETRY_AFTER)
    } else {
        Problem::internal()
    }
}

/// Nobody between here and the client keeps it.
fn private(answer: impl Serialize) -> Response {
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    );
    response
}

#[derive(Serialize)]
struct WhyNot {
    campaign_id: String,
    contact_id: String,
    /// Its state in the campaign.
    state: String,
    /// Nothing stands against a call at this moment.
    callable: bool,
    /// Codes of what does.
    reasons: Vec<String>,
    /// When it may be called, if time alone decides.
    next_eligible_at: Option<DateTime<Utc>>,
    policy_version: String,
    local_time: Option<String>,
    attempts_made: u16,
    last_outcome: Option<String>,
    asked_at: DateTime<Utc>,
}

async fn why_not(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path((id, contact)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let holder = api.admit(&headers)?;
    let contact: ContactId = contact.parse().map_err(|_| Problem::not_found())?;
    let now = api.clock.now();
    let (mut tx, campaign) = api.campaign(holder, &id).await?;
    let explained = explain(&mut tx, api.gate.as_ref(), &campaign, contact, now)
        .await
        .map_err(unavailable)?
        .ok_or_else(Problem::not_found)?;
    Ok(private(WhyNot {
        campaign_id: campaign.id.to_string(),
        contact_id: contact.to_string(),
        callable: explained.reasons.is_empty(),
        state: explained.state,
        reasons: explained.reasons,
        next_eligible_at: explained.next_at,
        policy_version: explained.policy_version,
        local_time: explained.local_time,
        attempts_made: explained.attempts_made,
        last_outcome: explained.last_outcome,
        asked_at: now,
    }))
}

#[derive(Serialize)]
struct Funnel {
    campaign_id: String,
    status: String,
    total: i64,
    due: i64,
    waiting: i64,
    out_of_window: i64,
    capped: i64,
    held_back: i64,
    dialling: i64,
    completed: i64,
    exhausted: i64,
    suppressed: i64,
    failed: i64,
    next_at: Option<DateTime<Utc>>,
    reasons: Vec<Reason>,
    asked_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Reason {
    code: String,
    contacts: i64,
}

async fn funnel(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let holder = api.admit(&headers)?;
    let _slot = api
        .funnels
        .try_acquire()
        .map_err(|_| Problem::unavailable(RETRY_AFTER))?;
    let now = api.clock.now();
    let (mut tx, campaign) = api.campaign(holder, &id).await?;
    let funnel = campaigns::funnel(&mut tx, campaign.id, now)
        .await
        .map_err(unavailable)?;
    Ok(private(Funnel {
        campaign_id: campaign.id.to_string(),
        status: campaign.status.to_string(),
        total: funnel.total(),
        due: funnel.due,
        waiting: funnel.waiting,
        out_of_window: funnel.out_of_window,
        capped: funnel.capped,
        held_back: funnel.held_back,
        dialling: funnel.dialling,
        completed: funnel.completed,
        exhausted: funnel.exhausted,
        suppressed: funnel.suppressed,
        failed: funnel.failed,
        next_at: funnel.next_at,
        reasons: funnel
            .reasons
            .into_iter()
            .map(|(code, contacts)| Reason { code, contacts })
            .collect(),
        asked_at: now,
    }))
}
