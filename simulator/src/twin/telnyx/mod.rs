//! Telnyx's REST API for calls and conferences, as far as the platform uses it.

mod actions;
mod calls;
mod conferences;

use axum::{
    Json, Router,
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};
use voice_schemas::events::call::Carrier;

use super::Twin;
use crate::live::{Found, Step};

pub(super) fn routes() -> Router<Twin> {
    Router::new()
        .route("/v2/calls", post(calls::dial))
        .route("/v2/calls/{call}", get(calls::fetch))
        .route("/v2/calls/{call}/actions/{action}", post(actions::act))
        .route(
            "/v2/conferences",
            get(conferences::list).post(conferences::create),
        )
        .route(
            "/v2/conferences/{conference}/actions/{action}",
            post(conferences::act),
        )
}

/// The stream a request asks for, if it does.
fn stream(body: &Map<String, Value>) -> Option<Step> {
    let url = body.get("stream_url")?.as_str()?.to_owned();
    let text = |parameter: &Value, field: &str| Some(parameter.get(field)?.as_str()?.to_owned());
    let parameters = body
        .get("custom_parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|parameter| Some((text(parameter, "name")?, text(parameter, "value")?)))
        .collect();
    Some(Step::Stream { url, parameters })
}

/// What Telnyx says when it says no.
struct Refusal(StatusCode, &'static str, &'static str, &'static str);

const NOT_FOUND: Refusal = Refusal(
    StatusCode::NOT_FOUND,
    "10005",
    "Resource not found",
    "The requested resource or URL could not be found.",
);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code, title, detail) = self;
        (
            status,
            Json(json!({ "errors": [{ "code": code, "title": title, "detail": detail }] })),
        )
            .into_response()
    }
}

/// The account a request is allowed to act for.
struct Caller {
    account: usize,
    connection_id: String,
}

impl FromRequestParts<Twin> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, twin: &Twin) -> Result<Self, Refusal> {
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let (account, facts) = twin
            .account(Carrier::Telnyx, |account| account.opens(key))
            .ok_or(Refusal(
                StatusCode::UNAUTHORIZED,
                "10009",
                "Authentication failed",
                "No key found matching the ID with the provided secret.",
            ))?;
        Ok(Self {
            account,
            connection_id: facts.carrier_account().to_owned(),
        })
    }
}

const fn unprocessable(code: &'static str, title: &'static str, detail: &'static str) -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, code, title, detail)
}

/// The body as an object with none but known members. An empty body is an empty object.
fn object(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "10015",
            "Bad Request",
            "The body is not a JSON object.",
        ));
    };
    if object.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(unprocessable(
            "10015",
            "Bad Request",
            "The body has an unknown parameter.",
        ));
    }
    Ok(object)
}

fn done() -> Json<Value> {
    Json(json!({ "data": { "result": "ok" } }))
}

/// What a command came to.
fn done_or_not(found: Option<Found>) -> Result<Json<Value>, Refusal> {
    match found.ok_or(NOT_FOUND)? {
        Found::Done => Ok(done()),
        Found::Over => Err(OVER),
        Found::NotAnswered => Err(unprocessable(
            "90034",
            "Call has not been answered yet",
            "This command can be issued only after the call has been answered.",
        )),
    }
}

const OVER: Refusal = Refusal(
    StatusCode::UNPROCESSABLE_ENTITY,
    "90018",
    "Call has already ended",
    "This call is no longer active and can't receive commands.",
);
