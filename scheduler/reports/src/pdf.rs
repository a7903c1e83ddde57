//! PDF files: the report model laid out by Typst, with bundled fonts and no file system.
//!
//! The template is a constant of this crate. Everything a tenant can influence reaches it
//! as a JSON document in a virtual file and is placed as text, never evaluated as markup:
//! a campaign called `#import "x"` prints as exactly that.
//!
//! Charts are drawn by the template itself, not embedded as pictures: they use the
//! document's font, their labels can be searched and selected, and each carries a text
//! alternative.
//!
//! Files conform to PDF/A-2a (long-term archiving, tagged) and PDF/UA-1 (accessible), as
//! far as the writer can check itself. The creation date is the report's `generated_at`,
//! so equal reports give equal bytes.
//!
//! Rendering is CPU-bound and takes from tens of milliseconds to seconds. Call it through
//! `tokio::task::spawn_blocking` or a thread pool, never on an executor thread.

mod glyphs;
mod view;
mod world;

use typst::diag::SourceDiagnostic;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::error::RenderError;
use crate::model::Report;
use chrono::{Datelike, Timelike};

/// Most rows of one table that are printed; beyond that the PDF says how many there are
/// and leaves them to the data files.
pub const ROW_LIMIT: usize = 2_000;

/// Memoised layout results survive this many renders without use. Recent reports share
/// fonts and shaped words; older ones would only hold memory.
const CACHE_AGE: usize = 2;

/// Renders a report as PDF. CPU-bound; see the module documentation.
pub fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    let document = layout(report)?;
    let standards = PdfStandards::new(&[PdfStandard::A_2a, PdfStandard::Ua_1])
        .map_err(|error| RenderError::Pdf(error.message().to_string()))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!(
            "{}/{}/{}",
            report.kind, report.tenant_name, report.period.from
        )),
        creator: Smart::Custom(Some("Voice by Kraliki".to_owned())),
        timestamp: timestamp(report),
        standards,
        ..PdfOptions::default()
    };
    let bytes = typst_pdf::pdf(&document, &options).map_err(|errors| RenderError::Pdf(describe(&errors)));
    typst::comemo::evict(CACHE_AGE);
    bytes
}

fn layout(report: &Report) -> Result<PagedDocument, RenderError> {
    let world = world::ReportWorld::new(report)?;
    typst::compile::<PagedDocument>(&world)
        .output
        .map_err(|errors| RenderError::Layout(describe(&errors)))
}

fn timestamp(report: &Report) -> Option<Timestamp> {
    let at = report.generated_at;
    let narrow = |part: u32| u8::try_from(part).ok();
    let date = Datetime::from_ymd_hms(
        at.year(),
        narrow(at.month())?,
        narrow(at.day())?,
        narrow(at.hour())?,
        narrow(at.minute())?,
        narrow(at.second())?,
    )?;
    Some(Timestamp::new_utc(date))
}

fn describe(errors: &[SourceDiagnostic]) -> String {
    errors
        .iter()
        .map(|error| {
            let hints = error.hints.iter().map(|hint| format!(" ({})", hint.v));
            format!("{}{}", error.message, hints.collect::<String>())
        })
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
