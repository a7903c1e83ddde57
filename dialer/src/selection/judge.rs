//! The whole judgement of one dial: what the campaign itself rules out, then what the law does.
//!
//! Pure, so that "why not" is answered by the very function that decides.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    campaigns::{Campaign, Mode},
    gate::{Facts, Gate, Verdict},
};

/// A judgement, and what it means for the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// It will never be otherwise: the contact leaves the campaign.
    pub for_good: bool,
}

/// Judges a dial of `campaign` to whom `facts` describe.
#[must_use]
pub fn judge(gate: &dyn Gate, campaign: &Campaign, facts: &Facts, now: DateTime<Utc>) -> Judged {
    let mut verdict = gate.judge(campaign, facts, now);
    let mut for_good = !verdict.allowed() && verdict.next_at.is_none();
    let mut forbid = |code: &str, next: Option<DateTime<Utc>>| {
        if !verdict.reasons.iter().any(|reason| reason == code) {
            verdict.reasons.push(code.to_owned());
        }
        verdict.next_at = match (verdict.next_at, next) {
            (Some(known), Some(next)) => Some(known.max(next)),
            (None, next) if !for_good => next,
            _ => None,
        };
        for_good |= next.is_none();
    };
    if facts.gone {
        forbid("contact_gone", None);
    }
    if facts.suppressed.is_some() {
        forbid("suppressed", None);
    }
    // Whatever the law of the place: an AI agent talks to nobody who did not agree to it.
    if campaign.mode == Mode::Agentless && !facts.consents_to("ai_processing", now) {
        forbid("no_consent_ai", Some(now + TimeDelta::days(1)));
    }
    if let Some(until) = closed_until(campaign, facts, now) {
        forbid("calendar_closed", Some(until));
    }
    if let Some(at) = facts.callback_at.filter(|at| *at > now) {
        forbid("callback_later", Some(at));
    }
    let total: u16 = facts
        .tries
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count));
    if total >= campaign.retry.max_attempts {
        forbid("exhausted", None);
    }
    if for_good {
        verdict.next_at = None;
    }
    Judged { verdict, for_good }
}

/// The campaign's own hours on the person's clock.
fn closed_until(campaign: &Campaign, facts: &Facts, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    campaign.calendar.as_ref()?.closed_until(now, zone(facts))
}

/// The person's clock; without a known zone, UTC's: the law, which knows better where the person may be, is asked
/// besides.
pub(super) fn zone(facts: &Facts) -> Tz {
    facts
        .timezone
        .as_deref()
        .and_then(|zone| zone.parse().ok())
        .unwrap_or(Tz::UTC)
}
