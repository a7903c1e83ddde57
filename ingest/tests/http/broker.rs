//! Kafka away: the carrier hears 503 and keeps what it has, and this process does not grow.

use std::collections::BTreeMap;

use futures::future::join_all;
use reqwest::StatusCode;
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// A port nobody listens on, as an address of brokers.
async fn nobody() -> (String, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    (address.to_string(), address)
}

#[tokio::test]
async fn while_nothing_is_confirmed_everything_is_503_and_what_is_held_stays_bounded() {
    let topics = Topics::create().await;
    let account = account(telnyx_credentials());
    let mut setup = Setup::new(&topics.config, vec![account.clone()]);
    setup.kafka.brokers = nobody().await.0;
    setup.kafka.producer.delivery_timeout_ms = 1_500;
    setup.config.hooks.max_in_flight = 8;
    let service = setup.start().await;

    let answers = join_all((0..400).map(|_| async {
        let response = service.telnyx(&account, &telnyx_event("call.answered")).await;
        assert_eq!(response.headers()["retry-after"], "1");
        problem(response, StatusCode::SERVICE_UNAVAILABLE).await["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }))
    .await;
    let mut codes = BTreeMap::new();
    for code in answers {
        *codes.entry(code).or_insert(0) += 1;
    }
    assert_eq!(codes, BTreeMap::from([("SERVICE_UNAVAILABLE".to_owned(), 400)]));
    // At most the slots were ever in flight; all others were turned away at once.
    let turned_away = service.metric(r#"webhook_in_rejected_total{carrier="telnyx",layer="capacity"}"#);
    let waited = service.metric(r#"webhook_in_total{carrier="telnyx",outcome="retry"}"#);
    assert!(
        (turned_away + waited - 400.0).abs() < f64::EPSILON,
        "{turned_away} + {waited}"
    );
    assert!(waited >= 1.0 && turned_away >= 1.0, "{turned_away} + {waited}");
    assert_eq!(topics.calls().await.len(), 0);
}

#[tokio::test]
async fn what_was_not_stored_is_taken_when_the_carrier_sends_it_again() {
    let topics = Topics::create().await;
    let account = account(telnyx_credentials());
    let (brokers, address) = nobody().await;
    let mut setup = Setup::new(&topics.config, vec![account.clone()]);
    setup.kafka.brokers = brokers;
    setup.kafka.producer.delivery_timeout_ms = 1_000;
    let service = setup.start().await;
    let body = telnyx_event("call.answered");
    let malformed = b"{".to_vec();

    // Two copies at once: the one that waits hears the same as the one that tried.
    let answers = join_all((0..2).map(|_| service.telnyx(&account, &body))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE),
        "{answers:?}"
    );
    // Nor is a dead letter promised that is not kept.
    let refused = service
        .telnyx_bytes(&account, malformed.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);

    // The way to the brokers opens; what comes from them names their own addresses.
    let listener = TcpListener::bind(address).await.unwrap();
    let brokers = topics.config.brokers.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(&brokers).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    eventually("the same delivery is accepted", async || {
        service.telnyx(&account, &body).await.status() == StatusCode::OK
    })
    .await;
    eventually("the malformed one is kept", async || {
        let response = service
            .telnyx_bytes(&account, malformed.clone())
            .send()
            .await
            .unwrap();
        response.status() == StatusCode::BAD_REQUEST
    })
    .await;
    // A try that was given up on may have got through after all: the same fact under the same id.
    let records = topics.calls().await;
    assert!(!records.is_empty());
    assert!(
        records.iter().all(|(_, event)| event["id"] == records[0].1["id"]),
        "{records:?}"
    );
    assert!(!topics.letters().await.is_empty());
}
