//! What the template sees: finished strings, fractions and colours, nothing to calculate.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use super::ROW_LIMIT;
use super::glyphs::breakable;
use crate::axis::Scale;
use crate::format::Formatter;
use crate::model::{
    Align, Audience, Better, Body, Change, Chart, Kind, Kpi, Limit, Plot, Report, Section, Series, Table,
    Value,
};
use crate::palette::Palette;
use crate::period::Period;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    lang: &'static str,
    title: &'a str,
    subtitle: &'a str,
    tenant: &'a str,
    period: &'a str,
    zone: String,
    generated: String,
    provisional: bool,
    empty_notice: Option<&'a str>,
    has_logo: bool,
    colours: Colours,
    words: Words,
    kpis: Vec<Card<'a>>,
    sections: Vec<Part<'a>>,
    definitions: Vec<[&'a str; 3]>,
}

#[derive(Serialize)]
struct Colours {
    accent: String,
    on_accent: String,
    accent_text: String,
    tint: String,
}

#[derive(Serialize)]
struct Words {
    page: &'static str,
    of: &'static str,
    generated: &'static str,
    provisional: &'static str,
    provisional_note: &'static str,
    key_figures: &'static str,
    no_rows: &'static str,
    definitions: &'static str,
    definitions_note: &'static str,
    term: &'static str,
    formula: &'static str,
    remark: &'static str,
}

#[derive(Serialize)]
struct Card<'a> {
    label: &'a str,
    value: String,
    change: Option<Move>,
    limit: Option<Verdict>,
    note: &'a str,
}

#[derive(Serialize)]
struct Move {
    text: String,
    previous: String,
    direction: &'static str,
    tone: &'static str,
}

#[derive(Serialize)]
struct Verdict {
    text: String,
    holds: bool,
}

#[derive(Serialize)]
struct Part<'a> {
    title: &'a str,
    explanation: &'a str,
    #[serde(flatten)]
    body: PartBody<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PartBody<'a> {
    Columns(Columns<'a>),
    Bars(Bars<'a>),
    Table(Grid<'a>),
    Text { paragraphs: &'a [String] },
    Empty,
}

#[derive(Serialize)]
struct Columns<'a> {
    alt: &'a str,
    axis_title: &'a str,
    categories: &'a [String],
    label_every: usize,
    ticks: Vec<Tick>,
    legend: Vec<Key<'a>>,
    /// Per category the layers as bottom, top (fractions of the height) and colour index.
    stacks: Vec<Vec<(f64, f64, usize)>>,
    line: Option<LineView<'a>>,
}

#[derive(Serialize)]
struct Tick {
    at: f64,
    label: String,
    ratio: Option<String>,
}

#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    colour: String,
}

#[derive(Serialize)]
struct LineView<'a> {
    name: &'a str,
    /// Fractions of the height; null where there is no value.
    points: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Bars<'a> {
    alt: &'a str,
    colour: String,
    bars: Vec<BarView>,
}

#[derive(Serialize)]
struct BarView {
    label: String,
    fraction: f64,
    value: String,
    detail: String,
}

#[derive(Serialize)]
struct Grid<'a> {
    columns: Vec<Head<'a>>,
    rows: Vec<Vec<String>>,
    totals: Option<Vec<String>>,
    cut: Option<String>,
}

#[derive(Serialize)]
struct Head<'a> {
    title: &'a str,
    unit: Option<&'a str>,
    right: bool,
    wide: bool,
}

