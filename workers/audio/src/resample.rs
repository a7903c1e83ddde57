//! Changing the sample rate while a stream runs, without collecting blocks first.
//!
//! A polyphase FIR filter: for a ratio of `up` to `down` every output sample is one dot product of the
//! latest input with one of `up` sets of coefficients. An output is computed as soon as the input it needs is
//! there, so the only delay is the filter's own, half its length. The filter is a sinc under a Kaiser window,
//! 24 taps of the lower rate long: that passes 3.4 kHz of a telephone line, is down by more than 50 dB
//! where images begin, and takes 1.5 ms (8 kHz) or 0.75 ms (16 kHz to 24 kHz).
//!
//! Coefficients are integers with 14 bits behind the point, and each set sums to exactly one, so that a
//! constant comes out as it went in.

use std::{f64::consts::PI, sync::LazyLock};

/// Bits behind the point of a coefficient.
const POINT: u32 = 14;
const ONE: i32 = 1 << POINT;
/// The filter's length, in samples of the lower of both rates.
const SPAN: usize = 24;
/// Stop band about 55 dB down.
const KAISER_BETA: f64 = 5.0;
/// Eight 16-bit products are one vector instruction.
const LANES: usize = 8;

/// A sample rate audio has somewhere on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// 8 kHz: the telephone line.
    Khz8,
    /// 16 kHz: what speech recognisers take.
    Khz16,
    /// 24 kHz: what speech models put out.
    Khz24,
}

impl Rate {
    /// Samples per second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Self::Khz8 => 8_000,
            Self::Khz16 => 16_000,
            Self::Khz24 => 24_000,
        }
    }

    /// The rate with this many samples per second.
    #[must_use]
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Khz8),
            16_000 => Some(Self::Khz16),
            24_000 => Some(Self::Khz24),
            _ => None,
        }
    }
}

/// The coefficients of one ratio; shared by every stream that uses it.
#[derive(Debug)]
struct Filter {
    up: usize,
    down: usize,
    /// Taps of one set, a multiple of [`LANES`]; zeros stand before the oldest sample.
    taps: usize,
    /// `up` sets, each in the order of the input.
    sets: Vec<i16>,
}

static UP_2: LazyLock<Filter> = LazyLock::new(|| Filter::design(2, 1));
static UP_3: LazyLock<Filter> = LazyLock::new(|| Filter::design(3, 1));
static DOWN_2: LazyLock<Filter> = LazyLock::new(|| Filter::design(1, 2));
static DOWN_3: LazyLock<Filter> = LazyLock::new(|| Filter::design(1, 3));
static UP_3_DOWN_2: LazyLock<Filter> = LazyLock::new(|| Filter::design(3, 2));
static UP_2_DOWN_3: LazyLock<Filter> = LazyLock::new(|| Filter::design(2, 3));

impl Filter {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "small integers, and coefficients below two"
    )]
    fn design(up: usize, down: usize) -> Self {
        let length = SPAN * up.max(down);
        let per_set = length.div_ceil(up);
        let taps = per_set.next_multiple_of(LANES);
        // In cycles per sample of the common multiple of both rates: half the lower rate.
        let cutoff = 0.5 / up.max(down) as f64;
        let middle = (length - 1) as f64 / 2.0;
        let prototype: Vec<f64> = (0..length)
            .map(|n| {
                let offset = n as f64 - middle;
                let ratio = offset / (length as f64 / 2.0);
                let window =
                    bessel(KAISER_BETA * (1.0 - ratio * ratio).max(0.0).sqrt()) / bessel(KAISER_BETA);
                sinc(2.0 * cutoff * offset) * window
            })
            .collect();
        let mut sets = vec![0; up * taps];
        for phase in 0..up {
            let of_phase: Vec<f64> = prototype.iter().skip(phase).step_by(up).copied().collect();
            let sum: f64 = of_phase.iter().sum();
            let mut rounded: Vec<i32> = of_phase
                .iter()
                .map(|tap| (tap / sum * f64::from(ONE)).round() as i32)
                .collect();
            // What rounding lost goes to the largest tap, where it matters least.
            let missing = ONE - rounded.iter().sum::<i32>();
            if let Some(largest) = rounded.iter_mut().max() {
                *largest += missing;
            }
            let set = &mut sets[phase * taps..(phase + 1) * taps];
            // The newest sample stands last in the window and meets the first tap.
            for (slot, tap) in set.iter_mut().rev().zip(rounded) {
                *slot = i16::try_from(tap).unwrap_or(i16::MAX);
            }
        }
        Self { up, down, taps, sets }
    }

    fn set(&self, phase: usize) -> &[i16] {
        &self.sets[phase * self.taps..(phase + 1) * self.taps]
    }
}

