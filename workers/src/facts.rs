//! What a media worker tells the rest of the platform about a call.
//!
//! A [`Sink`] takes facts from the task that moves the audio, so it never waits: what it cannot take is counted and
//! dropped. Where a fact is told as it is, it has the shape of its event; numbers count from 1 within the stream.

use std::fmt;

use chrono::{DateTime, Utc};
use voice_providers::{Provider, Quantities, Speaker};
use voice_schemas::{
    AgentId, CallId, TenantId,
    events::{
        call::Carrier,
        media::{ProviderChange, Start, ToolUse, Usage, Verdict},
    },
};
use voice_telephony::media::{Dialled, Lost};
use voice_turns::timeline;

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
    /// Who speaks at the moment.
    pub provider: Provider,
}

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The AI agent took the call: told among the events of calls.
    Connected(Connected),
    /// A person, a machine or a fax picked up: told among the events of calls, too.
    Detected(Connected, Verdict),
    /// The stream was opened.
    Started(Start),
    /// A turn is over.
    Turn(Turn),
    /// Somebody said something.
    Utterance(Utterance),
    /// The call goes on with another session, or with none.
    ProviderChanged(ProviderChange),
    /// The circuit breaker of a provider's account opened or closed; told by the call that noticed it.
    BreakerChanged(BreakerChange),
    /// The agent used a tool, or was refused it.
    ToolUsed(ToolUse),
    /// What a model used since the last such fact about it.
    Usage(Usage),
    /// What picked up.
    Verdict(Verdict),
    /// The caller has heard that they talk to a machine.
    Disclosed,
    /// The caller speaks another language from now on, as a BCP 47 tag.
    LanguageChanged(String),
    /// The stream was closed.
    Stopped(Stopped),
}

impl Fact {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Detected(..) => "detected",
            Self::Started(_) => "started",
            Self::Turn(_) => "turn",
            Self::Utterance(_) => "utterance",
            Self::ProviderChanged(_) => "provider_changed",
            Self::BreakerChanged(_) => "breaker_changed",
            Self::ToolUsed(_) => "tool_used",
            Self::Usage(_) => "usage",
            Self::Verdict(_) => "verdict",
            Self::Disclosed => "disclosed",
            Self::LanguageChanged(_) => "language_changed",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// Which call the AI agent took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The carrier's name of the call.
    pub carrier_call_id: String,
    /// The carrier's name of the stream.
    pub stream_id: String,
    /// What the call belongs to; none where it came to us.
    pub dialled: Option<Dialled>,
}

/// One turn: where its time went, and where in the stream it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Where its time went.
    pub times: timeline::Turn,
    /// When the caller stopped speaking, from the start of the stream, if they had spoken.
    pub speech_end_ms: Option<u64>,
    /// So much audio was made for its answer.
    pub generated_ms: u64,
    /// So much of it the caller has heard so far.
    pub heard_ms: u64,
}

/// What somebody said, already redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Counts from 1 within the stream.
    pub number: u32,
    /// Who.
    pub speaker: Speaker,
    /// All of it; of the agent, all that was generated.
    pub text: String,
    /// What the other side heard of it.
    pub heard: String,
    /// The language as the provider names it.
    pub language: Option<String>,
    /// When it began, from the start of the stream, where that is known.
    pub starts_ms: Option<u64>,
    /// When it was over, from the start of the stream.
    pub ends_ms: u64,
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
            .field("number", &self.number)
            .field("speaker", &self.speaker)
            .field("heard_ms", &self.heard_ms)
            .field("generated_ms", &self.generated_ms)
            .field("interrupted", &self.interrupted)
            .finish_non_exhaustive()
    }
}

/// The circuit breaker of one of a tenant's accounts at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerChange {
    /// The account, by the operator's name of it.
    pub account: String,
    /// Whose it is.
    pub provider: Provider,
    /// What it did with calls before: `closed`, `open`, `half_open`.
    pub from: &'static str,
    /// What it does from now on.
    pub to: &'static str,
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
    /// What the providers will charge for.
    pub usage: Quantities,
    /// What that costs, in millionths of the currency.
    pub micros: u64,
    /// ISO 4217.
    pub currency: String,
}

/// Where facts go.
pub trait Sink: Send + Sync + fmt::Debug {
    /// Takes a fact without waiting.
    fn emit(&self, subject: &Subject, at: DateTime<Utc>, fact: Fact);
}
