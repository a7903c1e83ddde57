//! What became of every row: six counters that always add up.

use std::ops::AddAssign;

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A new contact.
    Created,
    /// A known contact that the row brought something new about.
    Updated,
    /// A known contact that the row brought nothing new about, or the person of an earlier row of the file.
    Duplicate,
    /// Nobody could be called by it.
    Invalid,
    /// All its numbers must not be called; nothing of it was kept.
    Suppressed,
}

/// How many rows became what. `read` is the sum of the others by construction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// New contacts.
    pub created: u64,
    /// Known contacts that changed.
    pub updated: u64,
    /// Rows that brought nothing, or repeated an earlier row.
    pub duplicate: u64,
    /// Rows nobody could be called by.
    pub invalid: u64,
    /// Rows of people who must not be called.
    pub suppressed: u64,
}

impl Counters {
    /// All rows: every one was counted once.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.created + self.updated + self.duplicate + self.invalid + self.suppressed
    }

    /// Counts one row.
    pub const fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Invalid => self.invalid += 1,
            Outcome::Suppressed => self.suppressed += 1,
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.duplicate += other.duplicate;
        self.invalid += other.invalid;
        self.suppressed += other.suppressed;
    }
}
