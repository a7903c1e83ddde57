//! When hours open next in a zone, exactly, over changes of the clock in both directions.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::hours::Day;

/// How far ahead an opening is looked for.
pub(crate) const HORIZON: TimeDelta = TimeDelta::days(400);

fn offset(zone: Tz, at: DateTime<Utc>) -> TimeDelta {
    let fixed = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    TimeDelta::seconds(i64::from(fixed.local_minus_utc()))
}

/// An instant on the wall of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) at: NaiveDateTime,
}

impl Local {
    pub(crate) fn of(at: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            at: at.naive_utc() + offset(zone, at),
        }
    }

    pub(crate) fn date(self) -> NaiveDate {
        self.at.date()
    }

    pub(crate) fn minute(self) -> u16 {
        // At most 23 * 60 + 59.
        u16::try_from(self.at.hour() * 60 + self.at.minute()).unwrap_or(u16::MAX)
    }
}

/// The first instant from `from` on at which `hours` of the local date are open, within [`HORIZON`].
pub(crate) fn next_open(
    zone: Tz,
    from: DateTime<Utc>,
    hours: impl Fn(NaiveDate) -> Day,
) -> Option<DateTime<Utc>> {
    let last = from + HORIZON;
    let mut at = from;
    while at <= last {
        let now = offset(zone, at);
        let local = Local {
            at: at.naive_utc() + now,
        };
        let day = hours(local.date());
        if day.contains(local.minute()) {
            return Some(at);
        }
        let (date, minute) = match day.opens_after(local.minute()) {
            Some(minute) => (local.date(), minute),
            None => (local.date().succ_opt()?, 0),
        };
        let wall = date.and_hms_opt(0, 0, 0)? + TimeDelta::minutes(i64::from(minute));
        // Within the next day the clock changes at most once. If it does before the wall shows that time, the change
        // itself is the next instant at which anything can be different.
        let next = (wall - now).and_utc();
        at = if offset(zone, next) == now {
            next
        } else {
            change(zone, at, next)
        };
    }
    None
}

/// The instant in `(from, to]` at which the zone's offset changes, given that it is another one at `to`.
fn change(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
    let before = offset(zone, from);
    let (mut low, mut high) = (from.timestamp(), to.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match DateTime::from_timestamp(middle, 0) {
            Some(at) if offset(zone, at) == before => low = middle,
            _ => high = middle,
        }
    }
    DateTime::from_timestamp(high, 0).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;
    use chrono_tz::{America::New_York, Europe::Prague};

    use super::*;
    use crate::Week;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn opens(zone: Tz, week: &str, from: &str) -> DateTime<Utc> {
        let week: Week = week.parse().unwrap();
        next_open(zone, utc(from), |date| *week.day(date.weekday())).unwrap()
    }

    #[test]
    fn an_opening_inside_the_hour_that_is_skipped_comes_when_the_clock_jumps_over_it() {
        // Prague, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
        assert_eq!(
            opens(Prague, "sun 02:30-04:00", "2026-03-29T00:30:00Z"),
            utc("2026-03-29T01:00:00Z")
        );
    }

    #[test]
    fn hours_inside_the_hour_that_is_repeated_open_twice() {
        // New York, 1 November 2026: 02:00 becomes 01:00 at 06:00 UTC.
        let week = "sun 01:00-01:30";
        assert_eq!(
            opens(New_York, week, "2026-11-01T04:00:00Z"),
            utc("2026-11-01T05:00:00Z")
        );
        assert_eq!(
            opens(New_York, week, "2026-11-01T05:30:00Z"),
            utc("2026-11-01T06:00:00Z")
        );
        assert_eq!(
            opens(New_York, week, "2026-11-01T06:30:00Z"),
            utc("2026-11-08T06:00:00Z")
        );
    }

    #[test]
    fn hours_that_never_open_are_given_up() {
        assert_eq!(
            next_open(Prague, utc("2026-01-01T00:00:00Z"), |_| Day::CLOSED),
            None
        );
    }
}
