//! Nobody says anything: ask whether the caller is still there, then say goodbye.

use std::time::{Duration, Instant};

/// When to ask, and when to stop asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence until the first question.
    pub first: Duration,
    /// Silence after a question until the next.
    pub again: Duration,
    /// Questions before the call is given up.
    pub most: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(8),
            again: Duration::from_secs(8),
            most: 2,
        }
    }
}

/// What to do about the silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ask; this is the n-th time, from 1.
    Prompt(u32),
    /// Nobody is there.
    GiveUp,
}

/// Watches the silence of one call.
#[derive(Clone, Debug)]
pub struct Idle {
    policy: Policy,
    /// Since when nobody has spoken; `None` while somebody does.
    since: Option<Instant>,
    asked: u32,
    over: bool,
}

impl Idle {
    /// A call that begins in silence.
    #[must_use]
    pub const fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            since: Some(now),
            asked: 0,
            over: false,
        }
    }

    /// The caller speaks or presses a key: they are there.
    pub const fn caller_active(&mut self) {
        self.since = None;
        self.asked = 0;
    }

    /// The agent is heard. Its own question does not make the caller present.
    pub const fn agent_active(&mut self) {
        self.since = None;
    }

    /// Neither is heard any more.
    pub const fn silent(&mut self, now: Instant) {
        if self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// When to ask [`woken`](Self::woken) next.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let patience = if self.asked == 0 {
            self.policy.first
        } else {
            self.policy.again
        };
        self.since.map(|since| since + patience)
    }

    /// The time of [`wake_at`](Self::wake_at) may have come.
    pub fn woken(&mut self, now: Instant) -> Option<Act> {
        self.wake_at().filter(|at| *at <= now)?;
        self.since = Some(now);
        if self.asked == self.policy.most {
            self.over = true;
            return Some(Act::GiveUp);
        }
        self.asked += 1;
        Some(Act::Prompt(self.asked))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_asked_about_twice_and_then_given_up() {
        let start = Instant::now();
        let mut idle = Idle::new(Policy::default(), start);
        assert_eq!(idle.woken(after(start, 7)), None);
        assert_eq!(idle.woken(after(start, 8)), Some(Act::Prompt(1)));
        idle.agent_active();
        assert_eq!(idle.wake_at(), None, "while the question is heard");
        idle.silent(after(start, 11));
        assert_eq!(idle.woken(after(start, 19)), Some(Act::Prompt(2)));
        assert_eq!(idle.woken(after(start, 27)), Some(Act::GiveUp));
        assert_eq!(idle.woken(after(start, 100)), None);
    }

    #[test]
    fn a_caller_who_answers_is_asked_from_the_beginning() {
        let start = Instant::now();
        let mut idle = Idle::new(Policy::default(), start);
        assert_eq!(idle.woken(after(start, 8)), Some(Act::Prompt(1)));
        idle.caller_active();
        idle.silent(after(start, 20));
        assert_eq!(idle.woken(after(start, 28)), Some(Act::Prompt(1)));
    }

    proptest! {
        #[test]
        fn the_call_is_given_up_at_most_once_and_never_while_somebody_speaks(
            steps in vec((0..4_u8, 0..12_u64), 0..60),
        ) {
            let mut now = Instant::now();
            let mut idle = Idle::new(Policy::default(), now);
            let (mut speaking, mut over) = (false, false);
            for (step, seconds) in steps {
                now = after(now, seconds);
                match step {
                    0 => { idle.caller_active(); speaking = true; }
                    1 => { idle.agent_active(); speaking = true; }
                    2 => { idle.silent(now); speaking = false; }
                    _ => {
                        let act = idle.woken(now);
                        prop_assert!(act.is_none() || !speaking && !over);
                        over |= act == Some(Act::GiveUp);
                    }
                }
            }
        }
    }
}
