//! Every example delivery becomes the event it should, and the event is committed beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;
use voice_schemas::{TenantId, events::call::Carrier};
use voice_telephony::{
    Account, ContextError, ContextKey, ContextKeys, HookKind, ParseError, Parsed, PhoneTokenKey,
    WebhookRequest, telnyx, webhooks,
};

const TENANT: Uuid = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);

struct Platform {
    context: ContextKeys,
    phone: PhoneTokenKey,
    tenant: TenantId,
}

impl Platform {
    fn new() -> Self {
        Self {
            context: ContextKeys::new(ContextKey::new([1; 32])),
            phone: PhoneTokenKey::new([1; 32]),
            tenant: TenantId(TENANT),
        }
    }

    fn parse(&self, carrier: Carrier, kind: &str, url: &str, body: &[u8]) -> Result<Parsed, ParseError> {
        let key = match carrier {
            Carrier::Telnyx => telnyx::signature::public_key_of(&[1; 32].into()),
            Carrier::Twilio => "token".to_owned(),
        };
        let webhooks = webhooks(carrier, &SecretString::from(key), None).unwrap();
        let headers = HeaderMap::new();
        let request = WebhookRequest {
            method: &Method::POST,
            url,
            headers: &headers,
            body,
        };
        let account = Account {
            tenant: self.tenant,
            context: &self.context,
            phone: Some(&self.phone),
        };
        webhooks.parse(HookKind::parse(carrier, kind).unwrap(), &request, &account)
    }
}

fn received() -> DateTime<Utc> {
    "2026-11-20T09:31:00.5Z".parse().unwrap()
}

