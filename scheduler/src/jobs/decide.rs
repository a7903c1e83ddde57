//! The decisions of a report job, without any I/O: may it start, is the data complete, when to try again.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::config::JobsConfig;

/// The state of a report, as the table and the API spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits for a job.
    Pending,
    /// A job is at it.
    Generating,
    /// Its files are stored.
    Completed,
    /// The last try failed; another one follows if the row says when.
    Failed,
    /// A person called it off.
    Cancelled,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Generating,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Generating => "generating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// Whether a job may start on a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may.
    Take,
    /// Another job is at it, or its next try is not due: the tick will push it when it is.
    Leave,
    /// There is nothing left to do.
    Done,
}

/// Judges a report by its row. `run_after` is the end of the lease while a job is at it, and the time of the
/// next try after a failure.
#[must_use]
pub fn claim(status: Status, run_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Claim {
    match (status, run_after) {
        (Status::Pending, _) => Claim::Take,
        (Status::Completed | Status::Cancelled, _) | (Status::Failed, None) => Claim::Done,
        (Status::Generating | Status::Failed, Some(at)) if at > now => Claim::Leave,
        (Status::Generating | Status::Failed, _) => Claim::Take,
    }
}

/// Whether the figures of a period are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They are.
    Final,
    /// Not yet; look again then.
    Wait(DateTime<Utc>),
    /// Not yet, and it has waited long enough: say so in the report.
    Provisional,
}

/// Judges completeness. The patience counts from the end of the period or the request, whichever is later.
#[must_use]
pub fn freshness(
    period_end: DateTime<Utc>,
    requested_at: DateTime<Utc>,
    complete_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    config: &JobsConfig,
) -> Freshness {
    if complete_until.is_some_and(|until| until >= period_end) {
        return Freshness::Final;
    }
    let patience = TimeDelta::seconds(i64::from(config.freshness_patience_seconds));
    let deadline = requested_at.max(period_end) + patience;
    // A day that is still going on will not be complete for hours; whoever asks for it wants it now.
    if now >= deadline || requested_at < period_end {
        return Freshness::Provisional;
    }
    Freshness::Wait(deadline.min(now + TimeDelta::seconds(i64::from(config.freshness_poll_seconds))))
}

/// When to try again after this many tries; none when it was the last.
#[must_use]
pub fn next_try(attempts: u32, now: DateTime<Utc>, config: &JobsConfig) -> Option<DateTime<Utc>> {
    if attempts >= config.most_attempts {
        return None;
    }
    let factor = 4_u64.saturating_pow(attempts.saturating_sub(1));
    let seconds = u64::from(config.retry_seconds).saturating_mul(factor);
    Some(now + TimeDelta::seconds(seconds.min(u64::from(config.longest_retry_seconds)) as i64))
}

/// The previous full local day at this instant.
#[must_use]
pub fn previous_day(as_of: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let today = as_of.with_timezone(&zone).date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America, Asia, Europe};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_report_is_taken_when_nobody_is_at_it_and_it_is_due() {
        let now = at("2026-11-21T06:00:00Z");
        let (past, future) = (
            Some(now - TimeDelta::seconds(1)),
            Some(now + TimeDelta::seconds(1)),
        );
        for (status, run_after, expected) in [
            (Status::Pending, None, Claim::Take),
            (Status::Pending, future, Claim::Take),
            (Status::Generating, future, Claim::Leave),
            (Status::Generating, past, Claim::Take),
            (Status::Failed, future, Claim::Leave),
            (Status::Failed, past, Claim::Take),
            (Status::Failed, None, Claim::Done),
            (Status::Completed, None, Claim::Done),
            (Status::Cancelled, past, Claim::Done),
        ] {
            assert_eq!(
                claim(status, run_after, now),
                expected,
                "{status:?} {run_after:?}"
            );
        }
    }

    #[test]
    fn a_report_waits_for_the_watermark_only_so_long() {
        let config = JobsConfig::default();
        let (end, asked) = (at("2026-11-20T23:00:00Z"), at("2026-11-21T05:00:00Z"));
        let judge = |until: Option<&str>, now: &str| freshness(end, asked, until.map(at), at(now), &config);
        assert_eq!(
            judge(Some("2026-11-20T23:00:00Z"), "2026-11-21T05:00:00Z"),
            Freshness::Final
        );
        let behind = Some("2026-11-20T22:59:59Z");
        for until in [behind, None] {
            assert_eq!(
                judge(until, "2026-11-21T05:00:00Z"),
                Freshness::Wait(at("2026-11-21T05:01:00Z"))
            );
            assert_eq!(
                judge(until, "2026-11-21T05:29:30Z"),
                Freshness::Wait(at("2026-11-21T05:30:00Z"))
            );
            assert_eq!(judge(until, "2026-11-21T05:30:00Z"), Freshness::Provisional);
        }
        assert_eq!(
            judge(Some("2026-11-21T00:00:00Z"), "2026-11-21T07:00:00Z"),
            Freshness::Final
        );
    }

    #[test]
    fn a_day_that_is_still_going_on_is_reported_at_once_as_provisional() {
        let config = JobsConfig::default();
        let now = at("2026-11-21T12:00:00Z");
        assert_eq!(
            freshness(at("2026-11-21T23:00:00Z"), now, None, now, &config),
            Freshness::Provisional
        );
    }

    #[test]
    fn tries_get_rarer_and_end() {
        let config = JobsConfig::default();
        let now = at("2026-11-21T06:00:00Z");
        let pauses: Vec<_> = (1..=6)
            .map(|attempts| next_try(attempts, now, &config).map(|next| (next - now).num_seconds()))
            .collect();
        assert_eq!(pauses, [Some(60), Some(240), Some(960), Some(3_600), None, None]);
    }

    #[test]
    fn the_previous_day_is_the_tenants_own() {
        let day = |text: &str, zone: Tz| previous_day(at(text), zone).to_string();
        assert_eq!(day("2026-11-21T05:00:00Z", Europe::Prague), "2026-11-20");
        assert_eq!(day("2026-11-21T04:59:59Z", America::New_York), "2026-11-19");
        assert_eq!(day("2026-11-20T18:15:00Z", Asia::Kathmandu), "2026-11-20");
        assert_eq!(day("2026-11-20T18:14:59Z", Asia::Kathmandu), "2026-11-19");
    }
}
