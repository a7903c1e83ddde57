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
mod columns;
pub mod media_events;
pub mod transcripts;
mod verbatim;
mod wire;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use voice_clickhouse::block::Columns;
use voice_schemas::{Envelope, EventType, envelope::EventData, topics::Topic};

/// Events may lie this far in the past …
const OLDEST: TimeDelta = TimeDelta::days(30);
/// … and this far in the future; anything else is a broken clock, and too many days in one insert would
/// stop the whole batch.
const NEWEST: TimeDelta = TimeDelta::days(1);

/// The records of one topic on their way into one table.
pub trait Feed: Columns + Default + Send + Sync + 'static {
    /// The consumer group whose offsets say what is in the table.
    const GROUP: &'static str;
    /// Where the records come from.
    const TOPIC: &'static Topic;
    /// Where the rows go.
    const TABLE: &'static str;
    /// Names this stage in dead letters.
    const STAGE: &'static str;
    /// Statements that derive again, from stored rows, what the table's views derive. Their targets take the same
    /// row any number of times.
    const DERIVED: &'static [&'static str];
    /// What people said is in the records: a dead letter says where one is and does not hold it.
    const RESTRICTED: bool = false;

    /// Appends the row of a record. On a rejection nothing was appended.
    ///
    /// # Errors
    /// When the record is no valid event of this topic.
    fn push(&mut self, meta: Meta<'_>, payload: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), Reject>;
    /// Forgets all rows and keeps the memory.
    fn clear(&mut self);
    /// The offset of the row at `position`.
    fn offset(&self, position: usize) -> Option<u64>;
    /// The earliest arrival among the rows, microseconds since 1970.
    fn earliest_arrival(&self) -> Option<i64>;
}

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

fn within_time(micros: i64, now: DateTime<Utc>) -> Result<(), Reject> {
    let (oldest, newest) = (
        (now - OLDEST).timestamp_micros(),
        (now + NEWEST).timestamp_micros(),
    );
    if (oldest..=newest).contains(&micros) {
        Ok(())
    } else {
        Err(Reject::new(
            "time_out_of_range",
            "the event's time is over 30 days ago or over a day ahead",
        ))
    }
}

/// The typed event of a record. What is wrong is said by its place, not by its words: they quote the value.
fn typed<T: EventData + DeserializeOwned>(payload: Option<&[u8]>) -> Result<Envelope<T>, Reject> {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    let payload = payload.ok_or_else(|| Reject::new("tombstone", "the record has no payload"))?;
    serde_json::from_slice(payload).map_err(|error| {
        let head = serde_json::from_slice::<Head<'_>>(payload);
        if head.is_ok_and(|head| EventType::parse(&head.kind).is_none()) {
            Reject::new("unknown_type", "the event type is not in the catalogue")
        } else {
            let (line, column) = (error.line(), error.column());
            Reject::new("malformed", format!("not an event: line {line}, column {column}"))
        }
    })
}

/// Where the record lies, as the table has it.
fn place(meta: Meta<'_>) -> Result<(u16, u64), Reject> {
    match (u16::try_from(meta.partition), u64::try_from(meta.offset)) {
        (Ok(partition), Ok(offset)) => Ok((partition, offset)),
        _ => Err(Reject::new("offset", "the record has no offset")),
    }
}
