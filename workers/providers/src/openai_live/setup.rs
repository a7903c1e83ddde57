//! The start of a GPT-Live session.

use serde_json::{Value, json};

use crate::{AudioFormat, Codec, Session, Speaker};

/// What only this provider has.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model that thinks and names tools.
    pub delegate_model: String,
    /// The rules of business the delegate goes by, beside the instructions of the session.
    pub delegate_instructions: Option<String>,
    /// How long the voice may wait for the delegate before it says that it is on it.
    pub acknowledgement_delay_ms: u32,
    /// `priority` for what a caller waits for.
    pub service_tier: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delegate_model: crate::models::OPENAI_DELEGATE.to_owned(),
            delegate_instructions: None,
            acknowledgement_delay_ms: 400,
            service_tier: None,
        }
    }
}

/// The name of a format. Unlike Realtime, GPT-Live wants the rate also of G.711.
pub(super) fn format(format: AudioFormat) -> Value {
    let kind = match format.codec {
        Codec::Pcmu => "audio/pcmu",
        Codec::Pcma => "audio/pcma",
        Codec::Pcm16 => "audio/pcm",
    };
    json!({"type": kind, "rate": format.rate_hz})
}

/// `session.start`
pub(super) fn session_start(session: &Session, options: &Options) -> Value {
    let mut responses = json!({"model": options.delegate_model, "parallel_tool_calls": true});
    if let Some(instructions) = &options.delegate_instructions {
        responses["instructions"] = json!(instructions);
    }
    if let Some(tier) = &options.service_tier {
        responses["service_tier"] = json!(tier);
    }
    if !session.tools.is_empty() {
        responses["tool_choice"] = json!("auto");
        responses["tools"] = session
            .tools
            .iter()
            .map(|tool| {
                json!({"type": "function", "name": tool.name, "description": tool.description,
                       "parameters": tool.parameters})
            })
            .collect();
    }
    let mut audio = json!({"format": format(session.input)});
    if let Some(voice) = &session.voice {
        audio["output"] = if voice.starts_with("voice_") {
            json!({"voice": {"id": voice}})
        } else {
            json!({"voice": voice})
        };
    }
    let mut configuration = json!({
        "model": session.model, "instructions": session.instructions, "audio": audio,
        "delegation": {"type": "responses", "acknowledgement_delay_ms": options.acknowledgement_delay_ms,
                       "responses": responses},
        "store": false});
    if !session.history.is_empty() {
        configuration["input"] = session
            .history
            .iter()
            .map(|said| {
                let (role, kind) = match said.speaker {
                    Speaker::Caller => ("user", "input_text"),
                    Speaker::Agent => ("assistant", "output_text"),
                };
                json!({"type": "message", "role": role, "content": [{"type": kind, "text": said.text}]})
            })
            .collect();
    }
    if let Some(id) = &session.safety_id {
        configuration["safety_identifier"] = json!(id);
    }
    json!({"type": "session.start", "session": configuration})
}
