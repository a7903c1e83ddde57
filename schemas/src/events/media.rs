//! What happens to the audio of a call: the facts on `media.events`, and what was said, on `media.transcripts`.
//!
//! `media.events` holds no word that was spoken and nothing about a person. `media.transcripts` is restricted: it
//! holds what was said, redacted before it was written.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{call::Carrier, wire_enum};
use crate::{AgentId, CallId, Envelope, EventId, EventType, TenantId, envelope::EventData};

/// An event on `media.events`.
pub type MediaEvent = Envelope<MediaData>;
/// An event on `media.transcripts`.
pub type TranscriptEvent = Envelope<TranscriptData>;

/// The stream, and the section its type of event requires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MediaData {
    /// The call.
    pub call_id: CallId,
    /// The AI agent that talks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The AI provider (`openai_realtime`, `gemini_live`, …) that speaks at that moment.
    pub provider: String,
    /// Present on `media.turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// Present on `media.started`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Present on `media.provider_changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ProviderChange>,
    /// Present on `media.tool_used`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolUse>,
    /// Present on `media.verdict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Present on `media.language_changed`: a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Present on `media.usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Present on `media.recording_ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// Present on `media.stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// How a stream begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Who brings the call.
    pub carrier: Carrier,
    /// The model that is asked for; empty where the provider has none to name.
    pub model: String,
    /// How the carrier codes audio: `pcmu`, `pcma`, `l16`, `opus`.
    pub codec: String,
    /// Audio is copied between carrier and provider as it is, without being decoded.
    #[serde(default)]
    pub pass_through: bool,
    /// The call is recorded.
    #[serde(default)]
    pub recorded: bool,
}

/// One turn: the caller stopped speaking, the agent answered.
///
/// The moments are milliseconds from the end of the caller's speech, or from the decision to speak where nobody
/// had spoken; one that never came is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// Counts from 1 within the stream.
    pub number: u32,
    /// From the end of the caller's speech to the first audio frame sent.
    pub latency_ms: u32,
    /// The caller interrupted the answer.
    #[serde(default)]
    pub interrupted: bool,
    /// Nobody had spoken before: a greeting, or a question into silence.
    #[serde(default)]
    pub unprompted: bool,
    /// When the caller stopped speaking, milliseconds from the start of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech_end_ms: Option<u64>,
    /// The provider took the turn for over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_ms: Option<u32>,
    /// The first word of the answer, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u32>,
    /// The first audio of the answer reached us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_in_ms: Option<u32>,
    /// It left us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_out_ms: Option<u32>,
    /// The caller is known to have heard the first of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_mark_ms: Option<u32>,
    /// From the first audio in to the first audio out, microseconds: ours alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_us: Option<u32>,
    /// How much audio the agent generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_ms: Option<u32>,
    /// How much of it the caller heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u32>,
}

wire_enum!(
    /// How a call came to another session.
    ChangeKind {
        /// The session broke and was opened again at the same provider.
        Reconnect = "reconnect",
        /// It was replaced before its end, at the same provider.
        HandOver = "hand_over",
        /// Another provider took over.
        Failover = "failover",
        /// The same provider goes on with a cheaper model.
        Downgrade = "downgrade",
        /// Nobody took over: a recorded sentence was played.
        LastResort = "last_resort",
    }
);

/// The call went on with another session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderChange {
    /// Counts from 1 within the stream.
    pub number: u32,
    /// How.
    pub kind: ChangeKind,
    /// Who spoke before.
    pub from: String,
    /// Who speaks now; empty after the last resort.
    pub to: String,
    /// Why, as a stable label: `expired`, `stalled`, `connection`, …
    pub cause: String,
    /// How long nobody could speak, milliseconds.
    pub gap_ms: u32,
    /// Audio of the caller that no session heard, milliseconds.
    #[serde(default)]
    pub lost_ms: u32,
}

/// The agent used a tool. What it asked for and was told stays out: both hold what people said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolUse {
    /// Counts from 1 within the stream.
    pub number: u32,
    /// The tool.
    pub name: String,
    /// What came of it, as a stable label: `done`, `bad_arguments`, `timed_out`, …
    pub outcome: String,
    /// How long it took, milliseconds.
    pub duration_ms: u32,
}

wire_enum!(
    /// What is at the other end of the line.
    FarEnd {
        /// A person.
        Human = "human",
        /// A voicemail box or answering machine.
        Machine = "machine",
        /// A fax.
        Fax = "fax",
        /// A bot that asks who calls before it puts them through.
        Screening = "screening",
        /// A menu that wants keys pressed.
        Ivr = "ivr",
        /// Nobody said anything.
        Silence = "silence",
    }
);

