//! Batches of trusted producers.

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use voice_http::ApiKey;
use voice_schemas::{
    AgentId, Envelope, EventId, EventType, TenantId,
    events::{
        agent::{AgentData, AgentStatus},
        call::{AgentKind, CallFact, CallRef, Carrier, Direction, Evidence},
        media::MediaData,
    },
    topics,
};

use crate::support::*;

const KEY: &str = "cck_a_key_of_a_test";

struct Producer {
    service: Service,
    tenant: TenantId,
}

impl Producer {
    async fn of(topics: &Topics, change: impl FnOnce(&mut Setup)) -> Self {
        let tenant = TenantId::random();
        let sha256 = Sha256::digest(KEY)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut setup = Setup::new(&topics.config, Vec::new());
        setup.config.events.keys = vec![ApiKey { tenant, sha256 }];
        change(&mut setup);
        Self {
            service: setup.start().await,
            tenant,
        }
    }

    fn request(&self) -> RequestBuilder {
        self.service.post("/api/v1/events").bearer_auth(KEY)
    }

    async fn send(&self, events: &[Value]) -> Response {
        self.request().json(events).send().await.unwrap()
    }

    fn call(&self) -> Value {
        let call = CallRef {
            call_id: voice_schemas::CallId::random(),
            direction: Direction::Inbound,
            carrier: Carrier::Telnyx,
            carrier_call_id: "v3:abc".to_owned(),
            campaign_id: None,
            shard: None,
            attempt_id: None,
            contact_id: None,
            queue_id: None,
            agent_id: None,
            phone_token: None,
        };
        let evidence = Evidence {
            carrier_event: "call.answered".to_owned(),
            dedupe_key: uuid(),
            sequence: None,
            received_at: now(),
        };
        json!(CallFact::Answered.into_event(self.tenant, "/workers/media", now(), call, evidence))
    }

    fn agent(&self) -> Value {
        let data = AgentData {
            agent_id: AgentId::random(),
            agent_kind: AgentKind::Human,
            from: None,
            to: AgentStatus::Available,
            reason: None,
            call_id: None,
            epoch: 1,
        };
        json!(Envelope::new(
            EventId::random(),
            self.tenant,
            "/crm",
            EventType::AgentStatusChanged,
            now(),
            data
        ))
    }

    fn media(&self) -> Value {
        let data = json!({
            "call_id": voice_schemas::CallId::random(),
            "provider": "openai_realtime",
        });
        let data: MediaData = serde_json::from_value(data).unwrap();
        json!(Envelope::new(
            EventId::random(),
            self.tenant,
            "/workers",
            EventType::MediaStarted,
            now(),
            data
        ))
    }
}

fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    *event.pointer_mut(pointer).unwrap() = value;
    event
}

#[tokio::test]
async fn every_event_goes_to_the_topic_of_its_type_under_the_key_of_the_catalogue() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |_| {}).await;
    let (call, agent, media) = (producer.call(), producer.agent(), producer.media());
    let response = producer.send(&[call.clone(), agent.clone(), media.clone()]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    let expected: Vec<_> = [&call, &agent, &media]
        .iter()
        .enumerate()
        .map(|(index, event)| json!({ "index": index, "id": event["id"], "status": "accepted" }))
        .collect();
    assert_eq!(answer, json!({ "results": expected }));

    for (topic, event) in [
        (&topics::CALLS, &call),
        (&topics::AGENTS, &agent),
        (&topics::MEDIA, &media),
    ] {
        let records = topics.read(topic).await;
        let subject = event["subject"].as_str().unwrap().to_owned();
        assert_eq!(records, [(subject, event.clone())], "{}", topic.name);
    }
}

