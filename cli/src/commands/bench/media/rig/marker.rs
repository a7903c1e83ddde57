//! Marks inside the audio, by which a moment is known again on the other side.
//!
//! A mark is two short pulses; their distance is a number. Decoding, resampling and cutting into other pieces leave it
//! readable, so that whoever resamples is timed like whoever copies. Between two marks a line is quiet, and a mark is
//! too short to be taken for a voice.

use std::time::Instant;

use voice_audio::{FRAME, g711::Law};

/// Marks are told apart by so many numbers.
pub const NUMBERS: u8 = 16;
/// Samples of a millisecond on the line.
const MILLISECOND: usize = 8;
/// Between the beginnings of the two pulses of number 0, in milliseconds.
const NEAREST: usize = 3;
/// How high a pulse is, and where it is found to begin and to end.
const HEIGHT: i16 = 12_000;
const BEGINS: i16 = 6_000;
const ENDS: i16 = 3_000;

/// Puts a mark into a quiet frame.
pub fn put(frame: &mut [u8; FRAME], number: u8) {
    let code = Law::Mu.compress(HEIGHT);
    let second = (NEAREST + usize::from(number % NUMBERS)) * MILLISECOND;
    for begins in [0, second] {
        for sample in frame.iter_mut().skip(begins).take(MILLISECOND) {
            *sample = code;
        }
    }
}

/// Finds marks in a stream.
#[derive(Debug)]
pub struct Finder {
    /// Samples of a millisecond of the stream.
    millisecond: u64,
    position: u64,
    high: bool,
    /// Where the first pulse began, and when that came.
    first: Option<(u64, Instant)>,
}

impl Finder {
    /// For a stream of this rate.
    pub const fn new(rate_hz: u64) -> Self {
        Self {
            millisecond: rate_hz / 1_000,
            position: 0,
            high: false,
            first: None,
        }
    }

    /// Samples that came now. Gives the number of a mark that is complete with them, and when its beginning came.
    pub fn hear(&mut self, samples: impl IntoIterator<Item = i16>, now: Instant) -> Option<(u8, Instant)> {
        let mut found = None;
        for sample in samples {
            self.position += 1;
            if self.high {
                self.high = sample > ENDS;
            } else if sample > BEGINS {
                self.high = true;
                found = self.pulse(now).or(found);
            }
        }
        found
    }

    fn pulse(&mut self, now: Instant) -> Option<(u8, Instant)> {
        let nearest = NEAREST as u64;
        let number = self.first.and_then(|(begins, _)| {
            let distance = (self.position - begins + self.millisecond / 2) / self.millisecond;
            u8::try_from(distance.checked_sub(nearest)?)
                .ok()
                .filter(|number| *number < NUMBERS)
        });
        match (number, self.first.take()) {
            (Some(number), Some((_, came))) => Some((number, came)),
            _ => {
                self.first = Some((self.position, now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u8) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut frame = [Law::Mu.silence(); FRAME];
        Law::Mu.decode(&frame, &mut samples);
        put(&mut frame, number);
        Law::Mu.decode(&frame, &mut samples);
        samples
    }

    #[test]
    fn a_mark_is_known_again_in_pieces_of_any_size_and_dated_by_its_beginning() {
        for piece in [1, 7, 53, 160, 320] {
            let mut finder = Finder::new(8_000);
            for number in 0..NUMBERS {
                let began = Instant::now();
                let mut found = None;
                for samples in line(number).chunks(piece) {
                    found = finder.hear(samples.iter().copied(), Instant::now()).or(found);
                }
                let (known, at) = found.unwrap();
                assert_eq!(known, number, "pieces of {piece}");
                assert!(at >= began);
            }
        }
    }

    #[test]
    fn a_mark_survives_three_times_the_rate_with_smeared_edges() {
        for number in 0..NUMBERS {
            let wide: Vec<i16> = line(number).into_iter().flat_map(|sample| [sample; 3]).collect();
            // The mean of eight: what a filter does to a step.
            let smeared = wide
                .windows(8)
                .map(|window| (window.iter().copied().map(i32::from).sum::<i32>() / 8) as i16);
            let mut finder = Finder::new(24_000);
            assert_eq!(
                finder.hear(smeared, Instant::now()).map(|(known, _)| known),
                Some(number)
            );
        }
    }

    #[test]
    fn a_lost_pulse_costs_one_mark_and_not_those_behind_it() {
        let mut finder = Finder::new(8_000);
        let half: Vec<i16> = line(5).into_iter().take(FRAME + MILLISECOND).collect();
        assert_eq!(finder.hear(half, Instant::now()), None);
        let known = finder.hear(line(9), Instant::now()).map(|(known, _)| known);
        assert_eq!(known, Some(9));
    }
}
