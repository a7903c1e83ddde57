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

impl Calendar {
    /// How long it is open yet on the day that `now` is on its wall clock; nothing when it does not open any more.
    #[must_use]
    pub fn open_for(&self, now: DateTime<Utc>, person: Tz) -> TimeDelta {
        let zone = self.zone.unwrap_or(person);
        let day = now.with_timezone(&zone).date_naive();
        let mut left = TimeDelta::zero();
        for (opens, closes) in self.spans(day) {
            if let (Some(from), Some(to)) = (
                instant(zone, day.and_time(opens)),
                instant(zone, day.and_time(closes)),
            ) {
                left += (to - from.max(now)).max(TimeDelta::zero());
            }
        }
        left
    }
}

/// When dialling ends today, as pacing is to count on it: the campaign's end or the calendar's, whichever is first. A
/// break in between is taken off, since nobody answers in it. `people` are the zones of those called at the moment: of
/// several, the one whose day ends first counts, because what is lent on answers that do not come cannot be paid back.
/// `None`: nobody can tell.
#[must_use]
pub fn closes(
    calendar: Option<&Calendar>,
    end: Option<DateTime<Utc>>,
    people: impl Iterator<Item = Tz>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let Some(calendar) = calendar else {
        return end;
    };
    // Who keeps the campaign's hours does not need to know where people live.
    let zones = calendar.zone.into_iter().chain(people);
    let left = zones.map(|zone| calendar.open_for(now, zone)).min()?;
    Some(end.map_or(now + left, |end| end.min(now + left)))
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
    fn dialling_ends_with_the_day_or_the_campaign_whichever_is_first_and_a_break_is_no_time() {
        let day = office();
        let prague = || [Tz::Europe__Prague].into_iter();
        // Friday, 10:00 in Prague: two hours and four.
        let now = utc("2026-11-20T09:00:00Z");
        let six = now + TimeDelta::hours(6);
        assert_eq!(closes(Some(&day), None, prague(), now), Some(six));
        let later = now + TimeDelta::days(3);
        assert_eq!(closes(Some(&day), Some(later), prague(), now), Some(six));
        let sooner = now + TimeDelta::minutes(7);
        assert_eq!(closes(Some(&day), Some(sooner), prague(), now), Some(sooner));
        assert_eq!(closes(None, Some(later), prague(), now), Some(later));
        assert_eq!(closes(None, None, prague(), now), None);
    }

    #[test]
    fn of_several_zones_the_first_to_close_counts_and_without_any_nobody_can_tell() {
        let day = office();
        // 16:30 in Prague, 10:30 in New York.
        let now = utc("2026-11-20T15:30:00Z");
        let both = [Tz::America__New_York, Tz::Europe__Prague].into_iter();
        let half_an_hour = Some(now + TimeDelta::minutes(30));
        assert_eq!(closes(Some(&day), None, both, now), half_an_hour);
        let later = now + TimeDelta::days(3);
        assert_eq!(closes(Some(&day), Some(later), std::iter::empty(), now), None);
        // A calendar on its own clock knows.
        let own = Calendar {
            zone: Some(Tz::America__New_York),
            ..office()
        };
        let left = TimeDelta::minutes(90) + TimeDelta::hours(4);
        assert_eq!(
            closes(Some(&own), None, std::iter::empty(), now),
            Some(now + left)
        );
    }

    #[test]
    fn a_day_that_is_over_or_never_opens_has_no_time_left() {
        for now in [
            "2026-11-20T16:00:00Z",
            "2026-12-24T10:00:00Z",
            "2026-11-21T10:00:00Z",
        ] {
            let now = utc(now);
            let prague = [Tz::Europe__Prague].into_iter();
            assert_eq!(closes(Some(&office()), None, prague, now), Some(now));
        }
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
