//! How often, and from where.

use reqwest::StatusCode;
use voice_postgres::accounts::IpPolicy;

use crate::support::*;

/// T11
#[tokio::test]
async fn a_spoofed_forwarded_header_does_not_make_a_client_somebody_else() {
    let topics = Topics::create().await;
    let mut account = account(telnyx_credentials());
    account.ip_policy = IpPolicy::Enforce;
    account.ip_allow = vec!["203.0.113.0/24".to_owned()];
    let ask = async |service: &Service, forwarded: &[(&'static str, &str)]| {
        let request = service
            .signed_telnyx(&account, &telnyx_event("call.answered"))
            .headers(headers(forwarded));
        request.send().await.unwrap().status()
    };
    let (theirs, ours) = ("203.0.113.7", "198.51.100.7");

    // No proxy: the header is the client's own word, and the peer is the loopback.
    let direct = Setup::new(&topics.config, vec![account.clone()]).start().await;
    assert_eq!(
        ask(&direct, &[("x-forwarded-for", theirs)]).await,
        StatusCode::FORBIDDEN
    );

    // One proxy: it wrote the last entry, and only that.
    let mut setup = Setup::new(&topics.config, vec![account.clone()]);
    setup.config.trusted_hops = 1;
    let proxied = setup.start().await;
    assert_eq!(
        ask(&proxied, &[("x-forwarded-for", theirs)]).await,
        StatusCode::OK
    );
    let spoofed = format!("{theirs}, {ours}");
    assert_eq!(
        ask(&proxied, &[("x-forwarded-for", &spoofed)]).await,
        StatusCode::FORBIDDEN
    );
    let honest = format!("{ours}, {theirs}");
    assert_eq!(
        ask(&proxied, &[("x-forwarded-for", &honest)]).await,
        StatusCode::OK
    );
    assert_eq!(ask(&proxied, &[]).await, StatusCode::FORBIDDEN);
    assert_eq!(topics.calls().await.len(), 2);
}

#[tokio::test]
async fn an_account_that_only_logs_takes_strangers_and_counts_them() {
    let topics = Topics::create().await;
    let mut account = account(telnyx_credentials());
    account.ip_policy = IpPolicy::Log;
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    assert_eq!(
        service
            .telnyx(&account, &telnyx_event("call.answered"))
            .await
            .status(),
        StatusCode::OK
    );
    let counted = service.metric(r#"webhook_in_rejected_total{carrier="telnyx",layer="address_logged"}"#);
    assert!((counted - 1.0).abs() < f64::EPSILON);
}

/// WHK-01
#[tokio::test]
async fn an_account_over_its_allowance_hears_429_and_when_to_come_back() {
    let topics = Topics::create().await;
    let mut limited = account(telnyx_credentials());
    (limited.rate_per_second, limited.rate_burst) = (1, 2);
    let other = account(telnyx_credentials());
    let service = Setup::new(&topics.config, vec![limited.clone(), other.clone()])
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(
            service
                .telnyx(&limited, &telnyx_event("call.answered"))
                .await
                .status(),
            StatusCode::OK
        );
    }
    let refused = service.telnyx(&limited, &telnyx_event("call.answered")).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(
        service
            .telnyx(&other, &telnyx_event("call.answered"))
            .await
            .status(),
        StatusCode::OK
    );
    service.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(
        service
            .telnyx(&limited, &telnyx_event("call.answered"))
            .await
            .status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn one_address_cannot_try_ingress_ids_faster_than_the_guard_allows() {
    let topics = Topics::create().await;
    let mut setup = Setup::new(&topics.config, Vec::new());
    setup.config.per_address_per_second = 3;
    setup.config.trusted_hops = 1;
    let service = setup.start().await;
    let ask = async |client: &str| {
        let request = service
            .post("/hooks/telnyx/guess/call")
            .headers(headers(&[("x-forwarded-for", client)]));
        request.send().await.unwrap().status()
    };
    for _ in 0..3 {
        assert_eq!(ask("203.0.113.7").await, StatusCode::NOT_FOUND);
    }
    assert_eq!(ask("203.0.113.7").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("203.0.113.8").await, StatusCode::NOT_FOUND);
}
