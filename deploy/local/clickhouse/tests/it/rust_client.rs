//! The `clickhouse` crate with its default settings (LZ4 and validation on)
//! against the local server.

use crate::server::{Server, http};
use std::time::Instant;

use clickhouse::Row;
use clickhouse::native::builder::BlockBuilder;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Call {
    id: u32,
    name: String,
    seconds: f64,
    tags: Vec<String>,
    parent: Option<u64>,
}

fn call(id: u32) -> Call {
    Call {
        id,
        name: format!("call\n{id}\0\"quoted\""),
        seconds: f64::from(id) / 4.0,
        tags: vec!["a".into(), id.to_string()],
        parent: id.is_multiple_of(2).then_some(u64::from(id) << 40),
    }
}

async fn database(server: &Server) -> clickhouse::Client {
    let client = server.client();
    client
        .query("CREATE DATABASE voice ENGINE = Atomic")
        .execute()
        .await
        .unwrap();
    client.with_database("voice")
}

async fn calls_table(client: &clickhouse::Client) {
    client
        .query(
            "CREATE TABLE calls (id UInt32, name String, seconds Float64, tags Array(String), parent Nullable(UInt64))
             ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100",
        )
        .execute()
        .await
        .unwrap();
}

async fn insert(client: &clickhouse::Client, rows: &[Call], token: Option<&str>) {
    let mut insert = client.insert::<Call>("calls").await.unwrap();
    if let Some(token) = token {
        insert = insert.with_setting("insert_deduplication_token", token);
    }
    for row in rows {
        insert.write(row).await.unwrap();
    }
    insert.end().await.unwrap();
}

async fn count(client: &clickhouse::Client, table: &str) -> u64 {
    client
        .query(&format!("SELECT count() FROM {table}"))
        .fetch_one::<u64>()
        .await
        .unwrap()
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let server = Server::start();
    let client = database(&server).await;
    calls_table(&client).await;
    let rows: Vec<Call> = (0..5_000).map(call).collect();
    insert(&client, &rows, None).await;
    let back = client
        .query("SELECT ?fields FROM calls ORDER BY id")
        .fetch_all::<Call>()
        .await
        .unwrap();
    assert_eq!(back, rows);
    let some = client
        .query("SELECT ?fields FROM calls WHERE id >= ? AND name LIKE {like:String} ORDER BY id")
        .bind(4_990)
        .param("like", "%\n499_\0%")
        .fetch_all::<Call>()
        .await
        .unwrap();
    assert_eq!(some, rows[4_990..]);
}

#[tokio::test]
async fn a_million_rows_stream_through_a_cursor() {
    let server = Server::start();
    let client = server.client();
    let mut cursor = client
        .query("SELECT number FROM numbers(1000000)")
        .fetch::<u64>()
        .unwrap();
    let (mut rows, mut sum) = (0_u64, 0_u64);
    while let Some(number) = cursor.next().await.unwrap() {
        rows += 1;
        sum += number;
    }
    assert_eq!((rows, sum), (1_000_000, 499_999_500_000));
}

#[tokio::test]
async fn a_million_rows_go_in_as_one_columnar_block_and_come_back() {
    const ROWS: u64 = 1_000_000;
    let server = Server::start();
    let client = database(&server).await;
    let create = "CREATE TABLE points (id UInt64, name LowCardinality(String), value Nullable(Float64))
                  ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100";
    client.query(create).execute().await.unwrap();
    let ids: Vec<u64> = (0..ROWS).collect();
    let names: Vec<String> = ids.iter().map(|id| format!("name\n{}", id % 500)).collect();
    let mut builder = BlockBuilder::new();
    builder.upsert_column("id").unwrap().add_all(&ids).unwrap();
    builder.upsert_column("name").unwrap().add_all(&names).unwrap();
    let values = ids.iter().map(|id| id.is_multiple_of(3).then_some(*id as f64));
    builder.upsert_column("value").unwrap().add_all(values).unwrap();
    let block = builder.build().unwrap();
    let begun = Instant::now();
    for _ in 0..2 {
        let mut insert = client
            .insert_native("points")
            .with_setting("insert_deduplication_token", "once");
        insert.write(&block).await.unwrap();
        insert.end().await.unwrap();
    }
    let inserted = begun.elapsed() / 2;
    let begun = Instant::now();
    let mut cursor = client
        .query("SELECT id, name, value FROM points")
        .fetch_native()
        .unwrap();
    let (mut rows, mut sum) = (0, 0);
    while let Some(block) = cursor.next().await.unwrap() {
        rows += block.num_rows() as u64;
        sum += block["id"]
            .iter::<u64>()
            .unwrap()
            .map(Result::unwrap)
            .sum::<u64>();
    }
    println!("a million rows: in {inserted:?}, back {:?}", begun.elapsed());
    assert_eq!((rows, sum), (ROWS, ROWS * (ROWS - 1) / 2));
    let parts = "SELECT count() FROM system.parts WHERE table = 'points' AND active";
    assert_eq!(
        client.query(parts).fetch_one::<u64>().await.unwrap(),
        1,
        "one insert is one block"
    );
}