/// sin(πx)/(πx).
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..32 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

/// One stream on its way from one rate to another.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// `None` where both rates are the same.
    filter: Option<&'static Filter>,
    /// The last `taps - 1` samples, then those not yet used up.
    window: Vec<i16>,
    /// Where in `window` the newest sample of the next output stands.
    next: usize,
    phase: usize,
}

impl Resampler {
    /// A stream that starts in silence.
    #[must_use]
    pub fn new(from: Rate, to: Rate) -> Self {
        let filter: Option<&'static Filter> = match (from, to) {
            (Rate::Khz8, Rate::Khz16) => Some(&UP_2),
            (Rate::Khz8, Rate::Khz24) => Some(&UP_3),
            (Rate::Khz16, Rate::Khz8) => Some(&DOWN_2),
            (Rate::Khz24, Rate::Khz8) => Some(&DOWN_3),
            (Rate::Khz16, Rate::Khz24) => Some(&UP_3_DOWN_2),
            (Rate::Khz24, Rate::Khz16) => Some(&UP_2_DOWN_3),
            (Rate::Khz8, Rate::Khz8) | (Rate::Khz16, Rate::Khz16) | (Rate::Khz24, Rate::Khz24) => None,
        };
        let history = filter.map_or(0, |filter| filter.taps - 1);
        Self {
            filter,
            window: vec![0; history],
            next: history,
            phase: 0,
        }
    }

    /// Appends everything that can be computed now. The output is the same however the input is cut.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        let Some(filter) = self.filter else {
            output.extend_from_slice(input);
            return;
        };
        self.window.extend_from_slice(input);
        output.reserve(input.len() * filter.up / filter.down + 1);
        while self.next < self.window.len() {
            let samples = &self.window[self.next + 1 - filter.taps..=self.next];
            output.push(round(dot(samples, filter.set(self.phase))));
            self.phase += filter.down;
            self.next += self.phase / filter.up;
            self.phase %= filter.up;
        }
        let used = (self.next + 1).saturating_sub(filter.taps).min(self.window.len());
        self.window.copy_within(used.., 0);
        self.window.truncate(self.window.len() - used);
        self.next -= used;
    }

    /// Forgets what it heard, as if the stream began again.
    pub fn reset(&mut self) {
        if let Some(filter) = self.filter {
            self.window.clear();
            self.window.resize(filter.taps - 1, 0);
            self.next = filter.taps - 1;
            self.phase = 0;
        }
    }

    /// How much later a sound comes out than it went in, in microseconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "small integers")]
    pub fn delay_us(from: Rate, to: Rate) -> f64 {
        if from == to {
            return 0.0;
        }
        let (lower, higher) = (from.hz().min(to.hz()), from.hz().max(to.hz()));
        let factor = match (lower, higher) {
            (16_000, 24_000) => 3,
            _ => (higher / lower) as usize,
        };
        let common = f64::from(lower) * factor as f64;
        (SPAN * factor - 1) as f64 / 2.0 / common * 1e6
    }
}

/// The sum of products. Both slices are `taps` long, a multiple of [`LANES`]; the compiler makes vector instructions
/// of it.
fn dot(samples: &[i16], set: &[i16]) -> i32 {
    // The absolute values of a set sum to less than three, so 32 bits suffice.
    samples
        .iter()
        .zip(set)
        .map(|(sample, tap)| i32::from(*sample) * i32::from(*tap))
        .sum()
}

