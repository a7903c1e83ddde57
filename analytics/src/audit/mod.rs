//! Compares the log with the tables: is every record of `calls.events` in ClickHouse, and only once?

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse};
use voice_kafka::{
    KafkaError,
    admin::{Admin, Watermarks},
};
use voice_schemas::{TenantId, topics};

use crate::sink::GROUP;

/// Why the audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The log could not be read.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The tables could not be read.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
}

/// One partition of the log against its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PartitionAudit {
    /// The partition.
    pub partition: i32,
    /// Records the log holds.
    pub records: u64,
    /// Rows of these records.
    pub rows: u64,
    /// Rows more than there are distinct offsets.
    pub duplicates: u64,
    /// Records that went to the dead letters instead.
    pub dead_letters: u64,
    /// Records that are in neither.
    pub gaps: u64,
    /// Records the sink has not committed yet.
    pub lag: u64,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Audit {
    /// One per partition.
    pub partitions: Vec<PartitionAudit>,
    /// Distinct calls in the table.
    pub calls: u64,
    /// Calls that should have an end by now and have none.
    pub calls_without_end: u64,
    /// Calls that have more than one distinct terminal event.
    pub calls_with_several_ends: u64,
}

impl Audit {
    /// The sum over all partitions.
    #[must_use]
    pub fn total(&self) -> PartitionAudit {
        self.partitions.iter().fold(
            PartitionAudit {
                partition: -1,
                ..PartitionAudit::default()
            },
            |sum, one| PartitionAudit {
                partition: -1,
                records: sum.records + one.records,
                rows: sum.rows + one.rows,
                duplicates: sum.duplicates + one.duplicates,
                dead_letters: sum.dead_letters + one.dead_letters,
                gaps: sum.gaps + one.gaps,
                lag: sum.lag + one.lag,
            },
        )
    }

    /// Nothing doubled, nothing missing, nothing left to write, and every call has its one end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let total = self.total();
        total.duplicates == 0
            && total.gaps == 0
            && total.lag == 0
            && self.calls_without_end == 0
            && self.calls_with_several_ends == 0
    }
}

#[derive(Row, Deserialize)]
struct Stored {
    partition: u16,
    rows: u64,
    offsets: u64,
    dead: u64,
    both: u64,
}

#[derive(Row, Deserialize)]
struct Calls {
    calls: u64,
    without_end: u64,
    several_ends: u64,
}

/// Which calls must have an end by now.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Only this tenant's; all where it is absent.
    pub tenant: Option<TenantId>,
    /// Calls heard of within this time may still be going on.
    pub silent_for_seconds: u32,
}

/// Compares everything the log still holds, and looks for the end of every call in `scope`.
///
/// # Errors
/// When the log or the tables cannot be read.
pub async fn run(
    kafka: &voice_kafka::Config,
    clickhouse: &ClickHouse,
    scope: Scope,
) -> Result<Audit, AuditError> {
    let topic = kafka.topic(&topics::CALLS);
    let (marks, committed) = read_log(kafka.clone(), topic.clone()).await?;
    let mut partitions = Vec::with_capacity(marks.len());
    for (partition, Watermarks { low, high }) in marks {
        let stored: Stored = clickhouse
            .row("auditing a partition", include_str!("partition.sql"), |query| {
                query
                    .param("topic", &topic)
                    .param("partition", partition)
                    .param("low", low)
                    .param("high", high)
            })
            .await?;
        let records = u64::try_from(high - low).unwrap_or(0);
        // A repaired dead letter may stand in both tables; it counts once.
        let found = stored.offsets + stored.dead - stored.both;
        let next = committed.get(&partition).copied().unwrap_or(low);
        partitions.push(PartitionAudit {
            partition: i32::from(stored.partition),
            records,
            rows: stored.rows,
            duplicates: stored.rows - stored.offsets,
            dead_letters: stored.dead,
            gaps: records.saturating_sub(found),
            lag: u64::try_from(high - next.max(low)).unwrap_or(0),
        });
    }
    let calls: Calls = clickhouse
        .row("auditing the calls", include_str!("calls.sql"), |query| {
            let tenant = scope.tenant.map_or(Uuid::nil(), |tenant| tenant.0);
            query
                .param("tenant", tenant)
                .param("silent", scope.silent_for_seconds)
        })
        .await?;
    Ok(Audit {
        partitions,
        calls: calls.calls,
        calls_without_end: calls.without_end,
        calls_with_several_ends: calls.several_ends,
    })
}

type Log = (BTreeMap<i32, Watermarks>, BTreeMap<i32, i64>);

async fn read_log(kafka: voice_kafka::Config, topic: String) -> Result<Log, KafkaError> {
    let read = move || {
        let admin = Admin::new(&kafka)?;
        Ok((admin.watermarks(&topic)?, admin.committed(GROUP, &topic)?))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|stopped| {
        Err(KafkaError::Worker {
            topic: String::new(),
            partition: -1,
            reason: stopped.to_string(),
        })
    })
}
