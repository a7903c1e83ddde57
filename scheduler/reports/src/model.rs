//! The document model of a report: what is said, without a word on how it looks.
//!
//! A [`Report`] holds typed values only. The PDF formats them for a reader (see
//! [`crate::format`]); Excel, CSV and JSON keep them raw, so a machine never has to
//! parse "12,3 %".

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::error::RenderError;
use crate::locale::Locale;
use crate::period::Period;

/// One finished report, ready to be rendered into any [`crate::Format`].
#[derive(Debug, Clone)]
pub struct Report {
    /// Stable slug of the report type, for example `daily_summary`.
    pub kind: String,
    /// Headline of the document.
    pub title: String,
    /// One line under the title: what the reader will find.
    pub subtitle: String,
    /// Display name of the tenant the figures belong to.
    pub tenant_name: String,
    /// What span of time the figures cover, and in which zone days are cut.
    pub period: Period,
    /// When the figures were read. The only time stamp that enters a file, so the
    /// same report always gives the same bytes.
    pub generated_at: DateTime<Utc>,
    /// Language and number conventions.
    pub locale: Locale,
    /// Colours and logo of the tenant.
    pub branding: Branding,
    /// True when events of the period may still be missing.
    pub provisional: bool,
    /// Text shown in place of the figures when nothing happened in the period.
    pub empty_notice: Option<String>,
    /// Headline figures, in order of importance.
    pub kpis: Vec<Kpi>,
    /// Charts, tables and paragraphs, in reading order.
    pub sections: Vec<Section>,
    /// How every figure is calculated, denominators stated.
    pub definitions: Vec<Definition>,
    /// Name of the table that becomes the CSV file.
    pub primary_table: String,
}

impl Report {
    /// All tables in reading order.
    pub fn tables(&self) -> impl Iterator<Item = (&Section, &Table)> {
        self.sections.iter().filter_map(|section| match &section.body {
            Body::Table(table) => Some((section, table)),
            Body::Chart(_) | Body::Text(_) => None,
        })
    }

    /// Checks what the types cannot: names are unique slugs, rows are as wide as their
    /// table, the primary table exists.
    pub fn check(&self) -> Result<(), RenderError> {
        let malformed = |message: String| Err(RenderError::Malformed(message));
        let mut names = Vec::new();
        for (_, table) in self.tables() {
            if !is_slug(&table.name) || names.contains(&&table.name) {
                return malformed(format!("table name {:?} is taken or no slug", table.name));
            }
            names.push(&table.name);
            if let Some(column) = table.columns.iter().find(|column| !is_slug(&column.name)) {
                return malformed(format!(
                    "column name {:?} of {} is no slug",
                    column.name, table.name
                ));
            }
            let width = table.columns.len();
            if table
                .rows
                .iter()
                .chain(&table.totals)
                .any(|row| row.len() != width)
            {
                return malformed(format!("a row of {} is not {width} values wide", table.name));
            }
        }
        if self.primary().is_none() {
            return malformed(format!("there is no table called {:?}", self.primary_table));
        }
        if self.kind.is_empty() || self.title.is_empty() {
            return malformed("kind and title must not be empty".to_owned());
        }
        Ok(())
    }

    /// The table that [`Report::primary_table`] names.
    pub fn primary(&self) -> Option<&Table> {
        self.tables()
            .map(|(_, table)| table)
            .find(|table| table.name == self.primary_table)
    }
}

/// Colours and logo of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Branding {
    /// Main colour; the product's own when absent.
    pub accent: Option<Rgb>,
    /// Logo as SVG source, drawn on the cover band. It must be legible on `accent`.
    pub logo_svg: Option<String>,
}

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// A headline figure with its comparison.
#[derive(Debug, Clone)]
pub struct Kpi {
    /// Machine name in snake_case, unit as suffix where there is one (`aht_s`).
    pub name: String,
    /// Name for the reader.
    pub label: String,
    /// The figure.
    pub value: Value,
    /// The same figure of the previous period; `Missing` when there is none.
    pub previous: Value,
    /// Which direction is good news; none when neither is.
    pub better: Option<Better>,
    /// Where the figure must stay.
    pub limit: Option<Limit>,
    /// Short remark under the figure, usually numerator and denominator.
    pub note: String,
    /// Where it appears; figures for `Data` have no card in the PDF.
    pub audience: Audience,
}

