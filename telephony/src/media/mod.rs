//! The audio of a call over a WebSocket, in words both carriers share.
//!
//! A carrier opens the socket, says what will come ([`StreamStart`]), then sends 20 ms of the caller in each
//! [`MediaFrame`]. What is sent back plays in the order it was sent; a mark comes back when everything before
//! it was played, and `clear` throws away what was not. Fifty frames a second and call pass here in each
//! direction, so a frame is found by a scan that neither allocates nor decodes ([`scan`]); everything else takes
//! the slow, complete way.
//!
//! Neither carrier takes keys over this socket: they are sent as sound.

mod duties;
mod reorder;
pub(crate) mod scan;
mod token;
mod urls;
mod wire;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use voice_schemas::events::call::Carrier;

pub use duties::{Duties, RecordingDuty};
pub use reorder::{Lost, Reorder};
pub use token::{Dialled, SingleUse, StreamGrant, StreamKey, StreamPurpose, StreamTokens, TokenError};
pub use urls::StreamUrls;
pub(crate) use wire::Number;

use crate::{telnyx, twilio};

/// How the samples of a stream are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Signed 16-bit samples.
    L16,
    /// Opus packets.
    Opus,
}

impl Encoding {
    /// The name on the wire of Telnyx, which is that of RTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::L16 => "L16",
            Self::Opus => "OPUS",
        }
    }

    /// The encoding with this name, as RTP or as a MIME type.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let known = [
            ("PCMU", Self::Pcmu),
            ("audio/x-mulaw", Self::Pcmu),
            ("PCMA", Self::Pcma),
            ("audio/x-alaw", Self::Pcma),
            ("L16", Self::L16),
            ("audio/l16", Self::L16),
            ("OPUS", Self::Opus),
            ("audio/opus", Self::Opus),
        ];
        known
            .into_iter()
            .find_map(|(known, encoding)| known.eq_ignore_ascii_case(name).then_some(encoding))
    }
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MediaFormat {
    /// How samples are coded.
    pub encoding: Encoding,
    /// Samples per second.
    pub rate_hz: u32,
    /// Voices side by side.
    pub channels: u8,
}

/// Whose voice a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    /// The far end's: what the worker listens to.
    Inbound,
    /// What the far end hears.
    Outbound,
}

/// The beginning of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamStart {
    /// The carrier's name of the stream.
    pub stream_id: String,
    /// The carrier's name of the call: Twilio's `CallSid`, Telnyx's `call_control_id`.
    pub carrier_call_id: String,
    /// What the stream was opened with.
    pub parameters: BTreeMap<String, String>,
    /// Telnyx's `client_state`.
    pub client_state: Option<String>,
    /// What it carries.
    pub format: MediaFormat,
}

/// Parameters may say anything about a person, so they are not shown.
impl fmt::Debug for StreamStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamStart")
            .field("stream_id", &self.stream_id)
            .field("carrier_call_id", &self.carrier_call_id)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// 20 ms of a voice, still in Base64.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFrame<'a> {
    /// Whose.
    pub track: Track,
    /// Counts from 1 within the track.
    pub chunk: u64,
    /// When it was spoken, since the stream began.
    pub timestamp_ms: u64,
    /// Nothing but the alphabet of standard Base64: safe inside a JSON string. Borrowed from the message, except
    /// where the carrier escaped it.
    pub payload: Cow<'a, str>,
}

/// Audio is not for logs.
impl fmt::Debug for MediaFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaFrame")
            .field("track", &self.track)
            .field("chunk", &self.chunk)
            .field("timestamp_ms", &self.timestamp_ms)
            .finish_non_exhaustive()
    }
}

/// One thing a carrier says over the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamMessage<'a> {
    /// The socket is open.
    Connected,
    /// What will come.
    Start(Box<StreamStart>),
    /// Audio.
    Media(MediaFrame<'a>),
    /// Everything sent before this mark was played, or thrown away by a clear.
    Mark(Cow<'a, str>),
    /// The far end pressed a key.
    Dtmf(char),
    /// The stream is over.
    Stop,
    /// The carrier did not like what we sent.
    Complaint {
        /// Its code.
        code: u64,
        /// Its name for it.
        title: String,
    },
}

/// Why a message of a carrier is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Not what this event looks like: count it and go on.
    #[error("{place}: {reason}")]
    Malformed {
        /// Which field, in the carrier's names.
        place: &'static str,
        /// What is wrong with it, without its value.
        reason: &'static str,
    },
    /// An event nobody taught us: close the stream.
    #[error("unknown event `{event}`")]
    UnknownEvent {
        /// The carrier's name of it, shortened to 64 characters.
        event: String,
    },
    /// Audio we cannot take: close the stream.
    #[error("unknown format `{encoding}` at {rate_hz} Hz")]
    UnknownFormat {
        /// The carrier's name of it, shortened to 64 characters.
        encoding: String,
        /// Samples per second.
        rate_hz: u32,
    },
}

