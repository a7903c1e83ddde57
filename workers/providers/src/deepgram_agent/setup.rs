//! The settings of a Voice Agent.

use serde_json::{Value, json};

use crate::{
    Session, Speaker, deepgram,
    models::{self, FLUX_LANGUAGES},
};

/// What only this provider has.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who thinks, by the agent's name of it: `open_ai`, `anthropic`, `google`, `groq`.
    pub think_provider: String,
    /// How freely it chooses its words.
    pub temperature: Option<f32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            think_provider: "open_ai".to_owned(),
            temperature: None,
        }
    }
}

fn base(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or(language)
}

/// `Settings`, or nothing where the agent has no voice for the language.
pub(super) fn settings(session: &Session, options: &Options) -> Option<Value> {
    let languages: Vec<&str> = session.languages.iter().map(|language| base(language)).collect();
    let first = languages.first().copied().unwrap_or("en");
    let voice = match &session.voice {
        Some(voice) => voice.as_str(),
        None => models::deepgram_voice(first)?,
    };
    let listen = if languages.iter().all(|language| FLUX_LANGUAGES.contains(language)) {
        if languages.iter().all(|language| *language == "en") {
            json!({"type": "deepgram", "version": "v2", "model": "flux-general-en"})
        } else {
            json!({"type": "deepgram", "version": "v2", "model": "flux-general-multi",
                   "language_hints": languages})
        }
    } else {
        json!({"type": "deepgram", "version": "v1", "model": "nova-3"})
    };
    let mut provider = json!({"type": options.think_provider, "model": session.model});
    if let Some(temperature) = options.temperature {
        provider["temperature"] = json!(temperature);
    }
    let mut think = json!({"provider": provider, "prompt": session.instructions});
    if !session.tools.is_empty() {
        think["functions"] = session
            .tools
            .iter()
            .map(|tool| {
                json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters})
            })
            .collect();
    }
    let ((input, input_rate), (output, output_rate)) = (
        deepgram::encoding(session.input),
        deepgram::encoding(session.output),
    );
    let mut agent = json!({
        "language": if languages.len() > 1 { "multi" } else { first },
        "listen": {"provider": listen}, "think": think,
        "speak": {"provider": {"type": "deepgram", "model": voice}}});
    if !session.history.is_empty() {
        let messages: Vec<Value> = session
            .history
            .iter()
            .map(|said| {
                let role = match said.speaker {
                    Speaker::Caller => "user",
                    Speaker::Agent => "assistant",
                };
                json!({"type": "History", "role": role, "content": said.text})
            })
            .collect();
        agent["context"] = json!({"messages": messages});
    }
    Some(json!({"type": "Settings", "agent": agent, "audio": {
        "input": {"encoding": input, "sample_rate": input_rate},
        "output": {"encoding": output, "sample_rate": output_rate, "container": "none"}}}))
}
