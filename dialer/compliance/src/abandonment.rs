//! How many answered calls may meet nobody, what such a person must hear, and how both are counted; for the pacer.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    jurisdiction::{Jurisdiction, Jurisdictions},
    label::Label,
    limits,
    request::{Mode, Purpose},
    rules::{Kind, Rules},
};

/// A part of a whole, in millionths; an integer, so that comparisons with a ceiling are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    /// So many millionths: 30 000 is 3 %.
    #[must_use]
    pub const fn per_million(millionths: u32) -> Self {
        Self(millionths)
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    pub(crate) fn of_percent(percent: f64) -> Option<Self> {
        let millionths = (percent * 10_000.0).round();
        // The cast is exact for what passes the check.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (0.0..=1_000_000.0)
            .contains(&millionths)
            .then_some(Self(millionths as u32))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 10_000.0)
    }
}

/// Over which time a share is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the campaign's start, periods of so many days, each apart; a shorter campaign as a whole.
    SuccessiveDays(u32),
    /// The last so many hours, at any moment.
    RollingHours(u32),
}

/// What starts the two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredFrom {
    /// The carrier says the call was answered.
    Answer,
    /// The person has finished their greeting.
    GreetingEnd,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbandonmentText {
    pub(crate) percent: f64,
    pub(crate) target_percent: Option<f64>,
    pub(crate) window: Window,
    pub(crate) from: MeasuredFrom,
    #[serde(default)]
    pub(crate) consented_ai_message_is_no_abandon: bool,
    #[serde(default)]
    pub(crate) uncertain_machine_counts: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct AbandonmentRule {
    pub(crate) ceiling: Share,
    pub(crate) target: Share,
    pub(crate) window: Window,
    pub(crate) from: MeasuredFrom,
    pub(crate) consented_ai_message_is_no_abandon: bool,
    pub(crate) uncertain_machine_counts: bool,
}

impl AbandonmentText {
    pub(crate) fn compile(&self) -> Option<AbandonmentRule> {
        let ceiling = Share::of_percent(self.percent)?;
        let target = self.target_percent.map_or(Some(ceiling), Share::of_percent)?;
        Some(AbandonmentRule {
            ceiling,
            target,
            window: self.window,
            from: self.from,
            consented_ai_message_is_no_abandon: self.consented_ai_message_is_no_abandon,
            uncertain_machine_counts: self.uncertain_machine_counts,
        })
    }
}

/// One account the pacer keeps: campaign × jurisdiction × window.
///
/// The share is of calls **answered by a person**. A call is abandoned when nobody speaks within
/// `connect_within_ms`; playing the message does not take it back out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AbandonmentLimit {
    /// Whose limit; the calls to count are those to places where this law holds.
    pub jurisdiction: Jurisdiction,
    /// The rule.
    pub rule: Label,
    /// Its pack and version.
    pub pack: Label,
    /// Never more than this.
    pub ceiling: Share,
    /// What to steer for, as shipped; a tenant may set less.
    pub target: Share,
    /// Over which time.
    pub window: Window,
    /// What starts the clock of `connect_within_ms`.
    pub from: MeasuredFrom,
    /// A person reaches an agent within this time, or is abandoned.
    pub connect_within_ms: u32,
    /// An AI agent who speaks in time to somebody with written consent is no abandonment.
    pub consented_ai_message_is_no_abandon: bool,
    /// A call hung up because a machine was guessed, without certainty, counts as abandoned.
    pub uncertain_machine_counts: bool,
}

/// What somebody must hear whom nobody can talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafeHarbour {
    /// It begins within this time.
    pub within_ms: u32,
    /// What starts that time.
    pub from: MeasuredFrom,
    /// It says for whom the call was made.
    pub company_name: bool,
    /// It says a number to call.
    pub phone_number: bool,
    /// Pressing a key ends the call and all later ones.
    pub key_press_opt_out: bool,
    /// It must not sell.
    #[serde(default)]
    pub no_marketing: bool,
}

impl SafeHarbour {
    /// What holds where no pack says more.
    pub const HARD: Self = Self {
        within_ms: limits::CONNECT_WITHIN_MS,
        from: MeasuredFrom::Answer,
        company_name: true,
        phone_number: true,
        key_press_opt_out: true,
        no_marketing: true,
    };
}

impl Rules {
    /// The accounts a campaign that dials into these jurisdictions must keep. A country whose pack sets no share is
    /// held to the hard ceiling over both kinds of window.
    #[must_use]
    pub fn abandonment_limits(
        &self,
        jurisdictions: Jurisdictions,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Vec<AbandonmentLimit> {
        let mut limits: Vec<AbandonmentLimit> = Vec::new();
        for rule in self.active(jurisdictions, purpose, Mode::Predictive, now) {
            if let Kind::Abandonment(limit) = &rule.kind {
                limits.push(AbandonmentLimit {
                    jurisdiction: rule.jurisdiction,
                    rule: rule.id(),
                    pack: rule.pack(),
                    ceiling: limit.ceiling,
                    target: limit.target,
                    window: limit.window,
                    from: limit.from,
                    connect_within_ms: limits::CONNECT_WITHIN_MS,
                    consented_ai_message_is_no_abandon: limit.consented_ai_message_is_no_abandon,
                    uncertain_machine_counts: limit.uncertain_machine_counts,
                });
            }
        }
        let national = jurisdictions.iter().filter(|one| !one.code().contains('-'));
        for jurisdiction in national {
            if limits.iter().any(|limit| limit.jurisdiction == jurisdiction) {
                continue;
            }
            for window in [Window::SuccessiveDays(30), Window::RollingHours(24)] {
                limits.push(AbandonmentLimit {
                    jurisdiction,
                    rule: Label::Fixed("hard/abandonment"),
                    pack: Label::Fixed(crate::judge::HARD),
                    ceiling: limits::ABANDONMENT_CEILING,
                    target: limits::ABANDONMENT_CEILING,
                    window,
                    from: MeasuredFrom::Answer,
                    connect_within_ms: limits::CONNECT_WITHIN_MS,
                    consented_ai_message_is_no_abandon: false,
                    uncertain_machine_counts: true,
                });
            }
        }
        limits
    }

    /// What somebody must hear in these jurisdictions whom nobody can talk to: all of it together.
    #[must_use]
    pub fn safe_harbour(
        &self,
        jurisdictions: Jurisdictions,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> SafeHarbour {
        let of_packs = self
            .active(jurisdictions, purpose, Mode::Predictive, now)
            .filter_map(|rule| match &rule.kind {
                Kind::SafeHarbour(needed) => Some(*needed),
                _ => None,
            });
        of_packs.fold(SafeHarbour::HARD, |all, one| SafeHarbour {
            within_ms: all.within_ms.min(one.within_ms),
            company_name: all.company_name || one.company_name,
            phone_number: all.phone_number || one.phone_number,
            key_press_opt_out: all.key_press_opt_out || one.key_press_opt_out,
            no_marketing: all.no_marketing || one.no_marketing,
            ..all
        })
    }
}
