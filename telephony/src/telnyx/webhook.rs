//! From Telnyx's events to call facts.
//!
//! Deliveries are unordered and repeated; `data.id` is the same on every repetition. There is no event for
//! ringing. An agent's leg has its own call control id and must be given a context of its own.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use ed25519_dalek::VerifyingKey;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use voice_schemas::events::call::{
    AgentKind, Amd, AnsweredBy, Bridge, CallFact, CallOutcome, Carrier, Direction, Ending, HangupBy,
};

use super::signature;
use crate::{
    HookKind, Instruction, InstructionError, KeyError, ParseError, Parsed, VerifyError, WebhookRequest,
    context::CallContext,
    webhook::{Account, CarrierCall, CarrierEvent, call_ref, of_agent_leg, pressed},
};

/// The webhook side of a Telnyx account.
#[derive(Debug)]
pub struct Webhooks {
    keys: Vec<VerifyingKey>,
}

impl Webhooks {
    /// For an account with this public key (Base64), and another one during a rotation.
    ///
    /// # Errors
    /// When a key is not a usable Ed25519 key.
    pub fn new(key: &SecretString, other: Option<&SecretString>) -> Result<Self, KeyError> {
        let keys = std::iter::once(key)
            .chain(other)
            .map(signature::public_key)
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    pub(super) fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }
}

impl crate::Webhooks for Webhooks {
    fn carrier(&self) -> Carrier {
        Carrier::Telnyx
    }

    fn verify(&self, request: &WebhookRequest<'_>, now: DateTime<Utc>) -> Result<(), VerifyError> {
        signature::verify(&self.keys, request, now)
    }

    fn parse(
        &self,
        kind: HookKind,
        request: &WebhookRequest<'_>,
        account: &Account<'_>,
    ) -> Result<Parsed, ParseError> {
        if kind != HookKind::Call {
            return Err(ParseError::malformed("path", "Telnyx has only the `call` hook"));
        }
        parse(request.body, account)
    }

    fn response(&self, _: &[Instruction]) -> Result<Option<(&'static str, String)>, InstructionError> {
        Ok(None)
    }
}

#[derive(Deserialize)]
struct Delivery<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    occurred_at: DateTime<Utc>,
    /// Read only once the type is known: each type has its own.
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    call_control_id: Cow<'a, str>,
    #[serde(borrow)]
    call_leg_id: Cow<'a, str>,
    #[serde(borrow, default)]
    client_state: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    direction: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hangup_cause: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hangup_source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sip_hangup_cause: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    digit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    digits: Option<Cow<'a, str>>,
}

fn parse(body: &[u8], account: &Account<'_>) -> Result<Parsed, ParseError> {
    let Delivery { data } = serde_json::from_slice(body).map_err(|error| unreadable("body", &error))?;
    let Some(kind) = Kind::of(&data.event_type) else {
        let carrier_event = data.event_type;
        // The families whose events are about calls and none of our business yet. A name that is new even
        // to them is kept for a person to look at.
        return if NO_FACTS.contains(&&*carrier_event) {
            Ok(Parsed::Ignored {
                carrier_event: carrier_event.into_owned(),
            })
        } else {
            Err(ParseError::unknown(&carrier_event))
        };
    };
    if data.id.is_empty() {
        return Err(ParseError::malformed("data.id", "is empty"));
    }
    let raw = data
        .payload
        .ok_or_else(|| ParseError::malformed("data.payload", "is missing"))?;
    let payload: Payload<'_> =
        serde_json::from_str(raw.get()).map_err(|error| unreadable("data.payload", &error))?;
    if payload.call_control_id.is_empty() || payload.call_leg_id.is_empty() {
        return Err(ParseError::malformed("data.payload", "has an empty call id"));
    }
    let context = match payload.client_state.as_deref() {
        None | Some("") => None,
        Some(state) => Some(account.own(account.context.open_client_state(state)?)?),
    };
    let mut fact = kind.fact(&payload, context.as_ref());
    if context.as_ref().is_some_and(|context| context.agent_leg) {
        fact = fact.and_then(of_agent_leg);
    }
    let Some(fact) = fact else {
        return Ok(Parsed::Ignored {
            carrier_event: data.event_type.into_owned(),
        });
    };
    let call = CarrierCall {
        carrier: Carrier::Telnyx,
        id: &payload.call_control_id,
        key: &payload.call_leg_id,
        direction: match payload.direction.as_deref() {
            Some("incoming") => Some(Direction::Inbound),
            Some("outgoing") => Some(Direction::Outbound),
            _ => None,
        },
        from: payload.from.as_deref(),
        to: payload.to.as_deref(),
    };
    Ok(Parsed::Event(Box::new(CarrierEvent {
        tenant: account.tenant,
        call: call_ref(account, context, &call),
        at: Some(data.occurred_at),
        dedupe_key: data.id.into_owned(),
        sequence: None,
        carrier_event: data.event_type.into_owned(),
        fact,
    })))
}

