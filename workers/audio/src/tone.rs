//! Single tones: the beep after which a machine listens, a fax, the three notes before "no such number".
//!
//! A pure tone obeys x(n) = 2·cos(dω)·x(n-d) - x(n-2d) for every distance d. Per 20 ms the best cosine is found by
//! least squares, at a few distances; what the equations leave unexplained says how pure the tone is, and the
//! shortest distance gives its frequency. No bank of filters to choose. Two tones at once (keys, an American
//! ringing tone) agree with one tone at a short distance and break the equation at a long one.

use crate::{FRAME, LINE_RATE, SAMPLES_PER_MS, vad::dbov};

/// What may remain unexplained, as a share of the power.
const IMPURITY: f32 = 0.012;
/// Distances in samples. Two tones look like one at a distance over which their difference or their sum makes whole
/// turns; few pairs do at all of the long ones.
const DISTANCES: [usize; 6] = [1, 25, 31, 34, 37, 40];
/// Samples before a frame that its longest distance looks back to.
const HISTORY: usize = 2 * DISTANCES[5];
/// Quieter is not a tone.
const LEAST_DBOV: f32 = -42.0;
/// A tone stays one while its frequency moves less than this from frame to frame.
const DRIFT_HZ: f32 = 25.0;
/// Shorter than this is a whistle or a vowel.
const SHORTEST_MS: u64 = 100;
/// Longest pause between the notes of one information signal.
const NOTE_GAP_MS: u64 = 120;

/// What a tone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// An answering machine listens from now on.
    Beep,
    /// A fax machine calls: 1100 Hz for half a second. ITU-T T.30.
    FaxCalling,
    /// A fax machine or modem answers: 2100 Hz. ITU-T T.30, V.25.
    FaxAnswering,
    /// The third of the three rising notes before an announcement. ITU-T E.180.
    Information,
    /// 425 Hz: a dial, ringing or busy tone outside North America. ITU-T E.180.
    Progress,
}

/// A tone that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// What it is for.
    pub meaning: Meaning,
    /// Its frequency.
    pub hz: f32,
    /// Where it began, in samples of the line, to a frame.
    pub from: u64,
    /// Where it ended.
    pub to: u64,
}

impl Tone {
    /// How long it was.
    #[must_use]
    pub const fn ms(&self) -> u64 {
        (self.to - self.from) / SAMPLES_PER_MS
    }
}

#[derive(Clone, Copy, Debug)]
struct Running {
    hz: f32,
    from: u64,
    to: u64,
}

/// Listens for tones.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The end of the frame before, then the frame so far.
    window: Vec<i16>,
    heard: u64,
    running: Option<Running>,
    /// The notes of an information signal so far, and where the last ended.
    notes: (u8, u64),
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            window: vec![0; HISTORY],
            heard: 0,
            running: None,
            notes: (0, 0),
        }
    }
}

impl Detector {
    /// Hears samples of the line and reports every tone that ends in them.
    pub fn samples(&mut self, mut samples: &[i16], mut ended: impl FnMut(Tone)) {
        while !samples.is_empty() {
            let (head, tail) = samples.split_at(samples.len().min(HISTORY + FRAME - self.window.len()));
            self.window.extend_from_slice(head);
            samples = tail;
            if self.window.len() == HISTORY + FRAME {
                self.heard += FRAME as u64;
                let hz = pure(&self.window);
                self.window.drain(..FRAME);
                if let Some(tone) = self.judge(hz) {
                    ended(tone);
                }
            }
        }
    }

    /// A tone sounds now, long enough to be one.
    #[must_use]
    pub fn sounding(&self) -> bool {
        self.running
            .is_some_and(|tone| tone.to - tone.from >= SHORTEST_MS * SAMPLES_PER_MS)
    }

    fn judge(&mut self, hz: Option<f32>) -> Option<Tone> {
        // A frame is pure only together with what stands before it.
        let from = self.heard.saturating_sub((FRAME + HISTORY) as u64);
        let to = self.heard;
        match (self.running.as_mut(), hz) {
            (Some(running), Some(hz)) if (running.hz - hz).abs() <= DRIFT_HZ => {
                running.hz += (hz - running.hz) * 0.25;
                running.to = to;
                None
            }
            (_, hz) => {
                let ended = self.running.take().and_then(|tone| self.meaning(tone));
                self.running = hz.map(|hz| Running { hz, from, to });
                ended
            }
        }
    }

