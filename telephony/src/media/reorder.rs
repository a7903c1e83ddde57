//! Frames in the order they were spoken, whatever order they arrive in.
//!
//! Telnyx does not promise order. A frame that is next passes at once and nothing is kept; one that is early
//! waits until those before it have come, or until so many wait that the missing one will not come in time.

use std::collections::VecDeque;

/// What was lost or came for nothing, since the stream began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Never came while they were waited for.
    pub missing: u64,
    /// Came after their turn, or twice.
    pub late: u64,
    /// Had to wait for others.
    pub waited: u64,
}

/// Puts the frames of one track in order.
#[derive(Clone, Debug)]
pub struct Reorder<T> {
    next: Option<u64>,
    /// What waits, from `next` on; `None` where a frame is missing. The first is always missing.
    waiting: VecDeque<Option<T>>,
    held: usize,
    most: usize,
    lost: Lost,
}

impl<T> Reorder<T> {
    /// Lets at most `most` frames wait for a missing one: the longest delay, in frames.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            next: None,
            waiting: VecDeque::new(),
            held: 0,
            most,
            lost: Lost {
                missing: 0,
                late: 0,
                waited: 0,
            },
        }
    }

    /// What was lost so far.
    #[must_use]
    pub const fn lost(&self) -> Lost {
        self.lost
    }

    /// Takes a frame and gives out those whose turn it is, in order.
    pub fn offer(&mut self, chunk: u64, frame: T, mut out: impl FnMut(u64, T)) {
        let next = *self.next.get_or_insert(chunk);
        if chunk == next && self.waiting.is_empty() {
            self.next = Some(next + 1);
            out(chunk, frame);
            return;
        }
        let Some(ahead) = chunk.checked_sub(next) else {
            self.lost.late += 1;
            return;
        };
        // So far ahead that everything before it is lost: a stream that began again, or a long gap.
        let far = usize::try_from(ahead).map_or(true, |ahead| ahead > 16 * self.most.max(1));
        if far {
            self.give_up_all(&mut out);
            let next = self.next.unwrap_or(chunk);
            self.lost.missing += chunk.saturating_sub(next);
            self.next = Some(chunk + 1);
            out(chunk, frame);
            return;
        }
        let index = usize::try_from(ahead).unwrap_or(0);
        if self.waiting.len() <= index {
            self.waiting.resize_with(index + 1, || None);
        }
        if self.waiting[index].is_some() {
            self.lost.late += 1;
            return;
        }
        self.waiting[index] = Some(frame);
        self.held += 1;
        if ahead > 0 {
            self.lost.waited += 1;
        }
        self.release(&mut out);
        while self.held > self.most {
            self.skip();
            self.release(&mut out);
        }
    }

    /// Gives out everything that waits, in order: the stream is over.
    pub fn finish(&mut self, mut out: impl FnMut(u64, T)) {
        self.give_up_all(&mut out);
    }

    fn give_up_all(&mut self, out: &mut impl FnMut(u64, T)) {
        while self.held > 0 {
            self.release(out);
            if self.held > 0 {
                self.skip();
            }
        }
        self.waiting.clear();
    }

    fn release(&mut self, out: &mut impl FnMut(u64, T)) {
        while let Some(Some(_)) = self.waiting.front() {
            if let (Some(Some(frame)), Some(next)) = (self.waiting.pop_front(), self.next) {
                self.held -= 1;
                self.next = Some(next + 1);
                out(next, frame);
            }
        }
        if self.held == 0 {
            self.waiting.clear();
        }
    }

    fn skip(&mut self) {
        self.waiting.pop_front();
        self.lost.missing += 1;
        self.next = self.next.map(|next| next + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn run(chunks: &[u64], most: usize) -> (Vec<u64>, Lost) {
        let mut order = Reorder::new(most);
        let mut got = Vec::new();
        for chunk in chunks {
            order.offer(*chunk, *chunk, |number, frame| {
                assert_eq!(number, frame);
                got.push(frame);
            });
        }
        order.finish(|_, frame| got.push(frame));
        (got, order.lost())
    }

    proptest! {
        #[test]
        fn what_comes_out_is_in_order_and_accounted_for(
            chunks in vec(1..400_u64, 0..300),
            most in 0..6_usize,
        ) {
            let (got, lost) = run(&chunks, most);
            prop_assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(got.len() as u64 + lost.late, chunks.len() as u64);
            if let (Some(first), Some(last)) = (got.first(), got.last()) {
                prop_assert_eq!(last - first + 1, got.len() as u64 + lost.missing);
            }
        }

        /// Each frame may come up to `most` places late.
        #[test]
        fn nothing_is_lost_while_frames_are_no_later_than_the_window(
            delays in vec(0..4_u64, 1..200),
        ) {
            let mut arrival: Vec<(u64, u64)> = delays
                .iter()
                .enumerate()
                .map(|(index, delay)| (index as u64 + delay, index as u64 + 2))
                .collect();
            arrival.sort_unstable();
            let mut chunks = vec![1];
            chunks.extend(arrival.iter().map(|(_, chunk)| *chunk));
            let (got, lost) = run(&chunks, 4);
            prop_assert_eq!(got, (1..=delays.len() as u64 + 1).collect::<Vec<_>>());
            prop_assert_eq!((lost.missing, lost.late), (0, 0));
        }
    }

    #[test]
    fn frames_in_order_pass_at_once_and_a_missing_one_is_given_up_after_the_window() {
        let mut order = Reorder::new(2);
        let mut got = Vec::new();
        let mut offer =
            |chunk: u64, got: &mut Vec<u64>| order.offer(chunk, chunk, |_, frame| got.push(frame));
        for chunk in [7, 8, 10, 11] {
            offer(chunk, &mut got);
        }
        assert_eq!(got, [7, 8]);
        offer(12, &mut got);
        assert_eq!(got, [7, 8, 10, 11, 12]);
        offer(9, &mut got);
        assert_eq!(got, [7, 8, 10, 11, 12]);
        assert_eq!(
            order.lost(),
            Lost {
                missing: 1,
                late: 1,
                waited: 3
            }
        );
    }

    #[test]
    fn a_jump_far_ahead_goes_on_from_there_without_holding_memory() {
        let (got, lost) = run(&[1, 3, 1_000_000_000, 1_000_000_001], 3);
        assert_eq!(got, [1, 3, 1_000_000_000, 1_000_000_001]);
        assert_eq!(lost.missing, 1 + (1_000_000_000 - 4));
    }
}
