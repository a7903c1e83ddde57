//! What the caller hears: the provider's audio on its way to the carrier.
//!
//! Audio leaves as soon as it comes and in the pieces it comes in; the carrier keeps it until it plays. A mark
//! follows the first piece of an item, then every 200 ms, then its end. While the agent is muted, what comes is
//! kept here, behind what was taken back from the carrier.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use voice_audio::{SAMPLES_PER_MS, g711::Law};
use voice_providers::Payload;
use voice_turns::{
    Item,
    playout::{Marked, Playout, Truth},
};

use super::{convert::Path, items::Items, leg::Leg};
use crate::record::Tape;

/// Audio between two marks, in samples of the line.
const MARK_EVERY: u64 = 200 * SAMPLES_PER_MS;
/// The most that is kept while the agent is muted: a muting lasts a second or two.
const MOST_HELD: u64 = 60_000 * SAMPLES_PER_MS;

/// A piece that waits for the agent to be unmuted.
#[derive(Debug)]
struct Held {
    item: Item,
    /// Base64 in the leg's format.
    payload: Bytes,
    /// So many samples at its beginning were heard.
    skip: u64,
    samples: u64,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// It is on its way to the caller.
    Sent,
    /// It is kept.
    Held,
    /// It was no audio.
    Malformed,
}

/// The way from the provider to the caller.
#[derive(Debug)]
pub(crate) struct Mouth {
    law: Law,
    path: Path,
    items: Items,
    playout: Playout<Bytes>,
    held: VecDeque<Held>,
    held_samples: u64,
    unmarked: u64,
    marked: Option<Item>,
    /// Marks behind the ends of items.
    ends: VecDeque<(u64, Item)>,
}

impl Mouth {
    pub(crate) fn new(law: Law) -> Self {
        Self {
            law,
            path: Path::Same,
            items: Items::default(),
            playout: Playout::default(),
            held: VecDeque::new(),
            held_samples: 0,
            unmarked: 0,
            marked: None,
            ends: VecDeque::new(),
        }
    }

    pub(crate) fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    pub(crate) fn item(&mut self, name: &str) -> Item {
        self.items.number(name)
    }

    /// Another session speaks from now on, with names of its own.
    pub(crate) fn forget_names(&mut self) {
        self.items.forget();
    }

    pub(crate) fn name(&self, item: Item) -> Option<&str> {
        self.items.name(item)
    }

    /// The caller hears the agent, or will in a moment.
    pub(crate) fn audible(&self, now: Instant) -> bool {
        self.playout.queued_ms(now) > 0
    }

    /// How much the caller still has to hear.
    pub(crate) fn queued(&self, now: Instant) -> Duration {
        Duration::from_millis(self.playout.queued_ms(now))
    }

    pub(crate) fn truth(&self, item: Item, now: Instant) -> Option<Truth> {
        self.playout.at(item, now)
    }

    /// Everything the caller ever heard, in samples.
    pub(crate) fn played(&self, now: Instant) -> u64 {
        self.playout.played(now)
    }

    /// Something recorded, behind what is being said.
    pub(crate) fn announce<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        samples: &[i16],
        to: (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) {
        self.items.forget();
        let item = self.items.number("announcement");
        self.play(item, samples, false, to);
    }

    /// Keys, behind what is being said. The item is heard to its end when the last of them was pressed.
    pub(crate) fn press<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        samples: &[i16],
        muted: bool,
        to: (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) -> Item {
        let item = self.items.unnamed();
        self.play(item, samples, muted, to);
        item
    }

    /// What the caller hears at the moment.
    pub(crate) fn playing(&self, now: Instant) -> Option<Item> {
        self.playout.playing(now)
    }

    fn play<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        item: Item,
        samples: &[i16],
        muted: bool,
        (leg, mut tape, now): (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) {
        let second = usize::try_from(1_000 * SAMPLES_PER_MS).unwrap_or(usize::MAX);
        for part in samples.chunks(second) {
            let mut codes = Vec::with_capacity(part.len());
            self.law.encode(part, &mut codes);
            let payload = base64_simd::STANDARD.encode_to_string(&codes).into();
            let samples = codes.len() as u64;
            self.playout.generated(item, samples);
            if muted {
                self.hold(Held {
                    item,
                    payload,
                    skip: 0,
                    samples,
                });
            } else {
                self.send(item, payload, samples, (leg, tape.as_deref_mut(), now));
            }
        }
        self.done(item, muted, leg, now);
    }

