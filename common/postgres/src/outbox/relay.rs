//! The loop that empties the outbox.
//!
//! One pass: in one transaction, take a few buckets that have rows and that nobody else holds
//! (`pg_try_advisory_xact_lock`), read their oldest rows, publish, delete, commit. The locks end with the
//! transaction, so a relay that dies frees its buckets. Taking the locks and reading are separate
//! statements on purpose: the second sees everything the previous holder of the lock committed.
//!
//! Order of the `biased` select: stop first, because a busy outbox would otherwise never let go; then the
//! notification, then the slow tick, which only covers what no notification tells of (a relay that died
//! with rows in its buckets, a retry).

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use sqlx::{Row, postgres::PgRow, types::Json};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use voice_schemas::TenantId;
use voice_telemetry::{Emit, Metrics};

use super::publish::{OutboundRecord, Publish, PublishError};
use crate::{
    Database, Heard, Listener, Result,
    events::{DatabaseFailed, Parked, PublishFailed, Published},
};

/// First key of the advisory locks; the second is the bucket.
const LOCK_SPACE: i32 = 0x6f75_7462;

/// How the relay works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// Rows published at once.
    pub batch_rows: u32,
    /// Buckets (of 64) taken at once; fewer lets more relays share.
    pub batch_buckets: u32,
    /// How long the broker may take for a batch. Keep it below the idle-in-transaction time-out of the
    /// connection.
    pub publish_timeout_ms: u64,
    /// How often to look without having been notified.
    pub tick_ms: u64,
    /// First pause after a failure; doubles up to `tick_ms`.
    pub backoff_ms: u64,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            batch_rows: 1_000,
            batch_buckets: 16,
            publish_timeout_ms: 30_000,
            tick_ms: 5_000,
            backoff_ms: 100,
        }
    }
}

/// What a pass came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pass {
    /// Nothing to do, or others are at it.
    Idle,
    /// Some rows are gone; there may be more.
    Progress,
    /// The broker did not take the batch.
    Failed,
}

/// Empties the outbox into a broker. Run as many as you like; they share the buckets.
#[derive(Debug)]
pub struct Relay<P> {
    database: Database,
    publisher: P,
    config: RelayConfig,
    metrics: Metrics,
}

impl<P: Publish> Relay<P> {
    /// `database` must be connected in [`Role::Relay`](crate::Role::Relay).
    #[must_use]
    pub const fn new(database: Database, publisher: P, config: RelayConfig, metrics: Metrics) -> Self {
        Self {
            database,
            publisher,
            config,
            metrics,
        }
    }