fn round(sum: i32) -> i16 {
    let value = (sum.saturating_add(ONE / 2)) >> POINT;
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const PAIRS: [(Rate, Rate); 6] = [
        (Rate::Khz8, Rate::Khz16),
        (Rate::Khz8, Rate::Khz24),
        (Rate::Khz16, Rate::Khz8),
        (Rate::Khz24, Rate::Khz8),
        (Rate::Khz16, Rate::Khz24),
        (Rate::Khz24, Rate::Khz16),
    ];

    fn resampled(from: Rate, to: Rate, input: &[i16]) -> Vec<i16> {
        let mut output = Vec::new();
        Resampler::new(from, to).process(input, &mut output);
        output
    }

    fn sine(hz: f64, rate: Rate, samples: usize, amplitude: f64) -> Vec<i16> {
        let step = 2.0 * PI * hz / f64::from(rate.hz());
        (0..samples)
            .map(|n| (amplitude * (step * n as f64).sin()) as i16)
            .collect()
    }

    /// Amplitude and phase of one frequency, over a whole number of its periods.
    fn component(samples: &[i16], hz: f64, rate: Rate) -> (f64, f64) {
        let step = 2.0 * PI * hz / f64::from(rate.hz());
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let angle = step * n as f64;
            real += f64::from(*sample) * angle.cos();
            imaginary += f64::from(*sample) * angle.sin();
        }
        let scale = 2.0 / samples.len() as f64;
        (
            (real * real + imaginary * imaginary).sqrt() * scale,
            real.atan2(imaginary),
        )
    }

    fn decibel(ratio: f64) -> f64 {
        20.0 * ratio.log10()
    }

    proptest! {
        #[test]
        fn the_output_is_the_same_however_the_input_is_cut(
            pair in select(PAIRS.to_vec()),
            input in vec(any::<i16>(), 0..900),
            cuts in vec(0..200_usize, 0..12),
        ) {
            let whole = resampled(pair.0, pair.1, &input);
            let mut stream = Resampler::new(pair.0, pair.1);
            let (mut pieces, mut rest) = (Vec::new(), input.as_slice());
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                stream.process(head, &mut pieces);
                rest = tail;
            }
            stream.process(rest, &mut pieces);
            prop_assert_eq!(&pieces, &whole);

            stream.reset();
            let mut again = Vec::new();
            stream.process(&input, &mut again);
            prop_assert_eq!(again, whole);
        }

        #[test]
        fn no_output_waits_for_a_block(pair in select(PAIRS.to_vec()), samples in 0..2_000_usize) {
            let produced = resampled(pair.0, pair.1, &vec![0; samples]).len();
            let due = (samples as u64 * u64::from(pair.1.hz())).div_ceil(u64::from(pair.0.hz()));
            prop_assert_eq!(produced as u64, due);
        }

        #[test]
        fn the_loudest_input_never_wraps_around(
            pair in select(PAIRS.to_vec()),
            signs in vec(any::<bool>(), 200..600),
        ) {
            let input: Vec<i16> = signs.iter().map(|up| if *up { i16::MAX } else { i16::MIN }).collect();
            let output = resampled(pair.0, pair.1, &input);
            // The exact value, in floating point, then cut off where 16 bits end.
            let filter = Resampler::new(pair.0, pair.1).filter.unwrap();
            let mut padded = vec![0_i16; filter.taps - 1];
            padded.extend(&input);
            for (n, got) in output.iter().enumerate() {
                let newest = n * filter.down / filter.up + filter.taps - 1;
                let set = filter.set(n * filter.down % filter.up);
                let sum: i64 = padded[newest + 1 - filter.taps..=newest]
                    .iter()
                    .zip(set)
                    .map(|(sample, tap)| i64::from(*sample) * i64::from(*tap))
                    .sum();
                let exact = ((sum + i64::from(ONE) / 2) >> POINT).clamp(i64::from(i16::MIN), i64::from(i16::MAX));
                prop_assert_eq!(i64::from(*got), exact);
            }
        }
    }

    #[test]
    fn a_constant_comes_out_as_it_went_in() {
        for (from, to) in PAIRS {
            for level in [i16::MIN, -1_000, -1, 0, 1, 12_345, i16::MAX] {
                let output = resampled(from, to, &[level; 400]);
                let settled = &output[output.len() / 2..];
                assert!(
                    settled.iter().all(|sample| *sample == level),
                    "{from:?} {to:?} {level}"
                );
            }
        }
    }

    #[test]
    fn no_set_of_coefficients_can_overflow_the_sum() {
        for (from, to) in PAIRS {
            let filter = Resampler::new(from, to).filter.unwrap();
            for phase in 0..filter.up {
                let set = filter.set(phase);
                assert_eq!(set.iter().map(|tap| i32::from(*tap)).sum::<i32>(), ONE);
                let absolute: i32 = set.iter().map(|tap| i32::from(*tap).abs()).sum();
                assert!(absolute < 3 * ONE, "{from:?} {to:?} phase {phase}: {absolute}");
            }
        }
    }

    #[test]
    fn speech_passes_unchanged_and_its_delay_is_that_of_the_filter() {
        for (from, to) in PAIRS {
            for hz in [300.0, 1_000.0, 2_500.0, 3_400.0] {
                let input = sine(hz, from, from.hz() as usize, 10_000.0);
                let output = resampled(from, to, &input);
                // One second less a tenth at the start; all these frequencies have whole periods in it.
                let tenth = to.hz() as usize / 10;
                let (amplitude, phase) = component(&output[tenth..], hz, to);
                let loss = decibel(amplitude / 10_000.0);
                // 3.4 kHz is where a telephone's own filters may already be 3 dB down.
                let allowed = if hz < 3_400.0 { 0.1 } else { 0.5 };
                assert!(loss.abs() < allowed, "{from:?} {to:?} {hz} Hz: {loss:.2} dB");
                let expected = Resampler::delay_us(from, to);
                // Phase is known up to whole turns; the frequency is low enough for one of them.
                let turn = 1e6 / hz;
                let start = 1e6 * 0.1;
                let delay = -(phase / (2.0 * PI)) * turn + start;
                let error = (delay - expected + turn / 2.0).rem_euclid(turn) - turn / 2.0;
                assert!(
                    error.abs() < 5.0,
                    "{from:?} {to:?} {hz} Hz: {error:.1} µs off {expected}"
                );
                assert!(expected < 1_600.0);
            }
        }
    }

    #[test]
    fn a_click_comes_out_around_the_delay_and_nowhere_else() {
        for (from, to) in PAIRS {
            let mut input = vec![0; 400];
            input[100] = 30_000;
            let output = resampled(from, to, &input);
            let per_output = 1e6 / f64::from(to.hz());
            let energy: f64 = output.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            let centre: f64 = output
                .iter()
                .enumerate()
                .map(|(n, sample)| n as f64 * per_output * f64::from(*sample).powi(2))
                .sum::<f64>()
                / energy;
            let delay = centre - 100.0 * 1e6 / f64::from(from.hz());
            let expected = Resampler::delay_us(from, to);
            // A click falls between output samples, so its centre is known to half of one.
            assert!(
                (delay - expected).abs() < per_output / 2.0 + 1.0,
                "{from:?} {to:?}: {delay} {expected}"
            );
        }
    }

    #[test]
    fn images_and_aliases_are_fifty_decibels_down() {
        // Up: what the line carries must not appear mirrored at a multiple of its rate.
        for (from, to, hz) in [
            (Rate::Khz8, Rate::Khz16, 1_000.0),
            (Rate::Khz8, Rate::Khz16, 3_300.0),
            (Rate::Khz8, Rate::Khz24, 1_000.0),
            (Rate::Khz8, Rate::Khz24, 3_300.0),
            (Rate::Khz16, Rate::Khz24, 6_500.0),
        ] {
            let output = resampled(from, to, &sine(hz, from, from.hz() as usize, 10_000.0));
            let tenth = to.hz() as usize / 10;
            let mut image = f64::from(from.hz()) - hz;
            while image < f64::from(to.hz()) / 2.0 {
                let (amplitude, _) = component(&output[tenth..], image, to);
                let down = decibel(amplitude / 10_000.0);
                assert!(
                    down < -50.0,
                    "{from:?} {to:?} {hz} Hz mirrored at {image}: {down:.1} dB"
                );
                image += f64::from(from.hz());
            }
        }
        // Down: what the lower rate cannot carry must not fold back into it.
        for (from, to, hz) in [
            (Rate::Khz16, Rate::Khz8, 4_700.0),
            (Rate::Khz16, Rate::Khz8, 7_000.0),
            (Rate::Khz24, Rate::Khz8, 4_700.0),
            (Rate::Khz24, Rate::Khz8, 9_000.0),
            (Rate::Khz24, Rate::Khz16, 9_500.0),
        ] {
            let output = resampled(from, to, &sine(hz, from, from.hz() as usize, 10_000.0));
            let settled = &output[to.hz() as usize / 10..];
            let power = settled
                .iter()
                .map(|sample| f64::from(*sample).powi(2))
                .sum::<f64>()
                / settled.len() as f64;
            let down = decibel((power * 2.0).sqrt() / 10_000.0);
            assert!(down < -50.0, "{from:?} {to:?} {hz} Hz: {down:.1} dB");
        }
    }

    #[test]
    fn equal_rates_pass_through() {
        let input: Vec<i16> = (0..100).collect();
        assert_eq!(resampled(Rate::Khz16, Rate::Khz16, &input), input);
        assert_eq!(Resampler::delay_us(Rate::Khz8, Rate::Khz8), 0.0);
    }
}
