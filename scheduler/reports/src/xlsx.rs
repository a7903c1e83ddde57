//! Excel workbooks: a summary with native charts, one sheet per table, the definitions.
//!
//! Table sheets are written in constant-memory mode, row by row, so a million rows cost
//! disk, not memory. Cells keep their type: ratios are numbers with a percent format,
//! durations are Excel times, money is a number with its currency in the format. Text is
//! always written as a string cell, which Excel never evaluates: `=1+1` in a campaign name
//! stays text.

mod charts;
mod styles;

use std::io::{Seek, Write};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use crate::error::RenderError;
use crate::format::Formatter;
use crate::model::{Change, Kind, Kpi, Report, Table, Value};
use styles::Styles;

/// Rows of an Excel sheet, header included.
pub const SHEET_ROWS: usize = 1_048_576;
/// Characters of an Excel cell.
const CELL_CHARACTERS: usize = 32_767;
/// Rows looked at to choose a column's width.
const WIDTH_SAMPLE: usize = 500;

/// Renders the workbook into memory.
pub fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    Ok(workbook(report, SHEET_ROWS)?.save_to_buffer()?)
}

/// Renders the workbook into a writer, for results too large to hold.
pub fn write_to(report: &Report, writer: impl Write + Seek + Send) -> Result<(), RenderError> {
    Ok(workbook(report, SHEET_ROWS)?.save_to_writer(writer)?)
}

fn workbook(report: &Report, sheet_rows: usize) -> Result<Workbook, RenderError> {
    report.check()?;
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(report)?);
    let styles = Styles::new(report);
    let mut names = SheetNames::default();

    let frame = report.locale.frame();
    let summary_name = names.claim(frame.summary);
    let chart_name = names.claim(frame.chart_data);
    let charts = charts::prepare(report, &chart_name);
    summary(
        workbook.add_worksheet().set_name(&summary_name)?,
        report,
        &styles,
        &charts,
    )?;

    for (section, table) in report.tables() {
        let per_sheet = sheet_rows.saturating_sub(2).max(1);
        let chunks = table.rows.len().div_ceil(per_sheet).max(1);
        for index in 0..chunks {
            let rows = &table.rows[(index * per_sheet).min(table.rows.len())..];
            let rows = &rows[..rows.len().min(per_sheet)];
            let name = names.claim(&section.title);
            let sheet = workbook.add_worksheet_with_constant_memory()?;
            sheet.set_name(&name)?;
            let last = index + 1 == chunks;
            data_sheet(sheet, table, rows, last, report.period.zone, &styles)?;
        }
    }

    if !charts.is_empty() {
        let sheet = workbook.add_worksheet();
        sheet.set_name(&chart_name)?;
        charts::write_data(sheet, &charts, &styles)?;
    }
    definitions(
        workbook
            .add_worksheet()
            .set_name(names.claim(frame.definitions))?,
        report,
        &styles,
    )?;
    Ok(workbook)
}

fn properties(report: &Report) -> Result<DocProperties, XlsxError> {
    Ok(DocProperties::new()
        .set_title(&report.title)
        .set_subject(&report.period.label)
        .set_author(&report.tenant_name)
        .set_comment(&report.subtitle)
        .set_creation_datetime(&ExcelDateTime::from_timestamp(report.generated_at.timestamp())?))
}

/// Hands out names Excel accepts: at most 31 characters, no `[]:*?/\`, unique without case.
#[derive(Default)]
struct SheetNames {
    taken: Vec<String>,
}

impl SheetNames {
    fn claim(&mut self, title: &str) -> String {
        let clean: String = title
            .chars()
            .map(|symbol| {
                if "[]:*?/\\".contains(symbol) || symbol.is_control() {
                    ' '
                } else {
                    symbol
                }
            })
            .collect();
        let clean = clean.trim().trim_matches('\'').trim();
        let clean = if clean.is_empty() { "Table" } else { clean };
        let mut number = 1;
        loop {
            let suffix = if number == 1 {
                String::new()
            } else {
                format!(" ({number})")
            };
            // Excel counts UTF-16 units.
            let mut room = 31 - suffix.len();
            let head: String = clean
                .chars()
                .take_while(|symbol| {
                    let fits = symbol.len_utf16() <= room;
                    room = room.saturating_sub(symbol.len_utf16());
                    fits
                })
                .collect();
            let name = format!("{}{suffix}", head.trim_end());
            let key = name.to_lowercase();
            if !self.taken.contains(&key) && key != "history" {
                self.taken.push(key);
                return name;
            }
            number += 1;
        }
    }
}