    /// Works until told to stop; a batch that has begun is finished. A lost database or broker is waited
    /// for, for as long as it takes.
    pub async fn run(&self, stop: CancellationToken) {
        let mut failures = 0;
        let mut listener: Option<Listener> = None;
        while !stop.is_cancelled() {
            // Listening starts before looking, or a row written in between would wait for the tick.
            if listener.is_none() {
                match self.database.listen(&["outbox"]).await {
                    Ok(opened) => listener = Some(opened),
                    Err(error) => DatabaseFailed { error: &error }.emit(&self.metrics),
                }
            }
            match self.pass().await {
                Ok(Pass::Progress) => {
                    failures = 0;
                    continue;
                }
                Ok(Pass::Idle) if listener.is_some() => failures = 0,
                Ok(Pass::Idle | Pass::Failed) => failures += 1,
                Err(error) => {
                    failures += 1;
                    DatabaseFailed { error: &error }.emit(&self.metrics);
                }
            }
            let wake = Instant::now() + self.pause(failures);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                // After a failure a notification is no reason to hurry: what failed will fail again.
                heard = hear(&mut listener), if failures == 0 => {
                    if heard.is_err() { listener = None; }
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Publishes until there is nothing more to take, and returns how many records went out; for commands
    /// that must not leave anything behind.
    ///
    /// # Errors
    /// When the database fails. A broker that fails ends it without one; look at [`Relay::lag`].
    pub async fn drain(&self) -> Result<()> {
        while self.pass().await? == Pass::Progress {}
        Ok(())
    }

    /// Age of the oldest row that still waits, and how many rows there are; for the lag metric.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lag(&self) -> Result<(Duration, u64)> {
        let (seconds, rows): (f64, i64) = sqlx::query_as(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8, count(*)
             FROM app.outbox WHERE parked_at IS NULL",
        )
        .fetch_one(self.database.pool())
        .await?;
        Ok((
            Duration::from_secs_f64(seconds.max(0.0)),
            u64::try_from(rows).unwrap_or(0),
        ))
    }

    /// The tick, or after failures a pause that doubles up to it, with a quarter of jitter.
    fn pause(&self, failures: u32) -> Duration {
        let tick = self.config.tick_ms;
        if failures == 0 {
            return Duration::from_millis(tick);
        }
        let base = self
            .config
            .backoff_ms
            .saturating_mul(1 << failures.min(16).saturating_sub(1))
            .min(tick)
            .max(1);
        Duration::from_millis(base + fastrand::u64(0..=base / 4))
    }

    async fn pass(&self) -> Result<Pass> {
        let mut tx = self.database.pool().begin().await?;
        let buckets: Vec<i16> = sqlx::query_scalar(
            "SELECT bucket FROM (
                 SELECT DISTINCT bucket FROM app.outbox WHERE parked_at IS NULL
             ) AS waiting
             -- In random order, so that relays do not queue up for the same ones.
             ORDER BY random()",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut mine = Vec::new();
        for bucket in buckets {
            let got: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, $2)")
                .bind(LOCK_SPACE)
                .bind(i32::from(bucket))
                .fetch_one(&mut *tx)
                .await?;
            if got {
                mine.push(bucket);
            }
            if mine.len() >= self.config.batch_buckets as usize {
                break;
            }
        }
        if mine.is_empty() {
            tx.rollback().await?;
            return Ok(Pass::Idle);
        }
        let rows = sqlx::query(
            "SELECT id, tenant_id, topic, key, type, payload::text AS payload, headers,
                    extract(epoch FROM clock_timestamp() - created_at)::float8 AS age
             FROM app.outbox WHERE bucket = ANY($1) AND parked_at IS NULL ORDER BY id LIMIT $2",
        )
        .bind(&mine)
        .bind(i64::from(self.config.batch_rows))
        .fetch_all(&mut *tx)
        .await?;
        if rows.is_empty() {
            // The previous holder emptied them between our two statements.
            tx.rollback().await?;
            return Ok(Pass::Idle);
        }
        let ids = rows
            .iter()
            .map(|row| row.try_get("id"))
            .collect::<Result<Vec<i64>, _>>()?;
        let age: f64 = rows
            .first()
            .map(|row| row.try_get("age"))
            .transpose()?
            .unwrap_or(0.0);
        let records = rows.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?;
        let patience = Duration::from_millis(self.config.publish_timeout_ms);
        let published = timeout(patience, self.publisher.publish(records))
            .await
            .unwrap_or_else(|_| Err(PublishError::Unavailable("no acknowledgement in time".to_owned())));
        match published {
            Ok(()) => {
                sqlx::query("DELETE FROM app.outbox WHERE id = ANY($1)")
                    .bind(&ids)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                let oldest = Duration::from_secs_f64(age.max(0.0));
                Published {
                    records: ids.len(),
                    oldest,
                }
                .emit(&self.metrics);
                Ok(Pass::Progress)
            }
            Err(PublishError::Refused { position, reason }) if position < ids.len() => {
                sqlx::query("UPDATE app.outbox SET parked_at = now(), parked_reason = $2 WHERE id = $1")
                    .bind(ids[position])
                    .bind(&reason)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                Parked {
                    id: ids[position],
                    reason: &reason,
                }
                .emit(&self.metrics);
                Ok(Pass::Progress)
            }
            Err(error) => {
                PublishFailed {
                    error: &error,
                    records: ids.len(),
                }
                .emit(&self.metrics);
                // At once, so that another relay can have the buckets during our pause.
                tx.rollback().await?;
                Ok(Pass::Failed)
            }
        }
    }
}

/// Waits for a notification, and takes the whole burst.
async fn hear(listener: &mut Option<Listener>) -> Result<()> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let (Heard::Notification { .. } | Heard::Gap) = listener.next().await?;
    listener.drain();
    Ok(())
}

fn read(row: &PgRow) -> Result<OutboundRecord, sqlx::Error> {
    Ok(OutboundRecord {
        tenant: TenantId(row.try_get("tenant_id")?),
        topic: row.try_get("topic")?,
        key: row.try_get("key")?,
        kind: row.try_get("type")?,
        payload: row
            .try_get::<Option<String>, _>("payload")?
            .map(String::into_bytes),
        headers: row.try_get::<Json<BTreeMap<String, String>>, _>("headers")?.0,
    })
}
