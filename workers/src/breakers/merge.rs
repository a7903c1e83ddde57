//! What a worker makes of what another one has found out about an account.
//!
//! Each says when something changed; the latest word counts, so it does not matter in which order words come, how
//! often, or when a worker began to listen. An account that was given up is left alone by all until it has cooled down.
//! Then one tries it: whoever does says so, and the others, who waited a little longer each, leave it to them.
//!
//! Pure.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voice_resilience::State;
use voice_schemas::ProviderAccountId;

/// So long whoever tries an account is left alone with it.
pub(super) const TRYING: Duration = Duration::from_secs(10);
/// Within so long of each other workers try an account that has cooled down.
pub(super) const SPREAD: Duration = Duration::from_secs(3);

/// A state, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) state: State,
    pub(super) at: DateTime<Utc>,
}

/// What follows from a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing: it is old, or known.
    Nothing,
    /// Sessions are not opened any more, as if this worker had found it out then.
    Open { since: DateTime<Utc> },
    /// Somebody else tries the account: it is left alone until then.
    LeaveAlone { until: DateTime<Utc> },
    /// Sessions are opened again, as far as was known then.
    Close { at: DateTime<Utc> },
}

/// What follows from `theirs` where `mine` is how things are here; `None`: nothing is known here.
pub(super) fn merge(mine: Option<Word>, theirs: Word, open_for: Duration, now: DateTime<Utc>) -> Course {
    // Clocks differ; nothing happens in the future.
    let at = theirs.at.min(now);
    if mine.is_some_and(|mine| mine.at >= at) {
        return Course::Nothing;
    }
    match theirs.state {
        State::Open if now - at < span(open_for) => Course::Open { since: at },
        State::HalfOpen if mine.is_some_and(|mine| mine.state == State::Open) => {
            let until = at + span(TRYING);
            if until > now {
                Course::LeaveAlone { until }
            } else {
                Course::Nothing
            }
        }
        // Noted where nothing is wrong, too: what was found out before that is older news.
        State::Closed => Course::Close { at },
        State::Open | State::HalfOpen => Course::Nothing,
    }
}

/// How much longer than the others this worker waits before it tries an account again.
pub(super) fn head_start(worker: Uuid, account: ProviderAccountId, since: DateTime<Utc>) -> Duration {
    let mut hash = DefaultHasher::new();
    (worker, account, since.timestamp_millis()).hash(&mut hash);
    Duration::from_millis(hash.finish() % (SPREAD.as_millis() as u64))
}

pub(super) fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn word(state: State, seconds: i64) -> Word {
        Word {
            state,
            at: at(seconds),
        }
    }

    fn merged(mine: Option<Word>, theirs: Word, now: i64) -> Course {
        merge(mine, theirs, OPEN_FOR, at(now))
    }

    /// RES-01
    #[test]
    fn an_opening_counts_until_it_has_cooled_down() {
        let opened = word(State::Open, 100);
        assert_eq!(merged(None, opened, 100), Course::Open { since: at(100) });
        assert_eq!(merged(None, opened, 159), Course::Open { since: at(100) });
        assert_eq!(merged(None, opened, 160), Course::Nothing);
        let ahead = word(State::Open, 130);
        assert_eq!(
            merged(None, ahead, 100),
            Course::Open { since: at(100) },
            "their clock is ahead"
        );
    }

    #[test]
    fn what_was_found_out_here_later_counts_more() {
        let mine = Some(word(State::Closed, 110));
        assert_eq!(merged(mine, word(State::Open, 100), 111), Course::Nothing);
        let mine = Some(word(State::Open, 110));
        assert_eq!(merged(mine, word(State::Closed, 100), 111), Course::Nothing);
        assert_eq!(
            merged(mine, word(State::Closed, 120), 121),
            Course::Close { at: at(120) }
        );
        assert_eq!(
            merged(mine, word(State::Open, 120), 121),
            Course::Open { since: at(120) }
        );
    }

    #[test]
    fn whoever_tries_is_left_alone_for_a_while_and_disturbs_nobody_who_knows_no_trouble() {
        let trying = word(State::HalfOpen, 165);
        let until = at(175);
        assert_eq!(
            merged(Some(word(State::Open, 100)), trying, 166),
            Course::LeaveAlone { until }
        );
        assert_eq!(
            merged(Some(word(State::Open, 100)), trying, 175),
            Course::Nothing,
            "too long"
        );
        assert_eq!(merged(None, trying, 166), Course::Nothing);
        assert_eq!(
            merged(Some(word(State::HalfOpen, 164)), trying, 166),
            Course::Nothing
        );
    }

    #[test]
    fn workers_wait_for_different_times_and_none_for_long() {
        let account = ProviderAccountId::random();
        let mut waits: Vec<Duration> = (0..50_u128)
            .map(|worker| head_start(Uuid::from_u128(worker), account, at(100)))
            .collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 40, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait < SPREAD));
    }

    proptest! {
        /// In whatever order and however often words come, workers that have heard the same end up the same.
        #[test]
        fn whoever_has_heard_the_same_words_knows_the_same(
            words in vec((select(vec![State::Open, State::Closed]), 0..50_i64), 1..8),
            order in vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let words: Vec<Word> = words.into_iter().map(|(state, at)| word(state, at)).collect();
            // Two words of one moment contradict each other; the log has them in one order for all.
            let mut moments: Vec<_> = words.iter().map(|word| word.at).collect();
            moments.sort_unstable();
            moments.dedup();
            prop_assume!(moments.len() == words.len());
            let apply = |mine: &mut Option<Word>, theirs: Word| match merge(*mine, theirs, OPEN_FOR, at(55)) {
                Course::Open { since } => *mine = Some(Word { state: State::Open, at: since }),
                Course::Close { at } => *mine = Some(Word { state: State::Closed, at }),
                Course::Nothing | Course::LeaveAlone { .. } => {}
            };
            let mut in_order = None;
            let mut sorted = words.clone();
            sorted.sort_by_key(|word| word.at);
            for word in sorted {
                apply(&mut in_order, word);
            }
            let mut shuffled = None;
            for index in &order {
                apply(&mut shuffled, *index.get(&words));
            }
            for word in &words {
                apply(&mut shuffled, *word);
            }
            let open = |mine: Option<Word>| mine.is_some_and(|mine| mine.state == State::Open);
            prop_assert_eq!(open(in_order), open(shuffled));
        }
    }
}
