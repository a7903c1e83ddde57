//! What is accepted: 2xx means that the event is on the brokers, keyed as the catalogue says.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::Value;
use voice_ingest::{Redeliver, RedeliverError, Redelivered};
use voice_kafka::Producer;
use voice_schemas::events::call::CallEvent;

use crate::support::*;

fn event(value: &Value) -> CallEvent {
    serde_json::from_value(value.clone()).unwrap()
}

/// WHK-01
#[tokio::test]
async fn a_signed_telnyx_event_is_in_kafka_when_its_answer_arrives() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let context = campaign_context(account.tenant);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    let body = telnyx_event_of("call.answered", &context);
    let response = service
        .signed_telnyx(&account, &body)
        .header("traceparent", traceparent)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "");

    let records = topics.calls().await;
    let [(key, stored)] = records.as_slice() else {
        panic!("{records:?}")
    };
    let (campaign, shard) = context.campaign.unwrap();
    assert_eq!(*key, format!("{}#{shard}", campaign.0));
    let stored = event(stored);
    assert_eq!(stored.kind.as_str(), "call.answered");
    assert_eq!(stored.source, "/ingest/telnyx");
    assert_eq!(stored.tenantid, account.tenant);
    assert_eq!(stored.data.call.call_id, context.call_id);
    assert_eq!(
        stored.time,
        body["data"]["occurred_at"]
            .as_str()
            .unwrap()
            .parse::<DateTime<Utc>>()
            .unwrap()
    );
    assert_eq!(stored.data.evidence.received_at, now());
    assert_eq!(stored.traceparent.as_deref(), Some(traceparent));
    assert!(topics.letters().await.is_empty());
}

#[tokio::test]
async fn an_inbound_twilio_call_is_keyed_by_its_call_and_shows_no_number() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("Direction", "inbound"),
        ("From", "+14155550100"),
        ("To", "+14155550199"),
        ("CallStatus", "completed"),
        ("Timestamp", "Fri, 20 Nov 2026 09:30:51 +0000"),
        ("SequenceNumber", "3"),
        ("CallDuration", "42"),
    ];
    let response = service.twilio(&path(&account, "status"), &form).await;
    assert_eq!(response.status(), StatusCode::OK);

    let records = topics.calls().await;
    let [(key, stored)] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert!(!stored.to_string().contains("4155550"), "{stored}");
    let stored = event(stored);
    assert_eq!(*key, stored.data.call.call_id.0.to_string());
    assert_eq!(stored.kind.as_str(), "call.ended");
    assert_eq!(stored.source, "/ingest/twilio");
    assert_eq!(stored.data.call.phone_token.as_ref().map(String::len), Some(32));
    assert_eq!(stored.data.ending.unwrap().duration_ms, Some(42_000));
}

/// The key a person presses in a message is told, and their call is kept until whoever placed it says what comes next; other
/// digits stay where they are.
#[tokio::test]
async fn a_pressed_key_is_told_once_and_the_call_waits_for_what_follows() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let mut context = campaign_context(account.tenant);
    context.opt_out_key = Some('9');
    let asked = |context| {
        let sealed = context_keys().seal(context).as_query();
        format!("{}?ctx={sealed}", path(&account, "gather"))
    };
    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "in-progress"),
        ("Digits", "9"),
    ];
    for _ in 0..2 {
        let response = service.twilio(&asked(&context), &form).await;
        assert_eq!(response.status(), StatusCode::OK);
        let document = response.text().await.unwrap();
        assert!(
            document.contains("<Pause") && document.contains("<Hangup/>"),
            "{document}"
        );
    }
    // Somebody's card number, typed into a call that was not asked for a key, and into one that was.
    let card = [("CallSid", sid.as_str()), ("Digits", "4111111111111111")];
    let unasked = campaign_context(account.tenant);
    assert_eq!(
        service.twilio(&asked(&unasked), &card).await.status(),
        StatusCode::OK
    );

    let records = topics.calls().await;
    let [(_, stored)] = records.as_slice() else {
        panic!("{records:?}")
    };
    let stored = event(stored);
    assert_eq!(stored.kind.as_str(), "call.dtmf");
    assert_eq!(stored.data.dtmf.unwrap().digits, "9");
    assert!(topics.letters().await.is_empty());
}

