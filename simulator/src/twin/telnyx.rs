//! Telnyx's REST API for calls, as far as the platform uses it.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use voice_schemas::events::call::Carrier;
use voice_telephony::PhoneNumber;

use super::{Moment, Twin, placed::Placed};
use crate::wire::telnyx::micros;

/// What `POST /v2/calls` takes, from the reference of dialling.
const DIAL: &[&str] = &[
    "answering_machine_detection",
    "answering_machine_detection_config",
    "assistant",
    "audio_url",
    "billing_group_id",
    "bridge_intent",
    "bridge_on_answer",
    "client_state",
    "command_id",
    "conference_config",
    "connection_id",
    "custom_headers",
    "dialogflow_config",
    "enable_dialogflow",
    "from",
    "from_display_name",
    "link_to",
    "media_encryption",
    "media_name",
    "park_after_unbridge",
    "preferred_codecs",
    "prevent_double_bridge",
    "privacy",
    "record",
    "record_channels",
    "record_custom_file_name",
    "record_format",
    "record_max_length",
    "record_timeout_secs",
    "record_track",
    "record_trim",
    "retry_on_timeout",
    "send_digits_on_answer",
    "send_silence_when_idle",
    "sip_auth_password",
    "sip_auth_username",
    "sip_headers",
    "sip_region",
    "sip_transport_protocol",
    "sound_modifications",
    "stream_auth_token",
    "stream_bidirectional_codec",
    "stream_bidirectional_mode",
    "stream_bidirectional_sampling_rate",
    "stream_bidirectional_target_legs",
    "stream_codec",
    "stream_establish_before_call_originate",
    "stream_track",
    "stream_url",
    "supervise_call_control_id",
    "supervisor_role",
    "time_limit_secs",
    "timeout_secs",
    "to",
    "transcription",
    "transcription_config",
    "webhook_retries_policies",
    "webhook_url",
    "webhook_url_method",
    "webhook_urls",
    "webhook_urls_method",
];

pub(super) fn routes() -> Router<Twin> {
    Router::new()
        .route("/v2/calls", post(dial))
        .route("/v2/calls/{call}", get(fetch))
        .route("/v2/calls/{call}/actions/{action}", post(act))
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

async fn fetch(
    caller: Caller,
    State(twin): State<Twin>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if let Some(moment) = twin.planned(caller.account, &id) {
        return Ok(Json(planned(&twin, &moment)));
    }
    let registry = twin.placed();
    registry
        .get(caller.account, &id)
        .map(|call| Json(placed(call)))
        .ok_or(NOT_FOUND)
}

async fn dial(caller: Caller, State(twin): State<Twin>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let body = object(&body, DIAL)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(connection), Some(from), Some(to)) = (text("connection_id"), text("from"), text("to")) else {
        return Err(unprocessable(
            "10004",
            "Missing required parameter",
            "connection_id, from and to are required.",
        ));
    };
    if connection != caller.connection_id {
        return Err(unprocessable(
            "10015",
            "Bad Request",
            "connection_id is not one of this account.",
        ));
    }
    if PhoneNumber::parse(from).is_none() || PhoneNumber::parse(to).is_none() {
        return Err(unprocessable(
            "10016",
            "Phone number must be in +E164 format",
            "from or to is not.",
        ));
    }
    let now = twin.state().clock.now();
    let mut registry = twin.placed();
    if let Some(call) =
        text("command_id").and_then(|command| registry.by_command(caller.account, command, now))
    {
        return Ok(Json(dialled(call)));
    }
    let (leg, session) = (Uuid::new_v4(), Uuid::new_v4());
    let random = [leg.into_bytes(), session.into_bytes()].concat();
    let call = Placed {
        account: caller.account,
        id: format!("v3:{}", STANDARD_NO_PAD.encode(random)),
        leg,
        session,
        from: from.to_owned(),
        to: to.to_owned(),
        client_state: text("client_state").map(str::to_owned),
        at: now,
        ended_at: None,
    };
    let shown = dialled(&call);
    if let Some(command) = text("command_id") {
        registry.remember_command(caller.account, command.to_owned(), &call.id, now);
    }
    registry.add(call);
    Ok(Json(shown))
}

async fn act(
    caller: Caller,
    State(twin): State<Twin>,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    const OVER: Refusal = Refusal(
        StatusCode::UNPROCESSABLE_ENTITY,
        "90018",
        "Call has already ended",
        "This call is no longer active and can't receive commands.",
    );
    let known: &[&str] = match action.as_str() {
        "hangup" => &["client_state", "command_id", "custom_headers"],
        "reject" => &["cause", "client_state", "command_id"],
        "client_state_update" => &["client_state"],
        _ => return Err(NOT_FOUND),
    };
    object(&body, known)?;
    if let Some(moment) = twin.planned(caller.account, &id) {
        return if moment.over() { Err(OVER) } else { Ok(done()) };
    }
    let mut registry = twin.placed();
    let lived = if action == "client_state_update" {
        registry
            .get(caller.account, &id)
            .map(|call| call.ended_at.is_none())
    } else {
        registry.end(caller.account, &id, twin.state().clock.now())
    };
    if lived.ok_or(NOT_FOUND)? {
        Ok(done())
    } else {
        Err(OVER)
    }
}

fn unprocessable(code: &'static str, title: &'static str, detail: &'static str) -> Refusal {
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

fn dialled(call: &Placed) -> Value {
    json!({ "data": {
        "record_type": "call",
        "call_control_id": call.id,
        "call_leg_id": call.leg,
        "call_session_id": call.session,
        // Telnyx says so of every call it has only just taken on.
        "is_alive": false,
        "client_state": call.client_state,
    } })
}

fn placed(call: &Placed) -> Value {
    status(&Shown {
        id: &call.id,
        leg: call.leg,
        session: call.session,
        client_state: call.client_state.clone(),
        began: call.at,
        ended: call.ended_at,
        seconds: 0,
    })
}

fn planned(twin: &Twin, moment: &Moment) -> Value {
    let call = &moment.call;
    let state = twin.state();
    let until = if moment.over() {
        call.ended_at()
    } else {
        moment.now
    };
    status(&Shown {
        id: &call.ids.call,
        leg: call.ids.leg,
        session: call.ids.session,
        client_state: call
            .context
            .as_ref()
            .map(|context| state.context.seal(context).as_client_state()),
        began: call.starts_at(),
        ended: moment.over().then(|| call.ended_at()),
        seconds: moment
            .answered_at()
            .map_or(0, |answered| (until - answered).num_seconds()),
    })
}

/// The parts of a call's status that differ from call to call.
struct Shown<'a> {
    id: &'a str,
    leg: Uuid,
    session: Uuid,
    client_state: Option<String>,
    began: DateTime<Utc>,
    ended: Option<DateTime<Utc>>,
    seconds: i64,
}

fn status(call: &Shown<'_>) -> Value {
    json!({ "data": {
        "record_type": "call",
        "call_control_id": call.id,
        "call_leg_id": call.leg,
        "call_session_id": call.session,
        "client_state": call.client_state,
        "is_alive": call.ended.is_none(),
        "call_duration": call.seconds,
        "start_time": micros(call.began),
        "end_time": call.ended.map(micros),
    } })
}
