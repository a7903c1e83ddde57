//! µ-law and A-law: eight bits that carry thirteen or fourteen, finer where it is quiet.
//!
//! ITU-T G.711; the arithmetic is that of ITU-T G.191's reference encoder, laid out in tables when the
//! program is compiled: 256 entries to expand, 16 KiB and 4 KiB to compress.

/// A µ-law byte that means silence.
pub const MULAW_SILENCE: u8 = 0xFF;
/// An A-law byte that means silence.
pub const ALAW_SILENCE: u8 = 0xD5;

/// One of the two ways a telephone line compresses its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law: North America, Japan.
    Mu,
    /// A-law: everywhere else.
    A,
}

impl Law {
    /// The byte that means silence.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => MULAW_SILENCE,
            Self::A => ALAW_SILENCE,
        }
    }

    /// Expands a byte to a sample.
    #[must_use]
    pub const fn expand(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU_EXPAND[code as usize],
            Self::A => A_EXPAND[code as usize],
        }
    }

    /// Compresses a sample to a byte.
    #[must_use]
    pub const fn compress(self, sample: i16) -> u8 {
        match self {
            Self::Mu => MU_COMPRESS[mu_index(sample)],
            Self::A => A_COMPRESS[a_index(sample)],
        }
    }

    /// Appends the samples of `codes`.
    pub fn decode(self, codes: &[u8], samples: &mut Vec<i16>) {
        let table = match self {
            Self::Mu => &MU_EXPAND,
            Self::A => &A_EXPAND,
        };
        samples.extend(codes.iter().map(|code| table[usize::from(*code)]));
    }

    /// Appends the bytes of `samples`.
    pub fn encode(self, samples: &[i16], codes: &mut Vec<u8>) {
        match self {
            Self::Mu => codes.extend(samples.iter().map(|sample| MU_COMPRESS[mu_index(*sample)])),
            Self::A => codes.extend(samples.iter().map(|sample| A_COMPRESS[a_index(*sample)])),
        }
    }

    /// Turns bytes of this law into bytes of the other, in place.
    pub fn convert(self, codes: &mut [u8]) {
        let table = match self {
            Self::Mu => &MU_TO_A,
            Self::A => &A_TO_MU,
        };
        for code in codes {
            *code = table[usize::from(*code)];
        }
    }

    /// The mean square of the samples, 0 for none. What a level is computed from, without decoding first.
    #[must_use]
    pub fn power(self, codes: &[u8]) -> u32 {
        let table = match self {
            Self::Mu => &MU_SQUARE,
            Self::A => &A_SQUARE,
        };
        let sum: u64 = codes
            .iter()
            .map(|code| u64::from(table[usize::from(*code)]))
            .sum();
        // A mean of squares of 16-bit samples fits 32 bits.
        u32::try_from(sum / (codes.len().max(1) as u64)).unwrap_or(u32::MAX)
    }
}

const MU_EXPAND: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = mu_expand(code as u8);
        code += 1;
    }
    table
};

const A_EXPAND: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = a_expand(code as u8);
        code += 1;
    }
    table
};

static MU_COMPRESS: [u8; 1 << 14] = {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        table[index] = mu_compress(((index as u16) << 2) as i16);
        index += 1;
    }
    table
};

static A_COMPRESS: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut index = 0;
    while index < table.len() {
        table[index] = a_compress(((index as u16) << 4) as i16);
        index += 1;
    }
    table
};

const MU_TO_A: [u8; 256] = across(&MU_EXPAND, Law::A);
const A_TO_MU: [u8; 256] = across(&A_EXPAND, Law::Mu);
const MU_SQUARE: [u32; 256] = squares(&MU_EXPAND);
const A_SQUARE: [u32; 256] = squares(&A_EXPAND);

const fn across(expand: &[i16; 256], into: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match into {
            Law::Mu => mu_compress(expand[code]),
            Law::A => a_compress(expand[code]),
        };
        code += 1;
    }
    table
}

const fn squares(expand: &[i16; 256]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let sample = expand[code] as i32;
        table[code] = (sample * sample) as u32;
        code += 1;
    }
    table
}

