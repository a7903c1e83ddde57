//! The rows of a delimited file, one at a time, in memory that one bad row cannot blow up.
//!
//! A stray quotation mark would make the rest of a file one endless cell. Two rules keep the damage to the
//! line it stands in: a row has a greatest length, and a quoted cell that spans lines must close as the
//! format says, before a delimiter or the end of a line. Where either is broken, the line the row began in
//! is reported and reading goes on with the next line.

use std::{io, path::Path};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use encoding_rs::Encoding;

use super::decode::Decoded;

/// Bytes of UTF-8 a row may have, with its quotation marks.
pub const LONGEST_ROW: usize = 256 * 1024;

/// What was found at a place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A row; its cells are in the [`Row`].
    Row,
    /// A line longer than a row may be; it was skipped.
    TooLong,
    /// A line with a quotation mark that nothing closes; it was skipped.
    QuoteUnclosed,
}

/// The cells of one row. Reused from row to row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    text: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    cells: usize,
    line: u64,
}

impl Row {
    /// The line of the file it begins in, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Its cells.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.cells).map(|index| self.cell(index))
    }

    /// All its cells, one behind the other.
    #[must_use]
    pub fn text(&self) -> &str {
        as_text(&self.text[..self.length])
    }

    fn cell(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        as_text(&self.text[start..self.ends[index]])
    }
}

// Cells are cut at ASCII characters out of text that was decoded, so they are UTF-8.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("\u{fffd}")
}

/// Reads the rows of a file.
pub struct Records {
    decoded: Decoded,
    csv: Reader,
    delimiter: u8,
    text: Vec<u8>,
    /// Where the next row begins in `text`.
    at: usize,
    line: u64,
    ended: bool,
}

impl Records {
    /// Opens a file. A first line `sep=;`, which Excel writes and reads, is not a row.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, encoding: &'static Encoding, delimiter: u8) -> io::Result<Self> {
        let mut records = Self {
            decoded: Decoded::open(path, encoding)?,
            csv: reader(delimiter),
            delimiter,
            text: Vec::new(),
            at: 0,
            line: 1,
            ended: false,
        };
        while records.text.len() < 16 && records.more()? {}
        if let Some((_, length)) = super::sniff::separator_line(as_start(&records.text)) {
            records.skip(length);
        }
        Ok(records)
    }

    /// Bytes of the file that were read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.decoded.taken()
    }

    /// The next row; none at the end. Empty lines are not rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self, row: &mut Row) -> io::Result<Option<Found>> {
        if !self.skip_empty_lines()? {
            return Ok(None);
        }
        row.line = self.line;
        self.csv.reset();
        let (mut scanned, mut length, mut cells) = (0, 0, 0);
        let closed = loop {
            if row.text.len() == length {
                row.text.resize((length * 2).max(1024), 0);
            }
            if row.ends.len() == cells {
                row.ends.resize((cells * 2).max(32), 0);
            }
            let input = &self.text[self.at + scanned..];
            if input.is_empty() {
                if scanned > LONGEST_ROW {
                    break false;
                }
                if self.more()? {
                    continue;
                }
                // The end of the file closes a row, but not a quotation.
                let (_, _, out, _) =
                    self.csv
                        .read_record(b"\n", &mut row.text[length..], &mut row.ends[cells..]);
                if out > 0 {
                    break false;
                }
                cells += 1;
                break true;
            }
            let (result, read, out, ended) =
                self.csv
                    .read_record(input, &mut row.text[length..], &mut row.ends[cells..]);
            scanned += read;
            length += out;
            cells += ended;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => break scanned <= LONGEST_ROW,
                _ if scanned > LONGEST_ROW => break false,
                _ => {}
            }
        };
        let raw = &self.text[self.at..self.at + scanned];
        let line_end = raw.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let several_lines =
            line_end.is_some_and(|end| raw[end..].iter().any(|byte| !matches!(byte, b'\n' | b'\r')));
        if closed && (!several_lines || closes_as_it_should(raw, self.delimiter)) {
            self.skip(scanned);
            (row.length, row.cells) = (length, cells);
            return Ok(Some(Found::Row));
        }
        if several_lines {
            self.skip(line_end.unwrap_or(scanned));
            Ok(Some(Found::QuoteUnclosed))
        } else if scanned > LONGEST_ROW {
            match line_end {
                Some(end) => self.skip(end),
                None => self.skip_line(scanned)?,
            }
            Ok(Some(Found::TooLong))
        } else {
            self.skip(scanned);
            Ok(Some(Found::QuoteUnclosed))
        }
    }

    fn more(&mut self) -> io::Result<bool> {
        if self.at > 0 {
            self.text.drain(..self.at);
            self.at = 0;
        }
        let before = self.text.len();
        while !self.ended && self.text.len() == before {
            self.ended = !self.decoded.more(&mut self.text)?;
        }
        Ok(self.text.len() > before)
    }

    /// Goes on by so many bytes, counting the lines that end in them. `\r\n` counts at its `\n`; a `\r` that
    /// nothing follows yet counts when its successor is known.
    fn skip(&mut self, length: usize) {
        for offset in 0..length {
            let here = self.at + offset;
            let ends_line = match self.text[here] {
                b'\n' => true,
                b'\r' => self.text.get(here + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends_line);
        }
        self.at += length;
    }

    fn skip_empty_lines(&mut self) -> io::Result<bool> {
        loop {
            let empty = self.text[self.at..]
                .iter()
                .take_while(|byte| matches!(byte, b'\n' | b'\r'))
                .count();
            // A `\r` at the end of what was read may be half a line end.
            let at_edge = self.at + empty == self.text.len();
            if !at_edge {
                self.skip(empty);
                return Ok(true);
            }
            let half = usize::from(empty > 0 && self.text.last() == Some(&b'\r'));
            self.skip(empty - half);
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    fn skip_line(&mut self, scanned: usize) -> io::Result<()> {
        self.skip(scanned);
        loop {
            let rest = &self.text[self.at..];
            if let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                self.skip(end);
                return Ok(());
            }
            self.skip(rest.len());
            if !self.more()? {
                return Ok(());
            }
        }
    }
}

fn as_start(text: &[u8]) -> &str {
    let start = &text[..text.len().min(16)];
    match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(fault) => as_text(&start[..fault.valid_up_to()]),
    }
}