/// Where it went wrong, without the words of the parser: they quote the value, which may be a number.
fn unreadable(place: &'static str, error: &serde_json::Error) -> ParseError {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of the wrong type",
        _ => "is not valid JSON",
    };
    ParseError::malformed(
        place,
        format!("{what} (line {}, column {})", error.line(), error.column()),
    )
}

/// The events that are facts about a call.
#[derive(Clone, Copy)]
enum Kind {
    Initiated,
    Answered,
    Bridged,
    Joined,
    Held,
    Resumed,
    Detection,
    Greeting,
    Pressed,
    Gathered,
    Hangup,
}

impl Kind {
    fn of(event_type: &str) -> Option<Self> {
        Some(match event_type {
            "call.initiated" => Self::Initiated,
            "call.answered" => Self::Answered,
            "call.bridged" => Self::Bridged,
            // The one event of a leg that enters a room: there is no `call.bridged` then.
            "conference.participant.joined" => Self::Joined,
            "call.dtmf.received" => Self::Pressed,
            "call.gather.ended" => Self::Gathered,
            "call.hold" => Self::Held,
            "call.unhold" => Self::Resumed,
            "call.machine.detection.ended" | "call.machine.premium.detection.ended" => Self::Detection,
            "call.machine.greeting.ended" | "call.machine.premium.greeting.ended" => Self::Greeting,
            "call.hangup" => Self::Hangup,
            _ => return None,
        })
    }

    fn fact(self, payload: &Payload<'_>, context: Option<&CallContext>) -> Option<CallFact> {
        let agent_kind = context
            .and_then(|context| context.agent_kind)
            .unwrap_or(AgentKind::Human);
        let verdict = |answered_by, beep| {
            CallFact::Amd(Amd {
                answered_by,
                beep,
                detection_ms: None,
            })
        };
        Some(match self {
            Self::Initiated => CallFact::Initiated,
            Self::Answered => CallFact::Answered,
            Self::Bridged => CallFact::Bridged(Bridge { agent_kind }),
            // Whoever enters without a context of ours is no customer that we put there.
            Self::Joined if context.is_some() => CallFact::Bridged(Bridge { agent_kind }),
            Self::Joined => return None,
            // One of many keys, or a key nobody asked for, says nothing.
            Self::Pressed => CallFact::Dtmf(
                pressed(context, payload.digit.as_deref().unwrap_or_default())
                    .filter(|pressed| !pressed.digits.is_empty())?,
            ),
            Self::Gathered => {
                CallFact::Dtmf(pressed(context, payload.digits.as_deref().unwrap_or_default())?)
            }
            Self::Held => CallFact::Held,
            Self::Resumed => CallFact::Resumed,
            Self::Detection => verdict(answered_by(payload.result.as_deref()), false),
            // The end of a greeting without a beep says nothing the detection did not.
            Self::Greeting if payload.result.as_deref() == Some("beep_detected") => {
                verdict(AnsweredBy::Machine, true)
            }
            Self::Greeting => return None,
            Self::Hangup => CallFact::Ended(ending(payload)),
        })
    }
}

