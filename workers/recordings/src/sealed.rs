//! How a recording looks on disk and in the object store: sealed in frames, as it grows.
//!
//! ```text
//! head    "VOICEREC" 1 law n m tenant call  nonce wrapped-key  key-id(n) retention(m)
//! frame   length  sealed audio, both channels interleaved, one byte a sample        (any number of them)
//! last    length+top bit  sealed: samples, frames, salvaged                         (exactly one)
//! ```
//!
//! Every object has a data key of its own, wrapped by the tenant's ([`KeyRing`]); the head is bound to the wrapped
//! key. Frames are sealed with AES-256-GCM under a counter, so that one that is missing, moved or changed is noticed,
//! and the last one says how many there are: an object that was cut off, at a frame's border or elsewhere, has no last
//! frame. Only the last frame knows how long the recording is, so the head is never written twice and a file can be
//! appended to until its process dies.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;
use voice_audio::g711::Law;
use voice_schemas::{CallId, TenantId};

use crate::keys::{KeyRing, LONGEST_NAME};

const MAGIC: &[u8; 8] = b"VOICEREC";
const VERSION: u8 = 1;
const KEY: usize = 32;
const TAG: usize = 16;
const WORD: usize = 4;
/// Up to the nonce of the wrapped key.
const FIXED: usize = 8 + 4 + 16 + 16;
const WRAPPED: usize = NONCE_LEN + KEY + TAG;
/// Set in the length of the last frame.
const LAST: u32 = 1 << 31;
/// What the last frame says: samples, frames, salvaged.
const SUMMARY: usize = 8 + 8 + 1;
/// The most audio in a frame.
pub(crate) const LONGEST_FRAME: usize = 1 << 20;
/// The longest head.
pub(crate) const LONGEST_HEAD: usize = FIXED + WRAPPED + 2 * LONGEST_NAME;
/// The size of the last frame.
pub(crate) const LAST_FRAME: usize = WORD + SUMMARY + TAG;

/// Why a recording cannot be sealed or opened. Says nothing about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is no recording, or one of a later version.
    #[error("this is no recording of version {VERSION}")]
    Format,
    /// The key that wraps its key is not configured.
    #[error("the key that wraps this recording's key is not configured")]
    UnknownKey,
    /// Wrong key, or bytes that were changed, moved or left out.
    #[error("the recording does not open: wrong key, changed, or with a part missing")]
    Damaged,
    /// Its end is missing.
    #[error("the recording was cut off: its end is missing")]
    CutOff,
    /// The system has no random bytes, or the recording is longer than any call.
    #[error("the recording cannot be sealed")]
    Unsealable,
}

impl SealError {
    /// A stable label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::UnknownKey => "unknown_key",
            Self::Damaged => "damaged",
            Self::CutOff => "cut_off",
            Self::Unsealable => "unsealable",
        }
    }
}

/// Whose recording it is and how it is coded: readable without a key, and no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The tenant.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// How both channels are coded.
    pub law: Law,
    /// How long it may be kept, by the name of the rule; at most 64 bytes.
    pub retention: String,
}

/// What the last frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Samples of each channel.
    pub samples: u64,
    /// Frames before the last one.
    pub frames: u64,
    /// The process died during the call.
    pub salvaged: bool,
}

/// The head of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose it is.
    pub label: Label,
    /// Names the key that wraps its own.
    pub key_id: String,
    /// How many bytes the head has.
    pub length: usize,
    nonce: [u8; NONCE_LEN],
    wrapped: [u8; KEY + TAG],
}

/// Everything of the head but the wrapped key, which is bound to it.
fn bound(label: &Label, key_id: &str) -> Result<Vec<u8>, SealError> {
    let length = |text: &str| match u8::try_from(text.len()) {
        Ok(length) if text.len() <= LONGEST_NAME => Ok(length),
        _ => Err(SealError::Format),
    };
    let law = match label.law {
        Law::Mu => 0,
        Law::A => 1,
    };
    let mut bytes = Vec::with_capacity(LONGEST_HEAD);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[VERSION, law, length(key_id)?, length(&label.retention)?]);
    bytes.extend_from_slice(label.tenant.0.as_bytes());
    bytes.extend_from_slice(label.call.0.as_bytes());
    bytes.extend_from_slice(key_id.as_bytes());
    bytes.extend_from_slice(label.retention.as_bytes());
    Ok(bytes)
}