#[tokio::test]
async fn a_twilio_call_brings_its_context_back_in_the_query_which_the_signature_covers() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let context = campaign_context(account.tenant);
    let path = format!(
        "{}?ctx={}",
        path(&account, "status"),
        context_keys().seal(&context).as_query()
    );
    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "ringing"),
        ("SequenceNumber", "1"),
    ];
    assert_eq!(service.twilio(&path, &form).await.status(), StatusCode::OK);

    let records = topics.calls().await;
    let (campaign, shard) = context.campaign.unwrap();
    assert_eq!(records[0].0, format!("{}#{shard}", campaign.0));
    assert_eq!(event(&records[0].1).data.call.call_id, context.call_id);
}

#[tokio::test]
async fn a_call_that_asks_for_instructions_gets_them_in_its_tenants_language_also_when_it_asks_again() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", "+14155550100"),
    ];
    for _ in 0..2 {
        let response = service.twilio(&path(&account, "voice"), &form).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/xml");
        let document = response.text().await.unwrap();
        assert!(
            document.contains(r#"<Say language="cs-CZ">Děkujeme"#),
            "{document}"
        );
        assert!(document.ends_with("<Hangup/></Response>"), "{document}");
    }
    let records = topics.calls().await;
    assert_eq!(records.len(), 1);
    assert_eq!(event(&records[0].1).kind.as_str(), "call.initiated");
}

#[tokio::test]
async fn an_event_that_is_no_fact_about_a_call_is_answered_and_not_stored() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let response = service
        .telnyx(&account, &telnyx_event("call.speak.started"))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(topics.calls().await.len(), 0);
    assert_eq!(topics.letters().await.len(), 0);
    assert!(
        (service.metric(r#"webhook_in_total{carrier="telnyx",outcome="ignored"}"#) - 1.0).abs()
            < f64::EPSILON
    );
}

#[tokio::test]
async fn a_kept_webhook_is_read_again_as_the_event_it_would_have_been() {
    let (topics, account) = (Topics::create().await, account(twilio_credentials()));
    let setup = Setup::new(&topics.config, vec![account.clone()]);
    let service = setup.start().await;
    let context = campaign_context(account.tenant);
    let path = format!(
        "{}?ctx={}",
        path(&account, "status"),
        context_keys().seal(&context).as_query()
    );
    let sid = call_sid();
    let old = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "ringing"),
        ("Timestamp", "Fri, 20 Nov 2026 09:30:51 +0000"),
    ];
    // The clock of this machine was wrong: the call seemed to come from the future.
    service.clock.advance(chrono::TimeDelta::days(-3));
    assert_eq!(service.twilio(&path, &old).await.status(), StatusCode::OK);
    let letters = topics.letters().await;
    let [kept] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(kept.letter.code, "time_out_of_range");

    let producer = Producer::new(&topics.config).unwrap();
    let redeliver = Redeliver::new(&[account], context_keys(), producer, topics.config.clone());
    let too_early = redeliver
        .redeliver(&kept.letter, now() - chrono::TimeDelta::days(3))
        .await;
    assert!(matches!(
        too_early,
        Err(RedeliverError::StillNotUnderstood {
            code: "time_out_of_range",
            ..
        })
    ));
    let outcome = redeliver.redeliver(&kept.letter, now()).await.unwrap();
    let records = topics.calls().await;
    let [(key, stored)] = records.as_slice() else {
        panic!("{records:?}")
    };
    let (campaign, shard) = context.campaign.unwrap();
    assert_eq!(*key, format!("{}#{shard}", campaign.0));
    assert_eq!(outcome, Redelivered::Stored(event(stored).id));
    assert_eq!(event(stored).data.evidence.received_at, kept.letter.at);

    let mut elsewhere = kept.letter.clone();
    elsewhere.origin = voice_kafka::dead_letters::Origin::Request {
        path: "/hooks/twilio/gone/status".to_owned(),
    };
    assert!(matches!(
        redeliver.redeliver(&elsewhere, now()).await,
        Err(RedeliverError::UnknownAccount)
    ));
}
