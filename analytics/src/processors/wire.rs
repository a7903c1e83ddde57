//! The parts of an event that become columns, borrowed from the record and decoded in one pass.
//!
//! This mirrors `voice_schemas::events` for speed: no owned strings, no intermediate tree. The contract
//! test at the end of `call_events` feeds every example payload through both.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use uuid::Uuid;

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Event<'a> {
    pub(super) id: Id,
    #[serde(borrow)]
    pub(super) source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    pub(super) time: Micros,
    pub(super) tenantid: Id,
    #[serde(borrow)]
    pub(super) data: Data<'a>,
}

/// The data of a call event or of an attempt event; the type says which.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow)]
    pub(super) call: Option<Call<'a>>,
    #[serde(borrow)]
    pub(super) evidence: Option<Evidence<'a>>,
    #[serde(borrow)]
    pub(super) amd: Option<Amd<'a>>,
    #[serde(borrow)]
    pub(super) bridge: Option<Bridge<'a>>,
    #[serde(borrow)]
    pub(super) ending: Option<Ending<'a>>,
    pub(super) attempt_id: Option<Id>,
    pub(super) campaign_id: Option<Id>,
    pub(super) shard: Option<u16>,
    pub(super) contact_id: Option<Id>,
    pub(super) call_id: Option<Id>,
    pub(super) number: Option<u16>,
    #[serde(borrow, default)]
    pub(super) reasons: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) outcome: Option<Cow<'a, str>>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Call<'a> {
    pub(super) call_id: Id,
    #[serde(borrow)]
    pub(super) direction: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) carrier: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) carrier_call_id: Cow<'a, str>,
    pub(super) campaign_id: Option<Id>,
    pub(super) shard: Option<u16>,
    pub(super) attempt_id: Option<Id>,
    pub(super) contact_id: Option<Id>,
    pub(super) queue_id: Option<Id>,
    pub(super) agent_id: Option<Id>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Evidence<'a> {
    #[serde(borrow)]
    pub(super) carrier_event: Cow<'a, str>,
    pub(super) sequence: Option<u32>,
    pub(super) received_at: Micros,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Amd<'a> {
    #[serde(borrow)]
    pub(super) answered_by: Cow<'a, str>,
    #[serde(default)]
    pub(super) beep: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Bridge<'a> {
    #[serde(borrow)]
    pub(super) agent_kind: Cow<'a, str>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Ending<'a> {
    #[serde(borrow)]
    pub(super) outcome: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) hangup_by: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) cause: Cow<'a, str>,
    pub(super) sip_code: Option<u16>,
    pub(super) duration_ms: Option<u32>,
    #[serde(default)]
    pub(super) reconciled: bool,
}

/// A UUID in its text form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Id(pub(super) Uuid);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse_ascii(text.as_bytes()).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).ok_or_else(|| E::custom("not a UUID"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A time, as microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Micros(pub(super) i64);

impl Micros {
    /// The form the platform writes and no other.
    pub(super) fn canonical(text: &str) -> Option<Self> {
        canonical(text.as_bytes()).map(Self)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Micros;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a time as RFC 3339")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Micros, E> {
                canonical(text.as_bytes())
                    .or_else(|| {
                        DateTime::parse_from_rfc3339(text)
                            .ok()
                            .map(|at| at.timestamp_micros())
                    })
                    .map(Micros)
                    .ok_or_else(|| E::custom("not a time as RFC 3339"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// `2026-11-21T09:30:00.123456Z`, the form the platform writes, without the general parser.
fn canonical(text: &[u8]) -> Option<i64> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let [
        _,
        _,
        _,
        _,
        b'-',
        _,
        _,
        b'-',
        _,
        _,
        b'T',
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
        b'.',
        ..,
        b'Z',
    ] = text
    else {
        return None;
    };
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        text.get(range)?.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
        })
    };
    NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?
        .and_hms_micro_opt(number(11..13)?, number(14..16)?, number(17..19)?, number(20..26)?)
        .map(|at| at.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_cut_agrees_with_the_general_parser_and_leaves_other_forms_to_it() {
        for text in [
            "2026-11-21T09:30:00.123456Z",
            "2024-02-29T23:59:59.999999Z",
            "1970-01-01T00:00:00.000000Z",
        ] {
            let parsed = DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
            assert_eq!(canonical(text.as_bytes()), Some(parsed));
        }
        for text in [
            "2026-11-21T09:30:00Z",
            "2026-11-21T09:30:00.123456+01:00",
            "2026-02-30T09:30:00.123456Z",
        ] {
            assert_eq!(canonical(text.as_bytes()), None);
        }
        let micros: Micros = serde_json::from_str("\"2026-11-21T10:30:00+01:00\"").unwrap();
        assert_eq!(micros.0, 1_795_253_400_000_000);
    }
}
