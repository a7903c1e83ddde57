//! The analytics service: what happened on the calls, exactly once, in tables.
//!
//! [`sink`] writes every event of calls, media streams and transcripts to ClickHouse once; [`rollups`] counts
//! the calls of every interval that changed; [`watchdog`] finds the end of calls whose carrier said nothing;
//! [`audit`] compares the log with the tables. [`processors`] are the pure functions between bytes and rows.

pub mod app;
pub mod audit;
pub mod config;
pub mod events;
pub mod processors;
pub mod rollups;
pub mod sink;
pub mod watchdog;

pub use app::{App, Dependencies};
pub use config::Config;
