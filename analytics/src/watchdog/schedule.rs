//! When a silent call is worth a question to its carrier.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use voice_schemas::CallId;

/// How long silence may last.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchdogConfig {
    /// Between two rounds.
    pub interval_ms: u64,
    /// Silence before an answer: the longest ring time-out and a margin.
    pub silence_ringing_ms: i64,
    /// Silence after an answer: people talk for long, and a question costs a request.
    pub silence_answered_ms: i64,
    /// Between two questions about one call.
    pub ask_again_ms: i64,
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            silence_ringing_ms: 120_000,
            silence_answered_ms: 600_000,
            ask_again_ms: 300_000,
        }
    }
}

impl WatchdogConfig {
    pub(crate) fn faults(&self) -> Vec<String> {
        let positive = self.interval_ms > 0
            && [
                self.silence_ringing_ms,
                self.silence_answered_ms,
                self.ask_again_ms,
            ]
            .iter()
            .all(|ms| *ms > 0);
        if positive {
            Vec::new()
        } else {
            vec!["analytics.watchdog: every duration must be above 0".to_owned()]
        }
    }

    pub(crate) fn shortest_silence_ms(&self) -> i64 {
        self.silence_ringing_ms.min(self.silence_answered_ms)
    }
}

/// Remembers which calls were asked about, and when.
#[derive(Debug)]
pub struct Schedule {
    config: WatchdogConfig,
    asked: HashMap<CallId, DateTime<Utc>>,
}

impl Schedule {
    /// A schedule that has asked about nothing.
    #[must_use]
    pub fn new(config: WatchdogConfig) -> Self {
        Self {
            config,
            asked: HashMap::new(),
        }
    }

    /// Whether to ask about a call that was last heard of at `heard`.
    #[must_use]
    pub fn is_due(&self, call: CallId, answered: bool, heard: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let silence = if answered {
            self.config.silence_answered_ms
        } else {
            self.config.silence_ringing_ms
        };
        let again = TimeDelta::milliseconds(self.config.ask_again_ms);
        now - heard >= TimeDelta::milliseconds(silence)
            && self.asked.get(&call).is_none_or(|asked| now - *asked >= again)
    }

    /// Takes note of a question.
    pub fn asked(&mut self, call: CallId, now: DateTime<Utc>) {
        self.asked.insert(call, now);
    }

    /// Forgets calls that are no longer open.
    pub fn forget_all_but(&mut self, open: impl Iterator<Item = CallId>) {
        let open: HashSet<CallId> = open.collect();
        self.asked.retain(|call, _| open.contains(call));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_ringing_call_is_asked_about_sooner_than_one_that_was_answered() {
        let schedule = Schedule::new(WatchdogConfig::default());
        let call = CallId::random();
        assert!(!schedule.is_due(call, false, at(0), at(119)));
        assert!(schedule.is_due(call, false, at(0), at(120)));
        assert!(!schedule.is_due(call, true, at(0), at(120)));
        assert!(schedule.is_due(call, true, at(0), at(600)));
    }

    #[test]
    fn a_call_is_not_asked_about_again_at_once_and_is_forgotten_when_it_ended() {
        let mut schedule = Schedule::new(WatchdogConfig::default());
        let call = CallId::random();
        schedule.asked(call, at(120));
        assert!(!schedule.is_due(call, false, at(0), at(419)));
        assert!(schedule.is_due(call, false, at(0), at(420)));
        schedule.forget_all_but(std::iter::empty());
        assert!(schedule.is_due(call, false, at(0), at(130)));
    }
}
