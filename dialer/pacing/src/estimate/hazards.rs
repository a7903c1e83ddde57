//! How long something lasts, learnt from how long it lasted: the chance to end in the next moment, given the
//! time it has taken already.
//!
//! A piecewise hazard over bins that grow with the age. Where few got that old, the hazard leans on the plain
//! rate of all (deaths over exposure), so a thin tail looks memoryless instead of immortal. Old observations
//! fade with every new one.

use serde::{Deserialize, Serialize};

/// Subjects' worth of belief in the memoryless shape, per bin.
const SMOOTHING: f64 = 4.0;

/// How ages are cut into bins: `first` seconds wide at the beginning, each `growth` times the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Width of the first bin in seconds.
    pub first: f64,
    /// Width of a bin over that of the one before; at least 1.
    pub growth: f64,
    /// Bins.
    pub bins: usize,
}

impl Scale {
    /// Half seconds up to two minutes: what rings.
    pub const RINGING: Self = Self {
        first: 0.5,
        growth: 1.0,
        bins: 240,
    };
    /// From two seconds at the beginning to three hours: what agents do.
    pub const SERVICE: Self = Self {
        first: 2.0,
        growth: 1.05,
        bins: 112,
    };

    /// Where bin `index` begins.
    pub fn edge(&self, index: usize) -> f64 {
        if self.growth <= 1.0 {
            self.first * index as f64
        } else {
            self.first * (self.growth.powf(index as f64) - 1.0) / (self.growth - 1.0)
        }
    }

    /// The bin of an age.
    pub fn bin(&self, age: f64) -> usize {
        let index = if self.growth <= 1.0 {
            age / self.first
        } else {
            (age * (self.growth - 1.0) / self.first).ln_1p() / self.growth.ln()
        };
        (index.max(0.0) as usize).min(self.bins - 1)
    }
}

/// A learnt distribution of durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hazards {
    scale: Scale,
    ended: Vec<f64>,
    /// How many reached the beginning of the bin.
    reached: Vec<f64>,
    /// Seconds that all of them took together, and how many they were.
    exposure: f64,
    count: f64,
    decay: f64,
}

impl Hazards {
    /// Begins memoryless with mean `prior` seconds, worth `weight` observations; half of what was seen is
    /// forgotten after `half_life` observations.
    pub fn new(scale: Scale, prior: f64, weight: f64, half_life: f64) -> Self {
        Self {
            scale,
            ended: vec![0.0; scale.bins],
            reached: vec![0.0; scale.bins],
            exposure: prior * weight,
            count: weight,
            decay: 0.5_f64.powf(1.0 / half_life),
        }
    }

    /// Something ended after `seconds`.
    pub fn observe(&mut self, seconds: f64) {
        let bin = self.scale.bin(seconds);
        for value in self.ended.iter_mut().chain(&mut self.reached) {
            *value *= self.decay;
        }
        self.exposure = self.exposure * self.decay + seconds.max(0.01);
        self.count = self.count * self.decay + 1.0;
        self.ended[bin] += 1.0;
        for reached in &mut self.reached[..=bin] {
            *reached += 1.0;
        }
    }

    /// Learnt at once from many durations, none of which fades.
    pub fn of(scale: Scale, durations: impl IntoIterator<Item = f64>) -> Self {
        let mut of = Self::new(scale, 1.0, 0.0, f64::INFINITY);
        durations.into_iter().for_each(|seconds| of.observe(seconds));
        of
    }

    /// The mean duration.
    pub fn mean(&self) -> f64 {
        self.exposure / self.count
    }

    /// The survival function over the bins, ready to be asked.
    pub fn survival(&self) -> Survival {
        let rate = 1.0 / self.mean();
        let mut alive = Vec::with_capacity(self.scale.bins + 1);
        alive.push(1.0);
        let edges: Vec<f64> = (0..=self.scale.bins).map(|bin| self.scale.edge(bin)).collect();
        let mut left = 1.0;
        for bin in 0..self.scale.bins {
            let width = edges[bin + 1] - edges[bin];
            let usual = 1.0 - (-width * rate).exp();
            let dies = (self.ended[bin] + SMOOTHING * usual) / (self.reached[bin] + SMOOTHING);
            left *= 1.0 - dies.clamp(0.0, 1.0);
            alive.push(left.max(1e-300));
        }
        Survival {
            scale: self.scale,
            edges,
            alive,
            rate,
        }
    }
}

/// The probability to last longer than an age.
#[derive(Clone, Debug)]
pub struct Survival {
    scale: Scale,
    edges: Vec<f64>,
    /// At the beginning of every bin, and at the end of the last.
    alive: Vec<f64>,
    rate: f64,
}

impl Survival {
    /// P(duration > `age`).
    pub fn at(&self, age: f64) -> f64 {
        let age = age.max(0.0);
        let end = self.edges[self.scale.bins];
        if age >= end {
            return self.alive[self.scale.bins] * (-(age - end) * self.rate).exp();
        }
        let bin = if self.scale.growth <= 1.0 {
            self.scale.bin(age)
        } else {
            self.edges.partition_point(|edge| *edge <= age) - 1
        };
        let (from, to) = (self.edges[bin], self.edges[bin + 1]);
        let share = ((age - from) / (to - from)).clamp(0.0, 1.0);
        self.alive[bin] + (self.alive[bin + 1] - self.alive[bin]) * share
    }

    /// The age that a share `1 - alive` does not reach.
    pub fn age_at(&self, alive: f64) -> f64 {
        let bin = self.alive.partition_point(|value| *value > alive);
        if bin > self.scale.bins {
            let end = self.edges[self.scale.bins];
            return end + (self.alive[self.scale.bins] / alive).ln() / self.rate;
        }
        let (from, to) = (self.edges[bin.saturating_sub(1)], self.edges[bin]);
        let (above, below) = (self.alive[bin.saturating_sub(1)], self.alive[bin]);
        if above <= below {
            return to;
        }
        from + (to - from) * (above - alive) / (above - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_always_takes_equally_long_is_expected_to() {
        let hazards = Hazards::of(Scale::RINGING, std::iter::repeat_n(10.2, 500));
        let survival = hazards.survival();
        assert!(survival.at(9.5) > 0.8, "{}", survival.at(9.5));
        assert!(survival.at(11.0) < 0.02, "{}", survival.at(11.0));
        assert!((hazards.mean() - 10.2).abs() < 1e-6);
    }

    #[test]
    fn nothing_learnt_is_memoryless() {
        let survival = Hazards::new(Scale::SERVICE, 120.0, 4.0, 600.0).survival();
        for age in [10.0, 60.0, 300.0, 1_000.0] {
            assert!((survival.at(age) - (-age / 120.0).exp()).abs() < 0.01, "{age}");
        }
    }

    #[test]
    fn a_quantile_is_where_the_survival_says_it_is() {
        let survival = Hazards::of(Scale::RINGING, (0..600).map(|at| f64::from(at % 60) / 2.0)).survival();
        for alive in [0.9, 0.5, 0.2] {
            assert!((survival.at(survival.age_at(alive)) - alive).abs() < 1e-6);
        }
    }

    #[test]
    fn every_age_lies_in_the_bin_that_begins_at_or_before_it() {
        for scale in [Scale::RINGING, Scale::SERVICE] {
            for bin in 0..scale.bins - 1 {
                let middle = f64::midpoint(scale.edge(bin), scale.edge(bin + 1));
                assert_eq!(scale.bin(middle), bin);
            }
        }
    }
}
