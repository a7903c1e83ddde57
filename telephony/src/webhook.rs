//! What a carrier delivered, before and after it is understood.

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use voice_schemas::{
    CallId, EventId, TenantId,
    events::call::{AgentLeg, CallEvent, CallFact, CallRef, Carrier, Direction, Dtmf, Evidence},
};

use crate::{
    context::{CallContext, ContextError, ContextKeys},
    phone::{PhoneNumber, PhoneTokenKey, phone_token},
};

/// A delivery as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct WebhookRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a Method,
    /// The public URL the carrier asked for, exactly: scheme, host, port if it was given, path and query.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
}

impl<'a> WebhookRequest<'a> {
    /// A header's text; absent when there is none or it is not ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn query(&self) -> &'a str {
        let url = self.url.split_once('#').map_or(self.url, |(url, _)| url);
        url.split_once('?').map_or("", |(_, query)| query)
    }
}

/// What a hook URL is for: the last segment of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// Telnyx: every event of a call.
    Call,
    /// Twilio: the progress of a call.
    Status,
    /// Twilio: the verdict of asynchronous answering machine detection.
    Amd,
    /// Twilio: what happens in a conference.
    Conference,
    /// Twilio: a call that wants instructions in the response.
    Voice,
    /// Twilio: what was pressed in a gather; it wants instructions too.
    Gather,
}

impl HookKind {
    /// The kind with this path segment, when this carrier has it; else the hook does not exist (404).
    #[must_use]
    pub fn parse(carrier: Carrier, segment: &str) -> Option<Self> {
        match (carrier, segment) {
            (Carrier::Telnyx, "call") => Some(Self::Call),
            (Carrier::Twilio, "status") => Some(Self::Status),
            (Carrier::Twilio, "amd") => Some(Self::Amd),
            (Carrier::Twilio, "conference") => Some(Self::Conference),
            (Carrier::Twilio, "voice") => Some(Self::Voice),
            (Carrier::Twilio, "gather") => Some(Self::Gather),
            _ => None,
        }
    }

    /// The path segment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Status => "status",
            Self::Amd => "amd",
            Self::Conference => "conference",
            Self::Voice => "voice",
            Self::Gather => "gather",
        }
    }
}

/// Whose account a delivery came through.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The tenant that owns the account.
    pub tenant: TenantId,
    /// What opens call contexts.
    pub context: &'a ContextKeys,
    /// What turns the number of an inbound caller into a token; without it there is none.
    pub phone: Option<&'a PhoneTokenKey>,
}

impl Account<'_> {
    /// Refuses a context of another tenant: an account signs only for its owner.
    pub(crate) fn own(&self, context: CallContext) -> Result<CallContext, ContextError> {
        if context.tenant == self.tenant {
            Ok(context)
        } else {
            Err(ContextError::OtherTenant)
        }
    }

    fn token(&self, number: Option<&str>) -> Option<String> {
        Some(phone_token(self.phone?, &PhoneNumber::parse(number?)?))
    }
}

/// What a delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Something happened to a call.
    Event(Box<CarrierEvent>),
    /// A known type of event that is no fact about a call, such as `call.speak.started`.
    Ignored {
        /// The carrier's name of it.
        carrier_event: String,
    },
}

impl Parsed {
    /// The event, if it is one.
    #[must_use]
    pub fn into_carrier_event(self) -> Option<CarrierEvent> {
        match self {
            Self::Event(event) => Some(*event),
            Self::Ignored { .. } => None,
        }
    }
}

/// A fact about a call as the carrier told it; [`into_event`](Self::into_event) makes it ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierEvent {
    /// Whose call it is.
    pub tenant: TenantId,
    /// The call. Without a context (inbound calls) its id is [`derived_call_id`].
    pub call: CallRef,
    /// When it happened by the carrier's clock. Twilio's AMD callback does not say.
    pub at: Option<DateTime<Utc>>,
    /// What makes the delivery unique at the carrier: the same on every redelivery.
    pub dedupe_key: String,
    /// The carrier's counter within the call.
    pub sequence: Option<u32>,
    /// The carrier's name of the event.
    pub carrier_event: String,
    /// What happened.
    pub fact: CallFact,
}

