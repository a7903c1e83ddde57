//! Where the time of a turn went, from the caller's last syllable to the agent's first in their ear.
//!
//! ```text
//! speech end ─► decision ─► first token ─► first byte in ─► first byte out ─► first mark heard
//!      provider's turn detection   model        network and voice     bridge       carrier
//! ```
//!
//! Stamps may come in any order, for transcripts and audio race each other; the first of a kind counts. A turn
//! that is spoken without the caller (the greeting, a question into silence) begins with its decision.

use std::time::Instant;

/// A moment of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The caller stopped speaking.
    SpeechEnd,
    /// The provider took the turn for over, or we told it to speak.
    Decision,
    /// The first word of the answer, as text.
    FirstToken,
    /// The first audio of the answer reached us.
    FirstByteIn,
    /// It left us.
    FirstByteOut,
    /// The first mark behind it came back.
    FirstMark,
}

const MOMENTS: usize = 6;

/// One turn, finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Counts from 1 within the call.
    pub number: u32,
    /// When the caller stopped speaking, if they had spoken.
    pub speech_end: Option<Instant>,
    /// From the end of the caller's speech, in microseconds, where both are known: to the decision,
    pub decision_us: Option<u64>,
    /// to the first word,
    pub first_token_us: Option<u64>,
    /// to the first audio that reached us,
    pub first_byte_in_us: Option<u64>,
    /// to the first audio that left us,
    pub first_byte_out_us: Option<u64>,
    /// and to the moment the caller is known to have heard the first of it.
    pub first_mark_us: Option<u64>,
    /// From the first audio that reached us to the first that left: ours alone.
    pub bridge_us: Option<u64>,
    /// The caller interrupted the answer.
    pub interrupted: bool,
    /// Nobody had spoken before.
    pub unprompted: bool,
}

/// Collects the moments of the turn under way.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    number: u32,
    stamps: [Option<Instant>; MOMENTS],
    interrupted: bool,
}

impl Timeline {
    /// A moment has come. Gives the turn before, if this begins a new one.
    pub fn stamp(&mut self, moment: Moment, at: Instant) -> Option<Turn> {
        // The caller has spoken again, or was answered again: another turn.
        let begins = match moment {
            Moment::SpeechEnd => self.has(Moment::FirstByteIn) || self.has(Moment::Decision),
            Moment::Decision => self.has(Moment::FirstByteIn),
            _ => false,
        };
        let finished = if begins { self.finish() } else { None };
        let slot = &mut self.stamps[moment as usize];
        if slot.is_none() || moment == Moment::SpeechEnd {
            // A pause inside the caller's speech is not its end: the last one is.
            *slot = Some(at);
        }
        finished
    }

    /// The caller interrupted the answer.
    pub const fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// Ends the turn under way, if the agent said anything in it.
    pub fn finish(&mut self) -> Option<Turn> {
        let stamps = std::mem::take(&mut self.stamps);
        let interrupted = std::mem::take(&mut self.interrupted);
        let of = |moment: Moment| stamps[moment as usize];
        of(Moment::FirstByteIn)?;
        self.number += 1;
        let begin = of(Moment::SpeechEnd).or(of(Moment::Decision));
        let between = |from: Option<Instant>, to: Option<Instant>| {
            let micros = to?.saturating_duration_since(from?).as_micros();
            u64::try_from(micros).ok()
        };
        let since = |moment: Moment| between(begin, of(moment));
        Some(Turn {
            number: self.number,
            speech_end: of(Moment::SpeechEnd),
            decision_us: since(Moment::Decision),
            first_token_us: since(Moment::FirstToken),
            first_byte_in_us: since(Moment::FirstByteIn),
            first_byte_out_us: since(Moment::FirstByteOut),
            first_mark_us: since(Moment::FirstMark),
            bridge_us: between(of(Moment::FirstByteIn), of(Moment::FirstByteOut)),
            interrupted,
            unprompted: of(Moment::SpeechEnd).is_none(),
        })
    }

    const fn has(&self, moment: Moment) -> bool {
        self.stamps[moment as usize].is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const ALL: [Moment; MOMENTS] = [
        Moment::SpeechEnd,
        Moment::Decision,
        Moment::FirstToken,
        Moment::FirstByteIn,
        Moment::FirstByteOut,
        Moment::FirstMark,
    ];

    #[test]
    fn a_turn_is_measured_from_the_end_of_speech() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut timeline = Timeline::default();
        timeline.stamp(Moment::SpeechEnd, at(0));
        timeline.stamp(Moment::SpeechEnd, at(100));
        timeline.stamp(Moment::Decision, at(350));
        timeline.stamp(Moment::FirstByteIn, at(600));
        timeline.stamp(Moment::FirstByteOut, at(601));
        timeline.stamp(Moment::FirstToken, at(590));
        timeline.stamp(Moment::FirstByteIn, at(900));
        timeline.stamp(Moment::FirstMark, at(860));
        timeline.interrupted();
        let turn = timeline.stamp(Moment::SpeechEnd, at(3_000)).unwrap();
        let wanted = Turn {
            number: 1,
            speech_end: Some(at(100)),
            decision_us: Some(250_000),
            first_token_us: Some(490_000),
            first_byte_in_us: Some(500_000),
            first_byte_out_us: Some(501_000),
            first_mark_us: Some(760_000),
            bridge_us: Some(1_000),
            interrupted: true,
            unprompted: false,
        };
        assert_eq!(turn, wanted);
        assert_eq!(timeline.finish(), None, "nothing was answered yet");
    }

    #[test]
    fn a_greeting_begins_with_its_decision() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        timeline.stamp(Moment::Decision, start);
        timeline.stamp(Moment::FirstByteIn, start + Duration::from_millis(300));
        let turn = timeline.finish().unwrap();
        assert!(turn.unprompted && turn.first_byte_in_us == Some(300_000));
    }

    proptest! {
        #[test]
        fn turns_are_numbered_without_gaps_and_no_turn_is_silent(
            moments in vec((select(ALL.to_vec()), 0..50_u64), 0..200),
        ) {
            let mut now = Instant::now();
            let mut timeline = Timeline::default();
            let mut number = 0;
            let mut turns = Vec::new();
            for (moment, later) in moments {
                now += Duration::from_millis(later);
                turns.extend(timeline.stamp(moment, now));
            }
            turns.extend(timeline.finish());
            for turn in turns {
                number += 1;
                prop_assert_eq!(turn.number, number);
                prop_assert!(turn.first_byte_in_us.is_some() || turn.decision_us.is_none());
            }
        }
    }
}
