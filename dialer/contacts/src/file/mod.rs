//! A file of people as it comes out of somebody's spreadsheet, made into rows of text.
//!
//! [`evidence`] reads all of it once and decides its encoding; [`sniff`] decides the delimiter from the
//! beginning; [`records`] then gives one row at a time, in memory that does not grow with the file.

mod decode;
pub mod evidence;
pub mod records;
pub mod sniff;

use std::path::Path;

use decode::Decoded;
use encoding_rs::Encoding;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system said no.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Excel's own format.
    #[error("the file is a spreadsheet, not text: save it as CSV")]
    Spreadsheet,
    /// Zero bytes without a byte order mark.
    #[error("the file is not text, or UTF-16 without a byte order mark: save it as UTF-8")]
    Binary,
    /// Somebody wrote to it meanwhile.
    #[error("the file changed while it was read")]
    Changed,
}

impl FileError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Io(_) => "file_unreadable",
            Self::Empty => "file_empty",
            Self::Spreadsheet => "file_is_spreadsheet",
            Self::Binary => "file_is_binary",
            Self::Changed => "file_changed",
        }
    }
}

/// The beginning of a file as text, and whether that is all of it.
///
/// # Errors
/// When the file cannot be read.
pub fn beginning(path: &Path, encoding: &'static Encoding) -> Result<(String, bool), FileError> {
    const SAMPLE: usize = 256 * 1024;
    let mut text = Vec::new();
    let mut decoded = Decoded::open(path, encoding)?;
    while text.len() < SAMPLE {
        if !decoded.more(&mut text)? {
            return Ok((String::from_utf8_lossy(&text).into_owned(), true));
        }
    }
    Ok((String::from_utf8_lossy(&text).into_owned(), false))
}

/// The encoding with this name: `utf-8`, `windows-1250`, `iso-8859-2` and every other one the web knows.
#[must_use]
pub fn encoding(name: &str) -> Option<&'static Encoding> {
    Encoding::for_label(name.as_bytes())
}
