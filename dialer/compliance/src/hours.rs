//! Weekly hours in somebody's local time, written as people write them: `mon-fri 10:00-13:00 14:00-20:00; sat 9:00-12:00`.

use std::{fmt, str::FromStr};

use chrono::Weekday;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
const SPANS: usize = 4;
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Why a text is not weekly hours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HoursError {
    /// A part without a known weekday in front.
    #[error("`{0}` does not begin with a weekday such as `mon` or `mon-fri`")]
    Weekday(String),
    /// Not `hh:mm-hh:mm` with the first before the second.
    #[error("`{0}` is not a span of hours such as `09:00-17:30`")]
    Span(String),
    /// Spans of one day that overlap or are not in order, more than four of them, or a day written twice.
    #[error("the spans of a day must be in order, apart, at most four, and stand in one place: `{0}`")]
    Order(String),
}

/// The hours of one day: spans in order that do not touch each other's inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    spans: [(u16, u16); SPANS],
    len: u8,
}

impl Day {
    pub(crate) const CLOSED: Self = Self {
        spans: [(0, 0); SPANS],
        len: 0,
    };

    pub(crate) const fn one(from: u16, to: u16) -> Self {
        let mut spans = [(0, 0); SPANS];
        spans[0] = (from, to);
        Self { spans, len: 1 }
    }

    pub(crate) fn spans(&self) -> &[(u16, u16)] {
        &self.spans[..usize::from(self.len)]
    }

    pub(crate) fn contains(&self, minute: u16) -> bool {
        self.spans()
            .iter()
            .any(|(from, to)| (*from..*to).contains(&minute))
    }

    /// The minute at which the span around `minute` ends.
    pub(crate) fn closes_after(&self, minute: u16) -> Option<u16> {
        let around = |(from, to): &&(u16, u16)| (*from..*to).contains(&minute);
        self.spans().iter().find(around).map(|(_, to)| *to)
    }

    /// The next minute after `minute` at which a span begins.
    pub(crate) fn opens_after(&self, minute: u16) -> Option<u16> {
        self.spans()
            .iter()
            .map(|(from, _)| *from)
            .find(|from| *from > minute)
    }

    fn push(&mut self, span: (u16, u16)) -> Option<()> {
        if self.spans().last().is_some_and(|last| last.1 > span.0) {
            return None;
        }
        *self.spans.get_mut(usize::from(self.len))? = span;
        self.len += 1;
        Some(())
    }

    /// Reads `10:00-13:00 14:00-20:00`; nothing at all is a closed day.
    pub(crate) fn parse(text: &str) -> Result<Self, HoursError> {
        let mut day = Self::CLOSED;
        for part in text.split_whitespace() {
            let span = span(part).ok_or_else(|| HoursError::Span(part.to_owned()))?;
            day.push(span).ok_or_else(|| HoursError::Order(text.to_owned()))?;
        }
        Ok(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.spans().iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(
                f,
                "{gap}{:02}:{:02}-{:02}:{:02}",
                from / 60,
                from % 60,
                to / 60,
                to % 60
            )?;
        }
        Ok(())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && total <= DAY).then_some(total)
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let span = (minute(from)?, minute(to)?);
    (span.0 < span.1).then_some(span)
}

/// The hours of a week. Weekdays that are not named are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Week([Day; 7]);

impl Week {
    pub(crate) fn day(&self, weekday: Weekday) -> &Day {
        &self.0[weekday.num_days_from_monday() as usize]
    }

    pub(crate) fn days(&self) -> &[Day; 7] {
        &self.0
    }
}

impl FromStr for Week {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let mut week = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || HoursError::Weekday(part.to_owned());
            let (days, hours) = part.split_once(' ').ok_or_else(wrong)?;
            let (first, last) = days.split_once('-').unwrap_or((days, days));
            let position = |name: &str| WEEKDAYS.iter().position(|(known, _)| *known == name);
            let (first, last) = position(first).zip(position(last)).ok_or_else(wrong)?;
            let day = Day::parse(hours)?;
            if first > last || day == Day::CLOSED {
                return Err(wrong());
            }
            for of_week in &mut week.0[first..=last] {
                if *of_week != Day::CLOSED {
                    return Err(HoursError::Order(part.to_owned()));
                }
                *of_week = day;
            }
        }
        Ok(week)
    }
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for (name, weekday) in WEEKDAYS {
            let day = self.day(weekday);
            if *day != Day::CLOSED {
                write!(f, "{gap}{name} {day}")?;
                gap = "; ";
            }
        }
        Ok(())
    }
}

impl Serialize for Week {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_half_open_and_a_day_that_is_not_named_is_closed() {
        let week: Week = "mon-fri 10:00-13:00 14:00-20:00; sat 9:00-12:00".parse().unwrap();
        let monday = week.day(Weekday::Mon);
        for (hour, open) in [
            (9, false),
            (10, true),
            (12, true),
            (13, false),
            (14, true),
            (19, true),
            (20, false),
        ] {
            assert_eq!(monday.contains(hour * 60), open, "{hour}");
        }
        assert!(monday.contains(13 * 60 - 1));
        assert!(week.day(Weekday::Sat).contains(9 * 60));
        assert_eq!(*week.day(Weekday::Sun), Day::CLOSED);
        assert_eq!(monday.opens_after(10 * 60), Some(14 * 60));
        assert_eq!(monday.opens_after(14 * 60), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let week: Week = "mon-tue 00:00-24:00; thu 10:00-13:00 14:00-20:30"
            .parse()
            .unwrap();
        assert_eq!(week.to_string().parse(), Ok(week));
    }

    #[test]
    fn a_text_that_is_no_hours_is_refused_with_the_part_that_is_wrong() {
        let parsed = |text: &str| text.parse::<Week>();
        assert_eq!(
            parsed("10:00-12:00"),
            Err(HoursError::Weekday("10:00-12:00".into()))
        );
        assert_eq!(
            parsed("fri-mon 10:00-12:00"),
            Err(HoursError::Weekday("fri-mon 10:00-12:00".into()))
        );
        assert_eq!(
            parsed("mon 12:00-10:00"),
            Err(HoursError::Span("12:00-10:00".into()))
        );
        assert_eq!(
            parsed("mon 10:00-25:00"),
            Err(HoursError::Span("10:00-25:00".into()))
        );
        assert_eq!(
            parsed("mon 10:00-12:61"),
            Err(HoursError::Span("10:00-12:61".into()))
        );
        assert!(matches!(
            parsed("mon 10:00-12:00 11:00-13:00"),
            Err(HoursError::Order(_))
        ));
        assert!(matches!(
            parsed("mon 10:00-12:00; mon 13:00-14:00"),
            Err(HoursError::Order(_))
        ));
    }
}