/// Name and bytes of every fixture of a carrier.
fn fixtures(carrier: Carrier) -> BTreeMap<String, Vec<u8>> {
    let found: BTreeMap<_, _> = fs::read_dir(support::folder("fixtures").join(carrier.as_str()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    assert!(found.len() > 20, "the fixtures are missing");
    found
}

fn context() -> String {
    fs::read_to_string(support::folder("fixtures/context.txt"))
        .unwrap()
        .trim()
        .to_owned()
}

fn kind(carrier: Carrier, name: &str) -> &str {
    match carrier {
        Carrier::Telnyx => "call",
        Carrier::Twilio => name.split('-').next().unwrap(),
    }
}

fn url(name: &str) -> String {
    let query = if name.contains("inbound") {
        String::new()
    } else {
        format!("?ctx={}", context())
    };
    format!("https://voice.example/hooks/carrier/ing_1/hook{query}")
}

/// TEL-01, TEL-02
#[test]
fn every_fixture_becomes_the_committed_event_and_no_number_leaves_the_parser() {
    let platform = Platform::new();
    for carrier in [Carrier::Telnyx, Carrier::Twilio] {
        let mut events = BTreeMap::new();
        for (name, body) in fixtures(carrier) {
            let parsed = platform.parse(carrier, kind(carrier, &name), &url(&name), &body);
            let event = match parsed.unwrap_or_else(|error| panic!("{name}: {error}")) {
                Parsed::Event(event) => serde_json::to_value(event.into_event(received())).unwrap(),
                Parsed::Ignored { carrier_event } => json!({ "ignored": carrier_event }),
            };
            let text = event.to_string();
            assert!(
                !text.contains("415555") && !text.contains("+1"),
                "{name} leaks a number: {text}"
            );
            events.insert(name, event);
        }
        insta::with_settings!({ sort_maps => false }, {
            insta::assert_json_snapshot!(carrier.as_str(), events);
        });
    }
}

#[test]
fn a_redelivery_is_the_same_event_and_the_end_of_a_call_is_one_event_whoever_tells() {
    let platform = Platform::new();
    for carrier in [Carrier::Telnyx, Carrier::Twilio] {
        let mut terminal = BTreeMap::<_, Vec<_>>::new();
        for (name, body) in fixtures(carrier) {
            let id = |received_at| {
                let parsed = platform
                    .parse(carrier, kind(carrier, &name), &url(&name), &body)
                    .unwrap();
                parsed.into_carrier_event().map(|event| {
                    let event = event.into_event(received_at);
                    (event.id, event.kind, event.data.call.call_id)
                })
            };
            let first = id(received());
            assert_eq!(first, id(received() + chrono::TimeDelta::seconds(77)), "{name}");
            if let Some((id, kind, call)) = first
                && kind.as_str() == "call.ended"
            {
                terminal.entry(call).or_default().push(id);
            }
        }
        assert!(terminal.values().any(|ids| ids.len() > 5));
        for ids in terminal.values() {
            assert!(ids.iter().all(|id| *id == ids[0]), "{terminal:?}");
        }
    }
}

#[test]
fn all_events_of_a_call_without_a_context_belong_to_one_call() {
    let platform = Platform::new();
    for carrier in [Carrier::Telnyx, Carrier::Twilio] {
        let mut calls: Vec<_> = fixtures(carrier)
            .iter()
            .filter(|(name, _)| name.contains("inbound"))
            .filter_map(|(name, body)| {
                platform
                    .parse(carrier, kind(carrier, name), &url(name), body)
                    .unwrap()
                    .into_carrier_event()
            })
            .map(|event| event.call)
            .collect();
        assert!(calls.len() > 2);
        calls.dedup();
        assert_eq!(calls.len(), 1, "{calls:?}");
    }
}

/// TEL-02
#[test]
fn the_fixtures_fit_the_models_of_the_official_sdk_and_none_of_its_call_events_is_unknown_to_us() {
    let texts: BTreeMap<_, _> = fixtures(Carrier::Telnyx)
        .into_iter()
        .map(|(name, body)| (name, String::from_utf8(body).unwrap()))
        .collect();
    let said = support::ask("payloads.py", &json!(texts));
    for name in texts.keys() {
        assert_eq!(said["fixtures"][name], json!([]), "{name}");
    }
    let known = said["about_calls"].as_array().unwrap();
    assert!(known.len() > 40, "{known:?}");
    for name in known.iter().map(|name| name.as_str().unwrap()) {
        let body = json!({"data": {
            "id": "e", "event_type": name, "occurred_at": "2026-11-20T09:30:00Z",
            "payload": {"call_control_id": "v3:x", "call_leg_id": "leg"},
        }});
        let parsed = Platform::new().parse(Carrier::Telnyx, "call", "https://a", body.to_string().as_bytes());
        assert!(parsed.is_ok(), "{name}: {parsed:?}");
    }
}

fn telnyx_with(change: impl FnOnce(&mut Value)) -> Result<Parsed, ParseError> {
    let mut body: Value = serde_json::from_slice(&fixtures(Carrier::Telnyx)["call-answered"]).unwrap();
    change(&mut body);
    Platform::new().parse(Carrier::Telnyx, "call", "https://a", body.to_string().as_bytes())
}

fn twilio_with(kind: &str, body: &str) -> Result<Parsed, ParseError> {
    Platform::new().parse(Carrier::Twilio, kind, "https://a/hooks", body.as_bytes())
}

fn place(result: Result<Parsed, ParseError>) -> &'static str {
    match result {
        Err(ParseError::Malformed { place, reason }) => {
            assert!(!reason.contains("4155"), "{reason}");
            place
        }
        other => panic!("expected a malformed delivery, got {other:?}"),
    }
}

#[test]
fn a_malformed_body_is_refused_with_the_place_and_without_its_content() {
    for body in ["", "{", "[]", "null", r#"{"data":{}}"#] {
        let parsed = Platform::new().parse(Carrier::Telnyx, "call", "https://a", body.as_bytes());
        assert_eq!(place(parsed), "body", "{body}");
    }
    assert_eq!(
        place(telnyx_with(
            |body| body["data"]["occurred_at"] = json!("yesterday")
        )),
        "body"
    );
    assert_eq!(
        place(telnyx_with(
            |body| body["data"]["payload"] = json!(14_155_550_100_u64)
        )),
        "data.payload"
    );
    assert_eq!(
        place(telnyx_with(
            |body| body["data"]["payload"]["from"] = json!(14_155_550_100_u64)
        )),
        "data.payload"
    );
    assert_eq!(
        place(telnyx_with(
            |body| body["data"]["payload"]["call_leg_id"] = json!("")
        )),
        "data.payload"
    );
    assert_eq!(
        place(telnyx_with(|body| body["data"]["id"] = json!(""))),
        "data.id"
    );

    let sid = "CA00000000000000000000000000000001";
    assert_eq!(place(twilio_with("status", "")), "CallStatus");
    assert_eq!(place(twilio_with("status", "CallStatus=ringing")), "CallSid");
    assert_eq!(
        place(twilio_with("status", "CallStatus=ringing&CallSid=CA1")),
        "CallSid"
    );
    let status = |rest: &str| {
        place(twilio_with(
            "status",
            &format!("CallSid={sid}&CallStatus=busy&{rest}"),
        ))
    };
    assert_eq!(status("Timestamp=now"), "Timestamp");
    assert_eq!(status("SequenceNumber=-1"), "SequenceNumber");
    assert_eq!(status("SipResponseCode=99999"), "SipResponseCode");
    assert_eq!(place(twilio_with("amd", &format!("CallSid={sid}"))), "AnsweredBy");
    assert_eq!(place(twilio_with("conference", "")), "StatusCallbackEvent");
}

#[test]
fn an_unknown_event_is_told_apart_from_a_malformed_one() {
    let unknown = |name: &str| {
        Err(ParseError::UnknownEvent {
            carrier_event: name.to_owned(),
        })
    };
    assert_eq!(
        telnyx_with(|body| body["data"]["event_type"] = json!("call.teleported")),
        unknown("call.teleported")
    );
    let sid = "CA00000000000000000000000000000001";
    assert_eq!(
        twilio_with("status", &format!("CallSid={sid}&CallStatus=levitating")),
        unknown("levitating")
    );
    assert_eq!(
        twilio_with("conference", "StatusCallbackEvent=seance"),
        unknown("seance")
    );
}

#[test]
fn a_context_that_is_not_ours_or_of_another_tenant_is_refused() {
    let bad = |error| Err(ParseError::BadContext(error));
    let state = |text: &str| telnyx_with(|body| body["data"]["payload"]["client_state"] = json!(text));
    assert_eq!(state("e30="), bad(ContextError::Malformed));
    assert_eq!(state(&"A".repeat(80)), bad(ContextError::WrongTag));
    let other = Platform {
        tenant: TenantId(Uuid::from_u128(2)),
        ..Platform::new()
    };
    for (carrier, name) in [
        (Carrier::Telnyx, "call-answered"),
        (Carrier::Twilio, "status-answered"),
    ] {
        let body = &fixtures(carrier)[name];
        let parsed = other.parse(carrier, kind(carrier, name), &url(name), body);
        assert_eq!(parsed, bad(ContextError::OtherTenant), "{carrier}");
    }
}
