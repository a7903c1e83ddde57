//! JSON pointers (RFC 6901, as URI fragments) to the field a client got wrong.

use std::borrow::Cow;

use serde_path_to_error::{Path, Segment};

use crate::FieldError;

/// What a deserializer complained about, as a fault of one field.
pub(crate) fn field_error(path: &Path, complaint: &str) -> FieldError {
    let mut pointer = String::from("#");
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // The variant of a tagged enum is no level of the document; an unknown level has no name.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let message = without_position(complaint);
    let (code, extra) = classify(message);
    if let Some(field) = extra {
        push(&mut pointer, field);
    }
    FieldError::new(pointer, code, without_our_names(message))
}

fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for byte in segment.bytes() {
        match byte {
            b'~' => pointer.push_str("~0"),
            b'/' => pointer.push_str("~1"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => pointer.push(char::from(byte)),
            _ => pointer.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// `serde_json` appends the position, which says nothing to whoever built the document with a library.
fn without_position(complaint: &str) -> &str {
    complaint
        .rsplit_once(" at line ")
        .map_or(complaint, |(message, _)| message)
}

/// What we call our types is nobody's business and helps nobody.
fn without_our_names(message: &str) -> String {
    for (ours, theirs) in [
        ("expected struct ", "an object"),
        ("expected enum ", "one of the documented forms"),
    ] {
        if let Some((found, _)) = message.split_once(ours) {
            return format!("{found}expected {theirs}");
        }
    }
    message.to_owned()
}

/// The stable code for one of serde's messages; for a missing field also the field, since serde reports
/// it at the level above.
fn classify(message: &str) -> (Cow<'static, str>, Option<&str>) {
    let quoted = || message.split('`').nth(1);
    if message.starts_with("missing field") {
        (Cow::Borrowed("required"), quoted())
    } else if message.starts_with("unknown field") {
        (Cow::Borrowed("unknown_field"), None)
    } else if message.starts_with("unknown variant") {
        (Cow::Borrowed("unknown_value"), None)
    } else if message.starts_with("duplicate field") {
        (Cow::Borrowed("duplicate_field"), quoted())
    } else if message.starts_with("invalid type") {
        (Cow::Borrowed("wrong_type"), None)
    } else {
        (Cow::Borrowed("invalid_value"), None)
    }
}
