//! How a process connects to Postgres.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Connection settings; every field but the address has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://user:password@host:port/database`; secret because of the password.
    pub url: SecretString,
    /// The most connections this process opens in one role.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// Connections kept open when idle.
    #[serde(default = "min_connections")]
    pub min_connections: u32,
    /// How long to wait for a free connection.
    #[serde(default = "acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// The server cancels a statement that runs longer; 0 means never.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// The server closes a connection that leaves a transaction open and idle this long.
    #[serde(default = "idle_in_transaction_timeout_ms")]
    pub idle_in_transaction_timeout_ms: u64,
}

impl Config {
    /// The defaults with this address.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            max_connections: max_connections(),
            min_connections: min_connections(),
            acquire_timeout_ms: acquire_timeout_ms(),
            statement_timeout_ms: statement_timeout_ms(),
            idle_in_transaction_timeout_ms: idle_in_transaction_timeout_ms(),
        }
    }

    pub(crate) const fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }
}

const fn max_connections() -> u32 {
    30
}
const fn min_connections() -> u32 {
    0
}
const fn acquire_timeout_ms() -> u64 {
    5_000
}
const fn statement_timeout_ms() -> u64 {
    30_000
}
const fn idle_in_transaction_timeout_ms() -> u64 {
    60_000
}
