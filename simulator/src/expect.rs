//! What the platform must say about a shift, counted from the plan.
//!
//! The measures have the names and definitions of the call tables. Times count as the carrier tells them
//! ([`PlannedCall::as_told`]): Twilio tells whole seconds.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::{
    EventType,
    events::call::{AnsweredBy, CallOutcome, Carrier, Direction},
};

use crate::{
    FactSet,
    plan::{Fact, PlannedCall},
};

/// Callers who hear an agent within this time are served as promised.
const SERVED_WITHIN: TimeDelta = TimeDelta::seconds(20);
/// Callers who give up sooner do not count against it.
const SHORT: TimeDelta = TimeDelta::seconds(5);

/// The answer to be expected of tables and reports once every call has its end: those the carrier lost are
/// taken for asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Expected {
    /// Calls of which at least one event arrived.
    pub calls: u64,
    /// Those that came from outside.
    pub inbound: u64,
    /// Calls with an event of the pick-up. Twilio has none for inbound calls.
    pub answered: u64,
    /// Calls with a person on the line: an agent was connected, or it was answered and the last verdict
    /// says neither machine nor fax nor silence.
    pub contacted: u64,
    /// Calls for agents: inbound or contacted.
    pub offered: u64,
    /// Calls to which an agent was connected.
    pub bridged: u64,
    /// Those to which one was connected within 20 seconds.
    pub bridged_sl: u64,
    /// Calls for agents that got none.
    pub abandoned: u64,
    /// Those that came from outside and ended within five seconds.
    pub short_abandoned: u64,
    /// Calls whose last verdict is a machine.
    pub machines: u64,
    /// Calls by outcome.
    pub outcomes: BTreeMap<CallOutcome, u64>,
    /// Calls whose end never arrived, and which have the one the carrier told when asked.
    pub reconciled: u64,
    /// From the first event to the pick-up, summed.
    pub ring_ms: u64,
    /// From the pick-up (inbound: the first event) to the agent, summed.
    pub wait_ms: u64,
    /// From the agent to the end, summed.
    pub talk_ms: u64,
    /// From the pick-up to the end, summed; as the carrier counts it where it does.
    pub line_ms: u64,
    /// Events by type, without the ends of `reconciled`.
    pub events: BTreeMap<EventType, u64>,
    /// Webhooks that are no facts about a call and become no event.
    pub chatter: u64,
}

/// A call as the events that arrived tell it.
#[derive(Default)]
struct Told {
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    answered: Option<DateTime<Utc>>,
    bridged: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
    verdict: Option<AnsweredBy>,
}

impl Expected {
    /// What is expected when every webhook arrives.
    pub fn of(calls: impl IntoIterator<Item = PlannedCall>) -> Self {
        let mut expected = Self::default();
        for call in calls {
            expected.add(&call, FactSet::first(call.facts.len()));
        }
        expected
    }

    /// All events that arrived.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.events.values().sum()
    }

    /// Counts a call of which these webhooks arrived. A call of which no event arrived does not exist to the
    /// platform.
    pub fn add(&mut self, call: &PlannedCall, arrived: FactSet) {
        let told = self.read(call, arrived);
        let (Some(first), Some(last)) = (told.first, told.last) else {
            return;
        };
        // Asked, the carrier tells when it was; not before what it has told already.
        let ended = told
            .ended
            .unwrap_or_else(|| call.as_told(call.ended_at()).max(last));
        let outcome = if told.ended.is_some() {
            call.end().outcome
        } else {
            reconciled_outcome(call)
        };
        let person = !matches!(
            told.verdict,
            Some(AnsweredBy::Machine | AnsweredBy::Fax | AnsweredBy::Silence)
        );
        let inbound = call.direction == Direction::Inbound;
        let bridged = told.bridged.is_some();
        let contacted = bridged || (told.answered.is_some() && person);
        let offered = inbound || contacted;
        let abandoned = offered && !bridged;
        let offered_at = if inbound { Some(first) } else { told.answered };
        let wait = offered_at
            .zip(told.bridged)
            .map_or(TimeDelta::zero(), |(from, to)| to - from);

        self.calls += 1;
        self.inbound += u64::from(inbound);
        self.answered += u64::from(told.answered.is_some());
        self.contacted += u64::from(contacted);
        self.offered += u64::from(offered);
        self.bridged += u64::from(bridged);
        self.bridged_sl += u64::from(bridged && wait <= SERVED_WITHIN);
        self.abandoned += u64::from(abandoned);
        self.short_abandoned += u64::from(abandoned && inbound && ended - first < SHORT);
        self.machines += u64::from(told.verdict == Some(AnsweredBy::Machine));
        *self.outcomes.entry(outcome).or_default() += 1;
        self.reconciled += u64::from(told.ended.is_none());
        self.ring_ms += told.answered.map_or(0, |answered| millis(answered - first));
        self.wait_ms += millis(wait);
        self.talk_ms += told.bridged.map_or(0, |bridged| millis(ended - bridged));
        // Twilio tells the duration with the end and when asked; Telnyx never does.
        let counted = Some(call.told_duration())
            .filter(|counted| call.carrier == Carrier::Twilio && *counted > TimeDelta::zero());
        let line = counted.or(told.answered.map(|answered| ended - answered));
        self.line_ms += line.map_or(0, millis);
    }

    fn read(&mut self, call: &PlannedCall, arrived: FactSet) -> Told {
        let mut told = Told::default();
        for (_, planned) in call
            .facts
            .iter()
            .enumerate()
            .filter(|(place, _)| arrived.has(*place))
        {
            let at = Some(call.as_told(planned.at));
            let Some(kind) = planned.fact.event_type() else {
                self.chatter += 1;
                continue;
            };
            *self.events.entry(kind).or_default() += 1;
            told.first = told.first.or(at);
            told.last = at;
            match planned.fact {
                Fact::Answered => told.answered = at,
                Fact::Bridged(_) => told.bridged = at,
                Fact::Ended(_) => told.ended = at,
                Fact::Amd { verdict, .. } => told.verdict = Some(verdict.answered_by()),
                Fact::Initiated | Fact::Ringing | Fact::Chatter(_) => {}
            }
        }
        told
    }
}

fn millis(span: TimeDelta) -> u64 {
    u64::try_from(span.num_milliseconds()).unwrap_or(0)
}

/// The outcome the platform reaches by asking the carrier after the event was lost. Twilio remembers the
/// status and not the SIP response, so every failure is the carrier's; Telnyx only knows that the call is over.
#[must_use]
pub const fn reconciled_outcome(call: &PlannedCall) -> CallOutcome {
    match (call.carrier, call.end().outcome) {
        (Carrier::Telnyx, _) => CallOutcome::Unknown,
        (Carrier::Twilio, CallOutcome::InvalidNumber | CallOutcome::Rejected) => CallOutcome::CarrierError,
        (Carrier::Twilio, outcome) => outcome,
    }
}
