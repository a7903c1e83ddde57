//! One row of a file, read as a person.
//!
//! A row is invalid when nobody could be called by it, or when it cannot be told whom it is about. Any other
//! cell that cannot be read is left out and noted: a missing consent, zone or language only ever makes the
//! rules for calling stricter.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound as _, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::{
    Code, Column, ConsentStatus, ConsentType, Field, Number, Numbers, Statement,
    file::records::{Found, Row},
    mask,
};

/// Characters of one attribute.
const LONGEST_ATTRIBUTE: usize = 2_000;
/// Characters of a name or an external id.
const LONGEST_NAME: usize = 200;
/// Numbers of one person.
const MOST_NUMBERS: usize = 10;

/// A person a row describes; with at least one number, the primary one first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// Where the row begins.
    pub line: u64,
    /// What the customer's own systems call the person.
    pub external_id: Option<String>,
    /// Given name, or the whole name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Language tag.
    pub locale: Option<String>,
    /// Zone.
    pub timezone: Option<Tz>,
    /// The customer's class.
    pub tier: Option<String>,
    /// 0 to 100.
    pub priority: Option<i16>,
    /// Everything else.
    pub attributes: Map<String, Value>,
    /// No two alike.
    pub numbers: Vec<Number>,
    /// Statements, without proof yet.
    pub consents: Vec<Statement>,
}

/// Something about a cell that the person who made the file should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where the row begins.
    pub line: u64,
    /// Which column of the plan; none is the whole row.
    pub column: Option<usize>,
    /// What is wrong.
    pub code: Code,
    /// The shape of the value.
    pub masked: Option<String>,
}

/// What a row came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A person.
    Person(Box<Candidate>),
    /// Nobody; the remarks say why.
    Invalid,
}

/// Reads the row at hand. `now` is what consents cannot be later than.
pub fn read(
    found: Found,
    row: &Row,
    columns: &[Column],
    numbers: &Numbers,
    now: DateTime<Utc>,
) -> (Reading, Vec<Remark>) {
    let line = row.line();
    let whole = |code| {
        let remark = Remark {
            line,
            column: None,
            code,
            masked: None,
        };
        (Reading::Invalid, vec![remark])
    };
    match found {
        Found::TooLong => return whole(Code::RowTooLong),
        Found::QuoteUnclosed => return whole(Code::QuoteUnclosed),
        Found::Row => {}
    }
    let text = row.text();
    if text.contains(['\u{fffd}', '\0']) {
        return whole(Code::TextUndecodable);
    }
    if text.trim().is_empty() {
        return whole(Code::RowEmpty);
    }
    if row
        .cells()
        .skip(columns.len())
        .any(|cell| !cell.trim().is_empty())
    {
        return whole(Code::RowTooManyCells);
    }
    let mut reader = Reader {
        line,
        remarks: Vec::new(),
        numbers,
        now,
    };
    match reader.person(row, columns) {
        Some(person) => (Reading::Person(Box::new(person)), reader.remarks),
        None => (Reading::Invalid, reader.remarks),
    }
}

struct Reader<'a> {
    line: u64,
    remarks: Vec<Remark>,
    numbers: &'a Numbers,
    now: DateTime<Utc>,
}

