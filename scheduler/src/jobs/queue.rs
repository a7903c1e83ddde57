//! The job queue: apalis on Postgres, wrapped so that nothing else knows it.
//!
//! What its source taught, and what follows from it here:
//! * A push is a plain INSERT that can share our transaction ([`push`]), but one repeated idempotency key
//!   fails the whole statement and with it the transaction; so jobs carry no key, and the report row, locked
//!   and changed in the same transaction, is what makes a push happen once.
//! * A failed task is due again at once, without any pause. So a task never fails here: the runner writes
//!   the failure and the time of the next try into the report, and the tick pushes it again then.
//! * A worker that does not answer is only taken for dead after `heartbeat × missed`, whose default in code
//!   differs from its documentation; both are set explicitly.
//! * Any database error ends the worker, so [`work`] starts a new one. Its name must be new as well.
//! * Nothing limits how many tasks run at once, hence the concurrency layer. Nothing deletes old rows,
//!   hence [`sweep`].
//! * Its listener for notifications spins when the server is away; polling once a second does not.

use std::{sync::Arc, time::Duration};

use apalis::prelude::*;
use apalis_postgres::{PostgresStorage, queries::push_tasks};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, SqlSafeStr};
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimitLayer;
use uuid::Uuid;
use voice_postgres::{Config as DatabaseConfig, Database, Role, TenantTx};
use voice_telemetry::{Emit, Metrics};

use super::{ReportJob, runner::Runner};
use crate::{Error, config::JobsConfig, events::WorkerFailed};

/// The queue's name, which is also its column `job_type`.
pub const QUEUE: &str = "reports";

/// Makes the queue's tables and lets the services use them. Idempotent; run it after the schema's own
/// migrations, as the owner.
///
/// # Errors
/// [`Error::NoHstore`] when the server has no contrib extensions; otherwise when the database fails.
pub async fn migrate(url: &SecretString) -> Result<(), Error> {
    let config = DatabaseConfig {
        max_connections: 1,
        statement_timeout_ms: 0,
        ..DatabaseConfig::new(url.clone())
    };
    let database = Database::connect(&config, Role::Owner).await?;
    let pool = database.job_pool();
    let hstore: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore')")
            .fetch_one(&pool)
            .await?;
    if !hstore {
        return Err(Error::NoHstore);
    }
    let mut migrations = PostgresStorage::<()>::migrations();
    // Old steps ask for pgcrypto and a later one stops using it; we do not install it for nothing. The
    // checksums stay those of the library, so its own set-up would go on from here.
    for migration in migrations.migrations.to_mut() {
        let sql = migration.sql.as_str();
        if sql.contains(PGCRYPTO) {
            migration.sql = AssertSqlSafe(sql.replace(PGCRYPTO, "")).into_sql_str();
        }
    }
    migrations
        .run(&pool)
        .await
        .map_err(|error| Error::Queue(error.to_string()))?;
    sqlx::raw_sql(
        "GRANT USAGE ON SCHEMA apalis TO voice_api, voice_worker;
         GRANT INSERT ON apalis.jobs TO voice_api;
         GRANT SELECT, INSERT, UPDATE, DELETE ON apalis.jobs, apalis.workers TO voice_worker;",
    )
    .execute(&pool)
    .await?;
    database.close().await;
    Ok(())
}

const PGCRYPTO: &str = "CREATE EXTENSION IF NOT EXISTS pgcrypto;";

/// Puts a job into the queue when the transaction commits.
///
/// # Errors
/// When the database fails; the transaction is then of no more use.
pub async fn push(tx: &mut TenantTx, job: &ReportJob) -> Result<(), Error> {
    let args = serde_json::to_vec(job).map_err(|error| Error::Queue(error.to_string()))?;
    // One try: what can be tried again is decided by the report row, not by the queue.
    let task = TaskBuilder::new(args).max_attempts(1).build();
    Ok(push_tasks(&mut **tx, QUEUE, vec![task]).await?)
}

/// Takes jobs until told to stop; jobs that have begun are finished. Starts over when the database fails.
pub async fn work(
    database: Database,
    runner: Arc<Runner>,
    config: JobsConfig,
    metrics: Metrics,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let settings = apalis_postgres::Config::default()
            .queue(QUEUE)
            // What is fetched belongs to this process; more than can run would wait here instead of elsewhere.
            .batch_size(config.concurrency.max(1))
            .heartbeat_interval(Duration::from_secs(config.heartbeat_seconds.max(1)))
            .missed_heartbeats(config.missed_heartbeats.max(2));
        let backend = PostgresStorage::<ReportJob>::new(&database.job_pool())
            .with_config(settings)
            .poll_with_interval(Duration::from_millis(config.poll_ms.max(10)));
        let worker = WorkerBuilder::new(format!("{QUEUE}-{}", Uuid::now_v7()))
            .backend(backend)
            .layer(ConcurrencyLimitLayer::new(config.concurrency.max(1)))
            .data(runner.clone())
            .build(run_job);
        let stopped = stop.clone();
        let until = async move {
            stopped.cancelled().await;
            Ok::<(), WorkerError>(())
        };
        if let Err(error) = worker.run_until(until).await
            && !stop.is_cancelled()
        {
            WorkerFailed {
                error: &error.to_string(),
            }
            .emit(&metrics);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(config.poll_ms.max(100))) => {}
            }
        }
    }
}

async fn run_job(job: ReportJob, runner: Data<Arc<Runner>>) -> Result<(), BoxDynError> {
    let runner = Arc::clone(&runner);
    // A task of its own: it goes on when the worker is replaced under it, and a panic stays in it.
    let _the_row_says_what_became_of_it = tokio::spawn(async move { runner.run(job).await }).await;
    Ok(())
}

/// Deletes the queue's rows of jobs that ended, and of workers that are gone, more than `keep_hours` ago.
///
/// # Errors
/// When the database fails.
pub async fn sweep(database: &Database, keep_hours: u32) -> Result<u64, Error> {
    let pool = database.job_pool();
    let keep_hours = i32::try_from(keep_hours).unwrap_or(i32::MAX);
    let jobs = sqlx::query(
        "DELETE FROM apalis.jobs WHERE job_type = $1 AND status IN ('Done', 'Failed', 'Killed')
           AND done_at < now() - make_interval(hours => $2)",
    )
    .bind(QUEUE)
    .bind(keep_hours)
    .execute(&pool)
    .await?;
    sqlx::query(
        "DELETE FROM apalis.workers w WHERE worker_type = $1 AND last_seen < now() - make_interval(hours => $2)
           AND NOT EXISTS (SELECT FROM apalis.jobs j WHERE j.lock_by = w.id)",
    )
    .bind(QUEUE)
    .bind(keep_hours)
    .execute(&pool)
    .await?;
    Ok(jobs.rows_affected())
}