    /// A piece of an answer, and how many samples of the line it has. `keep` shares the memory of the frame it came
    /// in.
    pub(crate) fn speak<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        item: Item,
        payload: Payload<'_>,
        keep: impl FnOnce() -> Bytes,
        muted: bool,
        (leg, tape, now): (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) -> (Spoken, u64) {
        let (text, samples) = match (&mut self.path, payload) {
            (Path::Same, Payload::Base64(text)) => {
                // It goes between quotes as it is.
                if base64_simd::STANDARD.check(text.as_bytes()).is_err() {
                    return (Spoken::Malformed, 0);
                }
                (keep(), payload.len() as u64)
            }
            (Path::Same, Payload::Bytes(audio)) => (
                base64_simd::STANDARD.encode_to_string(audio).into(),
                audio.len() as u64,
            ),
            (Path::Convert(converter), payload) => {
                let Some(audio) = decoded(payload) else {
                    return (Spoken::Malformed, 0);
                };
                let audio = converter.convert(&audio);
                (
                    base64_simd::STANDARD.encode_to_string(audio).into(),
                    audio.len() as u64,
                )
            }
        };
        self.playout.generated(item, samples);
        if muted {
            self.hold(Held {
                item,
                payload: text,
                skip: 0,
                samples,
            });
            return (Spoken::Held, samples);
        }
        self.send(item, text, samples, (leg, tape, now));
        (Spoken::Sent, samples)
    }

    fn send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        item: Item,
        payload: Bytes,
        samples: u64,
        (leg, tape, now): (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) {
        let Ok(text) = std::str::from_utf8(&payload) else {
            return;
        };
        if let Some(tape) = tape
            && let Ok(audio) = base64_simd::STANDARD.decode_to_vec(text.as_bytes())
        {
            tape.agent(self.playout.starts_in_ms(now), &audio);
        }
        leg.media(text);
        self.unmarked += samples;
        let marked = self.marked != Some(item) || self.unmarked >= MARK_EVERY;
        if let Some(number) = self.playout.send(item, samples, payload, marked, now) {
            leg.mark(number);
            self.marked = Some(item);
            self.unmarked = 0;
        }
    }

    fn hold(&mut self, held: Held) {
        if self.held_samples + held.samples <= MOST_HELD {
            self.held_samples += held.samples;
            self.held.push_back(held);
        }
    }

    /// No more of this item will come: a mark behind its end.
    pub(crate) fn done<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        item: Item,
        muted: bool,
        leg: &mut Leg<S>,
        now: Instant,
    ) {
        if muted {
            self.hold(Held {
                item,
                payload: Bytes::new(),
                skip: 0,
                samples: 0,
            });
        } else if let Some(number) = self.playout.send(item, 0, Bytes::new(), true, now) {
            leg.mark(number);
            self.ends.push_back((number, item));
        }
    }

    /// A mark came back. Gives what was playing, and the item that was heard to its end with it.
    pub(crate) fn mark(&mut self, name: &str, now: Instant) -> (Option<Marked>, Option<Item>) {
        let Ok(number) = name.parse() else {
            return (None, None);
        };
        let marked = self.playout.mark(number, now);
        let mut ended = None;
        while let Some((_, item)) = self.ends.front().filter(|(end, _)| *end <= number) {
            ended = marked.is_some().then_some(*item);
            self.ends.pop_front();
        }
        (marked, ended)
    }

    /// Falls silent at once. What the caller did not hear is kept. Gives what they were listening to.
    pub(crate) fn mute<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        (leg, tape, now): (&mut Leg<S>, Option<&mut Tape>, Instant),
    ) -> Option<Truth> {
        leg.clear();
        let cleared = self.playout.clear(now);
        if let Some(tape) = tape {
            tape.cut_agent();
        }
        self.ends.clear();
        (self.marked, self.unmarked) = (None, 0);
        for unheard in cleared.unheard {
            self.hold(Held {
                item: unheard.item,
                payload: unheard.payload,
                skip: unheard.skip,
                samples: unheard.samples,
            });
        }
        cleared.playing
    }

    /// Goes on where it stopped.
    pub(crate) fn resume<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        leg: &mut Leg<S>,
        mut tape: Option<&mut Tape>,
        now: Instant,
    ) {
        self.held_samples = 0;
        for held in std::mem::take(&mut self.held) {
            let rest = held.samples - held.skip;
            let payload = if held.skip == 0 {
                held.payload
            } else {
                let Ok(audio) = base64_simd::STANDARD.decode_to_vec(&held.payload) else {
                    continue;
                };
                let skip = usize::try_from(held.skip).unwrap_or(usize::MAX).min(audio.len());
                base64_simd::STANDARD.encode_to_string(&audio[skip..]).into()
            };
            if rest > 0 {
                self.send(held.item, payload, rest, (leg, tape.as_deref_mut(), now));
            } else if held.samples == 0 {
                // The mark behind the end of an item.
                self.done(held.item, false, leg, now);
            }
        }
    }

    /// Gives up what was kept: it will not be said.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
        self.held_samples = 0;
    }
}

fn decoded(payload: Payload<'_>) -> Option<std::borrow::Cow<'_, [u8]>> {
    match payload {
        Payload::Bytes(audio) => Some(audio.into()),
        Payload::Base64(text) => base64_simd::STANDARD
            .decode_to_vec(text.as_bytes())
            .ok()
            .map(Into::into),
    }
}
