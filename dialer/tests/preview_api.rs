//! Preview over HTTP: an agent's program asks, accepts and passes over; again, too late, and with nonsense.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use support::{
    Dialer, Fate, Stage,
    http::{ONE, TWO, send},
    now,
};
use tokio::net::TcpListener;
use voice_dialer::{
    ApiConfig, Config,
    agents::{self, Input},
    campaigns::Mode,
};
use voice_http::ApiKey;
use voice_schemas::{AgentId, AttemptId, TenantId, events::agent::AgentStatus};

const KEY: Option<&str> = Some("cck_test_one");

async fn serve(stage: &Stage) -> (Dialer, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let key = |tenant, digest: &str| ApiKey {
        tenant,
        sha256: digest.to_owned(),
    };
    let config = Config {
        tick_ms: 20,
        reconcile_ms: 200,
        api: ApiConfig {
            keys: vec![key(stage.tenant, ONE), key(TenantId::random(), TWO)],
            ..ApiConfig::default()
        },
        ..Config::default()
    };
    let dialer = stage.dialer_with(config, Arc::new(support::Open), Some(listener));
    (dialer, at)
}

fn path(agent: AgentId) -> String {
    format!("/api/v1/agents/{agent}/preview")
}

/// What the agent's program sees once the offer stands so.
async fn once(at: SocketAddr, agent: AgentId, state: &str) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let (status, _, shown) = send(at, "GET", &path(agent), KEY, None).await;
        if status == 200 && shown["state"] == state {
            return shown;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {state}: {shown}"
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_asks_for_a_contact_and_has_it_dialled_or_passes_it_over_and_may_say_so_twice() {
    let stage = Stage::new("previewapi").await;
    stage.contacts(6).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|new| new.mode = Mode::Preview).await;
    let agents = stage.agents(campaign, 2).await;
    let (dialer, at) = serve(&stage).await;

    // Who has asked for nothing is shown nothing.
    let (status, ..) = send(at, "GET", &path(agents[0]), KEY, None).await;
    assert_eq!(status, 404);

    let (status, head, asked) = send(at, "POST", &path(agents[0]), KEY, None).await;
    assert_eq!(status, 202, "{asked}");
    assert!(head.contains("cache-control: private, no-store"), "{head}");
    assert_eq!(asked["campaign_id"], campaign.to_string());
    // Asked again while it stands: the same one.
    let (status, _, again) = send(at, "POST", &path(agents[0]), KEY, None).await;
    assert_eq!((status, &again["offer_id"]), (200, &asked["offer_id"]));
    let offered = once(at, agents[0], "offered").await;
    assert_eq!(offered["offer_id"], asked["offer_id"]);
    assert!(offered["contact_id"].is_string(), "{offered}");
    assert!(!offered.to_string().contains("+420"), "{offered}");
    let (status, _, again) = send(at, "POST", &path(agents[0]), KEY, None).await;
    assert_eq!((status, &again["contact_id"]), (200, &offered["contact_id"]));
    assert_eq!(stage.dialled(), Vec::new(), "nobody is dialled for a look");

    // Accepted twice: dialled once.
    let accept = format!(
        "{}/{}/accept",
        path(agents[0]),
        offered["offer_id"].as_str().unwrap()
    );
    for _ in 0..2 {
        let (status, _, shown) = send(at, "POST", &accept, KEY, None).await;
        assert_eq!(status, 200, "{shown}");
        assert!(
            ["accepted", "dialled"].contains(&shown["state"].as_str().unwrap()),
            "{shown}"
        );
    }
    once(at, agents[0], "dialled").await;
    let (status, _, shown) = send(at, "POST", &accept, KEY, None).await;
    assert_eq!((status, &shown["state"]), (200, &json!("dialled")));
    stage
        .until(
            "the call was talked",
            "SELECT count(*) = 1 AND count(*) FILTER (WHERE class = 'reached') = 1
             FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    // What was dialled cannot be passed over.
    let skip = accept.replace("/accept", "/skip");
    let reason = Some(r#"{"reason":"not_my_language"}"#);
    let (status, _, problem) = send(at, "POST", &skip, KEY, reason).await;
    assert_eq!((status, &problem["code"]), (409, &json!("INVALID_TRANSITION")));
    assert_eq!(problem["detail"], "the offer is dialled");

    // The other passes theirs over, twice for the same reason and once for another.
    let (status, ..) = send(at, "POST", &path(agents[1]), KEY, None).await;
    assert_eq!(status, 202);
    let offered = once(at, agents[1], "offered").await;
    let id = offered["offer_id"].as_str().unwrap();
    let skip = format!("{}/{id}/skip", path(agents[1]));
    for _ in 0..2 {
        let (status, _, shown) = send(at, "POST", &skip, KEY, reason).await;
        assert_eq!((status, &shown["state"]), (200, &json!("skipped")), "{shown}");
        assert_eq!(shown["reasons"], json!(["not_my_language"]));
    }
    let (status, _, problem) = send(at, "POST", &skip, KEY, Some(r#"{"reason":"other"}"#)).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(
        support::outbox(&stage, "attempt.skipped").await.len(),
        1,
        "told once"
    );
    let (status, _, problem) = send(at, "POST", &skip.replace("/skip", "/accept"), KEY, None).await;
    assert_eq!(status, 409, "{problem}");
    // And sees another one next.
    send(at, "POST", &path(agents[1]), KEY, None).await;
    let next = once(at, agents[1], "offered").await;
    assert_ne!(next["contact_id"], offered["contact_id"]);
    dialer.stop().await;
    assert_eq!(stage.dialled().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_wrongly_is_told_what_is_wrong_and_nothing_happens() {
    let stage = Stage::new("previewwrong").await;
    stage.contacts(2).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|new| new.mode = Mode::Preview).await;
    let agent = stage.agents(campaign, 1).await[0];
    let (dialer, at) = serve(&stage).await;
    send(at, "POST", &path(agent), KEY, None).await;
    let offered = once(at, agent, "offered").await;
    let id = offered["offer_id"].as_str().unwrap();
    let skip = format!("{}/{id}/skip", path(agent));
    let fine = r#"{"reason":"other"}"#;
    let nobody = path(AgentId::random());
    let cases = [
        // Who: no key, a wrong one, another tenant's.
        (
            "POST",
            skip.clone(),
            None,
            Some(fine),
            401,
            "AUTHENTICATION_ERROR",
        ),
        (
            "POST",
            skip.clone(),
            Some("cck_no"),
            Some(fine),
            401,
            "AUTHENTICATION_ERROR",
        ),
        (
            "POST",
            skip.clone(),
            Some("cck_test_two"),
            Some(fine),
            404,
            "NOT_FOUND",
        ),
        // What: another agent, another offer, no id at all.
        ("POST", nobody, KEY, None, 404, "NOT_FOUND"),
        (
            "POST",
            "/api/v1/agents/me/preview".to_owned(),
            KEY,
            None,
            404,
            "NOT_FOUND",
        ),
        (
            "POST",
            format!("{}/{}/accept", path(agent), AttemptId::random()),
            KEY,
            None,
            409,
            "INVALID_TRANSITION",
        ),
        (
            "POST",
            format!("{}/1/accept", path(agent)),
            KEY,
            None,
            404,
            "NOT_FOUND",
        ),
        // How: no JSON, a field too many, none, a reason that is no code, a day that was.
        ("POST", skip.clone(), KEY, None, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", skip.clone(), KEY, Some("{"), 400, "VALIDATION_ERROR"),
        ("POST", skip.clone(), KEY, Some("{}"), 400, "VALIDATION_ERROR"),
        (
            "POST",
            skip.clone(),
            KEY,
            Some(r#"{"reason":"other","why":1}"#),
            400,
            "VALIDATION_ERROR",
        ),
        (
            "POST",
            skip.clone(),
            KEY,
            Some(r#"{"reason":"Not a code"}"#),
            422,
            "UNPROCESSABLE_ENTITY",
        ),
        (
            "POST",
            skip.clone(),
            KEY,
            Some(r#"{"reason":"other","again_at":"2020-01-01T00:00:00Z"}"#),
            422,
            "UNPROCESSABLE_ENTITY",
        ),
        ("DELETE", path(agent), KEY, None, 405, "METHOD_NOT_ALLOWED"),
    ];
    for (method, path, key, body, wanted, code) in cases {
        let (status, head, problem) = send(at, method, &path, key, body).await;
        assert_eq!(
            (status, &problem["code"]),
            (wanted, &json!(code)),
            "{path} {body:?}: {problem}"
        );
        assert!(head.contains("application/problem+json"), "{head}");
    }
    // The offer still stands, and its agent can be gone by now.
    once(at, agent, "offered").await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let leave = Input::Choose {
        status: AgentStatus::Break,
        reason: None,
    };
    agents::apply(&mut tx, &[(agent, leave)], now()).await.unwrap();
    tx.commit().await.unwrap();
    let (status, _, problem) = send(at, "POST", &path(agent), KEY, None).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("INVALID_TRANSITION")),
        "{problem}"
    );
    dialer.stop().await;
    assert_eq!(stage.dialled(), Vec::new());
}
