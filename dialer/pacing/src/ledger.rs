//! The abandonment ledger: who was abandoned in which window, and whether one more risk may be taken.
//!
//! Three windows are kept per campaign and jurisdiction, and the tightest decides: the successive periods of 30
//! days in which the law counts, any 24 hours, and any hour. The room in the windows of the law is what their limit
//! still allows today, as if the campaign ended now; what may be borrowed from answers that are only expected is said
//! beside it. The hour's looks ahead: of all hours that are still going to hold the last abandoned calls, the one
//! with the fewest answers counts, because what was answered before them leaves the window before they do. A dial is
//! allowed while the abandoned calls that may still come of the calls in flight stay within the room, but for
//! a chance of alpha. That chance is Beta-binomial: the forecast's mean, spread as if it rested on few cases.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The legal share of abandoned answers. Nothing can raise it.
pub const CEILING: f64 = 0.03;
/// The share within any hour that is usually not to be passed.
pub const HOUR: f64 = 0.04;

const DAY: f64 = 86_400.0;
/// How many cases the forecast's mean is worth.
const STRENGTH: f64 = 40.0;

/// What an hour allows at least, whatever the share: a team of five has a hundred answers an hour, and four calls
/// that must never be five cost it one and a half points of utilisation.
const HOUR_LEAST: f64 = 5.5;

/// Seconds for which the usual pace of answers is believed beside the seen one.
const UNSEEN: f64 = 600.0;

/// A window of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The current one of the successive 30-day periods.
    Period,
    /// The last 24 hours.
    Day,
    /// The last hour.
    Hour,
}

/// Answers and those of them that were abandoned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Calls answered by a person.
    pub answered: u64,
    /// Those who found nobody in time.
    pub abandoned: u64,
}

impl Count {
    /// The abandoned share.
    pub fn share(&self) -> f64 {
        if self.answered == 0 {
            0.0
        } else {
            self.abandoned as f64 / self.answered as f64
        }
    }

    /// Abandoned calls that fit below `limit` yet; negative where it was passed.
    fn room(&self, limit: f64) -> f64 {
        // A hair's breadth, so that 3 of 100 are 3 %.
        self.answered as f64 * limit + 1e-9 - self.abandoned as f64
    }

    fn add(&mut self, lost: bool) {
        self.answered += 1;
        self.abandoned += u64::from(lost);
    }
}

/// A window that moves with the clock, in slots. The slot that is leaving it still counts for what was
/// abandoned and no longer for what was answered, so the window never looks better than it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rolling {
    slot_seconds: f64,
    slots: Vec<Count>,
    newest: i64,
}

impl Rolling {
    fn new(seconds: f64, slots: usize) -> Self {
        Self {
            slot_seconds: seconds / slots as f64,
            slots: vec![Count::default(); slots + 1],
            newest: i64::MIN,
        }
    }

    fn turn(&mut self, now: Moment) {
        let slot = (now.seconds() / self.slot_seconds).floor() as i64;
        let length = self.slots.len() as i64;
        if self.newest == i64::MIN || slot - self.newest >= length {
            self.slots.fill(Count::default());
        } else {
            for passed in self.newest + 1..=slot {
                self.slots[passed.rem_euclid(length) as usize] = Count::default();
            }
        }
        self.newest = self.newest.max(slot);
    }

    fn add(&mut self, lost: bool, now: Moment) {
        self.turn(now);
        let length = self.slots.len() as i64;
        self.slots[self.newest.rem_euclid(length) as usize].add(lost);
    }

    fn retract(&mut self, now: Moment) {
        self.turn(now);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.answered > slot.abandoned) {
            slot.answered -= 1;
        }
    }

    fn count(&mut self, now: Moment) -> Count {
        self.turn(now);
        let length = self.slots.len() as i64;
        let leaving = self.slots[(self.newest + 1).rem_euclid(length) as usize];
        let mut count = Count::default();
        for slot in &self.slots {
            count.answered += slot.answered;
            count.abandoned += slot.abandoned;
        }
        count.answered -= leaving.answered;
        count
    }
}

impl Rolling {
    /// The least room that any window of this length is going to have which begins within the current one or
    /// with it, if nobody else is abandoned and `pace` people answer per second: what was answered leaves a window
    /// before what was abandoned later, so a window can pass its limit although nothing happens.
    fn room_ahead(&mut self, limit: f64, pace: f64, now: Moment) -> f64 {
        self.turn(now);
        let length = self.slots.len() as i64;
        let span = self.slot_seconds * (length - 1) as f64;
        let mut age = now.seconds() - self.newest as f64 * self.slot_seconds;
        let (mut answered, mut abandoned, mut least) = (0.0, 0.0, limit * pace * span);
        for back in 0..length {
            let slot = self.slots[(self.newest - back).rem_euclid(length) as usize];
            abandoned += slot.abandoned as f64;
            if slot.abandoned > 0 {
                // The window that begins just before the abandoned call, which was the slot's first answer.
                let to_come = pace * (span - age).max(0.0);
                let seen = answered
                    + if back == length - 1 {
                        0.0
                    } else {
                        slot.abandoned as f64
                    };
                least = least.min(limit * (seen + to_come) + 1e-9 - abandoned);
            }
            answered += slot.answered as f64;
            age += self.slot_seconds;
        }
        least
    }
}

