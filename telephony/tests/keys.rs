//! Which keys a call reports, and the legs of agents.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use http::{HeaderMap, Method};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, EventType, TenantId,
    events::call::{CallEvent, Carrier, Direction, record_key},
};
use voice_telephony::{
    Account, CallContext, ContextKey, ContextKeys, Gather, HookKind, HookUrls, Instruction, Parsed, Prompt,
    WebhookRequest, telnyx, twilio::twiml, webhooks,
};

fn keys() -> ContextKeys {
    ContextKeys::new(ContextKey::new([1; 32]))
}

fn tenant() -> TenantId {
    TenantId(Uuid::from_u128(1))
}

fn customer(key: Option<char>) -> CallContext {
    let mut context = CallContext::new(tenant(), CallId(Uuid::from_u128(2)), Direction::Outbound);
    context.campaign = Some((CampaignId(Uuid::from_u128(3)), 1));
    context.attempt = Some(AttemptId(Uuid::from_u128(4)));
    context.opt_out_key = key;
    context
}

fn agent() -> CallContext {
    let mut context = CallContext::new(tenant(), CallId(Uuid::from_u128(5)), Direction::Outbound);
    context.agent = Some(AgentId(Uuid::from_u128(6)));
    context.agent_leg = true;
    context
}

fn read(carrier: Carrier, kind: HookKind, url: &str, body: &str) -> Option<CallEvent> {
    let key = match carrier {
        Carrier::Telnyx => telnyx::signature::public_key_of(&[1; 32].into()),
        Carrier::Twilio => "token".to_owned(),
    };
    let webhooks = webhooks(carrier, &SecretString::from(key), None).unwrap();
    let request = WebhookRequest {
        method: &Method::POST,
        url,
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
    };
    let (context, received) = (keys(), "2026-11-20T09:31:00Z".parse().unwrap());
    let account = Account {
        tenant: tenant(),
        context: &context,
        phone: None,
    };
    match webhooks.parse(kind, &request, &account).unwrap() {
        Parsed::Event(event) => Some(event.into_event(received)),
        Parsed::Ignored { .. } => None,
    }
}

fn from_telnyx(context: &CallContext, name: &str, more: serde_json::Value) -> Option<CallEvent> {
    let mut payload = json!({
        "call_control_id": "v3:x", "call_leg_id": "leg", "from": "+14155550199", "to": "+14155550100",
        "client_state": keys().seal(context).as_client_state(),
    });
    payload
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let body = json!({"data": {
        "id": "e1", "event_type": name, "occurred_at": "2026-11-20T09:30:00Z", "payload": payload,
    }});
    read(Carrier::Telnyx, HookKind::Call, "https://a", &body.to_string())
}

fn from_twilio(context: &CallContext, kind: HookKind, form: &[(&str, &str)]) -> Option<CallEvent> {
    let url = HookUrls::new(&"https://voice.example/hooks/twilio/x".parse().unwrap())
        .url_with(kind, &keys().seal(context));
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("CallSid", "CA00000000000000000000000000000002")
        .append_pair("To", "+14155550100")
        .extend_pairs(form)
        .finish();
    read(Carrier::Twilio, kind, &url, &body)
}

fn digits(event: Option<CallEvent>) -> Option<String> {
    let event = event?;
    assert_eq!(event.kind, EventType::CallDtmf);
    Some(event.data.dtmf.unwrap().digits)
}

proptest! {
    /// Whatever is typed into a call, of either carrier: nothing leaves the parser but the one key that was asked for.
    #[test]
    fn no_digit_is_reported_but_the_key_the_call_was_told_to_press(
        typed in "[0-9*#]{0,19}", key in prop::option::of(prop::sample::select(vec!['9', '2', '*'])),
    ) {
        let context = customer(key);
        let gathered = [
            digits(from_telnyx(&context, "call.gather.ended", json!({"digits": typed, "status": "valid"}))),
            digits(from_twilio(&context, HookKind::Gather, &[("Digits", &typed)])),
        ];
        for gathered in gathered {
            match key {
                None => prop_assert_eq!(gathered, None),
                Some(key) if typed == key.to_string() => prop_assert_eq!(gathered, Some(typed.clone())),
                Some(_) => prop_assert_eq!(gathered, Some(String::new())),
            }
        }
        for digit in typed.chars() {
            let heard = digits(from_telnyx(&context, "call.dtmf.received", json!({"digit": digit.to_string()})));
            prop_assert_eq!(heard, (key == Some(digit)).then(|| digit.to_string()));
        }
    }
}

