//! What happens to a call: the facts on `calls.events`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire_enum;
use crate::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, Envelope, EventId, EventType, QueueId, TenantId,
    envelope::EventData,
};

/// An event on `calls.events` about a call.
pub type CallEvent = Envelope<CallData>;

wire_enum!(
    /// Who called whom.
    Direction {
        /// Somebody called us.
        Inbound = "inbound",
        /// We called somebody.
        Outbound = "outbound",
    }
);

wire_enum!(
    /// The carriers the platform speaks to.
    Carrier {
        /// Telnyx Call Control v2.
        Telnyx = "telnyx",
        /// Twilio Programmable Voice.
        Twilio = "twilio",
    }
);

wire_enum!(
    /// What picked up, as answering machine detection judged it.
    AnsweredBy {
        /// A person.
        Human = "human",
        /// A voicemail box or answering machine.
        Machine = "machine",
        /// A fax tone.
        Fax = "fax",
        /// Nobody said anything.
        Silence = "silence",
        /// The detector could not tell; never a reason to hang up.
        Unknown = "unknown",
    }
);

wire_enum!(
    /// How a call ended, the same for every carrier.
    CallOutcome {
        /// It was answered and later hung up.
        Completed = "completed",
        /// The line was engaged.
        Busy = "busy",
        /// It rang until the time-out.
        NoAnswer = "no_answer",
        /// The number does not exist or cannot be reached by design.
        InvalidNumber = "invalid_number",
        /// The far end or its network refused the call.
        Rejected = "rejected",
        /// We gave up before it was answered.
        Canceled = "canceled",
        /// The carrier failed.
        CarrierError = "carrier_error",
        /// The carrier no longer knows; concluded by the watchdog after asking.
        Unknown = "unknown",
    }
);

wire_enum!(
    /// Who hung up.
    HangupBy {
        /// The party that placed the call.
        Caller = "caller",
        /// The party that was called.
        Callee = "callee",
        /// The carrier or the platform.
        System = "system",
        /// Not said.
        Unknown = "unknown",
    }
);

wire_enum!(
    /// What kind of agent talks to the caller.
    AgentKind {
        /// A person.
        Human = "human",
        /// An AI voice agent.
        Ai = "ai",
    }
);

/// The call an event is about, and what it belongs to. Constant over the life of a call, except that
/// `agent_id` appears once somebody is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallRef {
    /// The call.
    pub call_id: CallId,
    /// Who called whom.
    pub direction: Direction,
    /// The carrier that carries it.
    pub carrier: Carrier,
    /// The carrier's own id of the call (`CA…`, `v3:…`).
    pub carrier_call_id: String,
    /// The campaign that placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    /// The shard of the campaign whose controller owns it; part of the record key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u16>,
    /// The attempt it carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
    /// The person who is called or calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<ContactId>,
    /// The queue it waits in or came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<QueueId>,
    /// The agent connected to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// HMAC of the far end's number with the tenant's key, 32 hexadecimal characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_token: Option<String>,
}

/// What the carrier said, word for word, and when it reached us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The carrier's name of the event (`call.hangup`, `completed`).
    pub carrier_event: String,
    /// What makes the delivery unique at the carrier; the event id is derived from it.
    pub dedupe_key: String,
    /// The carrier's own counter within the call, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// When the webhook reached us.
    #[serde(with = "crate::time")]
    #[schemars(with = "DateTime<Utc>")]
    pub received_at: DateTime<Utc>,
}

/// A verdict on what picked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amd {
    /// What picked up.
    pub answered_by: AnsweredBy,
    /// A beep was heard: a message can be left now.
    #[serde(default)]
    pub beep: bool,
    /// How long the detector took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_ms: Option<u32>,
}

/// The connection of an agent to the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bridge {
    /// Person or AI.
    pub agent_kind: AgentKind,
}

/// What the far end pressed when it was asked to press a key.
///
/// Digits can be secrets: card numbers, passwords of other people's systems. So an event carries at most the one key
/// the call was told to press, and only where a prompt of ours asked for it; what is pressed in a conversation, or
/// besides the key, is never reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dtmf {
    /// The key; empty when the question ran out, or was answered with another key.
    pub digits: String,
}

/// How the call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ending {
    /// The outcome, the same for every carrier.
    pub outcome: CallOutcome,
    /// Who hung up.
    pub hangup_by: HangupBy,
    /// The carrier's word for the cause (`user_busy`, `no-answer`).
    pub cause: String,
    /// The SIP response, where the carrier passes it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_code: Option<u16>,
    /// From answer to hang-up as the carrier counts it; whole seconds at Twilio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// True when the carrier's own terminal event was lost and the watchdog asked for it.
    #[serde(default)]
    pub reconciled: bool,
}

/// The data of a call event: the call, the evidence, and the section its type requires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallData {
    /// The call.
    pub call: CallRef,
    /// What the carrier said.
    pub evidence: Evidence,
    /// Present on `call.amd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amd: Option<Amd>,
    /// Present on `call.bridged` and `call.transferred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// Present on `call.ended` and `agent.leg_ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Present on `call.dtmf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtmf: Option<Dtmf>,
}

