//! What is noted while calls are carried.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::marker::NUMBERS;

/// Frames that may be on their way at any moment: one second of them.
const ON_THE_WAY: u64 = 50;

/// How long things took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// So many were timed.
    pub count: usize,
    /// Half of them took no longer, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took no longer; of fewer, all but one.
    pub p99_ms: f64,
    /// The longest.
    pub most_ms: f64,
}

impl Times {
    /// Of microseconds in any order.
    fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (micros.len() * hundredths / 100).max(1) - 1;
            micros.get(rank).map_or(0.0, |micros| f64::from(*micros) / 1e3)
        };
        Self {
            count: micros.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            most_ms: at(100),
        }
    }
}

/// What was noted in one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// From a caller's mouth to the provider.
    pub up: Times,
    /// From the provider to the caller: the beginnings of answers.
    pub first: Times,
    /// The same for every piece, where pieces stay pieces.
    pub down: Times,
    /// From the provider's word that the caller speaks to the order to fall silent.
    pub barge_in: Times,
    /// Marks that callers said.
    pub marks: u64,
    /// Frames and pieces that came in another order than they were sent, changed, or that nobody sent; answers that
    /// were not cut.
    pub wrong: u64,
    /// Frames and pieces that did not come.
    pub missing: u64,
}

#[derive(Debug, Default)]
struct Lists {
    up: Vec<u32>,
    first: Vec<u32>,
    down: Vec<u32>,
    barge_in: Vec<u32>,
}

/// What all calls write on.
#[derive(Debug, Default)]
pub struct Sheet {
    measuring: AtomicBool,
    lists: Mutex<Lists>,
    marks: AtomicU64,
    wrong: AtomicU64,
    calls: Mutex<Vec<Arc<Call>>>,
}

/// What is on its way of one call.
#[derive(Debug)]
pub struct Call {
    sheet: Arc<Sheet>,
    /// Its number.
    pub number: usize,
    /// Frames and pieces are passed on one by one, so that each can be missed.
    whole: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    marks: [Option<Instant>; NUMBERS as usize],
    sent: u64,
    arrived: u64,
    pieces: VecDeque<Instant>,
    first: Option<Instant>,
    barge_in: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

impl Sheet {
    /// A call begins.
    pub fn call(self: &Arc<Self>, number: usize, whole: bool) -> Arc<Call> {
        let call = Arc::new(Call {
            sheet: Arc::clone(self),
            number,
            whole,
            state: Mutex::default(),
        });
        lock(&self.calls).push(Arc::clone(&call));
        call
    }

    /// The call that a provider was asked for.
    pub fn find(&self, number: usize) -> Option<Arc<Call>> {
        let calls = lock(&self.calls);
        calls.iter().rev().find(|call| call.number == number).cloned()
    }

    /// A call is over.
    pub fn forget(&self, number: usize) {
        lock(&self.calls).retain(|call| call.number != number);
    }

    /// From now on times are noted.
    pub fn begin(&self) {
        *lock(&self.lists) = Lists::default();
        self.marks.store(0, Ordering::Relaxed);
        self.wrong.store(0, Ordering::Relaxed);
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// What was noted since.
    pub fn end(&self) -> Noted {
        self.measuring.store(false, Ordering::Relaxed);
        let lists = std::mem::take(&mut *lock(&self.lists));
        Noted {
            up: Times::of(lists.up),
            first: Times::of(lists.first),
            down: Times::of(lists.down),
            barge_in: Times::of(lists.barge_in),
            marks: self.marks.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
            missing: lock(&self.calls).iter().map(|call| call.missing()).sum(),
        }
    }

    fn note(&self, list: impl FnOnce(&mut Lists) -> &mut Vec<u32>, took: Duration) {
        if self.measuring.load(Ordering::Relaxed) {
            list(&mut lock(&self.lists)).push(micros(took));
        }
    }

    fn wrong(&self) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
    }
}

impl Call {
    /// The caller says a frame, with a mark or without one.
    pub fn says(&self, mark: Option<u8>) {
        let mut state = lock(&self.state);
        state.sent += 1;
        if let Some(mark) = mark {
            state.marks[usize::from(mark % NUMBERS)] = Some(Instant::now());
            self.sheet.marks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A mark reached the provider.
    pub fn marked(&self, mark: u8, at: Instant) {
        match lock(&self.state).marks[usize::from(mark % NUMBERS)].take() {
            Some(said) => self
                .sheet
                .note(|lists| &mut lists.up, at.saturating_duration_since(said)),
            None => self.sheet.wrong(),
        }
    }

    /// A frame reached the provider; its number is known where it was copied.
    pub fn arrived(&self, number: Option<u32>) {
        let mut state = lock(&self.state);
        let expected = state.arrived;
        state.arrived = number.map_or(expected, u64::from) + 1;
        if number.is_some_and(|number| u64::from(number) != expected) {
            self.sheet.wrong();
        }
    }

    /// The provider sends a piece of an answer.
    pub fn speaks(&self, first: bool) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if first {
            state.first = Some(now);
        }
        if self.whole {
            state.pieces.push_back(now);
        }
    }

    /// Audio reached the caller.
    pub fn heard(&self) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(sent) = state.first.take() {
            self.sheet.note(|lists| &mut lists.first, now - sent);
        }
        if self.whole {
            match state.pieces.pop_front() {
                Some(sent) => self.sheet.note(|lists| &mut lists.down, now - sent),
                None => self.sheet.wrong(),
            }
        }
    }

