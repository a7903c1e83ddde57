//! Rooms in which calls meet.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Caller, NOT_FOUND, Refusal, actions::repeated, done_or_not, object, unprocessable};
use crate::{
    live::{Found, Seat},
    twin::Twin,
};

const CREATE: &[&str] = &[
    "beep_enabled",
    "call_control_id",
    "client_state",
    "comfort_noise",
    "command_id",
    "duration_minutes",
    "hold_audio_url",
    "hold_media_name",
    "max_participants",
    "name",
    "region",
    "start_conference_on_create",
];
const JOIN: &[&str] = &[
    "beep_enabled",
    "call_control_id",
    "client_state",
    "command_id",
    "end_conference_on_exit",
    "hold",
    "hold_audio_url",
    "hold_media_name",
    "mute",
    "region",
    "soft_end_conference_on_exit",
    "start_conference_on_enter",
    "supervisor_role",
    "whisper_call_control_ids",
];

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "filter[name]")]
    name: Option<String>,
}

pub(super) async fn list(
    caller: Caller,
    State(twin): State<Twin>,
    Query(filter): Query<Filter>,
) -> Json<Value> {
    let room = filter.name.and_then(|name| {
        twin.live().act(|board, now| {
            board.advance(now);
            board.room(caller.account, &name)
        })
    });
    let rooms: Vec<Value> = room.map(|(id, name)| shown(&id, &name)).into_iter().collect();
    let meta = json!({ "page_number": 1, "page_size": 20, "total_pages": 1, "total_results": rooms.len() });
    Json(json!({ "data": rooms, "meta": meta }))
}

fn shown(id: &str, name: &str) -> Value {
    json!({ "record_type": "conference", "id": id, "name": name, "status": "in_progress" })
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| {
        unprocessable(
            "10004",
            "Missing required parameter",
            "A required parameter is missing.",
        )
    })
}

pub(super) async fn create(
    caller: Caller,
    State(twin): State<Twin>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body = object(&body, CREATE)?;
    let (call, name) = (text(&body, "call_control_id")?, text(&body, "name")?);
    let seat = Seat {
        room: name.to_owned(),
        ..Seat::default()
    };
    let again = repeated(&twin, caller.account, call, &body);
    let (found, room) = twin.live().act(|board, now| {
        board.advance(now);
        if board.room(caller.account, name).is_some() && !again {
            return (None, None);
        }
        let found = if again {
            Some(Found::Done)
        } else {
            board.seat(caller.account, call, seat, now)
        };
        (Some(found), board.room(caller.account, name))
    });
    let found = found.ok_or_else(|| {
        unprocessable(
            "90033",
            "Conference name is in use",
            "An active conference has this name.",
        )
    })?;
    let _ok = done_or_not(found)?;
    let (id, name) = room.ok_or(NOT_FOUND)?;
    Ok(Json(json!({ "data": shown(&id, &name) })))
}

pub(super) async fn act(
    caller: Caller,
    State(twin): State<Twin>,
    Path((conference, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    if !matches!(action.as_str(), "join" | "leave") {
        return Err(NOT_FOUND);
    }
    let body = object(&body, JOIN)?;
    let call = text(&body, "call_control_id")?;
    if repeated(&twin, caller.account, call, &body) {
        return Ok(super::done());
    }
    let found = twin.live().act(|board, now| {
        board.advance(now);
        let (_, room) = board.room(caller.account, &conference)?;
        if action == "leave" {
            return board.unseat(caller.account, call, &room, now);
        }
        let seat = Seat {
            room,
            ends_it: body.get("end_conference_on_exit") == Some(&json!(true)),
            ..Seat::default()
        };
        board.seat(caller.account, call, seat, now)
    });
    done_or_not(found)
}
