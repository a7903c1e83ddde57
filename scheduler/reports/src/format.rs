//! Values as text for a human reader, by language.
//!
//! Only the PDF (and labels inside other files) use this; data files keep raw values.
//! Separators follow CLDR: English `1,234.5`, Spanish `1234,5` and `12.345,6` (no
//! grouping below five digits), Czech `1 234,5` with a no-break space.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::locale::Locale;
use crate::model::{Change, Kind, Money, Value};

const NBSP: char = '\u{a0}';
/// What stands in a cell without a value.
pub const MISSING: &str = "–";

/// English dates name the month, because `11/12` reads differently on the two sides of the Atlantic.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Formats values for one language and one time zone.
#[derive(Debug, Clone, Copy)]
pub struct Formatter {
    locale: Locale,
    zone: Tz,
}

impl Formatter {
    /// A formatter for a report's language and zone.
    pub fn new(locale: Locale, zone: Tz) -> Self {
        Self { locale, zone }
    }

    /// A value on its own, as on a headline card: durations carry their units.
    pub fn value(&self, value: &Value) -> String {
        match value {
            Value::Missing => MISSING.to_owned(),
            Value::Text(text) => text.clone(),
            Value::Count(count) => self.count(*count),
            Value::Percent(ratio) => self.percent(*ratio, 1),
            Value::Duration(seconds) => self.spoken_duration(*seconds),
            Value::Money(money) => self.money(*money),
            Value::Date(date) => self.date(*date),
            Value::DateTime(at) => self.date_time(*at),
        }
    }

    /// A value inside a column, where the heading carries the unit.
    pub fn cell(&self, value: &Value, kind: Kind) -> String {
        match (value, kind) {
            (Value::Duration(seconds), Kind::Seconds) => self.number(*seconds, 1),
            (Value::Duration(seconds), _) => clock_duration(*seconds),
            (Value::DateTime(at), Kind::Clock) => self.clock(*at),
            _ => self.value(value),
        }
    }

    /// A whole number with thousands separators.
    pub fn count(&self, count: u64) -> String {
        self.group(&count.to_string())
    }

    /// A number with a fixed number of decimals.
    pub fn number(&self, number: f64, decimals: usize) -> String {
        if !number.is_finite() {
            return MISSING.to_owned();
        }
        let plain = format!("{:.decimals$}", number.abs());
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let zero = plain.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let sign = if number < 0.0 && !zero { "\u{2212}" } else { "" };
        let grouped = self.group(whole);
        if fraction.is_empty() {
            format!("{sign}{grouped}")
        } else {
            format!("{sign}{grouped}{}{fraction}", self.decimal_point())
        }
    }

    /// A ratio as a percentage.
    pub fn percent(&self, ratio: f64, decimals: usize) -> String {
        if !ratio.is_finite() {
            return MISSING.to_owned();
        }
        format!("{}{}", self.number(ratio * 100.0, decimals), self.percent_sign())
    }

    /// A bound such as a ceiling: no decimals where none are needed.
    pub fn limit(&self, ratio: f64) -> String {
        let whole = (ratio * 100.0 - (ratio * 100.0).round()).abs() < 1e-9;
        self.percent(ratio, if whole { 0 } else { 1 })
    }

    /// A change with its sign: `+4.1%`, `−0.6 pp`; "unchanged" when it rounds to zero.
    pub fn change(&self, change: Change) -> String {
        let shown = self.number(change.amount().abs() * 100.0, 1);
        let zero = shown.bytes().all(|byte| matches!(byte, b'0' | b'.' | b','));
        if zero {
            return self.locale.frame().unchanged.to_owned();
        }
        let sign = if change.amount() < 0.0 { '\u{2212}' } else { '+' };
        match change {
            Change::Relative(_) => format!("{sign}{shown}{}", self.percent_sign()),
            Change::Points(_) => format!("{sign}{shown}{NBSP}{}", self.locale.frame().points),
        }
    }

    /// An amount with its currency.
    pub fn money(&self, money: Money) -> String {
        let (symbol, decimals) = match money.currency.code() {
            "EUR" => ("€", 2),
            "USD" => ("$", 2),
            "GBP" => ("£", 2),
            "CZK" => ("Kč", 2),
            "JPY" => ("¥", 0),
            code => (code, 2),
        };
        let units = money.micros as f64 / 1e6;
        let amount = self.number(units.abs(), decimals);
        let sign = if units < 0.0 { "\u{2212}" } else { "" };
        match self.locale {
            Locale::En if symbol.chars().count() == 1 => format!("{sign}{symbol}{amount}"),
            Locale::En => format!("{sign}{symbol}{NBSP}{amount}"),
            Locale::Es | Locale::Cs => format!("{sign}{amount}{NBSP}{symbol}"),
        }
    }

