//! How the time of the shift passes while it is played.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use voice_lifecycle::Clock;

/// How fast a shift is played.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// As fast as the platform takes it; the order of the shift is kept.
    #[default]
    AsFastAsPossible,
    /// So many seconds of the shift in a second: 1 is live, 600 plays ten hours in a minute.
    Scaled(f64),
}

/// Translates between the time of the shift and the machine's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    pace: Pace,
    began: Instant,
    starts_at: DateTime<Utc>,
}

impl Timeline {
    pub(super) const fn new(pace: Pace, began: Instant, starts_at: DateTime<Utc>) -> Self {
        Self {
            pace,
            began,
            starts_at,
        }
    }

    /// Up to when the shift may have gone on; without a limit when it is played as fast as possible.
    pub(super) fn shift_now(&self, now: Instant) -> DateTime<Utc> {
        match self.pace {
            Pace::AsFastAsPossible => DateTime::<Utc>::MAX_UTC,
            Pace::Scaled(scale) => {
                let gone = now.saturating_duration_since(self.began).as_secs_f64() * scale * 1e6;
                // Saturates; chrono refuses what is beyond its range.
                self.starts_at
                    .checked_add_signed(TimeDelta::microseconds(gone as i64))
                    .unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        }
    }

    /// When `due` is reached; at once when it is played as fast as possible.
    pub(super) fn reaches(&self, due: DateTime<Utc>) -> Instant {
        match self.pace {
            Pace::AsFastAsPossible => self.began,
            Pace::Scaled(scale) => {
                let ahead = (due - self.starts_at).to_std().unwrap_or_default().as_secs_f64() / scale;
                // A pace of nearly zero never gets there; a year is as good as never.
                let ahead = Duration::try_from_secs_f64(ahead).unwrap_or(YEAR).min(YEAR);
                // Rounds up: a timer that fires a moment early finds nothing due.
                self.began + ahead + Duration::from_micros(1)
            }
        }
    }
}

const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Shows how far a shift has been played, for a carrier twin that must not know more than has happened.
#[derive(Debug)]
pub struct ShiftClock(AtomicI64);

impl ShiftClock {
    pub(crate) const fn at(at: DateTime<Utc>) -> Self {
        Self(AtomicI64::new(at.timestamp_micros()))
    }

    /// Moves on; never back.
    pub(crate) fn advance(&self, to: DateTime<Utc>) {
        self.0.fetch_max(to.timestamp_micros(), Ordering::Relaxed);
    }
}

impl Clock for ShiftClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nine() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_248_000, 0).unwrap()
    }

    #[test]
    fn a_scale_of_six_hundred_plays_ten_minutes_in_a_second() {
        let began = Instant::now();
        let timeline = Timeline::new(Pace::Scaled(600.0), began, nine());
        let due = nine() + TimeDelta::minutes(10);
        let reached = timeline.reaches(due);
        assert!(reached - began - Duration::from_secs(1) < Duration::from_millis(1));
        assert!(timeline.shift_now(reached) >= due);
        assert!(timeline.shift_now(began) == nine());
    }

    #[test]
    fn as_fast_as_possible_waits_for_nothing() {
        let began = Instant::now();
        let timeline = Timeline::new(Pace::AsFastAsPossible, began, nine());
        assert_eq!(timeline.reaches(nine() + TimeDelta::hours(9)), began);
        assert!(timeline.shift_now(began) > nine() + TimeDelta::days(10_000));
    }

    #[test]
    fn the_clock_of_a_shift_never_goes_back() {
        let clock = ShiftClock::at(nine());
        clock.advance(nine() + TimeDelta::hours(1));
        clock.advance(nine());
        assert_eq!(clock.now(), nine() + TimeDelta::hours(1));
    }
}
