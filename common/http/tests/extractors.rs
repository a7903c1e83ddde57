//! What clients are told about input that does not fit.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;
use voice_http::{Json, Path, Query};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Campaign {
    name: String,
    schedule: Option<Schedule>,
    #[serde(default)]
    lines: Vec<u16>,
    #[serde(default, rename = "a/b~c d")]
    odd: Option<u8>,
    mode: Option<Mode>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Schedule {
    start_hour: u8,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Predictive,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    limit: Option<u16>,
    #[serde(rename = "created_at[gte]")]
    created_from: Option<String>,
}

fn router() -> Router {
    Router::new()
        .route(
            "/campaigns",
            post(|Json(campaign): Json<Campaign>| async { Json(campaign) }),
        )
        .route(
            "/campaigns",
            get(|Query(listing): Query<Listing>| async { Json(listing) }),
        )
        .route(
            "/campaigns/{id}",
            get(|Path(id): Path<uuid::Uuid>| async move { Json(id) }),
        )
        .route("/wrong/{id}", get(|Path(_): Path<(u8, u8)>| async {}))
}

async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let response = router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn create(body: impl Into<Body>) -> (StatusCode, Value) {
    send(
        Request::post("/campaigns")
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap(),
    )
    .await
}

async fn list(query: &str) -> (StatusCode, Value) {
    send(
        Request::get(format!("/campaigns?{query}"))
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_field_that_does_not_fit_is_named_by_its_pointer_and_a_stable_code() {
    for (body, pointer, code) in [
        (json!({}), "#/name", "required"),
        (json!({"name": "a", "nmae": "b"}), "#/nmae", "unknown_field"),
        (json!({"name": 7}), "#/name", "wrong_type"),
        (
            json!({"name": "a", "schedule": {}}),
            "#/schedule/start_hour",
            "required",
        ),
        (
            json!({"name": "a", "schedule": {"start_hour": 900}}),
            "#/schedule/start_hour",
            "invalid_value",
        ),
        (
            json!({"name": "a", "lines": [1, 2, "x"]}),
            "#/lines/2",
            "wrong_type",
        ),
        (
            json!({"name": "a", "a/b~c d": "x"}),
            "#/a~1b~0c%20d",
            "wrong_type",
        ),
        (
            json!({"name": "a", "mode": "agressive"}),
            "#/mode",
            "unknown_value",
        ),
        (json!("text"), "#", "wrong_type"),
        (json!({"name": "a", "schedule": true}), "#/schedule", "wrong_type"),
    ] {
        let (status, problem) = create(body.to_string()).await;
        let error = &problem["errors"][0];
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(problem["code"], "VALIDATION_ERROR", "{body}");
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some(pointer), Some(code)),
            "{body}: {problem}"
        );
        let message = error["message"].as_str().unwrap();
        for ours in [" at line ", "struct", "Campaign", "Schedule", "Mode"] {
            assert!(!message.contains(ours), "{message}");
        }
    }
}

#[tokio::test]
async fn what_is_not_json_is_a_400_that_says_where() {
    for body in ["{\"name\": ", "name=a", "", "{\"name\":\"a\"} trailing"] {
        let (status, problem) = create(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("the body is not JSON: line 1"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn only_json_media_types_are_taken() {
    for (media, expected) in [
        ("application/json", StatusCode::OK),
        ("application/json; charset=utf-8", StatusCode::OK),
        ("Application/JSON", StatusCode::OK),
        ("application/merge-patch+json", StatusCode::OK),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (
            "application/x-www-form-urlencoded",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("application/jsonp", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = Request::post("/campaigns")
            .header("content-type", media)
            .body(Body::from(r#"{"name":"a"}"#));
        assert_eq!(send(request.unwrap()).await.0, expected, "{media}");
    }
    let untyped = Request::post("/campaigns")
        .body(Body::from(r#"{"name":"a"}"#))
        .unwrap();
    let (status, problem) = send(untyped).await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!("UNSUPPORTED_MEDIA_TYPE")
        )
    );
}

#[tokio::test]
async fn a_query_parameter_that_does_not_fit_is_named() {
    let (status, listing) = list("limit=50&created_at[gte]=2026-11-21").await;
    assert_eq!(
        (status, listing),
        (
            StatusCode::OK,
            json!({"limit": 50, "created_at[gte]": "2026-11-21"})
        )
    );
    for (query, pointer, code) in [
        ("limit=many", "#/limit", "invalid_value"),
        ("offset=7", "#/offset", "unknown_field"),
        ("limit=1&limit=2", "#/limit", "duplicate_field"),
    ] {
        let (status, problem) = list(query).await;
        let error = &problem["errors"][0];
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some(pointer), Some(code)),
            "{query}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_path_that_cannot_name_anything_is_not_found() {
    let known = "019aa5a0-0000-7000-8000-000000000000";
    let (status, id) = send(
        Request::get(format!("/campaigns/{known}"))
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!((status, id), (StatusCode::OK, json!(known)));
    for path in ["/campaigns/none-of-ours", "/campaigns/7", "/campaigns/%ff"] {
        let (status, problem) = send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!("NOT_FOUND")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_the_wrong_parameters_is_our_mistake_and_not_the_clients() {
    let (status, problem) = send(Request::get("/wrong/7").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &json!("INTERNAL_ERROR"))
    );
}
