//! One call the platform placed: what was asked for, who is behind the number, and how far it has come.

use std::collections::VecDeque;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use uuid::Uuid;
use voice_schemas::events::call::{AgentKind, CallOutcome, Carrier};

use super::{
    population::Callee,
    script::{Seat, Step},
    stream::StreamTruth,
    truth::CallTruth,
};
use crate::plan::{End, Verdict};

/// Where the events of a call go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// Twilio's status callback; Telnyx's webhook.
    pub(crate) status: Option<String>,
    /// Twilio: the progress events asked for.
    pub(crate) progress: Progress,
    /// Twilio's asynchronous detection callback.
    pub(crate) amd: Option<String>,
}

/// Twilio's progress events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) initiated: bool,
    pub(crate) ringing: bool,
    pub(crate) answered: bool,
    pub(crate) completed: bool,
}

impl Default for Progress {
    /// Who asks for none is told of the end.
    fn default() -> Self {
        Self {
            initiated: false,
            ringing: false,
            answered: false,
            completed: true,
        }
    }
}

/// Which detection was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detection {
    Off,
    /// The verdict.
    Detect,
    /// The verdict; of machines only at the beep.
    AtBeep,
    /// The verdict, and then the beep.
    AndBeep,
}

/// What to do on answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnAnswer {
    /// These steps.
    Script(Vec<Step>),
    /// Ask this URL.
    Fetch(String),
    /// Wait for commands.
    Wait,
}

/// A call to place.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) account: usize,
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) client_state: Option<String>,
    pub(crate) hooks: Hooks,
    pub(crate) detection: Detection,
    pub(crate) ring: TimeDelta,
    pub(crate) limit: TimeDelta,
    pub(crate) on_answer: OnAnswer,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Held back by the carrier.
    Queued,
    /// On its way.
    Dialling,
    Ringing,
    Answered,
    Ended,
}

/// What the callee hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing at all.
    Nothing,
    /// Nothing, until the pause is over.
    Pausing,
    /// A message.
    Hearing {
        /// Synthesised, and no file.
        spoken: bool,
    },
    /// Nothing; keys are waited for.
    Gathering,
    /// Nothing; what they say is recorded.
    Recording,
    /// Nothing, alone in a room.
    Alone,
    /// Somebody.
    Talking(AgentKind),
    /// Nothing; the platform is asked what to do.
    Fetching,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) carrier: Carrier,
    pub(crate) id: String,
    pub(crate) leg: Uuid,
    pub(crate) session: Uuid,
    pub(crate) order: Order,
    /// Which number it is.
    pub(crate) number: u64,
    /// Which try of the number, from 0.
    pub(crate) ordinal: u32,
    pub(crate) callee: Callee,
    /// An agent's own telephone and no customer.
    pub(crate) agent: bool,
    pub(crate) placed_at: DateTime<Utc>,
    pub(crate) begins_at: DateTime<Utc>,
    pub(crate) phase: Phase,
    pub(crate) answered_at: Option<DateTime<Utc>>,
    pub(crate) ended: Option<(DateTime<Utc>, End)>,
    pub(crate) script: VecDeque<Step>,
    pub(crate) doing: Doing,
    /// Counts what the call did; a timer of something before is void.
    pub(crate) turn: u32,
    /// Counts the times somebody spoke; a callee who was left waiting before is not any more.
    pub(crate) spoken: u32,
    /// Nothing has been heard since then.
    pub(crate) silent_since: Option<DateTime<Utc>>,
    pub(crate) seat: Option<Seat>,
    /// Where the keys pressed are told and steps taken from.
    pub(crate) action: Option<String>,
    /// The keys that count.
    pub(crate) keys: Option<String>,
    /// The platform wants to know what was pressed.
    pub(crate) reports: bool,
    pub(crate) connected: Option<(DateTime<Utc>, AgentKind)>,
    /// When somebody or something first spoke to them.
    pub(crate) first_heard: Option<DateTime<Utc>>,
    pub(crate) heard_message: bool,
    pub(crate) verdict: Option<Verdict>,
    /// How its last stream went, once it is over.
    pub(crate) stream: Option<StreamTruth>,
    pub(crate) out: Outgoing,
}

/// The webhooks of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Twilio's counter of status callbacks.
    pub(crate) status: u32,
    /// Webhooks so far: what their faults are drawn by.
    pub(crate) told: u32,
    /// Without a fault they leave in order.
    pub(crate) last_due: Option<DateTime<Utc>>,
    /// Deliveries still to come.
    pub(crate) waiting: u32,
    /// Facts the platform took, each once.
    pub(crate) facts: u32,
    /// It took the end.
    pub(crate) end: bool,
    /// It is counted.
    pub(crate) settled: bool,
}

impl Line {
    /// `at` as the carrier tells it: Twilio counts whole seconds.
    pub(crate) fn as_told(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        match self.carrier {
            Carrier::Twilio => at.trunc_subsecs(0),
            Carrier::Telnyx => at,
        }
    }

    /// From the pick-up to the end, or to `now`, as the carrier tells it.
    pub(crate) fn seconds(&self, now: DateTime<Utc>) -> i64 {
        let until = self.ended.map_or(now, |(at, _)| at);
        self.answered_at.map_or(0, |answered| {
            (self.as_told(until) - self.as_told(answered)).num_seconds()
        })
    }

    /// What a test or a report may know of it.
    pub(crate) fn truth(&self) -> CallTruth {
        CallTruth {
            carrier: self.carrier,
            carrier_call_id: self.id.clone(),
            context: match self.carrier {
                Carrier::Telnyx => self.order.client_state.clone(),
                Carrier::Twilio => self.order.hooks.status.as_deref().and_then(ctx),
            },
            to: self.order.to.clone(),
            from: self.order.from.clone(),
            ordinal: self.ordinal,
            agent: self.agent,
            fate: self.callee.fate,
            placed_at: self.placed_at,
            answered_at: self.answered_at,
            first_heard: self.first_heard,
            connected: self.connected,
            heard_message: self.heard_message,
            verdict: self.verdict,
            stream: self.stream,
            outcome: self.ended.map(|(_, end)| end.outcome),
            ended_at: self.ended.map(|(at, _)| at),
            facts: self.out.facts,
            end_told: self.out.end,
        }
    }

    pub(crate) fn outcome(&self) -> Option<CallOutcome> {
        self.ended.map(|(_, end)| end.outcome)
    }
}

fn ctx(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "ctx").then(|| value.into_owned()))
}
