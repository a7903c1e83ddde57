//! Preview over HTTP: an agent's program asks for the next contact, and says whether it is to be dialled.
//!
//! Every step may be sent again: asking while there is a question or an offer shows that one, accepting what was
//! accepted and passing over what was passed over (for the same reason) change nothing. A step that comes too late is a
//! conflict and says what became of the offer.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use voice_http::{Code, FieldError, Json, Path, Problem};
use voice_postgres::TenantTx;
use voice_schemas::{AgentId, AttemptId};

use super::{Api, private, unavailable};
use crate::preview::{self, Offer, PreviewError, State as Stands};

/// Whom an agent passes over is not put off for longer: who is never to be called is suppressed, not passed over.
const LONGEST_REST: TimeDelta = TimeDelta::days(90);

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/agents/{agent}/preview", get(show).post(ask))
        .route("/api/v1/agents/{agent}/preview/{offer}/accept", post(accept))
        .route("/api/v1/agents/{agent}/preview/{offer}/skip", post(skip))
}

#[derive(Serialize)]
struct Shown {
    offer_id: String,
    agent_id: String,
    campaign_id: String,
    state: &'static str,
    /// Whom it is about, once there is somebody.
    contact_id: Option<String>,
    /// Why it came to nothing, or why the agent passed the contact over.
    reasons: Vec<String>,
    /// It is good until then.
    until: Option<DateTime<Utc>>,
    asked_at: DateTime<Utc>,
}

impl Shown {
    fn of(offer: Offer, now: DateTime<Utc>) -> Self {
        Self {
            offer_id: offer.id.to_string(),
            agent_id: offer.agent.to_string(),
            campaign_id: offer.of.0.to_string(),
            state: offer.state.as_str(),
            contact_id: offer.contact.map(|contact| contact.to_string()),
            reasons: offer.reasons,
            until: offer.until,
            asked_at: now,
        }
    }
}

impl Api {
    /// A transaction of the key's tenant, about one of its agents.
    pub(super) async fn agent(
        &self,
        headers: &HeaderMap,
        agent: &str,
    ) -> Result<(TenantTx, AgentId), Problem> {
        let holder = self.admit(headers)?;
        let agent: AgentId = agent.parse().map_err(|_| Problem::not_found())?;
        let mut tx = self.database.tenant(holder.tenant).await.map_err(unavailable)?;
        let known: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM app.agents WHERE tenant_id = $1 AND id = $2)")
                .bind(holder.tenant.0)
                .bind(agent.0)
                .fetch_one(&mut *tx)
                .await
                .map_err(|error| unavailable(error.into()))?;
        if known {
            Ok((tx, agent))
        } else {
            Err(Problem::not_found())
        }
    }
}

/// What the agent asked for last, and how it stands.
async fn show(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(agent): Path<String>,
) -> Result<Response, Problem> {
    let (mut tx, agent) = api.agent(&headers, &agent).await?;
    let offer = current(&mut tx, agent).await?;
    Ok(private(Shown::of(offer, api.clock.now())))
}

/// The agent wants to see a contact: 202 for a new question, 200 with the open one.
async fn ask(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(agent): Path<String>,
) -> Result<Response, Problem> {
    let (mut tx, agent) = api.agent(&headers, &agent).await?;
    let now = api.clock.now();
    let status = match preview::ask(&mut tx, agent, now).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(PreviewError::Open) => StatusCode::OK,
        Err(error) => return Err(refused(error, None)),
    };
    let offer = current(&mut tx, agent).await?;
    tx.commit().await.map_err(unavailable)?;
    Ok((status, private(Shown::of(offer, now))).into_response())
}

/// The agent wants the call.
async fn accept(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path((agent, offer)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (mut tx, agent) = api.agent(&headers, &agent).await?;
    let offer: AttemptId = offer.parse().map_err(|_| Problem::not_found())?;
    let now = api.clock.now();
    let done = preview::accept(&mut tx, agent, offer, now).await;
    let stands = preview::current(&mut tx, agent).await.map_err(unavailable)?;
    let stands = stands.filter(|stands| stands.id == offer);
    match (done, stands) {
        (Ok(()), Some(stands)) => {
            tx.commit().await.map_err(unavailable)?;
            Ok(private(Shown::of(stands, now)))
        }
        (Err(PreviewError::Over), Some(stands))
            if matches!(stands.state, Stands::Accepted | Stands::Dialled) =>
        {
            Ok(private(Shown::of(stands, now)))
        }
        (Ok(()), None) => Err(Problem::internal()),
        (Err(error), stands) => Err(refused(error, stands.as_ref())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassOver {
    /// A code of the tenant's own list.
    reason: String,
    /// Not to be offered again before; tomorrow, where it is not said.
    #[serde(default)]
    again_at: Option<DateTime<Utc>>,
}

/// The agent passes the contact over.
async fn skip(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path((agent, offer)): Path<(String, String)>,
    Json(wanted): Json<PassOver>,
) -> Result<Response, Problem> {
    let (mut tx, agent) = api.agent(&headers, &agent).await?;
    let offer: AttemptId = offer.parse().map_err(|_| Problem::not_found())?;
    let now = api.clock.now();
    if wanted
        .again_at
        .is_some_and(|at| at <= now || at > now + LONGEST_REST)
    {
        return Err(Problem::unprocessable(vec![FieldError::new(
            "/again_at",
            "out_of_range",
            "a moment of the next 90 days",
        )]));
    }
    let done = preview::skip(&mut tx, agent, offer, &wanted.reason, wanted.again_at, now).await;
    let stands = preview::current(&mut tx, agent).await.map_err(unavailable)?;
    let stands = stands.filter(|stands| stands.id == offer);
    match (done, stands) {
        (Ok(()), Some(stands)) => {
            tx.commit().await.map_err(unavailable)?;
            Ok(private(Shown::of(stands, now)))
        }
        (Err(PreviewError::Over), Some(stands))
            if stands.state == Stands::Skipped && stands.reasons == [wanted.reason.as_str()] =>
        {
            Ok(private(Shown::of(stands, now)))
        }
        (Ok(()), None) => Err(Problem::internal()),
        (Err(error), stands) => Err(refused(error, stands.as_ref())),
    }
}

async fn current(tx: &mut TenantTx, agent: AgentId) -> Result<Offer, Problem> {
    preview::current(tx, agent)
        .await
        .map_err(unavailable)?
        .ok_or_else(Problem::not_found)
}

/// A step that was refused, as the client sees it; `stands` is what became of the offer, where it is the last one.
fn refused(error: PreviewError, stands: Option<&Offer>) -> Problem {
    match error {
        PreviewError::Database(error) => unavailable(error),
        PreviewError::Reason => Problem::unprocessable(vec![FieldError::new(
            "/reason",
            "not_a_code",
            "1 to 63 lower-case letters, digits and underscores",
        )]),
        error @ (PreviewError::NotAvailable | PreviewError::Open) => {
            Problem::conflict(Code::InvalidTransition, error.to_string())
        }
        PreviewError::Over => {
            let detail = match stands {
                Some(offer) if offer.reasons.is_empty() => format!("the offer is {}", offer.state.as_str()),
                Some(offer) => format!(
                    "the offer is {}: {}",
                    offer.state.as_str(),
                    offer.reasons.join(", ")
                ),
                None => "the agent has no such offer any more".to_owned(),
            };
            Problem::conflict(Code::InvalidTransition, detail)
        }
    }
}