impl<'a> Document<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let frame = report.locale.frame();
        let formatter = Formatter::new(report.locale, report.period.zone);
        let palette = Palette::of(&report.branding);
        Self {
            lang: report.locale.tag(),
            title: &report.title,
            subtitle: &report.subtitle,
            tenant: &report.tenant_name,
            period: &report.period.label,
            zone: zone(&report.period),
            generated: formatter.date_time(report.generated_at),
            provisional: report.provisional,
            empty_notice: report.empty_notice.as_deref(),
            has_logo: report.branding.logo_svg.is_some(),
            colours: Colours {
                accent: palette.accent.hex(),
                on_accent: palette.on_accent.hex(),
                accent_text: palette.accent_text.hex(),
                tint: palette.tint.hex(),
            },
            words: Words {
                page: frame.page,
                of: frame.of,
                generated: frame.generated,
                provisional: frame.provisional,
                provisional_note: frame.provisional_note,
                key_figures: frame.key_figures,
                no_rows: frame.no_rows,
                definitions: frame.definitions,
                definitions_note: frame.definitions_note,
                term: frame.term,
                formula: frame.formula,
                remark: frame.remark,
            },
            kpis: report
                .kpis
                .iter()
                .filter(|kpi| kpi.audience == Audience::Everyone)
                .map(|kpi| card(kpi, report, &formatter))
                .collect(),
            sections: report
                .sections
                .iter()
                .filter(|section| section.audience == Audience::Everyone)
                .map(|section| part(section, report, &formatter, palette))
                // The notice already says that there is nothing.
                .filter(|part| report.empty_notice.is_none() || !matches!(part.body, PartBody::Empty))
                .collect(),
            definitions: report
                .definitions
                .iter()
                .map(|entry| [entry.term.as_str(), entry.formula.as_str(), entry.remark.as_str()])
                .collect(),
        }
    }
}

/// The zone with its offset, or with both where the clock changes within the period.
fn zone(period: &Period) -> String {
    let offset = |at: DateTime<Utc>| at.with_timezone(&period.zone).format("%:z").to_string();
    let (first, last) = (offset(period.from), offset(period.to - Duration::seconds(1)));
    let change = if first == last {
        String::new()
    } else {
        format!(" → {last}")
    };
    format!("{} (UTC{first}{change})", period.zone.name())
}

fn card<'a>(kpi: &'a Kpi, report: &Report, formatter: &Formatter) -> Card<'a> {
    let frame = report.locale.frame();
    let change = kpi.change().map(|change| {
        let text = formatter.change(change);
        let still = text == frame.unchanged;
        Move {
            direction: match change.amount() {
                _ if still => "flat",
                amount if amount > 0.0 => "up",
                _ => "down",
            },
            tone: if still {
                "neutral"
            } else {
                tone(change, kpi.better)
            },
            previous: format!("{} {}", frame.previous, formatter.value(&kpi.previous)),
            text,
        }
    });
    let limit = kpi.limit.as_ref().zip(kpi.value.as_f64()).map(|(limit, ratio)| {
        let holds = limit.holds(ratio);
        let (words, bound) = match (limit, holds) {
            (Limit::AtMost(bound), true) => (frame.within_limit, bound),
            (Limit::AtMost(bound), false) => (frame.over_limit, bound),
            (Limit::AtLeast(bound), true) => (frame.target_met, bound),
            (Limit::AtLeast(bound), false) => (frame.target_missed, bound),
        };
        Verdict {
            text: format!("{words} {}", formatter.limit(*bound)),
            holds,
        }
    });
    Card {
        label: &kpi.label,
        value: formatter.value(&kpi.value),
        change,
        limit,
        note: &kpi.note,
    }
}

fn tone(change: Change, better: Option<Better>) -> &'static str {
    match (better, change.amount() > 0.0) {
        (None, _) => "neutral",
        (Some(Better::Up), true) | (Some(Better::Down), false) => "good",
        (Some(Better::Up), false) | (Some(Better::Down), true) => "bad",
    }
}

fn part<'a>(section: &'a Section, report: &Report, formatter: &Formatter, palette: Palette) -> Part<'a> {
    let body = match &section.body {
        Body::Chart(chart) => drawing(chart, formatter, palette),
        Body::Table(table) if table.rows.is_empty() => PartBody::Empty,
        Body::Table(table) => PartBody::Table(grid(table, report, formatter)),
        Body::Text(paragraphs) => PartBody::Text { paragraphs },
    };
    Part {
        title: &section.title,
        explanation: &section.explanation,
        body,
    }
}