    /// The provider says that the caller speaks over the answer.
    pub fn interrupted(&self) {
        if lock(&self.state).barge_in.replace(Instant::now()).is_some() {
            self.sheet.wrong();
        }
    }

    /// The caller's carrier is told to throw away what it has.
    pub fn cleared(&self) {
        let now = Instant::now();
        if let Some(said) = lock(&self.state).barge_in.take() {
            self.sheet.note(|lists| &mut lists.barge_in, now - said);
        }
    }

    fn missing(&self) -> u64 {
        if !self.whole {
            return 0;
        }
        let state = lock(&self.state);
        let frames = state
            .sent
            .saturating_sub(state.arrived)
            .saturating_sub(ON_THE_WAY);
        let late = |sent: &&Instant| sent.elapsed() > Duration::from_secs(1);
        frames + state.pieces.iter().filter(late).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_few_times_may_be_longer_than_ninety_nine_of_a_hundred() {
        let times = Times::of((1..=40).rev().map(|ms| ms * 1_000).collect());
        assert_eq!((times.p50_ms, times.p99_ms, times.most_ms), (20.0, 39.0, 40.0));
        let times = Times::of((1..=1_000).map(|ms| ms * 1_000).collect());
        assert_eq!(
            (times.p50_ms, times.p99_ms, times.most_ms),
            (500.0, 990.0, 1_000.0)
        );
        assert_eq!(Times::of(Vec::new()), Times::default());
    }

    #[test]
    fn frames_that_change_places_or_never_come_are_counted() {
        let sheet = Arc::new(Sheet::default());
        let call = sheet.call(1, true);
        sheet.begin();
        for _ in 0..200 {
            call.says(None);
        }
        for number in [0, 1, 3, 2] {
            call.arrived(Some(number));
        }
        let noted = sheet.end();
        assert_eq!(noted.wrong, 2, "one that is too early and one that is too late");
        assert_eq!(noted.missing, 200 - 3 - ON_THE_WAY);
    }

    #[test]
    fn times_are_noted_only_while_measuring_and_a_mark_nobody_said_is_wrong() {
        let sheet = Arc::new(Sheet::default());
        let call = sheet.call(7, false);
        call.says(Some(3));
        call.marked(3, Instant::now());
        sheet.begin();
        call.says(Some(4));
        call.marked(4, Instant::now());
        call.marked(5, Instant::now());
        call.speaks(true);
        call.heard();
        call.heard();
        let noted = sheet.end();
        assert_eq!((noted.up.count, noted.marks, noted.wrong), (1, 1, 1));
        assert_eq!((noted.first.count, noted.down.count), (1, 0));
        assert!(sheet.find(7).is_some() && sheet.find(8).is_none());
    }

    #[test]
    fn an_answer_that_is_not_cut_is_wrong_when_the_next_should_be() {
        let sheet = Arc::new(Sheet::default());
        let call = sheet.call(1, true);
        sheet.begin();
        call.interrupted();
        call.cleared();
        call.interrupted();
        call.interrupted();
        let noted = sheet.end();
        assert_eq!((noted.barge_in.count, noted.wrong), (1, 1));
    }
}
