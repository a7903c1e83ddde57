//! The rhythm of a call's first seconds, as numbers: what tells a person who says "Hello?" from a machine that
//! recites a greeting.
//!
//! [`Cadence`] only keeps the account: it is told when speech begins and ends and which tones ended, and says
//! at any moment how it has gone so far. Whoever weighs the numbers does so elsewhere.

use crate::{
    SAMPLES_PER_MS,
    tone::{Meaning, Tone},
    vad::Change,
};

/// How a call has sounded so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Before the first speech; all of it while nobody has spoken.
    pub initial_silence_ms: u64,
    /// Stretches of speech, a running one included.
    pub bursts: u32,
    /// The first of them: a person's is short, a greeting's is long.
    pub first_burst_ms: u64,
    /// The longest of them.
    pub longest_burst_ms: u64,
    /// All of them.
    pub speech_ms: u64,
    /// The longest pause between two of them.
    pub longest_pause_ms: u64,
    /// Since the last of them ended; 0 while somebody speaks.
    pub silence_ms: u64,
    /// Beeps of answering machines.
    pub beeps: u32,
    /// Since the last beep ended.
    pub since_beep_ms: Option<u64>,
    /// Tones of faxes.
    pub fax: u32,
    /// Information signals: the number does not exist, or the network cannot reach it.
    pub information: u32,
    /// Progress tones: ringing or busy, outside North America.
    pub progress: u32,
}

/// Keeps the account.
#[derive(Clone, Debug, Default)]
pub struct Cadence {
    done: Features,
    burst_from: Option<u64>,
    last_end: Option<u64>,
    last_beep: Option<u64>,
}

impl Cadence {
    /// Speech began or ended.
    pub fn speech(&mut self, change: Change) {
        match (change.speaking, self.burst_from) {
            (true, None) => {
                match self.last_end {
                    Some(end) => {
                        let pause = ms(change.at.saturating_sub(end));
                        self.done.longest_pause_ms = self.done.longest_pause_ms.max(pause);
                    }
                    None => self.done.initial_silence_ms = ms(change.at),
                }
                self.done.bursts += 1;
                self.burst_from = Some(change.at);
            }
            (false, Some(from)) => {
                add_burst(&mut self.done, ms(change.at.saturating_sub(from)));
                self.burst_from = None;
                self.last_end = Some(change.at);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// A tone ended.
    pub const fn tone(&mut self, tone: Tone) {
        match tone.meaning {
            Meaning::Beep => {
                self.done.beeps += 1;
                self.last_beep = Some(tone.to);
            }
            Meaning::FaxCalling | Meaning::FaxAnswering => self.done.fax += 1,
            Meaning::Information => self.done.information += 1,
            Meaning::Progress => self.done.progress += 1,
        }
    }

    /// How it has gone up to `now`, in samples of the line.
    #[must_use]
    pub fn at(&self, now: u64) -> Features {
        let mut features = self.done;
        if let Some(from) = self.burst_from {
            add_burst(&mut features, ms(now.saturating_sub(from)));
        } else if let Some(end) = self.last_end {
            features.silence_ms = ms(now.saturating_sub(end));
        } else {
            features.initial_silence_ms = ms(now);
            features.silence_ms = ms(now);
        }
        features.since_beep_ms = self.last_beep.map(|beep| ms(now.saturating_sub(beep)));
        features
    }
}

const fn ms(samples: u64) -> u64 {
    samples / SAMPLES_PER_MS
}

fn add_burst(features: &mut Features, length: u64) {
    if features.bursts == 1 {
        features.first_burst_ms = length;
    }
    features.longest_burst_ms = features.longest_burst_ms.max(length);
    features.speech_ms += length;
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn change(speaking: bool, at_ms: u64) -> Change {
        Change {
            speaking,
            at: at_ms * SAMPLES_PER_MS,
        }
    }

    #[test]
    fn a_greeting_and_a_beep_are_accounted_for() {
        let mut cadence = Cadence::default();
        assert_eq!(cadence.at(800).initial_silence_ms, 100);
        cadence.speech(change(true, 400));
        assert_eq!(cadence.at(1_000 * 8).first_burst_ms, 600);
        cadence.speech(change(false, 3_400));
        cadence.speech(change(true, 4_000));
        cadence.speech(change(false, 4_500));
        cadence.tone(Tone {
            meaning: Meaning::Beep,
            hz: 1_000.0,
            from: 5_000 * 8,
            to: 5_400 * 8,
        });
        let features = cadence.at(6_000 * 8);
        let wanted = Features {
            initial_silence_ms: 400,
            bursts: 2,
            first_burst_ms: 3_000,
            longest_burst_ms: 3_000,
            speech_ms: 3_500,
            longest_pause_ms: 600,
            silence_ms: 1_500,
            beeps: 1,
            since_beep_ms: Some(600),
            ..Features::default()
        };
        assert_eq!(features, wanted);
    }

    proptest! {
        #[test]
        fn speech_and_silence_never_exceed_the_time_that_has_passed(
            steps in vec((any::<bool>(), 0..5_000_u64), 0..40),
            after in 0..5_000_u64,
        ) {
            let (mut cadence, mut now) = (Cadence::default(), 0);
            for (speaking, later) in steps {
                now += later;
                cadence.speech(Change { speaking, at: now });
            }
            let features = cadence.at(now + after);
            let passed = ms(now + after);
            prop_assert!(features.speech_ms + features.silence_ms <= passed);
            prop_assert!(features.first_burst_ms <= features.longest_burst_ms);
            prop_assert!(features.longest_burst_ms <= features.speech_ms);
            if features.bursts == 0 {
                prop_assert_eq!(features.initial_silence_ms, passed);
            }
        }
    }
}