/// The ledger of one campaign in one jurisdiction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// When the first period began; the campaign's first answer.
    began: Option<Moment>,
    period: i64,
    in_period: Count,
    day: Rolling,
    hour: Rolling,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            began: None,
            period: 0,
            in_period: Count::default(),
            day: Rolling::new(DAY, 288),
            hour: Rolling::new(3_600.0, 120),
        }
    }
}

/// What may still be abandoned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Abandoned calls in the tightest window, not rounded; negative where a limit was passed.
    pub calls: f64,
    /// The same in the windows of the law.
    pub lawful: f64,
    /// Room in the 24 hours, once the campaign has lasted so long: that window has to hold at any moment, so
    /// nothing can be lent to it.
    pub unlent: f64,
    /// What the windows of the law are lent by the answers still to come today.
    pub credit: f64,
    /// Room in the hour.
    pub hour: f64,
    /// What the hour allows in all.
    pub hour_limit: f64,
    /// How much of what has to be learnt first has been; 1 is all.
    pub settled: f64,
    /// The window that is tightest.
    pub window: Window,
}

impl Room {
    /// No room at all.
    pub(crate) const NONE: Self = Self {
        calls: 0.0,
        lawful: 0.0,
        unlent: 0.0,
        credit: 0.0,
        hour: 0.0,
        hour_limit: HOUR_LEAST,
        settled: 0.0,
        window: Window::Period,
    };
}

impl Ledger {
    /// A person answered, and found somebody or was `lost`.
    pub fn observe(&mut self, lost: bool, now: Moment) {
        self.turn(now);
        self.in_period.add(lost);
        self.day.add(lost, now);
        self.hour.add(lost, now);
    }

    /// One of the last answers was no person's.
    pub fn retract(&mut self, now: Moment) {
        self.turn(now);
        self.in_period.answered = self.in_period.answered.saturating_sub(1);
        self.day.retract(now);
        self.hour.retract(now);
    }

    fn turn(&mut self, now: Moment) {
        let began = *self.began.get_or_insert(now);
        let period = (now.since(began) / (30.0 * DAY)).floor() as i64;
        if period > self.period {
            self.period = period;
            self.in_period = Count::default();
        }
    }

    /// What a window holds.
    pub fn count(&mut self, window: Window, now: Moment) -> Count {
        self.turn(now);
        match window {
            Window::Period => self.in_period,
            Window::Day => self.day.count(now),
            Window::Hour => self.hour.count(now),
        }
    }

    /// How many people answered per second in the last hour, where `usual` is believed before there was one.
    pub fn pace(&mut self, usual: f64, now: Moment) -> f64 {
        let seconds = self.began.map_or(0.0, |began| now.since(began)).min(3_600.0);
        let answered = self.hour.count(now).answered as f64;
        (answered + usual * UNSEEN) / (seconds + UNSEEN)
    }

    /// What may still be abandoned, while `pace` people answer per second at least. A share above [`CEILING`]
    /// counts as [`CEILING`].
    pub fn room(&mut self, share: f64, day: bool, hour: f64, pace: f64, now: Moment) -> Room {
        let share = share.min(CEILING);
        let abandoned = self.count(Window::Hour, now).abandoned as f64;
        let ahead = self.hour.room_ahead(hour, pace, now);
        let mut room = Room {
            calls: f64::INFINITY,
            lawful: f64::INFINITY,
            unlent: f64::INFINITY,
            credit: 0.0,
            hour: ahead.max(HOUR_LEAST - abandoned),
            hour_limit: (hour * pace * 3_600.0).max(HOUR_LEAST),
            settled: 1.0,
            window: Window::Hour,
        };
        room.calls = room.hour;
        for window in [Window::Period, Window::Day] {
            if window == Window::Day && !day {
                continue;
            }
            let calls = self.count(window, now).room(share);
            room.lawful = room.lawful.min(calls);
            if window == Window::Day && self.began.is_some_and(|began| now.since(began) >= DAY) {
                room.unlent = calls;
            }
            if calls < room.calls {
                room.calls = calls;
                room.window = window;
            }
        }
        room
    }
}

/// Whether `expected` abandoned calls out of `ringing` ones stay within `room`, but for a chance of `alpha`.
pub(crate) fn fits(room: f64, expected: f64, ringing: usize, alpha: f64) -> bool {
    if expected <= 1e-9 {
        return true;
    }
    room >= 0.0 && more_than(room.floor() as usize, ringing.max(1), expected) < alpha
}

