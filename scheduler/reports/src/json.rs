//! JSON files: every figure and table of a report in one object with a stable field order.
//!
//! Ratios are numbers from 0 to 1, durations seconds, money currency units (the currency is
//! named by the column or figure), times RFC 3339 with the local offset, missing values null.

use chrono_tz::Tz;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::error::RenderError;
use crate::model::{Column, Kind, Kpi, Limit, Report, Table, Value, rfc3339};

/// Version of the object's shape. Fields may be added within a version, never changed.
pub const SCHEMA_VERSION: u32 = 1;

/// Renders the whole report.
pub fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    let zone = report.period.zone;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kind: &report.kind,
        title: &report.title,
        tenant: &report.tenant_name,
        language: report.locale.tag(),
        period: Span {
            from: rfc3339(report.period.from, zone),
            to: rfc3339(report.period.to, zone),
            zone: zone.name(),
        },
        generated_at: rfc3339(report.generated_at, Tz::UTC),
        provisional: report.provisional,
        kpis: report.kpis.iter().map(|kpi| Figure::of(kpi, zone)).collect(),
        tables: report
            .tables()
            .map(|(section, table)| Grid::of(&section.title, table, zone))
            .collect(),
        definitions: report
            .definitions
            .iter()
            .map(|entry| Entry {
                term: &entry.term,
                formula: &entry.formula,
                remark: &entry.remark,
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    kind: &'a str,
    title: &'a str,
    tenant: &'a str,
    language: &'static str,
    period: Span,
    generated_at: String,
    provisional: bool,
    kpis: Vec<Figure<'a>>,
    tables: Vec<Grid<'a>>,
    definitions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Span {
    from: String,
    to: String,
    zone: &'static str,
}

#[derive(Serialize)]
struct Figure<'a> {
    name: &'a str,
    label: &'a str,
    unit: Option<&'a str>,
    value: Cell<'a>,
    previous: Cell<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
}

#[derive(Serialize)]
struct Grid<'a> {
    name: &'a str,
    title: &'a str,
    columns: Vec<Head<'a>>,
    rows: Rows<'a>,
    totals: Option<Row<'a>>,
}

#[derive(Serialize)]
struct Head<'a> {
    name: &'a str,
    title: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    description: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    term: &'a str,
    formula: &'a str,
    remark: &'a str,
}

impl<'a> Figure<'a> {
    fn of(kpi: &'a Kpi, zone: Tz) -> Self {
        let (at_most, at_least) = match kpi.limit {
            Some(Limit::AtMost(bound)) => (Some(bound), None),
            Some(Limit::AtLeast(bound)) => (None, Some(bound)),
            None => (None, None),
        };
        Self {
            name: &kpi.name,
            label: &kpi.label,
            unit: unit(&kpi.value),
            value: Cell {
                value: &kpi.value,
                zone,
            },
            previous: Cell {
                value: &kpi.previous,
                zone,
            },
            at_most,
            at_least,
        }
    }
}

fn unit(value: &Value) -> Option<&str> {
    match value {
        Value::Percent(_) => Some("ratio"),
        Value::Duration(_) => Some("s"),
        Value::Money(money) => Some(money.currency.code()),
        Value::Missing | Value::Text(_) | Value::Count(_) | Value::Date(_) | Value::DateTime(_) => None,
    }
}

impl<'a> Grid<'a> {
    fn of(title: &'a str, table: &'a Table, zone: Tz) -> Self {
        Self {
            name: &table.name,
            title,
            columns: table
                .columns
                .iter()
                .map(|column| Head {
                    name: &column.name,
                    title: &column.title,
                    kind: kind(column.kind),
                    currency: column.unit.as_deref().filter(|_| column.kind == Kind::Money),
                    description: &column.description,
                })
                .collect(),
            rows: Rows { table, zone },
            totals: table.totals.as_ref().map(|cells| Row {
                columns: &table.columns,
                cells,
                zone,
            }),
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Count => "count",
        Kind::Percent => "ratio",
        Kind::Duration | Kind::Seconds => "seconds",
        Kind::Money => "money",
        Kind::Date => "date",
        Kind::DateTime | Kind::Clock => "time",
    }
}

struct Rows<'a> {
    table: &'a Table,
    zone: Tz,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.table.rows.len()))?;
        for cells in &self.table.rows {
            list.serialize_element(&Row {
                columns: &self.table.columns,
                cells,
                zone: self.zone,
            })?;
        }
        list.end()
    }
}

struct Row<'a> {
    columns: &'a [Column],
    cells: &'a [Value],
    zone: Tz,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.cells) {
            object.serialize_entry(
                &column.name,
                &Cell {
                    value,
                    zone: self.zone,
                },
            )?;
        }
        object.end()
    }
}

struct Cell<'a> {
    value: &'a Value,
    zone: Tz,
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Count(count) => serializer.serialize_u64(*count),
            Value::Date(date) => serializer.collect_str(date),
            Value::DateTime(at) => serializer.serialize_str(&rfc3339(*at, self.zone)),
            Value::Missing | Value::Percent(_) | Value::Duration(_) | Value::Money(_) => {
                match self.value.as_f64() {
                    Some(number) => serializer.serialize_f64(number),
                    None => serializer.serialize_none(),
                }
            }
        }
    }
}
