//! What the carriers know of the calls placed at them: what the platform has to know in the end.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use voice_schemas::events::call::{AgentKind, CallOutcome, Carrier};

use super::{line::Line, population::Fate, stream::StreamTruth};
use crate::plan::Verdict;

/// Counts over all calls. Calls of agents' own telephones are only in `agent_legs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Calls taken on.
    pub placed: u64,
    /// Requests for a call that a limit of the account refused.
    pub declined: u64,
    /// Requests of any kind that met an outage.
    pub troubled: u64,
    /// Calls that live.
    pub alive: u64,
    /// Ended calls by outcome.
    pub outcomes: BTreeMap<CallOutcome, u64>,
    /// Calls somebody or something picked up.
    pub answered: u64,
    /// Of these, by people.
    pub people: u64,
    /// Of these, by machines and faxes.
    pub machines: u64,
    /// Calls a human agent talked on.
    pub to_people: u64,
    /// Calls an AI agent talked on.
    pub to_ai: u64,
    /// Ended calls of people who heard a message and nobody.
    pub heard_message: u64,
    /// Ended calls of people who heard nothing at all.
    pub heard_nothing: u64,
    /// The longest a person waited for the first word or message.
    pub longest_silence_ms: i64,
    /// Verdicts told that were wrong: a machine called human or the other way round.
    pub wrong_verdicts: u64,
    /// Times a customer was put into a room another customer was in.
    pub crowded: u64,
    /// Streams that are over.
    pub streams: u64,
    /// Of these not let in because nobody had room for them (503).
    pub streams_full: u64,
    /// Of these not let in for another reason.
    pub streams_refused: u64,
    /// Frames of callees' voices they brought.
    pub frames_sent: u64,
    /// What callees heard of agents, in milliseconds.
    pub agents_heard_ms: u64,
    /// Marks given back.
    pub marks_echoed: u64,
    /// Times an agent's queue was cleared.
    pub clears: u64,
    /// Times a callee interrupted.
    pub interruptions: u64,
    /// Legs of agents.
    pub agent_legs: u64,
    /// Webhooks the calls had, each once.
    pub webhooks: u64,
    /// Of these never sent.
    pub lost: u64,
    /// Of these taken by the platform (2xx), each once.
    pub delivered: u64,
    /// Of these not taken in any try.
    pub undelivered: u64,
    /// Taken again after they had been taken.
    pub repeated: u64,
    /// Requests that carried them.
    pub requests: u64,
    /// Delivered webhooks that are facts about a call: as many events has the platform to hold.
    pub facts: u64,
    /// Calls that ended and whose end the platform was never told, though it was told something: it has to ask.
    pub ends_missing: u64,
    /// Calls that ended and of which the platform was told nothing.
    pub untold: u64,
}

impl Truth {
    /// Calls that ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Streams that were let in.
    #[must_use]
    pub const fn carried(&self) -> u64 {
        self.streams - self.streams_full - self.streams_refused
    }

    pub(crate) fn stream(&mut self, stream: &StreamTruth) {
        self.streams += 1;
        match stream.refused {
            Some(503) => self.streams_full += 1,
            Some(_) => self.streams_refused += 1,
            None => {}
        }
        self.frames_sent += stream.frames_sent;
        self.agents_heard_ms += stream.heard_ms;
        self.marks_echoed += stream.marks;
        self.clears += stream.clears;
        self.interruptions += stream.interruptions;
    }

    pub(crate) fn end(&mut self, line: &Line) {
        self.alive = self.alive.saturating_sub(1);
        if line.agent {
            self.agent_legs += 1;
            return;
        }
        if let Some(outcome) = line.outcome() {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
        let Some(answered) = line.answered_at else {
            return;
        };
        let person = line.callee.fate.is_person();
        self.answered += 1;
        self.people += u64::from(person);
        self.machines += u64::from(!person);
        match line.connected {
            Some((_, AgentKind::Human)) => self.to_people += 1,
            Some((_, AgentKind::Ai)) => self.to_ai += 1,
            None => {}
        }
        if let Some(verdict) = line.verdict {
            let said_person = verdict == Verdict::Human;
            let said_machine = matches!(verdict, Verdict::Machine | Verdict::Beep | Verdict::Fax);
            self.wrong_verdicts += u64::from((person && said_machine) || (!person && said_person));
        }
        if !person {
            return;
        }
        if line.connected.is_none() {
            self.heard_message += u64::from(line.heard_message);
            self.heard_nothing += u64::from(!line.heard_message);
        }
        let waited = line.first_heard.map_or(TimeDelta::zero(), |at| at - answered);
        self.longest_silence_ms = self.longest_silence_ms.max(waited.num_milliseconds());
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTruth {
    /// The carrier.
    pub carrier: Carrier,
    /// The carrier's id of it.
    pub carrier_call_id: String,
    /// The sealed context it was placed with: Telnyx's `client_state`, or the `ctx` of Twilio's status callback.
    pub context: Option<String>,
    /// Who was called.
    pub to: String,
    /// The number shown.
    pub from: String,
    /// Which call of this number it is, from 0.
    pub ordinal: u32,
    /// It is an agent's own telephone.
    pub agent: bool,
    /// What chance had in store for it.
    pub fate: Fate,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it was picked up.
    pub answered_at: Option<DateTime<Utc>>,
    /// When the callee first heard anybody or anything.
    pub first_heard: Option<DateTime<Utc>>,
    /// Who talked to them, and from when.
    pub connected: Option<(DateTime<Utc>, AgentKind)>,
    /// A message was played to them.
    pub heard_message: bool,
    /// What machine detection said.
    pub verdict: Option<Verdict>,
    /// How its stream to an AI agent went, once that is over.
    pub stream: Option<StreamTruth>,
    /// How it ended.
    pub outcome: Option<CallOutcome>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Facts the platform was told and took, each once.
    pub facts: u32,
    /// It was told of the end.
    pub end_told: bool,
}
