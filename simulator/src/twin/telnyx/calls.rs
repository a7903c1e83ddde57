//! Dialling, and asking about a call.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use voice_telephony::PhoneNumber;

use super::{Caller, NOT_FOUND, Refusal, object, unprocessable};
use crate::{
    live::{Declined, Detection, Hooks, Ids, Line, OnAnswer, Order, Progress},
    twin::{Moment, Twin},
    wire::telnyx::micros,
};

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

pub(super) async fn fetch(
    caller: Caller,
    State(twin): State<Twin>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if let Some(moment) = twin.planned(caller.account, &id) {
        return Ok(Json(planned(&twin, &moment)));
    }
    twin.live().act(|board, now| {
        board.advance(now);
        board
            .get(caller.account, &id)
            .map(|line| Json(placed(line, now)))
            .ok_or(NOT_FOUND)
    })
}

pub(super) async fn dial(
    caller: Caller,
    State(twin): State<Twin>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body = object(&body, DIAL)?;
    let order = order(&body, &caller)?;
    let command = body.get("command_id").and_then(Value::as_str);
    let mut commands = twin.commands();
    let now = twin.state().clock.now();
    if let Some(id) = command.and_then(|command| commands.known(caller.account, command, now)) {
        let known = twin
            .live()
            .act(|board, _| board.get(caller.account, id).map(dialled));
        return known.map(Json).ok_or(NOT_FOUND);
    }
    let (leg, session) = (Uuid::new_v4(), Uuid::new_v4());
    let random = [leg.into_bytes(), session.into_bytes()].concat();
    let id = format!("v3:{}", STANDARD_NO_PAD.encode(random));
    let ids = Ids {
        id: id.clone(),
        leg,
        session,
    };
    let shown = twin
        .live()
        .act(|board, now| board.place(order, ids, now).map(dialled))
        .map_err(|declined| match declined {
            Declined::TooFast(_) => Refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "90103",
                "Dials per second limit exceeded",
                "The account dials too many calls per second.",
            ),
            Declined::TooManyCalls | Declined::QueueFull => Refusal(
                StatusCode::FORBIDDEN,
                "90010",
                "User channel limit exceeded D1",
                "The account has as many calls as it may have.",
            ),
        })?;
    if let Some(command) = command {
        commands.remember(caller.account, command, &id, now);
    }
    Ok(Json(shown))
}

fn order(body: &Map<String, Value>, caller: &Caller) -> Result<Order, Refusal> {
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
    // Agents' telephones have addresses.
    let callable = to.starts_with("sip:") || to.starts_with("sips:") || PhoneNumber::parse(to).is_some();
    if PhoneNumber::parse(from).is_none() || !callable {
        return Err(unprocessable(
            "10016",
            "Phone number must be in +E164 format",
            "from or to is not.",
        ));
    }
    let detection = match text("answering_machine_detection") {
        None | Some("disabled") => Detection::Off,
        Some("premium") => Detection::AndBeep,
        // The others have events of other names, which the twin does not tell.
        Some(_) => {
            return Err(unprocessable(
                "10015",
                "Bad Request",
                "answering_machine_detection must be premium or disabled here.",
            ));
        }
    };
    let seconds = |name: &str, usual: i64, least: i64, most: i64| {
        let given = body.get(name).map_or(Some(usual), Value::as_i64);
        given
            .filter(|seconds| (least..=most).contains(seconds))
            .map(TimeDelta::seconds)
            .ok_or_else(|| unprocessable("10015", "Bad Request", "A time is out of range."))
    };
    Ok(Order {
        account: caller.account,
        to: to.to_owned(),
        from: from.to_owned(),
        client_state: text("client_state").map(str::to_owned),
        hooks: Hooks {
            status: text("webhook_url").map(str::to_owned),
            progress: Progress::default(),
            amd: None,
        },
        detection,
        ring: seconds("timeout_secs", 30, 5, 600)?,
        limit: seconds("time_limit_secs", 14_400, 30, 14_400)?,
        on_answer: match super::stream(body) {
            Some(stream) => OnAnswer::Script(vec![stream]),
            None => OnAnswer::Wait,
        },
    })
}

fn dialled(line: &Line) -> Value {
    json!({ "data": {
        "record_type": "call",
        "call_control_id": line.id,
        "call_leg_id": line.leg,
        "call_session_id": line.session,
        // Telnyx says so of every call it has only just taken on.
        "is_alive": false,
        "client_state": line.order.client_state,
    } })
}

fn placed(line: &Line, now: DateTime<Utc>) -> Value {
    status(&Shown {
        id: &line.id,
        leg: line.leg,
        session: line.session,
        client_state: line.order.client_state.clone(),
        began: line.placed_at,
        ended: line.ended.map(|(at, _)| at),
        seconds: line.seconds(now),
    })
}

fn planned(twin: &Twin, moment: &Moment) -> Value {
    let call = &moment.call;
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
            .zip(twin.state().shift.as_ref())
            .map(|(context, shift)| shift.context.seal(context).as_client_state()),
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
