//! Telephone keys as sound: two tones at once, one of four low ones and one of four high ones.
//!
//! ITU-T Q.23 (the tones) and Q.24 (who must hear what). The detector runs eight Goertzel filters over blocks of
//! 12.75 ms and asks of each block: is there one low and one high tone, are they about equally loud, does nothing
//! else in the block come near them. Two such blocks in a row are a key, two without it are its end; so 40 ms
//! of a key are always heard and 23 ms never.

use std::f32::consts::TAU;

use crate::LINE_RATE;

const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const LAYOUT: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Samples of a block. 102 puts the eight tones near the middle of their filters' bands.
const BLOCK: usize = 102;
/// The amplitude of a tone below which it is not a key, about -32 dBm0.
const LEAST_AMPLITUDE: f32 = 570.0;
/// The low tone may be this much stronger: 8 dB, because lines weaken high tones, and 2 dB that a block's edges
/// and noise can add.
const NORMAL_TWIST: f32 = 10.0;
/// The high tone may be this much stronger: 4 dB, and the same 2 dB.
const REVERSE_TWIST: f32 = 4.0;
/// Each tone must be this much stronger than any other of its group: 6 dB. What the filters see of each other's
/// tones at the limits of twist and drift stays below that.
const AHEAD: f32 = 4.0;
/// The share of the block's power that both tones must make up. A tone of the highest key that is 1.5 % off loses
/// a quarter of its power to the edge of its filter.
const SHARE: f32 = 0.70;

/// A key of a telephone: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(char);

impl Key {
    /// The key with this label.
    #[must_use]
    pub fn new(label: char) -> Option<Self> {
        LAYOUT
            .iter()
            .flatten()
            .any(|key| *key == label)
            .then_some(Self(label))
    }

    /// What is printed on it.
    #[must_use]
    pub const fn label(self) -> char {
        self.0
    }

    fn tones(self) -> (f32, f32) {
        let place = LAYOUT.iter().enumerate().find_map(|(row, keys)| {
            let column = keys.iter().position(|key| *key == self.0)?;
            Some((LOW[row], HIGH[column]))
        });
        place.unwrap_or((LOW[0], HIGH[0]))
    }
}

/// A key went down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// Which.
    pub key: Key,
    /// It went down; else it went up.
    pub down: bool,
    /// The end of the block that showed it, in samples of the line.
    pub at: u64,
}

/// Listens for keys.
#[derive(Clone, Debug)]
pub struct Detector {
    coefficients: [f32; 8],
    last: [f32; 8],
    before: [f32; 8],
    power: f32,
    filled: usize,
    heard: u64,
    previous: Option<Key>,
    pressed: Option<Key>,
    missed: u8,
}

impl Default for Detector {
    fn default() -> Self {
        let mut coefficients = [0.0; 8];
        for (coefficient, hz) in coefficients.iter_mut().zip(LOW.iter().chain(&HIGH)) {
            *coefficient = 2.0 * (TAU * hz / LINE_RATE as f32).cos();
        }
        Self {
            coefficients,
            last: [0.0; 8],
            before: [0.0; 8],
            power: 0.0,
            filled: 0,
            heard: 0,
            previous: None,
            pressed: None,
            missed: 0,
        }
    }
}

impl Detector {
    /// Hears samples of the line and reports every key that goes down or up in them.
    pub fn samples(&mut self, mut samples: &[i16], mut pressed: impl FnMut(Press)) {
        while !samples.is_empty() {
            let (head, tail) = samples.split_at(samples.len().min(BLOCK - self.filled));
            self.filter(head);
            samples = tail;
            self.filled += head.len();
            self.heard += head.len() as u64;
            if self.filled == BLOCK {
                let key = self.judge();
                self.block(key, &mut pressed);
                self.last = [0.0; 8];
                self.before = [0.0; 8];
                (self.power, self.filled) = (0.0, 0);
            }
        }
    }

