//! Days on which a rule keeps the phone silent: fixed dates, weekdays of a month, and days counted from Easter.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde::Deserialize;

/// The years calendars are computed for. Outside them every day is a holiday: rules that old or that far ahead are
/// not to be dialled by.
const YEARS: std::ops::RangeInclusive<i32> = 2020..=2060;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalendarText {
    pub(crate) calendar: String,
    #[serde(default)]
    pub(crate) include: Vec<String>,
    pub(crate) days: Vec<DayText>,
}

/// One holiday; exactly one of `date`, `easter` and `weekday` says when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DayText {
    pub(crate) name: String,
    date: Option<String>,
    easter: Option<i64>,
    weekday: Option<Weekday>,
    /// From 1; negative counts from the end of the month.
    nth: Option<i8>,
    month: Option<u32>,
    /// Days after that weekday.
    #[serde(default)]
    plus: u64,
    /// The weekday beside a weekend holiday is closed too.
    #[serde(default)]
    observed: bool,
}

impl DayText {
    /// The day in `year`; `None` when the text makes no sense.
    fn on(&self, year: i32) -> Option<NaiveDate> {
        match (&self.date, self.easter, self.weekday) {
            (Some(date), None, None) => {
                let (month, day) = date.split_once('-')?;
                NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
            }
            (None, Some(days), None) => shift(easter(year)?, days),
            (None, None, Some(weekday)) => {
                let (nth, month) = (self.nth?, self.month?);
                let day = if nth > 0 {
                    NaiveDate::from_weekday_of_month_opt(year, month, weekday, nth.unsigned_abs())
                } else {
                    (1..=5)
                        .rev()
                        .filter_map(|n| NaiveDate::from_weekday_of_month_opt(year, month, weekday, n))
                        .nth(usize::from(nth.unsigned_abs()).checked_sub(1)?)
                };
                day?.checked_add_days(Days::new(self.plus))
            }
            _ => None,
        }
    }

    fn closed(&self, year: i32) -> Option<[NaiveDate; 2]> {
        let day = self.on(year)?;
        let beside = match day.weekday() {
            Weekday::Sat if self.observed => day.pred_opt()?,
            Weekday::Sun if self.observed => day.succ_opt()?,
            _ => day,
        };
        Some([day, beside])
    }
}

fn shift(day: NaiveDate, by: i64) -> Option<NaiveDate> {
    let days = Days::new(by.unsigned_abs());
    if by < 0 {
        day.checked_sub_days(days)
    } else {
        day.checked_add_days(days)
    }
}

/// Easter Sunday of the Gregorian calendar, by the anonymous algorithm in Meeus, Astronomical Algorithms, ch. 8.
fn easter(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
}

/// One bit per day of [`YEARS`].
#[derive(Clone, Debug)]
pub(crate) struct Calendar(Vec<u64>);

fn bit(day: NaiveDate) -> Option<usize> {
    let first = NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1)?;
    YEARS
        .contains(&day.year())
        .then(|| usize::try_from((day - first).num_days()).ok())
        .flatten()
}

impl Calendar {
    /// All calendars by name, or what is wrong with one.
    pub(crate) fn all(texts: &[CalendarText]) -> Result<BTreeMap<String, Self>, String> {
        let mut done: BTreeMap<String, Self> = BTreeMap::new();
        for text in texts {
            let mut bits = vec![0_u64; YEARS.count() * 366 / 64 + 1];
            for included in &text.include {
                let other = done.get(included).ok_or_else(|| {
                    format!(
                        "calendar {} includes {included}, which is not above it",
                        text.calendar
                    )
                })?;
                for (own, their) in bits.iter_mut().zip(&other.0) {
                    *own |= their;
                }
            }
            for day in &text.days {
                for year in YEARS {
                    let closed = day.closed(year).ok_or_else(|| {
                        format!("calendar {}: {} is on no day in {year}", text.calendar, day.name)
                    })?;
                    for index in closed.into_iter().filter_map(bit) {
                        if let Some(word) = bits.get_mut(index / 64) {
                            *word |= 1 << (index % 64);
                        }
                    }
                }
            }
            done.insert(text.calendar.clone(), Self(bits));
        }
        Ok(done)
    }

    /// Whether `day` is a holiday.
    pub(crate) fn has(&self, day: NaiveDate) -> bool {
        bit(day)
            .and_then(|index| self.0.get(index / 64).map(|word| word & 1 << (index % 64) != 0))
            .unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::calendars;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn easter_is_where_the_tables_have_it() {
        for (year, expected) in [
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2028, "2028-04-16"),
            (2030, "2030-04-21"),
            (2038, "2038-04-25"),
            (2049, "2049-04-18"),
        ] {
            assert_eq!(easter(year), Some(day(expected)));
        }
    }

    #[test]
    fn the_calendars_know_the_moving_days_of_their_countries() {
        let all = Calendar::all(&calendars().unwrap()).unwrap();
        for (calendar, date, closed) in [
            ("fr", "2026-05-14", true), // Ascension
            ("fr", "2026-05-25", true), // Whit Monday
            ("fr", "2026-05-26", false),
            ("es", "2026-04-03", true), // Good Friday
            ("es", "2026-12-07", true), // 6 December is a Sunday
            ("es", "2026-12-09", false),
            ("us", "2026-11-26", true), // Thanksgiving
            ("us", "2026-05-25", true), // Memorial Day
            ("us", "2026-07-03", true), // 4 July is a Saturday
            ("us", "2027-12-31", true), // 1 January 2028 is a Saturday
            ("us", "2026-11-27", false),
            ("us-la", "2026-02-17", true), // Mardi Gras
            ("us-la", "2026-11-26", true), // included
            ("us-la", "2026-11-27", true),
            ("us-pa", "2026-11-03", true), // Election Day
            ("us-ri", "2026-08-10", true), // Victory Day
            ("us-al", "2026-04-27", true),
        ] {
            assert_eq!(all[calendar].has(day(date)), closed, "{calendar} {date}");
        }
    }

    #[test]
    fn a_year_no_calendar_was_made_for_is_all_holidays() {
        let all = Calendar::all(&calendars().unwrap()).unwrap();
        assert!(all["fr"].has(day("2061-03-02")));
        assert!(all["fr"].has(day("2019-03-05")));
    }
}