#[tokio::test]
async fn one_bad_event_is_named_and_does_not_stop_the_others() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |_| {}).await;
    let long_ago = (now() - chrono::TimeDelta::days(31)).to_rfc3339();
    let cases = [
        (producer.call(), None),
        (json!(7), Some("INVALID_ENVELOPE")),
        (
            with(producer.call(), "/type", json!("call.teleported")),
            Some("UNKNOWN_TYPE"),
        ),
        (
            with(producer.call(), "/type", json!("campaign.started")),
            Some("TYPE_NOT_ALLOWED"),
        ),
        (
            with(producer.call(), "/type", json!("report.completed")),
            Some("TYPE_NOT_ALLOWED"),
        ),
        (
            with(producer.call(), "/tenantid", json!(TenantId::random())),
            Some("OTHER_TENANT"),
        ),
        (
            with(producer.call(), "/time", json!(long_ago)),
            Some("TIME_OUT_OF_RANGE"),
        ),
        (
            with(producer.call(), "/data/call/carrier", json!("vonage")),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.call(), "/type", json!("call.ended")),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.call(), "/type", json!("agent.reserved")),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.call(), "/subject", json!(uuid())),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.call(), "/dataschema", json!("agent-event.v1.json")),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.call(), "/source", json!("x".repeat(300))),
            Some("INVALID_EVENT"),
        ),
        (
            with(producer.media(), "/type", json!("media.turn")),
            Some("INVALID_EVENT"),
        ),
        (producer.agent(), None),
    ];
    let events: Vec<_> = cases.iter().map(|(event, _)| event.clone()).collect();
    let response = producer.send(&events).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    for (index, (event, code)) in cases.iter().enumerate() {
        let result = &answer["results"][index];
        assert_eq!(result["index"], json!(index));
        assert_eq!(
            result.get("code").and_then(Value::as_str),
            *code,
            "{result} for {event}"
        );
        assert_eq!(
            result["status"],
            if code.is_some() { "rejected" } else { "accepted" }
        );
        assert_eq!(result.get("id"), event.get("id"));
        assert_eq!(result.get("detail").is_some(), code.is_some());
    }
    assert_eq!(topics.calls().await.len(), 1);
    assert_eq!(topics.read(&topics::AGENTS).await.len(), 1);
}

#[tokio::test]
async fn a_field_nobody_knows_goes_no_further() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |_| {}).await;
    let mut event = producer.call();
    event["data"]["call"]["phone"] = json!("+14155550100");
    event["comment"] = json!("call +14155550100 back");
    let mut number_as_token = producer.call();
    number_as_token["data"]["call"]["phone_token"] = json!("+14155550100");
    let answer: Value = producer
        .send(&[event, number_as_token])
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer["results"][0]["status"], "accepted");
    assert_eq!(answer["results"][1]["code"], "INVALID_EVENT");
    let records = topics.calls().await;
    assert_eq!(records.len(), 1);
    assert!(!records[0].1.to_string().contains("4155550100"), "{records:?}");
}

#[tokio::test]
async fn lines_are_taken_like_an_array() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |_| {}).await;
    let body = format!("{}\n\n{}\n", producer.call(), producer.call());
    let request = producer
        .request()
        .header("content-type", "application/x-ndjson")
        .body(body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    assert_eq!(topics.calls().await.len(), 2);
}

#[tokio::test]
async fn who_shows_no_key_of_ours_is_asked_for_one() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |_| {}).await;
    let post = || producer.service.post("/api/v1/events").json(&json!([]));
    for request in [
        post(),
        post().bearer_auth("cck_another"),
        post().basic_auth("cck", Some(KEY)),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="voice""#);
        problem(response, StatusCode::UNAUTHORIZED).await;
    }
    assert_eq!(producer.send(&[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_batch_that_is_no_batch_or_too_large_is_refused_whole() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |setup| {
        setup.config.events.max_items = 3;
        setup.config.events.max_body_bytes = 8_192;
    })
    .await;
    let refused =
        async |request: RequestBuilder, status| problem(request.send().await.unwrap(), status).await;
    refused(producer.request().body("[]"), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    refused(producer.request().json(&json!({})), StatusCode::BAD_REQUEST).await;
    let four: Vec<_> = (0..4).map(|_| producer.call()).collect();
    refused(producer.request().json(&four), StatusCode::PAYLOAD_TOO_LARGE).await;
    let large = with(producer.call(), "/source", json!("x".repeat(9_000)));
    refused(producer.request().json(&[large]), StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(topics.calls().await.len(), 0);
}

#[tokio::test]
async fn a_key_that_asks_too_often_hears_429() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |setup| setup.config.events.batches_per_second = 1).await;
    for _ in 0..2 {
        assert_eq!(producer.send(&[]).await.status(), StatusCode::OK);
    }
    problem(producer.send(&[]).await, StatusCode::TOO_MANY_REQUESTS).await;
}

#[tokio::test]
async fn while_the_brokers_confirm_nothing_a_batch_is_503_and_says_so_per_event() {
    let topics = Topics::create().await;
    let producer = Producer::of(&topics, |setup| {
        setup.kafka.brokers = "127.0.0.1:1".to_owned();
        setup.kafka.producer.delivery_timeout_ms = 500;
    })
    .await;
    let events = [producer.call(), json!({}), producer.agent()];
    let response = producer.send(&events).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let answer = problem(response, StatusCode::SERVICE_UNAVAILABLE).await;
    let statuses: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["status"])
        .collect();
    assert_eq!(statuses, ["retry", "rejected", "retry"]);
    // Nothing to send again: that is an answer, not trouble.
    assert_eq!(producer.send(&[json!({})]).await.status(), StatusCode::OK);
}