#[test]
fn a_gather_that_reports_asks_both_carriers_for_one_key_and_gives_them_the_context() {
    let hooks = HookUrls::new(&"https://voice.example/hooks/twilio/x".parse().unwrap());
    let sealed = keys().seal(&customer(Some('9')));
    let gather = Gather {
        prompts: vec![Prompt::Play {
            url: "https://audio.example/sorry.mp3".to_owned(),
        }],
        digits: Some(1),
        timeout_seconds: Some(3),
        valid_digits: Some("9".to_owned()),
        ..Gather::default()
    }
    .reporting_to(&hooks, &sealed);
    let steps = [Instruction::Gather(gather), Instruction::Hangup];
    let document = twiml(&steps).unwrap();
    assert!(document.contains("numDigits=\"1\""), "{document}");
    let action = format!("/hooks/twilio/x/gather?ctx={}", sealed.as_query());
    assert!(document.contains(&action), "{document}");
    let plan = telnyx::plan(&steps).unwrap();
    let Some(telnyx::Command::Call { action, body }) = plan.next else {
        panic!("{plan:?}");
    };
    assert_eq!(action, "gather_using_audio");
    assert_eq!(body["client_state"], json!(sealed.as_client_state()));
    assert_eq!(
        (&body["valid_digits"], &body["maximum_digits"]),
        (&json!("9"), &json!(1))
    );
    assert_eq!(plan.remaining, [Instruction::Hangup]);
}

#[test]
fn events_of_an_agents_leg_have_their_own_types_and_one_key() {
    let telnyx = |name, more| from_telnyx(&agent(), name, more).unwrap();
    let twilio = |kind, form: &[(&str, &str)]| from_twilio(&agent(), kind, form).unwrap();
    let told = [
        (EventType::AgentLegInitiated, telnyx("call.initiated", json!({}))),
        (EventType::AgentLegAnswered, telnyx("call.answered", json!({}))),
        (
            EventType::AgentLegJoined,
            telnyx("conference.participant.joined", json!({})),
        ),
        (
            EventType::AgentLegEnded,
            telnyx("call.hangup", json!({"hangup_cause": "normal_clearing"})),
        ),
        (
            EventType::AgentLegAnswered,
            twilio(HookKind::Status, &[("CallStatus", "in-progress")]),
        ),
        (
            EventType::AgentLegJoined,
            twilio(
                HookKind::Conference,
                &[
                    ("StatusCallbackEvent", "participant-join"),
                    ("ConferenceSid", "CF1"),
                    ("ParticipantLabel", "agent"),
                ],
            ),
        ),
        (
            EventType::AgentLegEnded,
            twilio(HookKind::Status, &[("CallStatus", "completed")]),
        ),
    ];
    for (kind, event) in &told {
        assert_eq!(event.kind, *kind);
        assert_eq!(
            record_key(&event.data.call),
            format!("agent#{}", Uuid::from_u128(6))
        );
        assert_eq!(event.data.ending.is_some(), *kind == EventType::AgentLegEnded);
    }
    assert_eq!(
        from_telnyx(&agent(), "call.dtmf.received", json!({"digit": "9"})),
        None
    );
    // A redelivery of the end, and the end told otherwise, are one event.
    assert_eq!(told[3].1.id, told[6].1.id);
}

#[test]
fn a_customer_who_enters_a_room_at_telnyx_is_connected() {
    let event = from_telnyx(&customer(None), "conference.participant.joined", json!({})).unwrap();
    assert_eq!(event.kind, EventType::CallBridged);
    assert!(event.data.bridge.is_some());
}