#[derive(Default)]
struct Consent<'a> {
    kinds: Option<(usize, &'a str)>,
    status: Option<(usize, &'a str)>,
    source: Option<String>,
    time: Option<(usize, &'a str)>,
}

impl Reader<'_> {
    fn person(&mut self, row: &Row, columns: &[Column]) -> Option<Candidate> {
        let mut person = Candidate {
            line: self.line,
            ..Candidate::default()
        };
        let mut consent = Consent::default();
        let (mut identified, mut asked) = (true, None);
        for (at, (cell, column)) in row.cells().zip(columns).enumerate() {
            let value = cell.trim();
            if column.field == Field::Phone {
                asked = asked.or(Some(at));
                self.phone(at, cell, &mut person.numbers);
                continue;
            }
            if value.is_empty() {
                continue;
            }
            match column.field {
                Field::ExternalId if value.chars().count() > LONGEST_NAME => {
                    self.remark(Some(at), Code::ExternalIdTooLong, None);
                    identified = false;
                }
                Field::ExternalId => person.external_id = Some(value.to_owned()),
                Field::FirstName | Field::Name => person.first_name = self.short(at, value, LONGEST_NAME),
                Field::LastName => person.last_name = self.short(at, value, LONGEST_NAME),
                Field::Tier => person.tier = self.short(at, value, 50),
                Field::Email => person.email = self.checked(at, value, Code::EmailMalformed, email),
                Field::Locale => person.locale = self.checked(at, value, Code::LocaleMalformed, locale),
                Field::Timezone => {
                    person.timezone =
                        self.checked(at, value, Code::TimezoneUnknown, |value| value.parse().ok());
                }
                Field::Priority => {
                    person.priority = self.checked(at, value, Code::PriorityMalformed, priority)
                }
                Field::ConsentType => consent.kinds = Some((at, value)),
                Field::ConsentStatus => consent.status = Some((at, value)),
                Field::ConsentSource => consent.source = self.short(at, value, LONGEST_NAME),
                Field::ConsentTime => consent.time = Some((at, value)),
                Field::Attribute => {
                    if let Some(value) = self.short(at, value, LONGEST_ATTRIBUTE) {
                        person
                            .attributes
                            .insert(column.name.clone(), Value::String(value));
                    }
                }
                Field::Phone | Field::Ignore => {}
            }
        }
        self.consents(consent, &mut person.consents);
        if person.numbers.is_empty() && !self.remarks.iter().any(|remark| is_about_phones(remark, columns)) {
            self.remark(asked, Code::PhoneMissing, None);
        }
        (identified && !person.numbers.is_empty()).then_some(person)
    }

    fn phone(&mut self, at: usize, cell: &str, known: &mut Vec<Number>) {
        for number in self.numbers.cell(cell) {
            match number {
                Ok(number) if known.iter().any(|other| other.token == number.token) => {}
                Ok(_) if known.len() == MOST_NUMBERS => self.remark(Some(at), Code::ValueTooLong, Some(cell)),
                Ok(number) => known.push(number),
                Err(code) => self.remark(Some(at), code, Some(cell)),
            }
        }
    }

    fn consents(&mut self, consent: Consent<'_>, statements: &mut Vec<Statement>) {
        let Some((at, kinds)) = consent.kinds else {
            return;
        };
        let status = match consent.status {
            None => ConsentStatus::Granted,
            Some((at, value)) => match status(value) {
                Some(status) => status,
                None => return self.remark(Some(at), Code::ConsentStatusUnknown, Some(value)),
            },
        };
        let captured_at = match consent.time {
            Some((at, value)) => match time(value).filter(|time| *time <= self.now + TimeDelta::days(1)) {
                Some(time) => time,
                None => return self.remark(Some(at), Code::ConsentTimeMalformed, Some(value)),
            },
            None => return self.remark(Some(at), Code::ConsentTimeMalformed, None),
        };
        for kind in kinds.split([',', ';', '|', ' ']).filter(|kind| !kind.is_empty()) {
            match ConsentType::parse(&kind.to_lowercase()) {
                Some(kind) => statements.push(Statement {
                    kind,
                    status,
                    purpose: None,
                    channel: None,
                    source: consent.source.clone(),
                    evidence: Map::new(),
                    captured_at,
                    expires_at: None,
                }),
                None => self.remark(Some(at), Code::ConsentTypeUnknown, Some(kind)),
            }
        }
        statements.sort_by_key(|statement| statement.kind);
        statements.dedup();
    }

    fn short(&mut self, at: usize, value: &str, longest: usize) -> Option<String> {
        if value.chars().count() > longest {
            self.remark(Some(at), Code::ValueTooLong, None);
            return None;
        }
        Some(value.to_owned())
    }

    fn checked<T>(
        &mut self,
        at: usize,
        value: &str,
        code: Code,
        check: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let checked = check(value);
        if checked.is_none() {
            self.remark(Some(at), code, Some(value));
        }
        checked
    }

    fn remark(&mut self, column: Option<usize>, code: Code, value: Option<&str>) {
        self.remarks.push(Remark {
            line: self.line,
            column,
            code,
            masked: value.map(|value| mask(value.trim())),
        });
    }
}

fn is_about_phones(remark: &Remark, columns: &[Column]) -> bool {
    remark.column.is_some_and(|at| columns[at].field == Field::Phone)
}

fn email(value: &str) -> Option<String> {
    let (local, domain) = value.rsplit_once('@')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !part.contains(|letter: char| letter.is_whitespace() || ",;<>\"@".contains(letter))
    };
    let valid = value.len() <= 254
        && plain(local)
        && plain(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.');
    valid.then(|| value.to_owned())
}

fn locale(value: &str) -> Option<String> {
    let tag = value.replace('_', "-");
    let mut parts = tag.split('-');
    let alphanumeric = |part: &str, most: usize| {
        (2..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let language = parts.next()?;
    let valid = alphanumeric(language, 3)
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && tag.len() <= 35
        && parts.all(|part| alphanumeric(part, 8));
    valid.then_some(tag)
}

fn priority(value: &str) -> Option<i16> {
    value.parse().ok().filter(|priority| (0..=100).contains(priority))
}

fn status(value: &str) -> Option<ConsentStatus> {
    let value = value.to_lowercase();
    match value.as_str() {
        "yes" | "y" | "true" | "1" | "ano" | "sí" | "si" => Some(ConsentStatus::Granted),
        "no" | "n" | "false" | "0" | "ne" => Some(ConsentStatus::Denied),
        other => ConsentStatus::parse(other),
    }
}

/// RFC 3339, or a date with or without a time, in UTC. Days before months only where dots say so: `3/4/2026`
/// is two dates and neither is taken.
fn time(value: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(value) {
        // The table keeps microseconds.
        return Some(time.to_utc().trunc_subsecs(6));
    }
    for format in [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%d.%m.%Y %H:%M:%S",
        "%d.%m.%Y %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(value, format) {
            return Some(time.and_utc());
        }
    }
    for format in ["%Y-%m-%d", "%d.%m.%Y", "%d. %m. %Y"] {
        if let Ok(day) = NaiveDate::parse_from_str(value, format) {
            return Some(day.and_time(NaiveTime::MIN).and_utc());
        }
    }
    None
}
