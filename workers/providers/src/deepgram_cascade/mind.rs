//! The mind: one streamed chat completion for each answer.

use std::time::Instant;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::Options;
use crate::{Endpoint, FaultKind, Protocol, Quantities, Session, Unit, text::Text};

/// Once more, if it fails before its first word.
const TRIES: u32 = 2;

/// Who thinks: anybody who speaks OpenAI's chat completions.
#[derive(Clone, Debug)]
pub struct ChatAccount {
    /// `https://api.openai.com/v1/`; `chat/completions` is appended.
    pub base_url: Url,
    /// The key.
    pub key: SecretString,
}

/// An answer being thought of.
#[derive(Debug)]
pub(super) struct Mind {
    /// What the caller will have said, where it is a guess.
    pub(super) about: Option<String>,
    pub(super) instructions: Option<String>,
    /// Nothing of it is said yet.
    pub(super) silent: bool,
    /// What would have been said.
    pub(super) held: String,
    pub(super) calls: Vec<Call>,
    pub(super) finished: bool,
    pub(super) tries: u32,
    spoke: bool,
    deadline: Instant,
}

/// A tool it asks for, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// What a piece of the stream says.
#[derive(Debug)]
pub(super) enum Thought {
    Words(String),
    Usage(Quantities),
    Finished,
    Fault(FaultKind, String),
    Nothing,
}

impl Mind {
    pub(super) fn new(
        about: Option<&str>,
        instructions: Option<&str>,
        silent: bool,
        deadline: Instant,
    ) -> Self {
        Self {
            about: about.map(str::to_owned),
            instructions: instructions.map(str::to_owned),
            silent,
            held: String::new(),
            calls: Vec::new(),
            finished: false,
            tries: 1,
            spoke: false,
            deadline,
        }
    }

    /// By when its first word must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.spoke && !self.finished).then_some(self.deadline)
    }

    /// Only what has said nothing can begin anew.
    pub(super) fn may_retry(&self, kind: FaultKind) -> bool {
        !self.spoke && self.tries < TRIES && kind.blames_provider()
    }

    pub(super) fn take(&mut self, text: &str) -> Thought {
        if text.trim() == "[DONE]" {
            return Thought::Nothing;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(text) else {
            return Thought::Nothing;
        };
        if let Some(error) = chunk.error {
            let code = error.code.as_deref().unwrap_or("chat").to_owned();
            return Thought::Fault(FaultKind::Provider, code);
        }
        if let Some(usage) = chunk.usage {
            let cached = usage
                .prompt_tokens_details
                .map_or(0, |details| details.cached_tokens);
            let cached = cached.min(usage.prompt_tokens);
            return Thought::Usage(
                Quantities::of(Unit::TextIn, usage.prompt_tokens - cached)
                    .and(Unit::TextInCached, cached)
                    .and(Unit::TextOut, usage.completion_tokens),
            );
        }
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Thought::Nothing;
        };
        for piece in choice.delta.tool_calls.into_iter().flatten() {
            self.spoke = true;
            if self.calls.len() <= piece.index {
                // No model asks for so many at once; one that counts wrong does not take our memory.
                self.calls.resize_with((piece.index + 1).min(32), Call::default);
            }
            let Some(call) = self.calls.get_mut(piece.index) else {
                continue;
            };
            if let Some(id) = piece.id {
                call.id = id.to_string();
            }
            if let Some(function) = piece.function {
                call.name.push_str(function.name.as_deref().unwrap_or_default());
                call.arguments
                    .push_str(function.arguments.as_deref().unwrap_or_default());
            }
        }
        if choice.finish_reason.is_some() {
            return Thought::Finished;
        }
        match choice.delta.content {
            Some(words) if !words.is_empty() => {
                self.spoke = true;
                Thought::Words(words.0.into_owned())
            }
            _ => Thought::Nothing,
        }
    }
}

/// The request for an answer.
pub(super) fn endpoint(
    account: &ChatAccount,
    session: &Session,
    options: &Options,
    messages: &[&Value],
) -> Option<Endpoint> {
    let mut base = account.base_url.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    let url = base.join("chat/completions").ok()?;
    let mut bearer = http::HeaderValue::try_from(format!("Bearer {}", account.key.expose_secret())).ok()?;
    bearer.set_sensitive(true);
    let mut body = json!({"model": session.model, "messages": messages, "stream": true,
                          "stream_options": {"include_usage": true}});
    if !session.tools.is_empty() {
        body["tools"] = session
            .tools
            .iter()
            .map(|tool| {
                json!({"type": "function", "function": {"name": tool.name, "description": tool.description,
                       "parameters": tool.parameters}})
            })
            .collect();
    }
    if let Some(temperature) = options.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(tokens) = options.max_output_tokens {
        body["max_completion_tokens"] = json!(tokens);
    }
    Some(Endpoint {
        protocol: Protocol::EventStream {
            body: Bytes::from(body.to_string()),
        },
        url,
        headers: [(http::header::AUTHORIZATION, bearer)].into_iter().collect(),
    })
}

/// What it asked for, as the conversation remembers it.
pub(super) fn assistant_with(calls: &[Call]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({"id": call.id, "type": "function",
                   "function": {"name": call.name, "arguments": call.arguments}})
        })
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

#[derive(Debug, Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<ChatUsage>,
    #[serde(borrow)]
    error: Option<ChatError<'a>>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Delta<'a>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<CallPiece<'a>>>,
}

#[derive(Debug, Deserialize)]
struct CallPiece<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<FunctionPiece<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionPiece<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct ChatUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<CachedTokens>,
}

#[derive(Debug, Deserialize)]
struct CachedTokens {
    #[serde(default)]
    cached_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct ChatError<'a> {
    #[serde(borrow)]
    code: Option<Text<'a>>,
}
