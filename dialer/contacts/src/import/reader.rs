//! The thread that reads the file, one batch ahead of the database.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use encoding_rs::Encoding;
use tokio::sync::mpsc;

use crate::{
    Column, Numbers, Reading, Remark, candidate,
    file::{
        FileError,
        records::{Records, Row},
    },
};

/// Bytes of rows in a batch, whatever their number: what keeps memory flat when rows are long.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How the rows of a file are read.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    pub(crate) encoding: &'static Encoding,
    pub(crate) delimiter: u8,
    pub(crate) has_header: bool,
    pub(crate) columns: Arc<Vec<Column>>,
    pub(crate) numbers: Numbers,
    pub(crate) file_bytes: u64,
    pub(crate) batch_rows: usize,
    pub(crate) now: DateTime<Utc>,
}

/// Some rows of the file, in its order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<(Reading, Vec<Remark>)>,
    /// How far the file was read.
    pub(crate) bytes: u64,
}

impl Reader {
    /// Reads everything behind the first `skip` rows, until nobody takes batches any more.
    pub(crate) fn start(self, skip: u64) -> mpsc::Receiver<Result<Batch, FileError>> {
        // One waits while one is written and one is read.
        let (batches, receiver) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = self.read(skip, &batches) {
                // Nobody is there to be told when the import was dropped.
                let _dropped = batches.blocking_send(Err(error));
            }
        });
        receiver
    }

    fn read(&self, skip: u64, batches: &mpsc::Sender<Result<Batch, FileError>>) -> Result<(), FileError> {
        let mut records = Records::open(&self.path, self.encoding, self.delimiter)?;
        let mut row = Row::default();
        if self.has_header {
            records.next(&mut row)?;
        }
        for _ in 0..skip {
            records.next(&mut row)?;
        }
        let (mut batch, mut size) = (Batch::default(), 0);
        while let Some(found) = records.next(&mut row)? {
            size += row.text().len();
            batch.rows.push(candidate::read(
                found,
                &row,
                &self.columns,
                &self.numbers,
                self.now,
            ));
            if batch.rows.len() >= self.batch_rows || size >= MOST_BYTES {
                batch.bytes = records.bytes().min(self.file_bytes);
                if batches.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                    return Ok(());
                }
                size = 0;
            }
        }
        if records.bytes() != self.file_bytes {
            return Err(FileError::Changed);
        }
        if !batch.rows.is_empty() {
            batch.bytes = self.file_bytes;
            let _dropped = batches.blocking_send(Ok(batch));
        }
        Ok(())
    }
}
