//! What a session shall be, in words every provider's configuration is made from.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::{AudioFormat, Speaker};

/// An account at a provider.
#[derive(Clone, Debug)]
pub struct Account {
    /// The provider's host, or a simulator's: `wss://api.openai.com`. The adapter appends its path.
    pub base_url: Url,
    /// The key.
    pub key: SecretString,
}

/// One conversation: who the agent is, how it sounds, what it may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The model; today's defaults are in [`models`](crate::models).
    pub model: String,
    /// Who the agent is and what it shall do.
    pub instructions: String,
    /// The provider's name of a voice.
    pub voice: Option<String>,
    /// What we send.
    pub input: AudioFormat,
    /// What we want to get.
    pub output: AudioFormat,
    /// Languages the caller may speak, the likeliest first (`en`, `es`, `cs`, or with a region).
    pub languages: Vec<String>,
    /// Who decides when the caller has finished.
    pub turns: Turns,
    /// What the model may ask for.
    pub tools: Arc<[ToolSpec]>,
    /// What was said before, when another session is continued here; the oldest first.
    pub history: Vec<Said>,
    /// Names the tenant to the provider's abuse desk; no personal data.
    pub safety_id: Option<String>,
    /// A handle of an earlier connection, see [`Event::Resumable`](crate::Event::Resumable).
    pub resume: Option<String>,
}

/// Who decides when the caller has finished speaking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turns {
    /// The provider, with these hints. It starts its answers and stops them when the caller speaks.
    Theirs(TurnHints),
    /// We do, with [`Command::EndTurn`](crate::Command::EndTurn).
    Ours,
}

impl Default for Turns {
    fn default() -> Self {
        Self::Theirs(TurnHints::default())
    }
}

/// How a provider shall take turns. Providers round to what they have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurnHints {
    /// Judge by meaning rather than by silence, where the provider can.
    pub semantic: bool,
    /// How sure to be that a sound is speech, 0 to 1.
    pub threshold: f32,
    /// Silence that ends a turn.
    pub silence_ms: u32,
    /// Audio kept from before speech was noticed.
    pub prefix_ms: u32,
    /// Silence after which the model asks whether somebody is there.
    pub idle_ms: Option<u32>,
}

impl Default for TurnHints {
    fn default() -> Self {
        Self {
            semantic: false,
            threshold: 0.5,
            silence_ms: 500,
            prefix_ms: 300,
            idle_ms: None,
        }
    }
}

/// A tool as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// A JSON Schema of type object.
    pub parameters: Value,
}

/// One thing that was said before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub speaker: Speaker,
    /// What; of the agent only what was heard.
    pub text: String,
}
