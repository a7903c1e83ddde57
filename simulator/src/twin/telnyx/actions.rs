//! Commands to a call.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Map, Value};

use super::{Caller, NOT_FOUND, OVER, Refusal, done, done_or_not, object, unprocessable};
use crate::{
    live::{Found, Sound, Step},
    twin::Twin,
};

/// Every command takes these.
const ALWAYS: &[&str] = &["client_state", "command_id"];
const SPEECH: &[&str] = &[
    "payload",
    "voice",
    "language",
    "payload_type",
    "service_level",
    "stop",
    "voice_settings",
];
const PLAYBACK: &[&str] = &[
    "audio_url",
    "audio_type",
    "cache_audio",
    "loop",
    "media_name",
    "overlay",
    "stop",
    "target_legs",
];
const GATHER: &[&str] = &[
    "gather_id",
    "initial_timeout_millis",
    "inter_digit_timeout_millis",
    "maximum_digits",
    "maximum_tries",
    "minimum_digits",
    "terminating_digit",
    "timeout_millis",
    "valid_digits",
];
const RECORDING: &[&str] = &[
    "channels",
    "custom_file_name",
    "format",
    "max_length",
    "play_beep",
    "recording_track",
    "timeout_secs",
    "trim",
];
const STREAM: &[&str] = &[
    "custom_parameters",
    "enable_dialogflow",
    "stream_auth_token",
    "stream_bidirectional_codec",
    "stream_bidirectional_mode",
    "stream_bidirectional_sampling_rate",
    "stream_bidirectional_target_legs",
    "stream_codec",
    "stream_track",
    "stream_url",
];

/// What an action takes beside what every action does; `None` when the twin has no such action.
fn known(action: &str) -> Option<Vec<&'static str>> {
    let lists: &[&[&'static str]] = match action {
        "hangup" => &[&["custom_headers"]],
        "reject" => &[&["cause"]],
        "speak" => &[SPEECH],
        "playback_start" => &[PLAYBACK],
        "playback_stop" | "record_stop" | "streaming_stop" | "gather_stop" => {
            &[&["overlay", "recording_id", "stop", "stream_id"]]
        }
        "gather" => &[GATHER],
        "gather_using_speak" => &[GATHER, SPEECH, &["invalid_payload"]],
        "gather_using_audio" => &[GATHER, PLAYBACK, &["invalid_audio_url", "invalid_media_name"]],
        "record_start" => &[RECORDING],
        "streaming_start" => &[STREAM],
        "client_state_update" => &[],
        _ => return None,
    };
    Some(lists.concat().into_iter().chain(ALWAYS.iter().copied()).collect())
}

/// What it makes the call do; `None` when the call goes on with what it does.
fn steps(action: &str, body: &Map<String, Value>) -> Option<Vec<Step>> {
    let said = || {
        let words = body.get("payload").and_then(Value::as_str).unwrap_or_default();
        Sound::Said(words.chars().count())
    };
    let gather = |sounds| {
        let ms = body
            .get("timeout_millis")
            .and_then(Value::as_u64)
            .unwrap_or(60_000);
        Step::Gather {
            sounds,
            seconds: u32::try_from(ms / 1_000).unwrap_or(60),
            action: None,
            keys: body
                .get("valid_digits")
                .and_then(Value::as_str)
                .map(str::to_owned),
            reports: body.contains_key("client_state"),
        }
    };
    Some(vec![match action {
        "speak" => Step::Sound(said()),
        "playback_start" => Step::Sound(Sound::Played),
        "gather" => gather(Vec::new()),
        "gather_using_speak" => gather(vec![said()]),
        "gather_using_audio" => gather(vec![Sound::Played]),
        "streaming_start" => super::stream(body)?,
        "playback_stop" | "gather_stop" | "streaming_stop" => return Some(Vec::new()),
        _ => return None,
    }])
}

fn required(action: &str) -> &'static [&'static str] {
    match action {
        "speak" | "gather_using_speak" => &["payload", "voice"],
        "record_start" => &["format", "channels"],
        "streaming_start" => &["stream_url"],
        "client_state_update" => &["client_state"],
        "reject" => &["cause"],
        _ => &[],
    }
}

pub(super) async fn act(
    caller: Caller,
    State(twin): State<Twin>,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body = object(&body, &known(&action).ok_or(NOT_FOUND)?)?;
    if required(&action).iter().any(|name| !body.contains_key(*name)) {
        return Err(unprocessable(
            "10004",
            "Missing required parameter",
            "A required parameter is missing.",
        ));
    }
    if let Some(moment) = twin.planned(caller.account, &id) {
        return if moment.over() { Err(OVER) } else { Ok(done()) };
    }
    if repeated(&twin, caller.account, &id, &body) {
        return Ok(done());
    }
    let state = body
        .get("client_state")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let found = twin.live().act(|board, now| {
        board.advance(now);
        if let Some(state) = state {
            board.set_client_state(caller.account, &id, state);
        }
        match (action.as_str(), steps(&action, &body)) {
            ("hangup" | "reject", _) => board.hang_up(caller.account, &id, now),
            (_, Some(steps)) => board.instruct(caller.account, &id, steps, now),
            (_, None) => board
                .is_alive(caller.account, &id)
                .map(|alive| if alive { Found::Done } else { Found::Over }),
        }
    });
    done_or_not(found)
}

/// Whether the command came less than a minute ago; it is remembered from now on.
pub(super) fn repeated(twin: &Twin, account: usize, about: &str, body: &Map<String, Value>) -> bool {
    let Some(command) = body.get("command_id").and_then(Value::as_str) else {
        return false;
    };
    let (mut commands, now) = (twin.commands(), twin.state().clock.now());
    let known = commands.known(account, command, now) == Some(about);
    if !known {
        commands.remember(account, command, about, now);
    }
    known
}