    fn meaning(&mut self, tone: Running) -> Option<Tone> {
        let ms = (tone.to - tone.from) / SAMPLES_PER_MS;
        if ms < SHORTEST_MS {
            return None;
        }
        let near = |hz: f32, tolerance: f32| (tone.hz - hz).abs() <= tolerance;
        let follows = tone.from.saturating_sub(self.notes.1) <= NOTE_GAP_MS * SAMPLES_PER_MS;
        let note = (180..=480).contains(&ms);
        let notes = match self.notes.0 {
            1 if note && follows && near(1_400.0, 60.0) => 2,
            2 if note && follows && near(1_800.0, 60.0) => 3,
            _ if note && near(950.0, 60.0) => 1,
            _ => 0,
        };
        self.notes = (notes % 3, tone.to);
        let meaning = match notes {
            3 => Meaning::Information,
            // Which of them was the first of three is known only after the third.
            2 => return None,
            _ if near(1_100.0, 45.0) && (350..=700).contains(&ms) => Meaning::FaxCalling,
            _ if near(2_100.0, 40.0) && ms >= 1_000 => Meaning::FaxAnswering,
            _ if near(425.0, 20.0) => Meaning::Progress,
            _ if (350.0..=2_600.0).contains(&tone.hz) && ms <= 6_000 => Meaning::Beep,
            _ => return None,
        };
        Some(Tone {
            meaning,
            hz: tone.hz,
            from: tone.from,
            to: tone.to,
        })
    }
}

/// The frequency of the frame at the end of `window`, if it is one tone.
fn pure(window: &[i16]) -> Option<f32> {
    let frame = &window[HISTORY..];
    let power: u64 = frame
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    if dbov(power / FRAME as u64) < LEAST_DBOV {
        return None;
    }
    let mut cosine = None;
    for distance in DISTANCES {
        let best = prediction(window, distance)?;
        cosine.get_or_insert(best);
    }
    cosine
        .filter(|cosine| cosine.abs() < 1.0)
        .map(|cosine| cosine.acos() / std::f32::consts::TAU * LINE_RATE as f32)
}

