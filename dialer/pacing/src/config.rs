//! How a campaign is to be paced. Settings can make the law stricter and never looser.

use serde::{Deserialize, Serialize};

use crate::ledger::{CEILING, HOUR};

/// How dials are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Mode {
    /// An idle agent is offered one contact and decides.
    Preview,
    /// One dial per idle agent: nobody can be abandoned.
    Progressive,
    /// A fixed number of dials per idle agent.
    Power {
        /// Dials per idle agent.
        ratio: f64,
    },
    /// As many as the look ahead allows.
    Predictive,
    /// AI agents only: one dial per free place.
    Agentless,
}

/// What is believed before anything was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prior {
    /// Probability that a dial ends with a person.
    pub answer: f64,
    /// Mean seconds until a person answers.
    pub to_answer: f64,
    /// Mean seconds until a dial ends otherwise.
    pub to_other: f64,
    /// Mean seconds of talk.
    pub talk: f64,
    /// Mean seconds of wrap-up.
    pub wrap: f64,
}

impl Default for Prior {
    fn default() -> Self {
        Self {
            answer: 0.25,
            to_answer: 12.0,
            to_other: 20.0,
            talk: 120.0,
            wrap: 20.0,
        }
    }
}

/// How the accepted risk of the next dial is steered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Steering {
    /// The accepted risk at the beginning, over what is usual for a team of this size.
    pub start: f64,
    /// It never falls below this.
    pub least: f64,
    /// It never rises above this.
    pub most: f64,
    /// Abandoned calls of room that are kept back in the windows of the law.
    pub reserve: f64,
    /// How fast the usual risk is learnt: the share of what it had to be pulled by that it keeps, per answer.
    pub learning: f64,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            start: 1.0,
            least: 0.02,
            most: 10.0,
            reserve: 1.0,
            learning: 0.001,
        }
    }
}

/// The shares of abandoned answers that must not be passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// In every successive period. At most [`CEILING`].
    pub share: f64,
    /// Whether any 24 hours count beside the successive periods. Where the law does not know them, as in the United
    /// States, they keep a bad day from being made up for by others.
    pub day: bool,
    /// In any hour; no law, but nobody wants a burst.
    pub hour: f64,
    /// Abandoned calls that may be borrowed from the answers that dialling without any risk is sure to bring
    /// before the day ends; nothing is borrowed when the end is unknown.
    pub borrow: f64,
    /// The accepted probability that a dial carries a window of the law over its limit.
    pub alpha: f64,
    /// The same for the hour.
    pub hour_alpha: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            share: CEILING,
            day: true,
            hour: HOUR,
            alpha: 0.000_5,
            hour_alpha: 0.001,
            borrow: 4.0,
        }
    }
}

/// AI agents take the calls for which no person is free.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overflow {
    /// The share of answers that AI may take.
    pub share: f64,
}

/// Everything that is set for one campaign.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How dials are made.
    pub mode: Mode,
    /// What is believed before anything was seen.
    pub prior: Prior,
    /// How the accepted risk is steered.
    pub steering: Steering,
    /// What must not be passed.
    pub limits: Limits,
    /// Seconds a person who answered can be kept before the call counts as abandoned.
    pub patience: f64,
    /// Whether AI takes what people cannot.
    pub overflow: Option<Overflow>,
    /// Seconds of the future to look at, where several campaigns share agents and have to agree on them.
    pub grid: Option<[f64; crate::GRID]>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Predictive,
            prior: Prior::default(),
            steering: Steering::default(),
            limits: Limits::default(),
            patience: 2.0,
            overflow: None,
            grid: None,
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must be {must}")]
pub struct ConfigError {
    /// Which one.
    pub setting: &'static str,
    /// What it has to be.
    pub must: &'static str,
}

impl ConfigError {
    /// A stable label for metrics.
    pub fn kind(&self) -> &'static str {
        self.setting
    }
}

impl Config {
    /// Everything that is wrong, at once.
    ///
    /// # Errors
    /// One error per unusable setting.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let (limits, prior, steering) = (&self.limits, &self.prior, &self.steering);
        let share = |value: f64| value > 0.0 && value < 1.0;
        let rules = [
            (
                limits.share > 0.0 && limits.share <= CEILING,
                "limits.share",
                "above 0 and at most 0.03",
            ),
            (
                limits.hour > 0.0 && limits.hour <= 1.0,
                "limits.hour",
                "above 0 and at most 1",
            ),
            (
                limits.alpha > 0.0 && limits.alpha <= 0.1,
                "limits.alpha",
                "above 0 and at most 0.1",
            ),
            (
                limits.hour_alpha > 0.0 && limits.hour_alpha <= 0.1,
                "limits.hour_alpha",
                "above 0 and at most 0.1",
            ),
            (share(prior.answer), "prior.answer", "between 0 and 1"),
            (
                [prior.to_answer, prior.to_other, prior.talk, prior.wrap]
                    .iter()
                    .all(|seconds| *seconds > 0.0 && seconds.is_finite()),
                "prior",
                "made of positive times",
            ),
            (
                0.0 < steering.least
                    && steering.least <= steering.start
                    && steering.start <= steering.most
                    && steering.most <= 100.0,
                "steering",
                "ordered: 0 < least ≤ start ≤ most ≤ 100",
            ),
            (
                [steering.reserve, steering.learning, limits.borrow]
                    .iter()
                    .all(|value| *value >= 0.0 && value.is_finite()),
                "steering",
                "made of numbers from 0",
            ),
            // Two seconds from the end of the greeting, which itself takes a second or two.
            (
                self.patience >= 0.0 && self.patience <= 5.0,
                "patience",
                "between 0 and 5 s",
            ),
            (
                self.overflow.is_none_or(|overflow| share(overflow.share)),
                "overflow.share",
                "between 0 and 1",
            ),
            (
                !matches!(self.mode, Mode::Power { ratio } if !(1.0..=10.0).contains(&ratio)),
                "mode.ratio",
                "between 1 and 10",
            ),
            (
                self.grid
                    .is_none_or(|grid| grid[0] > 0.0 && grid.windows(2).all(|pair| pair[0] < pair[1])),
                "grid",
                "rising from above 0",
            ),
        ];
        let wrong: Vec<ConfigError> = rules
            .into_iter()
            .filter(|(right, ..)| !right)
            .map(|(_, setting, must)| ConfigError { setting, must })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}
