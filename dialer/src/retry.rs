//! When a contact is tried again, by the class of what came of the last try.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use voice_schemas::events::call::{AnsweredBy, CallOutcome};

/// What an attempt came to, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person was talked to.
    Reached,
    /// The line was engaged.
    Busy,
    /// It rang until the time-out.
    NoAnswer,
    /// A machine answered.
    Machine,
    /// The carrier failed or refused.
    CarrierError,
    /// The far end refused the call.
    Rejected,
    /// A person answered and nobody was there for them.
    Abandoned,
    /// Nobody knows what became of it.
    Unknown,
    /// We gave up before it was answered.
    Canceled,
    /// The number does not exist.
    InvalidNumber,
    /// The person pressed the key that ends all calls to them.
    OptedOut,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Reached,
        Self::Busy,
        Self::NoAnswer,
        Self::Machine,
        Self::CarrierError,
        Self::Rejected,
        Self::Abandoned,
        Self::Unknown,
        Self::Canceled,
        Self::InvalidNumber,
        Self::OptedOut,
    ];

    /// The name in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Machine => "machine",
            Self::CarrierError => "carrier_error",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
            Self::Canceled => "canceled",
            Self::InvalidNumber => "invalid_number",
            Self::OptedOut => "opted_out",
        }
    }

    /// The class with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// What a call that ended so comes to.
    #[must_use]
    pub const fn of(
        outcome: CallOutcome,
        answered_by: Option<AnsweredBy>,
        bridged: bool,
        abandoned: bool,
    ) -> Self {
        match outcome {
            CallOutcome::Completed if bridged => Self::Reached,
            CallOutcome::Completed if abandoned => Self::Abandoned,
            CallOutcome::Completed => match answered_by {
                Some(AnsweredBy::Machine | AnsweredBy::Fax) => Self::Machine,
                // Answered, hung up before anybody was connected, and not for want of an agent.
                _ => Self::NoAnswer,
            },
            CallOutcome::Busy => Self::Busy,
            CallOutcome::NoAnswer => Self::NoAnswer,
            CallOutcome::InvalidNumber => Self::InvalidNumber,
            CallOutcome::Rejected => Self::Rejected,
            CallOutcome::Canceled => Self::Canceled,
            CallOutcome::CarrierError => Self::CarrierError,
            CallOutcome::Unknown => Self::Unknown,
        }
    }
}

/// How often a contact was tried, by class. Tries the carrier refused to make are not among them.
pub type Tries = BTreeMap<Class, u16>;

/// What holds for one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The wait after the first, second, … try of this class; the last one repeats.
    pub delays: Vec<TimeDelta>,
    /// Tries of this class after which there is no further.
    pub max_attempts: u16,
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries of all classes after which there is no further.
    pub max_attempts: u16,
    /// A class without a rule is not tried again.
    pub rules: BTreeMap<Class, Rule>,
}

/// What follows for a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, not before.
    Again(DateTime<Utc>),
    /// There is no need to.
    Done,
    /// It was tried as often as it may be.
    Exhausted,
    /// It makes no sense to.
    Hopeless,
    /// They asked not to be.
    Never,
}

impl Default for RetryPolicy {
    /// Three tries; busy after five minutes, no answer and machines after hours.
    fn default() -> Self {
        let rule = |seconds: &[i64], max_attempts| Rule {
            delays: seconds
                .iter()
                .map(|seconds| TimeDelta::seconds(*seconds))
                .collect(),
            max_attempts,
        };
        Self {
            max_attempts: 3,
            rules: BTreeMap::from([
                (Class::Busy, rule(&[300, 1_800], 3)),
                (Class::NoAnswer, rule(&[3 * 3_600, 24 * 3_600], 3)),
                (Class::Machine, rule(&[24 * 3_600], 2)),
                (Class::CarrierError, rule(&[60, 600], 5)),
                (Class::Rejected, rule(&[24 * 3_600], 2)),
                // Longer than the longest lock-out after an abandoned call; the law's own limit stands above it.
                (Class::Abandoned, rule(&[72 * 3_600], 1)),
                (Class::Unknown, rule(&[24 * 3_600], 1)),
                (Class::Canceled, rule(&[900], 3)),
            ]),
        }
    }
}

