//! The configuration of a Realtime session, and the words it is made of.

use serde_json::{Value, json};

use super::SETUP_EVENT;
use crate::{AudioFormat, Codec, Session, Speaker, Turns};

/// What only this provider has.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model that writes down what the caller says.
    pub transcription_model: String,
    /// How hard to think: `minimal`, `low`, `medium`, `high`, `xhigh`; models that do not reason refuse it.
    pub reasoning_effort: Option<String>,
    /// `near_field` for a telephone at the ear, `far_field` for a speakerphone.
    pub noise_reduction: Option<String>,
    /// How fast to speak, 0.25 to 1.5.
    pub speed: Option<f32>,
    /// The longest answer in tokens.
    pub max_output_tokens: Option<u32>,
    /// Whether the model may ask for several tools at once.
    pub parallel_tool_calls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transcription_model: crate::models::OPENAI_TRANSCRIPTION.to_owned(),
            reasoning_effort: Some("low".to_owned()),
            noise_reduction: None,
            speed: None,
            max_output_tokens: None,
            parallel_tool_calls: true,
        }
    }
}

/// The name of a format. Unlike GPT-Live, Realtime refuses a rate beside G.711.
pub(super) fn format(format: AudioFormat) -> Value {
    match format.codec {
        Codec::Pcmu => json!({"type": "audio/pcmu"}),
        Codec::Pcma => json!({"type": "audio/pcma"}),
        Codec::Pcm16 => json!({"type": "audio/pcm", "rate": format.rate_hz}),
    }
}

/// `session.update`
pub(super) fn session_update(session: &Session, options: &Options) -> Value {
    let turn_detection = match session.turns {
        Turns::Ours => Value::Null,
        Turns::Theirs(hints) if hints.semantic => json!({
            "type": "semantic_vad",
            // The longest waits are 8, 4 and 2 s.
            "eagerness": match hints.silence_ms { 0..400 => "high", 400..=800 => "medium", _ => "low" },
            "create_response": true, "interrupt_response": true,
        }),
        Turns::Theirs(hints) => {
            let mut vad = json!({
                "type": "server_vad", "threshold": hints.threshold, "prefix_padding_ms": hints.prefix_ms,
                "silence_duration_ms": hints.silence_ms, "create_response": true, "interrupt_response": true,
            });
            if let Some(idle_ms) = hints.idle_ms {
                vad["idle_timeout_ms"] = json!(idle_ms);
            }
            vad
        }
    };
    let mut transcription = json!({"model": options.transcription_model});
    match languages(session).as_slice() {
        [] => {}
        [only] => transcription["language"] = json!(only),
        // Only the newer models take several.
        several if takes_several(&options.transcription_model) => {
            transcription["languages"] = json!(several);
        }
        _ => {}
    }
    let mut input = json!({
        "format": format(session.input), "transcription": transcription, "turn_detection": turn_detection,
    });
    if let Some(kind) = &options.noise_reduction {
        input["noise_reduction"] = json!({"type": kind});
    }
    let mut output = json!({"format": format(session.output)});
    if let Some(voice) = &session.voice {
        output["voice"] = if voice.starts_with("voice_") {
            json!({"id": voice})
        } else {
            json!(voice)
        };
    }
    if let Some(speed) = options.speed {
        output["speed"] = json!(speed);
    }
    let mut configuration = json!({
        "type": "realtime", "model": session.model, "output_modalities": ["audio"],
        "instructions": session.instructions, "audio": {"input": input, "output": output},
        "max_output_tokens": options.max_output_tokens.map_or_else(|| json!("inf"), |tokens| json!(tokens)),
    });
    if !session.tools.is_empty() {
        configuration["tools"] = session
            .tools
            .iter()
            .map(|tool| {
                json!({"type": "function", "name": tool.name, "description": tool.description,
                       "parameters": tool.parameters})
            })
            .collect();
        configuration["tool_choice"] = json!("auto");
        configuration["parallel_tool_calls"] = json!(options.parallel_tool_calls);
    }
    if let Some(effort) = &options.reasoning_effort
        && reasons(&session.model)
    {
        configuration["reasoning"] = json!({"effort": effort});
    }
    json!({"type": "session.update", "event_id": SETUP_EVENT, "session": configuration})
}

/// The languages without their regions, each once.
fn languages(session: &Session) -> Vec<&str> {
    let mut found = Vec::new();
    for language in &session.languages {
        let base = language.split(['-', '_']).next().unwrap_or(language);
        if !found.contains(&base) {
            found.push(base);
        }
    }
    found
}

fn takes_several(transcription_model: &str) -> bool {
    ["gpt-transcribe", "gpt-live-transcribe"]
        .iter()
        .any(|name| transcription_model.starts_with(name))
}

/// The generations before `gpt-realtime-2` do not reason and refuse to be told how hard.
fn reasons(model: &str) -> bool {
    model.starts_with("gpt-realtime-2") && !model.starts_with("gpt-realtime-2025")
}

/// What was said before, as an item of the conversation.
pub(super) fn history_item(said: &crate::Said) -> Value {
    let (role, kind) = match said.speaker {
        Speaker::Caller => ("user", "input_text"),
        Speaker::Agent => ("assistant", "output_text"),
    };
    json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": role, "content": [{"type": kind, "text": said.text}]}})
}

pub(super) fn user_message(text: &str) -> Value {
    json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}})
}

pub(super) fn system_message(text: &str) -> Value {
    json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}})
}
