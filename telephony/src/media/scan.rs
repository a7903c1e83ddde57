//! Finds the payload of a media frame without reading the message as JSON in full.
//!
//! Both carriers send a flat object with one inner object, `media`. The scan walks it once, key by key, and
//! gives up at the first thing it does not expect: an escape, a nested value, a repeated key. Whatever it gives up
//! on is read by the complete parser; whatever it finds, the complete parser would have found too.

use std::borrow::Cow;

use memchr::memchr2;

use super::{MediaFrame, Track, wire::digits};

/// The frame, if `text` is a plain media message.
pub(crate) fn media(text: &str) -> Option<MediaFrame<'_>> {
    let mut cursor = Cursor { text, at: 0 };
    let (mut event, mut found) = (None, None);
    cursor.object(|cursor, key| match key {
        "event" if event.is_none() => {
            event = Some(cursor.string()?);
            (event == Some("media")).then_some(())
        }
        "media" if found.is_none() => {
            found = Some(frame(cursor)?);
            Some(())
        }
        "event" | "media" => None,
        _ => cursor.skip(),
    })?;
    cursor.space();
    if cursor.at != text.len() || event.is_none() {
        return None;
    }
    found
}

fn frame<'a>(cursor: &mut Cursor<'a>) -> Option<MediaFrame<'a>> {
    let (mut track, mut chunk, mut timestamp, mut payload) = (None, None, None, None);
    cursor.object(|cursor, key| {
        match key {
            "track" if track.is_none() => {
                track = Some(match cursor.string()? {
                    "inbound" => Track::Inbound,
                    "outbound" => Track::Outbound,
                    _ => return None,
                });
            }
            "chunk" if chunk.is_none() => chunk = Some(cursor.number()?),
            "timestamp" if timestamp.is_none() => timestamp = Some(cursor.number()?),
            "payload" if payload.is_none() => payload = Some(cursor.string()?),
            "track" | "chunk" | "timestamp" | "payload" => return None,
            _ => cursor.skip()?,
        }
        Some(())
    })?;
    let payload = payload.filter(|payload| is_base64(payload))?;
    Some(MediaFrame {
        track: track?,
        chunk: chunk?,
        timestamp_ms: timestamp?,
        payload: Cow::Borrowed(payload),
    })
}

