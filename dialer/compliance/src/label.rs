//! The name of a rule or a pack on a verdict: shared, so that naming it copies no text.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

/// A rule id (`us-fl/hours`) or a pack version (`us-fl@2026.11.1`).
#[derive(Clone)]
pub enum Label {
    /// Named in code: the hard limits and what tenants add.
    Fixed(&'static str),
    /// Named in a pack.
    Shared(Arc<str>),
}

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
