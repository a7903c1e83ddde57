//! Native Excel charts on the summary, fed from a sheet of plain numbers.

use rust_xlsxwriter::{
    Chart, ChartAxisTickType, ChartDataLabel, ChartFont, ChartFormat, ChartLegendPosition, ChartLine,
    ChartMarker, ChartMarkerType, ChartSolidFill, ChartType, Color, Worksheet, XlsxError,
};

use super::styles::Styles;
use crate::model::{Body, Chart as Drawing, Plot, Report, Rgb, Value};

/// Rows a chart covers on the summary.
pub(super) const ROWS: u32 = 18;
/// Excel refuses longer descriptions.
const ALT_CHARACTERS: usize = 250;
const WIDTH: u32 = 1_000;
const HEIGHT: u32 = 340;

/// A chart and where its numbers are.
pub(super) struct Prepared<'a> {
    title: &'a str,
    drawing: &'a Drawing,
    sheet: String,
    /// Header row of its block on the data sheet.
    row: u32,
}

/// Lays out the blocks of the chart data sheet. Charts without data are left out.
pub(super) fn prepare<'a>(report: &'a Report, sheet: &str) -> Vec<Prepared<'a>> {
    let mut row = 0;
    let mut prepared = Vec::new();
    for section in &report.sections {
        let Body::Chart(drawing) = &section.body else {
            continue;
        };
        let length = match &drawing.plot {
            Plot::Columns {
                categories, series, ..
            } => {
                let drawn = series
                    .iter()
                    .any(|layer| layer.values.iter().any(|value| *value > 0));
                if drawn { categories.len() } else { 0 }
            }
            Plot::Bars { bars, .. } => bars.len(),
        };
        if length == 0 {
            continue;
        }
        prepared.push(Prepared {
            title: &section.title,
            drawing,
            sheet: sheet.to_owned(),
            row,
        });
        // Title of the block, header, values, blank row.
        row += u32::try_from(length).unwrap_or(u32::MAX / 2) + 3;
    }
    prepared
}