    /// A calendar day.
    pub fn date(&self, date: NaiveDate) -> String {
        match self.locale {
            Locale::En => {
                let month = MONTHS[date.month0() as usize];
                format!("{}{NBSP}{month}{NBSP}{}", date.day(), date.year())
            }
            Locale::Es => format!("{:02}/{:02}/{}", date.day(), date.month(), date.year()),
            Locale::Cs => format!("{}.{NBSP}{}.{NBSP}{}", date.day(), date.month(), date.year()),
        }
    }

    /// A calendar day with its weekday, for headlines.
    pub fn long_date(&self, date: NaiveDate) -> String {
        let weekday = self.locale.frame().weekdays[date.weekday().num_days_from_monday() as usize];
        match self.locale {
            Locale::En => format!("{weekday}, {}", self.date(date)),
            Locale::Es | Locale::Cs => format!("{weekday} {}", self.date(date)),
        }
    }

    /// Date and clock time in the report's zone.
    pub fn date_time(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.zone);
        format!("{} {}", self.date(local.date_naive()), self.clock(at))
    }

    /// Clock time in the report's zone. An hour that occurs twice on its day carries the
    /// zone's abbreviation, so that the two can be told apart.
    pub fn clock(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.zone);
        let time = format!("{:02}:{:02}", local.hour(), local.minute());
        match self.zone.from_local_datetime(&local.naive_local()) {
            LocalResult::Ambiguous(_, _) => format!("{time}{NBSP}{}", local.format("%Z")),
            LocalResult::Single(_) | LocalResult::None => time,
        }
    }

    /// Tick label of an axis that ends at `top`: all labels share thousands (`k`) or
    /// millions (`M`) once the axis is long enough to need them.
    pub fn tick(&self, number: f64, top: f64) -> String {
        let (unit, sign) = match top {
            top if top >= 1e6 => (1e6, "M"),
            top if top >= 1e4 => (1e3, "k"),
            _ => (1.0, ""),
        };
        if number == 0.0 {
            "0".to_owned()
        } else {
            format!("{}{sign}", self.trimmed(number / unit))
        }
    }

    fn trimmed(&self, number: f64) -> String {
        let decimals = if (number - number.round()).abs() < 1e-9 {
            0
        } else {
            1
        };
        self.number(number, decimals)
    }

    fn spoken_duration(&self, seconds: f64) -> String {
        if !seconds.is_finite() {
            return MISSING.to_owned();
        }
        if seconds.abs() < 59.95 {
            return format!("{}{NBSP}s", self.number(seconds, 1));
        }
        let total = seconds.abs().round() as u64;
        let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
        let sign = if seconds < 0.0 { "\u{2212}" } else { "" };
        if hours > 0 {
            format!("{sign}{}{NBSP}h {minutes}{NBSP}min", self.count(hours))
        } else {
            format!("{sign}{minutes}{NBSP}min {rest}{NBSP}s")
        }
    }

    fn decimal_point(&self) -> char {
        match self.locale {
            Locale::En => '.',
            Locale::Es | Locale::Cs => ',',
        }
    }

    fn percent_sign(&self) -> &'static str {
        match self.locale {
            Locale::En => "%",
            Locale::Es | Locale::Cs => "\u{a0}%",
        }
    }

    fn group(&self, digits: &str) -> String {
        let separator = match self.locale {
            Locale::En => ',',
            Locale::Es if digits.len() < 5 => return digits.to_owned(),
            Locale::Es => '.',
            Locale::Cs => NBSP,
        };
        let mut grouped = String::with_capacity(digits.len() * 2);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped
    }
}

