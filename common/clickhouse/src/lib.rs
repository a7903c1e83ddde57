//! ClickHouse as the platform uses it: typed queries, columnar inserts that can be repeated without
//! doubling, and migrations.
//!
//! This is the only crate that names `clickhouse`.

pub mod block;
pub mod client;
pub mod config;
pub mod error;
pub mod migrate;
pub mod writer;

pub use block::Block;
/// The derive macro writes paths that begin with `clickhouse::`: whoever derives imports both.
pub use clickhouse::{self, Row};
pub use client::ClickHouse;
pub use config::Config;
pub use error::ClickHouseError;
pub use writer::{BlockWriter, Insert};

/// How UUID columns are read into rows: `#[serde(with = "voice_clickhouse::uuid")]`.
pub use clickhouse::serde::uuid;