impl StreamError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::UnknownEvent { .. } => "unknown_event",
            Self::UnknownFormat { .. } => "unknown_format",
        }
    }

    /// The stream cannot go on.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Malformed { .. })
    }

    pub(crate) const fn malformed(place: &'static str, reason: &'static str) -> Self {
        Self::Malformed { place, reason }
    }

    pub(crate) fn unknown(event: &str) -> Self {
        Self::UnknownEvent {
            event: event.chars().take(64).collect(),
        }
    }
}

/// Reads one text message of a carrier.
///
/// # Errors
/// When it is not one; [`StreamError::is_fatal`] says whether the stream can go on.
pub fn parse(carrier: Carrier, text: &str) -> Result<StreamMessage<'_>, StreamError> {
    // Nearly every message is a frame, and frames look alike at both carriers.
    if let Some(frame) = scan::media(text) {
        return Ok(StreamMessage::Media(frame));
    }
    match carrier {
        Carrier::Twilio => twilio::media::parse(text),
        Carrier::Telnyx => telnyx::media::parse(text),
    }
}

/// Writes what is sent to a carrier.
#[derive(Clone, Debug)]
pub struct StreamWriter {
    /// Up to the payload, and after it.
    media: (String, &'static str),
    /// Up to the name of the mark, and after it.
    mark: (String, &'static str),
    clear: String,
}

impl StreamWriter {
    /// For this stream.
    #[must_use]
    pub fn new(carrier: Carrier, stream_id: &str) -> Self {
        let heads = match carrier {
            Carrier::Twilio => twilio::media::heads(stream_id),
            Carrier::Telnyx => telnyx::media::heads(),
        };
        Self {
            media: (heads.media, r#""}}"#),
            mark: (heads.mark, r#""}}"#),
            clear: heads.clear,
        }
    }

    /// Appends audio. `payload` is standard Base64 of the stream's format, copied as it is.
    pub fn media(&self, payload: &str, out: &mut String) {
        let (head, tail) = &self.media;
        out.reserve(head.len() + payload.len() + tail.len());
        out.push_str(head);
        out.push_str(payload);
        out.push_str(tail);
    }

    /// Appends a mark, which comes back as [`StreamMessage::Mark`] with the number as its name.
    pub fn mark(&self, number: u64, out: &mut String) {
        use fmt::Write as _;
        let (head, tail) = &self.mark;
        out.push_str(head);
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{number}");
        out.push_str(tail);
    }

    /// Appends the order to throw away everything that was not played yet.
    pub fn clear(&self, out: &mut String) {
        out.push_str(&self.clear);
    }
}

/// Messages up to the part that varies.
pub(crate) struct Heads {
    pub(crate) media: String,
    pub(crate) mark: String,
    pub(crate) clear: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(carrier: Carrier, write: impl FnOnce(&StreamWriter, &mut String)) -> Value {
        let mut out = String::new();
        write(&StreamWriter::new(carrier, "MZ\"1"), &mut out);
        serde_json::from_str(&out).unwrap()
    }

    /// TEL: the messages of Twilio's reference, and how they are read.
    #[test]
    fn every_message_of_twilio_is_read() {
        let start = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"ctx":"abc"}},"streamSid":"MZ1"}"#;
        let Ok(StreamMessage::Start(start)) = parse(Carrier::Twilio, start) else {
            panic!("no start")
        };
        assert_eq!((&*start.stream_id, &*start.carrier_call_id), ("MZ1", "CA1"));
        assert_eq!(start.parameters["ctx"], "abc");
        assert_eq!(start.format.encoding, Encoding::Pcmu);

        let cases = [
            (
                r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#,
                StreamMessage::Connected,
            ),
            (
                r#"{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"17"}}"#,
                StreamMessage::Mark("17".into()),
            ),
            (
                r##"{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"#"}}"##,
                StreamMessage::Dtmf('#'),
            ),
            (
                r#"{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}"#,
                StreamMessage::Stop,
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(Carrier::Twilio, text), Ok(message), "{text}");
        }
    }

    /// TEL: the messages of Telnyx's reference, and how they are read.
    #[test]
    fn every_message_of_telnyx_is_read() {
        let parameters = [
            r#""custom_parameters":{"ctx":"abc"},"#,
            r#""custom_parameters":[{"name":"ctx","value":"abc"}],"#,
            "",
            r#""custom_parameters":null,"#,
        ];
        for (index, parameters) in parameters.into_iter().enumerate() {
            let text = format!(
                r#"{{"event":"start","sequence_number":"1","stream_id":"S1","start":{{"user_id":"U","call_control_id":"v2:C","call_session_id":"F","from":"x","to":"y","client_state":"aGk=",{parameters}"media_format":{{"encoding":"PCMA","sample_rate":8000,"channels":1}}}}}}"#
            );
            let Ok(StreamMessage::Start(start)) = parse(Carrier::Telnyx, &text) else {
                panic!("no start: {text}")
            };
            assert_eq!((&*start.stream_id, &*start.carrier_call_id), ("S1", "v2:C"));
            assert_eq!(start.client_state.as_deref(), Some("aGk="));
            assert_eq!(
                start.parameters.get("ctx").map(|ctx| &**ctx),
                (index < 2).then_some("abc")
            );
            assert_eq!(start.format.encoding, Encoding::Pcma);
            assert!(!format!("{start:?}").contains("abc"));
        }
        let cases = [
            (
                r#"{"event":"connected","version":"1.0.0"}"#,
                StreamMessage::Connected,
            ),
            (
                r#"{"event":"mark","sequence_number":"4","stream_id":"S1","mark":{"name":"17"}}"#,
                StreamMessage::Mark("17".into()),
            ),
            (
                r#"{"event":"dtmf","stream_id":"S1","occurred_at":"2026-11-20T12:00:00Z","sequence_number":"5","dtmf":{"digit":"1"}}"#,
                StreamMessage::Dtmf('1'),
            ),
            (
                r#"{"event":"error","payload":{"code":100003,"title":"malformed_frame","detail":"x"},"stream_id":"S1"}"#,
                StreamMessage::Complaint {
                    code: 100_003,
                    title: "malformed_frame".to_owned(),
                },
            ),
            (
                r#"{"event":"stop","sequence_number":"5","stop":{"user_id":"U","call_control_id":"v2:C"},"stream_id":"S1"}"#,
                StreamMessage::Stop,
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse(Carrier::Telnyx, text), Ok(message), "{text}");
        }
    }

    /// Media and clear as Twilio's own bridge (`twilio-agent-connect` 2.5.0) sends them; the rest as the references say.
    #[test]
    fn what_is_sent_is_what_the_carriers_expect() {
        let payload = "//8=";
        assert_eq!(
            written(Carrier::Twilio, |writer, out| writer.media(payload, out)),
            json!({"event": "media", "streamSid": "MZ\"1", "media": {"payload": payload}})
        );
        assert_eq!(
            written(Carrier::Twilio, |writer, out| writer.mark(7, out)),
            json!({"event": "mark", "streamSid": "MZ\"1", "mark": {"name": "7"}})
        );
        assert_eq!(
            written(Carrier::Twilio, StreamWriter::clear),
            json!({"event": "clear", "streamSid": "MZ\"1"})
        );
        assert_eq!(
            written(Carrier::Telnyx, |writer, out| writer.media(payload, out)),
            json!({"event": "media", "media": {"payload": payload}})
        );
        assert_eq!(
            written(Carrier::Telnyx, |writer, out| writer.mark(7, out)),
            json!({"event": "mark", "mark": {"name": "7"}})
        );
        assert_eq!(
            written(Carrier::Telnyx, StreamWriter::clear),
            json!({"event": "clear"})
        );
    }

    #[test]
    fn an_unknown_event_or_format_ends_the_stream_and_a_malformed_frame_does_not() {
        let fatal = [
            (Carrier::Twilio, r#"{"event":"video"}"#, "unknown_event"),
            (Carrier::Telnyx, r#"{"event":"video"}"#, "unknown_event"),
            (
                Carrier::Telnyx,
                r#"{"event":"start","stream_id":"S","start":{"call_control_id":"C","media_format":{"encoding":"AMR-WB","sample_rate":16000,"channels":1}}}"#,
                "unknown_format",
            ),
            (
                Carrier::Twilio,
                r#"{"event":"start","start":{"streamSid":"S","callSid":"C","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":16000,"channels":1}}}"#,
                "unknown_format",
            ),
        ];
        for (carrier, text, kind) in fatal {
            let error = parse(carrier, text).unwrap_err();
            assert!(error.is_fatal() && error.kind() == kind, "{error}");
        }
        let malformed = [
            "",
            "[]",
            r#"{"event":"media"}"#,
            r#"{"event":"media","media":{"track":"inbound","chunk":"x","timestamp":"5","payload":"AAAA"}}"#,
            r#"{"event":"mark"}"#,
            r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
        ];
        for text in malformed {
            for carrier in [Carrier::Twilio, Carrier::Telnyx] {
                let error = parse(carrier, text).unwrap_err();
                assert!(!error.is_fatal() && error.kind() == "malformed", "{error}");
            }
        }
    }

    #[test]
    fn only_codecs_by_their_names_are_known() {
        for encoding in [Encoding::Pcmu, Encoding::Pcma, Encoding::L16, Encoding::Opus] {
            assert_eq!(Encoding::parse(encoding.as_str()), Some(encoding));
        }
        assert_eq!(Encoding::parse("G722"), None);
    }
}
