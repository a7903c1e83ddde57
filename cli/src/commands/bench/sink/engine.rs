//! The peer: a table with ClickHouse's own `Kafka` engine and a view that moves its rows to `call_events`.

use std::time::{Duration, Instant};

use voice_schemas::topics;

use super::{rate, store::Store};

const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to set the engine up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What it is called in the report.
    pub name: &'static str,
    settings: &'static str,
}

/// As it comes, and tuned as its documentation advises.
pub const SETUPS: [Setup; 3] = [
    Setup {
        name: "untuned",
        settings: "",
    },
    Setup {
        name: "one consumer, large blocks",
        settings: ", kafka_max_block_size = 524288, kafka_poll_max_batch_size = 65536",
    },
    Setup {
        name: "two consumers, large blocks",
        settings: ", kafka_max_block_size = 524288, kafka_poll_max_batch_size = 65536, \
                   kafka_num_consumers = 2, kafka_thread_per_consumer = 1",
    },
];

/// The set-up that was fastest whenever all were measured.
pub const FASTEST: Setup = SETUPS[2];

/// Rows per second from the moment its consumers own their partitions: what comes before depends on the
/// group protocol and not on the engine.
pub async fn measure(
    kafka: &voice_kafka::Config,
    store: &Store,
    setup: Setup,
    events: u64,
) -> anyhow::Result<f64> {
    let sql = include_str!("engine.sql")
        .replace("{brokers}", &kafka.brokers)
        .replace("{topic}", &kafka.topic(&topics::CALLS))
        .replace(
            "{group}",
            &kafka.group(&format!("engine {} {}", setup.name, store.clickhouse.database())),
        )
        .replace("{settings}", setup.settings);
    for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        store.execute(statement).await?;
    }
    let began = assigned(store).await?;
    store.reaches(events).await?;
    let rate = rate(events, began.elapsed());
    store.execute("DROP VIEW call_events_from_kafka").await?;
    store.execute("DROP TABLE call_events_kafka").await?;
    Ok(rate)
}

async fn assigned(store: &Store) -> anyhow::Result<Instant> {
    let sql = "SELECT toUInt64(sum(length(assignments.partition_id))) AS count FROM system.kafka_consumers \
               WHERE database = currentDatabase()";
    let deadline = Instant::now() + PATIENCE;
    let partitions = topics::CALLS.partitions.cast_unsigned();
    while store.count(sql).await? < u64::from(partitions) && store.rows().await? == 0 {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the Kafka engine was given no partitions"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Instant::now())
}
