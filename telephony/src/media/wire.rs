//! A number that a carrier writes as a number or as text.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// Twilio and Telnyx write `"chunk":"2"`; others have been seen to write `2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                digits(text)
                    .map(Number)
                    .ok_or_else(|| E::custom("not a whole number"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The value of decimal digits and nothing else.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}
