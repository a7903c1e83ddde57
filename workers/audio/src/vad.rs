//! Who speaks, and since when.
//!
//! [`LevelVad`] compares the level of each 20 ms with the quiet of the line. It costs a table look-up per
//! sample, needs no decoding and decides within its attack time, so it can run on every call. It says "loud",
//! not "a voice": whoever acts on it must be able to take the action back.

use crate::{FRAME, g711::Law};

/// Somebody began or stopped to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// They speak now.
    pub speaking: bool,
    /// Where in the stream this was decided, in samples of the line: the attack or the hang-over after it
    /// happened.
    pub at: u64,
}

/// How long it must be loud or quiet until that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Loud for this long: somebody speaks.
    pub attack_ms: u32,
    /// Quiet for this long: nobody speaks.
    pub hang_over_ms: u32,
}

impl Default for Patience {
    /// Fast enough to mute before the caller notices, slow enough for a click.
    fn default() -> Self {
        Self {
            attack_ms: 60,
            hang_over_ms: 240,
        }
    }
}

/// Turns loud and quiet frames into changes.
#[derive(Clone, Debug)]
struct Hysteresis {
    patience: Patience,
    speaking: bool,
    loud_ms: u32,
    quiet_ms: u32,
}

impl Hysteresis {
    const fn new(patience: Patience) -> Self {
        Self {
            patience,
            speaking: false,
            loud_ms: 0,
            quiet_ms: 0,
        }
    }

    fn frame(&mut self, loud: bool, ms: u32) -> Option<bool> {
        if loud {
            self.loud_ms += ms;
            self.quiet_ms = 0;
        } else {
            // One quiet frame inside a syllable does not start the count again; two do.
            self.loud_ms = self.loud_ms.saturating_sub(2 * ms);
            self.quiet_ms += ms;
        }
        if !self.speaking && self.loud_ms >= self.patience.attack_ms {
            self.speaking = true;
        } else if self.speaking && self.quiet_ms >= self.patience.hang_over_ms {
            self.speaking = false;
            self.loud_ms = 0;
        } else {
            return None;
        }
        Some(self.speaking)
    }
}

/// How loud is a voice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelConfig {
    /// Above the quiet of the line by this much is a voice.
    pub margin_db: f32,
    /// Never a voice below this, relative to the loudest the line can carry.
    pub least_dbov: f32,
    /// How long until it counts.
    pub patience: Patience,
}

impl Default for LevelConfig {
    fn default() -> Self {
        Self {
            margin_db: 12.0,
            least_dbov: -45.0,
            patience: Patience::default(),
        }
    }
}

/// The quietest a line is taken to be, and the loudest its quiet may be taken to be.
const FLOOR_DBOV: (f32, f32) = (-75.0, -35.0);
/// The quiet of the line is the quietest frame of this long at least and twice as long at most: longer than
/// people go without a pause between two syllables.
const QUIET_WINDOW_FRAMES: u32 = 60;

/// Decides by level. Feed it what the line carries, or samples.
#[derive(Clone, Debug)]
pub struct LevelVad {
    config: LevelConfig,
    floor: f32,
    /// The quietest frame of the window that runs, and of the one before.
    quietest: [f32; 2],
    window: u32,
    hysteresis: Hysteresis,
    sum: u64,
    samples: usize,
    heard: u64,
}

impl LevelVad {
    /// A line nobody has spoken on yet.
    #[must_use]
    pub const fn new(config: LevelConfig) -> Self {
        Self {
            config,
            floor: FLOOR_DBOV.0,
            quietest: [f32::INFINITY, FLOOR_DBOV.0],
            window: 0,
            hysteresis: Hysteresis::new(config.patience),
            sum: 0,
            samples: 0,
            heard: 0,
        }
    }

    /// Somebody speaks.
    #[must_use]
    pub const fn speaking(&self) -> bool {
        self.hysteresis.speaking
    }

    /// The quiet of the line, relative to the loudest it can carry.
    #[must_use]
    pub const fn floor_dbov(&self) -> f32 {
        self.floor
    }

    /// Hears what the line carried and reports every change in it.
    pub fn codes(&mut self, law: Law, mut codes: &[u8], mut changed: impl FnMut(Change)) {
        while !codes.is_empty() {
            let (head, tail) = codes.split_at(codes.len().min(FRAME - self.samples));
            self.sum += u64::from(law.power(head)) * head.len() as u64;
            codes = tail;
            self.filled(head.len(), &mut changed);
        }
    }

    /// The same for samples of 16 bits.
    pub fn samples(&mut self, mut samples: &[i16], mut changed: impl FnMut(Change)) {
        while !samples.is_empty() {
            let (head, tail) = samples.split_at(samples.len().min(FRAME - self.samples));
            self.sum += head
                .iter()
                .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
                .sum::<u64>();
            samples = tail;
            self.filled(head.len(), &mut changed);
        }
    }

    fn filled(&mut self, samples: usize, changed: &mut impl FnMut(Change)) {
        self.samples += samples;
        self.heard += samples as u64;
        if self.samples == FRAME {
            let level = dbov(self.sum / FRAME as u64);
            (self.sum, self.samples) = (0, 0);
            if let Some(speaking) = self.frame(level) {
                changed(Change {
                    speaking,
                    at: self.heard,
                });
            }
        }
    }

