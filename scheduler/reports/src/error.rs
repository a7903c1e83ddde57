//! What can go wrong while a report becomes a file.

/// Failure to build or render a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The requested format has no such name.
    #[error("unknown report format {0:?}; known are pdf, csv, xlsx and json")]
    UnknownFormat(String),
    /// The report contradicts itself (row width, missing table, bad name).
    #[error("the report is not well formed: {0}")]
    Malformed(String),
    /// The page layout failed; with a valid template this means a defect here.
    #[error("the document could not be laid out: {0}")]
    Layout(String),
    /// The PDF writer refused, for example because the result would not be PDF/A.
    #[error("the document could not be written as PDF: {0}")]
    Pdf(String),
    /// The Excel writer refused.
    #[error("the workbook could not be written: {0}")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// The CSV writer refused.
    #[error("the CSV file could not be written: {0}")]
    Csv(#[from] csv::Error),
    /// The JSON writer refused.
    #[error("the JSON file could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The destination refused the bytes.
    #[error("the file could not be written: {0}")]
    Io(#[from] std::io::Error),
}

impl RenderError {
    /// Stable label for metrics and stored run logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownFormat(_) => "unknown_format",
            Self::Malformed(_) => "malformed_report",
            Self::Layout(_) => "layout",
            Self::Pdf(_) => "pdf",
            Self::Xlsx(_) => "xlsx",
            Self::Csv(_) => "csv",
            Self::Json(_) => "json",
            Self::Io(_) => "io",
        }
    }
}
