//! Freshness and replay: the same again is answered like the first, and has no second effect.

use futures::future::join_all;
use reqwest::StatusCode;
use voice_telephony::telnyx;

use crate::support::*;

/// T12
#[tokio::test]
async fn a_replayed_delivery_is_answered_200_and_stored_once_at_both_carriers() {
    let topics = Topics::create().await;
    let (by_telnyx, by_twilio) = (account(telnyx_credentials()), account(twilio_credentials()));
    let service = Setup::new(&topics.config, vec![by_telnyx.clone(), by_twilio.clone()])
        .start()
        .await;
    let body = telnyx_event("call.answered");
    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "ringing"),
        ("SequenceNumber", "1"),
    ];
    for _ in 0..3 {
        assert_eq!(service.telnyx(&by_telnyx, &body).await.status(), StatusCode::OK);
        assert_eq!(
            service.twilio(&path(&by_twilio, "status"), &form).await.status(),
            StatusCode::OK
        );
    }
    assert_eq!(topics.calls().await.len(), 2);
    for carrier in ["telnyx", "twilio"] {
        let duplicates = service.metric(&format!(
            r#"webhook_in_total{{carrier="{carrier}",outcome="duplicate"}}"#
        ));
        assert!((duplicates - 2.0).abs() < f64::EPSILON, "{carrier}: {duplicates}");
    }
}

/// T12
#[tokio::test]
async fn copies_that_arrive_together_are_all_answered_200_and_stored_once() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    for _ in 0..5 {
        let before = topics.calls().await.len();
        let body = telnyx_event("call.answered");
        let answers = join_all((0..16).map(|_| service.telnyx(&account, &body))).await;
        assert!(
            answers.iter().all(|answer| answer.status() == StatusCode::OK),
            "{answers:?}"
        );
        assert_eq!(topics.calls().await.len(), before + 1);
    }
}

#[tokio::test]
async fn what_was_signed_too_long_ago_is_answered_200_and_dropped() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    service.clock.advance(chrono::TimeDelta::seconds(
        telnyx::signature::TOLERANCE_SECONDS + 1,
    ));
    let answer = service.telnyx(&account, &telnyx_event("call.answered")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(topics.calls().await.len(), 0);
    assert!(
        (service.metric(r#"webhook_in_total{carrier="telnyx",outcome="stale"}"#) - 1.0).abs() < f64::EPSILON
    );
}

#[tokio::test]
async fn two_processes_give_the_same_delivery_the_same_id() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let sid = call_sid();
    // Without a time of its own: the id must not depend on when it came.
    let form = [
        ("CallSid", sid.as_str()),
        ("AnsweredBy", "human"),
        ("MachineDetectionDuration", "2400"),
    ];
    for seconds in [0, 7] {
        let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
        service.clock.advance(chrono::TimeDelta::seconds(seconds));
        assert_eq!(
            service.twilio(&path(&account, "amd"), &form).await.status(),
            StatusCode::OK
        );
    }
    let records = topics.calls().await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].1["id"], records[1].1["id"]);
    assert_eq!(records[0].0, records[1].0);
}
