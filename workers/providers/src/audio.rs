//! What audio looks like between us and a provider, in the form in which it travels.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// G.711 µ-law, one byte a sample.
    Pcmu,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// Signed 16-bit little-endian.
    Pcm16,
}

/// A codec at a rate; always one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AudioFormat {
    /// How samples are written.
    pub codec: Codec,
    /// Samples per second.
    pub rate_hz: u32,
}

impl AudioFormat {
    /// What North American telephony speaks.
    pub const PCMU: Self = Self::new(Codec::Pcmu, 8_000);
    /// What European telephony speaks.
    pub const PCMA: Self = Self::new(Codec::Pcma, 8_000);
    /// Uncompressed telephony.
    pub const PCM_8K: Self = Self::new(Codec::Pcm16, 8_000);
    /// What speech recognisers like best.
    pub const PCM_16K: Self = Self::new(Codec::Pcm16, 16_000);
    /// What speech models speak.
    pub const PCM_24K: Self = Self::new(Codec::Pcm16, 24_000);

    const fn new(codec: Codec, rate_hz: u32) -> Self {
        Self { codec, rate_hz }
    }

    /// Bytes of one sample.
    #[must_use]
    pub const fn bytes_per_sample(self) -> u32 {
        match self.codec {
            Codec::Pcmu | Codec::Pcma => 1,
            Codec::Pcm16 => 2,
        }
    }

    /// How long so many bytes last, in whole milliseconds.
    #[must_use]
    pub const fn duration_ms(self, bytes: u64) -> u64 {
        bytes * 1_000 / (self.bytes_per_sample() as u64 * self.rate_hz as u64)
    }

    /// How many bytes so many milliseconds take, always whole samples.
    #[must_use]
    pub const fn bytes(self, duration_ms: u64) -> u64 {
        duration_ms * self.rate_hz as u64 / 1_000 * self.bytes_per_sample() as u64
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Pcmu => "pcmu",
            Codec::Pcma => "pcma",
            Codec::Pcm16 => "pcm16",
        };
        write!(f, "{codec}/{}", self.rate_hz)
    }
}

/// A piece of audio as one side of the bridge has it, borrowed from the frame it came in.
///
/// Telephony and most providers carry Base64 in JSON; where both do, the string is copied and nothing is
/// decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Standard Base64 with padding.
    Base64(&'a str),
    /// The bytes themselves.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// How many bytes of audio it is. Exact for well-formed Base64; nothing is decoded.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Base64(text) => {
                let padding = text
                    .bytes()
                    .rev()
                    .take(2)
                    .take_while(|byte| *byte == b'=')
                    .count();
                (text.len() / 4 * 3).saturating_sub(padding)
            }
        }
    }

    /// Whether there is no audio in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, decoded where they are Base64; `None` when they are not.
    #[must_use]
    pub fn decode(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Base64(text) => STANDARD.decode(text).ok().map(Cow::Owned),
        }
    }

    /// Appends the audio as Base64.
    pub fn write_base64(&self, out: &mut String) {
        match self {
            Self::Base64(text) => out.push_str(text),
            Self::Bytes(bytes) => STANDARD.encode_string(bytes, out),
        }
    }

    /// Whether appending it to JSON as it stands is safe: the alphabet of Base64 needs no escapes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Base64(text) => text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')),
        }
    }
}

/// Audio is what somebody said: only its size is shown.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self {
            Self::Base64(_) => "Base64",
            Self::Bytes(_) => "Bytes",
        };
        write!(f, "{form}({} bytes of audio)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn base64_is_as_long_as_what_it_holds(bytes in vec(any::<u8>(), 0..2_000)) {
            let mut text = String::new();
            Payload::Bytes(&bytes).write_base64(&mut text);
            let payload = Payload::Base64(&text);
            prop_assert_eq!(payload.len(), bytes.len());
            prop_assert!(payload.is_clean());
            prop_assert_eq!(&*payload.decode().unwrap(), &bytes[..]);
        }
    }

    #[test]
    fn twenty_milliseconds_are_so_many_bytes() {
        assert_eq!(AudioFormat::PCMU.bytes(20), 160);
        assert_eq!(AudioFormat::PCM_16K.bytes(20), 640);
        assert_eq!(AudioFormat::PCM_24K.duration_ms(960), 20);
        assert_eq!(AudioFormat::PCMA.duration_ms(8_000), 1_000);
    }

    #[test]
    fn what_is_not_base64_is_neither_clean_nor_decoded() {
        assert!(!Payload::Base64("ab\"c").is_clean());
        assert_eq!(Payload::Base64("a\u{1}==").decode(), None);
        assert_eq!(Payload::Base64("").len(), 0);
    }
}
