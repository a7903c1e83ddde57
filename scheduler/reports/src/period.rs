//! The span a report covers, cut at midnight of the tenant's zone.

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

/// A half-open span of time with the zone its days are cut in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First instant that belongs to the period.
    pub from: DateTime<Utc>,
    /// First instant after the period.
    pub to: DateTime<Utc>,
    /// Zone of days and clock times.
    pub zone: Tz,
    /// The period in words, for example "Saturday 21 November 2026".
    pub label: String,
}

/// First and last (exclusive) instant of a local calendar day.
///
/// A day has 23, 24 or 25 hours. Where the clock jumps over midnight the day starts at
/// its first existing minute; where midnight happens twice, at the first one.
pub fn day_bounds(day: NaiveDate, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    (first_instant(day, zone), first_instant(next, zone))
}

fn first_instant(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    // No zone has ever skipped more than 24 hours at once (Samoa, 2011).
    (0..=24 * 4)
        .filter_map(|quarter| midnight.checked_add_signed(Duration::minutes(15 * quarter)))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map_or_else(|| midnight.and_utc(), |local| local.with_timezone(&Utc))
}

/// Starts of the hours of a local day, counted in elapsed time from its first instant.
///
/// The last one may be shorter than an hour where a zone shifts by half an hour.
pub fn hour_starts(from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut starts = Vec::with_capacity(25);
    let mut at = from;
    while at < to {
        starts.push(at);
        at += Duration::hours(1);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(day: (i32, u32, u32), zone: Tz) -> usize {
        let day = NaiveDate::from_ymd_opt(day.0, day.1, day.2).unwrap();
        let (from, to) = day_bounds(day, zone);
        hour_starts(from, to).len()
    }

    #[test]
    fn a_day_has_23_24_or_25_hours_around_a_clock_change() {
        assert_eq!(hours((2026, 3, 29), Tz::Europe__Madrid), 23);
        assert_eq!(hours((2026, 11, 20), Tz::Europe__Madrid), 24);
        assert_eq!(hours((2026, 10, 25), Tz::Europe__Madrid), 25);
    }

    #[test]
    fn a_day_without_midnight_starts_at_its_first_existing_minute() {
        // Chile moves the clock from 24:00 to 01:00.
        let day = NaiveDate::from_ymd_opt(2026, 9, 6).unwrap();
        let (from, _) = day_bounds(day, Tz::America__Santiago);
        assert_eq!(
            from.with_timezone(&Tz::America__Santiago).time(),
            NaiveTime::from_hms_opt(1, 0, 0).unwrap()
        );
        assert_eq!(hours((2026, 9, 6), Tz::America__Santiago), 23);
    }

    #[test]
    fn half_hour_zones_cut_days_at_their_own_midnight() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let (from, to) = day_bounds(day, Tz::Asia__Kolkata);
        assert_eq!(from.to_rfc3339(), "2026-11-19T18:30:00+00:00");
        assert_eq!(to - from, Duration::hours(24));
    }
}
