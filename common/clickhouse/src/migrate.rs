//! Bringing a database to the schema of this release.

use clickhouse::Row;
use serde::Deserialize;
use voice_schemas::migrations::{CLICKHOUSE, Migration};

use crate::{ClickHouse, ClickHouseError};

#[derive(Row, Deserialize)]
struct Applied {
    version: i64,
}

/// What is still to be applied; everything when the database does not exist.
///
/// # Errors
/// When the server cannot be reached.
pub async fn pending(clickhouse: &ClickHouse) -> Result<Vec<&'static Migration>, ClickHouseError> {
    #[derive(Row, Deserialize)]
    struct Count {
        count: u64,
    }
    let exists: Count = clickhouse
        .without_database()
        .row(
            "looking for the migrations table",
            "SELECT count() AS count FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
            |query| query.param("database", clickhouse.database()),
        )
        .await?;
    if exists.count == 0 {
        return Ok(CLICKHOUSE.iter().collect());
    }
    let applied: Vec<Applied> = clickhouse
        .rows(
            "reading the applied migrations",
            "SELECT DISTINCT version FROM schema_migrations",
            |query| query,
        )
        .await?;
    Ok(CLICKHOUSE
        .iter()
        .filter(|migration| !applied.iter().any(|applied| applied.version == migration.version))
        .collect())
}

/// Creates the database where it is missing and applies what is pending, in order. Every statement can be
/// repeated, because ClickHouse has no transactions: a migration that failed half way is applied again
/// from its start.
///
/// # Errors
/// When a statement fails; the migrations before it stay applied.
pub async fn apply(
    clickhouse: &ClickHouse,
    mut progress: impl FnMut(&'static Migration),
) -> Result<usize, ClickHouseError> {
    let server = clickhouse.without_database();
    let create = format!(
        "CREATE DATABASE IF NOT EXISTS {} ENGINE = Atomic",
        clickhouse.database()
    );
    server
        .execute("creating the database", &create, |query| query)
        .await?;
    let table = "CREATE TABLE IF NOT EXISTS schema_migrations (version Int64, name String, \
                 applied_at DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version";
    clickhouse
        .execute("creating the migrations table", table, |query| query)
        .await?;
    let pending = pending(clickhouse).await?;
    for migration in &pending {
        progress(migration);
        for statement in migration.statements() {
            clickhouse
                .execute(&format!("migration {}", migration.name), statement, |query| query)
                .await?;
        }
        clickhouse
            .execute(
                "recording a migration",
                "INSERT INTO schema_migrations (version, name) SELECT {version:Int64}, {name:String}",
                |query| {
                    query
                        .param("version", migration.version)
                        .param("name", migration.name)
                },
            )
            .await?;
    }
    Ok(pending.len())
}