impl RetryPolicy {
    /// What follows when the latest try, already counted in `tries`, came to `class` at `now`.
    #[must_use]
    pub fn next(&self, class: Class, tries: &Tries, now: DateTime<Utc>) -> Next {
        match class {
            Class::Reached => return Next::Done,
            Class::InvalidNumber => return Next::Hopeless,
            Class::OptedOut => return Next::Never,
            _ => {}
        }
        let total: u16 = tries.values().fold(0, |sum, count| sum.saturating_add(*count));
        let Some(rule) = self.rules.get(&class) else {
            return Next::Exhausted;
        };
        let of_class = tries.get(&class).copied().unwrap_or(0);
        if total >= self.max_attempts || of_class >= rule.max_attempts {
            return Next::Exhausted;
        }
        let position = usize::from(of_class.saturating_sub(1)).min(rule.delays.len().saturating_sub(1));
        match rule.delays.get(position) {
            Some(delay) => Next::Again(now + *delay),
            None => Next::Exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    #[test]
    fn delays_follow_the_class_and_the_last_one_repeats() {
        let policy = RetryPolicy {
            max_attempts: 9,
            rules: BTreeMap::from([(
                Class::Busy,
                Rule {
                    delays: vec![TimeDelta::minutes(5), TimeDelta::minutes(30)],
                    max_attempts: 4,
                },
            )]),
        };
        let after = |count| policy.next(Class::Busy, &Tries::from([(Class::Busy, count)]), now());
        assert_eq!(after(1), Next::Again(now() + TimeDelta::minutes(5)));
        assert_eq!(after(2), Next::Again(now() + TimeDelta::minutes(30)));
        assert_eq!(after(3), Next::Again(now() + TimeDelta::minutes(30)));
        assert_eq!(after(4), Next::Exhausted);
        assert_eq!(
            policy.next(Class::Machine, &Tries::from([(Class::Machine, 1)]), now()),
            Next::Exhausted,
            "a class without a rule is not tried again"
        );
    }

    #[test]
    fn whoever_was_talked_to_is_done_and_a_number_that_does_not_exist_is_hopeless() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.next(Class::Reached, &Tries::new(), now()), Next::Done);
        assert_eq!(
            policy.next(Class::InvalidNumber, &Tries::new(), now()),
            Next::Hopeless
        );
    }

    #[test]
    fn an_unclear_answer_is_never_taken_for_a_machine() {
        for answered_by in [None, Some(AnsweredBy::Unknown), Some(AnsweredBy::Silence)] {
            assert_eq!(
                Class::of(CallOutcome::Completed, answered_by, false, false),
                Class::NoAnswer
            );
        }
        assert_eq!(
            Class::of(CallOutcome::Completed, Some(AnsweredBy::Machine), false, false),
            Class::Machine
        );
    }

    proptest! {
        #[test]
        fn no_sequence_of_outcomes_leads_to_more_tries_than_the_policy_allows(
            classes in proptest::collection::vec(proptest::sample::select(Class::ALL.to_vec()), 1..60),
            max_attempts in 1_u16..10,
        ) {
            let policy = RetryPolicy { max_attempts, ..RetryPolicy::default() };
            let mut tries = Tries::new();
            let mut made = 0;
            for class in classes {
                *tries.entry(class).or_default() += 1;
                made += 1;
                match policy.next(class, &tries, now()) {
                    Next::Again(at) => prop_assert!(at > now()),
                    Next::Done | Next::Exhausted | Next::Hopeless | Next::Never => break,
                }
            }
            prop_assert!(made <= max_attempts);
        }
    }
}
