//! The set-up of a Gemini Live session and the messages made from it.

use serde_json::{Value, json};

use crate::{Session, Speaker, Turns};

/// What only this provider has.
#[derive(Clone, Debug)]
pub struct Options {
    /// How hard to think: `MINIMAL`, `LOW`, `MEDIUM`, `HIGH`.
    pub thinking_level: Option<String>,
    /// From so many tokens on older turns are forgotten, down to half of it; without, a session ends after a
    /// quarter of an hour.
    pub compress_from_tokens: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            thinking_level: Some("LOW".to_owned()),
            compress_from_tokens: 25_600,
        }
    }
}

/// Models that take content also after their first answer.
pub(super) fn takes_content(model: &str) -> bool {
    !model.contains("gemini-3.1") && !model.contains("gemini-2.5")
}

/// `setup`
pub(super) fn setup(session: &Session, options: &Options) -> Value {
    let mut generation = json!({"responseModalities": ["AUDIO"]});
    if let Some(voice) = &session.voice {
        generation["speechConfig"] = json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}});
    }
    if let Some(level) = &options.thinking_level {
        generation["thinkingConfig"] = json!({"thinkingLevel": level});
    }
    let detection = match session.turns {
        Turns::Ours => json!({"disabled": true}),
        Turns::Theirs(hints) => {
            let level =
                |side: &str, high: bool| format!("{side}_SENSITIVITY_{}", if high { "HIGH" } else { "LOW" });
            json!({"disabled": false, "startOfSpeechSensitivity": level("START", hints.threshold <= 0.5),
                   "endOfSpeechSensitivity": level("END", hints.silence_ms <= 800),
                   "prefixPaddingMs": hints.prefix_ms, "silenceDurationMs": hints.silence_ms})
        }
    };
    let mut transcription = json!({});
    if !session.languages.is_empty() {
        transcription["languageCodes"] = json!(session.languages);
    }
    // Nothing of what is replayed is asked for again when a session is taken up by its handle.
    let replays = session.resume.is_none() && !session.history.is_empty();
    let model = if session.model.contains('/') {
        session.model.clone()
    } else {
        format!("models/{}", session.model)
    };
    let mut setup = json!({
        "model": model, "generationConfig": generation,
        "systemInstruction": {"parts": [{"text": session.instructions}]},
        "realtimeInputConfig": {"automaticActivityDetection": detection,
            "activityHandling": "START_OF_ACTIVITY_INTERRUPTS", "turnCoverage": "TURN_INCLUDES_ONLY_ACTIVITY"},
        "inputAudioTranscription": transcription, "outputAudioTranscription": {},
        "sessionResumption": session.resume.as_ref().map_or_else(|| json!({}), |handle| json!({"handle": handle})),
        "contextWindowCompression": {"triggerTokens": options.compress_from_tokens.to_string(),
            "slidingWindow": {"targetTokens": (options.compress_from_tokens / 2).to_string()}},
    });
    if replays {
        setup["historyConfig"] = json!({"initialHistoryInClientContent": true});
    }
    if !session.tools.is_empty() {
        let declarations: Vec<Value> = session
            .tools
            .iter()
            .map(|tool| {
                json!({"name": tool.name, "description": tool.description, "behavior": "NON_BLOCKING",
                       "parametersJsonSchema": tool.parameters})
            })
            .collect();
        setup["tools"] = json!([{"functionDeclarations": declarations}]);
    }
    json!({"setup": setup})
}

/// What was said before. It calls for no answer and is complete with this message.
pub(super) fn history(session: &Session) -> Option<Value> {
    if session.resume.is_some() || session.history.is_empty() {
        return None;
    }
    let turns: Vec<Value> = session
        .history
        .iter()
        .map(|said| {
            let role = match said.speaker {
                Speaker::Caller => "user",
                Speaker::Agent => "model",
            };
            json!({"role": role, "parts": [{"text": said.text}]})
        })
        .collect();
    Some(json!({"clientContent": {"turns": turns, "turnComplete": true}}))
}

/// The result of a tool must be an object; whatever else it is becomes one.
pub(super) fn tool_response(call: &str, name: &str, output: &str, answer: bool) -> Value {
    let response = match serde_json::from_str::<Value>(output) {
        Ok(object @ Value::Object(_)) => object,
        Ok(other) => json!({"result": other}),
        Err(_) => json!({"result": output}),
    };
    let scheduling = if answer { "WHEN_IDLE" } else { "SILENT" };
    json!({"toolResponse": {"functionResponses": [
        {"id": call, "name": name, "response": response, "scheduling": scheduling}]}})
}
