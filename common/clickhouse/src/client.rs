//! Queries: a thin layer over the official client that says what was being done when it fails.

use std::time::Duration;

use clickhouse::{Client, Compression, Row, RowOwned, RowRead, query::Query};
use secrecy::ExposeSecret as _;

use crate::{ClickHouseError, Config};

/// A handle to one database; cheap to clone.
#[derive(Clone)]
pub struct ClickHouse {
    client: Client,
    pub(crate) compress_inserts: bool,
    pub(crate) insert_timeout: Duration,
    database: String,
}

impl ClickHouse {
    /// A handle for these settings. Does not connect yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let client = Client::default()
            .with_url(&config.url)
            .with_user(&config.user)
            .with_password(config.password.expose_secret())
            .with_database(&config.database);
        Self {
            client,
            compress_inserts: config.compress_inserts,
            insert_timeout: Duration::from_millis(config.insert_timeout_ms),
            database: config.database.clone(),
        }
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Runs a statement that answers nothing. Parameters `{name:Type}` are bound by `bind`.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    pub async fn execute(
        &self,
        what: &str,
        sql: &str,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<(), ClickHouseError> {
        bind(self.client.query_raw(sql))
            .execute()
            .await
            .map_err(|source| ClickHouseError::new(what, source))
    }

    /// Runs a query and reads all its rows.
    ///
    /// # Errors
    /// When the server refuses, cannot be reached or answers other columns than `T` has.
    pub async fn rows<T: RowOwned + RowRead>(
        &self,
        what: &str,
        sql: &str,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Vec<T>, ClickHouseError> {
        bind(self.client.query_raw(sql))
            .fetch_all()
            .await
            .map_err(|source| ClickHouseError::new(what, source))
    }

    /// Runs a query that answers exactly one row.
    ///
    /// # Errors
    /// As [`rows`](Self::rows), and when there is no row.
    pub async fn row<T: RowOwned + RowRead>(
        &self,
        what: &str,
        sql: &str,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<T, ClickHouseError> {
        bind(self.client.query_raw(sql))
            .fetch_one()
            .await
            .map_err(|source| ClickHouseError::new(what, source))
    }

    /// Whether the server answers, for readiness.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), ClickHouseError> {
        #[derive(Row, serde::Deserialize)]
        struct One {
            #[allow(dead_code)] // Only its arrival matters.
            one: u8,
        }
        self.without_database()
            .row::<One>("ping", "SELECT 1 AS one", |query| query)
            .await
            .map(drop)
    }

    /// The same server without a current database, for creating one.
    #[must_use]
    pub fn without_database(&self) -> Self {
        Self {
            client: self.client.clone().with_database("default"),
            ..self.clone()
        }
    }

    pub(crate) fn inserting(&self) -> Client {
        let compression = if self.compress_inserts {
            Compression::Lz4
        } else {
            Compression::None
        };
        self.client.clone().with_compression(compression)
    }
}