/// Which direction of change is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Up,
    /// Less is better.
    Down,
}

/// A bound on a ratio, with a name for the reader.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// The ratio must not exceed this (a ceiling).
    AtMost(f64),
    /// The ratio should reach this (a target).
    AtLeast(f64),
}

impl Limit {
    /// Whether `ratio` respects the bound.
    pub fn holds(&self, ratio: f64) -> bool {
        match self {
            Self::AtMost(ceiling) => ratio <= *ceiling,
            Self::AtLeast(target) => ratio >= *target,
        }
    }
}

/// How a figure moved against the previous period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Relative change, as a ratio of the previous value.
    Relative(f64),
    /// Difference of two ratios (shown in percentage points).
    Points(f64),
}

impl Change {
    /// The signed amount.
    pub fn amount(self) -> f64 {
        match self {
            Self::Relative(amount) | Self::Points(amount) => amount,
        }
    }
}

impl Kpi {
    /// The move against the previous period, where both values exist and can be compared.
    pub fn change(&self) -> Option<Change> {
        let (now, before) = (self.value.as_f64()?, self.previous.as_f64()?);
        match (&self.value, &self.previous) {
            (Value::Percent(_), Value::Percent(_)) => Some(Change::Points(now - before)),
            (Value::Money(a), Value::Money(b)) if a.currency != b.currency => None,
            _ if before == 0.0 => None,
            _ => Some(Change::Relative((now - before) / before.abs())),
        }
    }
}

/// A titled part of a report.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// One line saying how to read it.
    pub explanation: String,
    /// Where it appears.
    pub audience: Audience,
    /// The content.
    pub body: Body,
}

/// Which files a section appears in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// In every file.
    Everyone,
    /// In Excel, CSV and JSON only: too fine-grained to read on paper.
    Data,
}

/// Content of a section.
#[derive(Debug, Clone)]
pub enum Body {
    /// A drawing.
    Chart(Chart),
    /// Rows and columns.
    Table(Table),
    /// Paragraphs of plain text.
    Text(Vec<String>),
}

/// A drawing, described by its data.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What the drawing shows, in words, for readers who cannot see it.
    pub alt: String,
    /// The kind of drawing and its data.
    pub plot: Plot,
}

/// The kinds of drawing.
#[derive(Debug, Clone)]
pub enum Plot {
    /// Stacked columns over a common axis, with an optional line on a percent axis.
    Columns {
        /// Labels of the horizontal axis, one per column.
        categories: Vec<String>,
        /// Title of the horizontal axis.
        axis_title: String,
        /// Layers from bottom to top; every layer has one value per category.
        series: Vec<Series>,
        /// Ratio drawn over the columns against the right-hand axis.
        line: Option<Line>,
    },
    /// Horizontal bars with the value written at the end.
    Bars {
        /// Title of the value column.
        value_title: String,
        /// Bars from top to bottom.
        bars: Vec<Bar>,
        /// Colour of the bars.
        ink: Ink,
    },
}

/// One layer of stacked columns.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Colour role.
    pub ink: Ink,
    /// One count per category.
    pub values: Vec<u64>,
}

/// A ratio drawn as a line; gaps where there is no denominator.
#[derive(Debug, Clone)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// One ratio per category.
    pub values: Vec<Option<f64>>,
}

/// One horizontal bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Text at the left.
    pub label: String,
    /// Length and number at the right.
    pub value: Value,
    /// Second figure at the right, usually a share.
    pub detail: Value,
}

/// What a colour stands for; the palette decides what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// The tenant's colour.
    Accent,
    /// A light shade of the tenant's colour.
    AccentSoft,
    /// Something that deserves attention.
    Alert,
    /// Neutral, light to dark in three steps.
    Quiet,
    /// Neutral, the middle step.
    Neutral,
    /// Neutral, the dark step.
    Strong,
}

