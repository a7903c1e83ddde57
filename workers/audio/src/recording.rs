//! A recording: the caller on the left, the agent on the right, both on the clock of the call.
//!
//! [`Timeline`] lays what arrives where it belongs and fills the gaps with silence. It hands out whole
//! stretches in order, so a writer only ever appends, and what was handed out survives whatever happens to
//! the process. What the caller did not get to hear is taken back before it is handed out ([`Timeline::cut`]),
//! and stretches nobody may keep are silence on both sides ([`Timeline::mute`]).
//!
//! [`header`] is the head of the WAV file. µ-law and A-law stay as they are: nothing is decoded.

use std::collections::VecDeque;

use crate::{LINE_RATE, g711::Law};

/// Bytes of the head of a file.
pub const HEADER: usize = 58;

/// One of the two voices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Left.
    Caller,
    /// Right.
    Agent,
}

/// What became of bytes that were laid on the timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// They lie on it.
    pub kept: usize,
    /// They came after their place had been handed out.
    pub late: usize,
    /// They lie further ahead than the timeline remembers.
    pub ahead: usize,
}

/// Room a lane keeps: half a second.
const SPARE: usize = 4_000;

/// Two channels on one clock, counted in samples of the line since the stream began.
#[derive(Clone, Debug)]
pub struct Timeline {
    law: Law,
    /// Everything before this was handed out.
    handed_out: u64,
    /// What lies ahead of it, one byte per sample, gaps already silence.
    caller: VecDeque<u8>,
    agent: VecDeque<u8>,
    most_ahead: usize,
    muted: VecDeque<Muted>,
}

#[derive(Clone, Copy, Debug)]
struct Muted {
    from: u64,
    to: Option<u64>,
}

impl Timeline {
    /// An empty timeline that keeps at most `most_ahead_ms` per channel before it is handed out.
    #[must_use]
    pub fn new(law: Law, most_ahead_ms: u32) -> Self {
        Self {
            law,
            handed_out: 0,
            caller: VecDeque::new(),
            agent: VecDeque::new(),
            most_ahead: most_ahead_ms as usize * crate::SAMPLES_PER_MS as usize,
            muted: VecDeque::new(),
        }
    }

    /// Up to where it was handed out.
    #[must_use]
    pub const fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// Where a channel ends: the first sample after everything laid on it.
    #[must_use]
    pub fn end(&self, channel: Channel) -> u64 {
        self.handed_out + self.lane(channel).len() as u64
    }