/// Writes the numbers the charts refer to.
pub(super) fn write_data(
    sheet: &mut Worksheet,
    charts: &[Prepared<'_>],
    styles: &Styles,
) -> Result<(), XlsxError> {
    sheet.set_column_width(0, 34)?;
    sheet.set_column_range_width(1, 12, 16)?;
    for chart in charts {
        sheet.write_string_with_format(chart.row, 0, super::cell_text(chart.title), &styles.strong)?;
        let head = chart.row + 1;
        match &chart.drawing.plot {
            Plot::Columns {
                categories,
                axis_title,
                series,
                line,
            } => {
                sheet.write_string_with_format(head, 0, super::cell_text(axis_title), &styles.head)?;
                for (row, category) in (head + 1..).zip(categories) {
                    sheet.write_string(row, 0, super::cell_text(category))?;
                }
                let mut column = 0;
                for layer in series {
                    column += 1;
                    sheet.write_string_with_format(
                        head,
                        column,
                        super::cell_text(&layer.name),
                        &styles.head_right,
                    )?;
                    for (row, value) in (head + 1..).zip(&layer.values) {
                        let value = Value::Count(*value);
                        let style = styles.cell(&value, crate::model::Kind::Count, false);
                        sheet.write_number_with_format(row, column, value.as_f64().unwrap_or(0.0), style)?;
                    }
                }
                if let Some(line) = line {
                    column += 1;
                    sheet.write_string_with_format(
                        head,
                        column,
                        super::cell_text(&line.name),
                        &styles.head_right,
                    )?;
                    for (row, value) in (head + 1..).zip(&line.values) {
                        if let Some(ratio) = value {
                            let style =
                                styles.cell(&Value::Percent(*ratio), crate::model::Kind::Percent, false);
                            sheet.write_number_with_format(row, column, *ratio, style)?;
                        }
                    }
                }
            }
            Plot::Bars {
                value_title, bars, ..
            } => {
                sheet.write_blank(head, 0, &styles.head)?;
                sheet.write_string_with_format(head, 1, super::cell_text(value_title), &styles.head_right)?;
                for (row, bar) in (head + 1..).zip(bars) {
                    sheet.write_string(row, 0, super::cell_text(&bar.label))?;
                    let style = styles.cell(&bar.value, crate::model::Kind::Count, false);
                    sheet.write_number_with_format(row, 1, bar.value.as_f64().unwrap_or(0.0), style)?;
                }
            }
        }
    }
    Ok(())
}

/// The chart object for the summary.
pub(super) fn chart(prepared: &Prepared<'_>, styles: &Styles) -> Chart {
    let mut chart = match &prepared.drawing.plot {
        Plot::Columns {
            categories,
            series,
            line,
            ..
        } => {
            let mut chart = Chart::new(ChartType::ColumnStacked);
            let span = Span {
                prepared,
                length: categories.len(),
            };
            let mut column = 0;
            for layer in series {
                column += 1;
                chart
                    .add_series()
                    .set_name(span.head(column))
                    .set_categories(span.values(0))
                    .set_values(span.values(column))
                    .set_gap(45)
                    .set_format(&mut fill(styles.palette.ink(layer.ink)));
            }
            if line.is_some() {
                column += 1;
                let mut overlay = Chart::new(ChartType::Line);
                let ink = Color::RGB(0x17_1F2E);
                overlay
                    .add_series()
                    .set_name(span.head(column))
                    .set_categories(span.values(0))
                    .set_values(span.values(column))
                    .set_secondary_axis(true)
                    .set_marker(
                        ChartMarker::new()
                            .set_type(ChartMarkerType::Circle)
                            .set_size(5)
                            .set_format(&mut fill(Rgb(0x17, 0x1F, 0x2E))),
                    )
                    .set_format(ChartFormat::new().set_line(ChartLine::new().set_color(ink).set_width(1.75)));
                chart.combine(&overlay);
                // Both axes belong to the primary chart.
                chart
                    .y2_axis()
                    .set_num_format("0%")
                    .set_min(0)
                    .set_major_gridlines(false);
            }
            chart.y_axis().set_num_format("#,##0").set_min(0);
            chart.legend().set_position(ChartLegendPosition::Top);
            chart
        }
        Plot::Bars { bars, ink, .. } => {
            let mut chart = Chart::new(ChartType::Bar);
            let span = Span {
                prepared,
                length: bars.len(),
            };
            chart
                .add_series()
                .set_name(span.head(1))
                .set_categories(span.values(0))
                .set_values(span.values(1))
                .set_gap(40)
                .set_data_label(ChartDataLabel::new().show_value())
                .set_format(&mut fill(styles.palette.ink(*ink)));
            chart.x_axis().set_reverse();
            chart.y_axis().set_hidden(true);
            chart.legend().set_hidden();
            chart
        }
    };
    let line = ChartLine::new()
        .set_color(Color::RGB(0xD8_DEE8))
        .set_width(0.75)
        .clone();
    chart
        .y_axis()
        .set_major_gridlines_line(&line)
        .set_format(ChartFormat::new().set_no_line());
    chart
        .x_axis()
        .set_major_tick_type(ChartAxisTickType::None)
        .set_major_gridlines(false);
    chart
        .title()
        .set_name(prepared.title)
        .set_overlay(false)
        .set_font(ChartFont::new().set_size(13).set_bold());
    chart
        .set_alt_text(
            prepared
                .drawing
                .alt
                .chars()
                .take(ALT_CHARACTERS)
                .collect::<String>(),
        )
        .set_width(WIDTH)
        .set_height(HEIGHT);
    chart
}

fn fill(colour: Rgb) -> ChartFormat {
    let colour = Color::RGB(colour.number());
    ChartFormat::new()
        .set_solid_fill(ChartSolidFill::new().set_color(colour))
        .clone()
}

/// Addresses within a chart's block.
struct Span<'a, 'b> {
    prepared: &'a Prepared<'b>,
    length: usize,
}

impl Span<'_, '_> {
    fn head(&self, column: u16) -> (&str, u32, u16) {
        (&self.prepared.sheet, self.prepared.row + 1, column)
    }

    fn values(&self, column: u16) -> (&str, u32, u16, u32, u16) {
        let first = self.prepared.row + 2;
        let last = first + u32::try_from(self.length.saturating_sub(1)).unwrap_or(0);
        (&self.prepared.sheet, first, column, last, column)
    }
}
