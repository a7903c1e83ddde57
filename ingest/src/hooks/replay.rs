//! Which deliveries were seen before, in bounded memory.
//!
//! A key is remembered for at least `life`, or until `most` newer ones have come, whichever is first: two
//! generations of a set, of which the older is dropped whole. A key is marked only once the broker has
//! its record. If it were marked before, a failed append would turn the carrier's retry into a loss.
//!
//! This window belongs to one process. Across processes and restarts the event id does the work: the same
//! delivery has the same id, and equal ids are one fact to whoever reads them. See
//! `docs/decisions/0003-replay-protection.md`.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use chrono::{DateTime, TimeDelta, Utc};

/// What makes a delivery the same delivery: 128 bits of which the lower 62 are a hash at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ReplayKey(pub(crate) u128);

/// The keys are hashes already.
#[derive(Default)]
pub(crate) struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `u128` keys come here, through `write_u128`; anything else is folded in all the same.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "folding is the point")]
    fn write_u128(&mut self, key: u128) {
        // The upper half begins with a time, the lower with two constant bits: their sum spreads well.
        self.0 = ((key >> 64) as u64).rotate_left(32) ^ (key as u64);
    }
}

type Keys = HashSet<ReplayKey, BuildHasherDefault<KeyIsHash>>;

/// The memory of one process, or of one shard of it. Pure: whoever asks brings the time.
#[derive(Debug)]
pub(crate) struct Window {
    life: TimeDelta,
    most: usize,
    current: Keys,
    previous: Keys,
    /// When the current generation began.
    since: Option<DateTime<Utc>>,
}

impl Window {
    pub(crate) fn new(life: TimeDelta, most: usize) -> Self {
        Self {
            life,
            most: most.max(1),
            current: Keys::default(),
            previous: Keys::default(),
            since: None,
        }
    }

    /// Whether the key was marked within the window. A key older than two lives is forgotten even when
    /// nothing was marked since.
    pub(crate) fn saw(&mut self, key: ReplayKey, now: DateTime<Utc>) -> bool {
        self.age(now);
        self.current.contains(&key) || self.previous.contains(&key)
    }

    /// Remembers the key.
    pub(crate) fn mark(&mut self, key: ReplayKey, now: DateTime<Utc>) {
        self.age(now);
        if self.current.len() >= self.most {
            self.turn(now);
        }
        self.current.insert(key);
    }

    /// How many keys are remembered, in both generations.
    pub(crate) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// A clock that jumps back changes nothing: a generation only ever lives longer for it.
    fn age(&mut self, now: DateTime<Utc>) {
        let since = *self.since.get_or_insert(now);
        let age = now - since;
        if age >= self.life + self.life {
            (self.current, self.previous) = (Keys::default(), Keys::default());
            self.since = Some(now);
        } else if age >= self.life {
            // Not from `now` on: a generation noticed late would live that much longer.
            self.turn(since + self.life);
        }
    }

    fn turn(&mut self, since: DateTime<Utc>) {
        // The set keeps its table, so a busy window allocates while it grows and never again.
        std::mem::swap(&mut self.previous, &mut self.current);
        self.current.clear();
        self.since = Some(since);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const T0: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn hours(hours: i64) -> DateTime<Utc> {
        T0 + TimeDelta::hours(hours)
    }

    fn window(most: usize) -> Window {
        Window::new(TimeDelta::hours(24), most)
    }

    /// T12
    #[test]
    fn a_key_is_new_until_it_is_marked_and_asking_does_not_mark_it() {
        let mut window = window(10);
        assert!(!window.saw(ReplayKey(1), T0));
        assert!(!window.saw(ReplayKey(1), T0));
        window.mark(ReplayKey(1), T0);
        assert!(window.saw(ReplayKey(1), T0));
        assert!(!window.saw(ReplayKey(2), T0));
    }

    #[test]
    fn a_key_is_remembered_for_a_day_and_forgotten_after_two() {
        let mut window = window(10);
        window.mark(ReplayKey(1), hours(0));
        window.mark(ReplayKey(2), hours(23));
        assert!(window.saw(ReplayKey(1), hours(24)));
        assert!(window.saw(ReplayKey(2), hours(47)));
        assert!(!window.saw(ReplayKey(1), hours(48)));
        assert!(!window.saw(ReplayKey(2), hours(72)));
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn a_silence_of_two_lives_empties_the_memory() {
        let mut window = window(10);
        window.mark(ReplayKey(1), T0);
        assert!(!window.saw(ReplayKey(1), hours(48)));
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn a_clock_that_jumps_back_forgets_nothing() {
        let mut window = window(10);
        window.mark(ReplayKey(1), hours(100));
        assert!(window.saw(ReplayKey(1), hours(1)));
    }

    proptest! {
        /// Against a model that remembers every mark with its time and number.
        #[test]
        fn what_must_be_remembered_is_and_memory_stays_bounded(
            steps in proptest::collection::vec((0_u128..40, 0_i64..9), 1..300),
            most in 1_usize..12,
        ) {
            let mut window = window(most);
            let mut marks: HashMap<u128, (usize, DateTime<Utc>)> = HashMap::new();
            let mut now = T0;
            for (number, (key, pause)) in steps.into_iter().enumerate() {
                now += TimeDelta::hours(pause);
                let seen = window.saw(ReplayKey(key), now);
                match marks.get(&key) {
                    None => prop_assert!(!seen, "never marked"),
                    Some((at_number, at)) => {
                        let fresh = now - *at < TimeDelta::hours(24) && number - at_number < most;
                        prop_assert!(seen || !fresh, "forgotten too early");
                        let stale = now - *at >= TimeDelta::hours(48);
                        prop_assert!(!seen || !stale, "remembered too long");
                    }
                }
                if !seen {
                    window.mark(ReplayKey(key), now);
                    marks.insert(key, (number, now));
                }
                prop_assert!(window.len() <= 2 * most);
            }
        }
    }
}
