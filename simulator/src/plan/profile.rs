//! When in a shift calls begin: busy before and after noon, quiet at both ends.

/// Call volume along a shift: weights of equally long parts of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    weights: Vec<f64>,
}

impl Default for Profile {
    /// A day from 08:00 to 20:00: peaks before and after noon, a dip at lunch.
    fn default() -> Self {
        Self {
            weights: vec![0.5, 0.9, 1.25, 1.35, 1.0, 0.8, 1.0, 1.25, 1.35, 1.2, 1.0, 0.6],
        }
    }
}

impl Profile {
    /// The same volume all the time.
    #[must_use]
    pub fn flat() -> Self {
        Self { weights: vec![1.0] }
    }

    /// These weights, one for each of as many equally long parts of the shift; `None` unless all are finite
    /// and not negative, and one is positive.
    #[must_use]
    pub fn of(weights: Vec<f64>) -> Option<Self> {
        let sound = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        (sound && weights.iter().sum::<f64>() > 0.0).then_some(Self { weights })
    }

    /// The point of the shift, from 0 to 1, before which the share `volume` of all calls has begun.
    pub(crate) fn point(&self, volume: f64) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let mut left = volume.clamp(0.0, 1.0) * total;
        let parts = self.weights.len() as f64;
        for (part, weight) in self.weights.iter().enumerate() {
            if left <= *weight && *weight > 0.0 {
                return (part as f64 + left / weight) / parts;
            }
            left -= weight;
        }
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_goes_where_the_weights_are() {
        let profile = Profile::of(vec![1.0, 0.0, 3.0, 0.0]).unwrap();
        for (volume, point) in [
            (0.0, 0.0),
            (0.125, 0.125),
            (0.25, 0.25),
            (0.625, 0.625),
            (1.0, 0.75),
        ] {
            assert!((profile.point(volume) - point).abs() < 1e-9, "{volume}");
        }
        let flat = Profile::flat();
        assert!((flat.point(0.3) - 0.3).abs() < 1e-9);
    }

    #[test]
    fn points_never_go_back() {
        let profile = Profile::default();
        let points: Vec<f64> = (0..=1000)
            .map(|step| profile.point(f64::from(step) / 1000.0))
            .collect();
        assert!(points.is_sorted());
        assert!(points.iter().all(|point| (0.0..=1.0).contains(point)));
    }

    #[test]
    fn weights_that_describe_no_volume_are_refused() {
        for weights in [
            vec![],
            vec![0.0],
            vec![1.0, -1.0],
            vec![f64::NAN],
            vec![f64::INFINITY],
        ] {
            assert_eq!(Profile::of(weights.clone()), None, "{weights:?}");
        }
    }
}
