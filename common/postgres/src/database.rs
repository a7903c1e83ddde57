//! A pool that speaks in one role, and the only transaction that reaches a tenant's rows.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    str::FromStr,
};

use secrecy::ExposeSecret;
use sqlx::{
    PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use voice_schemas::TenantId;

use crate::{Config, Error, Listener, Result};

/// What a connection may do; migration `0001_foundation` makes the roles and each table grants to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The login itself, which owns the schema: migrations and seeding.
    Owner,
    /// The control plane.
    Api,
    /// Ingest, dialer, media, analytics, scheduler.
    Worker,
    /// The outbox relay; sees nothing but the outbox.
    Relay,
    /// Reads for reports.
    Report,
}

impl Role {
    /// The role on the server; none for the owner.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Owner => None,
            Self::Api => Some("voice_api"),
            Self::Worker => Some("voice_worker"),
            Self::Relay => Some("voice_relay"),
            Self::Report => Some("voice_report"),
        }
    }

    const fn set_role(self) -> &'static str {
        match self {
            Self::Owner => "RESET ROLE",
            Self::Api => "SET ROLE voice_api",
            Self::Worker => "SET ROLE voice_worker",
            Self::Relay => "SET ROLE voice_relay",
            Self::Report => "SET ROLE voice_report",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Relay => "relay",
            Self::Report => "report",
        }
    }
}

/// How much of the pool is taken, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that are open.
    pub open: u32,
    /// Of these, the idle ones.
    pub idle: u32,
    /// The most there can be.
    pub most: u32,
}

/// A pool of connections that all speak in one [`Role`]. Cloning shares the pool.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
    role: Role,
    most: u32,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Connects once, to find out now whether address, login and role are right.
    ///
    /// A connection is tested before it is lent, so a restarted server costs nobody a failed query.
    ///
    /// # Errors
    /// When the server cannot be reached or the login may not become the role (migrations not applied).
    pub async fn connect(config: &Config, role: Role) -> Result<Self> {
        let options = connect_options(config, role)?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .min_connections(config.min_connections)
            .acquire_timeout(config.acquire_timeout())
            .test_before_acquire(true)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::query(role.set_role()).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self {
            pool,
            role,
            most: config.max_connections,
        })
    }

    /// Opens a transaction of this tenant. Dropping it without [`TenantTx::commit`] rolls it back.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantTx> {
        // One round trip for both; a UUID has nothing that could end the quotation.
        let begin = format!("BEGIN; SET LOCAL app.tenant_id = '{}'", tenant.0.as_hyphenated());
        let inner = self.pool.begin_with(sqlx::AssertSqlSafe(begin)).await?;
        Ok(TenantTx { inner, tenant })
    }

    /// Answers when the server does.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Listens for notifications on a connection of its own, which it reopens when lost.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn listen(&self, channels: &[&str]) -> Result<Listener> {
        Listener::open(&self.pool, channels).await
    }

    /// The role of its connections.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How much of the pool is taken.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        PoolUse {
            open: self.pool.size(),
            idle,
            most: self.most,
        }
    }

    /// The pool itself, for the job queue library, whose tables have no tenants. Nothing else takes it.
    #[must_use]
    pub fn job_pool(&self) -> PgPool {
        self.pool.clone()
    }

    /// Closes all connections; those lent out are waited for.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

pub(crate) fn connect_options(config: &Config, role: Role) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(config.url.expose_secret())
        // The parser's own text may quote the address, and with it the password.
        .map_err(|_| Error::Url("expected postgres://user:password@host:port/database".to_owned()))?;
    Ok(options
        .application_name(&format!("voice-{}", role.label()))
        .options([
            // Short statements, some of them long in text: compiling one takes longer than running it.
            ("jit", "off".to_owned()),
            ("statement_timeout", config.statement_timeout_ms.to_string()),
            (
                "idle_in_transaction_session_timeout",
                config.idle_in_transaction_timeout_ms.to_string(),
            ),
            ("timezone", "UTC".to_owned()),
        ]))
}

/// A transaction that can see and write the rows of one tenant, and of no other.
///
/// It dereferences to the connection, so queries run with `.execute(&mut *tx)`.
#[must_use = "a transaction that is not committed is rolled back"]
pub struct TenantTx {
    inner: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTx {
    /// Whose rows it sees.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes its changes visible.
    ///
    /// # Errors
    /// When the server refuses; then nothing was changed. When the connection is lost meanwhile, it is
    /// unknown whether it was.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }

    /// Takes its changes back at once, where dropping it would do so later.
    ///
    /// # Errors
    /// When the connection is lost; then nothing was changed either.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }
}

impl Deref for TenantTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl fmt::Debug for TenantTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTx")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