impl EventData for CallData {
    const SCHEMA: &'static str = "call-event.v1.json";

    fn subject(&self) -> String {
        self.call.call_id.0.to_string()
    }
}

/// One thing that happened to a call. The type of the event and the section it needs are one value, so
/// an event without its section cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFact {
    /// `call.initiated`
    Initiated,
    /// `call.ringing`
    Ringing,
    /// `call.answered`
    Answered,
    /// `call.amd`
    Amd(Amd),
    /// `call.bridged`
    Bridged(Bridge),
    /// `call.held`
    Held,
    /// `call.resumed`
    Resumed,
    /// `call.transferred`
    Transferred(Bridge),
    /// `call.dtmf`
    Dtmf(Dtmf),
    /// `call.ended`
    Ended(Ending),
    /// `agent.leg_…`: the call is one to an agent, not to a customer.
    AgentLeg(AgentLeg),
}

/// One thing that happened to an agent's leg. Its events have types of their own, so that nobody who counts calls of
/// customers counts legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentLeg {
    /// `agent.leg_initiated`
    Initiated,
    /// `agent.leg_answered`
    Answered,
    /// `agent.leg_joined`
    Joined,
    /// `agent.leg_ended`
    Ended(Ending),
}

impl CallFact {
    /// The type of the event that says it.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Initiated => EventType::CallInitiated,
            Self::Ringing => EventType::CallRinging,
            Self::Answered => EventType::CallAnswered,
            Self::Amd(_) => EventType::CallAmd,
            Self::Bridged(_) => EventType::CallBridged,
            Self::Held => EventType::CallHeld,
            Self::Resumed => EventType::CallResumed,
            Self::Transferred(_) => EventType::CallTransferred,
            Self::Dtmf(_) => EventType::CallDtmf,
            Self::Ended(_) => EventType::CallEnded,
            Self::AgentLeg(AgentLeg::Initiated) => EventType::AgentLegInitiated,
            Self::AgentLeg(AgentLeg::Answered) => EventType::AgentLegAnswered,
            Self::AgentLeg(AgentLeg::Joined) => EventType::AgentLegJoined,
            Self::AgentLeg(AgentLeg::Ended(_)) => EventType::AgentLegEnded,
        }
    }

    /// The event. Its id is derived, so that a redelivery is the same event; a terminal event's id
    /// depends on the call alone, so that a call has one terminal event whoever reports its end.
    #[must_use]
    pub fn into_event(
        self,
        tenant: TenantId,
        source: &str,
        at: DateTime<Utc>,
        call: CallRef,
        evidence: Evidence,
    ) -> CallEvent {
        let kind = self.event_type();
        let id = match &self {
            Self::Ended(_) | Self::AgentLeg(AgentLeg::Ended(_)) => terminal_event_id(call.call_id),
            _ => EventId::derived(
                at,
                &[
                    tenant.0.as_bytes(),
                    call.carrier.as_str().as_bytes(),
                    call.carrier_call_id.as_bytes(),
                    evidence.dedupe_key.as_bytes(),
                    kind.as_str().as_bytes(),
                ],
            ),
        };
        let mut data = CallData {
            call,
            evidence,
            amd: None,
            bridge: None,
            ending: None,
            dtmf: None,
        };
        match self {
            Self::Amd(amd) => data.amd = Some(amd),
            Self::Bridged(bridge) | Self::Transferred(bridge) => data.bridge = Some(bridge),
            Self::Ended(ending) | Self::AgentLeg(AgentLeg::Ended(ending)) => data.ending = Some(ending),
            Self::Dtmf(dtmf) => data.dtmf = Some(dtmf),
            Self::Initiated
            | Self::Ringing
            | Self::Answered
            | Self::Held
            | Self::Resumed
            | Self::AgentLeg(AgentLeg::Initiated | AgentLeg::Answered | AgentLeg::Joined) => {}
        }
        Envelope::new(id, tenant, source, kind, at, data)
    }
}

/// The id of the one terminal event of a call. The time part is the call's own, for call ids carry it.
#[must_use]
pub fn terminal_event_id(call: CallId) -> EventId {
    let (seconds, nanos) = call.0.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
    let at = DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0), nanos).unwrap_or_default();
    EventId::derived(at, &[b"call.ended", call.0.as_bytes()])
}

/// The record key: events of a call stay in order, a campaign shard has one owner, and so has an agent's leg.
/// Outbound `campaign#shard`, the leg of an agent [`agent_leg_key`], inbound the call id.
#[must_use]
pub fn record_key(call: &CallRef) -> String {
    match (call.campaign_id, call.agent_id) {
        (Some(campaign), _) => format!("{}#{}", campaign.0, call.shard.unwrap_or(0)),
        // We call an agent for no campaign in particular: that is their leg.
        (None, Some(agent)) if call.direction == Direction::Outbound && call.attempt_id.is_none() => {
            agent_leg_key(agent)
        }
        (None, _) => call.call_id.0.to_string(),
    }
}

/// The record key of all legs of an agent.
#[must_use]
pub fn agent_leg_key(agent: AgentId) -> String {
    format!("agent#{}", agent.0)
}
