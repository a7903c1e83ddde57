//! `voice migrate`.

use std::process::ExitCode;

use anyhow::Context as _;
use voice_clickhouse::ClickHouse;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role};

use crate::settings::Settings;

/// Partitions of tables that grow are made so far ahead each time this runs.
const MONTHS_AHEAD: i32 = 3;

/// Brings both stores to the schema of this release, and says what it did.
pub async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    for name in postgres(settings).await? {
        println!("postgres    applied {name}");
    }
    for name in clickhouse(settings).await? {
        println!("clickhouse  applied {name}");
    }
    println!("both stores are at the schema of this release");
    Ok(ExitCode::SUCCESS)
}

/// Brings Postgres to the schema of this release: the platform's tables, then the job queue's.
pub async fn postgres(settings: &Settings) -> anyhow::Result<Vec<&'static str>> {
    let applied = voice_postgres::migrate::run(&settings.postgres.url)
        .await
        .context("migrating Postgres")?;
    let owner = Database::connect(&settings.postgres, Role::Owner).await?;
    voice_dialer::attempts::make_partitions(&owner, MONTHS_AHEAD, SystemClock.now())
        .await
        .context("making the partitions of the months ahead")?;
    owner.close().await;
    voice_scheduler::migrate(&settings.postgres.url)
        .await
        .context("migrating the job queue")?;
    Ok(applied)
}

/// Brings ClickHouse to the schema of this release.
pub async fn clickhouse(settings: &Settings) -> anyhow::Result<Vec<&'static str>> {
    let mut applied = Vec::new();
    voice_clickhouse::migrate::apply(&ClickHouse::new(&settings.clickhouse), |migration| {
        applied.push(migration.name)
    })
    .await
    .context("migrating ClickHouse")?;
    Ok(applied)
}
