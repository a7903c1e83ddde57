//! Which offsets of a partition are finished without a gap: the only offsets that may be committed.

use std::collections::{BTreeMap, VecDeque};

/// Accounts for the records of one partition from receipt to completion.
///
/// Work may finish in any order. [`position`](Self::position) is the offset after the last record before
/// which everything received is finished; committing it can lose nothing. Offsets that were never
/// received (compacted away, transaction markers) are not waited for.
#[derive(Debug, Default)]
pub struct Frontier {
    position: Option<i64>,
    /// Runs of consecutive offsets that were received and are not behind the position yet.
    received: VecDeque<(i64, i64)>,
    /// Finished runs ahead of the position, first offset to last.
    finished: BTreeMap<i64, i64>,
}

impl Frontier {
    /// A frontier that stands at the committed offset, where there is one.
    #[must_use]
    pub fn new(committed: Option<i64>) -> Self {
        Self {
            position: committed,
            ..Self::default()
        }
    }

    /// The offset to commit: the next one to read after everything that is finished.
    #[must_use]
    pub const fn position(&self) -> Option<i64> {
        self.position
    }

    /// The offset after everything received.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.received.back().map(|(_, last)| last + 1).or(self.position)
    }

    /// True when something was received and is not finished.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.received.is_empty()
    }

    /// Takes note of a record. Offsets come in order.
    pub fn received(&mut self, offset: i64) {
        match self.received.back_mut() {
            Some((_, last)) if *last + 1 == offset => *last = offset,
            _ => self.received.push_back((offset, offset)),
        }
    }

    /// Marks the records from `first` to `last` as finished, both included.
    pub fn finish(&mut self, first: i64, last: i64) {
        let entry = self.finished.entry(first).or_insert(last);
        *entry = last.max(*entry);
        self.advance();
    }

    fn advance(&mut self) {
        while let Some((first, last)) = self.received.front_mut() {
            let Some((_, done)) = self
                .finished
                .range(..=*first)
                .next_back()
                .filter(|(_, done)| **done >= *first)
            else {
                break;
            };
            let reached = (*done).min(*last);
            self.position = Some(reached + 1);
            if reached == *last {
                self.received.pop_front();
            } else {
                *first = reached + 1;
            }
        }
        let position = self.position.unwrap_or(i64::MIN);
        self.finished.retain(|_, last| *last >= position);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::subsequence};

    use super::*;

    #[test]
    fn a_gap_holds_the_frontier_until_it_is_filled() {
        let mut frontier = Frontier::new(Some(10));
        (10..=14).for_each(|offset| frontier.received(offset));
        frontier.finish(12, 14);
        assert_eq!(frontier.position(), Some(10));
        frontier.finish(10, 10);
        assert_eq!(frontier.position(), Some(11));
        frontier.finish(11, 11);
        assert_eq!(frontier.position(), Some(15));
        assert!(!frontier.is_open());
    }

    #[test]
    fn offsets_that_never_came_are_not_waited_for() {
        let mut frontier = Frontier::new(None);
        [3, 4, 9].into_iter().for_each(|offset| frontier.received(offset));
        frontier.finish(3, 4);
        assert_eq!(frontier.position(), Some(5));
        frontier.finish(9, 9);
        assert_eq!(frontier.position(), Some(10));
    }

    proptest! {
        #[test]
        fn in_whatever_order_work_finishes_nothing_unfinished_is_ever_behind_the_frontier(
            offsets in subsequence((0..60_i64).collect::<Vec<_>>(), 1..60),
            order in vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut frontier = Frontier::new(None);
            offsets.iter().for_each(|offset| frontier.received(*offset));
            let mut open = offsets.clone();
            for index in order {
                if open.is_empty() {
                    break;
                }
                let offset = open.remove(index.index(open.len()));
                frontier.finish(offset, offset);
                let position = frontier.position().unwrap_or(i64::MIN);
                prop_assert!(open.iter().all(|unfinished| *unfinished >= position));
                let reachable = offsets.iter().take_while(|offset| !open.contains(offset)).last();
                prop_assert_eq!(frontier.position(), reachable.map(|last| last + 1));
            }
            while let Some(offset) = open.pop() {
                frontier.finish(offset, offset);
            }
            prop_assert_eq!(frontier.position(), offsets.last().map(|last| last + 1));
            prop_assert!(!frontier.is_open());
        }
    }
}
