//! "Why not" over HTTP: who may ask, and what they are told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{net::SocketAddr, sync::Arc};

use serde_json::{Value, json};
use support::{
    Stage,
    http::{ONE, TWO, send},
    sql,
};
use tokio::net::TcpListener;
use voice_dialer::{ApiConfig, Config, law::Law};
use voice_http::ApiKey;
use voice_schemas::{CampaignId, ContactId, TenantId};

async fn get(at: SocketAddr, path: &str, key: Option<&str>) -> (u16, String, Value) {
    send(at, "GET", path, key, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_a_key_is_told_why_a_contact_is_not_called_and_nobody_else_is() {
    let stage = Stage::new("whynot").await;
    let contacts = stage.contacts(3).await;
    let campaign = stage.campaign(|_| {}).await;
    sql(
        &stage,
        "INSERT INTO app.suppressions (tenant_id, id, token, scope, reason)
         SELECT app.tid(), gen_random_uuid(), token, 'tenant', 'opt_out' FROM app.contact_phones
         WHERE e164 = '+420600000000' AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let key = |tenant, digest: &str| ApiKey {
        tenant,
        sha256: digest.to_owned(),
    };
    let config = Config {
        api: ApiConfig {
            keys: vec![key(stage.tenant, ONE), key(TenantId::random(), TWO)],
            ..ApiConfig::default()
        },
        ..Config::default()
    };
    assert_eq!(config.faults(), [""; 0]);
    let dialer = stage.dialer_with(config, Arc::new(Law::embedded().unwrap()), Some(listener));

    let path = |contact: ContactId| format!("/api/v1/campaigns/{campaign}/contacts/{contact}/why-not");
    let (status, head, told) = get(at, &path(contacts[0]), Some("cck_test_one")).await;
    assert_eq!(status, 200, "{told}");
    assert!(head.contains("cache-control: private, no-store"), "{head}");
    assert_eq!(told["contact_id"], contacts[0].to_string());
    assert_eq!(told["callable"], json!(false));
    let reasons = told["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("suppressed")), "{told}");
    // Without a consent on record, the law says so too, and names its version.
    let (_, _, told) = get(at, &path(contacts[1]), Some("cck_test_one")).await;
    assert!(
        told["reasons"]
            .as_array()
            .unwrap()
            .contains(&json!("consent_missing")),
        "{told}"
    );
    assert!(!told["policy_version"].as_str().unwrap().is_empty());
    assert!(!told.to_string().contains("+420"), "{told}");

    let funnel = format!("/api/v1/campaigns/{campaign}/funnel");
    let (status, _, told) = get(at, &funnel, Some("cck_test_one")).await;
    assert_eq!(
        (status, &told["total"], &told["status"]),
        (200, &json!(3), &json!("active"))
    );

    // No key, a wrong one, another tenant's; what is not there; each as a problem.
    for (key, path, wanted) in [
        (None, funnel.clone(), 401),
        (Some("cck_wrong"), funnel.clone(), 401),
        (Some("cck_test_one"), path(ContactId::random()), 404),
        (
            Some("cck_test_one"),
            format!("/api/v1/campaigns/{}/funnel", CampaignId::random()),
            404,
        ),
        (
            Some("cck_test_one"),
            "/api/v1/campaigns/none/funnel".to_owned(),
            404,
        ),
        (Some("cck_test_one"), "/api/v1/other".to_owned(), 404),
    ] {
        let (status, head, problem) = get(at, &path, key).await;
        assert_eq!(status, wanted, "{path}: {problem}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(problem["status"], json!(wanted));
    }
    dialer.stop().await;
    assert_eq!(stage.dialled(), Vec::new(), "without agents nobody is dialled");
}

/// The key of a tenant opens nothing of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_of_another_tenant_is_not_there() {
    let (mine, theirs) = (Stage::new("mine").await, Stage::new("theirs").await);
    theirs.contacts(1).await;
    let campaign = theirs.campaign(|_| {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let config = Config {
        api: ApiConfig {
            keys: vec![ApiKey {
                tenant: mine.tenant,
                sha256: ONE.to_owned(),
            }],
            ..ApiConfig::default()
        },
        ..Config::default()
    };
    // The database of the others, with my key.
    let dialer = theirs.dialer_with(config, Arc::new(support::Open), Some(listener));
    let (status, _, _) = get(
        at,
        &format!("/api/v1/campaigns/{campaign}/funnel"),
        Some("cck_test_one"),
    )
    .await;
    assert_eq!(status, 404);
    dialer.stop().await;
}
