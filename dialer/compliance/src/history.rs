//! How often, and how soon again: caps on attempts and pauses after what happened, over all campaigns of a tenant.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    facts::{AttemptEnd, PastAttempt},
    request::Request,
};

/// Which earlier attempts count. An attempt that does not say what it was about counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// All attempts to the person.
    Person,
    /// Those for the same company.
    Company,
    /// Those for the same company on the same subject.
    Subject,
    /// Those about the same debt.
    Debt,
}

impl Per {
    fn counts(self, past: &PastAttempt, request: &Request<'_>) -> bool {
        fn may_be<T: PartialEq>(past: Option<T>, now: Option<T>) -> bool {
            match (past, now) {
                (Some(past), Some(now)) => past == now,
                _ => true,
            }
        }
        let company = may_be(past.company, Some(request.company));
        match self {
            Self::Person => true,
            Self::Company => company,
            Self::Subject => company && may_be(past.subject, request.subject),
            Self::Debt => may_be(past.debt, request.debt),
        }
    }

    /// Whether everything that counts for `other` counts here too.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Person || self == other || (self == Self::Company && other == Self::Subject)
    }
}

/// A length of hours and days, in which a day may have 25 hours because clocks are set back.
fn length(hours: u32, days: u32) -> TimeDelta {
    let day_change = i64::from(days > 0);
    TimeDelta::hours(i64::from(hours) + 24 * i64::from(days) + day_change)
}

/// At most so many attempts in a sliding span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// The most attempts.
    pub calls: u32,
    /// Length of the span, in hours; added to `days`.
    #[serde(default)]
    pub hours: u32,
    /// Length of the span, in days; added to `hours`.
    #[serde(default)]
    pub days: u32,
    /// Which attempts count.
    pub per: Per,
}

impl Cap {
    pub(crate) fn span(self) -> TimeDelta {
        length(self.hours, self.days)
    }

    /// `None` when another attempt fits at `now`; otherwise when it will, `Some(None)` being never.
    pub(crate) fn full(
        self,
        request: &Request<'_>,
        attempts: &[PastAttempt],
        now: DateTime<Utc>,
    ) -> Option<Option<DateTime<Utc>>> {
        let since = now.checked_sub_signed(self.span())?;
        let counted = || {
            attempts
                .iter()
                .filter(|past| past.at > since && self.per.counts(past, request))
        };
        let calls = usize::try_from(self.calls).unwrap_or(usize::MAX);
        if counted().count() < calls {
            return None;
        }
        let mut times: Vec<_> = counted().map(|past| past.at).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        // Once the newest but `calls - 1` has left the span, one fewer than the cap remains.
        let last = calls.checked_sub(1).and_then(|index| times.get(index));
        Some(last.and_then(|at| at.checked_add_signed(self.span())))
    }

    /// Whether this allows nothing that `other` forbids.
    pub(crate) fn at_least_as_tight_as(self, other: Self) -> bool {
        self.calls <= other.calls && self.span() >= other.span() && self.per.covers(other.per)
    }
}

/// What a person is left alone after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cooling {
    /// They said no.
    Refusal,
    /// They answered and met nobody.
    Abandoned,
    /// A machine was heard, rightly or wrongly.
    Machine,
    /// They talked to somebody.
    Conversation,
}

impl Cooling {
    /// An end nobody knows may have been the worse of two.
    fn follows(self, end: AttemptEnd) -> bool {
        match self {
            Self::Refusal => end == AttemptEnd::Refusal,
            Self::Abandoned => matches!(end, AttemptEnd::Abandoned | AttemptEnd::Unknown),
            Self::Machine => matches!(end, AttemptEnd::Machine | AttemptEnd::Unknown),
            Self::Conversation => matches!(end, AttemptEnd::Conversation | AttemptEnd::Refusal),
        }
    }
}

/// No attempt for a while after something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoolOff {
    /// What happened.
    pub after: Cooling,
    /// Length of the pause, in hours; added to `days`.
    #[serde(default)]
    pub hours: u32,
    /// Length of the pause, in days; added to `hours`.
    #[serde(default)]
    pub days: u32,
    /// Which attempts count.
    pub per: Per,
    /// An agent who is certainly there lifts the pause.
    #[serde(default)]
    pub unless_live_agent: bool,
}

impl CoolOff {
    pub(crate) fn span(self) -> TimeDelta {
        length(self.hours, self.days)
    }

    /// When the pause that holds at `now` ends.
    pub(crate) fn until(
        self,
        request: &Request<'_>,
        attempts: &[PastAttempt],
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if self.unless_live_agent && request.live_agent_guaranteed {
            return None;
        }
        let last = attempts
            .iter()
            .filter(|past| self.after.follows(past.end) && self.per.counts(past, request))
            .map(|past| past.at)
            .max()?;
        last.checked_add_signed(self.span()).filter(|until| *until > now)
    }

    /// Whether this allows nothing that `other` forbids.
    pub(crate) fn at_least_as_tight_as(self, other: Self) -> bool {
        self.after == other.after
            && self.span() >= other.span()
            && self.per.covers(other.per)
            && (other.unless_live_agent || !self.unless_live_agent)
    }
}
