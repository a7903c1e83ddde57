//! What a media worker tells the rest of the platform about a call.
//!
//! A [`Sink`] takes facts from the task that moves the audio, so it never waits: what it cannot take is counted and
//! dropped.

use std::fmt;

use chrono::{DateTime, Utc};
use voice_providers::{Provider, Quantities, Speaker};
use voice_schemas::{AgentId, CallId, TenantId, events::call::Carrier};
use voice_telephony::media::Lost;
use voice_turns::timeline::Turn;

use crate::error::Ending;

/// Whose facts they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The tenant.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// The AI agent that talks.
    pub agent: Option<AgentId>,
    /// Who brought the call.
    pub carrier: Carrier,
    /// Who speaks.
    pub provider: Provider,
}

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The stream was opened.
    Started,
    /// A turn is over.
    Turn(Turn),
    /// Somebody said something.
    Utterance(Utterance),
    /// The stream was closed.
    Stopped(Stopped),
}

impl Fact {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Turn(_) => "turn",
            Self::Utterance(_) => "utterance",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// What somebody said, already redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Who.
    pub speaker: Speaker,
    /// All of it; of the agent, all that was generated.
    pub text: String,
    /// What the other side heard of it.
    pub heard: String,
    /// The language as the provider names it.
    pub language: Option<String>,
    /// How much was heard, of the agent.
    pub heard_ms: Option<u64>,
    /// How much there was, of the agent.
    pub generated_ms: Option<u64>,
    /// The other side interrupted it.
    pub interrupted: bool,
}

/// What people say stays out of logs.
impl fmt::Debug for Utterance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Utterance")
            .field("speaker", &self.speaker)
            .field("heard_ms", &self.heard_ms)
            .field("generated_ms", &self.generated_ms)
            .field("interrupted", &self.interrupted)
            .finish_non_exhaustive()
    }
}

/// How a stream went.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// Why it ended.
    pub ending: Ending,
    /// How long it was open.
    pub duration_ms: u64,
    /// Frames of the caller.
    pub frames: u64,
    /// Frames of the caller that are missing.
    pub lost: Lost,
    /// Messages of the carrier and pieces of the provider that were skipped.
    pub malformed: u64,
    /// Where the recording will be in the object store.
    pub recording: Option<String>,
    /// What the provider will charge for.
    pub usage: Quantities,
}

/// Where facts go.
pub trait Sink: Send + Sync + fmt::Debug {
    /// Takes a fact without waiting.
    fn emit(&self, subject: &Subject, at: DateTime<Utc>, fact: Fact);
}
