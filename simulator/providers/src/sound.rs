//! The ears and the mouth of a simulated provider: energy counts as speech, and speech is a hum with syllables.

use std::{f64::consts::TAU, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How samples are written; always one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Signed 16-bit little-endian.
    Pcm,
}

/// A coding at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// How samples are written.
    pub coding: Coding,
    /// Samples per second.
    pub rate: u32,
}

impl Format {
    /// µ-law telephony.
    pub const PCMU: Self = Self {
        coding: Coding::Pcmu,
        rate: 8_000,
    };
    /// A-law telephony.
    pub const PCMA: Self = Self {
        coding: Coding::Pcma,
        rate: 8_000,
    };

    /// Linear samples at a rate.
    #[must_use]
    pub const fn pcm(rate: u32) -> Self {
        Self {
            coding: Coding::Pcm,
            rate,
        }
    }

    const fn sample_bytes(self) -> u64 {
        match self.coding {
            Coding::Pcmu | Coding::Pcma => 1,
            Coding::Pcm => 2,
        }
    }

    pub(crate) const fn bytes(self, ms: u64) -> usize {
        (ms * self.rate as u64 / 1_000 * self.sample_bytes()) as usize
    }

    pub(crate) const fn ms(self, bytes: u64) -> u64 {
        bytes * 1_000 / (self.rate as u64 * self.sample_bytes())
    }

    /// How loud a piece is: the mean magnitude of its samples.
    fn loudness(self, audio: &[u8]) -> u32 {
        let (sum, count) = match self.coding {
            Coding::Pcmu => (sum_of(audio, ulaw_magnitudes()), audio.len()),
            Coding::Pcma => (sum_of(audio, alaw_magnitudes()), audio.len()),
            Coding::Pcm => {
                let samples = audio.chunks_exact(2);
                let sum = samples
                    .map(|pair| u64::from(i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs()))
                    .sum();
                (sum, audio.len() / 2)
            }
        };
        u32::try_from(sum / (count.max(1) as u64)).unwrap_or(u32::MAX)
    }
}

fn sum_of(audio: &[u8], magnitudes: &[u16; 256]) -> u64 {
    audio
        .iter()
        .map(|byte| u64::from(magnitudes[usize::from(*byte)]))
        .sum()
}

fn ulaw_magnitudes() -> &'static [u16; 256] {
    static TABLE: OnceLock<[u16; 256]> = OnceLock::new();
    TABLE.get_or_init(|| std::array::from_fn(|code| ulaw_magnitude(u8::try_from(code).unwrap_or(0))))
}

fn alaw_magnitudes() -> &'static [u16; 256] {
    static TABLE: OnceLock<[u16; 256]> = OnceLock::new();
    TABLE.get_or_init(|| std::array::from_fn(|code| alaw_magnitude(u8::try_from(code).unwrap_or(0))))
}

/// ITU-T G.711, without the sign.
fn ulaw_magnitude(code: u8) -> u16 {
    let code = !code;
    let (exponent, mantissa) = ((code >> 4) & 7, u16::from(code & 15));
    (((mantissa << 3) + 0x84) << exponent) - 0x84
}

/// ITU-T G.711, without the sign.
fn alaw_magnitude(code: u8) -> u16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = ((code >> 4) & 7, u16::from(code & 15));
    match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    }
}

/// The code nearest to a sample, by the table of what codes mean.
fn compress(sample: i16, magnitudes: &[u16; 256], negative: u8) -> u8 {
    let wanted = u32::from(sample.unsigned_abs());
    let sign = if sample < 0 { negative } else { negative ^ 0x80 };
    let codes = (0..=127_u8).map(|code| code | (sign & 0x80));
    codes
        .min_by_key(|code| u32::from(magnitudes[usize::from(*code)]).abs_diff(wanted))
        .unwrap_or(0)
}

/// A second that sounds a little like somebody talking: a hum of 140 Hz, four syllables, no clicks at its ends.
fn second_of_speech(rate: u32) -> impl Iterator<Item = i16> {
    (0..rate).map(move |at| {
        let seconds = f64::from(at) / f64::from(rate);
        let syllable = (TAU * 4.0 * seconds / 2.0).sin().abs();
        let hum = (TAU * 140.0 * seconds).sin() + 0.5 * (TAU * 420.0 * seconds).sin();
        #[allow(clippy::cast_possible_truncation, reason = "well within an i16")]
        let sample = (hum * syllable * 6_000.0) as i16;
        sample
    })
}

fn encoded_second(format: Format) -> Vec<u8> {
    let samples = second_of_speech(format.rate);
    match format.coding {
        Coding::Pcm => samples.flat_map(i16::to_le_bytes).collect(),
        Coding::Pcmu => samples
            .map(|sample| compress(sample, ulaw_magnitudes(), 0x00))
            .collect(),
        Coding::Pcma => samples
            .map(|sample| compress(sample, alaw_magnitudes(), 0x00))
            .collect(),
    }
}

