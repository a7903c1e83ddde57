//! How a call is brought to its end: what is still to be said is said and heard, then the carrier is told.
//!
//! Pure: it is told how quiet it is and says what to do.

use std::time::{Duration, Instant};

use crate::error::Ending;

/// Quiet for so long, everything was said: between an answer's words and the next there is less.
const SETTLED: Duration = Duration::from_millis(400);
/// How long it may take until something that was asked for is heard.
const BEGINS_WITHIN: Duration = Duration::from_secs(4);
/// How long the last words may take.
const SAID_WITHIN: Duration = Duration::from_secs(30);
/// How long the platform may take to act.
const DONE_WITHIN: Duration = Duration::from_secs(10);
/// How long the carrier may take to end the stream of a caller who was handed over. Telnyx does not: then the agent would
/// talk into a conversation it is no part of.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Wait,
    /// Everything was said: tell the platform.
    Act,
    /// End the stream, and why.
    End(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something is to be said that nobody has heard the beginning of yet.
    Awaited,
    /// It is being said.
    Speaking,
    /// The platform was asked to act.
    Acting,
    /// The platform has acted, and the carrier is to end the stream.
    Gone,
    /// There is nothing left to do.
    Over,
}

/// A call on its way out.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    ending: Ending,
    phase: Phase,
    since: Instant,
    quiet_since: Option<Instant>,
    /// The caller may still change their mind by speaking.
    revocable: bool,
}

impl Leaving {
    /// What is being said is the goodbye.
    pub(super) const fn after_this(ending: Ending, revocable: bool, now: Instant) -> Self {
        Self {
            ending,
            phase: Phase::Speaking,
            since: now,
            quiet_since: None,
            revocable,
        }
    }

    /// A goodbye was asked for and is yet to come.
    pub(super) const fn after_words(ending: Ending, now: Instant) -> Self {
        Self {
            ending,
            phase: Phase::Awaited,
            since: now,
            quiet_since: None,
            revocable: false,
        }
    }

    /// The platform has acted already.
    pub(super) const fn gone(ending: Ending, now: Instant) -> Self {
        Self {
            ending,
            phase: Phase::Gone,
            since: now,
            quiet_since: None,
            revocable: false,
        }
    }

    pub(super) const fn ending(&self) -> Ending {
        self.ending
    }

    /// The caller is handed over or hung up on at this moment.
    pub(super) fn has_acted(&self) -> bool {
        matches!(self.phase, Phase::Acting | Phase::Gone | Phase::Over)
    }

    /// The caller spoke over the goodbye; whether the call goes on.
    pub(super) fn interrupted(&self) -> bool {
        self.revocable && !self.has_acted()
    }

    /// What to do. `quiet`: nobody speaks, and nothing is under way.
    pub(super) fn step(&mut self, quiet: bool, now: Instant) -> Next {
        if quiet {
            self.quiet_since.get_or_insert(now);
        } else {
            self.quiet_since = None;
        }
        let settled = self.quiet_since.is_some_and(|since| now >= since + SETTLED);
        let passed = now.saturating_duration_since(self.since);
        match self.phase {
            Phase::Awaited if !quiet => self.enter(Phase::Speaking, now, Next::Wait),
            Phase::Awaited if passed >= BEGINS_WITHIN => self.enter(Phase::Acting, now, Next::Act),
            Phase::Speaking if settled || passed >= SAID_WITHIN => self.enter(Phase::Acting, now, Next::Act),
            Phase::Over => Next::End(self.ending),
            Phase::Acting if passed >= DONE_WITHIN => Next::End(self.ending),
            Phase::Gone if passed >= GONE_WITHIN => Next::End(self.ending),
            Phase::Awaited | Phase::Speaking | Phase::Acting | Phase::Gone => Next::Wait,
        }
    }

    const fn enter(&mut self, phase: Phase, now: Instant, next: Next) -> Next {
        (self.phase, self.since) = (phase, now);
        next
    }

