//! What each carrier says over a stream, in its own words.

use std::fmt::Write as _;

use serde_json::{Value, json};
use uuid::Uuid;
use voice_schemas::events::call::Carrier;

use crate::text::hex;

/// What the words need to know of the call.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) carrier: Carrier,
    /// The carrier's name of the account.
    pub(crate) account: String,
    /// The carrier's name of the call.
    pub(crate) call: String,
    pub(crate) session: Uuid,
    /// Telnyx's `client_state`.
    pub(crate) client_state: Option<String>,
    /// What the stream was asked for with.
    pub(crate) parameters: Vec<(String, String)>,
    /// The carrier's name of the stream.
    pub(crate) stream: String,
}

impl Names {
    /// A new stream's name.
    pub(crate) fn stream(carrier: Carrier) -> String {
        match carrier {
            Carrier::Twilio => format!("MZ{}", hex(Uuid::new_v4().as_bytes())),
            Carrier::Telnyx => Uuid::new_v4().to_string(),
        }
    }

    pub(crate) fn connected(&self) -> Value {
        match self.carrier {
            Carrier::Twilio => json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            Carrier::Telnyx => json!({"event": "connected", "version": "1.0.0"}),
        }
    }

    pub(crate) fn start(&self) -> Value {
        let parameters: Value = self
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        match self.carrier {
            Carrier::Twilio => json!({
                "event": "start", "sequenceNumber": "1", "streamSid": self.stream,
                "start": {
                    "accountSid": self.account, "streamSid": self.stream, "callSid": self.call,
                    "tracks": ["inbound"], "customParameters": parameters,
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                },
            }),
            Carrier::Telnyx => json!({
                "event": "start", "sequence_number": "1", "stream_id": self.stream,
                "start": {
                    "user_id": self.account, "call_control_id": self.call, "call_session_id": self.session,
                    "client_state": self.client_state, "custom_parameters": parameters,
                    "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
                },
            }),
        }
    }

    /// A frame, fifty times a second: written into `text` without a tree of values.
    pub(crate) fn media(&self, chunk: u64, sequence: u64, payload: &str, text: &mut String) {
        let timestamp = (chunk - 1) * super::caller::FRAME_MS;
        let stream = &self.stream;
        text.clear();
        // Writing into a String does not fail.
        let _infallible = match self.carrier {
            Carrier::Twilio => write!(
                text,
                "{{\"event\":\"media\",\"sequenceNumber\":\"{sequence}\",\"media\":{{\"track\":\"inbound\",\
                 \"chunk\":\"{chunk}\",\"timestamp\":\"{timestamp}\",\"payload\":\"{payload}\"}},\
                 \"streamSid\":\"{stream}\"}}"
            ),
            Carrier::Telnyx => write!(
                text,
                "{{\"event\":\"media\",\"sequence_number\":\"{sequence}\",\"media\":{{\"track\":\"inbound\",\
                 \"chunk\":\"{chunk}\",\"timestamp\":\"{timestamp}\",\"payload\":\"{payload}\"}},\
                 \"stream_id\":\"{stream}\"}}"
            ),
        };
    }

    pub(crate) fn mark(&self, name: &str, sequence: u64) -> Value {
        self.with_stream(json!({"event": "mark", "mark": {"name": name}}), sequence)
    }

    pub(crate) fn key(&self, digit: char, sequence: u64) -> Value {
        self.with_stream(
            json!({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit.to_string()}}),
            sequence,
        )
    }

    pub(crate) fn stop(&self, sequence: u64) -> Value {
        let stop = match self.carrier {
            Carrier::Twilio => json!({"accountSid": self.account, "callSid": self.call}),
            Carrier::Telnyx => json!({"user_id": self.account, "call_control_id": self.call}),
        };
        self.with_stream(json!({"event": "stop", "stop": stop}), sequence)
    }

    fn with_stream(&self, mut message: Value, sequence: u64) -> Value {
        let (counter, name) = match self.carrier {
            Carrier::Twilio => ("sequenceNumber", "streamSid"),
            Carrier::Telnyx => ("sequence_number", "stream_id"),
        };
        message[counter] = sequence.to_string().into();
        message[name] = self.stream.as_str().into();
        message
    }
}

#[cfg(test)]
mod tests {
    use voice_telephony::media::{StreamMessage, parse};

    use super::*;

    #[test]
    fn the_platform_understands_every_word_of_both_carriers() {
        for carrier in [Carrier::Twilio, Carrier::Telnyx] {
            let names = Names {
                carrier,
                account: "AC1".to_owned(),
                call: "CA1".to_owned(),
                session: Uuid::nil(),
                client_state: Some("state".to_owned()),
                parameters: vec![("name".to_owned(), "value".to_owned())],
                stream: Names::stream(carrier),
            };
            let text = |value: &Value| value.to_string();
            assert_eq!(
                parse(carrier, &text(&names.connected())),
                Ok(StreamMessage::Connected)
            );
            let start = text(&names.start());
            let Ok(StreamMessage::Start(start)) = parse(carrier, &start) else {
                panic!("{carrier}: {start}");
            };
            assert_eq!(
                (&start.carrier_call_id, &start.stream_id),
                (&names.call, &names.stream)
            );
            assert_eq!(start.parameters["name"], "value");
            let mut media = String::new();
            names.media(3, 9, "//8=", &mut media);
            let Ok(StreamMessage::Media(frame)) = parse(carrier, &media) else {
                panic!("{carrier}: {media}");
            };
            assert_eq!(
                (frame.chunk, frame.timestamp_ms, &*frame.payload),
                (3, 40, "//8=")
            );
            let mark = text(&names.mark("m1", 4));
            assert_eq!(parse(carrier, &mark), Ok(StreamMessage::Mark("m1".into())));
            assert_eq!(
                parse(carrier, &text(&names.key('9', 5))),
                Ok(StreamMessage::Dtmf('9'))
            );
            assert_eq!(parse(carrier, &text(&names.stop(6))), Ok(StreamMessage::Stop));
        }
    }
}
