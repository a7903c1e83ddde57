//! Joins the query text of the URL with the body, and puts an INSERT's rows
//! where the engine reads them exactly.
//!
//! Rows that stand behind the SQL text are cut by the engine at the first line
//! break, so they go into an anonymous file in memory and the statement reads
//! that file. The file is complete before the statement starts: a client that
//! goes away in the middle of its rows inserts nothing.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::errors::QueryError;
use crate::sql::{self, Statement};

/// SQL text that stands before rows in the same body; far more than the 256 KiB
/// that the engine parses (`max_query_size`).
const HEAD: u64 = 1 << 20;

/// A statement and, for an INSERT, its rows.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) text: Vec<u8>,
    pub(crate) statement: Statement,
    pub(crate) rows: Option<File>,
}

/// Reads the whole `body`. `keep_values` leaves the rows of VALUES in the text,
/// where `{name:Type}` parameters are seen.
pub(crate) fn prepare(query: &str, mut body: impl Read, keep_values: bool) -> Result<Prepared, QueryError> {
    let mut text = query.as_bytes().to_vec();
    let joint = if text.is_empty() { 0 } else { 1 };
    let in_url = match sql::classify(&text) {
        Ok(Statement::InsertRows { data_at, .. }) => Some(data_at),
        _ => None,
    };
    if joint == 1 {
        text.push(b'\n');
    }
    if in_url.is_none() {
        (&mut body)
            .take(HEAD)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
    }
    let split = match in_url {
        // The line break only joins the texts; it is no part of rows in the body alone.
        Some(data_at) if text[data_at..].iter().all(u8::is_ascii_whitespace) => Some(text.len()),
        Some(data_at) => Some(data_at),
        None => match sql::classify(&text) {
            Ok(Statement::InsertRows { data_at, .. }) => Some(data_at),
            _ => None,
        },
    };
    if let Some(data_at) = split {
        let statement = sql::classify(&text)?;
        let values = matches!(&statement, Statement::InsertRows { format, .. } if format == "Values");
        if keep_values && values {
            body.read_to_end(&mut text).map_err(unreadable)?;
            let end = text.len();
            return Ok(Prepared {
                text,
                statement: Statement::Change { end },
                rows: None,
            });
        }
        let mut rows = memory_file()?;
        rows.write_all(&text[data_at..]).map_err(QueryError::io)?;
        io::copy(&mut body, &mut rows).map_err(unreadable)?;
        text.truncate(data_at);
        return Ok(Prepared {
            text,
            statement,
            rows: Some(rows),
        });
    }
    body.read_to_end(&mut text).map_err(unreadable)?;
    let statement = sql::classify(&text)?;
    Ok(Prepared {
        text,
        statement,
        rows: None,
    })
}

fn memory_file() -> Result<File, QueryError> {
    Ok(File::from(
        memfd_create("rows", MemfdFlags::CLOEXEC).map_err(QueryError::io)?,
    ))
}

fn unreadable(error: io::Error) -> QueryError {
    if error.kind() == io::ErrorKind::InvalidData {
        QueryError::corrupt(error.to_string())
    } else {
        QueryError::io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn rows_of(query: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut prepared = prepare(query, body, false).unwrap();
        let mut rows = Vec::new();
        let file = prepared.rows.as_mut().unwrap();
        file.rewind().unwrap();
        file.read_to_end(&mut rows).unwrap();
        (String::from_utf8(prepared.text).unwrap().trim().to_owned(), rows)
    }

    #[test]
    fn rows_are_taken_byte_for_byte_wherever_the_text_stands() {
        let rows = b"\n\x00\nrows; with 'quotes\n";
        assert_eq!(rows_of("INSERT INTO t FORMAT RowBinary", rows).1, rows);
        let mut whole = b"INSERT INTO t FORMAT RowBinary\n".to_vec();
        whole.extend_from_slice(rows);
        assert_eq!(
            rows_of("", &whole),
            ("INSERT INTO t FORMAT RowBinary".to_owned(), rows.to_vec())
        );
    }

    #[test]
    fn rows_in_the_url_come_before_those_of_the_body() {
        assert_eq!(rows_of("INSERT INTO t VALUES (1),", b"(2)").1, b"(1),\n(2)");
        assert_eq!(rows_of("INSERT INTO t FORMAT CSV", b"1\n").1, b"1\n");
    }

    #[test]
    fn a_query_may_begin_in_the_url_and_end_in_the_body() {
        let prepared = prepare("SELECT", &b"1 FORMAT JSON"[..], false).unwrap();
        assert_eq!(prepared.text, b"SELECT\n1 FORMAT JSON");
        assert!(prepared.rows.is_none());
    }

    #[test]
    fn rows_larger_than_the_head_arrive_whole() {
        let mut whole = b"INSERT INTO t FORMAT RowBinary\n".to_vec();
        let rows: Vec<u8> = (0..3 << 20).map(|number: u32| (number % 251) as u8).collect();
        whole.extend_from_slice(&rows);
        assert!(rows_of("", &whole).1 == rows);
    }
}