/// Well-formed standard Base64 with padding, and not empty.
pub(crate) fn is_base64(payload: &str) -> bool {
    !payload.is_empty() && base64_simd::STANDARD.check(payload.as_bytes()).is_ok()
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        loop {
            let key = self.string()?;
            self.take(b':')?;
            field(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = memchr2(b'"', b'\\', rest)?;
        if rest[length] == b'\\' {
            return None;
        }
        let string = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        Some(string)
    }

    fn number(&mut self) -> Option<u64> {
        if self.peek()? == b'"' {
            return digits(self.string()?);
        }
        bare_number(self.bare())
    }

    fn bare(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            .count();
        self.at += length;
        &rest[..length]
    }

    /// A value that does not matter: a plain string, digits, or a literal.
    fn skip(&mut self) -> Option<()> {
        if self.peek()? == b'"' {
            let string = self.string()?;
            return string.bytes().all(|byte| byte >= b' ').then_some(());
        }
        match self.bare() {
            "true" | "false" | "null" => Some(()),
            number => bare_number(number).map(drop),
        }
    }
}

/// Digits as JSON writes a number: without a zero in front.
fn bare_number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    digits(text).filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        media::{StreamError, StreamMessage},
        telnyx, twilio,
    };

    /// Fields in any order, numbers as text or not, with unknown fields between them.
    fn messages() -> impl Strategy<Value = (String, u64, u64, bool, Vec<u8>)> {
        (
            (
                0..1_000_000_u64,
                0..10_000_000_u64,
                any::<bool>(),
                vec(any::<u8>(), 1..400),
            ),
            (
                any::<bool>(),
                any::<bool>(),
                0..24_usize,
                0..24_usize,
                any::<bool>(),
            ),
            select(vec![json!(null), json!(12), json!("text"), json!(true)]),
        )
            .prop_map(|(frame, (text, spaced, outer, inner, extra), other)| {
                let (chunk, timestamp, inbound, bytes) = frame;
                let number = |value: u64| {
                    if text {
                        json!(value.to_string())
                    } else {
                        json!(value)
                    }
                };
                let mut fields = vec![
                    ("track", json!(if inbound { "inbound" } else { "outbound" })),
                    ("chunk", number(chunk)),
                    ("timestamp", number(timestamp)),
                    ("payload", json!(STANDARD.encode(&bytes))),
                ];
                if extra {
                    fields.push(("other", other.clone()));
                }
                let media = object(fields, inner, spaced);
                let message = object(
                    vec![
                        ("event", json!("media")),
                        ("sequenceNumber", number(chunk + 2)),
                        ("streamSid", json!("MZ00000000000000000000000000000001")),
                        ("x", other),
                    ],
                    outer,
                    spaced,
                );
                let place = message.len() - 1;
                let mut whole = message;
                whole.insert_str(place, &format!(r#","media":{media}"#));
                (whole, chunk, timestamp, inbound, bytes)
            })
    }

    fn object(mut fields: Vec<(&str, Value)>, order: usize, spaced: bool) -> String {
        let turns = order % fields.len();
        fields.rotate_left(turns);
        let (colon, comma) = if spaced { (" : ", ",\n\t") } else { (":", ",") };
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| format!(r#""{name}"{colon}{value}"#))
            .collect();
        format!("{{{}}}", fields.join(comma))
    }

    proptest! {
        #[test]
        fn a_frame_is_found_in_any_order_of_fields_and_as_the_complete_parser_finds_it(
            (text, chunk, timestamp, inbound, bytes) in messages(),
        ) {
            let frame = media(&text).unwrap();
            prop_assert_eq!((frame.chunk, frame.timestamp_ms), (chunk, timestamp));
            prop_assert_eq!(frame.track == Track::Inbound, inbound);
            prop_assert_eq!(STANDARD.decode(frame.payload.as_bytes()).unwrap(), bytes);
            prop_assert!(matches!(frame.payload, Cow::Borrowed(_)));
            for complete in [twilio::media::parse(&text), telnyx::media::parse(&text)] {
                prop_assert_eq!(complete, Ok(StreamMessage::Media(frame.clone())));
            }
        }

        /// One changed, removed or inserted byte: never a panic, and never a frame that JSON does not hold.
        #[test]
        fn what_is_damaged_is_refused_or_read_as_json_reads_it(
            (text, ..) in messages(), at in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0..3_u8,
        ) {
            let mut bytes = text.into_bytes();
            let place = at.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => { bytes.remove(place); }
                _ => bytes.insert(place, byte),
            }
            if let Ok(text) = String::from_utf8(bytes)
                && let Some(found) = media(&text)
            {
                // A control character in a field nobody reads is the one thing let through.
                let clean: String = text.chars().map(|c| if c < ' ' { ' ' } else { c }).collect();
                prop_assert_eq!(twilio::media::parse(&clean), Ok(StreamMessage::Media(found)));
            }
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,200}") {
            let _ = media(&text);
            let _ = twilio::media::parse(&text);
            let _ = telnyx::media::parse(&text);
        }
    }

    #[test]
    fn a_number_with_a_zero_in_front_is_no_json() {
        for (chunk, is_frame) in [("0", true), ("10", true), ("010", false), ("00", false)] {
            let text = format!(
                r#"{{"event":"media","media":{{"track":"inbound","chunk":{chunk},"timestamp":5,"payload":"AAAA"}}}}"#
            );
            assert_eq!(media(&text).is_some(), is_frame, "{chunk}");
            assert_eq!(twilio::media::parse(&text).is_ok(), is_frame, "{chunk}");
        }
    }

    #[test]
    fn escaped_slashes_take_the_slow_way_and_give_the_same_audio() {
        let text = r#"{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"\/\/8="},"streamSid":"MZ1"}"#;
        assert_eq!(media(text), None);
        let Ok(StreamMessage::Media(frame)) = twilio::media::parse(text) else {
            panic!("not a frame")
        };
        assert_eq!(frame.payload, "//8=");
    }

    #[test]
    fn a_payload_that_could_break_out_of_its_string_is_malformed() {
        for payload in ["", "ab\\\"cd==", "a b=", "AAA", "AAAA\\u0000"] {
            let text = format!(
                r#"{{"event":"media","media":{{"track":"inbound","chunk":"1","timestamp":"5","payload":"{payload}"}}}}"#
            );
            assert_eq!(media(&text), None, "{payload}");
            assert!(
                matches!(twilio::media::parse(&text), Err(StreamError::Malformed { .. })),
                "{payload}"
            );
        }
    }
}
