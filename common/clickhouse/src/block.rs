//! Rows as columns, in the encoding of ClickHouse's `Native` format.
//!
//! Columns go in four times faster than rows (`RowBinary`) and skip the server's parser. The layout is one
//! block: number of columns, number of rows, then per column its name, its type and its values.
//! <https://clickhouse.com/docs/interfaces/formats/Native>; `LowCardinality` is laid out as in
//! `SerializationLowCardinality.cpp` (keys version 1, own dictionary per block).

use std::collections::HashMap;

use uuid::Uuid;

/// Values of one column, appended one by one.
pub trait Column {
    /// The ClickHouse type the values are encoded as.
    fn type_name(&self) -> &str;
    /// Appends the encoding of the values in `rows` to `out`.
    fn encode(&self, rows: std::ops::Range<usize>, out: &mut Vec<u8>);
    /// Forgets all values and keeps the memory.
    fn clear(&mut self);
}

/// A column of fixed-size numbers.
#[derive(Debug)]
pub struct Numbers<T> {
    type_name: &'static str,
    values: Vec<T>,
}

/// A number ClickHouse stores in little-endian order.
pub trait Number: Copy {
    /// Appends the bytes.
    fn put(self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl Number for $type {
            #[inline]
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )+};
}
number!(i8, u8, u16, u32, u64, i64, f64);

impl Number for Uuid {
    /// Two little-endian halves, the high one first.
    #[inline]
    fn put(self, out: &mut Vec<u8>) {
        let (high, low) = self.as_u64_pair();
        out.extend_from_slice(&high.to_le_bytes());
        out.extend_from_slice(&low.to_le_bytes());
    }
}

impl<T: Number> Numbers<T> {
    /// An empty column of this ClickHouse type.
    #[must_use]
    pub const fn new(type_name: &'static str) -> Self {
        Self {
            type_name,
            values: Vec::new(),
        }
    }

    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// The values so far.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

impl<T: Number> Column for Numbers<T> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn encode(&self, rows: std::ops::Range<usize>, out: &mut Vec<u8>) {
        out.reserve(rows.len() * size_of::<T>());
        for value in &self.values[rows] {
            value.put(out);
        }
    }

    fn clear(&mut self) {
        self.values.clear();
    }
}

/// A column of numbers that may be absent, as `Nullable(…)`: first which are, then all of them.
#[derive(Debug)]
pub struct Maybes<T> {
    absent: Vec<u8>,
    numbers: Numbers<T>,
}

impl<T: Number + Default> Maybes<T> {
    /// An empty column of this ClickHouse type, `Nullable(…)` included.
    #[must_use]
    pub const fn new(type_name: &'static str) -> Self {
        Self {
            absent: Vec::new(),
            numbers: Numbers::new(type_name),
        }
    }

    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        self.absent.push(u8::from(value.is_none()));
        self.numbers.push(value.unwrap_or_default());
    }
}

impl<T: Number + Default> Column for Maybes<T> {
    fn type_name(&self) -> &str {
        self.numbers.type_name()
    }

    fn encode(&self, rows: std::ops::Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.absent[rows.clone()]);
        self.numbers.encode(rows, out);
    }

    fn clear(&mut self) {
        self.absent.clear();
        self.numbers.clear();
    }
}

/// A column of free strings.
#[derive(Debug, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: &str) {
        self.bytes.extend_from_slice(value.as_bytes());
        self.ends.push(self.bytes.len());
    }
}

impl Strings {
    /// The value of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        let start = row
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied())?;
        std::str::from_utf8(self.bytes.get(start..*self.ends.get(row)?)?).ok()
    }
}

impl Column for Strings {
    fn type_name(&self) -> &str {
        "String"
    }

    fn encode(&self, rows: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let mut start = rows.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        for end in &self.ends[rows] {
            varint((*end - start) as u64, out);
            out.extend_from_slice(&self.bytes[start..*end]);
            start = *end;
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// A column of few distinct strings, as `LowCardinality(String)`.
#[derive(Debug, Default)]
pub struct Words {
    positions: HashMap<String, u32>,
    dictionary: Vec<String>,
    /// The value pushed last and its position: events come in runs.
    latest: Option<u32>,
    indexes: Vec<u32>,
}

impl Words {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: &str) {
        if let Some(latest) = self.latest
            && self.dictionary[latest as usize] == value
        {
            self.indexes.push(latest);
            return;
        }
        let position = match self.find(value) {
            Some(position) => position,
            None => {
                // More than four thousand million distinct words do not fit in memory.
                #[allow(clippy::cast_possible_truncation)]
                let position = self.dictionary.len() as u32;
                self.dictionary.push(value.to_owned());
                self.positions.insert(value.to_owned(), position);
                position
            }
        };
        self.latest = Some(position);
        self.indexes.push(position);
    }

    /// Most columns have a handful of words: comparing a few lengths and bytes is faster than hashing.
    #[inline]
    fn find(&self, value: &str) -> Option<u32> {
        const FEW: usize = 12;
        let among_few = self.dictionary.iter().take(FEW).position(|word| word == value);
        match among_few {
            Some(position) => u32::try_from(position).ok(),
            None if self.dictionary.len() > FEW => self.positions.get(value).copied(),
            None => None,
        }
    }
}

impl Words {
    /// The value of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        self.dictionary
            .get(*self.indexes.get(row)? as usize)
            .map(String::as_str)
    }
}

impl Column for Words {
    fn type_name(&self) -> &str {
        "LowCardinality(String)"
    }

