//! What can go wrong with an import, under stable labels. No text carries a value of a row.

use crate::{PlanError, file::FileError};

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an import could not be made or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its columns make no list of people.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
    /// No list has this id, or the name cannot be one.
    #[error("there is no list `{0}`, and a list cannot be called that")]
    NoList(String),
    /// The members of a dynamic list are whom its filter finds.
    #[error("the list `{0}` is dynamic; people are imported into static lists")]
    DynamicList(String),
    /// Somebody else continues the same import.
    #[error("another process continues this import")]
    TakenOver,
    /// The error file cannot be written.
    #[error("the error file cannot be written: {0}")]
    ErrorFile(#[source] std::io::Error),
    /// The error file is not the one the import began with.
    #[error(
        "the import was begun with an error file of {expected} bytes, and this one has {found}: continue with the same \
         file, or without one"
    )]
    OtherErrorFile {
        /// Its length when the last batch was committed.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// The error file would overwrite the file it is about.
    #[error("the error file is the file to import")]
    ErrorFileIsTheFile,
    /// The thread that reads the file ended early.
    #[error("reading the file ended unexpectedly")]
    ReaderDied,
}

impl Error {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Plan(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::NoList(_) => "list_unknown",
            Self::DynamicList(_) => "list_dynamic",
            Self::TakenOver => "taken_over",
            Self::ErrorFile(_) => "error_file",
            Self::OtherErrorFile { .. } => "other_error_file",
            Self::ErrorFileIsTheFile => "error_file_is_the_file",
            Self::ReaderDied => "reader_died",
        }
    }
}
