//! The probability that a dial ends with a person, followed while it changes.
//!
//! A hidden Markov model on a grid of log-odds, filtered exactly (Rabiner, 1989, section III; the jump with
//! a constant hazard is that of Adams and MacKay's change-point model, 2007): with every dial that ends the
//! probability drifts a little with chance [`DRIFT`], or jumps anywhere with chance [`JUMP`], as it does when
//! the list is changed; then Bayes' rule weighs every point with what was seen. A quiet list is averaged over
//! thousands of dials, and another one is believed as soon as it explains the last dials better, without an alarm
//! that could be false or late.
//!
//! Dials are counted once they are [`HOLD`] old and not when they end: people answer before anybody else gives up,
//! so a burst of dials looks better than it is until all of it is over. Who counts them at 16 s notices another list a
//! minute earlier, and has fifty people abandoned by the first burst of a large team.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Seconds after which nearly every dial is over. Those that last longer are counted when they end.
const HOLD: f64 = 22.0;
/// Log-odds of the first point of the grid: 0.7 %.
const FIRST: f64 = -5.0;
/// Distance of the points, about 5 % of a small probability.
const STEP: f64 = 0.05;
/// The last one is 88 %.
const POINTS: usize = 140;
/// Chance per dial that the log-odds move by one step.
const DRIFT: f64 = 0.000_04;
/// Chance per dial that they jump. A list is changed more often, but a jump that is expected less is believed only
/// a few dials later, and chance runs cost less in between.
const JUMP: f64 = 0.000_2;
/// Dials that a mean counts for whose weights cannot be read any more.
const KEPT: f64 = 200.0;
/// Log-odds around which a jump lands, and how widely: most lists answer 5 % to 50 %.
const USUAL: (f64, f64) = (-1.4, 0.9);

/// What is believed of the probability that a dial ends with a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRate {
    /// One weight per point of the grid, of sum one; empty where the probability is certain.
    weights: Vec<f64>,
    mean: f64,
    deviation: f64,
    /// Dials that ended too early to be counted: when they were placed, and whether a person answered.
    early: Vec<(Moment, bool)>,
}

/// Per point, the probability it stands for and the chance that a jump lands on it.
static GRID: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let (middle, width) = USUAL;
    let density = STEP / (width * std::f64::consts::TAU.sqrt());
    let odds = (0..POINTS).map(|point| FIRST + STEP * point as f64);
    odds.map(|odds| {
        let off = (odds - middle) / width;
        (1.0 / (1.0 + (-odds).exp()), density * (-0.5 * off * off).exp())
    })
    .collect()
});

impl AnswerRate {
    /// Begins at `prior`, which counts as much as `weight` dials.
    pub fn new(prior: f64, weight: f64) -> Self {
        let mut rate = Self {
            weights: GRID
                .iter()
                .map(|(p, _)| (weight * (prior * p.ln() + (1.0 - prior) * (1.0 - p).ln())).exp())
                .collect(),
            mean: prior,
            deviation: 0.0,
            early: Vec::new(),
        };
        rate.normalise();
        rate
    }

    /// A probability that is known and does not change.
    pub fn certain(probability: f64) -> Self {
        Self {
            weights: Vec::new(),
            mean: probability,
            deviation: 0.0,
            early: Vec::new(),
        }
    }

    /// A dial that was placed at `placed` ended, with a person or without.
    pub fn observe(&mut self, placed: Moment, person: bool, now: Moment) {
        if self.weights.is_empty() {
            return;
        }
        if self.weights.len() != POINTS {
            // Kept by a release with another grid.
            *self = Self::new(self.mean, KEPT);
        }
        self.early.push((placed, person));
        let mut at = 0;
        while at < self.early.len() {
            let (placed, person) = self.early[at];
            if now.since(placed) >= HOLD {
                self.early.remove(at);
                self.count(person);
            } else {
                at += 1;
            }
        }
    }

    fn count(&mut self, person: bool) {
        let mut before = self.weights.first().copied().unwrap_or_default();
        for (point, (p, landing)) in GRID.iter().enumerate() {
            let own = self.weights[point];
            let after = self.weights.get(point + 1).copied().unwrap_or(own);
            let moved = own + 0.5 * DRIFT * (before - 2.0 * own + after);
            before = own;
            let seen = if person { *p } else { 1.0 - p };
            self.weights[point] = seen * ((1.0 - JUMP) * moved + JUMP * landing);
        }
        self.normalise();
    }

    fn normalise(&mut self) {
        let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
        for (weight, (p, _)) in self.weights.iter().zip(GRID.iter()) {
            sum += weight;
            mean += weight * p;
            square += weight * p * p;
        }
        if sum > 0.0 {
            self.weights.iter_mut().for_each(|weight| *weight /= sum);
            self.mean = mean / sum;
            self.deviation = (square / sum - self.mean * self.mean).max(0.0).sqrt();
        }
    }

    /// The probability that a dial ends with a person.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// How far the mean may be from the truth: one standard deviation.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People at even distances, so that the share is exact.
    fn feed(rate: &mut AnswerRate, share: f64, dials: usize) {
        let mut owed = 0.0;
        for _ in 0..dials {
            owed += share;
            rate.count(owed >= 1.0);
            owed -= owed.floor();
        }
    }

    #[test]
    fn a_steady_list_is_learnt() {
        let mut rate = AnswerRate::new(0.5, 30.0);
        feed(&mut rate, 0.1, 2_000);
        assert!((rate.mean() - 0.1).abs() < 0.01, "{}", rate.mean());
    }

    #[test]
    fn another_list_is_noticed_long_before_a_slow_memory_would() {
        for (from, to) in [(0.25, 0.10), (0.10, 0.35)] {
            let mut rate = AnswerRate::new(from, 30.0);
            feed(&mut rate, from, 3_000);
            feed(&mut rate, to, 200);
            assert!(
                (rate.mean() - to).abs() < 0.3 * (from - to).abs(),
                "{from} {to}: {}",
                rate.mean()
            );
        }
    }

    #[test]
    fn the_prior_is_where_it_begins() {
        for prior in [0.08, 0.25, 0.6] {
            let rate = AnswerRate::new(prior, 30.0);
            assert!((rate.mean() - prior).abs() < 0.2 * prior, "{}", rate.mean());
        }
    }
}