/// How probable each far end is; the sum is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probabilities {
    /// A person.
    pub human: f64,
    /// A voicemail box or answering machine.
    pub machine: f64,
    /// A fax.
    pub fax: f64,
    /// A screening bot.
    pub screening: f64,
    /// A menu.
    pub ivr: f64,
    /// Nobody.
    pub silence: f64,
}

/// What picked up, judged from cadence, tones and words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Counts from 1 within the stream; a later one replaces the ones before.
    pub number: u32,
    /// The most probable.
    pub likely: FarEnd,
    /// All of them.
    pub probabilities: Probabilities,
    /// A beep was heard.
    #[serde(default)]
    pub beep: bool,
    /// From the start of the stream to the verdict, milliseconds.
    pub after_ms: u32,
}

/// What a model used since the last event of this type, and what that costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Counts from 1 within the stream.
    pub number: u32,
    /// The model that used it: not always the one that speaks, transcription has its own.
    pub model: String,
    /// How much.
    pub quantities: Quantities,
    /// The price table that was used.
    pub price_table: String,
    /// ISO 4217.
    pub currency: String,
    /// The cost in millionths of the currency.
    pub micros: u64,
    /// Some of it has no price in the table: the cost is a lower bound.
    #[serde(default)]
    pub unpriced: bool,
}

/// Quantities in the units providers charge for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quantities {
    /// Tokens of text the model read for the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub text_in: u64,
    /// Tokens of text it had read before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub text_in_cached: u64,
    /// Tokens of text it wrote.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub text_out: u64,
    /// Tokens of audio it heard for the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_in: u64,
    /// Tokens of audio it had heard before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_in_cached: u64,
    /// Tokens of audio it spoke.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_out: u64,
    /// How long a session stood, milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub session_ms: u64,
    /// How much audio was recognised, milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recognised_ms: u64,
    /// Characters of text turned into speech.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spoken_characters: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the serializer asks with a reference"
)]
const fn is_zero(quantity: &u64) -> bool {
    *quantity == 0
}

/// A recording that is complete in the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// Where it is in the object store.
    pub key: String,
    /// SHA-256 of the object as it is stored, in hexadecimal.
    pub sha256: String,
    /// Bytes of the object as it is stored.
    pub bytes: u64,
    /// How long it plays, milliseconds.
    pub duration_ms: u64,
    /// How long it may be kept, by the name of the rule: `standard`, `legal_hold`, …
    pub retention: String,
    /// Names the key that wraps the object's own.
    pub key_id: String,
    /// The process died during the call: this is what had been written by then.
    #[serde(default)]
    pub salvaged: bool,
}

/// How a stream went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Why it ended, as a stable label.
    pub cause: String,
    /// The failure behind the cause, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How long it was open, milliseconds.
    pub duration_ms: u64,
    /// Frames of the caller.
    pub frames: u64,
    /// Frames of the caller that never came.
    pub lost: u64,
    /// Messages of the carrier and pieces of the provider that were skipped.
    pub malformed: u64,
    /// What all usage costs in millionths of the currency.
    pub micros: u64,
    /// ISO 4217.
    pub currency: String,
    /// Where the recording will be in the object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

impl MediaData {
    /// The section an event of this type needs, where it is missing.
    #[must_use]
    pub const fn missing_section(&self, kind: EventType) -> Option<&'static str> {
        let (name, there) = match kind {
            EventType::MediaTurn => ("turn", self.turn.is_some()),
            EventType::MediaProviderChanged => ("change", self.change.is_some()),
            EventType::MediaToolUsed => ("tool", self.tool.is_some()),
            EventType::MediaVerdict => ("verdict", self.verdict.is_some()),
            EventType::MediaLanguageChanged => ("language", self.language.is_some()),
            EventType::MediaUsage => ("usage", self.usage.is_some()),
            EventType::MediaRecordingReady => ("recording", self.recording.is_some()),
            _ => return None,
        };
        if there { None } else { Some(name) }
    }
}

impl EventData for MediaData {
    const SCHEMA: &'static str = "media-event.v1.json";

    fn subject(&self) -> String {
        self.call_id.0.to_string()
    }
}

/// The stream an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaRef<'a> {
    /// The call.
    pub call_id: CallId,
    /// The AI agent that talks.
    pub agent_id: Option<AgentId>,
    /// The AI provider that speaks.
    pub provider: &'a str,
}

/// One thing that happened to a stream. The type of the event and the section it needs are one value, so an event
/// without its section cannot be built.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaFact {
    /// `media.started`
    Started(Start),
    /// `media.turn`
    Turn(Turn),
    /// `media.provider_changed`
    ProviderChanged(ProviderChange),
    /// `media.tool_used`
    ToolUsed(ToolUse),
    /// `media.verdict`
    Verdict(Verdict),
    /// `media.disclosed`
    Disclosed,
    /// `media.language_changed`, with the BCP 47 tag of the language now spoken
    LanguageChanged(String),
    /// `media.usage`
    Usage(Usage),
    /// `media.recording_ready`
    RecordingReady(Recording),
    /// `media.stopped`
    Stopped(Stop),
}

