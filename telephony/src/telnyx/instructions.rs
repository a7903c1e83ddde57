//! Instructions as commands, one REST request each. <https://developers.telnyx.com/docs/voice/programmable-voice>
//!
//! A command returns when it has begun, so only one is sent at a time: what comes after it waits until Telnyx
//! reports its end. Several prompts before a gather are played before it, and digits pressed during them
//! are not collected; the last prompt belongs to the gather.

use serde_json::{Map, Value, json};
use voice_schemas::events::call::Carrier;

use crate::{Conference, ConnectStream, Gather, Instruction, InstructionError, Prompt, Record, RejectReason};

/// Basic voice, available in every language Telnyx speaks.
const DEFAULT_VOICE: &str = "female";
const DEFAULT_LANGUAGE: &str = "en-US";

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `POST /v2/calls/{id}/actions/{action}`
    Call {
        /// The action.
        action: &'static str,
        /// The body, without `command_id`.
        body: Value,
    },
    /// Join the room if it is open, else open it.
    Conference {
        /// The room.
        room: String,
        /// The body of `POST /v2/conferences/{id}/actions/join`, without the call's id.
        join: Value,
        /// The body of `POST /v2/conferences`, without the call's id; `None` when this call may only join.
        create: Option<Value>,
    },
}

/// What to send now, and what waits for its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The next request; `None` when there is nothing left to do.
    pub next: Option<Command>,
    /// The instructions after it.
    pub remaining: Vec<Instruction>,
}

/// Plans the next step.
///
/// # Errors
/// When Telnyx has no words for the first instruction.
pub fn plan(instructions: &[Instruction]) -> Result<Plan, InstructionError> {
    let Some((first, rest)) = instructions.split_first() else {
        return Ok(Plan::default());
    };
    let mut remaining = rest.to_vec();
    let next = match first {
        Instruction::Prompt(prompt) => prompt_command(prompt)?,
        Instruction::Gather(gather) => match gather.prompts.split_first() {
            Some((opening, others)) if !others.is_empty() => {
                let later = Gather {
                    prompts: others.to_vec(),
                    ..gather.clone()
                };
                remaining.insert(0, Instruction::Gather(later));
                prompt_command(opening)?
            }
            only => gather_command(gather, only.map(|(prompt, _)| prompt))?,
        },
        Instruction::ConnectStream(stream) => call("streaming_start", stream_fields(stream)),
        Instruction::Conference(conference) => conference_command(conference),
        Instruction::Transfer { to } => call("transfer", json!({ "to": to.expose() })),
        Instruction::Record(record) => call("record_start", record_fields(record)),
        Instruction::Redirect { .. } => return Err(unsupported("redirect")),
        Instruction::Hangup => call("hangup", json!({})),
        Instruction::Reject { reason } => {
            let cause = match reason {
                RejectReason::Rejected => "CALL_REJECTED",
                RejectReason::Busy => "USER_BUSY",
            };
            call("reject", json!({ "cause": cause }))
        }
    };
    if matches!(first, Instruction::Hangup | Instruction::Reject { .. }) {
        remaining.clear();
    }
    Ok(Plan {
        next: Some(next),
        remaining,
    })
}

const fn unsupported(instruction: &'static str) -> InstructionError {
    InstructionError::Unsupported {
        carrier: Carrier::Telnyx,
        instruction,
    }
}

const fn call(action: &'static str, body: Value) -> Command {
    Command::Call { action, body }
}

fn prompt_command(prompt: &Prompt) -> Result<Command, InstructionError> {
    Ok(match prompt {
        Prompt::Say {
            text,
            language,
            voice,
        } => call("speak", speech(text, language.as_deref(), voice.as_deref())),
        Prompt::Play { url } => call("playback_start", json!({ "audio_url": url })),
        Prompt::Pause { .. } => return Err(unsupported("pause")),
    })
}

fn speech(text: &str, language: Option<&str>, voice: Option<&str>) -> Value {
    let mut body = json!({ "payload": text, "voice": voice.unwrap_or(DEFAULT_VOICE) });
    // A voice of a named engine brings its language; the basic ones need to be told.
    if let Some(language) = language.or(voice.is_none().then_some(DEFAULT_LANGUAGE)) {
        body["language"] = json!(language);
    }
    body
}

fn gather_command(gather: &Gather, prompt: Option<&Prompt>) -> Result<Command, InstructionError> {
    if gather.speech {
        return Err(unsupported("gather speech"));
    }
    let (action, mut body) = match prompt {
        None => ("gather", json!({})),
        Some(Prompt::Say {
            text,
            language,
            voice,
        }) => (
            "gather_using_speak",
            speech(text, language.as_deref(), voice.as_deref()),
        ),
        Some(Prompt::Play { url }) => ("gather_using_audio", json!({ "audio_url": url })),
        Some(Prompt::Pause { .. }) => return Err(unsupported("pause")),
    };
    if let Some(digits) = gather.digits {
        body["maximum_digits"] = json!(digits);
    }
    if let Some(seconds) = gather.timeout_seconds {
        body["timeout_millis"] = json!(u32::from(seconds) * 1000);
    }
    if let Some(key) = gather.finish_on_key {
        body["terminating_digit"] = json!(key.to_string());
    }
    if let Some(keys) = &gather.valid_digits {
        body["valid_digits"] = json!(keys);
    }
    if let Some(context) = &gather.context {
        body["client_state"] = json!(context.as_client_state());
    }
    if prompt.is_some() {
        // Telnyx repeats the prompt three times by default; a flow decides that for itself.
        body["maximum_tries"] = json!(1);
    }
    Ok(call(action, body))
}

