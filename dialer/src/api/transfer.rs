//! The caller an AI agent hands to a person, over HTTP: what the person's program shows from the moment their place is
//! held until the call is over.

use std::sync::Arc;

use axum::{Router, extract::State, http::HeaderMap, response::Response, routing::get};
use serde::Serialize;
use voice_http::{Path, Problem};

use super::{Api, private, unavailable};
use crate::transfers;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/agents/{agent}/transfer", get(show))
}

#[derive(Serialize)]
struct Shown {
    transfer_id: String,
    call_id: String,
    campaign_id: String,
    contact_id: Option<String>,
    /// `reserved`, `ordered` or `done`: the caller is on the line.
    state: &'static str,
    /// What the AI agent says about the caller.
    summary: Option<String>,
}

async fn show(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(agent): Path<String>,
) -> Result<Response, Problem> {
    let (mut tx, agent) = api.agent(&headers, &agent).await?;
    let handed = transfers::of_agent(&mut tx, agent).await.map_err(unavailable)?;
    let handed = handed.ok_or_else(Problem::not_found)?;
    Ok(private(Shown {
        transfer_id: handed.id.to_string(),
        call_id: handed.call.to_string(),
        campaign_id: handed.campaign.to_string(),
        contact_id: handed.contact.map(|contact| contact.to_string()),
        state: handed.state.as_str(),
        summary: handed.summary,
    }))
}