/// A word Telnyx adds later is a verdict we cannot act on.
fn answered_by(result: Option<&str>) -> AnsweredBy {
    match result {
        Some("human" | "human_residence" | "human_business") => AnsweredBy::Human,
        Some("machine") => AnsweredBy::Machine,
        Some("fax_detected") => AnsweredBy::Fax,
        Some("silence") => AnsweredBy::Silence,
        _ => AnsweredBy::Unknown,
    }
}

fn ending(payload: &Payload<'_>) -> Ending {
    let cause = payload.hangup_cause.as_deref().unwrap_or("unspecified");
    // `unspecified` where there was no SIP response.
    let sip_code = payload
        .sip_hangup_cause
        .as_deref()
        .and_then(|code| code.parse().ok());
    let hangup_by = match (payload.hangup_source.as_deref(), cause) {
        (Some("caller"), _) => HangupBy::Caller,
        (Some("callee"), _) => HangupBy::Callee,
        (_, "timeout" | "no_answer" | "time_limit") => HangupBy::System,
        _ => HangupBy::Unknown,
    };
    Ending {
        outcome: outcome(cause, sip_code),
        hangup_by,
        cause: cause.chars().take(64).collect(),
        sip_code,
        // The webhook tells when the call began, not when it was answered.
        duration_ms: None,
        reconciled: false,
    }
}

/// The outcome behind a hang-up cause. A cause Telnyx adds later must not lose the end of the call.
fn outcome(cause: &str, sip: Option<u16>) -> CallOutcome {
    match (cause, sip) {
        ("normal_clearing" | "time_limit", _) => CallOutcome::Completed,
        ("originator_cancel", _) => CallOutcome::Canceled,
        ("user_busy", _) => CallOutcome::Busy,
        ("timeout" | "no_answer", _) => CallOutcome::NoAnswer,
        ("not_found", _) | (_, Some(404)) => CallOutcome::InvalidNumber,
        ("call_rejected", _) => CallOutcome::Rejected,
        _ => CallOutcome::CarrierError,
    }
}

/// Known events that are no facts about a call.
const NO_FACTS: &[&str] = &[
    "call.ai_gather.ended",
    "call.ai_gather.message_history_updated",
    "call.ai_gather.partial_results",
    "call.analyzed",
    "call.conversation.created",
    "call.conversation.ended",
    "call.conversation.start_failed",
    "call.conversation_insights.generated",
    "call.cost",
    "call.deepfake_detection.error",
    "call.deepfake_detection.result",
    "call.dequeued",
    "call.enqueued",
    "call.fork.started",
    "call.fork.stopped",
    "call.machine.premium.call_screening.detected",
    "call.machine.premium.detection.started",
    "call.payment.completed",
    "call.payment.progress",
    "call.playback.ended",
    "call.playback.started",
    "call.recording.error",
    "call.recording.saved",
    "call.recording.transcription.saved",
    "call.refer.completed",
    "call.refer.failed",
    "call.refer.started",
    "call.siprec.failed",
    "call.siprec.started",
    "call.siprec.stopped",
    "call.speak.ended",
    "call.speak.started",
    "call.transcription",
    "conference.created",
    "conference.ended",
    "conference.floor.changed",
    "conference.participant.left",
    "conference.participant.playback.ended",
    "conference.participant.playback.started",
    "conference.participant.speak.ended",
    "conference.participant.speak.started",
    "conference.playback.ended",
    "conference.playback.started",
    "conference.recording.saved",
    "conference.speak.ended",
    "conference.speak.started",
    "session.status_changed",
    "siprec.failed",
    "siprec.started",
    "siprec.stopped",
    "streaming.failed",
    "streaming.started",
    "streaming.stopped",
];