    fn frame(&mut self, level: f32) -> Option<bool> {
        let threshold = (self.floor + self.config.margin_db).max(self.config.least_dbov);
        let change = self.hysteresis.frame(level > threshold, 20);
        self.quietest[0] = self.quietest[0].min(level);
        self.window += 1;
        if self.window == QUIET_WINDOW_FRAMES {
            self.quietest = [f32::INFINITY, self.quietest[0]];
            self.window = 0;
        }
        self.floor = self.quietest[0].min(self.quietest[1]);
        self.floor = self.floor.clamp(FLOOR_DBOV.0, FLOOR_DBOV.1);
        change
    }
}

/// A mean square as a level relative to the loudest square wave 16 bits can carry.
#[allow(
    clippy::cast_precision_loss,
    reason = "a level is known to a tenth of a decibel at best"
)]
pub(crate) fn dbov(mean_square: u64) -> f32 {
    10.0 * (mean_square.max(1) as f32 / (32_768.0 * 32_768.0)).log10()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn noise(samples: usize, amplitude: i16, seed: u64) -> Vec<i16> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..samples).map(|_| random.i16(-amplitude..=amplitude)).collect()
    }

    /// Something like a vowel: a hoarse 130 Hz with its harmonics, formed by two resonances.
    fn vowel(samples: usize, amplitude: f64) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                let t = n as f64 / 8_000.0;
                let sum: f64 = (1..=24)
                    .map(|k| {
                        let hz = 130.0 * f64::from(k) * (1.0 + 0.02 * (5.0 * t).sin());
                        let formant = |centre: f64, width: f64| 1.0 / (1.0 + ((hz - centre) / width).powi(2));
                        (formant(650.0, 90.0) + 0.6 * formant(1_700.0, 120.0))
                            * (std::f64::consts::TAU * hz * t).sin()
                    })
                    .sum();
                (amplitude * sum / 2.5) as i16
            })
            .collect()
    }

    fn changes(vad: &mut LevelVad, samples: &[i16]) -> Vec<Change> {
        let mut found = Vec::new();
        vad.samples(samples, |change| found.push(change));
        found
    }

    #[test]
    fn a_voice_is_heard_after_the_attack_and_its_end_after_the_hang_over() {
        let mut line = noise(8_000, 20, 1);
        line.extend(vowel(4_800, 6_000.0));
        line.extend(noise(8_000, 20, 2));
        let found = changes(&mut LevelVad::new(LevelConfig::default()), &line);
        let [start, stop] = found[..] else {
            panic!("{found:?}")
        };
        assert!(start.speaking && !stop.speaking);
        let (began, ended) = (8_000, 12_800);
        assert!((480..=640).contains(&(start.at - began)), "{start:?}");
        assert!((1_920..=2_240).contains(&(stop.at - ended)), "{stop:?}");
    }

    #[test]
    fn clicks_and_a_quiet_line_are_nobody() {
        let mut line = noise(16_000, 60, 3);
        for start in [2_000, 6_000, 9_000] {
            line[start..start + 160].fill(20_000);
        }
        assert_eq!(changes(&mut LevelVad::new(LevelConfig::default()), &line), []);
    }

    #[test]
    fn a_noisy_room_is_learnt_and_a_voice_above_it_still_heard() {
        let mut vad = LevelVad::new(LevelConfig::default());
        // -42 dBov, above the least level of a voice.
        let room = noise(8_000 * 8, 450, 4);
        changes(&mut vad, &room);
        assert!(!vad.speaking(), "the floor is at {}", vad.floor_dbov());
        let mut voice = vowel(4_800, 12_000.0);
        for (sample, noise) in voice.iter_mut().zip(&room) {
            *sample = sample.saturating_add(*noise);
        }
        assert!(
            changes(&mut vad, &voice)
                .first()
                .is_some_and(|change| change.speaking)
        );
    }

    proptest! {
        #[test]
        fn frames_of_any_size_give_the_same_changes(
            pieces in vec((0..400_usize, any::<bool>()), 1..40),
            law in prop_oneof![Just(Law::Mu), Just(Law::A)],
        ) {
            let mut line = Vec::new();
            for (index, (length, loud)) in pieces.iter().enumerate() {
                line.extend(noise(length * 4, if *loud { 8_000 } else { 30 }, index as u64));
            }
            let mut codes = Vec::new();
            law.encode(&line, &mut codes);
            let mut whole = Vec::new();
            LevelVad::new(LevelConfig::default()).codes(law, &codes, |change| whole.push(change));

            let (mut cut, mut vad) = (Vec::new(), LevelVad::new(LevelConfig::default()));
            let mut rest = codes.as_slice();
            for (length, _) in pieces.iter().cycle() {
                let (head, tail) = rest.split_at((length + 1).min(rest.len()));
                vad.codes(law, head, |change| cut.push(change));
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&cut, &whole);
            // Changes alternate, in order.
            prop_assert!(whole.iter().enumerate().all(|(n, change)| change.speaking == (n % 2 == 0)));
            prop_assert!(whole.windows(2).all(|pair| pair[0].at < pair[1].at));
        }
    }
}