/// P(X > `most`) where X is Beta-binomial with `trials` and mean `expected`.
fn more_than(most: usize, trials: usize, expected: f64) -> f64 {
    if most >= trials {
        return 0.0;
    }
    let share = (expected / trials as f64).min(0.999);
    let (yes, no) = (share * STRENGTH, (1.0 - share) * STRENGTH);
    let mut chance: f64 = (0..trials)
        .map(|trial| (no + trial as f64) / (STRENGTH + trial as f64))
        .product();
    let mut at_most = chance;
    for count in 0..most {
        let (seen, left) = (count as f64, (trials - count) as f64);
        chance *= left * (yes + seen) / ((seen + 1.0) * (no + left - 1.0));
        at_most += chance;
    }
    (1.0 - at_most).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: f64 = 60.0;

    fn at(seconds: f64) -> Moment {
        Moment::from_seconds(1e9 + seconds)
    }

    #[test]
    fn three_of_a_hundred_are_the_limit_and_not_above_it() {
        let mut ledger = Ledger::default();
        for answer in 0..100 {
            ledger.observe(answer % 34 == 33, at(f64::from(answer)));
        }
        // Two of a hundred.
        let room = ledger.room(CEILING, true, 1.0, 1.0, at(100.0));
        assert!((room.lawful - 1.0).abs() < 1e-6, "{room:?}");
    }

    #[test]
    fn no_setting_raises_the_ceiling() {
        let mut ledger = Ledger::default();
        for answer in 0..100 {
            ledger.observe(answer < 4, at(0.0));
        }
        assert!(ledger.room(0.5, true, 1.0, 1.0, at(1.0)).lawful < 0.0);
    }

    #[test]
    fn an_hour_whose_answers_are_about_to_leave_it_has_less_room_than_its_share_says() {
        let mut ledger = Ledger::default();
        for second in 0..600 {
            ledger.observe(false, at(f64::from(second)));
        }
        for second in 3_400..3_410 {
            ledger.observe(true, at(f64::from(second)));
        }
        // Ten of 610 now, and in ten minutes ten of as many as answer until then.
        let room = |ledger: &mut Ledger, pace| ledger.room(CEILING, true, 0.04, pace, at(3_420.0)).hour;
        assert!(room(&mut ledger, 0.0) < 0.0);
        let busy = room(&mut ledger, 1.0);
        assert!(busy > 100.0, "{busy}");
    }

    #[test]
    fn nothing_is_lent_to_a_day_that_is_full() {
        let mut ledger = Ledger::default();
        ledger.observe(false, at(0.0));
        assert_eq!(
            ledger.room(CEILING, true, 1.0, 1.0, at(3_600.0)).unlent,
            f64::INFINITY
        );
        let later = ledger.room(CEILING, true, 1.0, 1.0, at(DAY + 3_600.0));
        assert!(later.unlent < 0.1, "{later:?}");
    }

    #[test]
    fn an_hour_later_the_hour_is_empty_and_the_day_is_not() {
        let mut ledger = Ledger::default();
        for minute in 0..30 {
            ledger.observe(minute % 10 == 0, at(f64::from(minute) * MINUTE));
        }
        let later = at(95.0 * MINUTE);
        assert_eq!(ledger.count(Window::Hour, later), Count::default());
        assert_eq!(
            ledger.count(Window::Day, later),
            Count {
                answered: 30,
                abandoned: 3
            }
        );
    }

    #[test]
    fn what_is_leaving_a_window_still_counts_against_it() {
        let mut ledger = Ledger::default();
        ledger.observe(true, at(0.0));
        let count = ledger.count(Window::Hour, at(60.0 * MINUTE - 1.0));
        assert_eq!(count.abandoned, 1);
    }

    #[test]
    fn a_new_period_begins_thirty_days_after_the_first_answer() {
        let mut ledger = Ledger::default();
        ledger.observe(true, at(0.0));
        assert_eq!(ledger.count(Window::Period, at(29.9 * DAY)).abandoned, 1);
        assert_eq!(ledger.count(Window::Period, at(30.1 * DAY)).abandoned, 0);
    }

    #[test]
    fn one_possible_loss_does_not_fit_where_there_is_room_for_none() {
        assert!(!fits(0.9, 0.2, 5, 0.05));
        assert!(fits(1.9, 0.2, 5, 0.05));
        assert!(!fits(-0.1, 0.000_1, 5, 0.05));
        assert!(fits(-5.0, 0.0, 5, 0.05));
    }

    #[test]
    fn the_chance_of_more_losses_than_trials_is_none_and_of_any_is_near_the_mean_when_that_is_small() {
        assert_eq!(more_than(5, 5, 1.0), 0.0);
        let any = more_than(0, 10, 0.01);
        assert!((any - 0.01).abs() < 0.002, "{any}");
    }
}