    /// The platform has acted, or could not; `handed_over`: the carrier ends the stream.
    pub(super) const fn acted(&mut self, handed_over: bool, now: Instant) {
        if handed_over {
            self.ending = Ending::Transferred;
        }
        self.since = now;
        self.phase = if handed_over { Phase::Gone } else { Phase::Over };
    }

    /// When [`step`](Self::step) wants to be asked.
    pub(super) fn wake_at(&self) -> Instant {
        let within = match self.phase {
            Phase::Awaited => BEGINS_WITHIN,
            Phase::Speaking => SAID_WITHIN,
            Phase::Acting => DONE_WITHIN,
            Phase::Gone => GONE_WITHIN,
            Phase::Over => Duration::ZERO,
        };
        let end = self.since + within;
        match (self.phase, self.quiet_since) {
            (Phase::Speaking, Some(since)) => end.min(since + SETTLED),
            _ => end,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_goodbye_is_heard_to_its_end_before_anybody_hangs_up() {
        let now = Instant::now();
        let mut leaving = Leaving::after_this(Ending::HungUp, true, now);
        assert_eq!(leaving.step(false, now), Next::Wait);
        assert_eq!(leaving.step(true, now + ms(2_000)), Next::Wait);
        assert_eq!(leaving.step(false, now + ms(2_200)), Next::Wait, "it was a pause");
        assert_eq!(leaving.step(true, now + ms(3_000)), Next::Wait);
        assert_eq!(leaving.wake_at(), now + ms(3_400));
        assert!(leaving.interrupted(), "the caller may still say something");
        assert_eq!(leaving.step(true, now + ms(3_400)), Next::Act);
        assert!(!leaving.interrupted());
        leaving.acted(false, now + ms(3_500));
        assert_eq!(leaving.step(true, now + ms(3_500)), Next::End(Ending::HungUp));
    }

    #[test]
    fn words_that_never_come_are_not_waited_for_longer_than_silence_may_last() {
        let now = Instant::now();
        let mut leaving = Leaving::after_words(Ending::Budget, now);
        assert_eq!(leaving.step(true, now + ms(3_999)), Next::Wait);
        assert_eq!(leaving.step(true, now + ms(4_000)), Next::Act);
        let mut leaving = Leaving::after_words(Ending::Budget, now);
        assert_eq!(leaving.step(false, now + ms(1_000)), Next::Wait);
        assert_eq!(leaving.step(true, now + ms(4_000)), Next::Wait);
        assert_eq!(leaving.step(true, now + ms(4_400)), Next::Act);
    }

    #[test]
    fn a_caller_who_is_handed_over_is_left_to_the_carrier_for_a_while() {
        let now = Instant::now();
        let mut leaving = Leaving::after_this(Ending::TooLong, false, now);
        leaving.step(true, now);
        leaving.step(true, now + ms(400));
        leaving.acted(true, now + ms(500));
        assert_eq!(leaving.step(true, now + ms(600)), Next::Wait);
        assert_eq!(leaving.ending(), Ending::Transferred);
        assert_eq!(
            leaving.step(true, now + ms(1_500)),
            Next::End(Ending::Transferred)
        );
    }

    proptest! {
        #[test]
        fn every_call_that_leaves_is_gone_within_a_minute(
            quiet in vec(any::<bool>(), 1..20), words in any::<bool>(), steps in 1..400_u64,
        ) {
            let start = Instant::now();
            let mut leaving = if words {
                Leaving::after_words(Ending::Budget, start)
            } else {
                Leaving::after_this(Ending::HungUp, true, start)
            };
            let mut ended = false;
            let mut quiet = quiet.into_iter().cycle();
            for step in 0..=60_000 / steps {
                let now = start + ms(step * steps);
                ended |= matches!(leaving.step(quiet.next().unwrap(), now), Next::End(_));
                if ended {
                    break;
                }
            }
            prop_assert!(ended);
        }
    }
}
