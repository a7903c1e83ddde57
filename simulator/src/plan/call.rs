//! A planned call: who, through which account, and everything the carrier will say about it.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use uuid::Uuid;
use voice_schemas::{
    CallId, EventType, TenantId,
    events::call::{AgentKind, AnsweredBy, CallOutcome, Carrier, Direction, HangupBy},
};
use voice_telephony::{CallContext, HookKind, PhoneNumber};

/// What the carrier calls the call and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierIds {
    /// `CA…` at Twilio, `v3:…` at Telnyx.
    pub call: String,
    /// Telnyx's leg; one per call here.
    pub leg: Uuid,
    /// Telnyx's session.
    pub session: Uuid,
    /// Twilio's conference in which caller and agent meet (`CF…`).
    pub conference: String,
}

/// A verdict of the carrier's machine detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A person.
    Human,
    /// A machine.
    Machine,
    /// A machine whose beep was heard.
    Beep,
    /// A fax.
    Fax,
    /// Nothing is said (Telnyx only).
    Silence,
    /// The detector cannot tell.
    Unsure,
}

impl Verdict {
    /// The neutral verdict.
    #[must_use]
    pub const fn answered_by(self) -> AnsweredBy {
        match self {
            Self::Human => AnsweredBy::Human,
            Self::Machine | Self::Beep => AnsweredBy::Machine,
            Self::Fax => AnsweredBy::Fax,
            Self::Silence => AnsweredBy::Silence,
            Self::Unsure => AnsweredBy::Unknown,
        }
    }
}

/// Something carriers also deliver that says nothing about the life of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chatter {
    /// Telnyx `streaming.started`.
    StreamingStarted,
    /// Telnyx `call.cost`.
    Cost,
    /// Twilio `participant-leave`.
    ParticipantLeft,
    /// Twilio `conference-end`.
    ConferenceEnded,
}

/// How a call ends, before a carrier puts it into its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The outcome.
    pub outcome: CallOutcome,
    /// Who hangs up. Twilio does not say.
    pub hangup_by: HangupBy,
    /// The SIP response the carrier passes on.
    pub sip_code: Option<u16>,
}

/// One thing the carrier says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Taken on, or arrived.
    Initiated,
    /// It rings (Twilio only, outbound only).
    Ringing,
    /// Picked up. Twilio does not say so of inbound calls: its own answer to the `voice` hook picks up.
    Answered,
    /// A verdict of machine detection.
    Amd {
        /// The verdict.
        verdict: Verdict,
        /// How long the detector took; Twilio says so.
        detection_ms: u32,
    },
    /// An agent is connected.
    Bridged(AgentKind),
    /// It is over.
    Ended(End),
    /// No fact about the call.
    Chatter(Chatter),
}

impl Fact {
    /// The type of event it becomes; chatter becomes none.
    #[must_use]
    pub const fn event_type(&self) -> Option<EventType> {
        match self {
            Self::Initiated => Some(EventType::CallInitiated),
            Self::Ringing => Some(EventType::CallRinging),
            Self::Answered => Some(EventType::CallAnswered),
            Self::Amd { .. } => Some(EventType::CallAmd),
            Self::Bridged(_) => Some(EventType::CallBridged),
            Self::Ended(_) => Some(EventType::CallEnded),
            Self::Chatter(_) => None,
        }
    }

    /// Whether it ends the call.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// One thing the carrier says, and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFact {
    /// When it happens.
    pub at: DateTime<Utc>,
    /// What happens.
    pub fact: Fact,
    /// The same on every delivery: Telnyx's `data.id`, Twilio's idempotency token.
    pub id: Uuid,
    /// Twilio's counter: of the call's status callbacks, or of the conference's.
    pub sequence: u32,
}

/// What picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A person; the platform connects an agent.
    Person,
    /// A machine, a fax or silence; the platform hangs up or leaves a message.
    Machine,
}

/// A call from its first to its last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Its place in the shift, from 0.
    pub index: u64,
    /// The account it goes through, as a place in the list the plan was made with.
    pub account: usize,
    /// The tenant of that account.
    pub tenant: TenantId,
    /// The carrier of that account.
    pub carrier: Carrier,
    /// Our id of the call. Inbound it is the one the platform derives from the carrier's.
    pub call_id: CallId,
    /// Who calls whom.
    pub direction: Direction,
    /// What the dialer sealed; none inbound.
    pub context: Option<CallContext>,
    /// What the carrier calls it.
    pub ids: CarrierIds,
    /// Who calls: `+1555…`, a number nobody has.
    pub from: PhoneNumber,
    /// Who is called, likewise.
    pub to: PhoneNumber,
    /// What picks up, if anything does.
    pub picked_up: Option<Party>,
    /// Everything the carrier says, in the order it happens. One is terminal.
    pub facts: Vec<PlannedFact>,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) answered_at: Option<DateTime<Utc>>,
    pub(super) bridged_at: Option<DateTime<Utc>>,
    pub(super) ended_at: DateTime<Utc>,
    pub(super) end: End,
}

impl PlannedCall {
    /// When it begins.
    #[must_use]
    pub const fn starts_at(&self) -> DateTime<Utc> {
        self.starts_at
    }

    /// When somebody or something picks up.
    #[must_use]
    pub const fn answered_at(&self) -> Option<DateTime<Utc>> {
        self.answered_at
    }

    /// When an agent is connected.
    #[must_use]
    pub const fn bridged_at(&self) -> Option<DateTime<Utc>> {
        self.bridged_at
    }

    /// When it ends.
    #[must_use]
    pub const fn ended_at(&self) -> DateTime<Utc> {
        self.ended_at
    }

    /// How it ends.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }

    /// `at` as the carrier tells it: Twilio counts whole seconds.
    #[must_use]
    pub fn as_told(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        match self.carrier {
            Carrier::Twilio => at.trunc_subsecs(0),
            Carrier::Telnyx => at,
        }
    }

    /// From pick-up to hang-up as the carrier tells it, in milliseconds. Zero when nobody picks up.
    #[must_use]
    pub fn told_duration(&self) -> TimeDelta {
        self.answered_at.map_or(TimeDelta::zero(), |answered| {
            self.as_told(self.ended_at) - self.as_told(answered)
        })
    }

    /// From pick-up to the agent as the carrier tells it.
    #[must_use]
    pub fn told_wait(&self) -> Option<TimeDelta> {
        Some(self.as_told(self.bridged_at?) - self.as_told(self.answered_at?))
    }

    /// The hook a fact of this call goes to.
    #[must_use]
    pub fn hook(&self, fact: Fact) -> HookKind {
        match (self.carrier, self.direction, fact) {
            (Carrier::Telnyx, ..) => HookKind::Call,
            (Carrier::Twilio, Direction::Inbound, Fact::Initiated) => HookKind::Voice,
            (Carrier::Twilio, _, Fact::Amd { .. }) => HookKind::Amd,
            (Carrier::Twilio, _, Fact::Bridged(_) | Fact::Chatter(_)) => HookKind::Conference,
            (Carrier::Twilio, ..) => HookKind::Status,
        }
    }
}