impl CarrierEvent {
    /// The event for `calls.events`. A redelivery gives the same event id; where the carrier does not say
    /// when it happened, the time is `received_at` and the id carries the time of the call id instead.
    #[must_use]
    pub fn into_event(self, received_at: DateTime<Utc>) -> CallEvent {
        let source = match self.call.carrier {
            Carrier::Telnyx => "/ingest/telnyx",
            Carrier::Twilio => "/ingest/twilio",
        };
        let stable_id = (self.at.is_none()
            && !matches!(
                self.fact,
                CallFact::Ended(_) | CallFact::AgentLeg(AgentLeg::Ended(_))
            ))
        .then(|| {
            let (seconds, nanos) = self
                .call
                .call_id
                .0
                .get_timestamp()
                .map_or((0, 0), |stamp| stamp.to_unix());
            let at = i64::try_from(seconds)
                .ok()
                .and_then(|seconds| DateTime::from_timestamp(seconds, nanos));
            EventId::derived(
                at.unwrap_or_default(),
                &[
                    self.tenant.0.as_bytes(),
                    self.call.carrier.as_str().as_bytes(),
                    self.call.carrier_call_id.as_bytes(),
                    self.dedupe_key.as_bytes(),
                    self.fact.event_type().as_str().as_bytes(),
                ],
            )
        });
        let evidence = Evidence {
            carrier_event: self.carrier_event,
            dedupe_key: self.dedupe_key,
            sequence: self.sequence,
            received_at,
        };
        let mut event = self.fact.into_event(
            self.tenant,
            source,
            self.at.unwrap_or(received_at),
            self.call,
            evidence,
        );
        if let Some(id) = stable_id {
            event.id = id;
        }
        event
    }
}

/// What happened to the leg of an agent, in the words for legs; `None` where nobody needs to know.
pub(crate) fn of_agent_leg(fact: CallFact) -> Option<CallFact> {
    let leg = match fact {
        CallFact::Initiated => AgentLeg::Initiated,
        CallFact::Answered => AgentLeg::Answered,
        CallFact::Bridged(_) => AgentLeg::Joined,
        CallFact::Ended(ending) => AgentLeg::Ended(ending),
        _ => return None,
    };
    Some(CallFact::AgentLeg(leg))
}

/// What may be said of `pressed`: the key that was asked for, or that it was not pressed.
pub(crate) fn pressed(context: Option<&CallContext>, pressed: &str) -> Option<Dtmf> {
    let key = context?.opt_out_key?;
    let mut digits = String::new();
    if pressed.chars().eq([key]) {
        digits.push(key);
    }
    Some(Dtmf { digits })
}

/// The id of a call nobody gave a context, the same from every one of its events: a hash of what the carrier
/// calls it (Twilio `CallSid`, Telnyx `call_leg_id`), with the Unix epoch as its time. Most Telnyx events
/// and all of Twilio's do not say when the call began, and an id that depends on it would split the call.
#[must_use]
pub fn derived_call_id(tenant: TenantId, carrier: Carrier, carrier_key: &str) -> CallId {
    CallId::derived(
        DateTime::UNIX_EPOCH,
        &[
            tenant.0.as_bytes(),
            carrier.as_str().as_bytes(),
            carrier_key.as_bytes(),
        ],
    )
}

/// What the carrier says about the call itself.
pub(crate) struct CarrierCall<'a> {
    pub(crate) carrier: Carrier,
    pub(crate) id: &'a str,
    /// What [`derived_call_id`] hashes.
    pub(crate) key: &'a str,
    /// Where the event says it.
    pub(crate) direction: Option<Direction>,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
}

/// The call an event is about, from its context or else from what the carrier says. A call without a
/// context is inbound unless the carrier says otherwise: every call we place carries one.
pub(crate) fn call_ref(
    account: &Account<'_>,
    context: Option<CallContext>,
    call: &CarrierCall<'_>,
) -> CallRef {
    let Some(context) = context else {
        let direction = call.direction.unwrap_or(Direction::Inbound);
        return CallRef {
            call_id: derived_call_id(account.tenant, call.carrier, call.key),
            direction,
            carrier: call.carrier,
            carrier_call_id: call.id.to_owned(),
            campaign_id: None,
            shard: None,
            attempt_id: None,
            contact_id: None,
            queue_id: None,
            agent_id: None,
            phone_token: account.token(match direction {
                Direction::Inbound => call.from,
                Direction::Outbound => call.to,
            }),
        };
    };
    let phone_token = context.phone_token.or_else(|| {
        account.token(match context.direction {
            Direction::Inbound => call.from,
            Direction::Outbound => call.to,
        })
    });
    CallRef {
        call_id: context.call_id,
        direction: context.direction,
        carrier: call.carrier,
        carrier_call_id: call.id.to_owned(),
        campaign_id: context.campaign.map(|(id, _)| id),
        shard: context.campaign.map(|(_, shard)| shard),
        attempt_id: context.attempt,
        contact_id: context.contact,
        queue_id: context.queue,
        agent_id: context.agent,
        phone_token,
    }
}
