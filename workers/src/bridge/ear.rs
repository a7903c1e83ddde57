//! What the caller says: frames of the carrier on their way to the provider.
//!
//! Where both sides speak the same format the Base64 text is handed on as it came. What was said before the
//! provider was ready is kept, so that the caller's first words are not lost.

use std::{collections::VecDeque, ops::Range};

use tokio_tungstenite::tungstenite::Utf8Bytes;
use voice_audio::{
    SAMPLES_PER_MS,
    g711::Law,
    vad::{Change, LevelConfig, LevelVad},
};
use voice_providers::{Command, Connection, Payload};
use voice_schemas::events::call::Carrier;
use voice_telephony::media::{Lost, MediaFrame, Reorder, Track};

use super::{convert::Path, far_end::Listener};
use crate::record::Tape;

/// Frames kept until a provider is ready: as long as anybody waits for one.
const EARLY: usize = 250;
/// Frames that wait for a missing one: 60 ms.
const REORDER: usize = 3;

/// A frame that may have to wait. Keeps the memory of its message.
#[derive(Clone, Debug)]
struct Kept {
    text: Utf8Bytes,
    payload: Range<usize>,
    timestamp_ms: u64,
}

/// The way from the caller to the provider.
#[derive(Debug)]
pub(crate) struct Ear {
    law: Law,
    /// `None` until the provider is ready.
    path: Option<Path>,
    early: VecDeque<Kept>,
    /// Frames that no provider has heard.
    unheard: u64,
    order: Option<Reorder<Kept>>,
    vad: LevelVad,
    /// Who listens for what picked up, while that is of interest.
    pub(super) listener: Option<Box<Listener>>,
    hang_over_ms: u32,
    codes: Vec<u8>,
    /// Where the stream is, in samples: the end of the latest frame.
    position: u64,
    frames: u64,
    last_chunk: u64,
    gaps: u64,
}

/// What is to be told of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// The caller began or stopped to speak.
    pub(crate) change: Option<Change>,
}

impl Ear {
    pub(crate) fn new(carrier: Carrier, law: Law, vad: LevelConfig, listener: Option<Box<Listener>>) -> Self {
        Self {
            law,
            path: None,
            early: VecDeque::new(),
            unheard: 0,
            order: (carrier == Carrier::Telnyx).then(|| Reorder::new(REORDER)),
            vad: LevelVad::new(vad),
            listener,
            hang_over_ms: vad.patience.hang_over_ms,
            codes: Vec::new(),
            position: 0,
            frames: 0,
            last_chunk: 0,
            gaps: 0,
        }
    }

    /// Somebody speaks at the moment.
    pub(crate) const fn hears_somebody(&self) -> bool {
        self.vad.speaking()
    }

    /// Frames heard so far.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) const fn hang_over_ms(&self) -> u32 {
        self.hang_over_ms
    }

    /// Frames that never came, or came for nothing.
    pub(crate) fn lost(&self) -> Lost {
        self.order.as_ref().map_or(
            Lost {
                missing: self.gaps,
                ..Lost::default()
            },
            Reorder::lost,
        )
    }

    /// The provider hears the caller this way from now on; `None`: there is none, and what is said is kept.
    pub(crate) fn set_path(&mut self, path: Option<Path>) {
        self.path = path;
    }

    /// Frames that no provider has heard since this was last asked.
    pub(crate) const fn take_unheard(&mut self) -> u64 {
        std::mem::replace(&mut self.unheard, 0)
    }

    /// Says what the caller said before the provider was ready.
    pub(crate) fn hear_early(&mut self, provider: &mut Connection) {
        let Some(path) = &mut self.path else {
            return;
        };
        for kept in std::mem::take(&mut self.early) {
            if let Some(payload) = kept.text.get(kept.payload) {
                say(path, payload, None, provider);
            }
        }
    }

    /// A frame of the carrier. `text` is the message it was found in.
    pub(crate) fn frame(
        &mut self,
        text: &Utf8Bytes,
        frame: &MediaFrame<'_>,
        provider: &mut Connection,
        mut tape: Option<&mut Tape>,
    ) -> Heard {
        let mut heard = Heard::default();
        if frame.track == Track::Outbound {
            return heard;
        }
        match &mut self.order {
            None => {
                if self.frames > 0 && frame.chunk > self.last_chunk + 1 {
                    self.gaps += frame.chunk - self.last_chunk - 1;
                }
                self.last_chunk = frame.chunk;
                let kept = || keep(text, frame);
                self.hear(
                    &frame.payload,
                    frame.timestamp_ms,
                    kept,
                    provider,
                    tape,
                    &mut heard,
                );
            }
            Some(_) => {
                // Leaves `self` for the moment, for what it gives out is heard by `self`.
                let Some(mut order) = self.order.take() else {
                    return heard;
                };
                order.offer(frame.chunk, keep(text, frame), |_, kept| {
                    let text = kept.text.clone();
                    if let Some(payload) = text.get(kept.payload.clone()) {
                        let (timestamp_ms, tape) = (kept.timestamp_ms, tape.as_deref_mut());
                        self.hear(payload, timestamp_ms, || kept, provider, tape, &mut heard);
                    }
                });
                self.order = Some(order);
            }
        }
        heard
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one frame's way, borrowed apart"
    )]
    fn hear(
        &mut self,
        payload: &str,
        timestamp_ms: u64,
        keep: impl FnOnce() -> Kept,
        provider: &mut Connection,
        tape: Option<&mut Tape>,
        heard: &mut Heard,
    ) {
        self.frames += 1;
        self.codes.clear();
        if base64_simd::STANDARD
            .decode_append(payload.as_bytes(), &mut self.codes)
            .is_err()
        {
            return;
        }
        let at = timestamp_ms * SAMPLES_PER_MS;
        self.position = self.position.max(at + self.codes.len() as u64);
        self.vad
            .codes(self.law, &self.codes, |change| heard.change = Some(change));
        if let Some(listener) = &mut self.listener {
            listener.frame(&self.codes, heard.change);
        }
        if let Some(tape) = tape {
            tape.caller(at, &self.codes, self.position);
        }
        match &mut self.path {
            Some(path) => say(path, payload, Some(&self.codes), provider),
            None => {
                if self.early.len() == EARLY {
                    self.early.pop_front();
                    self.unheard += 1;
                }
                self.early.push_back(keep());
            }
        }
    }
}

fn keep(text: &Utf8Bytes, frame: &MediaFrame<'_>) -> Kept {
    let (whole, part) = (text.as_str(), &*frame.payload);
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    // A payload that was escaped is a copy outside the message.
    if start < whole.len() && start + part.len() <= whole.len() {
        Kept {
            text: text.clone(),
            payload: start..start + part.len(),
            timestamp_ms: frame.timestamp_ms,
        }
    } else {
        Kept {
            text: part.into(),
            payload: 0..part.len(),
            timestamp_ms: frame.timestamp_ms,
        }
    }
}

fn say(path: &mut Path, payload: &str, codes: Option<&[u8]>, provider: &mut Connection) {
    let decoded;
    let audio = match path {
        Path::Same => Payload::Base64(payload),
        Path::Convert(converter) => {
            let codes = match codes {
                Some(codes) => codes,
                None => {
                    decoded = base64_simd::STANDARD
                        .decode_to_vec(payload.as_bytes())
                        .unwrap_or_default();
                    &decoded
                }
            };
            Payload::Bytes(converter.convert(codes))
        }
    };
    // Refused only when the session is over, and audio has no answer: both come as events of their own.
    let _over = provider.command(Command::Audio(audio), &mut |_| {});
}
