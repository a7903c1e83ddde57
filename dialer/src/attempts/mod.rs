//! Attempts: what is known about each, and what is written when something became of it.

mod line;
mod partitions;
mod records;
mod totals;

pub use line::{End, Line, News, Phase};
pub use partitions::make_partitions;
pub(crate) use records::small;
pub use records::{Applied, Concluded, apply_ends, apply_progress, lines, open_lines};
pub use totals::{Totals, totals};