/// Minutes and seconds (`3:24`), with hours where needed (`1:02:03`).
fn clock_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return MISSING.to_owned();
    }
    let total = seconds.abs().round() as u64;
    let sign = if seconds < 0.0 && total > 0 {
        "\u{2212}"
    } else {
        ""
    };
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
    if hours > 0 {
        format!("{sign}{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{sign}{minutes}:{rest:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Currency;

    fn formatter(locale: Locale) -> Formatter {
        Formatter::new(locale, Tz::Europe__Prague)
    }

    #[test]
    fn every_language_has_its_own_separators() {
        assert_eq!(formatter(Locale::En).count(1_234_567), "1,234,567");
        assert_eq!(formatter(Locale::Es).count(1_234_567), "1.234.567");
        assert_eq!(formatter(Locale::Es).count(1_234), "1234");
        assert_eq!(formatter(Locale::Cs).count(1_234), "1\u{a0}234");
        assert_eq!(formatter(Locale::En).percent(0.1234, 1), "12.3%");
        assert_eq!(formatter(Locale::Cs).percent(0.1234, 1), "12,3\u{a0}%");
    }

    #[test]
    fn money_stands_where_the_language_puts_it() {
        let money = Money {
            micros: -1_234_500_000,
            currency: Currency::EUR,
        };
        assert_eq!(formatter(Locale::En).money(money), "−€1,234.50");
        assert_eq!(formatter(Locale::Es).money(money), "−1234,50\u{a0}€");
        let pesos = Money {
            micros: 5_000_000,
            currency: Currency::new("MXN").unwrap(),
        };
        assert_eq!(formatter(Locale::En).money(pesos), "MXN\u{a0}5.00");
    }

    #[test]
    fn dates_follow_the_order_of_the_language() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        assert_eq!(formatter(Locale::En).date(date), "21\u{a0}Nov\u{a0}2026");
        assert_eq!(formatter(Locale::Es).date(date), "21/11/2026");
        assert_eq!(formatter(Locale::Cs).date(date), "21.\u{a0}11.\u{a0}2026");
        assert_eq!(formatter(Locale::Es).long_date(date), "sábado 21/11/2026");
    }

    #[test]
    fn the_hour_that_occurs_twice_says_which_one_it_is() {
        let first: DateTime<Utc> = "2026-10-25T00:00:00Z".parse().unwrap();
        let second: DateTime<Utc> = "2026-10-25T01:00:00Z".parse().unwrap();
        assert_eq!(formatter(Locale::Cs).clock(first), "02:00\u{a0}CEST");
        assert_eq!(formatter(Locale::Cs).clock(second), "02:00\u{a0}CET");
        assert_eq!(
            formatter(Locale::Cs).clock("2026-10-25T05:00:00Z".parse().unwrap()),
            "06:00"
        );
    }

    #[test]
    fn durations_are_spoken_on_cards_and_clocked_in_columns() {
        let en = formatter(Locale::En);
        assert_eq!(en.value(&Value::Duration(6.44)), "6.4\u{a0}s");
        assert_eq!(en.value(&Value::Duration(204.4)), "3\u{a0}min 24\u{a0}s");
        assert_eq!(en.value(&Value::Duration(59.97)), "1\u{a0}min 0\u{a0}s");
        assert_eq!(en.value(&Value::Duration(7_320.0)), "2\u{a0}h 2\u{a0}min");
        assert_eq!(en.cell(&Value::Duration(204.4), Kind::Duration), "3:24");
        assert_eq!(en.cell(&Value::Duration(3_723.0), Kind::Duration), "1:02:03");
        assert_eq!(en.cell(&Value::Duration(6.44), Kind::Seconds), "6.4");
    }

    #[test]
    fn changes_always_carry_a_sign_and_small_ones_are_none() {
        let en = formatter(Locale::En);
        assert_eq!(en.change(Change::Relative(0.041)), "+4.1%");
        assert_eq!(en.change(Change::Points(-0.006)), "−0.6\u{a0}pp");
        assert_eq!(en.change(Change::Relative(-0.0001)), "unchanged");
    }

    #[test]
    fn ticks_of_one_axis_share_their_unit() {
        let en = formatter(Locale::En);
        assert_eq!(
            [0.0, 2_500.0, 25_000.0].map(|tick| en.tick(tick, 25_000.0)),
            ["0", "2.5k", "25k"]
        );
        assert_eq!(en.tick(1_500.0, 6_000.0), "1,500");
    }

    #[test]
    fn numbers_that_are_not_finite_are_missing() {
        let en = formatter(Locale::En);
        assert_eq!(en.percent(f64::NAN, 1), MISSING);
        assert_eq!(en.value(&Value::Duration(f64::INFINITY)), MISSING);
        assert_eq!(en.number(-0.01, 1), "0.0");
    }
}
