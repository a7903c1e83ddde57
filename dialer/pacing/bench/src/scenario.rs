//! What a virtual shift is like: read from `scenarios.toml`, which explains every parameter.

use serde::Deserialize;

use crate::draw::{Chance, Spread};

const SCENARIOS: &str = include_str!("../scenarios.toml");

/// One scenario, for one or several sizes of the team.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// `R1`.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Team sizes to run it with.
    pub agents: Vec<usize>,
    /// Hours of a shift.
    pub hours: f64,
    /// Days; Saturdays and Sundays, the sixth and seventh of seven, are free.
    pub days: usize,
    /// How likely people answer, one entry per campaign.
    pub answer: Vec<Answer>,
    /// Dial to a person's answer.
    pub to_answer: Spread,
    /// Share of machines among the dials that reach no person.
    pub machines: f64,
    /// Dial to the end of a call that a machine answered.
    pub to_machine: Spread,
    /// Share of busy and failed numbers among the dials that reach no person.
    pub busy: f64,
    /// Dial to busy or failed.
    pub to_busy: Spread,
    /// Ringing is given up after so many seconds.
    pub ring_limit: f64,
    /// Talk.
    pub talk: Spread,
    /// Wrap-up.
    pub wrap: Spread,
    /// Seconds from the end of the greeting to the safe-harbour message.
    pub connect_within: f64,
    /// How long a person greets.
    pub greeting: Spread,
    /// Mean of the exponential patience of people who wait; they never hang up where it is 0.
    pub hang_up: f64,
    /// What happens to news of a call on its way.
    pub webhooks: Webhooks,
    /// What carriers refuse.
    pub carriers: Carriers,
    /// Machine detection that takes time and errs.
    pub detection: Option<Detection>,
    /// Agents who leave or come during the shift.
    pub roster: Vec<Change>,
    /// AI agents for the calls that people cannot take.
    pub ai: Option<Ai>,
    /// Whether the exact optimum exists.
    pub markov: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            id: String::new(),
            title: String::new(),
            agents: vec![10],
            hours: 8.0,
            days: 1,
            answer: vec![Answer::Constant { p: 0.25 }],
            to_answer: Spread::Gamma {
                mean: 9.0,
                cv: 0.55,
                plus: 2.0,
            },
            machines: 0.4,
            to_machine: Spread::Gamma {
                mean: 20.0,
                cv: 0.1,
                plus: 0.0,
            },
            busy: 0.1,
            to_busy: Spread::Gamma {
                mean: 2.5,
                cv: 0.5,
                plus: 0.0,
            },
            ring_limit: 22.0,
            talk: Spread::LogNormal { mean: 95.0, cv: 1.0 },
            wrap: Spread::Gamma {
                mean: 25.0,
                cv: 0.7,
                plus: 0.0,
            },
            connect_within: 2.0,
            greeting: Spread::Gamma {
                mean: 1.2,
                cv: 0.5,
                plus: 0.0,
            },
            hang_up: 15.0,
            webhooks: Webhooks::default(),
            carriers: Carriers::default(),
            detection: None,
            roster: Vec::new(),
            ai: None,
            markov: false,
        }
    }
}

impl Scenario {
    /// How long a person who answered can be kept, on average.
    pub fn patience(&self) -> f64 {
        let limit = self.connect_within + self.greeting.mean();
        if self.hang_up > 0.0 {
            self.hang_up * (1.0 - (-limit / self.hang_up).exp())
        } else {
            limit
        }
    }
}

/// The probability that a person answers, over the shift.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Answer {
    /// Always the same.
    Constant {
        /// The probability.
        p: f64,
    },
    /// Another one from certain hours on; the last one stays.
    Steps {
        /// Pairs of the hour from which it holds and the probability.
        steps: Vec<(f64, f64)>,
    },
    /// A sinusoid, times a factor that is drawn anew every ten minutes.
    Wave {
        /// The middle.
        mean: f64,
        /// How far it swings.
        amplitude: f64,
        /// Hours per swing.
        period: f64,
        /// The factor lies evenly within this share of 1.
        noise: f64,
    },
}

impl Answer {
    /// The probability so many seconds into the shift.
    pub fn at(&self, seconds: f64, seed: u64) -> f64 {
        match self {
            Self::Constant { p } => *p,
            Self::Steps { steps } => {
                let passed = steps.iter().rev().find(|(from, _)| from * 3_600.0 <= seconds);
                passed.or(steps.first()).map_or(0.0, |(_, p)| *p)
            }
            Self::Wave {
                mean,
                amplitude,
                period,
                noise,
            } => {
                let swing = (seconds / 3_600.0 / period * std::f64::consts::TAU).sin();
                let slot = (seconds / 600.0) as u64;
                let factor = 1.0 + noise * (2.0 * Chance::new(seed ^ 0x5EED, slot).unit() - 1.0);
                ((mean + amplitude * swing) * factor).clamp(0.01, 0.9)
            }
        }
    }

    /// The moments at which it jumps, in seconds.
    pub fn jumps(&self) -> Vec<f64> {
        match self {
            Self::Steps { steps } => steps
                .iter()
                .map(|(from, _)| from * 3_600.0)
                .filter(|at| *at > 0.0)
                .collect(),
            Self::Constant { .. } | Self::Wave { .. } => Vec::new(),
        }
    }
}

/// What happens to webhooks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Least delay in seconds.
    pub least: f64,
    /// Largest delay in seconds.
    pub most: f64,
    /// Share that comes twice.
    pub duplicates: f64,
    /// Share that is late by another one to three seconds, behind others.
    pub reordered: f64,
    /// Share that never comes.
    pub lost: f64,
}

/// What carriers refuse. Times are hours into the shift.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Carriers {
    /// Calls per second that may be placed; no limit where it is 0.
    pub per_second: f64,
    /// Every call is refused with 429 between these hours.
    pub refuse: Option<(f64, f64)>,
    /// One of the two carriers is dead between these hours: its calls fail after a second.
    pub dead: Option<(f64, f64)>,
}

/// Machine detection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// Answer to verdict.
    pub delay: Spread,
    /// Without a verdict by then, the call is taken for a person's.
    pub within: f64,
    /// Share of people who are taken for machines.
    pub false_positive: f64,
    /// Share of machines that are taken for people.
    pub false_negative: f64,
    /// How long an agent listens to a machine.
    pub machine_talk: Spread,
}

/// Agents who come or leave.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Hours into the shift.
    pub hour: f64,
    /// Spread over so many seconds.
    pub within: f64,
    /// How many come; negative when they leave.
    pub by: i64,
}

/// AI agents behind the people.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// Calls they can take at once.
    pub places: usize,
    /// Seconds after the answer when they take over.
    pub after: f64,
    /// The share of answers they may take.
    pub share: f64,
    /// The share of people who agreed to talk to them.
    #[serde(default = "everybody")]
    pub consent: f64,
}

const fn everybody() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

/// Every scenario of the file.
///
/// # Errors
/// When the file cannot be read.
pub fn all() -> Result<Vec<Scenario>, toml::de::Error> {
    Ok(toml::from_str::<File>(SCENARIOS)?.scenario)
}
