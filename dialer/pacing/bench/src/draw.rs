//! Seeded chance, and the spreads that durations are drawn from.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// A source of chance that gives the same for the same seed.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// Stream `stream` of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Evenly from [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True with the given probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    fn normal(&mut self) -> f64 {
        // Box and Muller, 1958.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Marsaglia and Tsang, 2000, with mean 1.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.unit()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * (shape + 1.0) / shape * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v / shape;
            }
        }
    }
}

/// A spread of durations in seconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Spread {
    /// Always the same.
    Fixed {
        /// Seconds.
        seconds: f64,
    },
    /// Memoryless.
    Exponential {
        /// Mean in seconds.
        mean: f64,
    },
    /// Gamma, moved by a fixed time.
    Gamma {
        /// Mean in seconds, without `plus`.
        mean: f64,
        /// Coefficient of variation.
        cv: f64,
        /// Seconds that pass in any case.
        #[serde(default)]
        plus: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Mean in seconds.
        mean: f64,
        /// Coefficient of variation.
        cv: f64,
    },
    /// Exponential with one of several means.
    Mixture {
        /// Pairs of probability and mean in seconds.
        parts: Vec<(f64, f64)>,
    },
}

impl Spread {
    /// One duration.
    pub fn draw(&self, chance: &mut Chance) -> f64 {
        match self {
            Self::Fixed { seconds } => *seconds,
            Self::Exponential { mean } => -mean * (1.0 - chance.unit()).ln(),
            Self::Gamma { mean, cv, plus } => plus + mean * chance.gamma(1.0 / (cv * cv)),
            Self::LogNormal { mean, cv } => {
                let variance = (1.0 + cv * cv).ln();
                mean * (chance.normal() * variance.sqrt() - variance / 2.0).exp()
            }
            Self::Mixture { parts } => {
                let mut left = chance.unit();
                let part = parts.iter().find(|(share, _)| {
                    left -= share;
                    left < 0.0
                });
                let mean = part.or(parts.last()).map_or(0.0, |(_, mean)| *mean);
                -mean * (1.0 - chance.unit()).ln()
            }
        }
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Fixed { seconds } => *seconds,
            Self::Exponential { mean } | Self::LogNormal { mean, .. } => *mean,
            Self::Gamma { mean, plus, .. } => mean + plus,
            Self::Mixture { parts } => parts.iter().map(|(share, mean)| share * mean).sum(),
        }
    }
}
