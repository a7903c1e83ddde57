//! Which of the database's dictionaries takes a text apart, and the text as it gets it.

use super::folding::fold;

/// A dictionary of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dictionary {
    /// Stems of English.
    English,
    /// Stems of Spanish.
    Spanish,
    /// Words as they come: for every other language, folded before.
    Simple,
}

impl Dictionary {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::Spanish, Self::Simple];

    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "english",
            Self::Spanish => "spanish",
            Self::Simple => "simple",
        }
    }

    /// That of a language, by the first part of its tag.
    #[must_use]
    pub fn of(language: &str) -> Self {
        match language {
            "en" => Self::English,
            "es" => Self::Spanish,
            _ => Self::Simple,
        }
    }

    /// The text as it gets it. Small letters are made here: what the database knows of letters depends on how it was
    /// set up.
    #[must_use]
    pub fn prepare(self, text: &str) -> String {
        match self {
            Self::English | Self::Spanish => text.to_lowercase(),
            Self::Simple => fold(text),
        }
    }
}
