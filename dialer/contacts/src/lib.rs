//! People to call: how they come in from files, what they consented to, and who must not be called.
//!
//! [`import`] brings a file into a list and accounts for every row of it. [`consents`] and [`suppressions`] are
//! the ledgers the dialer asks, a batch at a time, inside the transaction that decides about a dial.
//!
//! Numbers and names live in Postgres only. Error files and the table of rejected rows show the shape of a
//! value ([`mask`]), never the value; errors carry none; the dialer and events know a number by its [`token`].

mod candidate;
mod code;
mod columns;
pub mod consents;
mod counters;
mod error;
mod events;
pub mod file;
pub mod import;
pub mod lists;
mod mask;
mod phone;
pub mod registers;
pub mod relationships;
mod statement;
pub mod suppressions;

pub use candidate::{Candidate, Reading, Remark};
pub use code::Code;
pub use columns::{Column, Columns, Field, PlanError, Told};
pub use counters::{Counters, Outcome};
pub use error::{Error, Result};
pub use mask::mask;
pub use phone::{Number, NumberKind, Numbers, Region, token};
pub use statement::{Channel, ConsentStatus, ConsentType, Statement};