/// µ-law looks at the upper 14 bits. The shift keeps one's complement order, as G.191 wants it.
const fn mu_index(sample: i16) -> usize {
    ((sample as u16) >> 2) as usize
}

/// A-law looks at the upper 12 bits.
const fn a_index(sample: i16) -> usize {
    ((sample as u16) >> 4) as usize
}

const fn mu_compress(sample: i16) -> u8 {
    let one_complement = if sample < 0 { !sample } else { sample };
    let mut magnitude = (one_complement >> 2) + 33;
    if magnitude > 0x1FFF {
        magnitude = 0x1FFF;
    }
    let mut rest = magnitude >> 6;
    let mut segment = 1;
    while rest != 0 {
        segment += 1;
        rest >>= 1;
    }
    let high = 8 - segment;
    let low = 0x0F - ((magnitude >> segment) & 0x0F);
    let sign = if sample >= 0 { 0x80 } else { 0 };
    sign | ((high << 4) | low) as u8
}

const fn mu_expand(code: u8) -> i16 {
    let inverted = !code as i32;
    let exponent = (inverted >> 4) & 7;
    let mantissa = inverted & 0x0F;
    let step = 4 << (exponent + 1);
    let magnitude = (0x80 << exponent) + step * mantissa + step / 2 - 4 * 33;
    (if code < 0x80 { -magnitude } else { magnitude }) as i16
}

const fn a_compress(sample: i16) -> u8 {
    let mut value = (if sample < 0 { !sample } else { sample }) >> 4;
    if value > 15 {
        let mut exponent = 1;
        while value > 31 {
            value >>= 1;
            exponent += 1;
        }
        value = value - 16 + (exponent << 4);
    }
    let sign = if sample >= 0 { 0x80 } else { 0 };
    (sign | value as u8) ^ 0x55
}

