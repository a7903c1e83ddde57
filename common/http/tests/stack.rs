//! The layers around a router, seen from a client.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, Response, StatusCode, header},
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;
use voice_http::{
    ClientAddress, Code, HTTP_IN_FLIGHT, HTTP_PANICS, HTTP_REQUEST_DURATION, HTTP_REQUESTS, HttpConfig, Json,
    Listener, Method, Problem, RawBody, RequestContext, Route, Stack, Status,
};
use voice_telemetry::{Definition, Metrics, assert_documented, assert_emits};

const API: Listener = Listener("api");

struct App {
    router: Router,
    metrics: Metrics,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}"))
            .to_str()
            .unwrap()
    }
}

fn app_with(config: HttpConfig) -> App {
    let router = Router::new()
        .route("/campaigns/{id}", get(|| async { "found" }))
        .route(
            "/whoami",
            get(|context: RequestContext| async move { Json(json!({ "id": context.request_id.as_str() })) }),
        )
        .route(
            "/address",
            get(|ClientAddress(address): ClientAddress| async move { Json(json!(address)) }),
        )
        .route(
            "/bytes",
            post(|RawBody(body): RawBody| async move { Json(json!(body.len())) }),
        )
        .route(
            "/axum-bytes",
            post(|body: axum::body::Bytes| async move { Json(json!(body.len())) }),
        )
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("the secret is 1234")
                }
            }),
        )
        .route("/hang", get(std::future::pending::<()>))
        .route(
            "/busy",
            get(|| async { Problem::rate_limited(Duration::from_millis(1_200)) }),
        )
        .route("/gone", get(|| async { StatusCode::GONE }))
        .route(
            "/legacy",
            get(|| async { (StatusCode::BAD_REQUEST, "value 420601123456 does not parse") }),
        )
        .route(
            "/xml",
            get(|| async {
                (
                    StatusCode::BAD_REQUEST,
                    [(header::CONTENT_TYPE, "text/xml")],
                    "<no/>",
                )
            }),
        );
    let metrics = Metrics::empty();
    App {
        router: Stack::new(API, config, metrics.clone()).apply(router),
        metrics,
    }
}

fn app() -> App {
    app_with(HttpConfig::default())
}

impl App {
    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    fn counted(&self, method: Method, route: Route, status: Status) -> u64 {
        self.metrics
            .counter(&HTTP_REQUESTS)
            .get((API, method, route, status))
    }
}

