//! How much of an answer the caller has heard, told by the marks that come back.
//!
//! Audio is sent to the carrier faster than it plays and waits there. A mark behind a piece comes back when
//! the piece was played: that is the truth. Between two marks the clock is believed, but never beyond the first
//! mark that has not come back. So what is reported as heard is never more than was sent, and at most the
//! stretch between two marks more than was played.
//!
//! Pieces are kept, with whatever the bridge attaches to them, until they were heard: an interruption that turns out
//! to be none sends them again from where they stopped.

use std::{collections::VecDeque, time::Instant};

use crate::{Item, SAMPLES_PER_MS};

/// Items older than this many are forgotten once they were heard.
const REMEMBERED: usize = 16;

/// A piece of an item on its way to the ear.
#[derive(Clone, Debug)]
struct Piece<P> {
    item: Item,
    /// Where it begins, counted over everything ever sent.
    start: u64,
    samples: u64,
    /// Where it begins within its item.
    from: u64,
    mark: Option<u64>,
    payload: P,
}

impl<P> Piece<P> {
    const fn end(&self) -> u64 {
        self.start + self.samples
    }
}

/// What is known of an item, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Which.
    pub item: Item,
    /// The provider has made so much of it.
    pub generated: u64,
    /// So much of it was sent and not taken back.
    pub sent: u64,
    /// So much of it was heard.
    pub heard: u64,
}

impl Truth {
    /// What was heard, in whole milliseconds.
    #[must_use]
    pub const fn heard_ms(&self) -> u64 {
        self.heard / SAMPLES_PER_MS
    }

    /// What was made, in whole milliseconds.
    #[must_use]
    pub const fn generated_ms(&self) -> u64 {
        self.generated / SAMPLES_PER_MS
    }
}

/// A mark came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The item that was playing.
    pub item: Item,
    /// It is the first mark of this item.
    pub first: bool,
}

/// Audio that was sent and not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard<P> {
    /// What it is a piece of.
    pub item: Item,
    /// The whole piece.
    pub payload: P,
    /// So many samples at its beginning were heard.
    pub skip: u64,
    /// So many samples it has in all.
    pub samples: u64,
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared<P> {
    /// The item the caller was listening to.
    pub playing: Option<Truth>,
    /// What they did not hear, in order.
    pub unheard: Vec<Unheard<P>>,
}

/// The queue at the carrier, as far as it can be known from here.
#[derive(Clone, Debug)]
pub struct Playout<P> {
    queue: VecDeque<Piece<P>>,
    items: VecDeque<Truth>,
    /// At this moment, so much of everything ever sent had been played.
    anchor: Option<(Instant, u64)>,
    /// Everything ever sent, less what was taken back.
    sent: u64,
    /// Known to have been played.
    floor: u64,
    next_mark: u64,
    /// Marks below this were sent before the last clear and mean nothing any more.
    valid_from: u64,
}

impl<P> Default for Playout<P> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            items: VecDeque::new(),
            anchor: None,
            sent: 0,
            floor: 0,
            next_mark: 1,
            valid_from: 1,
        }
    }
}

impl<P> Playout<P> {
    /// The provider has made so much more of an item.
    pub fn generated(&mut self, item: Item, samples: u64) {
        self.truth_mut(item).generated += samples;
    }

    /// The next piece of an item goes out. Gives the number of the mark to send behind it, if it is `marked`.
    ///
    /// More than was generated cannot be sent: what is sent and was not announced counts as generated.
    pub fn send(&mut self, item: Item, samples: u64, payload: P, marked: bool, now: Instant) -> Option<u64> {
        let drained = self
            .anchor
            .is_none_or(|anchor| advanced(anchor, now) >= self.sent);
        if drained {
            self.anchor = Some((now, self.sent));
        }
        let truth = self.truth_mut(item);
        let from = truth.sent;
        truth.sent += samples;
        truth.generated = truth.generated.max(truth.sent);
        let mark = marked.then_some(self.next_mark);
        self.next_mark += u64::from(marked);
        self.queue.push_back(Piece {
            item,
            start: self.sent,
            samples,
            from,
            mark,
            payload,
        });
        self.sent += samples;
        mark
    }

