//! Limits of the sink.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use voice_kafka::dead_letters::Limits;

/// How batches are cut and tokens are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinkConfig {
    /// A batch is written at this many records …
    pub max_rows: usize,
    /// … or this many payload bytes …
    pub max_bytes: usize,
    /// … or this long after its first record.
    pub linger_ms: u64,
    /// Names the Kafka cluster in tokens; two clusters that feed one table need two names.
    pub cluster: String,
    /// Raised by hand when the table's deduplication window was lost (restore, detach, upgrade).
    pub token_epoch: u32,
    /// How long an accepted intent lets its writer send.
    pub lease_ms: u64,
    /// How long the table surely remembers a token: `non_replicated_deduplication_window` divided by
    /// inserts per hour, or `replicated_deduplication_window_seconds`.
    pub dedup_window_hours: u32,
    /// When dead letters stop the sink.
    pub dead_letters: Limits,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            max_rows: 100_000,
            max_bytes: 128 * 1024 * 1024,
            linger_ms: 1_000,
            cluster: "main".to_owned(),
            token_epoch: 0,
            lease_ms: 600_000,
            dedup_window_hours: 2,
            dead_letters: Limits::default(),
        }
    }
}

impl SinkConfig {
    /// Everything that is wrong with these settings, each as one sentence. `insert_timeout_ms` is that of
    /// the ClickHouse client.
    #[must_use]
    pub fn faults(&self, insert_timeout_ms: u64) -> Vec<String> {
        let mut faults = Vec::new();
        if self.max_rows == 0 || self.max_rows > 1_000_000 {
            faults.push(
                "analytics.sink.max_rows must lie between 1 and 1 000 000: a batch has to be one block"
                    .to_owned(),
            );
        }
        if self.lease_ms <= insert_timeout_ms {
            faults.push(format!(
                "analytics.sink.lease_ms ({}) must be above clickhouse.insert_timeout_ms ({insert_timeout_ms}): \
                 an insert must not outlive the lease it was started under",
                self.lease_ms
            ));
        }
        if i64::from(self.dedup_window_hours) * 3_600_000
            < i64::try_from(self.lease_ms).unwrap_or(i64::MAX) * 2
        {
            faults.push("analytics.sink.dedup_window_hours must cover at least two leases".to_owned());
        }
        faults
    }

    pub(super) const fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }

    pub(super) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(super) fn window(&self) -> TimeDelta {
        TimeDelta::hours(i64::from(self.dedup_window_hours))
    }
}
