//! Files as people really send them: every row counted, every fault named, no value shown.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Place, faults, file, five, request};
use encoding_rs::WINDOWS_1252;
use voice_contacts::{Error, import::Request};

/// Name, bytes, counters, codes.
type Case = (&'static str, Vec<u8>, [u64; 5], Vec<(&'static str, u64)>);

/// Every kind of bad file: its counters, created to suppressed, and its codes.
#[tokio::test]
async fn bad_input_is_counted_and_named() {
    let place = Place::create().await;
    let long = format!("phone,note\n602000001,{}\n602000002,ok\n", "x".repeat(10 << 20));
    let quote = format!("phone,note\n602000011,\"open\n{}", "602000012,y\n".repeat(3));
    let cases: Vec<Case> = vec![
        ("a byte order mark", "\u{feff}phone\n602000021\n".into(), [1, 0, 0, 0, 0], vec![]),
        ("semicolons", "phone;name\n602000031;Jan, ml.\n602000032;Eva\n".into(), [2, 0, 0, 0, 0], vec![]),
        (
            "scientific notation",
            "phone,name\n4.20602E+11,Jan\n\"4,20602E+11\",Eva\n602000041,Ota\n".into(),
            [1, 0, 0, 2, 0],
            vec![("phone_scientific_notation", 2)],
        ),
        (
            "no numbers",
            "phone,name\nn/a,Jan\n,Eva\n-,Ota\n602000051,Ida\n".into(),
            [1, 0, 0, 3, 0],
            vec![("phone_missing", 1), ("phone_not_a_number", 2)],
        ),
        (
            "ragged rows",
            "phone,name\n602000061\n602000062,Jan,extra\n602000063,Eva,,\n".into(),
            [2, 0, 0, 1, 0],
            vec![("row_too_many_cells", 1)],
        ),
        ("empty rows", "phone,name\n,\n602000071,Jan\n ,\n\n\n".into(), [1, 0, 0, 2, 0], vec![("row_empty", 2)]),
        ("ten megabytes in a cell", long.into(), [1, 0, 0, 1, 0], vec![("row_too_long", 1)]),
        ("a stray quotation mark", quote.into(), [1, 0, 2, 1, 0], vec![("duplicate_in_file", 2), ("quote_unclosed", 1)]),
        (
            "broken bytes in UTF-8",
            b"phone,name\n602000081,\xc5\xa0\xc3\xa1rka \xc5\x98\xc3\xad\xc5\xa1\xc5\xa1\xc3\xad\xc5\xa1\xc3\xad\xc5\xa1\xc3\xad\n602000082,J\xe1n\n".into(),
            [1, 0, 0, 1, 0],
            vec![("text_undecodable", 1)],
        ),
        (
            "cells beside the number",
            "phone,email,timezone,locale,priority,id\n602000091,no,Mars/Base,čeština,500,1\n".into(),
            [1, 0, 0, 0, 0],
            vec![("email_malformed", 1), ("locale_malformed", 1), ("priority_malformed", 1), ("timezone_unknown", 1)],
        ),
        (
            "an id without end",
            format!("phone,id\n602000101,{}\n602000102,2x\n", "9".repeat(201)).into(),
            [1, 0, 0, 1, 0],
            vec![("external_id_too_long", 1)],
        ),
        (
            "several numbers, one of them bad",
            "phone,phone2\n602000111 / 603000111,12\n".into(),
            [1, 0, 0, 0, 0],
            vec![("phone_too_short", 1)],
        ),
        ("Windows-1252", WINDOWS_1252.encode("teléfono;nombre\n602000121;Íñigo Peña\n").0.into(), [1, 0, 0, 0, 0], vec![]),
    ];
    for (name, bytes, counters, codes) in cases {
        let file = file(bytes);
        let dry = place
            .import(Request {
                dry_run: true,
                ..request(file.path())
            })
            .await;
        let report = place.import(request(file.path())).await;
        assert_eq!(five(report.counters), counters, "{name}");
        assert_eq!(faults(&report), codes, "{name}");
        assert_eq!(
            (dry.counters, &dry.faults),
            (report.counters, &report.faults),
            "{name}, dry"
        );
    }
}

