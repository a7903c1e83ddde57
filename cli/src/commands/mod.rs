//! One module per operator command. Commands talk to a person: they print tables, not logs.
#![allow(clippy::print_stdout)]

pub mod audit;
pub mod bench;
pub mod campaign;
pub mod check;
pub mod contacts;
pub mod dead_letters;
pub mod demo;
pub mod knowledge;
pub mod migrate;
pub mod recordings;
pub mod registers;
pub mod topics;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

/// A table with this heading.
pub fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(heading.to_vec());
    table
}
