//! A ClickHouse database of one measurement: the tables of the platform, and nothing else on the server.

use std::time::Duration;

use serde::Deserialize;
use voice_clickhouse::{ClickHouse, Row, clickhouse};
use voice_schemas::migrations::CLICKHOUSE;

/// `call_events` and `calls`. The roll-ups and marts are made of these later and belong to no sink.
const TABLES: usize = 2;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Neither sink takes this long between two rows.
const PATIENCE: Duration = Duration::from_secs(60);

/// The database.
pub struct Store {
    /// The handle, with the database as its current one.
    pub clickhouse: ClickHouse,
}

#[derive(Row, Deserialize)]
struct Count {
    count: u64,
}

impl Store {
    /// Makes the database `name` anew.
    pub async fn make(config: &voice_clickhouse::Config, name: &str) -> anyhow::Result<Self> {
        let mut config = config.clone();
        config.database = name.to_owned();
        // One machine: what compression saves on the wire it costs twice here.
        config.compress_inserts = false;
        let clickhouse = ClickHouse::new(&config);
        let server = clickhouse.without_database();
        server
            .execute(
                "dropping a database",
                &format!("DROP DATABASE IF EXISTS {name}"),
                |query| query,
            )
            .await?;
        server
            .execute(
                "creating a database",
                &format!("CREATE DATABASE {name} ENGINE = Atomic"),
                |query| query,
            )
            .await?;
        let store = Self { clickhouse };
        for migration in CLICKHOUSE.iter().take(TABLES) {
            for statement in migration.statements() {
                store.execute(statement).await?;
            }
        }
        Ok(store)
    }

    /// Runs one statement.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self
            .clickhouse
            .execute("preparing a bench", sql, |query| query)
            .await?)
    }

    /// Rows of `call_events`.
    pub async fn rows(&self) -> anyhow::Result<u64> {
        self.count("SELECT count() AS count FROM call_events").await
    }

    /// The answer to a question for one number, called `count`.
    pub async fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let answer: Count = self
            .clickhouse
            .row("watching a bench", sql, |query| query)
            .await?;
        Ok(answer.count)
    }

    /// Waits until `call_events` has this many rows.
    pub async fn reaches(&self, rows: u64) -> anyhow::Result<()> {
        let (mut before, mut deadline) = (0, tokio::time::Instant::now() + PATIENCE);
        loop {
            let present = self.rows().await?;
            if present >= rows {
                return Ok(());
            }
            if present > before {
                (before, deadline) = (present, tokio::time::Instant::now() + PATIENCE);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "no row came for {} s; {present} of {rows} are there",
                PATIENCE.as_secs()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Drops it.
    pub async fn drop(self) -> anyhow::Result<()> {
        let name = self.clickhouse.database().to_owned();
        let server = self.clickhouse.without_database();
        Ok(server
            .execute("dropping a database", &format!("DROP DATABASE {name}"), |query| {
                query
            })
            .await?)
    }
}
