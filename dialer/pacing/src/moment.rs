//! Points in time as the pacer counts them: microseconds of the Unix epoch, on anybody's clock.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A point in time, in microseconds since 1970-01-01 UTC. Virtual clocks start wherever they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// So many seconds after the epoch.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e6).round() as i64)
    }

    /// Seconds since the epoch.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Seconds from `earlier` to here; zero where `earlier` is later, as it can be when clocks differ.
    pub fn since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).max(0) as f64 / 1e6
    }
}

impl From<DateTime<Utc>> for Moment {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}
