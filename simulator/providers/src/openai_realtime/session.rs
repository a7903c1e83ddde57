//! The configuration of a session: what is effective now, and what may change.

use serde_json::{Value, json};

use super::request::{Eagerness, Modality, Session, TurnDetection, Voice};
use crate::{sound::Format, strict::Refusal};

const VOICES: [&str; 10] = [
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
];

/// What a session is set to.
#[derive(Debug)]
pub(super) struct Settings {
    /// As it is told in `session.created` and `session.updated`.
    pub(super) effective: Value,
    pub(super) input: Format,
    pub(super) output: Format,
    pub(super) turn_detection: Option<TurnDetection>,
    pub(super) tools: Vec<String>,
}

impl Settings {
    pub(super) fn new(model: &str) -> Self {
        Self {
            effective: json!({
                "type": "realtime", "object": "realtime.session", "model": model,
                "output_modalities": ["audio"], "instructions": "You are a helpful assistant.",
                "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": null,
                "truncation": "auto", "prompt": null, "include": null,
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24_000}, "transcription": null,
                        "noise_reduction": null,
                        "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                            "silence_duration_ms": 200, "idle_timeout_ms": null, "create_response": true,
                            "interrupt_response": true}},
                    "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "alloy", "speed": 1.0}}}),
            input: Format::pcm(24_000),
            output: Format::pcm(24_000),
            turn_detection: Some(TurnDetection::ServerVad {
                threshold: None,
                prefix_padding_ms: None,
                silence_duration_ms: None,
                create_response: None,
                interrupt_response: None,
                idle_timeout_ms: None,
            }),
            tools: Vec::new(),
        }
    }

    /// Checks an update and makes it effective; nothing changes when anything is wrong with it.
    pub(super) fn apply(&mut self, update: &Session, raw: &Value, spoken: bool) -> Result<(), Refusal> {
        let model = self.effective["model"].as_str().unwrap_or_default();
        if update.model.as_deref().is_some_and(|wanted| wanted != model) {
            let message = "The model of a session cannot be changed.";
            return Err(Refusal::value("session.model", message));
        }
        if update.reasoning.is_some() && !reasons(model) {
            return Err(Refusal::coded(
                "unsupported_parameter",
                "session.reasoning",
                "Unsupported parameter: 'session.reasoning' is not supported with this model.",
            ));
        }
        if let Some(modalities) = &update.output_modalities
            && !matches!(modalities.as_slice(), [Modality::Audio] | [Modality::Text])
        {
            let message = "Invalid modalities. Supported combinations are: ['text'] and ['audio'].";
            return Err(Refusal::value("session.output_modalities", message));
        }
        if let Some(limit) = &update.max_output_tokens
            && limit.as_str() != Some("inf")
            && !limit.as_u64().is_some_and(|limit| (1..=32_768).contains(&limit))
        {
            return Err(Refusal::value("session.max_output_tokens", "Invalid value."));
        }
        for (at, tool) in update.tools.iter().flatten().enumerate() {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if tool.name.is_empty() || tool.name.len() > 64 || !tool.name.bytes().all(fits) {
                let param = format!("session.tools[{at}].name");
                return Err(Refusal::value(&param, format!("Invalid '{param}'.")));
            }
            if tool
                .parameters
                .as_ref()
                .is_some_and(|schema| schema["type"] != "object")
            {
                let param = format!("session.tools[{at}].parameters");
                return Err(Refusal::coded(
                    "invalid_function_parameters",
                    &param,
                    "Invalid schema.",
                ));
            }
        }
        let (mut input, mut output) = (self.input, self.output);
        let mut turn_detection = self.turn_detection.clone();
        if let Some(audio) = &update.audio {
            if let Some(side) = &audio.input {
                if let Some(format) = side.format {
                    input = format.known("session.audio.input.format")?;
                }
                if let Some(transcription) = &side.transcription {
                    let several = transcription.languages.is_some() || transcription.keywords.is_some();
                    let model = transcription.model.as_deref().unwrap_or_default();
                    if several
                        && !model.starts_with("gpt-transcribe")
                        && !model.starts_with("gpt-live-transcribe")
                    {
                        return Err(Refusal::coded(
                            "unsupported_parameter",
                            "session.audio.input.transcription.languages",
                            "This transcription model takes one language.",
                        ));
                    }
                    if transcription
                        .language
                        .as_ref()
                        .is_some_and(|language| language.len() != 2)
                    {
                        return Err(Refusal::value(
                            "session.audio.input.transcription.language",
                            "Invalid language: expected ISO-639-1.",
                        ));
                    }
                }
                if let Some(wanted) = &side.turn_detection {
                    check_turns(wanted.as_ref())?;
                    turn_detection.clone_from(wanted);
                }
            }
            if let Some(side) = &audio.output {
                if let Some(format) = side.format {
                    output = format.known("session.audio.output.format")?;
                }
                if let Some(voice) = &side.voice {
                    self.check_voice(voice, &raw["audio"]["output"]["voice"], spoken)?;
                }
                if side.speed.is_some_and(|speed| !(0.25..=1.5).contains(&speed)) {
                    return Err(Refusal::value(
                        "session.audio.output.speed",
                        "Expected 0.25 to 1.5.",
                    ));
                }
            }
        }
        (self.input, self.output, self.turn_detection) = (input, output, turn_detection);
        if let Some(tools) = &update.tools {
            self.tools = tools.iter().map(|tool| tool.name.clone()).collect();
        }
        merge(&mut self.effective, raw);
        Ok(())
    }

    fn check_voice(&self, voice: &Voice, raw: &Value, spoken: bool) -> Result<(), Refusal> {
        if let Voice::Named(name) = voice
            && !VOICES.contains(&name.as_str())
        {
            let message = format!("Invalid value: '{name}'. Supported values are: {VOICES:?}.");
            return Err(Refusal::value("session.audio.output.voice", message));
        }
        if spoken && self.effective["audio"]["output"]["voice"] != *raw {
            return Err(Refusal::coded(
                "cannot_update_voice",
                "session.audio.output.voice",
                "Cannot update a conversation's voice if assistant audio is present.",
            ));
        }
        Ok(())
    }

    /// Confirms and speaks another format than was asked for.
    pub(super) fn betray(&mut self) {
        self.output = Format::pcm(24_000);
        self.effective["audio"]["output"]["format"] = json!({"type": "audio/pcm", "rate": 24_000});
    }

    pub(super) fn silence_ms(&self) -> u64 {
        match &self.turn_detection {
            Some(TurnDetection::ServerVad {
                silence_duration_ms, ..
            }) => silence_duration_ms.unwrap_or(200),
            Some(TurnDetection::SemanticVad { eagerness, .. }) => match eagerness {
                Some(Eagerness::High) => 200,
                Some(Eagerness::Low) => 800,
                Some(Eagerness::Medium | Eagerness::Auto) | None => 400,
            },
            None => 200,
        }
    }

    pub(super) fn interrupts(&self) -> bool {
        match &self.turn_detection {
            Some(
                TurnDetection::ServerVad {
                    interrupt_response, ..
                }
                | TurnDetection::SemanticVad {
                    interrupt_response, ..
                },
            ) => interrupt_response.unwrap_or(true),
            None => false,
        }
    }

    pub(super) fn responds(&self) -> bool {
        match &self.turn_detection {
            Some(
                TurnDetection::ServerVad { create_response, .. }
                | TurnDetection::SemanticVad { create_response, .. },
            ) => create_response.unwrap_or(true),
            None => false,
        }
    }

    pub(super) fn idle_timeout_ms(&self) -> Option<u64> {
        match &self.turn_detection {
            Some(TurnDetection::ServerVad { idle_timeout_ms, .. }) => *idle_timeout_ms,
            _ => None,
        }
    }

    pub(super) fn transcription_model(&self) -> Option<&str> {
        self.effective["audio"]["input"]["transcription"]["model"].as_str()
    }
}