    fn encode(&self, rows: std::ops::Range<usize>, out: &mut Vec<u8>) {
        const SHARED_DICTIONARIES: u64 = 1;
        const HAS_ADDITIONAL_KEYS: u64 = 1 << 9;
        const NEEDS_UPDATE: u64 = 1 << 10;
        const KEYS_ARE_U32: u64 = 2;
        SHARED_DICTIONARIES.put(out);
        if rows.is_empty() {
            return;
        }
        (KEYS_ARE_U32 | HAS_ADDITIONAL_KEYS | NEEDS_UPDATE).put(out);
        // The server expects the default value first in a dictionary of its own.
        (self.dictionary.len() as u64 + 1).put(out);
        varint(0, out);
        for word in &self.dictionary {
            varint(word.len() as u64, out);
            out.extend_from_slice(word.as_bytes());
        }
        (rows.len() as u64).put(out);
        for index in &self.indexes[rows] {
            (index + 1).put(out);
        }
    }

    fn clear(&mut self) {
        self.positions.clear();
        self.dictionary.clear();
        self.latest = None;
        self.indexes.clear();
    }
}

/// Columns under their names, and how to cut a block out of them.
pub trait Columns {
    /// Gives every column under its name, in the order of the table.
    fn each(&self, visit: &mut dyn FnMut(&'static str, &dyn Column));
    /// Rows so far.
    fn len(&self) -> usize;
    /// True when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in `rows` as one block.
    fn block(&self, rows: std::ops::Range<usize>) -> Block {
        let mut count = 0;
        let mut names = Vec::new();
        self.each(&mut |name, _| {
            count += 1;
            names.push(name);
        });
        let mut bytes = Vec::new();
        varint(count, &mut bytes);
        varint(rows.len() as u64, &mut bytes);
        self.each(&mut |name, column| {
            for text in [name, column.type_name()] {
                varint(text.len() as u64, &mut bytes);
                bytes.extend_from_slice(text.as_bytes());
            }
            column.encode(rows.clone(), &mut bytes);
        });
        Block {
            columns: names.join(", "),
            rows: rows.len(),
            bytes: bytes.into(),
        }
    }
}

/// An encoded block: what is sent, and sent again, byte for byte.
#[derive(Clone, Debug)]
pub struct Block {
    /// The column list of the insert.
    pub columns: String,
    /// How many rows it has.
    pub rows: usize,
    /// The `Native` encoding.
    pub bytes: bytes::Bytes,
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        #[allow(clippy::cast_possible_truncation)] // Seven bits at a time.
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Two {
        words: Words,
        texts: Strings,
    }

    impl Columns for Two {
        fn each(&self, visit: &mut dyn FnMut(&'static str, &dyn Column)) {
            visit("w", &self.words);
            visit("t", &self.texts);
        }

        fn len(&self) -> usize {
            self.texts.ends.len()
        }
    }

    #[test]
    fn a_block_has_names_types_and_values_column_after_column() {
        let mut two = Two::default();
        for (word, text) in [("b", "x"), ("b", "long"), ("a", "")] {
            two.words.push(word);
            two.texts.push(text);
        }
        let block = two.block(1..3);
        let mut expected = vec![2, 2];
        expected.extend_from_slice(b"\x01w\x16LowCardinality(String)");
        for number in [1_u64, 0x602, 3] {
            number.put(&mut expected);
        }
        expected.extend_from_slice(b"\x00\x01b\x01a");
        2_u64.put(&mut expected);
        1_u32.put(&mut expected);
        2_u32.put(&mut expected);
        expected.extend_from_slice(b"\x01t\x06String\x04long\x00");
        assert_eq!((block.columns.as_str(), block.rows), ("w, t", 2));
        assert_eq!(block.bytes, expected);
    }

    #[test]
    fn a_number_that_is_absent_is_marked_before_all_numbers() {
        let mut column = Maybes::new("Nullable(UInt16)");
        for value in [Some(7_u16), None, Some(258)] {
            column.push(value);
        }
        let mut bytes = Vec::new();
        column.encode(1..3, &mut bytes);
        assert_eq!(bytes, [1, 0, 0, 0, 2, 1]);
    }

    #[test]
    fn a_uuid_is_two_little_endian_halves() {
        let mut bytes = Vec::new();
        Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff).put(&mut bytes);
        assert_eq!(
            bytes,
            [
                0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88
            ]
        );
    }
}