/// Both ways, in the line's own coding: no MP3 queue at Telnyx, no transcoding here. Shared with dialling.
pub(super) fn stream_fields(stream: &ConnectStream) -> Value {
    let mut body = json!({
        "stream_url": stream.url,
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "stream_bidirectional_target_legs": "self",
    });
    if !stream.parameters.is_empty() {
        body["custom_parameters"] = stream
            .parameters
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
    }
    body
}

fn conference_command(conference: &Conference) -> Command {
    let beep = if conference.beep { "always" } else { "never" };
    let mut join = Map::new();
    join.insert("beep_enabled".into(), json!(beep));
    join.insert(
        "start_conference_on_enter".into(),
        json!(conference.start_on_enter),
    );
    join.insert("end_conference_on_exit".into(), json!(conference.end_on_exit));
    join.insert("mute".into(), json!(conference.muted));
    if let Some(coached) = &conference.coach {
        join.insert("supervisor_role".into(), json!("whisper"));
        join.insert("whisper_call_control_ids".into(), json!([coached]));
    }
    let mut create = json!({
        "name": conference.room,
        "beep_enabled": beep,
        "start_conference_on_create": conference.start_on_enter,
    });
    if let Some(most) = conference.max_participants {
        create["max_participants"] = json!(most);
    }
    if let Some(url) = conference.wait_url.as_deref().filter(|url| !url.is_empty()) {
        create["hold_audio_url"] = json!(url);
    }
    // Opening a room takes none of these: who needs them can only enter one that is open.
    let joins_only = conference.muted || conference.end_on_exit || conference.coach.is_some();
    Command::Conference {
        room: conference.room.clone(),
        join: Value::Object(join),
        create: (!joins_only).then_some(create),
    }
}

fn record_fields(record: &Record) -> Value {
    let mut body = json!({
        "format": "mp3",
        "channels": "single",
        "recording_track": "inbound",
        "play_beep": record.beep,
    });
    if let Some(seconds) = record.max_seconds {
        body["max_length"] = json!(seconds);
    }
    if let Some(seconds) = record.silence_seconds {
        body["timeout_secs"] = json!(seconds);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Prompt {
        Prompt::Say {
            text: text.to_owned(),
            language: None,
            voice: None,
        }
    }

    /// Runs a plan to its end, as the carrier's reports would.
    fn actions(instructions: &[Instruction]) -> Vec<&'static str> {
        let mut left = instructions.to_vec();
        let mut actions = Vec::new();
        while let Some(command) = plan(&left)
            .map(|plan| {
                left = plan.remaining;
                plan.next
            })
            .unwrap()
        {
            actions.push(match command {
                Command::Call { action, .. } => action,
                Command::Conference { .. } => "conference",
            });
        }
        actions
    }

    #[test]
    fn one_command_at_a_time_and_the_last_prompt_belongs_to_the_gather() {
        let gather = Gather {
            prompts: vec![say("a"), say("b"), say("c")],
            digits: Some(1),
            ..Gather::default()
        };
        let steps = [
            Instruction::Prompt(say("hello")),
            Instruction::Gather(gather),
            Instruction::Hangup,
        ];
        assert_eq!(
            actions(&steps),
            ["speak", "speak", "speak", "gather_using_speak", "hangup"]
        );
    }

    #[test]
    fn nothing_follows_a_hangup() {
        assert_eq!(
            actions(&[Instruction::Hangup, Instruction::Prompt(say("late"))]),
            ["hangup"]
        );
        assert_eq!(actions(&[]), [""; 0]);
    }

    #[test]
    fn what_telnyx_has_no_words_for_is_an_error_and_not_left_out() {
        let unsupported = [
            Instruction::Redirect {
                url: "https://a".to_owned(),
            },
            Instruction::Prompt(Prompt::Pause { seconds: 1 }),
            Instruction::Gather(Gather {
                speech: true,
                ..Gather::default()
            }),
        ];
        for instruction in unsupported {
            let result = plan(std::slice::from_ref(&instruction));
            assert!(
                matches!(result, Err(InstructionError::Unsupported { .. })),
                "{instruction:?}"
            );
        }
    }

    #[test]
    fn a_supervisor_or_an_agent_whose_leaving_ends_it_never_opens_a_room() {
        let open = |change: fn(&mut Conference)| {
            let mut conference = Conference::new("room");
            change(&mut conference);
            match plan(&[Instruction::Conference(conference)]).unwrap().next {
                Some(Command::Conference { create, .. }) => create.is_some(),
                other => panic!("{other:?}"),
            }
        };
        assert!(open(|_| {}));
        assert!(!open(|conference| conference.muted = true));
        assert!(!open(|conference| conference.end_on_exit = true));
        assert!(!open(|conference| conference.coach = Some("v3:x".to_owned())));
    }
}