fn drawing<'a>(chart: &'a Chart, formatter: &Formatter, palette: Palette) -> PartBody<'a> {
    match &chart.plot {
        Plot::Columns {
            categories,
            axis_title,
            series,
            line,
        } => {
            let heights = |index: usize| {
                series
                    .iter()
                    .map(move |layer| layer.values.get(index).copied().unwrap_or(0))
            };
            let highest = (0..categories.len())
                .map(|index| heights(index).sum())
                .max()
                .unwrap_or(0);
            if highest == 0 {
                return PartBody::Empty;
            }
            let scale = Scale::counts(highest);
            let ratios = line.as_ref().map(|line| {
                let top = line.values.iter().flatten().copied().fold(0.0, f64::max);
                Scale::ratios(top, scale.steps)
            });
            let ratio_ticks = ratios.map(|scale| {
                scale
                    .ticks()
                    .map(|tick| formatter.limit(tick))
                    .collect::<Vec<_>>()
            });
            PartBody::Columns(Columns {
                alt: &chart.alt,
                axis_title,
                categories,
                label_every: categories.len().div_ceil(26).max(1),
                ticks: scale
                    .ticks()
                    .enumerate()
                    .map(|(index, tick)| Tick {
                        at: tick / scale.max(),
                        label: formatter.tick(tick, scale.max()),
                        ratio: ratio_ticks.as_ref().and_then(|ticks| ticks.get(index).cloned()),
                    })
                    .collect(),
                legend: series
                    .iter()
                    .map(|layer| Key {
                        name: &layer.name,
                        colour: palette.ink(layer.ink).hex(),
                    })
                    .collect(),
                stacks: (0..categories.len())
                    .map(|index| stack(series, index, scale))
                    .collect(),
                line: line.as_ref().zip(ratios).map(|(line, scale)| LineView {
                    name: &line.name,
                    points: line
                        .values
                        .iter()
                        .map(|value| value.map(|ratio| ratio / scale.max()))
                        .collect(),
                }),
            })
        }
        Plot::Bars { bars, ink, .. } => {
            let longest = bars
                .iter()
                .filter_map(|bar| bar.value.as_f64())
                .fold(0.0, f64::max);
            if longest <= 0.0 {
                return PartBody::Empty;
            }
            PartBody::Bars(Bars {
                alt: &chart.alt,
                colour: palette.ink(*ink).hex(),
                bars: bars
                    .iter()
                    .map(|bar| BarView {
                        label: breakable(&bar.label),
                        fraction: bar.value.as_f64().unwrap_or(0.0).max(0.0) / longest,
                        value: formatter.value(&bar.value),
                        detail: if bar.detail == Value::Missing {
                            String::new()
                        } else {
                            formatter.value(&bar.detail)
                        },
                    })
                    .collect(),
            })
        }
    }
}

fn stack(series: &[Series], index: usize, scale: Scale) -> Vec<(f64, f64, usize)> {
    let mut bottom = 0;
    let mut layers = Vec::with_capacity(series.len());
    for (colour, layer) in series.iter().enumerate() {
        let height = layer.values.get(index).copied().unwrap_or(0);
        if height > 0 {
            layers.push((
                bottom as f64 / scale.max(),
                (bottom + height) as f64 / scale.max(),
                colour,
            ));
        }
        bottom += height;
    }
    layers
}

fn grid<'a>(table: &'a Table, report: &Report, formatter: &Formatter) -> Grid<'a> {
    let cells = |row: &Vec<Value>| -> Vec<String> {
        row.iter()
            .zip(&table.columns)
            .map(|(value, column)| breakable(&formatter.cell(value, column.kind)))
            .collect()
    };
    let total = table.rows.len();
    Grid {
        columns: table
            .columns
            .iter()
            .map(|column| Head {
                title: &column.title,
                unit: column.unit.as_deref(),
                right: column.align == Align::Right,
                wide: column.kind == Kind::Text,
            })
            .collect(),
        rows: table.rows.iter().take(ROW_LIMIT).map(cells).collect(),
        totals: table.totals.as_ref().map(cells),
        cut: (total > ROW_LIMIT).then(|| {
            format!(
                "{} {} / {}",
                report.locale.frame().rows_left_out,
                formatter.count(ROW_LIMIT as u64),
                formatter.count(total as u64)
            )
        }),
    }
}