#[tokio::test]
async fn a_request_id_of_the_right_form_is_kept_and_any_other_replaced() {
    let app = app();
    for good in ["abcDEF_-", "0123456789", &"x".repeat(64)] {
        let answer = app
            .send(
                Request::get("/whoami")
                    .header("x-request-id", good)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(
            (answer.header("x-request-id"), &answer.body["id"]),
            (good, &json!(good))
        );
    }
    for bad in ["short", "with space 123", "semi;colon;1", &"x".repeat(65)] {
        let answer = app
            .send(
                Request::get("/whoami")
                    .header("x-request-id", bad)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        let id = answer.header("x-request-id");
        assert_ne!(id, bad);
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(answer.body["id"], id);
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_that_names_its_request() {
    let app = app();
    let request = Request::get("/nowhere?token=secret")
        .header("x-request-id", "req-12345678")
        .body(Body::empty());
    let answer = app.send(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(
        answer.body,
        json!({
            "type": "https://voice.kraliki.com/problems/not-found",
            "title": "Not found",
            "status": 404,
            "instance": "/requests/req-12345678",
            "code": "NOT_FOUND",
            "request_id": "req-12345678",
        })
    );
    assert_eq!(app.counted(Method::Get, Route::UNMATCHED, Status::NotFound), 1);
}

#[tokio::test]
async fn a_method_the_path_does_not_have_is_a_problem_that_lists_those_it_has() {
    let answer = app()
        .send(Request::delete("/campaigns/7").body(Body::empty()).unwrap())
        .await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("METHOD_NOT_ALLOWED"))
    );
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

/// SEC-05
#[tokio::test]
async fn a_panic_is_a_500_that_says_nothing_and_the_next_request_is_served() {
    let app = app();
    let answer = app.get("/panic").await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("INTERNAL_ERROR"))
    );
    assert!(!answer.body.to_string().contains("1234"), "{}", answer.body);
    assert_eq!(app.metrics.counter(&HTTP_PANICS).get(API), 1);
    assert_eq!(app.metrics.gauge(&HTTP_IN_FLIGHT).get(API), 0.0);
    assert_eq!(app.get("/campaigns/7").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_a_503_that_may_be_tried_again() {
    let app = app_with(HttpConfig {
        timeout_ms: 30_000,
        ..HttpConfig::default()
    });
    let start = tokio::time::Instant::now();
    let answer = app.get("/hang").await;
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("SERVICE_UNAVAILABLE"))
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        app.counted(Method::Get, Route::of("/hang"), Status::Unavailable),
        1
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_whoever_reads_it_and_however_it_is_sent() {
    let app = app_with(HttpConfig {
        body_limit_bytes: 10,
        ..HttpConfig::default()
    });
    for path in ["/bytes", "/axum-bytes"] {
        let fits = app
            .send(Request::post(path).body(Body::from("0123456789")).unwrap())
            .await;
        assert_eq!((fits.status, fits.body), (StatusCode::OK, json!(10)), "{path}");
        let chunks = ["01234", "56789", "x"].map(Ok::<_, std::io::Error>);
        for body in [
            Body::from("0123456789x"),
            Body::from_stream(futures::stream::iter(chunks)),
        ] {
            let answer = app.send(Request::post(path).body(body).unwrap()).await;
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
            assert_eq!(answer.body["code"], "PAYLOAD_TOO_LARGE", "{path}");
        }
    }
}

#[tokio::test]
async fn a_wait_is_told_in_the_body_and_in_whole_seconds_in_the_header() {
    let answer = app().get("/busy").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, "2")
    );
    assert_eq!(
        (&answer.body["retry_after_seconds"], &answer.body["code"]),
        (&json!(2), &json!("RATE_LIMIT_EXCEEDED"))
    );
}

#[tokio::test]
async fn bare_statuses_and_plain_text_errors_become_problems_without_their_text() {
    let app = app();
    let gone = app.get("/gone").await;
    assert_eq!(
        (gone.status, &gone.body["code"], &gone.body["status"]),
        (StatusCode::GONE, &json!("NOT_FOUND"), &json!(410))
    );
    let legacy = app.get("/legacy").await;
    assert_eq!(legacy.body["code"], "VALIDATION_ERROR");
    assert!(
        !legacy.body.to_string().contains("420601123456"),
        "{}",
        legacy.body
    );
    let xml = app.get("/xml").await;
    assert_eq!(
        (xml.status, xml.body),
        (StatusCode::BAD_REQUEST, json!("<no/>")),
        "what a carrier expects stays as it is"
    );
}

/// OBS-02
#[tokio::test]
async fn requests_are_counted_by_route_template_and_never_by_path() {
    let app = app();
    for id in 0..20 {
        assert_eq!(
            app.get(&format!("/campaigns/{id}?token=secret{id}")).await.status,
            StatusCode::OK
        );
    }
    let route = Route::of("/campaigns/{id}");
    assert_eq!(app.counted(Method::Get, route, Status::Success), 20);
    assert_eq!(
        app.metrics
            .histogram(&HTTP_REQUEST_DURATION)
            .count((API, Method::Get, route)),
        20
    );
    let strange = Request::builder()
        .method("BREW")
        .uri("/campaigns/7")
        .body(Body::empty())
        .unwrap();
    assert_eq!(app.send(strange).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(app.counted(Method::Other, route, Status::ClientError), 1);
    assert!(!app.metrics.render().contains("secret"));
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_and_no_longer_in_flight() {
    let (started, entered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let metrics = Metrics::empty();
    let telling = Arc::clone(&entered);
    let router = Router::new().route(
        "/wait",
        get(move || async move {
            telling.notify_one();
            started.notified().await;
        }),
    );
    let router = Stack::new(API, HttpConfig::default(), metrics.clone()).apply(router);
    let request = tokio::spawn(router.oneshot(Request::get("/wait").body(Body::empty()).unwrap()));
    entered.notified().await;
    assert_eq!(metrics.gauge(&HTTP_IN_FLIGHT).get(API), 1.0);
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(metrics.gauge(&HTTP_IN_FLIGHT).get(API), 0.0);
    let labels = (API, Method::Get, Route::of("/wait"), Status::Abandoned);
    assert_eq!(metrics.counter(&HTTP_REQUESTS).get(labels), 1);
}

/// T11
#[tokio::test]
async fn an_address_a_client_writes_itself_is_never_believed() {
    let peer: SocketAddr = "10.0.0.9:4711".parse().unwrap();
    for (hops, forwarded, expected) in [
        (0, "203.0.113.7", "10.0.0.9"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.1, 203.0.113.7, 10.0.0.8", "203.0.113.7"),
    ] {
        let app = app_with(HttpConfig {
            trusted_hops: hops,
            ..HttpConfig::default()
        });
        let mut request = Request::get("/address")
            .header("x-forwarded-for", forwarded)
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        assert_eq!(
            app.send(request).await.body,
            json!(expected),
            "{hops} hops, {forwarded}"
        );
    }
}

#[tokio::test]
async fn without_a_known_peer_the_address_is_a_500_and_not_a_guess() {
    let answer = app().get("/address").await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("INTERNAL_ERROR"))
    );
}

#[test]
fn every_problem_of_the_catalogue_has_a_code_a_slug_and_an_error_status() {
    let mut codes = std::collections::BTreeSet::new();
    for code in Code::ALL {
        assert!(codes.insert(code.as_str()), "{code:?} is there twice");
        assert!(
            code.as_str()
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{code:?}"
        );
        assert_eq!(code.slug(), code.as_str().to_lowercase().replace('_', "-"));
        assert!(
            code.status().is_client_error() || code.status().is_server_error(),
            "{code:?}"
        );
    }
}

#[tokio::test]
async fn a_401_carries_its_challenge() {
    let router = Router::new().route(
        "/me",
        get(|| async { Problem::unauthorized(r#"Bearer realm="voice""#) }),
    );
    let metrics = Metrics::empty();
    let app = App {
        router: Stack::new(API, HttpConfig::default(), metrics.clone()).apply(router),
        metrics,
    };
    let answer = app.get("/me").await;
    assert_eq!(
        (answer.status, answer.header("www-authenticate")),
        (StatusCode::UNAUTHORIZED, r#"Bearer realm="voice""#)
    );
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn its_metrics_are_the_documented_ones() {
    let catalogue: &[&dyn Definition] = &[
        &HTTP_REQUESTS,
        &HTTP_REQUEST_DURATION,
        &HTTP_IN_FLIGHT,
        &HTTP_PANICS,
    ];
    assert_documented(catalogue);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_emits(catalogue, |metrics| {
        let router = Router::new().route(
            "/panic",
            get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        );
        let router = Stack::new(API, HttpConfig::default(), metrics.clone()).apply(router);
        let answer = runtime.block_on(router.oneshot(Request::get("/panic").body(Body::empty()).unwrap()));
        assert_eq!(answer.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
}
