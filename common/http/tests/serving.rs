//! A real listener: draining, addresses, and what operators ask.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use voice_http::{ClientAddress, HttpConfig, Json, Listener, Stack, ops_router, serve};
use voice_lifecycle::{CancellationToken, Lifecycle, Readiness, TaskPolicy};
use voice_telemetry::{BuildInfo, Metrics};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn request(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn the_requests_under_way_are_answered_and_no_new_ones_taken() {
    let (listener, address) = listener().await;
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, waiting) = (Arc::clone(&entered), Arc::clone(&go_on));
    let router = Router::new().route(
        "/slow",
        get(move || async move {
            entering.notify_one();
            waiting.notified().await;
            "answered"
        }),
    );
    let app = Stack::new(Listener("test"), HttpConfig::default(), Metrics::empty()).apply(router);
    let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
    let token = lifecycle.token(voice_lifecycle::Stage::Ingress);
    lifecycle.spawn(
        "listener",
        TaskPolicy::ingress(Duration::from_secs(60)),
        |token| serve(listener, app, token),
    );
    // An idle connection must not hold up the end.
    let _idle = TcpStream::connect(address).await.unwrap();
    let slow = tokio::spawn(async move { request(address, "/slow").await });
    entered.notified().await;

    let running = tokio::spawn(async move { lifecycle.run_until(std::future::ready(())).await });
    token.cancelled().await;
    // The listener is closed as soon as its task has seen the token; until then the kernel may still accept.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    let answer = slow.await.unwrap().unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("answered"),
        "{answer}"
    );
    let report = running.await.unwrap();
    assert_eq!((report.code(), report.unfinished.len()), (0, 0), "{report:?}");
}

/// T11
#[tokio::test]
async fn the_peer_of_the_socket_is_the_client_when_no_proxy_is_trusted() {
    let (listener, address) = listener().await;
    let router = Router::new().route(
        "/",
        get(|ClientAddress(client): ClientAddress| async move { Json(client) }),
    );
    let app = Stack::new(Listener("test"), HttpConfig::default(), Metrics::empty()).apply(router);
    let token = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, app, token.clone()));
    assert_eq!(body(&request(address, "/").await.unwrap()), json!("127.0.0.1"));
    token.cancel();
    serving.await.unwrap().unwrap();
}

/// OBS-04
#[tokio::test]
async fn operators_see_life_readiness_and_metrics() {
    let (listener, address) = listener().await;
    let readiness = Readiness::new();
    let metrics = Metrics::new(&BuildInfo {
        role: "test",
        version: "1",
        commit: "abc",
    });
    let token = CancellationToken::new();
    let serving = tokio::spawn(serve(
        listener,
        ops_router(readiness.clone(), metrics),
        token.clone(),
    ));

    let (kafka, postgres) = (readiness.check("kafka"), readiness.check("postgres"));
    postgres.set_ready();
    kafka.set_unready("no broker answers");
    let answer = request(address, "/health/ready").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(
        body(&answer),
        json!({
            "status": "not_ready",
            "checks": ["kafka", "postgres"],
            "failing": [{"check": "kafka", "reason": "no broker answers"}],
        })
    );
    assert!(
        request(address, "/health/live")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200"),
        "unready is not dead"
    );

    kafka.set_ready();
    let answer = request(address, "/health/ready").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    readiness.drain();
    let answer = request(address, "/health/ready").await.unwrap();
    assert_eq!(
        (&answer[..12], &body(&answer)["status"]),
        ("HTTP/1.1 503", &json!("draining"))
    );

    let answer = request(address, "/metrics").await.unwrap();
    assert!(
        answer.contains(r#"build_info{commit="abc",role="test",version="1"} 1"#),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    let answer = request(address, "/debug").await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("application/problem+json"),
        "{answer}"
    );
    token.cancel();
    serving.await.unwrap().unwrap();
}

async fn serving() -> (SocketAddr, CancellationToken) {
    let (listener, address) = listener().await;
    let router = Router::new().route("/", get(|| async { "here" }));
    let app = Stack::new(Listener("test"), HttpConfig::default(), Metrics::empty()).apply(router);
    let token = CancellationToken::new();
    tokio::spawn(serve(listener, app, token.clone()));
    (address, token)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_request_head_loses_its_connection() {
    let (address, _token) = serving().await;
    for head in ["", "GET / HTTP/1.1\r\nhost: te"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let start = tokio::time::Instant::now();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
        assert!(
            (75..80).contains(&start.elapsed().as_secs()),
            "{head:?}: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_request_head_over_16_kib_is_refused() {
    let (address, _token) = serving().await;
    for (length, expected) in [(15 * 1024, "HTTP/1.1 200"), (17 * 1024, "HTTP/1.1 431")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let value = "x".repeat(length);
        let head = format!("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx-long: {value}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(std::str::from_utf8(&status).unwrap(), expected, "{length} bytes");
    }
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let (listener, address) = listener().await;
    let (entered, answered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, never) = (Arc::clone(&entered), Arc::clone(&answered));
    let router = Router::new().route(
        "/",
        get(move || async move {
            entering.notify_one();
            never.notified().await;
        }),
    );
    let server = tokio::spawn(serve(listener, router, CancellationToken::new()));
    let client = tokio::spawn(async move { request(address, "/").await });
    entered.notified().await;
    server.abort();
    let answer = client.await.unwrap().unwrap_or_default();
    assert_eq!(answer, "", "closed without an answer");
}