#[tokio::test]
async fn files_that_are_no_lists_are_refused_by_name_and_leave_nothing() {
    let place = Place::create().await;
    for (bytes, told, kind) in [
        (&b""[..], vec![], "file_empty"),
        (b"\n\n\r\n", vec![], "file_empty"),
        (b"who,when\nJan,today\n", vec![], "no_phone_column"),
        (b"phone,email,email\n602123456,,\n", vec![], "column_twice"),
        (b"phone\n602123456\n", vec!["mobile=phone"], "column_unknown"),
        (
            b"phone,consent_type\n602123456,marketing\n",
            vec![],
            "consent_without_time",
        ),
        (b"PK\x03\x04", vec![], "file_is_spreadsheet"),
        (b"p\0h\0o\0n\0e\0\n\0", vec![], "file_is_binary"),
    ] {
        let file = file(bytes);
        let told = told.iter().map(|one: &&str| one.parse().unwrap()).collect();
        let refused = place
            .open(Request {
                told,
                ..request(file.path())
            })
            .await
            .err()
            .unwrap();
        assert_eq!(refused.kind(), kind);
    }
    let gone = place
        .open(request("no/such/file.csv".as_ref()))
        .await
        .err()
        .unwrap();
    assert_eq!(gone.kind(), "file_unreadable");
    for list in ["lst_00000000000000000000000000", " "] {
        let file = file("phone\n602123456\n");
        let refused = place
            .open(Request {
                list: list.to_owned(),
                ..request(file.path())
            })
            .await
            .err()
            .unwrap();
        assert_eq!(refused.kind(), "list_unknown");
    }
    assert_eq!(place.count("SELECT count(*) FROM app.imports").await, 0);
    assert_eq!(place.count("SELECT count(*) FROM app.call_lists").await, 0);
}

#[tokio::test]
async fn an_import_that_takes_nobody_has_failed_and_says_why() {
    let place = Place::create().await;
    for (text, failure) in [
        ("phone,name\n", "no_rows"),
        ("phone,name\nx,Jan\n1,Eva\n", "no_valid_rows"),
    ] {
        let file = file(text);
        for dry_run in [true, false] {
            let report = place
                .import(Request {
                    dry_run,
                    ..request(file.path())
                })
                .await;
            assert_eq!(report.failure, Some(failure));
        }
    }
    assert_eq!(
        place
            .rows("SELECT state, failure, rows_read::text FROM app.imports ORDER BY 3")
            .await,
        ["failed|no_rows|0", "failed|no_valid_rows|2"]
    );
}

/// 84 % of the rows are bad; each is in the error file, under its line, without its value.
#[tokio::test]
async fn a_file_of_mostly_bad_rows_loses_none_of_them() {
    let place = Place::create().await;
    let mut text = String::from("phone,name\n");
    for row in 0..1_000 {
        match row % 25 {
            0..4 => text.push_str(&format!("60212{:04},Jan {row}\n", row)),
            4..14 => text.push_str("4.20602E+11,Jan\n"),
            _ => text.push_str("secret-17,Jan\n"),
        }
    }
    let (file, errors) = (file(&text), tempfile::NamedTempFile::new().unwrap());
    let request = Request {
        errors: Some(errors.path().to_owned()),
        batch_rows: 300,
        ..request(file.path())
    };
    let report = place.import(request).await;
    assert_eq!(five(report.counters), [160, 0, 0, 840, 0]);
    assert_eq!(
        faults(&report),
        [("phone_not_a_number", 440), ("phone_scientific_notation", 400)]
    );
    let said = std::fs::read_to_string(errors.path()).unwrap();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("line,column,code,outcome,value_masked"));
    assert_eq!(
        lines.next(),
        Some("6,phone,phone_scientific_notation,invalid,9.99999x+99")
    );
    assert_eq!(lines.clone().count(), 839);
    assert_eq!(
        lines.next_back(),
        Some("1001,phone,phone_not_a_number,invalid,xxxxxx-99")
    );
    assert_eq!(
        place
            .rows(
                "SELECT count(*)::text, min(line)::text, max(line)::text, max(number)::text
                    FROM app.import_rows_rejected WHERE column_name = 'phone' AND outcome = 'invalid'"
            )
            .await,
        ["840|6|1001|840"]
    );
    assert_eq!(
        place.rows("SELECT faults::text FROM app.imports").await,
        ["{\"phone_not_a_number\": 440, \"phone_scientific_notation\": 400}"]
    );
}

#[tokio::test]
async fn no_part_of_a_value_is_in_the_error_file_or_its_table() {
    let place = Place::create().await;
    let text = "phone,email,consent_type,consent_captured_at\nSecretson 602777888 x,a@b,c,d\n602999111,Secretson,Secretson,Secretson\n";
    let (file, errors) = (file(text), tempfile::NamedTempFile::new().unwrap());
    place
        .import(Request {
            errors: Some(errors.path().to_owned()),
            ..request(file.path())
        })
        .await;
    let mut said = std::fs::read_to_string(errors.path()).unwrap();
    said.push_str(
        &place
            .rows("SELECT r::text FROM app.import_rows_rejected r")
            .await
            .join("\n"),
    );
    assert!(
        said.contains("phone_not_a_number") && said.contains("email_malformed"),
        "{said}"
    );
    for part in ["Secret", "602777888", "777", "999111"] {
        assert!(!said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn an_error_file_never_overwrites_the_file_it_is_about() {
    let place = Place::create().await;
    let file = file("phone\n602123456\n");
    let refused = place
        .open(Request {
            errors: Some(file.path().to_owned()),
            ..request(file.path())
        })
        .await;
    assert!(matches!(refused.err(), Some(Error::ErrorFileIsTheFile)));
    assert_eq!(
        std::fs::read_to_string(file.path()).unwrap(),
        "phone\n602123456\n"
    );
}
