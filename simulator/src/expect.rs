//! What the platform must say about a shift, counted from the plan.
//!
//! Times are compared as the carrier tells them ([`PlannedCall::as_told`]): Twilio counts whole seconds.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use voice_schemas::{
    EventType,
    events::call::{AnsweredBy, CallOutcome, Carrier, Direction},
};

use crate::{
    FactSet,
    plan::{Fact, PlannedCall},
};

/// Whoever answers a call must hear an agent within this time, or the call counts as abandoned by law
/// (16 CFR 310.4(b)(4)(ii)).
const CONNECT_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// The answer to be expected of tables and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Expected {
    /// Calls of which at least one webhook arrived.
    pub calls: u64,
    /// Those that came from outside.
    pub inbound: u64,
    /// Calls that somebody or something picked up.
    pub answered: u64,
    /// Outbound calls that a person picked up: answered, and no verdict says machine, fax or silence.
    pub live: u64,
    /// Outbound calls that something else picked up.
    pub machines: u64,
    /// Calls to which an agent was connected.
    pub bridged: u64,
    /// Outbound calls that a person picked up and to which no agent was connected.
    pub abandoned: u64,
    /// Outbound calls to which the agent was connected more than two seconds after the pick-up.
    pub late: u64,
    /// Inbound calls whose caller hung up before an agent was connected.
    pub queue_abandoned: u64,
    /// From pick-up to hang-up, summed over calls whose end arrived (and, where only the event of the pick-up
    /// tells when that was, at Telnyx, that event too).
    pub talk_ms: u64,
    /// Calls by outcome. A call whose end never arrived counts as what the carrier answers when asked.
    pub outcomes: BTreeMap<CallOutcome, u64>,
    /// Calls whose end never arrived, to be concluded by asking the carrier.
    pub reconciled: u64,
    /// Events by type, without the ends of `reconciled`.
    pub events: BTreeMap<EventType, u64>,
    /// Webhooks that are no facts about a call and become no event.
    pub chatter: u64,
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

    /// Counts a call of which these webhooks arrived. A call of which nothing arrived does not exist to the
    /// platform.
    pub fn add(&mut self, call: &PlannedCall, arrived: FactSet) {
        let told: Vec<&Fact> = call
            .facts
            .iter()
            .enumerate()
            .filter(|(place, _)| arrived.has(*place))
            .map(|(_, planned)| &planned.fact)
            .collect();
        let mut any = false;
        for fact in &told {
            match fact.event_type() {
                Some(kind) => {
                    any = true;
                    *self.events.entry(kind).or_default() += 1;
                }
                None => self.chatter += 1,
            }
        }
        if !any {
            return;
        }
        let has = |wanted: fn(&Fact) -> bool| told.iter().any(|fact| wanted(fact));
        let ended = has(Fact::is_terminal);
        let outcome = if ended { call.end().outcome } else { self.reconciled(call) };
        let bridged = has(|fact| matches!(fact, Fact::Bridged(_)));
        let picked_up = has(|fact| matches!(fact, Fact::Answered));
        let judged = has(|fact| matches!(fact, Fact::Amd { .. }));
        let machine = has(|fact| {
            matches!(fact, Fact::Amd { verdict, .. }
                if matches!(verdict.answered_by(), AnsweredBy::Machine | AnsweredBy::Fax | AnsweredBy::Silence))
        });
        let answered = picked_up || bridged || judged || outcome == CallOutcome::Completed;

        self.calls += 1;
        self.answered += u64::from(answered);
        self.bridged += u64::from(bridged);
        *self.outcomes.entry(outcome).or_default() += 1;
        match call.direction {
            Direction::Outbound => {
                let live = answered && !machine;
                self.live += u64::from(live);
                self.machines += u64::from(machine);
                self.abandoned += u64::from(live && !bridged);
                let late = call.told_wait().is_some_and(|wait| wait > CONNECT_WITHIN);
                self.late += u64::from(live && bridged && picked_up && late);
            }
            Direction::Inbound => {
                self.inbound += 1;
                self.queue_abandoned += u64::from(answered && !bridged);
            }
        }
        // Twilio tells the duration with the end.
        if ended && (picked_up || call.carrier == Carrier::Twilio) {
            self.talk_ms += call.told_duration().num_milliseconds().unsigned_abs();
        }
    }

    fn reconciled(&mut self, call: &PlannedCall) -> CallOutcome {
        self.reconciled += 1;
        reconciled_outcome(call)
    }
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