    fn filter(&mut self, samples: &[i16]) {
        let (mut last, mut before) = (self.last, self.before);
        for sample in samples {
            let sample = f32::from(*sample);
            self.power += sample * sample;
            for tone in 0..8 {
                let next = sample + self.coefficients[tone] * last[tone] - before[tone];
                before[tone] = last[tone];
                last[tone] = next;
            }
        }
        (self.last, self.before) = (last, before);
    }

    fn judge(&self) -> Option<Key> {
        let mut power = [0.0_f32; 8];
        for (tone, power) in power.iter_mut().enumerate() {
            let (last, before) = (self.last[tone], self.before[tone]);
            *power = last * last + before * before - self.coefficients[tone] * last * before;
        }
        let (row, low) = strongest(&power[..4])?;
        let (column, high) = strongest(&power[4..])?;
        let half = BLOCK as f32 / 2.0;
        let least = (LEAST_AMPLITUDE * half).powi(2);
        let both_loud = low > least && high > least;
        let balanced = low < high * NORMAL_TWIST && high < low * REVERSE_TWIST;
        // A tone of amplitude a gives (a·N/2)² in its filter and N·a²/2 in the block's power.
        let alone = low + high > SHARE * half * self.power;
        (both_loud && balanced && alone).then(|| Key(LAYOUT[row][column]))
    }

    fn block(&mut self, key: Option<Key>, pressed: &mut impl FnMut(Press)) {
        if let Some(current) = self.pressed {
            if key == Some(current) {
                self.missed = 0;
            } else {
                self.missed += 1;
            }
            if self.missed >= 2 {
                self.pressed = None;
                pressed(Press {
                    key: current,
                    down: false,
                    at: self.heard,
                });
            }
        }
        if let Some(key) = key
            && self.pressed.is_none()
            && self.previous == Some(key)
        {
            self.pressed = Some(key);
            self.missed = 0;
            pressed(Press {
                key,
                down: true,
                at: self.heard,
            });
        }
        self.previous = key;
    }
}

/// The strongest of a group, if it is well ahead of the others.
fn strongest(powers: &[f32]) -> Option<(usize, f32)> {
    let (index, power) = powers
        .iter()
        .copied()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    powers
        .iter()
        .enumerate()
        .all(|(other, weaker)| other == index || weaker * AHEAD < power)
        .then_some((index, power))
}

/// How keys are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long each key is held. Q.24 wants 40 ms; 100 is safe everywhere.
    pub tone_ms: u32,
    /// The pause after it.
    pub gap_ms: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tone_ms: 100,
            gap_ms: 100,
        }
    }
}

/// Peak amplitudes at -9 dBm0 and -7 dBm0: the high tone 2 dB above the low one, as Q.23 sends them.
const SENT: (f32, f32) = (8_080.0, 10_170.0);
/// A tone rises and falls over this many samples, so that it does not click.
const RAMP: usize = 24;

/// The sound of `keys`, one after the other, each followed by its pause.
#[must_use]
pub fn sound(keys: &[Key], pace: Pace) -> Vec<i16> {
    let samples = |ms: u32| (u64::from(ms) * crate::SAMPLES_PER_MS) as usize;
    let (tone, gap) = (samples(pace.tone_ms), samples(pace.gap_ms));
    let mut sound = Vec::with_capacity(keys.len() * (tone + gap));
    for key in keys {
        let (low, high) = key.tones();
        sound.extend((0..tone).map(|n| {
            let at = TAU * n as f32 / LINE_RATE as f32;
            let edge = (n + 1).min(tone - n).min(RAMP) as f32 / RAMP as f32;
            (edge * (SENT.0 * (low * at).sin() + SENT.1 * (high * at).sin())) as i16
        }));
        sound.resize(sound.len() + gap, 0);
    }
    sound
}

/// What `w` stands for in a sequence.
pub const WAIT_MS: u64 = 500;