    /// A mark came back. One that was cleared away, was never sent or came back before means nothing.
    pub fn mark(&mut self, number: u64, now: Instant) -> Option<Marked> {
        if number < self.valid_from || number >= self.next_mark {
            return None;
        }
        let piece = self.queue.iter().find(|piece| piece.mark == Some(number))?;
        let (item, end) = (piece.item, piece.end());
        let first = self.truth(item).is_some_and(|truth| truth.heard == 0);
        self.floor = self.floor.max(end);
        self.anchor = Some((now, end));
        self.valid_from = number + 1;
        self.settle();
        Some(Marked { item, first })
    }

    /// What is known of an item at this moment.
    #[must_use]
    pub fn at(&self, item: Item, now: Instant) -> Option<Truth> {
        let mut truth = self.truth(item)?;
        let position = self.position(now);
        for piece in self.queue.iter().take_while(|piece| piece.start < position) {
            if piece.item == item {
                truth.heard = truth
                    .heard
                    .max(piece.from + (position - piece.start).min(piece.samples));
            }
        }
        Some(truth)
    }

    /// The item the caller is listening to.
    #[must_use]
    pub fn playing(&self, now: Instant) -> Option<Item> {
        let position = self.position(now);
        let piece = self.queue.iter().find(|piece| piece.end() > position)?;
        Some(piece.item)
    }

    /// How much the caller still has to hear.
    #[must_use]
    pub fn queued_ms(&self, now: Instant) -> u64 {
        (self.sent - self.position(now)) / SAMPLES_PER_MS
    }

    /// Everything that was heard since the beginning, in samples.
    #[must_use]
    pub fn played(&self, now: Instant) -> u64 {
        self.position(now)
    }

    /// Where what is sent next begins to sound: so long from now.
    #[must_use]
    pub fn starts_in_ms(&self, now: Instant) -> u64 {
        let played = self.anchor.map_or(self.sent, |anchor| advanced(anchor, now));
        self.sent.saturating_sub(played.max(self.floor)) / SAMPLES_PER_MS
    }

    /// The carrier is told to throw away what was not played. What was heard until now is what will ever have
    /// been heard of it.
    pub fn clear(&mut self, now: Instant) -> Cleared<P> {
        let position = self.position(now);
        let playing = self.playing(now).and_then(|item| self.at(item, now));
        self.floor = position;
        self.settle();
        let mut unheard = Vec::new();
        for piece in std::mem::take(&mut self.queue) {
            let skip = position.saturating_sub(piece.start).min(piece.samples);
            let truth = self.truth_mut(piece.item);
            truth.heard = truth.heard.max(if skip > 0 { piece.from + skip } else { 0 });
            // Pieces come in order, so the first of an item that was not heard whole decides.
            truth.sent = truth.sent.min(piece.from + skip);
            unheard.push(Unheard {
                item: piece.item,
                payload: piece.payload,
                skip,
                samples: piece.samples,
            });
        }
        self.sent = position;
        self.anchor = None;
        self.valid_from = self.next_mark;
        Cleared { playing, unheard }
    }

    /// Everything ever played, in samples.
    fn position(&self, now: Instant) -> u64 {
        let bound = self
            .queue
            .iter()
            .find(|piece| piece.mark.is_some_and(|mark| mark >= self.valid_from))
            .map_or(self.sent, Piece::end);
        let by_clock = self.anchor.map_or(self.floor, |anchor| advanced(anchor, now));
        by_clock.min(bound).max(self.floor)
    }

    /// Writes off what lies before the floor.
    fn settle(&mut self) {
        // The mark behind the end of an item stands behind nothing: it stays until it comes back.
        let valid_from = self.valid_from;
        let awaited =
            |piece: &Piece<P>| piece.samples == 0 && piece.mark.is_some_and(|mark| mark >= valid_from);
        while let Some(piece) = self
            .queue
            .front()
            .filter(|piece| piece.end() <= self.floor && !awaited(piece))
        {
            let (item, heard) = (piece.item, piece.from + piece.samples);
            self.queue.pop_front();
            let truth = self.truth_mut(item);
            truth.heard = truth.heard.max(heard);
        }
        while self.items.len() > REMEMBERED {
            let oldest = self.items[0].item;
            if self.queue.iter().any(|piece| piece.item == oldest) {
                break;
            }
            self.items.pop_front();
        }
    }

    fn truth(&self, item: Item) -> Option<Truth> {
        self.items.iter().rev().find(|truth| truth.item == item).copied()
    }

