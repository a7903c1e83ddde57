//! The tables of the bench: what they hold, and their end.

use serde::Deserialize;
use voice_clickhouse::{ClickHouse, Row, clickhouse};
use voice_kafka::admin::Admin;
use voice_schemas::topics;

use crate::settings::Settings;

#[derive(Row, Deserialize)]
struct Count {
    count: u64,
}

/// Attempts whose end is in ClickHouse.
pub async fn finished(clickhouse: &ClickHouse) -> anyhow::Result<u64> {
    let asked = clickhouse.row(
        "counting attempts",
        "SELECT uniqExact(attempt_id) AS count FROM call_events WHERE event_type = 'attempt.finished'",
        |query| query,
    );
    let Count { count } = asked.await?;
    Ok(count)
}

/// Deletes tables and topics.
pub async fn drop(settings: &Settings, clickhouse: &ClickHouse) -> anyhow::Result<()> {
    let server = clickhouse.without_database();
    let statement = format!("DROP DATABASE IF EXISTS {}", settings.clickhouse.database);
    server
        .execute("dropping a database", &statement, |query| query)
        .await?;
    let names: Vec<String> = topics::ALL
        .iter()
        .map(|topic| settings.kafka.topic(topic))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(Admin::new(&settings.kafka)?.delete(&names).await?)
}
