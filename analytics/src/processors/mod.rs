//! From the bytes of a record to the row of a table: pure functions, one module per topic.
//!
//! A processor never panics and never does I/O. What it cannot turn into a row it rejects with a stable
//! code; the record goes to the dead letters with its bytes, and its neighbours go on.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod call_events;
mod verbatim;
mod wire;

/// Why a record cannot become a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Reject {
    /// A stable label of the reason.
    pub code: &'static str,
    /// The reason, for a person; quotes no payload.
    pub detail: String,
}

impl Reject {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    /// The topic's full name.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}
