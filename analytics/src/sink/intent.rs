//! What the sink writes beside its committed offsets, and what a new owner concludes from it.
//!
//! Before a batch is inserted its range is written into the metadata of an offset commit that does not
//! move the offset: the *intent*. After the insert the offset moves: *done*. A commit is accepted only
//! from the partition's present owner, so whoever owns a partition next sees every intent that can have
//! led to an insert, and repeats exactly that insert under exactly that token.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use voice_kafka::consumer::Committed;

/// The range of a batch that is about to be inserted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The first offset of the batch.
    #[serde(rename = "f")]
    pub first: i64,
    /// The last one, included.
    #[serde(rename = "l")]
    pub last: i64,
    /// Rows in the block; records that went to the dead letters are not rows.
    #[serde(rename = "n")]
    pub rows: usize,
    /// Digest of the rows' offsets: the same range with other dead letters is another block.
    #[serde(rename = "h")]
    pub digest: u64,
    /// Epoch of the tokens; raised when the deduplication window of the table was lost.
    #[serde(rename = "e")]
    pub epoch: u32,
    /// When the intent was first written, milliseconds since 1970: the age of the token.
    #[serde(rename = "t")]
    pub formed_ms: i64,
    /// The range is being repaired row by row, under other tokens: a successor must ask the table again.
    #[serde(rename = "r", default)]
    pub repairing: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "s", rename_all = "snake_case")]
enum Mark {
    Intent(Intent),
    Done,
}

/// What to do with the first batch of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The predecessor finished its batch: go on behind it.
    Continue,
    /// The predecessor may have inserted this range: read exactly it and insert it under its token. The
    /// table ignores what it has and completes views that were left behind.
    Repeat(Intent),
    /// The table may have forgotten the token, or the offset was set by hand: ask the table which offsets
    /// it has and insert the others. The range where one is known, else the first batch that forms.
    Verify(Option<Intent>),
}

impl Intent {
    /// The commit metadata that announces this intent.
    #[must_use]
    pub fn metadata(&self) -> String {
        encode(&Mark::Intent(self.clone()))
    }

    /// The deduplication token of the block.
    #[must_use]
    pub fn token(&self, cluster: &str, topic: &str, partition: i32) -> String {
        format!(
            "{cluster}/{topic}/{}/{partition}/{}-{}",
            self.epoch, self.first, self.last
        )
    }
}

/// The commit metadata that says the batch before the offset is in the table.
#[must_use]
pub fn done() -> String {
    encode(&Mark::Done)
}

fn encode(mark: &Mark) -> String {
    // A struct of numbers always serializes.
    serde_json::to_string(mark).unwrap_or_default()
}

/// Reads what the predecessor left. `window` is how long the table surely remembers a token.
#[must_use]
pub fn recovery(
    committed: Option<&Committed>,
    epoch: u32,
    now: DateTime<Utc>,
    window: TimeDelta,
) -> Recovery {
    let mark = committed.and_then(|committed| serde_json::from_str(&committed.metadata).ok());
    match mark {
        Some(Mark::Done) => Recovery::Continue,
        Some(Mark::Intent(intent)) => {
            let age = now.timestamp_millis().saturating_sub(intent.formed_ms);
            if !intent.repairing && intent.epoch == epoch && age < window.num_milliseconds() / 2 {
                Recovery::Repeat(intent)
            } else {
                Recovery::Verify(Some(intent))
            }
        }
        None => Recovery::Verify(None),
    }
}

/// Digest over the offsets of a block's rows (FNV-1a, 64 bit).
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds a row.
    #[inline]
    pub const fn add(&mut self, offset: i64) {
        self.0 = (self.0 ^ offset.cast_unsigned()).wrapping_mul(0x0100_0000_01b3);
    }

    /// The digest so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: TimeDelta = TimeDelta::hours(24);

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn intent() -> Intent {
        Intent {
            first: 10,
            last: 19,
            rows: 9,
            digest: 7,
            epoch: 2,
            formed_ms: 1_000,
            repairing: false,
        }
    }

    fn committed(metadata: String) -> Committed {
        Committed { offset: 10, metadata }
    }

    #[test]
    fn an_intent_that_is_found_is_repeated_while_the_table_remembers_its_token() {
        let found = committed(intent().metadata());
        assert_eq!(
            recovery(Some(&found), 2, at(2_000), WINDOW),
            Recovery::Repeat(intent())
        );
        let half = WINDOW.num_milliseconds() / 2;
        assert_eq!(
            recovery(Some(&found), 2, at(1_000 + half - 1), WINDOW),
            Recovery::Repeat(intent())
        );
        assert_eq!(
            recovery(Some(&found), 2, at(1_000 + half), WINDOW),
            Recovery::Verify(Some(intent()))
        );
    }

    #[test]
    fn a_repair_that_was_cut_off_is_verified_again() {
        let found = Intent {
            repairing: true,
            ..intent()
        };
        let recovery = recovery(Some(&committed(found.metadata())), 2, at(2_000), WINDOW);
        assert_eq!(recovery, Recovery::Verify(Some(found)));
    }

    #[test]
    fn a_new_token_epoch_asks_the_table_instead_of_trusting_the_token() {
        let found = committed(intent().metadata());
        assert_eq!(
            recovery(Some(&found), 3, at(2_000), WINDOW),
            Recovery::Verify(Some(intent()))
        );
    }

    #[test]
    fn after_a_finished_batch_work_goes_on_and_an_offset_set_by_hand_is_verified() {
        assert_eq!(
            recovery(Some(&committed(done())), 2, at(0), WINDOW),
            Recovery::Continue
        );
        assert_eq!(
            recovery(Some(&committed(String::new())), 2, at(0), WINDOW),
            Recovery::Verify(None)
        );
        assert_eq!(recovery(None, 2, at(0), WINDOW), Recovery::Verify(None));
    }

    #[test]
    fn the_metadata_fits_the_brokers_default_limit_whatever_the_offsets() {
        let widest = Intent {
            first: i64::MAX - 1,
            last: i64::MAX,
            rows: usize::MAX,
            digest: u64::MAX,
            epoch: u32::MAX,
            formed_ms: i64::MAX,
            repairing: true,
        };
        assert!(widest.metadata().len() < 4_096);
        assert!(
            matches!(recovery(Some(&committed(widest.metadata())), 0, at(0), WINDOW), Recovery::Verify(Some(back)) if back == widest)
        );
    }

    #[test]
    fn the_digest_tells_apart_which_rows_a_range_has() {
        let digest = |offsets: &[i64]| {
            let mut digest = Digest::default();
            offsets.iter().for_each(|offset| digest.add(*offset));
            digest.value()
        };
        assert_eq!(digest(&[1, 2, 3]), digest(&[1, 2, 3]));
        assert_ne!(digest(&[1, 2, 3]), digest(&[1, 3]));
        assert_ne!(digest(&[1, 2, 3]), digest(&[1, 2, 4]));
    }
}
