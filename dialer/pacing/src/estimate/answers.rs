//! The probability that a dial ends with a person: a slow memory for quiet times, and a test that notices when
//! the list has changed and restarts it from there.
//!
//! Page's CUSUM runs in both directions over the log-likelihood ratio of "the odds are as I believe" against
//! "they are [`SHIFT`] times higher" and "lower". Whichever sum passes [`ALARM`] replaces the slow memory by the
//! dials since that sum was last zero, which is the most likely moment of the change.

use serde::{Deserialize, Serialize};

/// The change that the test is most sensitive to, as a factor of the probability.
const SHIFT: f64 = 1.6;
/// Evidence for a change, in nats, before it is believed.
const ALARM: f64 = 9.0;
/// Dials that are believed of a newly found change at once, so that a chance run is not taken at its word.
const DOUBT: f64 = 20.0;
const FLOOR: f64 = 0.002;
const CEILING: f64 = 0.98;

/// A decayed Beta posterior of the answer probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRate {
    humans: f64,
    dials: f64,
    /// Per dial.
    decay: f64,
    up: Change,
    down: Change,
}

/// Evidence for a change in one direction, and what was seen since it began to gather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Change {
    evidence: f64,
    humans: f64,
    dials: f64,
}

impl Change {
    fn add(&mut self, human: bool, believed: f64, alternative: f64) -> bool {
        let alternative = alternative.clamp(FLOOR, CEILING);
        let gain = if human {
            (alternative / believed).ln()
        } else {
            ((1.0 - alternative) / (1.0 - believed)).ln()
        };
        self.evidence += gain;
        if self.evidence <= 0.0 {
            *self = Self::default();
            return false;
        }
        self.humans += f64::from(u8::from(human));
        self.dials += 1.0;
        self.evidence > ALARM
    }
}

impl AnswerRate {
    /// Begins at `prior`, which counts as much as `weight` dials; half of what was seen is forgotten after
    /// `half_life` dials.
    pub fn new(prior: f64, weight: f64, half_life: f64) -> Self {
        Self {
            humans: prior * weight,
            dials: weight,
            decay: 0.5_f64.powf(1.0 / half_life),
            up: Change::default(),
            down: Change::default(),
        }
    }

    /// One dial ended, with a person or without.
    pub fn observe(&mut self, human: bool) {
        let believed = self.mean();
        self.humans = self.humans * self.decay + f64::from(u8::from(human));
        self.dials = self.dials * self.decay + 1.0;
        let rose = self.up.add(human, believed, believed * SHIFT);
        let fell = self.down.add(human, believed, believed / SHIFT);
        if rose || fell {
            let since = if rose { self.up } else { self.down };
            self.humans = since.humans + believed * DOUBT;
            self.dials = since.dials + DOUBT;
            self.up = Change::default();
            self.down = Change::default();
        }
    }

    /// The probability that a dial ends with a person.
    pub fn mean(&self) -> f64 {
        (self.humans / self.dials).clamp(FLOOR, CEILING)
    }

    /// How many dials the estimate rests on.
    pub fn weight(&self) -> f64 {
        self.dials
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
            rate.observe(owed >= 1.0);
            owed -= owed.floor();
        }
    }

    #[test]
    fn a_steady_list_is_learnt() {
        let mut rate = AnswerRate::new(0.5, 30.0, 600.0);
        feed(&mut rate, 0.1, 2_000);
        assert!((rate.mean() - 0.1).abs() < 0.01, "{}", rate.mean());
    }

    #[test]
    fn another_list_is_noticed_long_before_the_slow_memory_would() {
        for (from, to) in [(0.25, 0.10), (0.10, 0.35)] {
            let mut rate = AnswerRate::new(from, 30.0, 600.0);
            feed(&mut rate, from, 3_000);
            let plain = {
                let decay = 0.5_f64.powf(200.0 / 600.0);
                from * decay + to * (1.0 - decay)
            };
            feed(&mut rate, to, 200);
            assert!(
                (rate.mean() - to).abs() < 0.3 * (plain - to).abs(),
                "{from} {to}: {}",
                rate.mean()
            );
        }
    }
}
