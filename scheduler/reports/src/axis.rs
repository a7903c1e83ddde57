//! Axis scales with round numbers.

/// A scale from zero to a round maximum, cut into equal steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Distance between two grid lines.
    pub(crate) step: f64,
    /// Number of steps, at least one.
    pub(crate) steps: usize,
}

impl Scale {
    /// The tightest round scale for counts up to `max`, in three to five steps.
    pub(crate) fn counts(max: u64) -> Self {
        let max = (max as f64).max(1.0);
        (3..=5)
            .map(|steps| Self {
                step: round_up(max / steps as f64).max(1.0),
                steps,
            })
            .filter(|scale| scale.max() >= max)
            // Ties go to more steps: `<=` keeps the later one.
            .reduce(|best, next| if next.max() <= best.max() { next } else { best })
            .unwrap_or(Self { step: max, steps: 1 })
    }

    /// A scale for ratios that shares the grid lines of another scale; never beyond
    /// 100 % unless the data are.
    pub(crate) fn ratios(max: f64, steps: usize) -> Self {
        let steps = steps.max(1);
        let max = if max.is_finite() { max.max(0.01) } else { 1.0 };
        let step = round_up(max / steps as f64);
        let whole = 1.0 / steps as f64;
        Self {
            step: if max <= 1.0 && step > whole { whole } else { step },
            steps,
        }
    }

    pub(crate) fn max(self) -> f64 {
        self.step * self.steps as f64
    }

    pub(crate) fn ticks(self) -> impl Iterator<Item = f64> {
        (0..=self.steps).map(move |index| self.step * index as f64)
    }
}

/// The next number of the form 1, 2, 2.5, 3, 4, 5 or 10 times a power of ten.
fn round_up(number: f64) -> f64 {
    let magnitude = 10f64.powf(number.log10().floor());
    let digit = number / magnitude;
    let round = [1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0]
        .into_iter()
        .find(|round| digit <= round + 1e-9);
    let candidate = round.unwrap_or(10.0) * magnitude;
    // Counts below ten need whole steps.
    if (2.0..3.0).contains(&candidate) {
        candidate.ceil()
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_reach_the_largest_value_with_round_steps() {
        for max in [1, 2, 3, 7, 9, 10, 11, 99, 101, 480, 1_234, 65_000, 1_000_000] {
            let scale = Scale::counts(max);
            assert!(scale.max() >= max as f64, "{max}: {scale:?}");
            assert!(scale.max() <= max as f64 * 2.0 + 4.0, "{max}: {scale:?}");
            assert!((scale.step - scale.step.round()).abs() < 1e-9, "{max}: {scale:?}");
        }
    }

    #[test]
    fn an_empty_chart_still_has_an_axis() {
        assert!(Scale::counts(0).max() >= 1.0);
    }

    #[test]
    fn ratio_scales_share_the_grid_and_stop_at_one_hundred_percent() {
        let scale = Scale::ratios(0.97, 3);
        assert_eq!(scale.steps, 3);
        assert!((scale.max() - 1.0).abs() < 1e-9);
        assert!(Scale::ratios(0.31, 4).max() >= 0.31);
        assert!(Scale::ratios(f64::NAN, 4).max() > 0.0);
    }
}