/// What splits cells here and in [`super::sniff`].
pub(super) fn reader(delimiter: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).build()
}

/// Whether every quoted cell ends before a delimiter or the end of a line.
fn closes_as_it_should(raw: &[u8], delimiter: u8) -> bool {
    let mut bytes = raw.iter().copied().peekable();
    let mut begins = true;
    while let Some(byte) = bytes.next() {
        if begins && byte == b'"' {
            loop {
                match bytes.next() {
                    None => return false,
                    Some(b'"') if bytes.peek() == Some(&b'"') => {
                        bytes.next();
                    }
                    Some(b'"') => break,
                    Some(_) => {}
                }
            }
            match bytes.next() {
                None => return true,
                Some(next) if next == delimiter || matches!(next, b'\n' | b'\r') => continue,
                Some(_) => return false,
            }
        }
        begins = byte == delimiter || matches!(byte, b'\n' | b'\r');
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use encoding_rs::UTF_8;
    use proptest::prelude::*;

    use super::*;

    type Read = (u64, Result<Vec<String>, Found>);

    fn read(bytes: &[u8], delimiter: u8) -> Vec<Read> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut records = Records::open(file.path(), UTF_8, delimiter).unwrap();
        let (mut row, mut all) = (Row::default(), Vec::new());
        while let Some(found) = records.next(&mut row).unwrap() {
            let cells = match found {
                Found::Row => Ok(row.cells().map(str::to_owned).collect()),
                other => Err(other),
            };
            all.push((row.line(), cells));
        }
        assert_eq!(records.bytes(), bytes.len() as u64);
        all
    }

    fn row(line: u64, cells: &[&str]) -> Read {
        (line, Ok(cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn rows_know_the_line_they_begin_in_whatever_ends_lines() {
        let expected = [row(1, &["a", "b"]), row(2, &["1", "x\ny"]), row(5, &["2", ""])];
        assert_eq!(read(b"a,b\n1,\"x\ny\"\n\n2,", b','), expected);
        let expected = [row(1, &["a", "b"]), row(2, &["1", "x\r\ny"]), row(5, &["2", ""])];
        assert_eq!(read(b"a,b\r\n1,\"x\r\ny\"\r\n\r\n2,\r\n", b','), expected);
        assert_eq!(
            read(b"a,b\r1,x\r\r2,y\r", b','),
            [row(1, &["a", "b"]), row(2, &["1", "x"]), row(4, &["2", "y"])]
        );
    }

    #[test]
    fn quotation_marks_quote_and_double_and_stand_for_themselves_inside_words() {
        let text = "\"a;\"\"b\"\"\";2\nMarie \"Máňa\";3\n";
        assert_eq!(
            read(text.as_bytes(), b';'),
            [row(1, &["a;\"b\"", "2"]), row(2, &["Marie \"Máňa\"", "3"])]
        );
    }

    #[test]
    fn a_separator_line_is_not_a_row_and_counts_as_a_line() {
        assert_eq!(
            read(b"sep=;\r\na;b\r\n1;2\r\n", b';'),
            [row(2, &["a", "b"]), row(3, &["1", "2"])]
        );
        assert_eq!(
            read("\u{feff}sep=;\na;b\n".as_bytes(), b';'),
            [row(2, &["a", "b"])]
        );
    }

    #[test]
    fn a_quotation_mark_nothing_closes_costs_its_line_only() {
        let mut text = String::from("a,b\n\"1,x\n");
        for line in 0..50_000 {
            text.push_str(&format!("{line},some text\n"));
        }
        let all = read(text.as_bytes(), b',');
        assert_eq!(all.len(), 50_002);
        assert_eq!(all[1], (2, Err(Found::QuoteUnclosed)));
        assert_eq!(all[2], row(3, &["0", "some text"]));
        assert_eq!(all[50_001], row(50_002, &["49999", "some text"]));
        // At the very end of the file, with nothing behind it.
        assert_eq!(
            read(b"a\n\"x", b','),
            [row(1, &["a"]), (2, Err(Found::QuoteUnclosed))]
        );
        assert_eq!(
            read(b"a\n\"x\n", b','),
            [row(1, &["a"]), (2, Err(Found::QuoteUnclosed))]
        );
    }

    #[test]
    fn a_quotation_closed_by_another_cells_opening_mark_is_not_believed() {
        let all = read(b"a,b\n\"1,x\n2,y\n3,\"z\"\n4,w\n", b',');
        assert_eq!(
            all,
            [
                row(1, &["a", "b"]),
                (2, Err(Found::QuoteUnclosed)),
                row(3, &["2", "y"]),
                row(4, &["3", "z"]),
                row(5, &["4", "w"]),
            ]
        );
    }

    #[test]
    fn ten_megabytes_in_a_cell_are_one_bad_row_and_do_not_stay_in_memory() {
        let long = |length| "x".repeat(length);
        for cell in [
            long(LONGEST_ROW),
            long(10 << 20),
            format!("\"{}\"", long(10 << 20)),
        ] {
            let text = format!("a,b\n1,{cell}\n2,y\n");
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let mut records = Records::open(file.path(), UTF_8, b',').unwrap();
            let (mut row, mut found) = (Row::default(), Vec::new());
            while let Some(one) = records.next(&mut row).unwrap() {
                found.push((row.line(), one));
            }
            assert_eq!(found, [(1, Found::Row), (2, Found::TooLong), (3, Found::Row)]);
            assert!(row.text.capacity() < 4 * LONGEST_ROW, "{}", row.text.capacity());
            assert!(
                records.text.capacity() < 8 * LONGEST_ROW,
                "{}",
                records.text.capacity()
            );
        }
    }

    proptest! {
        #[test]
        fn rows_of_a_proper_writer_are_read_as_the_csv_crate_reads_them(
            table in prop::collection::vec(prop::collection::vec("[a\"; ,\r\né]{0,6}", 1..5), 0..20),
            crlf: bool,
        ) {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(b';')
                .flexible(true)
                .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
                .from_writer(Vec::new());
            for cells in &table {
                writer.write_record(cells).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let rows: Vec<Vec<String>> = read(&bytes, b';').into_iter().map(|(_, cells)| cells.unwrap()).collect();
            prop_assert_eq!(rows, table);
        }

        #[test]
        fn no_bytes_stop_it_and_lines_never_go_back(bytes in prop::collection::vec(prop::sample::select(&b"a,\"\r\n;\xc5\x99"[..]), 0..200)) {
            let all = read(&bytes, b',');
            prop_assert!(all.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
            prop_assert!(all.iter().all(|(line, _)| *line <= lines));
        }
    }
}
