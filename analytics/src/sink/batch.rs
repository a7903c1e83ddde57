//! What a partition has read and not written yet.

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use voice_kafka::consumer::Record;

use super::{
    SinkConfig,
    intent::{Digest, Intent},
};
use crate::processors::{Feed, Meta, Reject};

/// How many times longer a batch may wait for records that are known to come.
const CATCHING_UP: u32 = 20;

/// Consecutive records of a partition: rows to insert and records that cannot become rows.
#[derive(Default)]
pub(super) struct Batch<F> {
    pub(super) rows: F,
    pub(super) rejected: Vec<Rejected>,
    range: Option<(i64, i64)>,
    digest: Digest,
    bytes: usize,
    opened: Option<Instant>,
}

/// A record that goes to the dead letters.
pub(super) struct Rejected {
    pub(super) offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) reject: Reject,
}

impl<F: Feed> Batch<F> {
    /// Decodes the record into the batch; true when it became a row.
    pub(super) fn push(
        &mut self,
        topic: &str,
        partition: i32,
        record: Record<'_>,
        now: DateTime<Utc>,
    ) -> bool {
        let first = self.range.map_or(record.offset, |(first, _)| first);
        self.range = Some((first, record.offset));
        self.opened.get_or_insert_with(Instant::now);
        self.bytes += record.payload.map_or(0, <[u8]>::len);
        match self.rows.push(
            Meta {
                topic,
                partition,
                offset: record.offset,
            },
            record.payload,
            now,
        ) {
            Ok(()) => {
                self.digest.add(record.offset);
                true
            }
            Err(reject) => {
                self.rejected.push(Rejected {
                    offset: record.offset,
                    key: record.key.unwrap_or_default().to_vec(),
                    payload: record.payload.unwrap_or_default().to_vec(),
                    reject,
                });
                false
            }
        }
    }

    pub(super) fn is_full(&self, config: &SinkConfig) -> bool {
        self.rows.len() + self.rejected.len() >= config.max_rows || self.bytes >= config.max_bytes
    }

    /// When it must be written at the latest, with `ahead` records of the log still to be read.
    ///
    /// Far behind, small batches cost twice: in the insert, and in the merges that follow it. So a batch
    /// that another whole one follows waits to be full, within reason.
    pub(super) fn due(&self, config: &SinkConfig, ahead: u64) -> Option<Instant> {
        let linger = if ahead >= config.max_rows as u64 {
            config.linger() * CATCHING_UP
        } else {
            config.linger()
        };
        self.opened.map(|opened| opened + linger)
    }

    /// The intent that announces this batch.
    pub(super) fn intent(&self, epoch: u32, now: DateTime<Utc>) -> Option<Intent> {
        self.range.map(|(first, last)| Intent {
            first,
            last,
            rows: self.rows.len(),
            digest: self.digest.value(),
            epoch,
            formed_ms: now.timestamp_millis(),
            repairing: false,
        })
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.rejected.clear();
        self.range = None;
        self.digest = Digest::default();
        self.bytes = 0;
        self.opened = None;
    }
}