    fn truth_mut(&mut self, item: Item) -> &mut Truth {
        let index = self.items.iter().rposition(|truth| truth.item == item);
        let index = index.unwrap_or_else(|| {
            self.items.push_back(Truth {
                item,
                generated: 0,
                sent: 0,
                heard: 0,
            });
            self.items.len() - 1
        });
        &mut self.items[index]
    }
}

fn advanced((then, position): (Instant, u64), now: Instant) -> u64 {
    let passed = now.saturating_duration_since(then).as_micros();
    // A phone call is far shorter than 2^64 microseconds.
    position + u64::try_from(passed).unwrap_or(u64::MAX / 16) * SAMPLES_PER_MS / 1_000
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Generate(u32, u64),
        Send(u32, u64, bool),
        Wait(u64),
        /// The next mark comes back, as the carrier would send it.
        Echo,
        /// Any mark at all, as a broken carrier would.
        Stray(u64),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        vec(
            prop_oneof![
                2 => (0..4_u32, 0..4_000_u64).prop_map(|(item, samples)| Step::Generate(item, samples)),
                5 => (0..4_u32, 1..4_000_u64, any::<bool>()).prop_map(|(item, samples, marked)| Step::Send(item, samples, marked)),
                5 => (0..900_u64).prop_map(Step::Wait),
                3 => Just(Step::Echo),
                1 => (0..60_u64).prop_map(Step::Stray),
                1 => Just(Step::Clear),
            ],
            1..120,
        )
    }

    #[test]
    fn the_mark_behind_the_end_of_an_item_counts_even_when_a_mark_stands_right_before_it() {
        let now = Instant::now();
        let mut playout = Playout::default();
        let last = playout.send(Item(1), 800, "audio", true, now).unwrap();
        let end = playout.send(Item(1), 0, "", true, now).unwrap();
        let heard = now + Duration::from_millis(100);
        assert!(playout.mark(last, heard).is_some());
        assert_eq!(playout.mark(end, heard).map(|marked| marked.item), Some(Item(1)));
        assert_eq!(playout.queued_ms(heard), 0);
        assert_eq!(playout.mark(end, heard), None, "once");
    }

    proptest! {
        #[test]
        fn heard_is_at_most_sent_is_at_most_generated_and_heard_never_shrinks(steps in steps()) {
            let mut now = Instant::now();
            let mut playout = Playout::default();
            let mut outstanding = VecDeque::new();
            let mut before = [0_u64; 4];
            for step in steps {
                match step {
                    Step::Generate(item, samples) => playout.generated(Item(item), samples),
                    Step::Send(item, samples, marked) => {
                        outstanding.extend(playout.send(Item(item), samples, (), marked, now));
                    }
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Echo => {
                        if let Some(mark) = outstanding.pop_front() {
                            playout.mark(mark, now);
                        }
                    }
                    Step::Stray(mark) => {
                        playout.mark(mark, now);
                    }
                    Step::Clear => {
                        let cleared = playout.clear(now);
                        outstanding.clear();
                        prop_assert_eq!(playout.queued_ms(now), 0);
                        prop_assert_eq!(playout.playing(now), None);
                        for unheard in &cleared.unheard {
                            prop_assert!(unheard.skip <= unheard.samples);
                            let truth = playout.at(unheard.item, now).unwrap();
                            prop_assert_eq!(truth.sent, truth.heard);
                        }
                        // Echoes of what was cleared say nothing.
                        let truths: Vec<_> = (0..4).map(|item| playout.at(Item(item), now)).collect();
                        for mark in 0..80 {
                            prop_assert_eq!(playout.mark(mark, now), None);
                        }
                        let later = now + Duration::from_secs(60);
                        let after: Vec<_> = (0..4).map(|item| playout.at(Item(item), later)).collect();
                        prop_assert_eq!(truths, after);
                        if let Some(playing) = cleared.playing {
                            prop_assert!(playing.heard <= playing.generated);
                        }
                    }
                }
                for item in 0..4 {
                    let Some(truth) = playout.at(Item(item), now) else { continue };
                    prop_assert!(truth.heard <= truth.sent, "{:?}", truth);
                    prop_assert!(truth.sent <= truth.generated, "{:?}", truth);
                    let known = &mut before[item as usize];
                    prop_assert!(truth.heard >= *known, "{:?} after {}", truth, known);
                    *known = truth.heard;
                }
            }
        }

        /// A carrier that plays what it gets and echoes each mark when its audio was played, `lag` ms late.
        #[test]
        fn what_is_heard_is_never_overstated_by_more_than_a_piece_nor_understated_by_more_than_the_echo_takes(
            pieces in vec((1..60_u64, 0..300_u64), 1..60), lag in 0..80_u64,
        ) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let mut playout = Playout::default();
            let (mut time, mut free, mut played_until) = (0_u64, 0_u64, Vec::new());
            let mut echoes: VecDeque<(u64, u64)> = VecDeque::new();
            let truth = |played: &[(u64, u64)], now: u64| -> u64 {
                played.iter().map(|(from, to)| now.clamp(*from, *to) - from).sum::<u64>() * SAMPLES_PER_MS
            };
            let longest = pieces.iter().map(|(frames, _)| frames * 20).max().unwrap();
            for (frames, pause) in pieces {
                let length = frames * 20;
                let mark = playout.send(Item(1), length * SAMPLES_PER_MS, (), true, at(time)).unwrap();
                let begins = free.max(time);
                free = begins + length;
                played_until.push((begins, free));
                echoes.push_back((free + lag, mark));
                for ms in time..=time + pause {
                    while let Some((_, mark)) = echoes.front().copied().filter(|(due, _)| *due <= ms) {
                        echoes.pop_front();
                        playout.mark(mark, at(ms));
                    }
                    let heard = playout.at(Item(1), at(ms)).unwrap().heard;
                    let really = truth(&played_until, ms);
                    prop_assert!(heard <= really + longest.min(lag + 1) * SAMPLES_PER_MS, "{ms}: {heard} of {really}");
                    prop_assert!(heard + (2 * lag + 2) * SAMPLES_PER_MS >= really, "{ms}: {heard} of {really}");
                }
                time += pause;
            }
        }
    }

    #[test]
    fn an_interruption_knows_what_was_heard_and_can_be_taken_back() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut playout = Playout::default();
        // Two seconds arrive at once, in pieces of half a second.
        for piece in 0..4 {
            playout.generated(Item(1), 4_000);
            playout.send(Item(1), 4_000, piece, true, at(0));
        }
        assert_eq!(
            playout.mark(1, at(510)),
            Some(Marked {
                item: Item(1),
                first: true
            })
        );
        assert_eq!(playout.queued_ms(at(510)), 1_500);
        let cleared = playout.clear(at(710));
        let playing = cleared.playing.unwrap();
        assert_eq!((playing.heard_ms(), playing.generated_ms()), (700, 2_000));
        let left: Vec<_> = cleared
            .unheard
            .iter()
            .map(|unheard| (unheard.payload, unheard.skip / SAMPLES_PER_MS))
            .collect();
        assert_eq!(left, [(1, 200), (2, 0), (3, 0)]);

        // It was a cough: the rest is sent again, and everything is heard in the end.
        for unheard in cleared.unheard {
            playout.send(
                unheard.item,
                unheard.samples - unheard.skip,
                unheard.payload,
                true,
                at(900),
            );
        }
        assert_eq!(playout.at(Item(1), at(900)).unwrap().heard_ms(), 700);
        assert_eq!(playout.mark(2, at(910)), None, "a mark from before");
        assert!(playout.mark(7, at(2_250)).is_some());
        let truth = playout.at(Item(1), at(2_250)).unwrap();
        assert_eq!(
            (truth.heard, truth.sent, truth.generated),
            (16_000, 16_000, 16_000)
        );
    }

    #[test]
    fn the_clock_is_not_believed_beyond_a_mark_that_has_not_come_back() {
        let start = Instant::now();
        let mut playout = Playout::default();
        playout.send(Item(1), 1_600, (), true, start);
        playout.send(Item(1), 8_000, (), true, start);
        let late = start + Duration::from_secs(30);
        assert_eq!(playout.at(Item(1), late).unwrap().heard, 1_600);
    }

    #[test]
    fn a_long_call_does_not_grow() {
        let start = Instant::now();
        let mut playout = Playout::default();
        for item in 0..10_000 {
            let now = start + Duration::from_millis(u64::from(item) * 100);
            let mark = playout.send(Item(item), 160, (), true, now).unwrap();
            playout.mark(mark, now + Duration::from_millis(20));
        }
        assert!(playout.items.len() <= REMEMBERED + 1 && playout.queue.is_empty());
    }
}