    /// Bytes it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.caller.len() + self.agent.len()
    }

    /// Lays `codes` so that the first of them sounds at `at`. What lay there already is overwritten.
    pub fn lay(&mut self, channel: Channel, at: u64, codes: &[u8]) -> Laid {
        let late = usize::try_from(self.handed_out.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(codes.len());
        let codes = &codes[late..];
        let start = usize::try_from(at.saturating_sub(self.handed_out)).unwrap_or(usize::MAX);
        let room = self.most_ahead.saturating_sub(start);
        let kept = codes.len().min(room);
        let laid = Laid {
            kept,
            late,
            ahead: codes.len() - kept,
        };
        if kept == 0 {
            return laid;
        }
        let silence = self.law.silence();
        let lane = self.lane_mut(channel);
        if start == lane.len() {
            lane.extend(&codes[..kept]);
            return laid;
        }
        if lane.len() < start + kept {
            lane.resize(start + kept, silence);
        }
        for (slot, code) in lane.range_mut(start..start + kept).zip(codes) {
            *slot = *code;
        }
        laid
    }

    /// Takes back everything a channel has from `at` on that was not handed out yet; says how many samples.
    pub fn cut(&mut self, channel: Channel, at: u64) -> usize {
        let keep = usize::try_from(at.saturating_sub(self.handed_out)).unwrap_or(usize::MAX);
        let lane = self.lane_mut(channel);
        let taken = lane.len().saturating_sub(keep);
        lane.truncate(keep);
        taken
    }

    /// From `at` on nothing is kept: both channels are silence until [`unmute`](Self::unmute).
    pub fn mute(&mut self, at: u64) {
        if self.muted.back().is_none_or(|last| last.to.is_some()) {
            self.muted.push_back(Muted { from: at, to: None });
        }
    }

    /// From `at` on everything is kept again.
    pub fn unmute(&mut self, at: u64) {
        if let Some(last) = self.muted.back_mut().filter(|last| last.to.is_none()) {
            last.to = Some(at.max(last.from));
        }
    }

    /// Hands out everything up to `to`: left, right, left, right. Appends two bytes for every sample.
    pub fn advance(&mut self, to: u64, out: &mut Vec<u8>) {
        let Ok(samples) = usize::try_from(to.saturating_sub(self.handed_out)) else {
            return;
        };
        let silence = self.law.silence();
        let from = out.len();
        out.resize(from + 2 * samples, silence);
        for (offset, lane) in [&mut self.caller, &mut self.agent].into_iter().enumerate() {
            let there = samples.min(lane.len());
            for (pair, code) in out[from..].chunks_exact_mut(2).zip(lane.drain(..there)) {
                pair[offset] = code;
            }
            // A burst of the agent's is over: what it took is other calls'.
            if lane.capacity() > 4 * lane.len().max(SPARE) {
                lane.shrink_to(2 * lane.len().max(SPARE));
            }
        }
        let (start, end) = (self.handed_out, self.handed_out + samples as u64);
        for muted in &self.muted {
            let first = muted.from.clamp(start, end);
            let last = muted.to.unwrap_or(end).clamp(first, end);
            let place = |at: u64| from + 2 * usize::try_from(at - start).unwrap_or(samples);
            out[place(first)..place(last)].fill(silence);
        }
        self.handed_out = end;
        while self
            .muted
            .front()
            .is_some_and(|muted| muted.to.is_some_and(|to| to <= end))
        {
            self.muted.pop_front();
        }
    }

    const fn lane(&self, channel: Channel) -> &VecDeque<u8> {
        match channel {
            Channel::Caller => &self.caller,
            Channel::Agent => &self.agent,
        }
    }

    const fn lane_mut(&mut self, channel: Channel) -> &mut VecDeque<u8> {
        match channel {
            Channel::Caller => &mut self.caller,
            Channel::Agent => &mut self.agent,
        }
    }
}