impl Head {
    /// Reads the head an object begins with.
    ///
    /// # Errors
    /// When these bytes begin with none; [`SealError::CutOff`] when they end within it.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let take = |from: usize, length: usize| bytes.get(from..from + length).ok_or(SealError::CutOff);
        if take(0, MAGIC.len())? != MAGIC {
            return Err(SealError::Format);
        }
        let &[VERSION, law, key_id, retention] = take(8, 4)? else {
            return Err(SealError::Format);
        };
        let law = match law {
            0 => Law::Mu,
            1 => Law::A,
            _ => return Err(SealError::Format),
        };
        let id = |from| Uuid::from_slice(take(from, 16)?).map_err(|_| SealError::Format);
        let (key_id, retention) = (usize::from(key_id), usize::from(retention));
        if key_id.max(retention) > LONGEST_NAME {
            return Err(SealError::Format);
        }
        let text = |from, length| {
            let text = std::str::from_utf8(take(from, length)?);
            text.map(str::to_owned).map_err(|_| SealError::Format)
        };
        let names = FIXED + WRAPPED;
        let mut head = Self {
            label: Label {
                tenant: id(12)?.into(),
                call: id(28)?.into(),
                law,
                retention: text(names + key_id, retention)?,
            },
            key_id: text(names, key_id)?,
            length: names + key_id + retention,
            nonce: [0; NONCE_LEN],
            wrapped: [0; KEY + TAG],
        };
        head.nonce.copy_from_slice(take(FIXED, NONCE_LEN)?);
        head.wrapped.copy_from_slice(take(FIXED + NONCE_LEN, KEY + TAG)?);
        Ok(head)
    }

    fn data_key(&self, keys: &KeyRing) -> Result<LessSafeKey, SealError> {
        let tenant = keys
            .of_tenant(&self.key_id, self.label.tenant)
            .ok_or(SealError::UnknownKey)?;
        let mut wrapped = Zeroizing::new(self.wrapped);
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let bound = Aad::from(bound(&self.label, &self.key_id)?);
        let data = tenant
            .open_in_place(nonce, bound, wrapped.as_mut())
            .map_err(|_| SealError::Damaged)?;
        UnboundKey::new(&AES_256_GCM, data)
            .map(LessSafeKey::new)
            .map_err(|_| SealError::Damaged)
    }
}

/// The nonce of a frame: the last one has one of its own, so that it never shares one with a frame of audio.
fn nonce(frame: Option<u64>) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    match frame {
        Some(frame) => bytes[4..].copy_from_slice(&frame.to_be_bytes()),
        None => bytes[0] = 1,
    }
    Nonce::assume_unique_for_key(bytes)
}

/// Seals one recording.
pub struct Sealer {
    key: LessSafeKey,
    frames: u64,
    samples: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl Sealer {
    /// Begins a recording under a data key of its own: gives the head it begins with.
    ///
    /// # Errors
    /// When the label does not fit or the system has no random bytes.
    pub fn begin(label: &Label, keys: &KeyRing) -> Result<(Self, Vec<u8>), SealError> {
        let mut data = Zeroizing::new([0; KEY]);
        let mut wrap = [0; NONCE_LEN];
        let random = SystemRandom::new();
        random.fill(data.as_mut()).map_err(|_| SealError::Unsealable)?;
        random.fill(&mut wrap).map_err(|_| SealError::Unsealable)?;
        let key_id = keys.current();
        let bound = bound(label, key_id)?;
        let tenant = keys
            .of_tenant(key_id, label.tenant)
            .ok_or(SealError::UnknownKey)?;
        let mut wrapped = data.to_vec();
        tenant
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(wrap),
                Aad::from(&bound),
                &mut wrapped,
            )
            .map_err(|_| SealError::Unsealable)?;
        let key = UnboundKey::new(&AES_256_GCM, data.as_ref()).map_err(|_| SealError::Unsealable)?;
        let (fixed, names) = bound.split_at(FIXED);
        let head = [fixed, &wrap, &wrapped, names].concat();
        let sealer = Self {
            key: LessSafeKey::new(key),
            frames: 0,
            samples: 0,
        };
        Ok((sealer, head))
    }

    /// Appends audio, both channels interleaved, as frames.
    ///
    /// # Errors
    /// When it cannot be sealed; nothing may be appended to the recording then.
    pub fn audio(&mut self, codes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        for codes in codes.chunks(LONGEST_FRAME) {
            let length = u32::try_from(codes.len()).map_err(|_| SealError::Unsealable)?;
            seal(&self.key, Some(self.frames), length, codes, out)?;
            self.frames += 1;
            self.samples += codes.len() as u64 / 2;
        }
        Ok(())
    }