const fn a_expand(code: u8) -> i16 {
    let plain = (code ^ 0x55) & 0x7F;
    let exponent = plain >> 4;
    let mut mantissa = (plain & 0x0F) as i16;
    if exponent > 0 {
        mantissa += 16;
    }
    mantissa = (mantissa << 4) + 8;
    if exponent > 1 {
        mantissa <<= exponent - 1;
    }
    if code > 127 { mantissa } else { -mantissa }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.711, table 2a: the values a decoder puts out, on its scale of 14 bits.
    #[test]
    fn mu_law_expands_to_the_values_of_the_recommendation() {
        let table = [
            (0b1000_0000, 8031),
            (0b1000_1111, 4191),
            (0b1001_1111, 2079),
            (0b1010_1111, 1023),
            (0b1011_1111, 495),
            (0b1100_1111, 231),
            (0b1101_1111, 99),
            (0b1110_1111, 33),
            (0b1111_1110, 2),
            (0b1111_1111, 0),
        ];
        for (code, value) in table {
            assert_eq!(Law::Mu.expand(code), value * 4, "{code:#010b}");
            assert_eq!(Law::Mu.expand(code & 0x7F), value * -4, "{code:#010b}");
        }
    }

    /// ITU-T G.711, table 1a, with the even bits inverted as they are on the line; a scale of 13 bits.
    #[test]
    fn a_law_expands_to_the_values_of_the_recommendation() {
        let table = [
            (0b1111_1111, 4032),
            (0b1111_0000, 2112),
            (0b1110_0000, 1056),
            (0b1101_0000, 528),
            (0b1100_0000, 264),
            (0b1011_0000, 132),
            (0b1010_0000, 66),
            (0b1000_0000, 1),
        ];
        for (character, value) in table {
            let code: u8 = character ^ 0x55;
            assert_eq!(Law::A.expand(code), value * 8, "{character:#010b}");
            assert_eq!(Law::A.expand(code & 0x7F), value * -8, "{character:#010b}");
        }
    }

    /// ITU-T G.711, tables 5 and 6: the eight bytes that are 1 kHz at 0 dBm0 when they repeat.
    #[test]
    fn the_digital_milliwatt_is_a_sine_of_the_same_level_in_both_laws() {
        let a = [0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4];
        let mu = [0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E];
        let level = |law: Law, codes: [u8; 8]| {
            let samples = codes.map(|code| f64::from(law.expand(code)));
            let project = |part: fn(f64) -> f64| {
                let angle = |n: usize| std::f64::consts::TAU * n as f64 / 8.0;
                samples
                    .iter()
                    .enumerate()
                    .map(|(n, sample)| sample * part(angle(n)))
                    .sum::<f64>()
            };
            let tone = (project(f64::sin).powi(2) + project(f64::cos).powi(2)) / 32.0;
            let all = samples.iter().map(|sample| sample * sample).sum::<f64>() / 8.0;
            assert!(tone / all > 0.999, "{law:?} is not one tone: {tone} of {all}");
            10.0 * (tone / (32768.0_f64.powi(2) / 2.0)).log10()
        };
        let (a, mu) = (level(Law::A, a), level(Law::Mu, mu));
        // 0 dBm0 lies 3.14 dB below the overload point of A-law and 3.17 dB below that of µ-law.
        assert!((a + 3.15).abs() < 0.15, "{a} dB");
        assert!((mu + 3.15).abs() < 0.15, "{mu} dB");
    }

    #[test]
    fn no_sample_is_further_from_its_code_than_half_a_step() {
        for law in [Law::Mu, Law::A] {
            let mut values: Vec<i32> = (0..=255).map(|code| i32::from(law.expand(code))).collect();
            values.sort_unstable();
            values.dedup();
            for sample in i16::MIN..=i16::MAX {
                let value = i32::from(law.expand(law.compress(sample)));
                let at = values.binary_search(&value).unwrap();
                let below = at.checked_sub(1).map_or(0, |below| value - values[below]);
                let above = values.get(at + 1).map_or(0, |above| above - value);
                // The encoder drops the lowest 2 or 4 bits first. Beyond the last code it overloads.
                let slack = if law == Law::Mu { 4 } else { 16 };
                let allowed = below.max(above) / 2 + slack;
                let off = (value - i32::from(sample)).abs();
                let overload = sample.unsigned_abs() > 32_124;
                assert!(
                    off <= allowed || overload && off < 700,
                    "{law:?} {sample}: {off} of {allowed}"
                );
            }
        }
    }

    #[test]
    fn every_code_survives_expanding_and_compressing_but_for_the_sign_of_mu_laws_zero() {
        for code in 0..=255_u8 {
            assert_eq!(Law::A.compress(Law::A.expand(code)), code);
            let expected = if code == 0x7F { 0xFF } else { code };
            assert_eq!(Law::Mu.compress(Law::Mu.expand(code)), expected);
        }
    }

    #[test]
    fn the_tables_agree_with_the_arithmetic_for_every_sample() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(Law::Mu.compress(sample), mu_compress(sample), "{sample}");
            assert_eq!(Law::A.compress(sample), a_compress(sample), "{sample}");
        }
    }

    #[test]
    fn silence_expands_to_next_to_nothing_and_has_no_power() {
        assert_eq!(Law::Mu.expand(MULAW_SILENCE), 0);
        assert_eq!(Law::A.expand(ALAW_SILENCE), 8);
        assert_eq!(Law::Mu.power(&[MULAW_SILENCE; 160]), 0);
        assert_eq!(Law::A.power(&[]), 0);
    }

    #[test]
    fn converting_between_the_laws_is_expanding_and_compressing() {
        for code in 0..=255_u8 {
            for (law, other) in [(Law::Mu, Law::A), (Law::A, Law::Mu)] {
                let mut converted = [code];
                law.convert(&mut converted);
                assert_eq!(converted[0], other.compress(law.expand(code)));
            }
        }
    }

    #[test]
    fn slices_give_what_single_samples_give() {
        let samples: Vec<i16> = (0..2_000).map(|n| (n * 977 % 65_536 - 32_768) as i16).collect();
        for law in [Law::Mu, Law::A] {
            let (mut codes, mut back) = (Vec::new(), Vec::new());
            law.encode(&samples, &mut codes);
            law.decode(&codes, &mut back);
            let one_by_one: Vec<u8> = samples.iter().map(|sample| law.compress(*sample)).collect();
            assert_eq!(codes, one_by_one);
            assert!(
                back.iter()
                    .zip(&codes)
                    .all(|(sample, code)| *sample == law.expand(*code))
            );
        }
    }
}
