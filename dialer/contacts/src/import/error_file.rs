//! The file that says what was not taken: line, column, code, outcome, and the shape of the value.

use std::{
    io::{self, SeekFrom},
    path::Path,
};

use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
};

use super::Entry;
use crate::{Column, Error};

const HEADING: [&str; 5] = ["line", "column", "code", "outcome", "value_masked"];

/// Written before each batch is committed, and cut back to the last committed batch when an import goes on: so
/// it says exactly what the counters say.
#[derive(Debug)]
pub(crate) struct ErrorFile {
    file: File,
}

impl ErrorFile {
    /// Opens the file of an import whose last committed batch left it `committed` bytes long.
    pub(crate) async fn open(path: &Path, committed: u64) -> Result<Self, Error> {
        let opened = async {
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .open(path)
                .await?;
            let found = file.metadata().await?.len();
            Ok((file, found))
        };
        let (file, found) = opened.await.map_err(Error::ErrorFile)?;
        if found < committed {
            return Err(Error::OtherErrorFile {
                expected: committed,
                found,
            });
        }
        Ok(Self { file })
    }

    /// Puts these entries behind the first `committed` bytes and returns the length the file then has.
    pub(crate) async fn write(
        &mut self,
        committed: u64,
        entries: &[Entry],
        columns: &[Column],
    ) -> Result<u64, Error> {
        let bytes = table(committed == 0, entries, columns).map_err(Error::ErrorFile)?;
        let length = committed + bytes.len() as u64;
        let written = async {
            self.file.set_len(committed).await?;
            self.file.seek(SeekFrom::Start(committed)).await?;
            self.file.write_all(&bytes).await?;
            self.file.sync_data().await
        };
        written.await.map_err(Error::ErrorFile)?;
        Ok(length)
    }
}

fn table(first: bool, entries: &[Entry], columns: &[Column]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if first {
        writer.write_record(HEADING)?;
    }
    for entry in entries {
        let remark = &entry.remark;
        writer.write_record([
            remark.line.to_string().as_str(),
            remark.column.map_or("", |at| &columns[at].name),
            remark.code.as_str(),
            entry.outcome.as_str(),
            remark.masked.as_deref().unwrap_or_default(),
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}