    /// Samples of each channel so far.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Appends the last frame.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn finish(self, salvaged: bool, out: &mut Vec<u8>) -> Result<Summary, SealError> {
        let summary = Summary {
            samples: self.samples,
            frames: self.frames,
            salvaged,
        };
        let mut text = [0; SUMMARY];
        text[..8].copy_from_slice(&summary.samples.to_be_bytes());
        text[8..16].copy_from_slice(&summary.frames.to_be_bytes());
        text[16] = u8::from(salvaged);
        // `SUMMARY` is far below the top bit.
        #[allow(clippy::cast_possible_truncation)]
        seal(&self.key, None, SUMMARY as u32 | LAST, &text, out)?;
        Ok(summary)
    }
}

fn seal(
    key: &LessSafeKey,
    frame: Option<u64>,
    word: u32,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let word = word.to_be_bytes();
    out.extend_from_slice(&word);
    let from = out.len();
    out.extend_from_slice(text);
    let tag = out
        .get_mut(from..)
        .ok_or(SealError::Unsealable)
        .and_then(|text| {
            key.seal_in_place_separate_tag(nonce(frame), Aad::from(word), text)
                .map_err(|_| SealError::Unsealable)
        })?;
    out.extend_from_slice(tag.as_ref());
    Ok(())
}

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// Audio, both channels interleaved.
    Audio(&'a [u8]),
    /// The end.
    End(Summary),
}

/// How many sealed bytes follow this length.
///
/// # Errors
/// When no frame has this length.
pub(crate) fn sealed_length(word: [u8; WORD]) -> Result<usize, SealError> {
    let word = u32::from_be_bytes(word);
    let text = (word & !LAST) as usize;
    let fits = if word & LAST == 0 {
        (1..=LONGEST_FRAME).contains(&text)
    } else {
        text == SUMMARY
    };
    if fits {
        Ok(text + TAG)
    } else {
        Err(SealError::Damaged)
    }
}

/// Opens one recording, frame after frame.
pub struct Opener {
    key: LessSafeKey,
    frames: u64,
    samples: u64,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl Opener {
    /// Unwraps the data key.
    ///
    /// # Errors
    /// When the key is not configured, or the head was changed.
    pub fn new(head: &Head, keys: &KeyRing) -> Result<Self, SealError> {
        Ok(Self {
            key: head.data_key(keys)?,
            frames: 0,
            samples: 0,
        })
    }

    /// Opens the last frame, of which the recording's last bytes are.
    ///
    /// # Errors
    /// [`SealError::CutOff`] when these bytes are no last frame.
    pub fn summary(&self, tail: &[u8]) -> Result<Summary, SealError> {
        let (word, sealed) = tail.split_first_chunk::<WORD>().ok_or(SealError::CutOff)?;
        if u32::from_be_bytes(*word) != SUMMARY as u32 | LAST {
            return Err(SealError::CutOff);
        }
        let mut sealed = sealed.to_vec();
        let text = self
            .key
            .open_in_place(nonce(None), Aad::from(*word), &mut sealed)
            .map_err(|_| SealError::CutOff)?;
        let number = |from: usize| {
            let bytes = text.get(from..from + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        match (number(0), number(8), text.get(16)) {
            (Some(samples), Some(frames), Some(salvaged)) => Ok(Summary {
                samples,
                frames,
                salvaged: *salvaged == 1,
            }),
            _ => Err(SealError::Damaged),
        }
    }

    /// Opens the next frame in place: its length, and the sealed bytes that follow.
    ///
    /// # Errors
    /// When it is not the next frame of this recording, or frames before it are missing.
    pub fn open<'a>(&mut self, word: [u8; WORD], sealed: &'a mut [u8]) -> Result<Opened<'a>, SealError> {
        if u32::from_be_bytes(word) & LAST != 0 {
            let tail = [&word, &*sealed].concat();
            let summary = self.summary(&tail).map_err(|_| SealError::Damaged)?;
            let counted = (summary.frames, summary.samples) == (self.frames, self.samples);
            return if counted {
                Ok(Opened::End(summary))
            } else {
                Err(SealError::Damaged)
            };
        }
        let codes = self
            .key
            .open_in_place(nonce(Some(self.frames)), Aad::from(word), sealed)
            .map_err(|_| SealError::Damaged)?;
        self.frames += 1;
        self.samples += codes.len() as u64 / 2;
        Ok(Opened::Audio(codes))
    }

    /// Goes on writing where reading ended; only the end may be written, because a frame that was half written has
    /// used its counter.
    pub(crate) fn into_sealer(self) -> Sealer {
        Sealer {
            key: self.key,
            frames: self.frames,
            samples: self.samples,
        }
    }
}
