//! Runs report schedules, and the jobs that turn figures into files.
//!
//! Two loops share the work with any number of other processes. The **tick** ([`schedules`]) looks for due
//! schedules every few seconds; it writes a report row and pushes a job in one transaction, and a unique
//! constraint on (schedule, time) makes it impossible for two processes to run a schedule twice. The
//! **worker** ([`jobs`]) takes jobs from the queue, reads the figures, renders the files, stores them, and
//! marks the report done in the transaction that also writes the event to the outbox.
//!
//! The report row is the truth. The job queue (apalis) only says "look at this row now": a job that is lost,
//! repeated or late changes nothing, because the row knows when it is due and the tick pushes what is
//! overdue again.

pub mod app;
pub mod config;
mod error;
pub mod events;
pub mod figures;
pub mod jobs;
pub mod schedules;
pub mod source;

pub use app::{App, Deps};
pub use config::Config;
pub use error::Error;
pub use jobs::queue::migrate;
