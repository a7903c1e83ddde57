//! The one time format on the wire: RFC 3339, UTC, microseconds, `Z`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// `%Y-%m-%dT%H:%M:%S%.6fZ`.
pub const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// Writes `at` as `2026-11-21T09:30:00.123456Z`.
///
/// # Errors
/// Whatever the serializer answers.
pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.format(FORMAT))
}

/// Reads any RFC 3339 time and converts it to UTC.
///
/// # Errors
/// When the text is not RFC 3339.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(deserializer)
}