impl MediaFact {
    /// The type of the event that says it.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Started(_) => EventType::MediaStarted,
            Self::Turn(_) => EventType::MediaTurn,
            Self::ProviderChanged(_) => EventType::MediaProviderChanged,
            Self::ToolUsed(_) => EventType::MediaToolUsed,
            Self::Verdict(_) => EventType::MediaVerdict,
            Self::Disclosed => EventType::MediaDisclosed,
            Self::LanguageChanged(_) => EventType::MediaLanguageChanged,
            Self::Usage(_) => EventType::MediaUsage,
            Self::RecordingReady(_) => EventType::MediaRecordingReady,
            Self::Stopped(_) => EventType::MediaStopped,
        }
    }

    /// The event. Its id is derived from what it says, so that a redelivery is the same event. A recording is told
    /// about again when the process died between storing and telling, at another time: its id depends on the
    /// stored bytes alone.
    #[must_use]
    pub fn into_event(
        self,
        tenant: TenantId,
        source: &str,
        at: DateTime<Utc>,
        media: &MediaRef<'_>,
    ) -> MediaEvent {
        let kind = self.event_type();
        let call = media.call_id.0.as_bytes();
        let name = kind.as_str().as_bytes();
        let numbered = |number: u32| EventId::derived(at, &[call, name, &number.to_be_bytes()]);
        let id = match &self {
            Self::Started(_) | Self::Disclosed | Self::LanguageChanged(_) | Self::Stopped(_) => numbered(0),
            Self::Turn(turn) => numbered(turn.number),
            Self::ProviderChanged(change) => numbered(change.number),
            Self::ToolUsed(tool) => numbered(tool.number),
            Self::Verdict(verdict) => numbered(verdict.number),
            Self::Usage(usage) => numbered(usage.number),
            Self::RecordingReady(recording) => {
                EventId::derived(DateTime::UNIX_EPOCH, &[call, name, recording.sha256.as_bytes()])
            }
        };
        let mut data = MediaData {
            call_id: media.call_id,
            agent_id: media.agent_id,
            provider: media.provider.to_owned(),
            turn: None,
            start: None,
            change: None,
            tool: None,
            verdict: None,
            language: None,
            usage: None,
            recording: None,
            stop: None,
        };
        match self {
            Self::Started(start) => data.start = Some(start),
            Self::Turn(turn) => data.turn = Some(turn),
            Self::ProviderChanged(change) => data.change = Some(change),
            Self::ToolUsed(tool) => data.tool = Some(tool),
            Self::Verdict(verdict) => data.verdict = Some(verdict),
            Self::Disclosed => {}
            Self::LanguageChanged(language) => data.language = Some(language),
            Self::Usage(usage) => data.usage = Some(usage),
            Self::RecordingReady(recording) => data.recording = Some(recording),
            Self::Stopped(stop) => data.stop = Some(stop),
        }
        Envelope::new(id, tenant, source, kind, at, data)
    }
}

wire_enum!(
    /// Who spoke.
    Speaker {
        /// The person on the line.
        Caller = "caller",
        /// The AI agent.
        Agent = "agent",
    }
);

/// What somebody said, redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptData {
    /// The call.
    pub call_id: CallId,
    /// The AI agent of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Counts from 1 within the stream.
    pub number: u32,
    /// Who.
    pub speaker: Speaker,
    /// All of it; of the agent, all that was generated.
    pub text: String,
    /// What the caller heard of the agent's words, where that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// The language, as a BCP 47 tag, where the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The other side interrupted it.
    #[serde(default)]
    pub interrupted: bool,
    /// When it began, milliseconds from the start of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_ms: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<u64>,
    /// How much audio the agent generated, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_ms: Option<u64>,
    /// How much of it was heard, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
}

/// What people say stays out of logs.
impl std::fmt::Debug for TranscriptData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TranscriptData")
            .field("call_id", &self.call_id)
            .field("number", &self.number)
            .field("speaker", &self.speaker)
            .finish_non_exhaustive()
    }
}

impl EventData for TranscriptData {
    const SCHEMA: &'static str = "transcript-event.v1.json";

    fn subject(&self) -> String {
        self.call_id.0.to_string()
    }
}

impl TranscriptData {
    /// The event. Its id is derived, so that a redelivery is the same event.
    #[must_use]
    pub fn into_event(self, tenant: TenantId, source: &str, at: DateTime<Utc>) -> TranscriptEvent {
        let kind = EventType::TranscriptUtterance;
        let id = EventId::derived(
            at,
            &[
                self.call_id.0.as_bytes(),
                kind.as_str().as_bytes(),
                &self.number.to_be_bytes(),
            ],
        );
        Envelope::new(id, tenant, source, kind, at, self)
    }
}