fn check_turns(wanted: Option<&TurnDetection>) -> Result<(), Refusal> {
    if let Some(TurnDetection::ServerVad {
        threshold,
        prefix_padding_ms,
        idle_timeout_ms,
        ..
    }) = wanted
    {
        let param = |name: &str| format!("session.audio.input.turn_detection.{name}");
        if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            return Err(Refusal::value(&param("threshold"), "Expected 0.0 to 1.0."));
        }
        if prefix_padding_ms.is_some_and(|ms| ms > 5_000) {
            return Err(Refusal::value(
                &param("prefix_padding_ms"),
                "Expected at most 5000.",
            ));
        }
        if idle_timeout_ms.is_some_and(|ms| !(5_000..=30_000).contains(&ms)) {
            return Err(Refusal::value(
                &param("idle_timeout_ms"),
                "Expected 5000 to 30000.",
            ));
        }
    }
    Ok(())
}

fn reasons(model: &str) -> bool {
    model.starts_with("gpt-realtime-2") && !model.starts_with("gpt-realtime-2025")
}

/// What is named changes, `null` clears, the rest stays. A format is one thing: it changes as a whole.
fn merge(effective: &mut Value, update: &Value) {
    match (effective, update) {
        (Value::Object(effective), Value::Object(update)) => {
            for (name, value) in update {
                let old = effective.entry(name.clone()).or_insert(Value::Null);
                if matches!(name.as_str(), "format" | "turn_detection" | "transcription") {
                    *old = value.clone();
                } else {
                    merge(old, value);
                }
            }
        }
        (effective, update) => *effective = update.clone(),
    }
}
