//! Telnyx media streaming. <https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket>

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use crate::{
    media::{
        Encoding, Heads, MediaFormat, MediaFrame, Number, StreamError, StreamMessage, StreamStart, Track,
        scan::is_base64,
    },
    twilio::media::digit,
};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    stream_id: Option<String>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    start: Option<Start>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'a>>,
    payload: Option<Complaint>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    track: Cow<'a, str>,
    chunk: Number,
    timestamp: Number,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Start {
    call_control_id: String,
    client_state: Option<String>,
    #[serde(default)]
    custom_parameters: Parameters,
    media_format: Format,
}

/// An object of texts. Started over REST they were a list of names and values, and have been seen to come back
/// as one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Parameters {
    Object(BTreeMap<String, String>),
    List(Vec<Parameter>),
    Absent(()),
}

impl Default for Parameters {
    fn default() -> Self {
        Self::Absent(())
    }
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Format {
    encoding: String,
    sample_rate: u32,
    channels: u8,
}

#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dtmf<'a> {
    #[serde(borrow)]
    digit: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: Number,
    #[serde(default)]
    title: String,
}

pub(crate) fn parse(text: &str) -> Result<StreamMessage<'_>, StreamError> {
    let message: Message<'_> = serde_json::from_str(text)
        .map_err(|_| StreamError::malformed("message", "is not what it should be"))?;
    match &*message.event {
        "connected" => Ok(StreamMessage::Connected),
        "start" => {
            let began = message
                .start
                .ok_or(StreamError::malformed("start", "is missing"))?;
            let stream_id = message
                .stream_id
                .ok_or(StreamError::malformed("stream_id", "is missing"))?;
            start(stream_id, began)
        }
        "media" => media(
            message
                .media
                .ok_or(StreamError::malformed("media", "is missing"))?,
        ),
        "mark" => {
            let mark = message.mark.ok_or(StreamError::malformed("mark", "is missing"))?;
            Ok(StreamMessage::Mark(mark.name))
        }
        "dtmf" => {
            let dtmf = message.dtmf.ok_or(StreamError::malformed("dtmf", "is missing"))?;
            digit(&dtmf.digit).map(StreamMessage::Dtmf)
        }
        "error" => {
            let complaint = message
                .payload
                .ok_or(StreamError::malformed("payload", "is missing"))?;
            Ok(StreamMessage::Complaint {
                code: complaint.code.0,
                title: complaint.title.chars().take(64).collect(),
            })
        }
        "stop" => Ok(StreamMessage::Stop),
        other => Err(StreamError::unknown(other)),
    }
}

fn start(stream_id: String, start: Start) -> Result<StreamMessage<'static>, StreamError> {
    let Format {
        encoding: name,
        sample_rate,
        channels,
    } = start.media_format;
    // https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming: rates of its codecs.
    let format = Encoding::parse(&name)
        .filter(|encoding| {
            channels == 1
                && match encoding {
                    Encoding::Pcmu | Encoding::Pcma => sample_rate == 8_000,
                    Encoding::L16 => matches!(sample_rate, 8_000 | 16_000 | 24_000),
                    Encoding::Opus => matches!(sample_rate, 8_000 | 16_000 | 48_000),
                }
        })
        .map(|encoding| MediaFormat {
            encoding,
            rate_hz: sample_rate,
            channels,
        })
        .ok_or_else(|| StreamError::UnknownFormat {
            encoding: name.chars().take(64).collect(),
            rate_hz: sample_rate,
        })?;
    let parameters = match start.custom_parameters {
        Parameters::Object(parameters) => parameters,
        Parameters::List(list) => list
            .into_iter()
            .map(|parameter| (parameter.name, parameter.value))
            .collect(),
        Parameters::Absent(()) => BTreeMap::new(),
    };
    Ok(StreamMessage::Start(Box::new(StreamStart {
        stream_id,
        carrier_call_id: start.call_control_id,
        parameters,
        client_state: start.client_state,
        format,
    })))
}

fn media(media: Media<'_>) -> Result<StreamMessage<'_>, StreamError> {
    let track = match &*media.track {
        "inbound" => Track::Inbound,
        "outbound" => Track::Outbound,
        _ => {
            return Err(StreamError::malformed(
                "media.track",
                "is neither inbound nor outbound",
            ));
        }
    };
    if !is_base64(&media.payload) {
        return Err(StreamError::malformed("media.payload", "is not Base64"));
    }
    Ok(StreamMessage::Media(MediaFrame {
        track,
        chunk: media.chunk.0,
        timestamp_ms: media.timestamp.0,
        payload: media.payload,
    }))
}

/// Telnyx knows the stream by its socket.
pub(crate) fn heads() -> Heads {
    Heads {
        media: r#"{"event":"media","media":{"payload":""#.to_owned(),
        mark: r#"{"event":"mark","mark":{"name":""#.to_owned(),
        clear: r#"{"event":"clear"}"#.to_owned(),
    }
}
