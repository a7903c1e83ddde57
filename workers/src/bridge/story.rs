//! The facts of one call, in order and numbered, until they are told.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use voice_schemas::events::media::{ProviderChange, ToolUse};
use voice_turns::{
    SAMPLES_PER_MS,
    timeline::{Moment, Timeline},
};

use super::{sessions::Change, talk::millis};
use crate::facts::{Fact, Turn};

/// The facts of one call.
#[derive(Debug)]
pub(super) struct Story {
    began: Instant,
    facts: VecDeque<Fact>,
    timeline: Timeline,
    /// What was made and heard until the end of the turn before, in samples.
    before: (u64, u64),
    generated: u64,
    changes: u32,
    tools: u32,
}

impl Story {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            facts: VecDeque::new(),
            timeline: Timeline::default(),
            before: (0, 0),
            generated: 0,
            changes: 0,
            tools: 0,
        }
    }

    pub(super) fn tell(&mut self, fact: Fact) {
        self.facts.push_back(fact);
    }

    pub(super) fn next(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// So much more audio was made, in samples.
    pub(super) const fn generated(&mut self, samples: u64) {
        self.generated += samples;
    }

    /// A moment of a turn; `played` is everything that was ever heard, in samples. Whether a turn is over by it.
    pub(super) fn stamp(&mut self, moment: Moment, at: Instant, played: u64) -> bool {
        let turn = self.timeline.stamp(moment, at);
        self.turn_over(turn, played)
    }

    /// The caller interrupted the answer.
    pub(super) const fn interrupted(&mut self) {
        self.timeline.interrupted();
    }

    /// No further turn will come.
    pub(super) fn finish(&mut self, played: u64) {
        let turn = self.timeline.finish();
        self.turn_over(turn, played);
    }

    fn turn_over(&mut self, turn: Option<voice_turns::timeline::Turn>, played: u64) -> bool {
        let Some(times) = turn else { return false };
        let (generated, heard) = std::mem::replace(&mut self.before, (self.generated, played));
        self.facts.push_back(Fact::Turn(Turn {
            times,
            speech_end_ms: times
                .speech_end
                .map(|at| millis(at.saturating_duration_since(self.began))),
            generated_ms: self.generated.saturating_sub(generated) / SAMPLES_PER_MS,
            heard_ms: played.saturating_sub(heard) / SAMPLES_PER_MS,
        }));
        true
    }

    pub(super) fn changed(&mut self, change: &Change, lost: Duration) {
        self.changes += 1;
        self.facts.push_back(Fact::ProviderChanged(ProviderChange {
            number: self.changes,
            kind: change.kind,
            from: change.from.as_str().to_owned(),
            to: change.to.map(|to| to.as_str().to_owned()).unwrap_or_default(),
            cause: change.cause.to_owned(),
            gap_ms: short(change.gap),
            lost_ms: short(lost),
        }));
    }

    /// `tool` is a name of ours: models invent others.
    pub(super) fn tool(&mut self, tool: &str, outcome: &'static str, took: Duration) {
        self.tools += 1;
        self.facts.push_back(Fact::ToolUsed(ToolUse {
            number: self.tools,
            name: tool.to_owned(),
            outcome: outcome.to_owned(),
            duration_ms: short(took),
        }));
    }
}

pub(super) fn short(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