#[tokio::test]
async fn errors_carry_the_code_of_the_server() {
    let server = Server::start();
    let client = server.client();
    let unknown = client
        .query("SELECT * FROM nowhere")
        .fetch_all::<u64>()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("Code: 60. DB::Exception") && unknown.contains("(UNKNOWN_TABLE)"),
        "{unknown}"
    );
    let syntax = client
        .query("SELECT 1 +")
        .execute()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        syntax.contains("Code: 62.") && !syntax.contains("OUTFILE"),
        "{syntax}"
    );
    let missing = client
        .clone()
        .with_database("missing")
        .query("SELECT 1")
        .execute()
        .await
        .unwrap_err()
        .to_string();
    assert!(missing.contains("Code: 81."), "{missing}");
    let setting = client
        .query("SELECT 1")
        .with_setting("no_such", "1")
        .execute()
        .await
        .unwrap_err()
        .to_string();
    assert!(setting.contains("Code: 115."), "{setting}");
}

#[tokio::test]
async fn an_error_after_a_million_rows_reaches_the_cursor() {
    let server = Server::start();
    let client = server.client();
    let mut cursor = client
        .query("SELECT toUInt64(throwIf(number = 2000000, 'too far') + number) AS n FROM numbers(4000000)")
        .with_setting("max_block_size", "10000")
        .fetch::<u64>()
        .unwrap();
    let mut rows = 0_u64;
    let error = loop {
        match cursor.next().await {
            Ok(Some(_)) => rows += 1,
            Ok(None) => panic!("the error got lost after {rows} rows"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        error.contains("Code: 395.") && error.contains("too far"),
        "{error}"
    );
    assert!(rows > 100_000, "{rows}");
}

#[tokio::test]
async fn the_same_token_twice_is_one_copy_through_a_view() {
    let server = Server::start();
    let client = database(&server).await;
    calls_table(&client).await;
    for statement in [
        "CREATE TABLE hourly (id UInt32, calls UInt64) ENGINE = SummingMergeTree ORDER BY id
         SETTINGS non_replicated_deduplication_window = 100",
        "CREATE MATERIALIZED VIEW to_hourly TO hourly AS SELECT id, 1 AS calls FROM calls",
    ] {
        client.query(statement).execute().await.unwrap();
    }
    let rows: Vec<Call> = (0..1_000).map(call).collect();
    insert(&client, &rows, Some("calls.events/0/0-999")).await;
    insert(&client, &rows, Some("calls.events/0/0-999")).await;
    assert_eq!(
        (count(&client, "calls").await, count(&client, "hourly").await),
        (1_000, 1_000)
    );
    insert(&client, &rows, Some("calls.events/0/1000-1999")).await;
    assert_eq!(count(&client, "calls").await, 2_000);

    // Nor does a crash between the two sends make a second copy.
    let server = server.killed_and_started_again();
    let client = server.client().with_database("voice");
    insert(&client, &rows, Some("calls.events/0/1000-1999")).await;
    assert_eq!(count(&client, "calls").await, 2_000);
    let views: u64 = client
        .query("SELECT sum(calls) FROM hourly")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(views, 2_000);
}

#[tokio::test]
async fn queries_run_side_by_side_and_a_long_one_holds_nobody_up() {
    let server = Server::start();
    let client = server.client();
    let long = tokio::spawn({
        let client = client.clone();
        async move { client.query("SELECT sleep(2)").fetch_one::<u8>().await }
    });
    let begun = Instant::now();
    let tasks: Vec<_> = (0..32_u64)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                client
                    .query("SELECT toUInt64(?)")
                    .bind(number)
                    .fetch_one::<u64>()
                    .await
                    .unwrap()
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), number as u64);
    }
    let ping = http()
        .get(format!("{}/ping", server.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(ping, "Ok.\n");
    assert!(
        !long.is_finished(),
        "the short queries waited {:?} for the long one",
        begun.elapsed()
    );
    long.await.unwrap().unwrap();
}
