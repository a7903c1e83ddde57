//! What the sink asks the table itself: which offsets it has, and completing what is derived from a range.

use serde::Deserialize;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse};

/// The offsets of the range that are in the table, ascending, each once.
pub(super) async fn present(
    clickhouse: &ClickHouse,
    table: &str,
    topic: &str,
    partition: i32,
    first: i64,
    last: i64,
) -> Result<Vec<u64>, ClickHouseError> {
    #[derive(Row, Deserialize)]
    struct Present {
        offset: u64,
    }
    let rows: Vec<Present> = clickhouse
        .rows(
            "asking which offsets are stored",
            &format!(
                "SELECT DISTINCT _offset AS offset FROM {table} WHERE _topic = {{topic:String}} \
                 AND _partition = {{partition:Int32}} AND _offset BETWEEN {{first:Int64}} AND {{last:Int64}} ORDER BY offset"
            ),
            |query| {
                query.param("topic", topic).param("partition", partition).param("first", first).param("last", last)
            },
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.offset).collect())
}

/// Derives again what a view makes of a range of stored events. Its target takes the same row any number of times,
/// so this completes a view that was left behind and changes nothing else.
pub(super) async fn derive(
    clickhouse: &ClickHouse,
    statement: &str,
    topic: &str,
    partition: i32,
    first: i64,
    last: i64,
) -> Result<(), ClickHouseError> {
    clickhouse
        .execute("deriving rows again", statement, |query| {
            query
                .param("topic", topic)
                .param("partition", partition)
                .param("first", first)
                .param("last", last)
        })
        .await
}

/// Takes note of an offset that is missing from the table on purpose.
pub(super) async fn note_dead_letter(
    clickhouse: &ClickHouse,
    topic: &str,
    partition: i32,
    offset: i64,
    stage: &str,
    code: &str,
    detail: &str,
) -> Result<(), ClickHouseError> {
    clickhouse
        .execute(
            "noting a dead letter",
            "INSERT INTO sink_dead_letters (_topic, _partition, _offset, stage, code, detail, at) SELECT {topic:String}, \
             {partition:Int32}, {offset:Int64}, {stage:String}, {code:String}, {detail:String}, now64(3)",
            |query| {
                query
                    .param("topic", topic)
                    .param("partition", partition)
                    .param("offset", offset)
                    .param("stage", stage)
                    .param("code", code)
                    .param("detail", detail)
            },
        )
        .await
}