/// The head of a WAV file with two channels of `samples` each; `None` while the end is not known yet, which
/// players take for "until the file ends".
///
/// A RIFF chunk, an extended `fmt ` chunk as compressed formats need it (7 is µ-law, 6 is A-law), the `fact`
/// chunk with the number of samples, and the head of the `data` chunk: multimedia programming interface 1.0,
/// "new multimedia data types" 3.0.
#[must_use]
pub fn header(law: Law, samples: Option<u64>) -> [u8; HEADER] {
    let known = samples.and_then(|samples| u32::try_from(samples).ok());
    let bytes = known.and_then(|samples| samples.checked_mul(2));
    let file = bytes.and_then(|bytes| bytes.checked_add(HEADER as u32 - 8));
    let tag: u16 = match law {
        Law::Mu => 7,
        Law::A => 6,
    };
    let mut head = [0; HEADER];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        head[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(b"RIFF");
    put(&file.unwrap_or(u32::MAX).to_le_bytes());
    put(b"WAVEfmt ");
    put(&18_u32.to_le_bytes());
    put(&tag.to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&LINE_RATE.to_le_bytes());
    put(&(2 * LINE_RATE).to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&8_u16.to_le_bytes());
    put(&0_u16.to_le_bytes());
    put(b"fact");
    put(&4_u32.to_le_bytes());
    put(&known.unwrap_or(u32::MAX).to_le_bytes());
    put(b"data");
    put(&bytes.unwrap_or(u32::MAX).to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SILENCE: u8 = 0xFF;

    #[derive(Clone, Debug)]
    enum Step {
        Lay(bool, u64, Vec<u8>),
        Cut(bool, u64),
        Advance(u64),
        Mute(u64),
        Unmute(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let code = 0..200_u8;
        vec(
            prop_oneof![
                4 => (any::<bool>(), 0..900_u64, vec(code, 0..180)).prop_map(|(who, at, codes)| Step::Lay(who, at, codes)),
                1 => (any::<bool>(), 0..900_u64).prop_map(|(who, at)| Step::Cut(who, at)),
                2 => (0..900_u64).prop_map(Step::Advance),
                1 => (0..900_u64).prop_map(Step::Mute),
                1 => (0..900_u64).prop_map(Step::Unmute),
            ],
            0..60,
        )
    }

    proptest! {
        /// The same steps on two plain arrays give the same recording.
        #[test]
        fn every_sample_lands_at_its_place_and_every_gap_is_silence(steps in steps()) {
            const LENGTH: usize = 1_200;
            let mut timeline = Timeline::new(Law::Mu, 60_000);
            let mut out = Vec::new();
            let mut model = vec![[SILENCE; 2]; LENGTH];
            let (mut muting, mut handed_out) = (None, 0_u64);
            let mut muted = [false; LENGTH];
            let mut expected = Vec::new();
            for step in steps {
                match step {
                    Step::Lay(agent, at, codes) => {
                        let who = if agent { Channel::Agent } else { Channel::Caller };
                        let laid = timeline.lay(who, at, &codes);
                        prop_assert_eq!(laid.kept + laid.late + laid.ahead, codes.len());
                        prop_assert_eq!(laid.ahead, 0);
                        for (offset, code) in codes.iter().enumerate() {
                            let place = at as usize + offset;
                            if place as u64 >= handed_out {
                                model[place][usize::from(agent)] = *code;
                            }
                        }
                    }
                    Step::Cut(agent, at) => {
                        let who = if agent { Channel::Agent } else { Channel::Caller };
                        timeline.cut(who, at);
                        prop_assert!(timeline.end(who) <= at.max(handed_out));
                        for pair in &mut model[at.max(handed_out) as usize..] {
                            pair[usize::from(agent)] = SILENCE;
                        }
                    }
                    Step::Mute(at) => {
                        timeline.mute(at);
                        if muting.is_none() {
                            muting = Some(at);
                        }
                    }
                    Step::Unmute(at) => {
                        timeline.unmute(at);
                        if let Some(from) = muting.take() {
                            muted[from as usize..at.max(from) as usize].fill(true);
                        }
                    }
                    Step::Advance(to) => {
                        timeline.advance(to, &mut out);
                        for place in handed_out..to.max(handed_out) {
                            let silent = muted[place as usize] || muting.is_some_and(|from| place >= from);
                            expected.extend(if silent { [SILENCE; 2] } else { model[place as usize] });
                        }
                        handed_out = handed_out.max(to);
                    }
                }
                prop_assert_eq!(timeline.handed_out(), handed_out);
                prop_assert_eq!(out.len() as u64, 2 * handed_out);
            }
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_is_too_far_ahead_is_refused_and_counted_and_memory_stays_bounded() {
        let mut timeline = Timeline::new(Law::Mu, 100);
        let laid = timeline.lay(Channel::Agent, 600, &[1; 500]);
        assert_eq!(
            laid,
            Laid {
                kept: 200,
                late: 0,
                ahead: 300
            }
        );
        assert_eq!(timeline.lay(Channel::Agent, u64::MAX - 9, &[1; 5]).ahead, 5);
        assert_eq!(timeline.held(), 800);
    }

    #[test]
    fn what_comes_after_its_place_was_handed_out_is_counted() {
        let mut timeline = Timeline::new(Law::A, 1_000);
        timeline.advance(100, &mut Vec::new());
        assert_eq!(
            timeline.lay(Channel::Caller, 90, &[7; 20]),
            Laid {
                kept: 10,
                late: 10,
                ahead: 0
            }
        );
        let mut out = Vec::new();
        timeline.advance(112, &mut out);
        assert_eq!(out[..20], [7, 0xD5].repeat(10));
        assert_eq!(out[20..], [0xD5; 4]);
    }

    #[test]
    fn the_head_of_the_file_says_what_follows() {
        let head = header(Law::Mu, Some(8_000));
        let at =
            |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        assert_eq!((&head[0..4], &head[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
        assert_eq!(at(4), 16_000 + 50);
        assert_eq!(u16::from_le_bytes([head[20], head[21]]), 7);
        assert_eq!((at(24), at(28)), (8_000, 16_000));
        assert_eq!((&head[38..42], at(46)), (&b"fact"[..], 8_000));
        assert_eq!((&head[50..54], at(54)), (&b"data"[..], 16_000));
        // Unknown, or too long for the format: until the end of the file.
        for samples in [None, Some(1 << 40)] {
            assert_eq!(header(Law::A, samples)[54..58], [0xFF; 4]);
        }
    }
}
