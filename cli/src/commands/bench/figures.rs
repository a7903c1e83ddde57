//! What a bench found: figures beside those of a peer, and the file that keeps them.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// A bench that was run. This is the file in `docs/benchmarks`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// `ingest`, `sink`.
    pub name: String,
    /// The release that was measured.
    pub commit: String,
    /// What it ran on.
    pub machine: Machine,
    /// What was typed.
    pub command: String,
    /// What was found.
    pub figures: Vec<Figure>,
}

/// One number, and a peer's where there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Dotted and stable, such as `ed25519.cpu_us`.
    pub id: String,
    /// The median of the runs.
    pub value: f64,
    /// What it is counted in.
    pub unit: String,
    /// What it was measured beside.
    pub peer: Option<String>,
    /// The peer's median.
    pub peer_value: Option<f64>,
    /// The median of the ratios within a run, the larger the better unless the figure says otherwise. None beside a
    /// peer that comes to nothing.
    pub ratio: Option<f64>,
}

impl Figure {
    /// A figure of our own.
    pub fn alone(id: impl Into<String>, unit: &str, values: &[f64]) -> Self {
        Self {
            id: id.into(),
            value: rounded(median(values)),
            unit: unit.to_owned(),
            peer: None,
            peer_value: None,
            ratio: None,
        }
    }

    /// Beside a peer's figure of the same runs.
    pub fn beside(self, peer: &str, values: &[f64], ratios: impl IntoIterator<Item = f64>) -> Self {
        let ratios: Vec<_> = ratios.into_iter().collect();
        Self {
            peer: Some(peer.to_owned()),
            peer_value: Some(rounded(median(values))),
            ratio: Some(median(&ratios))
                .filter(|ratio| ratio.is_finite())
                .map(rounded),
            ..self
        }
    }
}

impl Report {
    /// Reads a file of `docs/benchmarks`.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no benchmark", file.display()))
    }

    /// Writes a file of `docs/benchmarks`.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
    }
}

/// Pairs of two figures of the same runs, divided.
pub fn ratios<'a>(of: &'a [f64], by: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    of.iter().zip(by).map(|(of, by)| of / by)
}

/// The middle value; of an even number, the mean of the two in the middle. Zero where there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (
        sorted.get(sorted.len().saturating_sub(1) / 2),
        sorted.get(sorted.len() / 2),
    ) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

/// Three significant digits are more than a shared machine can repeat.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    #[allow(clippy::cast_possible_truncation)] // The logarithm of a double lies within ±400.
    let digits = 2 - value.abs().log10().floor() as i32;
    // Through the decimal text: a division would leave 0.30000000000000004 in the file.
    if digits > 0 {
        format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
            .parse()
            .unwrap_or(value)
    } else {
        let step = 10_f64.powi(-digits);
        (value / step).round() * step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 4.0]), 4.0);
        assert_eq!(median(&[9.0, 1.0, 4.0, 2.0]), 3.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn figures_keep_three_digits() {
        for (value, kept) in [
            (123_456.0, 123_000.0),
            (41.237, 41.2),
            (4.1237, 4.12),
            (0.012_349, 0.0123),
            (0.0, 0.0),
        ] {
            assert_eq!(rounded(value), kept);
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_run_and_not_between_medians() {
        let (ours, theirs) = ([10.0, 20.0, 60.0], [5.0, 1.0, 30.0]);
        let figure = Figure::alone("x", "/s", &ours).beside("them", &theirs, ratios(&ours, &theirs));
        assert_eq!(
            (figure.value, figure.peer_value, figure.ratio),
            (20.0, Some(5.0), Some(2.0))
        );
    }

    #[test]
    fn nothing_is_a_multiple_of_nothing() {
        let (ours, theirs) = ([800.0, 1_000.0], [0.0, 0.0]);
        let figure = Figure::alone("x", "calls", &ours).beside("them", &theirs, ratios(&ours, &theirs));
        assert_eq!((figure.peer_value, figure.ratio), (Some(0.0), None));
    }
}