/// Rows and typed columns.
#[derive(Debug, Clone)]
pub struct Table {
    /// Machine name in snake_case; unique within the report.
    pub name: String,
    /// Typed columns.
    pub columns: Vec<Column>,
    /// One value per column.
    pub rows: Vec<Vec<Value>>,
    /// Optional last row. Ratios in it are supplied by the caller from summed counts:
    /// a ratio of totals is never the average of ratios.
    pub totals: Option<Vec<Value>>,
}

/// A typed column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Machine name in snake_case.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Unit shown under the heading; the currency code for columns of money.
    pub unit: Option<String>,
    /// Type of the values.
    pub kind: Kind,
    /// Where cells are aligned.
    pub align: Align,
    /// What the column means, in one sentence.
    pub description: String,
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Free text.
    Text,
    /// Whole numbers.
    Count,
    /// Ratios, 1.0 is 100 %.
    Percent,
    /// Durations shown as minutes and seconds.
    Duration,
    /// Short durations shown as seconds with one decimal.
    Seconds,
    /// Amounts of money.
    Money,
    /// Calendar days.
    Date,
    /// Points in time, shown with date in the report's zone.
    DateTime,
    /// Points in time, shown as local clock time.
    Clock,
}

/// Horizontal alignment of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl Column {
    /// A column with the usual alignment of its kind.
    pub fn new(name: &str, title: &str, kind: Kind, description: &str) -> Self {
        let align = match kind {
            Kind::Text | Kind::Date | Kind::DateTime | Kind::Clock => Align::Left,
            Kind::Count | Kind::Percent | Kind::Duration | Kind::Seconds | Kind::Money => Align::Right,
        };
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            unit: None,
            kind,
            align,
            description: description.to_owned(),
        }
    }

    /// The same column with a unit under its heading.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }
}

/// A single typed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: nothing was measured, or the denominator was zero.
    Missing,
    /// Free text; printed literally everywhere.
    Text(String),
    /// A whole number.
    Count(u64),
    /// A ratio, 1.0 is 100 %.
    Percent(f64),
    /// A duration in seconds.
    Duration(f64),
    /// An amount of money.
    Money(Money),
    /// A calendar day.
    Date(NaiveDate),
    /// A point in time.
    DateTime(DateTime<Utc>),
}

/// An amount in millionths of a currency unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Millionths of the unit; negative for credits.
    pub micros: i64,
    /// Which currency.
    pub currency: Currency,
}

/// An ISO 4217 currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// Accepts three upper-case ASCII letters.
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The three-letter code.
    pub fn code(&self) -> &str {
        // Three ASCII letters by construction, so this is never the fallback.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl Value {
    /// `part / whole` as a ratio; missing when the denominator is zero.
    pub fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            Self::Missing
        } else {
            Self::Percent(part as f64 / whole as f64)
        }
    }

    /// Mean of a sum of milliseconds over `count`, in seconds; missing when nothing was counted.
    pub fn mean_ms(sum_ms: u64, count: u64) -> Self {
        if count == 0 {
            Self::Missing
        } else {
            Self::Duration(sum_ms as f64 / 1000.0 / count as f64)
        }
    }

    /// A duration given in milliseconds, in seconds; missing stays missing.
    pub fn millis(ms: Option<u64>) -> Self {
        ms.map_or(Self::Missing, |ms| Self::Duration(ms as f64 / 1000.0))
    }

    /// Free text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The value as a plain number (money in currency units); none for text, times,
    /// missing values and anything not finite.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Percent(number) | Self::Duration(number) => Some(*number).filter(|n| n.is_finite()),
            Self::Money(money) => Some(money.micros as f64 / 1e6),
            Self::Missing | Self::Text(_) | Self::Date(_) | Self::DateTime(_) => None,
        }
    }
}

/// How one figure is calculated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The figure's name as it appears in the report.
    pub term: String,
    /// Formula with its denominator.
    pub formula: String,
    /// What to keep in mind when reading it.
    pub remark: String,
}

fn is_slug(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A point in time as wall-clock time of `zone`, with its offset.
pub(crate) fn rfc3339(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone)
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}
