//! How many agents would be wanted at a later moment, as a sum of independent yes-or-no questions: does this
//! ringing call become a person by then, is this busy agent still busy by then.
//!
//! Small sums are exact (Poisson-binomial, one convolution per term). Large ones use the normal distribution
//! with the correction for skewness (Volkova's refinement), whose error is far below that of any estimate that
//! goes into it.

/// Terms up to which the sum is exact.
pub const EXACT: usize = 48;

/// The distribution of such a sum, which grows term by term.
#[derive(Clone, Debug)]
pub struct Occupancy {
    /// Probability of each count, while there are few terms; empty afterwards.
    exact: Vec<f64>,
    mean: f64,
    variance: f64,
    skew: f64,
}

impl Occupancy {
    /// A sum that is going to have about so many terms.
    pub fn expecting(terms: usize) -> Self {
        let mut exact = Vec::new();
        if terms <= EXACT {
            exact.reserve(EXACT + 1);
            exact.push(1.0);
        }
        Self {
            exact,
            mean: 0.0,
            variance: 0.0,
            skew: 0.0,
        }
    }

    /// Adds a term that is one with probability `chance`.
    pub fn add(&mut self, chance: f64) {
        let no = 1.0 - chance;
        self.mean += chance;
        self.variance += chance * no;
        self.skew += chance * no * (no - chance);
        if self.exact.is_empty() {
            return;
        }
        if self.exact.len() > EXACT {
            self.exact = Vec::new();
            return;
        }
        let mut below = 0.0;
        for value in &mut self.exact {
            let own = *value;
            *value = own * no + below * chance;
            below = own;
        }
        self.exact.push(below * chance);
    }

    /// P(sum ≥ `count`).
    pub fn at_least(&self, count: usize) -> f64 {
        if count == 0 {
            return 1.0;
        }
        if !self.exact.is_empty() {
            return self.exact.iter().skip(count).sum::<f64>().clamp(0.0, 1.0);
        }
        if self.variance < 1e-9 {
            return if self.mean + 0.5 >= count as f64 { 1.0 } else { 0.0 };
        }
        let deviation = self.variance.sqrt();
        let x = (count as f64 - 0.5 - self.mean) / deviation;
        let skew = self.skew / (self.variance * deviation);
        (normal_tail(x) + skew * (x * x - 1.0) * density(x) / 6.0).clamp(0.0, 1.0)
    }
}

fn density(x: f64) -> f64 {
    const INVERSE_ROOT_OF_TWO_PI: f64 = 0.398_942_280_401_432_7;
    INVERSE_ROOT_OF_TWO_PI * (-0.5 * x * x).exp()
}

/// P(standard normal > x), Abramowitz and Stegun 26.2.17; the error is below 7.5e-8.
fn normal_tail(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = density(x) * series;
    if x >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chances(count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(|index| 0.02 + 0.5 * ((index * 37 % 101) as f64 / 101.0))
    }

    fn sum(count: usize, expecting: usize) -> Occupancy {
        let mut sum = Occupancy::expecting(expecting);
        chances(count).for_each(|chance| sum.add(chance));
        sum
    }

    #[test]
    fn a_small_sum_is_the_sum_over_all_subsets() {
        let chances: Vec<f64> = chances(10).collect();
        let sum = sum(10, 10);
        for least in 0..=10 {
            let by_subsets: f64 = (0_u32..1 << 10)
                .filter(|subset| subset.count_ones() as usize >= least)
                .map(|subset| {
                    let terms = chances.iter().enumerate();
                    terms
                        .map(|(at, chance)| {
                            if subset >> at & 1 == 1 {
                                *chance
                            } else {
                                1.0 - chance
                            }
                        })
                        .product::<f64>()
                })
                .sum();
            assert!((sum.at_least(least) - by_subsets).abs() < 1e-12);
        }
    }

    #[test]
    fn the_approximation_of_a_large_sum_is_close_to_the_exact_one() {
        let (exact, approximate) = (sum(EXACT, EXACT), sum(EXACT, EXACT + 1));
        for least in 0..EXACT {
            let (exact, approximate) = (exact.at_least(least), approximate.at_least(least));
            assert!(
                (exact - approximate).abs() < 1.5e-3,
                "{least}: {exact} {approximate}"
            );
        }
    }
}
