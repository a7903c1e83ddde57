//! Twilio Media Streams. <https://www.twilio.com/docs/voice/media-streams/websocket-messages>

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use crate::media::{
    Encoding, Heads, MediaFormat, MediaFrame, Number, StreamError, StreamMessage, StreamStart, Track,
    scan::is_base64,
};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    start: Option<Start>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'a>>,
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
#[serde(rename_all = "camelCase")]
struct Start {
    stream_sid: String,
    call_sid: String,
    #[serde(default)]
    custom_parameters: BTreeMap<String, String>,
    media_format: Format,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
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

pub(crate) fn parse(text: &str) -> Result<StreamMessage<'_>, StreamError> {
    let message: Message<'_> = serde_json::from_str(text)
        .map_err(|_| StreamError::malformed("message", "is not what it should be"))?;
    match &*message.event {
        "connected" => Ok(StreamMessage::Connected),
        "start" => start(message.start.ok_or(MISSING_START)?),
        "media" => media(message.media.ok_or(MISSING_MEDIA)?),
        "mark" => {
            let mark = message.mark.ok_or(StreamError::malformed("mark", "is missing"))?;
            Ok(StreamMessage::Mark(mark.name))
        }
        "dtmf" => {
            let dtmf = message.dtmf.ok_or(StreamError::malformed("dtmf", "is missing"))?;
            digit(&dtmf.digit).map(StreamMessage::Dtmf)
        }
        "stop" => Ok(StreamMessage::Stop),
        other => Err(StreamError::unknown(other)),
    }
}

const MISSING_START: StreamError = StreamError::malformed("start", "is missing");
const MISSING_MEDIA: StreamError = StreamError::malformed("media", "is missing");

fn start(start: Start) -> Result<StreamMessage<'static>, StreamError> {
    let format = &start.media_format;
    // The only format Twilio has; another one would be noise.
    if Encoding::parse(&format.encoding) != Some(Encoding::Pcmu)
        || (format.sample_rate, format.channels) != (8_000, 1)
    {
        return Err(StreamError::UnknownFormat {
            encoding: format.encoding.chars().take(64).collect(),
            rate_hz: format.sample_rate,
        });
    }
    Ok(StreamMessage::Start(Box::new(StreamStart {
        stream_id: start.stream_sid,
        carrier_call_id: start.call_sid,
        parameters: start.custom_parameters,
        client_state: None,
        format: MediaFormat {
            encoding: Encoding::Pcmu,
            rate_hz: 8_000,
            channels: 1,
        },
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

/// A key as both carriers write it.
pub(crate) fn digit(text: &str) -> Result<char, StreamError> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Ok(key),
        _ => Err(StreamError::malformed("dtmf.digit", "is not a key")),
    }
}

pub(crate) fn heads(stream_id: &str) -> Heads {
    // Quotes and escapes it.
    let sid = serde_json::Value::from(stream_id).to_string();
    Heads {
        media: format!(r#"{{"event":"media","streamSid":{sid},"media":{{"payload":""#),
        mark: format!(r#"{{"event":"mark","streamSid":{sid},"mark":{{"name":""#),
        clear: format!(r#"{{"event":"clear","streamSid":{sid}}}"#),
    }
}
