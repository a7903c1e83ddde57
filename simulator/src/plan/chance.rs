//! Seeded chance: one independent stream of random bits per call, and the spreads durations are drawn from.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Where a call's random bits come from.
pub(crate) type Chance = ChaCha8Rng;

/// The bits of one call. Each call has its own stream, so any call can be drawn without those before it.
pub(crate) fn of_call(seed: u64, index: u64) -> Chance {
    let mut chance = Chance::seed_from_u64(seed);
    chance.set_stream(index);
    chance
}

/// A log-normal spread of durations, cut at both ends. Ring, wait and talk times are skewed like this: most
/// are short, some are very long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    /// Half of all durations are shorter.
    pub median_ms: f64,
    /// The standard deviation of the logarithm; 0 makes every duration the median.
    pub sigma: f64,
    /// What is shorter becomes this.
    pub min_ms: u32,
    /// What is longer becomes this.
    pub max_ms: u32,
}

impl LogNormal {
    /// A spread around `median_ms`.
    #[must_use]
    pub const fn new(median_ms: f64, sigma: f64, min_ms: u32, max_ms: u32) -> Self {
        Self {
            median_ms,
            sigma,
            min_ms,
            max_ms,
        }
    }

    /// Always `ms`.
    #[must_use]
    pub fn fixed(ms: u32) -> Self {
        Self::new(f64::from(ms), 0.0, ms, ms)
    }

    pub(crate) fn draw(&self, chance: &mut Chance) -> i64 {
        let value = self.median_ms * (self.sigma * normal(chance)).exp();
        // Saturates, and a NaN becomes 0.
        (value as i64).clamp(i64::from(self.min_ms), i64::from(self.max_ms))
    }

    pub(crate) const fn is_sound(&self) -> bool {
        let finite = self.median_ms.is_finite() && self.sigma.is_finite();
        finite && self.median_ms >= 0.0 && self.sigma >= 0.0 && self.min_ms <= self.max_ms
    }
}

/// A standard normal deviate: Box and Muller, 1958.
fn normal(chance: &mut Chance) -> f64 {
    let radius = (-2.0 * (1.0 - chance.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * chance.random::<f64>()).cos()
}

/// One of several, in proportion to their weights. Gives the last one when no weight is positive.
pub(crate) fn weighted<T: Copy>(chance: &mut Chance, choices: &[(T, f64)], last: T) -> T {
    let total: f64 = choices.iter().map(|(_, weight)| weight.max(0.0)).sum();
    let mut left = chance.random::<f64>() * total;
    for (choice, weight) in choices {
        left -= weight.max(0.0);
        if left < 0.0 {
            return *choice;
        }
    }
    last
}

/// Whether something with this probability happens.
pub(crate) fn happens(chance: &mut Chance, share: f64) -> bool {
    chance.random::<f64>() < share
}

/// A whole number of milliseconds, both ends included.
pub(crate) fn between(chance: &mut Chance, low: i64, high: i64) -> i64 {
    chance.random_range(low..=high.max(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_draws_lie_below_the_median_and_none_outside_the_bounds() {
        let spread = LogNormal::new(9_000.0, 0.6, 1_000, 40_000);
        let mut chance = of_call(7, 0);
        let draws: Vec<i64> = (0..20_000).map(|_| spread.draw(&mut chance)).collect();
        let below = draws.iter().filter(|draw| **draw < 9_000).count();
        assert!((9_700..10_300).contains(&below), "{below}");
        // One standard deviation of the logarithm: 84.1 % lie below 9 000 * e^0.6.
        let below = draws.iter().filter(|draw| **draw < 16_399).count();
        assert!((16_500..17_150).contains(&below), "{below}");
        assert!(draws.iter().all(|draw| (1_000..=40_000).contains(draw)));
    }

    #[test]
    fn choices_come_in_proportion_to_their_weights() {
        let mut chance = of_call(7, 1);
        let drawn: Vec<char> = (0..10_000)
            .map(|_| weighted(&mut chance, &[('a', 3.0), ('b', 0.0), ('c', 1.0)], 'z'))
            .collect();
        let count = |wanted| drawn.iter().filter(|letter| **letter == wanted).count();
        assert!((7_300..7_700).contains(&count('a')), "{}", count('a'));
        assert_eq!(count('b') + count('z'), 0);
        assert_eq!(weighted(&mut chance, &[('a', 0.0)], 'z'), 'z');
    }

    #[test]
    fn the_streams_of_two_calls_differ_and_each_is_the_same_again() {
        let bits = |seed, index| of_call(seed, index).random::<u128>();
        assert_eq!(bits(1, 2), bits(1, 2));
        assert_ne!(bits(1, 2), bits(1, 3));
        assert_ne!(bits(1, 2), bits(2, 2));
    }
}