/// The formats anybody speaks, each with a second of speech.
fn second(format: Format) -> &'static [u8] {
    static SECONDS: [OnceLock<Vec<u8>>; 5] = [const { OnceLock::new() }; 5];
    let at = match (format.coding, format.rate) {
        (Coding::Pcmu, _) => 0,
        (Coding::Pcma, _) => 1,
        (Coding::Pcm, 8_000) => 2,
        (Coding::Pcm, 16_000) => 3,
        (Coding::Pcm, _) => 4,
    };
    SECONDS[at].get_or_init(|| encoded_second(format))
}

/// A piece of speech that begins so many milliseconds into what is said.
#[must_use]
pub fn speech(format: Format, from_ms: u64, ms: u64) -> Vec<u8> {
    let second = second(format);
    let from = format.bytes(from_ms % 1_000);
    second
        .iter()
        .cycle()
        .skip(from)
        .take(format.bytes(ms))
        .copied()
        .collect()
}

/// The same, as it goes into JSON.
pub(crate) fn speech_base64(format: Format, from_ms: u64, ms: u64) -> String {
    STANDARD.encode(speech(format, from_ms, ms))
}

/// Nothing to hear.
#[must_use]
pub fn silence(format: Format, ms: u64) -> Vec<u8> {
    let byte = match format.coding {
        Coding::Pcmu => 0xff,
        Coding::Pcma => 0xd5,
        Coding::Pcm => 0,
    };
    vec![byte; format.bytes(ms)]
}

/// Louder than this on the average is speech.
const LOUD: u32 = 400;

/// Speech lasts at least so long before it counts.
const ONSET_MS: u64 = 40;

/// Hears when somebody speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ear {
    pub(crate) format: Format,
    pub(crate) silence_ms: u64,
    heard: u64,
    loud_ms: u64,
    quiet_ms: u64,
    speaking: bool,
}

/// What an ear noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noticed {
    Started { at_ms: u64 },
    Stopped { at_ms: u64 },
}

impl Ear {
    pub(crate) const fn new(format: Format, silence_ms: u64) -> Self {
        Self {
            format,
            silence_ms,
            heard: 0,
            loud_ms: 0,
            quiet_ms: 0,
            speaking: false,
        }
    }

    pub(crate) const fn heard_ms(&self) -> u64 {
        self.format.ms(self.heard)
    }

    pub(crate) const fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// How long nothing has been heard.
    pub(crate) const fn quiet_ms(&self) -> u64 {
        self.quiet_ms
    }

    pub(crate) fn hear(&mut self, audio: &[u8]) -> Option<Noticed> {
        let before_ms = self.heard_ms();
        self.heard += audio.len() as u64;
        let lasts = self.heard_ms() - before_ms;
        if self.format.loudness(audio) >= LOUD {
            (self.loud_ms, self.quiet_ms) = (self.loud_ms + lasts, 0);
        } else {
            (self.loud_ms, self.quiet_ms) = (0, self.quiet_ms + lasts);
        }
        if !self.speaking && self.loud_ms >= ONSET_MS {
            self.speaking = true;
            return Some(Noticed::Started {
                at_ms: self.heard_ms() - self.loud_ms,
            });
        }
        if self.speaking && self.quiet_ms >= self.silence_ms {
            self.speaking = false;
            return Some(Noticed::Stopped {
                at_ms: self.heard_ms() - self.quiet_ms,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 5] = [
        Format::PCMU,
        Format::PCMA,
        Format::pcm(8_000),
        Format::pcm(16_000),
        Format::pcm(24_000),
    ];

    #[test]
    fn an_ear_hears_the_mouth_in_every_format_and_no_silence() {
        for format in FORMATS {
            let mut ear = Ear::new(format, 200);
            let mut noticed = Vec::new();
            let frames = (0..10)
                .map(|_| silence(format, 20))
                .chain((0..20).map(|at| speech(format, 100 + at * 20 % 100, 20)))
                .chain((0..15).map(|_| silence(format, 20)));
            for frame in frames {
                noticed.extend(ear.hear(&frame));
            }
            assert_eq!(
                noticed,
                [Noticed::Started { at_ms: 200 }, Noticed::Stopped { at_ms: 600 }],
                "{format:?}"
            );
        }
    }

    #[test]
    fn the_codes_are_those_of_g711() {
        assert_eq!((ulaw_magnitude(0xff), ulaw_magnitude(0x00)), (0, 32_124));
        assert_eq!((alaw_magnitude(0xd5), alaw_magnitude(0x2a)), (8, 32_256));
        assert_eq!(compress(0, ulaw_magnitudes(), 0x00), 0xff);
        assert_eq!(compress(-32_124, ulaw_magnitudes(), 0x00), 0x00);
        assert_eq!(compress(32_256, alaw_magnitudes(), 0x00), 0xaa);
    }
}
