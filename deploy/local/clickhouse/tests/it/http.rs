//! The HTTP interface itself: what clients other than the two tested ones rely on.

use std::time::{Duration, Instant};

use crate::server::{Server, http};

#[tokio::test]
async fn rows_of_every_shape_are_inserted_exactly() {
    let server = Server::start();
    let create = "CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a";
    assert_eq!(server.post("", create).await, (200, String::new()));
    for (parameters, body) in [
        (
            "",
            &b"INSERT INTO t (a, s) SETTINGS max_threads = 1 FORMAT RowBinary\n\x01\0\0\0\x03x\ny"[..],
        ),
        (
            "query=INSERT%20INTO%20t%20FORMAT%20JSONEachRow",
            b"{\"a\":2,\"s\":\"x\\ny\"}\n{\"a\":3}",
        ),
        ("", b"INSERT INTO t VALUES (4, 'x\ny;'), (5, upper('up'))"),
        ("param_v=7%27", b"INSERT INTO t VALUES (6, {v:String})"),
        (
            "",
            b"INSERT INTO t SELECT number + 10, 'from select' FROM numbers(2)",
        ),
        ("query=INSERT%20INTO%20t%20(s,a)%20FORMAT%20CSV", b"\"x\ny\",7\n"),
        ("query=INSERT%20INTO%20t%20FORMAT%20Native", b""),
    ] {
        assert_eq!(
            server.post(parameters, body).await,
            (200, String::new()),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let (_, rows) = server
        .post("default_format=JSONCompactEachRow", "SELECT * FROM t ORDER BY a")
        .await;
    let expected = [
        r#"[1, "x\ny"]"#,
        r#"[2, "x\ny"]"#,
        r#"[3, ""]"#,
        r#"[4, "x\ny;"]"#,
        r#"[5, "UP"]"#,
        r#"[6, "7'"]"#,
        r#"[7, "x\ny"]"#,
        r#"[10, "from select"]"#,
        r#"[11, "from select"]"#,
        "",
    ];
    assert_eq!(rows, expected.join("\n"));
}

#[tokio::test]
async fn settings_of_one_request_do_not_reach_the_next() {
    let server = Server::start();
    let query = "SELECT getSetting('max_block_size'), currentDatabase()";
    assert_eq!(
        server.post("max_block_size=77&database=system", query).await.1,
        "77\tsystem\n"
    );
    assert_eq!(server.post("", query).await.1, "65409\tdefault\n");
    let session = "session_id=s1";
    assert_eq!(server.post(session, "SET max_block_size = 88").await.0, 200);
    assert_eq!(
        server
            .post(&format!("{session}&max_block_size=99&database=system"), query)
            .await
            .1,
        "99\tsystem\n"
    );
    assert_eq!(server.post(session, query).await.1, "88\tdefault\n");
}

#[tokio::test]
async fn temporary_tables_live_in_their_session_only() {
    let server = Server::start();
    assert_eq!(
        server
            .post("session_id=a", "CREATE TEMPORARY TABLE mine (n Int8)")
            .await
            .0,
        200
    );
    assert_eq!(
        server.post("session_id=a", "INSERT INTO mine VALUES (5)").await.0,
        200
    );
    assert_eq!(server.post("session_id=a", "SELECT n FROM mine").await.1, "5\n");
    assert_eq!(server.post("session_id=b", "SELECT n FROM mine").await.0, 404);
    assert_eq!(
        server
            .post("session_id=never&session_check=1", "SELECT 1")
            .await
            .0,
        500
    );
}

#[tokio::test]
async fn errors_have_the_status_of_a_server() {
    let server = Server::start();
    for (query, status, code) in [
        ("SELECT * FROM missing", 404, "60"),
        ("SELECT 1 +", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("SELECT toUInt8('x')", 400, "6"),
        ("SELECT throwIf(1)", 500, "395"),
        (
            "SELECT sleep(1) SETTINGS max_execution_time = 0.1, function_sleep_max_microseconds_per_block = 0",
            408,
            "159",
        ),
        ("INSERT INTO missing FORMAT CSV\n1", 404, "60"),
    ] {
        let response = http().post(&server.url).body(query).send().await.unwrap();
        let found = response.headers()["x-clickhouse-exception-code"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            (response.status().as_u16(), found.as_str()),
            (status, code),
            "{query}"
        );
        let text = response.text().await.unwrap();
        assert!(
            text.starts_with(&format!("Code: {code}. DB::Exception: ")) && text.contains("(version 2"),
            "{text}"
        );
        assert!(!text.contains("/proc/self"), "{text}");
    }
    let url = format!(
        "{}/?query=CREATE%20TABLE%20x%20(a%20Int8)%20ENGINE=Memory",
        server.url
    );
    let read_only = http().get(url).send().await.unwrap();
    assert_eq!(read_only.headers()["x-clickhouse-exception-code"], "164");
}

#[tokio::test]
async fn the_wrong_password_is_refused() {
    let server = Server::start_with(&[("CLICKHOUSE_USER", "voice"), ("CLICKHOUSE_PASSWORD", "right")]);
    assert_eq!(server.post("", "SELECT 1").await.0, 403);
    let (status, text) = server.post("user=voice&password=wrong", "SELECT 1").await;
    assert!(status == 403 && text.starts_with("Code: 516."), "{text}");
    assert_eq!(
        server.post("user=voice&password=right", "SELECT 1").await,
        (200, "1\n".to_owned())
    );
}

#[tokio::test]
async fn the_headers_tell_what_happened() {
    let server = Server::start();
    server.post("", "CREATE TABLE t (a Int8) ENGINE = Memory").await;
    let client = http();
    let insert = client
        .post(format!("{}/?query_id=mine", server.url))
        .body("INSERT INTO t VALUES (1), (2)");
    let response = insert.send().await.unwrap();
    assert_eq!(response.headers()["x-clickhouse-query-id"], "mine");
    let summary = response.headers()["x-clickhouse-summary"].to_str().unwrap();
    assert!(summary.contains(r#""written_rows":"2""#), "{summary}");
    let response = client
        .post(&server.url)
        .body("SELECT a FROM t FORMAT JSON")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-clickhouse-format"], "JSON");
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=UTF-8"
    );
    let response = http()
        .post(&server.url)
        .body("SHOW TABLES FORMAT JSONEachRow")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-clickhouse-format"], "JSONEachRow");
    for name in ["x-clickhouse-timezone", "x-clickhouse-server-display-name"] {
        assert!(response.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_query_whose_client_leaves_is_stopped() {
    let server = Server::start();
    let mut endless = http()
        .post(&server.url)
        .body("SELECT number FROM system.numbers SETTINGS max_execution_time = 0 -- endless")
        .send()
        .await
        .unwrap();
    assert!(endless.chunk().await.unwrap().is_some());
    let silent = http()
        .post(&server.url)
        .body("SELECT count() FROM system.numbers WHERE sipHash64(number) = 1 -- silent")
        .timeout(Duration::from_millis(300))
        .send()
        .await;
    assert!(silent.is_err());
    let running =
        "SELECT count() FROM system.processes WHERE query LIKE '%numbers%' AND query NOT LIKE '%processes%'";
    assert_ne!(server.post("", running).await.1, "0\n");
    drop(endless);
    let begun = Instant::now();
    while server.post("", running).await.1 != "0\n" {
        assert!(begun.elapsed() < Duration::from_secs(10), "still running");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_large_result_is_streamed_and_not_held() {
    let server = Server::start();
    let query = "SELECT number, repeat('x', 92) FROM numbers(5000000) FORMAT RowBinary";
    let mut response = http().post(&server.url).body(query).send().await.unwrap();
    let before = server.resident_kb();
    let (mut length, mut samples, mut largest) = (0_u64, 0_u64, 0_u64);
    while let Some(chunk) = response.chunk().await.unwrap() {
        length += chunk.len() as u64;
        if length >> 24 > samples {
            samples += 1;
            largest = largest.max(server.resident_kb());
        }
    }
    assert_eq!(length, 5_000_000 * 101);
    assert!(
        samples > 20 && largest < before + 150_000,
        "{before} kB grew to {largest} kB"
    );
}

#[tokio::test]
async fn a_client_that_breaks_off_its_rows_inserts_nothing() {
    let server = Server::start();
    server
        .post("", "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
        .await;
    let pieces = vec![Ok("1\n2\n"), Err(std::io::Error::other("the client falls over"))];
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let url = format!("{}/?query=INSERT%20INTO%20t%20FORMAT%20CSV", server.url);
    assert!(http().post(url).body(body).send().await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.post("", "SELECT count() FROM t").await.1, "0\n");
}

#[tokio::test]
async fn sigterm_lets_a_running_query_finish() {
    let mut server = Server::start();
    let url = server.url.clone();
    let running = tokio::spawn(async move {
        let response = http().post(url).body("SELECT sleep(1)").send().await.unwrap();
        response.text().await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = tokio::task::spawn_blocking(move || server.signal("TERM"))
        .await
        .unwrap();
    assert_eq!(running.await.unwrap(), "0\n");
    assert_eq!(status.code(), Some(0));
}
