//! Turns a report into a file: PDF for reading, Excel for working, CSV and JSON for machines.
//!
//! The crate does no I/O of its own: it takes a [`Report`] (see [`model`]) and gives bytes.
//! Equal reports give equal bytes in every format, so a stored digest proves that a resent
//! file is the file that was sent.
//!
//! [`render`] is CPU-bound (PDF: up to seconds for large reports). Async callers wrap it in
//! `tokio::task::spawn_blocking`.
//!
//! ```no_run
//! # fn demo(report: &voice_reports::Report) -> Result<(), voice_reports::RenderError> {
//! let format: voice_reports::Format = "pdf".parse()?;
//! let bytes = voice_reports::render(report, format)?;
//! println!("{} bytes of {}", bytes.len(), format.media_type());
//! # Ok(())
//! # }
//! ```

mod axis;
pub mod csv;
pub mod daily_summary;
mod error;
#[cfg(test)]
mod fixture;
pub mod format;
pub mod json;
pub mod locale;
pub mod model;
mod palette;
pub mod pdf;
pub mod period;
pub mod xlsx;

pub use crate::daily_summary::DailySummaryData;
pub use crate::error::RenderError;
pub use crate::locale::Locale;
pub use crate::model::Report;
pub use crate::period::Period;

use std::fmt;
use std::str::FromStr;

/// The file formats a report can be rendered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A4 document, PDF/A-2a and PDF/UA-1.
    Pdf,
    /// The report's primary table, RFC 4180, UTF-8 with byte order mark.
    Csv,
    /// Workbook with summary, charts and one sheet per table.
    Xlsx,
    /// One object with every figure and table.
    Json,
}

impl Format {
    /// All formats, in the order they are offered to users.
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Xlsx, Self::Csv, Self::Json];

    /// File name extension without the dot; also the name [`Format::from_str`] reads.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Json => "json",
        }
    }

    /// Media type for HTTP and mail attachments.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Json => "application/json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for Format {
    type Err = RenderError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(name))
            .ok_or_else(|| RenderError::UnknownFormat(name.to_owned()))
    }
}

/// Renders a report. CPU-bound: async callers use `spawn_blocking`.
///
/// # Errors
/// [`RenderError::Malformed`] when the report contradicts itself; otherwise the failure of
/// the writer. Nothing is written to disk except the temporary files of the Excel writer.
pub fn render(report: &Report, format: Format) -> Result<Vec<u8>, RenderError> {
    report.check()?;
    match format {
        Format::Pdf => pdf::render(report),
        Format::Csv => csv::render(report),
        Format::Xlsx => xlsx::render(report),
        Format::Json => json::render(report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_by_their_extension() {
        for format in Format::ALL {
            assert_eq!(format.extension().parse::<Format>().unwrap(), format);
        }
        assert_eq!("XLSX".parse::<Format>().unwrap(), Format::Xlsx);
        assert_eq!("docx".parse::<Format>().unwrap_err().kind(), "unknown_format");
    }
}
