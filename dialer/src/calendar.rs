//! When a campaign calls: weekly hours and the days that are not as their weekday, on somebody's clock.
//!
//! These hours only narrow what the law allows; the law's own hours are judged elsewhere.

use std::collections::BTreeMap;

use chrono::{
    DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;

/// How far ahead the next opening is looked for.
const HORIZON: u64 = 370;

/// Opening hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// The zone they hold in; `None` is that of the person called.
    pub zone: Option<Tz>,
    /// By weekday, 0 is Monday.
    pub hours: BTreeMap<u8, Vec<(NaiveTime, NaiveTime)>>,
    /// Days that are not as their weekday; `None` is closed.
    pub exceptions: BTreeMap<NaiveDate, Option<(NaiveTime, NaiveTime)>>,
}

impl Calendar {
    fn spans(&self, day: NaiveDate) -> Vec<(NaiveTime, NaiveTime)> {
        use chrono::Datelike as _;
        match self.exceptions.get(&day) {
            Some(None) => Vec::new(),
            Some(Some(span)) => vec![*span],
            None => {
                let weekday = u8::try_from(day.weekday().num_days_from_monday()).unwrap_or(0);
                self.hours.get(&weekday).cloned().unwrap_or_default()
            }
        }
    }

    /// `None` while it is open at `now`, else when it opens next; with no opening in sight, a year ahead.
    #[must_use]
    pub fn closed_until(&self, now: DateTime<Utc>, person: Tz) -> Option<DateTime<Utc>> {
        let zone = self.zone.unwrap_or(person);
        let local = now.with_timezone(&zone).naive_local();
        for ahead in 0..HORIZON {
            let Some(day) = local.date().checked_add_days(Days::new(ahead)) else {
                break;
            };
            let mut spans = self.spans(day);
            spans.sort_unstable();
            for (opens, closes) in spans {
                if ahead == 0 && (opens..closes).contains(&local.time()) {
                    return None;
                }
                if let Some(at) = instant(zone, day.and_time(opens)).filter(|at| *at > now) {
                    return Some(at);
                }
            }
        }
        Some(now + TimeDelta::days(365))
    }
}

/// The moment a wall clock shows `local` first; one it skips is taken when it goes on.
fn instant(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let skipped = |minutes| zone.from_local_datetime(&(local + TimeDelta::minutes(minutes)));
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.to_utc()),
        LocalResult::None => (1..=24).find_map(|quarter| match skipped(quarter * 15) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.to_utc()),
            LocalResult::None => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(hour: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, 0, 0).unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn office() -> Calendar {
        Calendar {
            zone: None,
            hours: (0..5)
                .map(|day| (day, vec![(time(9), time(12)), (time(13), time(17))]))
                .collect(),
            exceptions: BTreeMap::from([(NaiveDate::from_ymd_opt(2026, 12, 24).unwrap(), None)]),
        }
    }

    /// T5
    #[test]
    fn hours_hold_on_the_clock_of_the_person_also_when_it_is_set_forward() {
        // Monday 30 March 2026: Prague went to summer time the day before, New York three weeks earlier.
        for (zone, opens) in [
            (Tz::Europe__Prague, "2026-03-30T07:00:00Z"),
            (Tz::Europe__Madrid, "2026-03-30T07:00:00Z"),
            (Tz::America__New_York, "2026-03-30T13:00:00Z"),
        ] {
            let opens = utc(opens);
            assert_eq!(
                office().closed_until(opens - TimeDelta::seconds(1), zone),
                Some(opens),
                "{zone}"
            );
            assert_eq!(office().closed_until(opens, zone), None, "{zone}");
        }
        // The Friday before, Prague was still in winter time.
        assert_eq!(
            office().closed_until(utc("2026-03-27T07:30:00Z"), Tz::Europe__Prague),
            Some(utc("2026-03-27T08:00:00Z"))
        );
    }

    #[test]
    fn a_lunch_break_a_weekend_and_a_holiday_are_closed() {
        let zone = Tz::Europe__Prague;
        assert_eq!(
            office().closed_until(utc("2026-11-20T11:30:00Z"), zone),
            Some(utc("2026-11-20T12:00:00Z"))
        );
        assert_eq!(
            office().closed_until(utc("2026-11-20T16:00:00Z"), zone),
            Some(utc("2026-11-23T08:00:00Z"))
        );
        assert_eq!(
            office().closed_until(utc("2026-12-24T10:00:00Z"), zone),
            Some(utc("2026-12-25T08:00:00Z"))
        );
    }

    #[test]
    fn a_calendar_that_never_opens_says_a_year_ahead() {
        let now = utc("2026-11-20T11:30:00Z");
        assert_eq!(
            Calendar::default().closed_until(now, Tz::UTC),
            Some(now + TimeDelta::days(365))
        );
    }
}