fn summary(
    sheet: &mut Worksheet,
    report: &Report,
    styles: &Styles,
    charts: &[charts::Prepared<'_>],
) -> Result<(), RenderError> {
    let frame = report.locale.frame();
    let formatter = Formatter::new(report.locale, report.period.zone);
    sheet.set_screen_gridlines(false);
    for (column, width) in [(0, 34.0), (1, 18.0), (2, 18.0), (3, 14.0), (4, 62.0)] {
        sheet.set_column_width(column, width)?;
    }
    sheet.set_row_height(0, 30)?;
    for column in 0..5 {
        sheet.write_blank(0, column, &styles.band)?;
    }
    sheet.write_string_with_format(0, 0, cell_text(&report.title), &styles.band)?;
    let status = if report.provisional {
        frame.provisional
    } else {
        frame.final_figures
    };
    let facts = [
        (frame.period, report.period.label.clone()),
        (frame.time_zone, report.period.zone.name().to_owned()),
        (frame.generated, formatter.date_time(report.generated_at)),
        (frame.status, status.to_owned()),
    ];
    let mut row = 1;
    sheet.write_string_with_format(row, 0, cell_text(&report.tenant_name), &styles.strong)?;
    sheet.write_string_with_format(row, 1, cell_text(&report.subtitle), &styles.muted)?;
    for (name, value) in facts {
        row += 1;
        sheet.write_string_with_format(row, 0, name, &styles.muted)?;
        sheet.write_string(row, 1, cell_text(&value))?;
    }
    if let Some(notice) = &report.empty_notice {
        row += 1;
        sheet.write_string_with_format(row, 0, cell_text(notice), &styles.strong)?;
    }
    row += 2;
    for (column, title) in (0u16..).zip([
        frame.figure,
        frame.value,
        frame.previous,
        frame.change,
        frame.note,
    ]) {
        let style = if (1..=3).contains(&column) {
            &styles.head_right
        } else {
            &styles.head
        };
        sheet.write_string_with_format(row, column, title, style)?;
    }
    for kpi in &report.kpis {
        row += 1;
        figure(sheet, row, kpi, report.period.zone, styles)?;
    }
    row += 2;
    for prepared in charts {
        sheet.insert_chart(row, 0, &charts::chart(prepared, styles))?;
        row += charts::ROWS;
    }
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0);
    Ok(())
}

fn figure(sheet: &mut Worksheet, row: u32, kpi: &Kpi, zone: Tz, styles: &Styles) -> Result<(), XlsxError> {
    sheet.write_string_with_format(row, 0, cell_text(&kpi.label), &styles.strong)?;
    for (column, value) in [(1, &kpi.value), (2, &kpi.previous)] {
        let kind = match value {
            Value::Percent(_) => Kind::Percent,
            Value::Duration(seconds) if *seconds < 60.0 => Kind::Seconds,
            Value::Duration(_) => Kind::Duration,
            Value::Money(_) => Kind::Money,
            Value::Date(_) => Kind::Date,
            Value::DateTime(_) => Kind::DateTime,
            Value::Count(_) => Kind::Count,
            Value::Text(_) | Value::Missing => Kind::Text,
        };
        let style = styles.spoken(value, kind);
        write(sheet, row, column, value, kind, zone, style)?;
    }
    match kpi.change() {
        Some(Change::Relative(amount)) => {
            sheet.write_number_with_format(row, 3, amount, &styles.change)?;
        }
        Some(Change::Points(amount)) => {
            sheet.write_number_with_format(row, 3, amount * 100.0, &styles.points)?;
        }
        None => {}
    }
    sheet.write_string_with_format(row, 4, cell_text(&kpi.note), &styles.muted)?;
    Ok(())
}

