//! CSV files: the primary table of a report, and nothing else.
//!
//! A CSV file has one header and one shape of row. Several tables below each other are not
//! readable by machines, so a report names its primary table and the rest stays in Excel and
//! JSON. [`table`] writes any single table for callers who want one file each.
//!
//! RFC 4180 with CRLF, UTF-8 with byte order mark (without it Excel guesses the encoding).
//! Ratios are numbers (0.123), durations seconds, money currency units, times RFC 3339 with
//! the local offset, missing values empty. Numbers use a dot in every language. The totals
//! row is left out: a reader who sums the column must get the right answer.

use chrono_tz::Tz;

use crate::error::RenderError;
use crate::model::{Report, Table, Value, rfc3339};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Renders the report's primary table.
pub fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    let primary = report.primary().ok_or_else(|| {
        RenderError::Malformed(format!("there is no table called {:?}", report.primary_table))
    })?;
    table(primary, report.period.zone)
}

/// Renders one table; `zone` is where times are shown.
pub fn table(table: &Table, zone: Tz) -> Result<Vec<u8>, RenderError> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(BYTE_ORDER_MARK.to_vec());
    writer.write_record(table.columns.iter().map(|column| column.name.as_str()))?;
    for row in &table.rows {
        writer.write_record(row.iter().map(|value| field(value, zone)))?;
    }
    writer
        .into_inner()
        .map_err(|error| RenderError::Io(error.into_error()))
}

fn field(value: &Value, zone: Tz) -> String {
    match value {
        Value::Text(text) => guard(text),
        Value::Count(count) => count.to_string(),
        Value::Date(date) => date.to_string(),
        Value::DateTime(at) => rfc3339(*at, zone),
        Value::Missing | Value::Percent(_) | Value::Duration(_) | Value::Money(_) => value
            .as_f64()
            .map_or_else(String::new, |number| number.to_string()),
    }
}

/// Text that a spreadsheet would run as a formula gets an apostrophe in front, as OWASP
/// recommends. Only text: a negative number is a number.
fn guard(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, Currency, Kind, Money};

    fn rendered(rows: Vec<Vec<Value>>) -> String {
        let columns = vec![
            Column::new("campaign", "Campaign", Kind::Text, "Name"),
            Column::new("cost_eur", "Cost", Kind::Money, "Cost"),
            Column::new("answer_rate", "Answer rate", Kind::Percent, "Ratio"),
        ];
        let made = Table {
            name: "t".into(),
            columns,
            rows,
            totals: Some(vec![Value::Missing; 3]),
        };
        String::from_utf8(table(&made, Tz::Europe__Madrid).unwrap()).unwrap()
    }

    #[test]
    fn text_that_looks_like_a_formula_is_disarmed_and_numbers_stay_numbers() {
        let credit = Value::Money(Money {
            micros: -1_500_000,
            currency: Currency::EUR,
        });
        let evil = ["=1+1", "+34600", "-2", "@SUM(A1)", "\tx", "\rx"];
        for text in evil {
            let file = rendered(vec![vec![
                Value::text(text),
                credit.clone(),
                Value::Percent(0.25),
            ]]);
            let record = file.split_once("\r\n").unwrap().1;
            assert!(record.trim_start_matches('"').starts_with('\''), "{record:?}");
            assert!(record.ends_with(",-1.5,0.25\r\n"), "{record:?}");
        }
    }

    #[test]
    fn files_start_with_a_byte_order_mark_and_column_names() {
        assert_eq!(rendered(vec![]), "\u{feff}campaign,cost_eur,answer_rate\r\n");
    }

    #[test]
    fn quotes_commas_and_line_breaks_survive_a_reader() {
        let text = "a \"b\", c\nd";
        let file = rendered(vec![vec![
            Value::text(text),
            Value::Missing,
            Value::Percent(f64::NAN),
        ]]);
        let mut reader = csv::Reader::from_reader(file.trim_start_matches('\u{feff}').as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.iter().collect::<Vec<_>>(), [text, "", ""]);
    }
}