/// The cosine that explains the frame best at this distance, if it explains nearly all of it.
fn prediction(window: &[i16], distance: usize) -> Option<f32> {
    let (mut cross, mut middle, mut outer) = (0.0_f32, 0.0_f32, 0.0_f32);
    let after = &window[HISTORY..];
    let now = &window[HISTORY - distance..];
    let before = &window[HISTORY - 2 * distance..];
    for ((before, now), after) in before.iter().zip(now).zip(after) {
        let (now, sum) = (f32::from(*now), f32::from(*before) + f32::from(*after));
        cross += now * sum;
        middle += now * now;
        outer += sum * sum;
    }
    let cosine = cross / (2.0 * middle);
    // Σ(sum - 2·cos·now)², multiplied out.
    let unexplained = outer - 4.0 * cosine * cross + 4.0 * cosine * cosine * middle;
    (unexplained <= IMPURITY * 2.0 * middle).then_some(cosine)
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use proptest::prelude::*;

    use super::*;
    use crate::{dtmf, g711::Law};

    fn tone(hz: &[f32], ms: usize, amplitude: f32) -> Vec<i16> {
        (0..ms * 8)
            .map(|n| {
                let at = TAU * n as f32 / 8_000.0;
                (hz.iter().map(|hz| (hz * at).sin()).sum::<f32>() * amplitude) as i16
            })
            .collect()
    }

    fn silence(ms: usize) -> Vec<i16> {
        vec![0; ms * 8]
    }

    fn found(samples: &[i16]) -> Vec<Tone> {
        let mut codes = Vec::new();
        Law::A.encode(samples, &mut codes);
        let mut line = Vec::new();
        Law::A.decode(&codes, &mut line);
        let mut tones = Vec::new();
        Detector::default().samples(&line, |tone| tones.push(tone));
        tones
    }

    proptest! {
        #[test]
        fn a_beep_is_found_with_its_frequency_and_length(
            hz in prop_oneof![460.0..1_040.0_f32, 1_160.0..1_900.0_f32],
            ms in 140..2_000_usize,
            lead in 0..700_usize,
            level in 800.0..20_000.0_f32,
        ) {
            let line = [silence(lead), tone(&[hz], ms, level), silence(300)].concat();
            let tones = found(&line);
            // The first note of an information signal is a beep until a second one follows.
            prop_assert_eq!(tones.len(), 1);
            prop_assert_eq!(tones[0].meaning, Meaning::Beep);
            prop_assert!((tones[0].hz - hz).abs() < 12.0, "{} for {}", tones[0].hz, hz);
            prop_assert!(tones[0].ms().abs_diff(ms as u64) <= 40, "{} for {}", tones[0].ms(), ms);
            prop_assert!(tones[0].from.abs_diff(lead as u64 * 8) <= 160);
        }

        #[test]
        fn two_tones_at_once_are_none(low in 350.0..900.0_f32, apart in 60.0..900.0_f32, ms in 100..1_000_usize) {
            let line = [tone(&[low, low + apart], ms, 8_000.0), silence(200)].concat();
            prop_assert_eq!(found(&line), []);
        }

        #[test]
        fn noise_is_none(seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let line: Vec<i16> = (0..16_000).map(|_| random.i16(-9_000..=9_000)).collect();
            prop_assert_eq!(found(&line), []);
        }
    }

    #[test]
    fn faxes_information_signals_and_progress_tones_are_told_apart() {
        let notes = [
            tone(&[950.0], 330, 8_000.0),
            tone(&[1_400.0], 330, 8_000.0),
            tone(&[1_800.0], 330, 8_000.0),
        ]
        .concat();
        let cases = [
            (tone(&[1_100.0], 500, 6_000.0), vec![Meaning::FaxCalling]),
            (tone(&[2_100.0], 2_600, 6_000.0), vec![Meaning::FaxAnswering]),
            (tone(&[425.0], 1_000, 6_000.0), vec![Meaning::Progress]),
            (tone(&[440.0, 480.0], 2_000, 6_000.0), vec![]),
            (notes, vec![Meaning::Beep, Meaning::Information]),
        ];
        for (sound, wanted) in cases {
            let line = [silence(100), sound, silence(300)].concat();
            let got: Vec<Meaning> = found(&line).iter().map(|tone| tone.meaning).collect();
            assert_eq!(got, wanted);
        }
    }

    #[test]
    fn a_pair_that_looks_like_one_tone_at_three_distances_is_none() {
        let line = [tone(&[681.802, 917.202], 120, 8_000.0), silence(200)].concat();
        assert_eq!(found(&line), []);
    }

    #[test]
    fn keys_and_a_gliding_whistle_are_not_beeps() {
        let keys: Vec<_> = "159*0#".chars().filter_map(dtmf::Key::new).collect();
        assert_eq!(found(&dtmf::sound(&keys, dtmf::Pace::default())), []);
        let mut phase = 0.0_f32;
        let whistle: Vec<i16> = (0..8_000)
            .map(|n| {
                phase += TAU * (600.0 + n as f32 * 0.25) / 8_000.0;
                (phase.sin() * 9_000.0) as i16
            })
            .collect();
        // It glides 40 Hz per frame.
        assert_eq!(found(&whistle), []);
    }

    #[test]
    fn the_cut_of_the_stream_changes_nothing() {
        let line = [silence(77), tone(&[1_000.0], 400, 9_000.0), silence(300)].concat();
        let whole = found(&line);
        assert_eq!(whole.len(), 1);
        for size in [1, 33, 160, 999] {
            let (mut detector, mut tones) = (Detector::default(), Vec::new());
            for chunk in line.chunks(size) {
                detector.samples(chunk, |tone| tones.push(tone));
            }
            assert_eq!(tones.len(), 1, "{size}");
            assert_eq!(
                (tones[0].from, tones[0].to),
                (whole[0].from, whole[0].to),
                "{size}"
            );
        }
    }
}
