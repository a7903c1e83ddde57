//! Brings a database to the schema this program expects, and says how far it is.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};
use voice_schemas::migrations::{self, POSTGRES};

use crate::{Config, Error, Result, Role, database::connect_options};

const TABLE: &str = "app.migrations";

/// How far a database is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Names of the migrations it has.
    pub applied: Vec<&'static str>,
    /// Names of those it lacks.
    pub pending: Vec<&'static str>,
    /// Names of those whose text was edited after they were applied.
    pub edited: Vec<&'static str>,
    /// Versions it has and this program does not know: the program is too old.
    pub unknown: Vec<i64>,
    /// The login is a superuser or bypasses row-level security: [`Role::Owner`] then sees every tenant.
    pub login_bypasses_isolation: bool,
}

impl Status {
    /// Whether the program and the database fit.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.edited.is_empty() && self.unknown.is_empty()
    }
}

/// Applies what is missing and returns the names of what was applied. Several processes may do so at once:
/// they take turns under an advisory lock of the database.
///
/// # Errors
/// When the server cannot be reached, an applied migration was edited, the database is newer than the
/// program, or a migration fails (its transaction is rolled back).
pub async fn run(url: &SecretString) -> Result<Vec<&'static str>> {
    apply(url, POSTGRES).await
}

/// Says how far the database is, without changing it.
///
/// # Errors
/// When the server cannot be reached.
pub async fn status(url: &SecretString) -> Result<Status> {
    let mut connection = connect(url).await?;
    let status = read_status(&mut connection, POSTGRES).await;
    let _closing_is_best_effort = connection.close().await;
    status
}

/// Like [`run`], with any list of migrations; for tests of the mechanism.
///
/// # Errors
/// See [`run`].
#[doc(hidden)]
pub async fn apply(url: &SecretString, list: &'static [migrations::Migration]) -> Result<Vec<&'static str>> {
    // A connection of its own: after a failure its lock must not live on in a pool.
    let mut connection = connect(url).await?;
    let result = apply_on(&mut connection, list).await;
    let _closing_is_best_effort = connection.close().await;
    result
}

async fn apply_on(
    connection: &mut PgConnection,
    list: &'static [migrations::Migration],
) -> Result<Vec<&'static str>> {
    connection.lock().await.map_err(|error| named(error, list))?;
    let before = read_status(connection, list).await?;
    let mut migrator = Migrator::with_migrations(list.iter().map(sqlx_migration).collect());
    migrator.set_locking(false);
    migrator.create_schema("app");
    migrator.dangerous_set_table_name(TABLE);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| named(error, list))?;
    connection.unlock().await.map_err(|error| named(error, list))?;
    Ok(before.pending)
}

async fn connect(url: &SecretString) -> Result<PgConnection> {
    let mut config = Config::new(SecretString::from(url.expose_secret()));
    // An index on a large table takes what it takes.
    config.statement_timeout_ms = 0;
    let options = connect_options(&config, Role::Owner)?;
    match tokio::time::timeout(Duration::from_secs(10), PgConnection::connect_with(&options)).await {
        Ok(connected) => Ok(connected?),
        Err(_elapsed) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
    }
}

async fn read_status(
    connection: &mut PgConnection,
    list: &'static [migrations::Migration],
) -> Result<Status> {
    let (exists, login_bypasses_isolation): (bool, bool) = sqlx::query_as(
        "SELECT to_regclass('app.migrations') IS NOT NULL, rolsuper OR rolbypassrls
         FROM pg_catalog.pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *connection)
    .await?;
    let applied = if exists {
        connection
            .list_applied_migrations(TABLE)
            .await
            .map_err(|error| named(error, list))?
    } else {
        Vec::new()
    };
    let mut status = Status {
        login_bypasses_isolation,
        ..Status::default()
    };
    for migration in list {
        match applied.iter().find(|done| done.version == migration.version) {
            None => status.pending.push(migration.name),
            Some(done) if done.checksum != sqlx_migration(migration).checksum => {
                status.edited.push(migration.name)
            }
            Some(_) => status.applied.push(migration.name),
        }
    }
    status.unknown = applied
        .iter()
        .map(|done| done.version)
        .filter(|version| list.iter().all(|migration| migration.version != *version))
        .collect();
    Ok(status)
}

fn sqlx_migration(migration: &migrations::Migration) -> Migration {
    Migration::new(
        migration.version,
        migration.name.into(),
        MigrationType::Simple,
        migration.sql.into_sql_str(),
        false,
    )
}

fn named(error: MigrateError, list: &[migrations::Migration]) -> Error {
    let name = |version: i64| {
        list.iter()
            .find(|migration| migration.version == version)
            .map_or_else(|| version.to_string(), |migration| migration.name.to_owned())
    };
    match error {
        MigrateError::VersionMismatch(version) => Error::MigrationEdited { name: name(version) },
        MigrateError::VersionMissing(version) => Error::MigrationUnknown { version },
        MigrateError::ExecuteMigration(source, version) => Error::MigrationFailed {
            name: name(version),
            source,
        },
        MigrateError::Execute(source) => source.into(),
        other => Error::Query(sqlx::Error::Migrate(Box::new(other))),
    }
}