fn data_sheet(
    sheet: &mut Worksheet,
    table: &Table,
    rows: &[Vec<Value>],
    with_totals: bool,
    zone: Tz,
    styles: &Styles,
) -> Result<(), XlsxError> {
    for (column, definition) in (0u16..).zip(&table.columns) {
        sheet.set_column_width(column, width(table, usize::from(column)))?;
        let title = match &definition.unit {
            Some(unit) => format!("{} ({unit})", definition.title),
            None => definition.title.clone(),
        };
        let right = definition.align == crate::model::Align::Right;
        let style = if right { &styles.head_right } else { &styles.head };
        sheet.write_string_with_format(0, column, cell_text(&title), style)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.set_repeat_rows(0, 0)?;
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0);
    sheet.set_footer("&L&A&R&P / &N");
    let last_column = u16::try_from(table.columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let last_row = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    if !rows.is_empty() {
        sheet.autofilter(0, 0, last_row, last_column)?;
    }
    let totals = table.totals.as_ref().filter(|_| with_totals && !rows.is_empty());
    for (row, cells) in (1u32..).zip(rows.iter().chain(totals)) {
        let total = row > last_row;
        for ((column, definition), value) in (0u16..).zip(&table.columns).zip(cells) {
            let style = styles.cell(value, definition.kind, total);
            write(sheet, row, column, value, definition.kind, zone, style)?;
        }
    }
    Ok(())
}

fn definitions(sheet: &mut Worksheet, report: &Report, styles: &Styles) -> Result<(), XlsxError> {
    let frame = report.locale.frame();
    for (column, width) in [(0, 30.0), (1, 70.0), (2, 70.0)] {
        sheet.set_column_width(column, width)?;
    }
    for (column, title) in (0u16..).zip([frame.term, frame.formula, frame.remark]) {
        sheet.write_string_with_format(0, column, title, &styles.head)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    let mut row = 0;
    for entry in &report.definitions {
        row += 1;
        sheet.write_string_with_format(row, 0, cell_text(&entry.term), &styles.wrapped_strong)?;
        sheet.write_string_with_format(row, 1, cell_text(&entry.formula), &styles.wrapped)?;
        sheet.write_string_with_format(row, 2, cell_text(&entry.remark), &styles.wrapped)?;
    }
    let columns = report.tables().flat_map(|(_, table)| &table.columns);
    let mut seen: Vec<&str> = Vec::new();
    row += 1;
    for column in columns {
        if seen.contains(&column.name.as_str()) {
            continue;
        }
        seen.push(&column.name);
        row += 1;
        sheet.write_string_with_format(row, 0, cell_text(&column.title), &styles.wrapped_strong)?;
        sheet.write_string_with_format(row, 1, cell_text(&column.description), &styles.wrapped)?;
        sheet.write_string_with_format(row, 2, cell_text(&column.name), &styles.muted)?;
    }
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0);
    Ok(())
}

fn write(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    value: &Value,
    kind: Kind,
    zone: Tz,
    style: &Format,
) -> Result<(), XlsxError> {
    match value {
        Value::Text(text) => {
            sheet.write_string_with_format(row, column, cell_text(text), style)?;
        }
        Value::Count(count) => {
            sheet.write_number_with_format(row, column, *count as f64, style)?;
        }
        Value::Date(date) => match ExcelDateTime::from_timestamp(midnight(*date)) {
            Ok(day) => {
                sheet.write_datetime_with_format(row, column, &day, style)?;
            }
            // Excel has no dates before 1900.
            Err(_) => {
                sheet.write_string_with_format(row, column, date.to_string(), style)?;
            }
        },
        Value::DateTime(at) => {
            sheet.write_datetime_with_format(row, column, &local(*at, zone)?, style)?;
        }
        Value::Missing | Value::Percent(_) | Value::Duration(_) | Value::Money(_) => match value.as_f64() {
            Some(seconds) if matches!(value, Value::Duration(_)) && kind != Kind::Seconds => {
                sheet.write_number_with_format(row, column, seconds / 86_400.0, style)?;
            }
            Some(number) => {
                sheet.write_number_with_format(row, column, number, style)?;
            }
            None => {
                sheet.write_blank(row, column, style)?;
            }
        },
    }
    Ok(())
}

/// Excel has no time zones: a point in time is stored as the wall clock shows it.
fn local(at: DateTime<Utc>, zone: Tz) -> Result<ExcelDateTime, XlsxError> {
    ExcelDateTime::from_timestamp(at.with_timezone(&zone).naive_local().and_utc().timestamp())
}

fn midnight(date: chrono::NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

/// Text as a cell can hold it.
fn cell_text(text: &str) -> String {
    let mut room = CELL_CHARACTERS;
    text.chars()
        .map(|symbol| {
            if symbol.is_control() && !matches!(symbol, '\n' | '\t') {
                ' '
            } else {
                symbol
            }
        })
        .take_while(|symbol| {
            let fits = symbol.len_utf16() <= room;
            room = room.saturating_sub(symbol.len_utf16());
            fits
        })
        .collect()
}

fn width(table: &Table, column: usize) -> f64 {
    let Some(definition) = table.columns.get(column) else {
        return 10.0;
    };
    let unit = definition
        .unit
        .as_ref()
        .map_or(0, |unit| unit.chars().count() + 3);
    // Room for the filter button.
    let title = definition.title.chars().count() + unit + 3;
    let content = match definition.kind {
        Kind::Text => table
            .rows
            .iter()
            .take(WIDTH_SAMPLE)
            .filter_map(|row| match row.get(column) {
                Some(Value::Text(text)) => Some(text.chars().count()),
                _ => None,
            })
            .max()
            .unwrap_or(0),
        Kind::DateTime | Kind::Clock => 16,
        Kind::Money => 14,
        Kind::Count | Kind::Percent | Kind::Duration | Kind::Seconds | Kind::Date => 10,
    };
    title.max(content).clamp(9, 48) as f64 + 1.5
}

#[cfg(test)]
mod tests;
