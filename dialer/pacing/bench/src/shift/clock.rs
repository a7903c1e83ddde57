//! What is going to happen, in the order in which it will.

use std::{cmp::Ordering, collections::BinaryHeap};

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A dial stops ringing.
    RingOver(usize),
    /// News of that reaches the dialer.
    News(usize),
    /// The message is played to a person nobody was connected to, or the person hangs up.
    GivesUp(usize),
    /// An AI agent would take over.
    AiTakes(usize),
    /// An AI agent is free again.
    AiFree,
    /// An agent's talk ends.
    TalkEnd(usize),
    /// An agent's wrap-up ends.
    WrapEnd(usize),
    /// An agent comes.
    Comes,
    /// An agent leaves as soon as the work at hand is done.
    Leaves,
    /// The dialer has a look.
    Look,
    /// No more dials today.
    Closing,
    /// Everybody goes home.
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: f64,
    order: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    // The earliest is the greatest, because the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

/// The queue of what is due.
#[derive(Debug, Default)]
pub(super) struct Clock {
    heap: BinaryHeap<Entry>,
    order: u64,
}

impl Clock {
    pub(super) fn set(&mut self, at: f64, due: Due) {
        self.order += 1;
        self.heap.push(Entry {
            at,
            order: self.order,
            due,
        });
    }

    pub(super) fn next(&mut self) -> Option<(f64, Due)> {
        self.heap.pop().map(|entry| (entry.at, entry.due))
    }
}
