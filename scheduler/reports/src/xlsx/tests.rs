use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};

use super::*;
use crate::fixture;

fn read(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).unwrap()
}

#[test]
fn cells_keep_their_type_and_formulas_stay_text() {
    let report = fixture::report(vec![fixture::row("=1+1", 1_234), fixture::row("+34 600", 2)]);
    let mut book = read(render(&report).unwrap());
    let sheet = book.worksheet_range("Campaigns").unwrap();
    let row: Vec<_> = sheet.rows().nth(1).unwrap().to_vec();
    assert_eq!(row[0], Data::String("=1+1".to_owned()));
    assert_eq!(row[1], Data::Float(1_234.0));
    assert_eq!(row[2], Data::Float(0.25));
    assert_eq!(row[4], Data::Float(-1.5));
    // Durations and times are Excel times: 204 s, and 08:00 UTC as 09:00 in Madrid.
    let Data::DateTime(duration) = &row[3] else {
        panic!("{:?}", row[3])
    };
    assert!((duration.as_f64() * 86_400.0 - 204.0).abs() < 1e-6);
    let Data::DateTime(start) = &row[5] else {
        panic!("{:?}", row[5])
    };
    assert!((start.as_f64().fract() * 24.0 - 9.0).abs() < 1e-6);
    assert!(book.worksheet_formula("Campaigns").unwrap().is_empty());
}

#[test]
fn the_last_row_holds_the_totals() {
    let report = fixture::report(vec![fixture::row("a", 1), fixture::row("b", 2)]);
    let mut book = read(render(&report).unwrap());
    let sheet = book.worksheet_range("Campaigns").unwrap();
    assert_eq!(sheet.height(), 4);
    assert_eq!(sheet.get((3, 0)), Some(&Data::String("Total".to_owned())));
}

#[test]
fn tables_longer_than_a_sheet_continue_on_the_next() {
    let report = fixture::report((0..10).map(|index| fixture::row("x", index)).collect());
    let mut book = read(workbook(&report, 6).unwrap().save_to_buffer().unwrap());
    assert_eq!(
        book.sheet_names(),
        [
            "Summary",
            "Campaigns",
            "Campaigns (2)",
            "Campaigns (3)",
            "Definitions"
        ]
    );
    let heights: Vec<_> = ["Campaigns", "Campaigns (2)", "Campaigns (3)"]
        .map(|name| book.worksheet_range(name).unwrap().height())
        .to_vec();
    // Header plus four, four, and two with the totals.
    assert_eq!(heights, [5, 5, 4]);
}

#[test]
fn sheet_names_are_what_excel_accepts() {
    let mut names = SheetNames::default();
    assert_eq!(names.claim("Q1/Q2 [all]: sales?"), "Q1 Q2  all   sales");
    assert_eq!(names.claim("Calls"), "Calls");
    assert_eq!(names.claim("CALLS"), "CALLS (2)");
    assert_eq!(names.claim("'':"), "Table");
    assert_eq!(names.claim("History"), "History (2)");
    let long = names.claim(&"😀".repeat(40));
    assert!(long.encode_utf16().count() <= 31);
}

#[test]
fn text_longer_than_a_cell_is_cut_and_control_characters_go() {
    assert_eq!(cell_text(&"x".repeat(40_000)).len(), CELL_CHARACTERS);
    assert_eq!(cell_text("a\u{1}b\nc"), "a b\nc");
}

#[test]
fn equal_reports_give_equal_bytes() {
    let report = fixture::report(vec![fixture::row("a", 1)]);
    assert!(render(&report).unwrap() == render(&report).unwrap());
}

#[test]
fn an_empty_table_is_a_header_without_totals() {
    let mut book = read(render(&fixture::report(vec![])).unwrap());
    assert_eq!(book.worksheet_range("Campaigns").unwrap().height(), 1);
}

#[test]
fn a_writer_receives_the_same_file() {
    let report = fixture::report(vec![fixture::row("a", 1)]);
    let mut file = Cursor::new(Vec::new());
    write_to(&report, &mut file).unwrap();
    assert!(file.into_inner() == render(&report).unwrap());
}
