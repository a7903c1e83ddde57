//! How to reach ClickHouse.

use secrecy::SecretString;
use serde::Deserialize;

/// Settings of the connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `http://host:port` of the HTTP interface; `https` needs a proxy that ends TLS on this machine.
    pub url: String,
    /// The database that holds all tables and marts.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
    /// Compress inserts with LZ4: worth it across a network, not on one machine.
    pub compress_inserts: bool,
    /// How long sending one block and having it answered may take.
    pub insert_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:18123".to_owned(),
            database: "voice".to_owned(),
            user: "default".to_owned(),
            password: SecretString::default(),
            compress_inserts: true,
            insert_timeout_ms: 60_000,
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match url::Url::parse(&self.url) {
            Ok(url) if url.scheme() == "http" && url.has_host() => {}
            _ => faults.push("clickhouse.url must look like http://host:8123".to_owned()),
        }
        let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if self.database.is_empty() || !self.database.chars().all(plain) {
            faults.push("clickhouse.database may have letters, digits and underscores only".to_owned());
        }
        faults
    }
}
