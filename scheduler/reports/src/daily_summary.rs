//! The daily summary: one tenant's calls of one local day, against the day before.
//!
//! The caller fills [`DailySummaryData`] with counts and millisecond sums; every ratio is
//! divided here, once, from summed counts. A ratio whose denominator is zero is missing and
//! shows as a dash. Formulas follow the definitions printed on the report's last page.

mod build;
mod tables;
mod words;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::error::RenderError;
use crate::locale::Locale;
use crate::model::{Branding, Currency, Report};

/// Slug of this report type.
pub const KIND: &str = "daily_summary";

/// Everything the daily summary says, as plain counts.
#[derive(Debug, Clone)]
pub struct DailySummaryData {
    /// Display name of the tenant.
    pub tenant_name: String,
    /// The local calendar day.
    pub day: NaiveDate,
    /// Zone the day is cut in.
    pub zone: Tz,
    /// When the figures were read.
    pub generated_at: DateTime<Utc>,
    /// Language of the report.
    pub locale: Locale,
    /// Colours and logo.
    pub branding: Branding,
    /// True when events of the day may still be missing.
    pub provisional: bool,
    /// Currency of all `cost_micros`.
    pub currency: Currency,
    /// Thresholds of service level and abandonment.
    pub thresholds: Thresholds,
    /// The whole day.
    pub totals: Counts,
    /// Time from the first ring to the answer over the whole day.
    pub answer_time: AnswerTime,
    /// The day before; none when the tenant had no account then.
    pub previous: Option<PreviousDay>,
    /// Buckets of an hour or less. Each must start within the day; hours without a bucket
    /// count as hours without calls.
    pub intervals: Vec<Interval>,
    /// One row per campaign.
    pub campaigns: Vec<CampaignRow>,
    /// One row per carrier.
    pub carriers: Vec<CarrierRow>,
    /// Dispositions of conversations, in any order.
    pub outcomes: Vec<Tally>,
    /// Causes calls ended with, in any order.
    pub hangup_causes: Vec<Tally>,
}

/// Counters of calls and sums of time. All counters are of the same set of attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dials handed to a carrier.
    pub attempts: u64,
    /// Attempts answered by anything, human or machine.
    pub answered: u64,
    /// Attempts answered by a live person, abandoned ones included.
    pub contacts: u64,
    /// Contacts to whom nobody, agent or AI, spoke in time.
    pub abandoned: u64,
    /// Attempts answered by a machine.
    pub machine: u64,
    /// Attempts that met a busy line.
    pub busy: u64,
    /// Attempts that rang without an answer.
    pub no_answer: u64,
    /// Attempts that failed in the network or were rejected. What is in none of the other
    /// groups is counted here too.
    pub failed: u64,
    /// Calls that entered an agent queue.
    pub offered: u64,
    /// Queued calls answered by an agent within the service level threshold.
    pub answered_in_threshold: u64,
    /// Queued calls abandoned within the short-abandon threshold.
    pub short_abandoned: u64,
    /// Conversations that agent or AI finished; the denominator of handle time.
    pub handled: u64,
    /// Sum of talk time over handled calls.
    pub talk_ms: u64,
    /// Sum of hold time over handled calls.
    pub hold_ms: u64,
    /// Sum of after-call work over handled calls.
    pub wrap_ms: u64,
    /// Cost in millionths of the currency; none where cost is not known.
    pub cost_micros: Option<i64>,
}

impl Counts {
    /// Adds another set of attempts. Costs add up where either is known.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.attempts, other.attempts),
            (&mut self.answered, other.answered),
            (&mut self.contacts, other.contacts),
            (&mut self.abandoned, other.abandoned),
            (&mut self.machine, other.machine),
            (&mut self.busy, other.busy),
            (&mut self.no_answer, other.no_answer),
            (&mut self.failed, other.failed),
            (&mut self.offered, other.offered),
            (&mut self.answered_in_threshold, other.answered_in_threshold),
            (&mut self.short_abandoned, other.short_abandoned),
            (&mut self.handled, other.handled),
            (&mut self.talk_ms, other.talk_ms),
            (&mut self.hold_ms, other.hold_ms),
            (&mut self.wrap_ms, other.wrap_ms),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
        self.cost_micros = match (self.cost_micros, other.cost_micros) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (known, None) | (None, known) => known,
        };
    }

    /// The sum of several sets of attempts.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        all.into_iter().fold(Self::default(), |mut sum, counts| {
            sum.add(counts);
            sum
        })
    }
}

/// Quantiles of the time from the first ring to the answer, answered attempts only.
/// Quantiles cannot be added up, so every row brings its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerTime {
    /// Median in milliseconds.
    pub p50_ms: Option<u64>,
    /// 95th percentile in milliseconds.
    pub p95_ms: Option<u64>,
}

/// What the day is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousDay {
    /// The whole previous day.
    pub totals: Counts,
    /// Its ring-to-answer time.
    pub answer_time: AnswerTime,
}

/// One bucket of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// First instant of the bucket.
    pub start: DateTime<Utc>,
    /// Attempts that started in it.
    pub counts: Counts,
}

/// One campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignRow {
    /// Display name.
    pub name: String,
    /// Its attempts.
    pub counts: Counts,
}

/// One carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierRow {
    /// Display name.
    pub name: String,
    /// Attempts handed to it.
    pub counts: Counts,
    /// Its ring-to-answer time.
    pub answer_time: AnswerTime,
}

/// A name and how many calls bear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Display name.
    pub name: String,
    /// Calls.
    pub calls: u64,
}

/// Thresholds a tenant may set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Seconds within which an agent must answer to count for the service level.
    pub service_level_s: u32,
    /// Share of calls that should be answered in time.
    pub service_level_target: f64,
    /// Waits shorter than this many seconds do not count as abandoned from the queue.
    pub short_abandon_s: u32,
    /// Seconds after the answer within which somebody must speak.
    pub abandon_after_s: u32,
    /// Highest lawful share of abandoned contacts (US TSR safe harbour and others: 3 %).
    pub abandon_ceiling: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            service_level_s: 20,
            service_level_target: 0.8,
            short_abandon_s: 5,
            abandon_after_s: 2,
            abandon_ceiling: 0.03,
        }
    }
}

impl DailySummaryData {
    /// Builds the report.
    ///
    /// # Errors
    /// [`RenderError::Malformed`] when an interval starts outside the day: leaving it out
    /// would make hours and totals disagree without a word.
    pub fn report(&self) -> Result<Report, RenderError> {
        build::report(self)
    }
}
