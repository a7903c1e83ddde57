//! Compares the log with the tables: is every record of calls, media streams and transcripts in ClickHouse, and only
//! once?

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse};
use voice_kafka::{
    KafkaError,
    admin::{Admin, Watermarks},
};
use voice_schemas::TenantId;

use crate::processors::{Feed, call_events::CallEvents, media_events::MediaEvents, transcripts::Transcripts};

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

/// The sum over partitions; its own partition is -1.
#[must_use]
pub fn total(partitions: &[PartitionAudit]) -> PartitionAudit {
    partitions.iter().fold(
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

impl PartitionAudit {
    /// Nothing doubled, nothing missing, nothing left to write.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.duplicates == 0 && self.gaps == 0 && self.lag == 0
    }
}

/// The comparison of what happened to the audio of calls.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct MediaAudit {
    /// `media.events`, one per partition.
    pub events: Vec<PartitionAudit>,
    /// `media.transcripts`, one per partition.
    pub transcripts: Vec<PartitionAudit>,
    /// Calls that had a media stream.
    pub streams: u64,
    /// Streams that should have an end by now and have none.
    pub streams_without_end: u64,
}

impl MediaAudit {
    /// Nothing doubled, nothing missing, nothing left to write. A stream without an end is what a killed worker leaves
    /// behind, and no fault of the log.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        total(&self.events).is_clean() && total(&self.transcripts).is_clean()
    }
}

impl Audit {
    /// The sum over all partitions.
    #[must_use]
    pub fn total(&self) -> PartitionAudit {
        total(&self.partitions)
    }

    /// Nothing doubled, nothing missing, nothing left to write, and every call has its one end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.total().is_clean() && self.calls_without_end == 0 && self.calls_with_several_ends == 0
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

#[derive(Row, Deserialize)]
struct Streams {
    streams: u64,
    without_end: u64,
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
    let partitions = compare::<CallEvents>(kafka, clickhouse).await?;
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

/// Compares everything the log still holds of media streams and transcripts, and looks for the end of every stream in
/// `scope`.
///
/// # Errors
/// When the log or the tables cannot be read.
pub async fn media(
    kafka: &voice_kafka::Config,
    clickhouse: &ClickHouse,
    scope: Scope,
) -> Result<MediaAudit, AuditError> {
    let streams: Streams = clickhouse
        .row("auditing the streams", include_str!("streams.sql"), |query| {
            let tenant = scope.tenant.map_or(Uuid::nil(), |tenant| tenant.0);
            query
                .param("tenant", tenant)
                .param("silent", scope.silent_for_seconds)
        })
        .await?;
    Ok(MediaAudit {
        events: compare::<MediaEvents>(kafka, clickhouse).await?,
        transcripts: compare::<Transcripts>(kafka, clickhouse).await?,
        streams: streams.streams,
        streams_without_end: streams.without_end,
    })
}

/// One topic against its table.
async fn compare<F: Feed>(
    kafka: &voice_kafka::Config,
    clickhouse: &ClickHouse,
) -> Result<Vec<PartitionAudit>, AuditError> {
    let topic = kafka.topic(F::TOPIC);
    let (marks, committed) = read_log::<F>(kafka.clone(), topic.clone()).await?;
    let statement = include_str!("partition.sql").replace("{table}", F::TABLE);
    let mut partitions = Vec::with_capacity(marks.len());
    for (partition, Watermarks { low, high }) in marks {
        let stored: Stored = clickhouse
            .row("auditing a partition", &statement, |query| {
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
    Ok(partitions)
}

type Log = (BTreeMap<i32, Watermarks>, BTreeMap<i32, i64>);

async fn read_log<F: Feed>(kafka: voice_kafka::Config, topic: String) -> Result<Log, KafkaError> {
    let read = move || {
        let admin = Admin::new(&kafka)?;
        Ok((admin.watermarks(&topic)?, admin.committed(F::GROUP, &topic)?))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|stopped| {
        Err(KafkaError::Worker {
            topic: String::new(),
            partition: -1,
            reason: stopped.to_string(),
        })
    })
}
