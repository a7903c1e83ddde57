//! The CloudEvents 1.0 envelope, structured JSON, one event per Kafka record.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>; `tenantid`, `correlationid` and
//! `causationid` are extension attributes, `traceparent` is the distributed tracing extension.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{EventId, TenantId};

/// Everything an event says about itself, around its `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    /// Always `1.0`.
    pub specversion: SpecVersion,
    /// Equal ids are the same fact: consumers treat a second one as already done.
    pub id: EventId,
    /// Who wrote it, a URI reference: `/ingest/telnyx`, `/analytics/watchdog`.
    pub source: String,
    /// What happened, such as `call.answered`.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// What it happened to: the plain UUID of the call, agent, campaign or attempt.
    pub subject: String,
    /// When it happened, by the clock of whoever saw it first (the carrier, for carrier events).
    #[serde(with = "crate::time")]
    #[schemars(with = "DateTime<Utc>")]
    pub time: DateTime<Utc>,
    /// The JSON Schema of this envelope and its data, relative to `schemas/json/`.
    pub dataschema: String,
    /// The tenant it belongs to.
    pub tenantid: TenantId,
    /// Ties together everything one call, request or job caused.
    pub correlationid: String,
    /// The event or command that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The fact itself.
    pub data: T,
}

/// The CloudEvents version; there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SpecVersion {
    /// CloudEvents 1.0.
    #[default]
    #[serde(rename = "1.0")]
    V1,
}

/// Data that knows its schema and the thing it is about.
pub trait EventData: Serialize + DeserializeOwned + JsonSchema {
    /// File name under `schemas/json/`.
    const SCHEMA: &'static str;

    /// The plain UUID of the call, agent, campaign or attempt this is about.
    fn subject(&self) -> String;
}

impl<T: EventData> Envelope<T> {
    /// An envelope whose correlation is its subject and whose trace is empty.
    pub fn new(
        id: EventId,
        tenant: TenantId,
        source: &str,
        kind: EventType,
        time: DateTime<Utc>,
        data: T,
    ) -> Self {
        let subject = data.subject();
        Self {
            specversion: SpecVersion::V1,
            id,
            source: source.to_owned(),
            kind,
            correlationid: subject.clone(),
            subject,
            time,
            dataschema: T::SCHEMA.to_owned(),
            tenantid: tenant,
            causationid: None,
            traceparent: None,
            data,
        }
    }
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $wire:literal),+ $(,)?) => {
        /// Every type of event the platform knows; the names are part of the public contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)+
        }

        impl EventType {
            /// All of them, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)+ }
            }

            /// The type with this wire name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

event_types! {
    /// The carrier took the call on, or an inbound call arrived.
    CallInitiated = "call.initiated",
    /// The far end is ringing.
    CallRinging = "call.ringing",
    /// Somebody or something picked up.
    CallAnswered = "call.answered",
    /// A verdict of answering machine detection.
    CallAmd = "call.amd",
    /// A person or AI agent was connected to the call.
    CallBridged = "call.bridged",
    /// The caller was put on hold.
    CallHeld = "call.held",
    /// The caller was taken off hold.
    CallResumed = "call.resumed",
    /// The call moved to somebody else.
    CallTransferred = "call.transferred",
    /// The far end pressed the key it was told to press, or the question ran out without one.
    CallDtmf = "call.dtmf",
    /// The call is over: the one terminal event of a call.
    CallEnded = "call.ended",
    /// The attempt was put on the dialer's plan.
    AttemptScheduled = "attempt.scheduled",
    /// The attempt was not made; the reasons say why.
    AttemptSkipped = "attempt.skipped",
    /// The carrier was asked to dial.
    AttemptDialled = "attempt.dialled",
    /// The attempt has its outcome.
    AttemptFinished = "attempt.finished",
    /// The agent's status changed.
    AgentStatusChanged = "agent.status_changed",
    /// The agent was reserved for a call.
    AgentReserved = "agent.reserved",
    /// The reservation ran out before a call came.
    AgentReservationExpired = "agent.reservation_expired",
    /// The reconciler repaired a status that disagreed with the call legs.
    AgentCorrected = "agent.corrected",
    /// The carrier took on the call to an agent that puts them into their room.
    AgentLegInitiated = "agent.leg_initiated",
    /// The agent picked up.
    AgentLegAnswered = "agent.leg_answered",
    /// The agent is in their room.
    AgentLegJoined = "agent.leg_joined",
    /// The agent's leg is over: the one terminal event of it.
    AgentLegEnded = "agent.leg_ended",
    /// The campaign was created.
    CampaignCreated = "campaign.created",
    /// The campaign got a start time.
    CampaignScheduled = "campaign.scheduled",
    /// The campaign started.
    CampaignStarted = "campaign.started",
    /// The campaign lets its live calls finish, then pauses.
    CampaignPausing = "campaign.pausing",
    /// The campaign is paused.
    CampaignPaused = "campaign.paused",
    /// The campaign goes on.
    CampaignResumed = "campaign.resumed",
    /// The campaign has nobody left to call.
    CampaignCompleted = "campaign.completed",
    /// The campaign was cancelled.
    CampaignCancelled = "campaign.cancelled",
    /// Numbers must not be called any more.
    ContactSuppressed = "contact.suppressed",
    /// A person agreed to something, refused it or took it back.
    ContactConsentChanged = "contact.consent_changed",
    /// A file of contacts was taken in: they were created and updated.
    ImportCompleted = "import.completed",
    /// A file of contacts could not be taken in to its end.
    ImportFailed = "import.failed",
    /// The media stream of a call was opened.
    MediaStarted = "media.started",
    /// One turn of a conversation with an AI agent.
    MediaTurn = "media.turn",
    /// The call went on with another session, at the same provider or another one.
    MediaProviderChanged = "media.provider_changed",
    /// The AI agent used a tool.
    MediaToolUsed = "media.tool_used",
    /// A judgement of what picked up, from the audio.
    MediaVerdict = "media.verdict",
    /// The caller was told that an AI speaks.
    MediaDisclosed = "media.disclosed",
    /// The AI agent speaks another language from now on.
    MediaLanguageChanged = "media.language_changed",
    /// A model used something that costs money.
    MediaUsage = "media.usage",
    /// The recording of a call is complete in the object store.
    MediaRecordingReady = "media.recording_ready",
    /// The media stream of a call was closed.
    MediaStopped = "media.stopped",
    /// Somebody said something on a call.
    TranscriptUtterance = "transcript.utterance",
    /// Sessions at an AI provider's account are refused, tried or given again.
    ProviderBreakerChanged = "provider.breaker_changed",
    /// A report is finished.
    ReportCompleted = "report.completed",
    /// A report could not be made.
    ReportFailed = "report.failed",
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
