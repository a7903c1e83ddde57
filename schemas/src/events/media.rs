//! What happens to the audio of a call: the facts on `media.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AgentId, CallId, Envelope, envelope::EventData};

/// An event on `media.events`.
pub type MediaEvent = Envelope<MediaData>;

/// The stream, and the turn where the event is about one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MediaData {
    /// The call.
    pub call_id: CallId,
    /// The AI agent that talks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The AI provider (`openai`, `gemini`, `deepgram`).
    pub provider: String,
    /// Present on `media.turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

/// One turn: the caller stopped speaking, the agent answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// Counts from 1 within the call.
    pub number: u32,
    /// From the end of the caller's speech to the first audio frame sent.
    pub latency_ms: u32,
    /// The caller interrupted the answer.
    #[serde(default)]
    pub interrupted: bool,
}

impl EventData for MediaData {
    const SCHEMA: &'static str = "media-event.v1.json";

    fn subject(&self) -> String {
        self.call_id.0.to_string()
    }
}
