//! What a tenant, a company or a campaign adds: every field forbids something, and none can allow anything.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    abandonment::Share,
    consent::{ConsentNeed, Registry},
    history::{Cap, CoolOff},
    hours::{Day, Week},
    jurisdiction::Jurisdictions,
};

/// Wishes on top of the law. The default adds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tightening {
    /// Hours in which to call, inside those the law allows.
    pub calendar: Option<TenantCalendar>,
    /// Further caps on attempts.
    pub caps: Vec<Cap>,
    /// Further pauses.
    pub cool_offs: Vec<CoolOff>,
    /// A consent asked for everywhere.
    pub consent: Option<ConsentNeed>,
    /// Further registers to ask.
    pub registries: Vec<Registry>,
    /// No artificial voice.
    pub no_ai: bool,
    /// Only these countries.
    pub only: Option<Jurisdictions>,
    /// A lower share of abandoned calls.
    pub abandonment: Option<Share>,
    /// A longer ring.
    pub ring_at_least_seconds: Option<u32>,
}

/// Weekly hours, and days on which they are others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantCalendar {
    /// The ordinary week: `mon-fri 09:00-17:00`.
    pub week: Week,
    /// Days that have hours of their own, or none.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
    /// By whose clock.
    #[serde(default)]
    pub clock: Clock,
}

impl TenantCalendar {
    pub(crate) fn day(&self, date: NaiveDate) -> Day {
        use chrono::Datelike;
        let exception = self.exceptions.iter().find(|exception| exception.date == date);
        exception.map_or_else(|| *self.week.day(date.weekday()), |exception| exception.hours)
    }
}

/// One day's own hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The day.
    pub date: NaiveDate,
    /// Its spans, `09:00-12:00`; empty is closed.
    pub(crate) hours: Day,
}

impl Exception {
    /// A day without calls.
    #[must_use]
    pub const fn closed(date: NaiveDate) -> Self {
        Self {
            date,
            hours: Day::CLOSED,
        }
    }

    /// A day with hours of its own.
    ///
    /// # Errors
    /// When `hours` is no list of spans.
    pub fn open(date: NaiveDate, hours: &str) -> Result<Self, crate::HoursError> {
        Ok(Self {
            date,
            hours: Day::parse(hours)?,
        })
    }
}

/// Whose clock a calendar is read by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The called person's, in every zone they may be in.
    #[default]
    Called,
    /// That of the tenant's office.
    Zone(Tz),
}
