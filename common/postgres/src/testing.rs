//! A fresh database for every test, migrated, and dropped when the test is over.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Config, Database, Role, migrate};

/// A database of its own on the server of `DATABASE_URL`.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    url: String,
    name: String,
}

/// The variable that says where the server is.
pub const VARIABLE: &str = "DATABASE_URL";

impl TestDatabase {
    /// Creates and migrates one. The login needs CREATEDB and CREATEROLE.
    ///
    /// # Panics
    /// When `DATABASE_URL` is not set or the server cannot be reached: a test without its database fails.
    #[allow(clippy::expect_used, clippy::panic)]
    pub async fn create() -> Self {
        let database = Self::create_empty().await;
        if let Err(error) = migrate::run(&database.url()).await {
            panic!("migrating {} failed: {error}", database.name);
        }
        database
    }

    /// Creates one without tables.
    ///
    /// # Panics
    /// See [`Self::create`].
    #[allow(clippy::expect_used, clippy::panic)]
    pub async fn create_empty() -> Self {
        let admin_url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\""
            )
        });
        let (server, _) = admin_url
            .rsplit_once('/')
            .expect("DATABASE_URL ends in /database");
        let name = format!("voice_test_{:016x}", fastrand::u64(..));
        let url = format!("{server}/{name}");
        let mut admin = PgConnection::connect(&admin_url)
            .await
            .unwrap_or_else(|error| panic!("no Postgres at {VARIABLE}: {error}"));
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("the login may create databases");
        Self { admin_url, url, name }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> SecretString {
        SecretString::from(self.url.as_str())
    }

    /// Small pools, so that tests can run side by side.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            max_connections: 8,
            ..Config::new(self.url())
        }
    }

    /// Connects in a role.
    ///
    /// # Panics
    /// When that fails.
    #[allow(clippy::expect_used)]
    pub async fn connect(&self, role: Role) -> Database {
        Database::connect(&self.config(), role)
            .await
            .expect("the test database accepts the role")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin_url, name) = (self.admin_url.clone(), self.name.clone());
        // Drop cannot wait inside the test's runtime, so a thread with its own does.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let work = async {
                    let mut admin = PgConnection::connect(&admin_url).await?;
                    sqlx::query(AssertSqlSafe(format!(
                        "DROP DATABASE IF EXISTS {name} WITH (FORCE)"
                    )))
                    .execute(&mut admin)
                    .await
                };
                let _leftovers_are_harmless = tokio::time::timeout(Duration::from_secs(10), work).await;
            });
            std::io::Result::Ok(())
        });
        let _leftovers_are_harmless = dropping.join();
    }
}
