//! Whole files of the daily summary in every format.

#![allow(clippy::unwrap_used, reason = "shared steps of tests")]

mod sample;

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use serde_json::Value as Json;
use voice_reports::{DailySummaryData, Format, Locale, RenderError, render};

fn file(data: &DailySummaryData, format: Format) -> Vec<u8> {
    render(&data.report().unwrap(), format).unwrap()
}

#[test]
fn every_sample_renders_in_every_format_and_language_twice_the_same() {
    for mut data in [
        sample::ordinary_day(),
        sample::branded_day(),
        sample::long_day(),
        sample::empty_day(),
    ] {
        for locale in [Locale::En, Locale::Es, Locale::Cs] {
            data.locale = locale;
            for format in Format::ALL {
                assert!(
                    file(&data, format) == file(&data, format),
                    "{format} of {} differs",
                    data.day
                );
            }
        }
    }
}

#[test]
fn the_csv_file_is_the_table_of_hours_with_raw_numbers() {
    let text = String::from_utf8(file(&sample::long_day(), Format::Csv)).unwrap();
    let mut lines = text.trim_start_matches('\u{feff}').split("\r\n");
    assert_eq!(
        lines.next().unwrap(),
        "starts_at,attempts,answered,connect_rate,contacts,abandoned,abandon_rate,service_level,aht_s,cost_eur"
    );
    assert_eq!(lines.next().unwrap(), "2026-10-25T00:00:00+02:00,0,0,,0,0,,,,0");
    // The two hours that share their local name differ by their offset.
    assert!(text.contains("2026-10-25T02:00:00+02:00") && text.contains("2026-10-25T02:00:00+01:00"));
    assert_eq!(text.matches("\r\n").count(), 26);
}

#[test]
fn the_json_file_has_a_stable_field_order_and_raw_values() {
    let bytes = file(&sample::ordinary_day(), Format::Json);
    let text = std::str::from_utf8(&bytes).unwrap();
    let fields = [
        "\"schema_version\": 1",
        "\"kind\"",
        "\"title\"",
        "\"tenant\"",
        "\"language\"",
        "\"period\"",
        "\"from\": \"2026-11-20T00:00:00+01:00\"",
        "\"to\": \"2026-11-21T00:00:00+01:00\"",
        "\"zone\": \"Europe/Madrid\"",
        "\"generated_at\": \"2026-11-20T23:37:00+00:00\"",
        "\"provisional\": false",
        "\"kpis\"",
        "\"tables\"",
        "\"definitions\"",
    ];
    let mut rest = text;
    for field in fields {
        let at = rest
            .find(field)
            .unwrap_or_else(|| panic!("{field} is missing or out of order"));
        rest = &rest[at..];
    }
    let json: Json = serde_json::from_slice(&bytes).unwrap();
    let names: Vec<_> = json["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "campaigns",
            "hours",
            "carriers",
            "hangup_causes",
            "outcomes",
            "intervals"
        ]
    );
    let evil = json["tables"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["campaign"] == "=HYPERLINK(\"evil\") survey");
    assert!(evil.unwrap()["connect_rate"].as_f64().unwrap() < 1.0);
    assert_eq!(json["tables"][1]["rows"][0]["connect_rate"], Json::Null);
}

#[test]
fn the_workbook_holds_summary_tables_chart_data_and_definitions() {
    let bytes = file(&sample::ordinary_day(), Format::Xlsx);
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    assert_eq!(
        book.sheet_names(),
        [
            "Summary",
            "Campaigns",
            "Hours",
            "Carriers",
            "Hang-up causes",
            "Outcome counts",
            "Intervals",
            "Chart data",
            "Definitions"
        ]
    );
    let hours = book.worksheet_range("Hours").unwrap();
    assert_eq!(hours.height(), 26);
    // 09:00 local: a count and a ratio, both numbers.
    assert!(matches!(hours.get((10, 1)), Some(Data::Float(attempts)) if *attempts > 500.0));
    assert!(matches!(hours.get((10, 3)), Some(Data::Float(rate)) if (0.3..0.5).contains(rate)));
    let chart_data = book.worksheet_range("Chart data").unwrap();
    assert_eq!(
        chart_data.get((0, 0)),
        Some(&Data::String("Calls per hour".to_owned()))
    );
}

#[test]
fn a_report_that_contradicts_itself_is_refused_in_every_format() {
    let mut report = sample::ordinary_day().report().unwrap();
    report.primary_table = "nowhere".to_owned();
    for format in Format::ALL {
        assert!(
            matches!(render(&report, format), Err(RenderError::Malformed(_))),
            "{format}"
        );
    }
}
