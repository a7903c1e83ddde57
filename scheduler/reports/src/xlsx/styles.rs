//! Cell formats of a workbook, made once and shared by all cells.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};

use crate::model::{Currency, Kind, Report, Value};
use crate::palette::Palette;

pub(super) struct Styles {
    pub(super) palette: Palette,
    pub(super) band: Format,
    pub(super) head: Format,
    pub(super) head_right: Format,
    pub(super) strong: Format,
    pub(super) muted: Format,
    pub(super) wrapped: Format,
    pub(super) wrapped_strong: Format,
    pub(super) change: Format,
    pub(super) points: Format,
    plain: ByKind,
    total: ByKind,
    /// Durations below a minute on the summary, with their unit.
    spoken_seconds: Format,
    /// Plain and total format of every currency that occurs, usually one.
    money: Vec<(Currency, Format, Format)>,
}

struct ByKind {
    text: Format,
    count: Format,
    percent: Format,
    duration: Format,
    seconds: Format,
    date: Format,
    date_time: Format,
}

impl ByKind {
    fn new(base: &Format) -> Self {
        let right = |code: &str| base.clone().set_num_format(code).set_align(FormatAlign::Right);
        Self {
            text: base.clone().set_num_format("@"),
            count: right("#,##0"),
            percent: right("0.0%"),
            duration: right("[h]:mm:ss"),
            seconds: right("#,##0.0"),
            date: base
                .clone()
                .set_num_format("yyyy-mm-dd")
                .set_align(FormatAlign::Left),
            date_time: base
                .clone()
                .set_num_format("yyyy-mm-dd hh:mm")
                .set_align(FormatAlign::Left),
        }
    }

    fn get(&self, kind: Kind) -> &Format {
        match kind {
            Kind::Text => &self.text,
            Kind::Count => &self.count,
            Kind::Percent => &self.percent,
            Kind::Duration => &self.duration,
            Kind::Seconds | Kind::Money => &self.seconds,
            Kind::Date => &self.date,
            Kind::DateTime | Kind::Clock => &self.date_time,
        }
    }
}

impl Styles {
    pub(super) fn new(report: &Report) -> Self {
        let palette = Palette::of(&report.branding);
        let accent = Color::RGB(palette.accent.number());
        let on_accent = Color::RGB(palette.on_accent.number());
        let grey = Color::RGB(0x56_6174);
        let head = Format::new()
            .set_bold()
            .set_font_color(on_accent)
            .set_background_color(accent)
            .set_align(FormatAlign::VerticalCenter);
        let base = Format::new();
        let total = Format::new().set_bold().set_border_top(FormatBorder::Thin);
        let points = report.locale.frame().points;
        let mut money: Vec<(Currency, Format, Format)> = Vec::new();
        for value in values(report) {
            let Value::Money(amount) = value else { continue };
            if money.iter().all(|(known, _, _)| *known != amount.currency) {
                let code = format!("#,##0.00 \"{}\"", amount.currency.code());
                let made = |base: &Format| base.clone().set_num_format(&code).set_align(FormatAlign::Right);
                money.push((amount.currency, made(&base), made(&total)));
            }
        }
        Self {
            palette,
            band: head.clone().set_font_size(16).set_indent(1),
            head: head.clone().set_align(FormatAlign::Left),
            head_right: head.set_align(FormatAlign::Right),
            strong: Format::new().set_bold(),
            muted: Format::new().set_font_color(grey),
            wrapped: Format::new().set_text_wrap().set_align(FormatAlign::Top),
            wrapped_strong: Format::new()
                .set_bold()
                .set_text_wrap()
                .set_align(FormatAlign::Top),
            change: Format::new().set_num_format("+0.0%;-0.0%;0.0%"),
            points: Format::new()
                .set_num_format(format!("+0.0\" {points}\";-0.0\" {points}\";0.0\" {points}\"")),
            plain: ByKind::new(&base),
            total: ByKind::new(&total),
            spoken_seconds: Format::new()
                .set_num_format("0.0\" s\"")
                .set_align(FormatAlign::Right),
            money,
        }
    }

    /// Format of a table cell.
    pub(super) fn cell(&self, value: &Value, kind: Kind, total: bool) -> &Format {
        if let Value::Money(amount) = value
            && let Some((_, plain, bold)) = self.money.iter().find(|(known, _, _)| *known == amount.currency)
        {
            return if total { bold } else { plain };
        }
        if total {
            self.total.get(kind)
        } else {
            self.plain.get(kind)
        }
    }

    /// Format of a headline figure, where no heading carries the unit.
    pub(super) fn spoken(&self, value: &Value, kind: Kind) -> &Format {
        if kind == Kind::Seconds {
            &self.spoken_seconds
        } else {
            self.cell(value, kind, false)
        }
    }
}

/// Every figure and cell of a report.
fn values(report: &Report) -> impl Iterator<Item = &Value> {
    let cells = report
        .tables()
        .flat_map(|(_, table)| table.rows.iter().chain(&table.totals).flatten());
    report
        .kpis
        .iter()
        .flat_map(|kpi| [&kpi.value, &kpi.previous])
        .chain(cells)
}