/// The sound of a sequence as it is written down: keys, and `w` for half a second of waiting. `None` where anything
/// else is in it.
#[must_use]
pub fn sequence(written: &str, pace: Pace) -> Option<Vec<i16>> {
    let mut sequence = Vec::new();
    for character in written.chars() {
        if character == 'w' {
            let wait = (WAIT_MS * crate::SAMPLES_PER_MS) as usize;
            sequence.resize(sequence.len() + wait, 0);
        } else {
            sequence.extend(sound(&[Key::new(character)?], pace));
        }
    }
    Some(sequence)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::g711::Law;

    const LABELS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
    ];

    fn heard(samples: &[i16]) -> String {
        let mut found = String::new();
        Detector::default().samples(samples, |press| {
            if press.down {
                found.push(press.key.label());
            }
        });
        found
    }

    struct Line {
        tone_ms: u32,
        gap_ms: u32,
        level_db: f32,
        /// How much weaker the high tone is.
        twist_db: f32,
        drift: f32,
        noise: f32,
        offset: usize,
    }

    fn dialled(labels: &[char], line: &Line, seed: u64) -> Vec<i16> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut samples = vec![0.0_f32; line.offset];
        let amplitude = |db: f32| 22_750.0 * 10_f32.powf(db / 20.0);
        for label in labels {
            let (low, high) = Key::new(*label).unwrap().tones();
            for n in 0..line.tone_ms * 8 {
                let at = TAU * n as f32 / 8_000.0 * (1.0 + line.drift);
                samples.push(
                    amplitude(line.level_db) * (low * at).sin()
                        + amplitude(line.level_db - line.twist_db) * (high * at).sin(),
                );
            }
            samples.resize(samples.len() + line.gap_ms as usize * 8, 0.0);
        }
        let mut codes = Vec::new();
        let noisy: Vec<i16> = samples
            .iter()
            .map(|sample| (sample + (random.f32() - 0.5) * 2.0 * line.noise) as i16)
            .collect();
        Law::Mu.encode(&noisy, &mut codes);
        let mut through_the_line = Vec::new();
        Law::Mu.decode(&codes, &mut through_the_line);
        through_the_line
    }

    proptest! {
        /// ITU-T Q.24, the limits within which a key must be heard, here through µ-law.
        #[test]
        fn keys_are_heard_at_every_level_twist_drift_and_length_the_standard_allows(
            labels in vec(select(LABELS.to_vec()), 1..12),
            tone_ms in 45..120_u32,
            gap_ms in 45..120_u32,
            level_db in -20.0..-4.0_f32,
            twist_db in -3.5..7.0_f32,
            drift in -0.015..0.015_f32,
            offset in 0..200_usize,
            seed in any::<u64>(),
        ) {
            // Noise 20 dB below the weaker tone.
            let noise = 22_750.0 * 10_f32.powf((level_db - twist_db.max(0.0) - 20.0) / 20.0);
            let line = Line { tone_ms, gap_ms, level_db, twist_db, drift, noise, offset };
            let wanted: String = labels.iter().collect();
            prop_assert_eq!(heard(&dialled(&labels, &line, seed)), wanted);
        }

        #[test]
        fn what_is_sent_is_heard(labels in vec(select(LABELS.to_vec()), 0..20), size in 1..500_usize) {
            let keys: Vec<Key> = labels.iter().map(|label| Key::new(*label).unwrap()).collect();
            let sound = sound(&keys, Pace::default());
            let mut found = Vec::new();
            let mut detector = Detector::default();
            for chunk in sound.chunks(size) {
                detector.samples(chunk, |press| found.push(press));
            }
            let down: Vec<Key> = found.iter().filter(|press| press.down).map(|press| press.key).collect();
            prop_assert_eq!(down, keys);
            prop_assert!(found.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].down != pair[1].down));
        }

        /// What an agent presses arrives: through either law, cut into whatever frames, with its waits.
        #[test]
        fn a_sequence_is_heard_through_g711_key_for_key_and_wait_for_wait(
            written in "[0-9*#w]{1,32}", mu in any::<bool>(), size in 1..500_usize,
        ) {
            let law = if mu { Law::Mu } else { Law::A };
            let mut codes = Vec::new();
            law.encode(&sequence(&written, Pace::default()).unwrap(), &mut codes);
            let mut line = Vec::new();
            law.decode(&codes, &mut line);
            let keys = written.chars().filter(|key| *key != 'w').count();
            let waits = written.len() - keys;
            prop_assert_eq!(line.len(), keys * 1_600 + waits * 4_000);

            let mut read = String::new();
            let mut up_at = 0;
            let mut detector = Detector::default();
            for chunk in line.chunks(size) {
                detector.samples(chunk, |press| {
                    if press.down {
                        // A block is 12.75 ms, and two of them make a key.
                        let waited = press.at.saturating_sub(up_at) / (WAIT_MS * crate::SAMPLES_PER_MS);
                        read.extend((0..waited).map(|_| 'w'));
                        read.push(press.key.label());
                    } else {
                        up_at = press.at;
                    }
                });
            }
            prop_assert_eq!(read, written.trim_end_matches('w'));
        }

        /// Harmonics of a voice fall on key tones all the time; they must not be taken for keys.
        #[test]
        fn a_voice_is_not_a_key(pitch in 80.0..300.0_f32, tilt in 0.5..1.5_f32, seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let wobble = random.f32() * 0.05;
            let mut phase = 0.0_f32;
            let samples: Vec<i16> = (0..8_000)
                .map(|n| {
                    let vibrato = 1.0 + wobble * (TAU * 5.0 * n as f32 / 8_000.0).sin();
                    phase += TAU * pitch * vibrato / 8_000.0;
                    let sum: f32 = (1..)
                        .map(|k| k as f32)
                        .take_while(|k| k * pitch < 3_400.0)
                        .map(|k| (k * phase).sin() / k.powf(tilt))
                        .sum();
                    (6_000.0 * sum) as i16
                })
                .collect();
            prop_assert_eq!(heard(&samples), "");
        }

        #[test]
        fn noise_is_not_a_key(seed in any::<u64>(), amplitude in 1..=i16::MAX) {
            let mut random = fastrand::Rng::with_seed(seed);
            let samples: Vec<i16> = (0..16_000).map(|_| random.i16(-amplitude..=amplitude)).collect();
            prop_assert_eq!(heard(&samples), "");
        }
    }

    #[test]
    fn a_tone_too_short_too_quiet_too_far_off_or_too_lopsided_is_no_key() {
        let good = || Line {
            tone_ms: 80,
            gap_ms: 80,
            level_db: -10.0,
            twist_db: 0.0,
            drift: 0.0,
            noise: 1.0,
            offset: 37,
        };
        let labels = ['1', '5', '9', '#'];
        assert_eq!(heard(&dialled(&labels, &good(), 1)), "159#");
        let bad = [
            Line {
                tone_ms: 23,
                ..good()
            },
            Line {
                level_db: -40.0,
                ..good()
            },
            Line {
                drift: 0.045,
                ..good()
            },
            Line {
                drift: -0.045,
                ..good()
            },
            Line {
                twist_db: 12.0,
                ..good()
            },
            Line {
                twist_db: -9.0,
                ..good()
            },
        ];
        for line in bad {
            assert_eq!(heard(&dialled(&labels, &line, 2)), "", "{} ms", line.tone_ms);
        }
    }

    #[test]
    fn a_short_dropout_does_not_press_the_key_twice() {
        let mut samples = sound(
            &[Key::new('7').unwrap()],
            Pace {
                tone_ms: 200,
                gap_ms: 50,
            },
        );
        samples[700..780].fill(0);
        assert_eq!(heard(&samples), "7");
    }

    #[test]
    fn only_what_is_printed_on_a_telephone_is_a_key() {
        assert!(
            LABELS
                .iter()
                .all(|label| Key::new(*label).is_some_and(|key| key.label() == *label))
        );
        assert!(
            ['E', 'a', ' ', '+']
                .iter()
                .all(|label| Key::new(*label).is_none())
        );
        assert_eq!(sequence("12+", Pace::default()), None);
    }
}
