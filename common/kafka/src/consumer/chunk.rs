//! Records on their way from the client to a partition's worker, copied once into one buffer.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A record as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its payload; absent on a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// Consecutive records of one partition. Counts against the partition's budget until it is dropped.
#[derive(Debug)]
pub struct Chunk {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    load: Arc<Load>,
}

#[derive(Debug)]
struct Span {
    offset: i64,
    key: Option<Range<u32>>,
    payload: Option<Range<u32>>,
}

impl Chunk {
    pub(super) const fn new(load: Arc<Load>) -> Self {
        Self {
            bytes: Vec::new(),
            spans: Vec::new(),
            load,
        }
    }

    pub(super) fn push(&mut self, offset: i64, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let before = self.bytes.len();
        let key = key.map(|bytes| self.append(bytes));
        let payload = payload.map(|bytes| self.append(bytes));
        self.spans.push(Span { offset, key, payload });
        self.load.add(1, self.bytes.len() - before);
    }

    fn append(&mut self, bytes: &[u8]) -> Range<u32> {
        // A chunk is cut at CHUNK_BYTES and the broker's largest record is far below 4 GiB.
        #[allow(clippy::cast_possible_truncation)]
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        #[allow(clippy::cast_possible_truncation)]
        let end = self.bytes.len() as u32;
        start..end
    }

    /// The records, in the order of their offsets.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        let part = |range: &Range<u32>| &self.bytes[range.start as usize..range.end as usize];
        self.spans.iter().map(move |span| Record {
            offset: span.offset,
            key: span.key.as_ref().map(part),
            payload: span.payload.as_ref().map(part),
        })
    }

    /// How many records it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.load.remove(self.spans.len(), self.bytes.len());
    }
}

/// What a partition holds in memory right now.
#[derive(Debug, Default)]
pub(super) struct Load {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    fn add(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn held(&self) -> (usize, usize) {
        (
            self.records.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_gives_back_what_was_put_in_and_its_budget_when_it_is_dropped() {
        let load = Arc::new(Load::default());
        let mut chunk = Chunk::new(Arc::clone(&load));
        chunk.push(7, Some(b"key"), Some(b"payload"));
        chunk.push(9, None, None);
        let records: Vec<_> = chunk
            .records()
            .map(|record| (record.offset, record.key, record.payload))
            .collect();
        assert_eq!(
            records,
            [(7, Some(&b"key"[..]), Some(&b"payload"[..])), (9, None, None)]
        );
        assert_eq!(load.held(), (2, 10));
        drop(chunk);
        assert_eq!(load.held(), (0, 0));
    }
}
