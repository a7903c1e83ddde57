//! What goes over the wire is what the carriers would send: the product's adapters, which are held against the
//! carriers' own clients, verify it and read the planned fact out of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method};
use serde_json::Value;
use support::{accounts, context, now, plan, shift};
use url::form_urlencoded;
use voice_schemas::events::call::{Amd, Bridge, CallFact, CallOutcome, Carrier, Direction, HangupBy};
use voice_simulator::{
    Account,
    plan::{Fact, Plan, PlannedCall, PlannedFact, Verdict},
    wire::{SealedCall, Target, Webhook, Wire},
};
use voice_telephony::{
    CarrierEvent, HookKind, Parsed, PhoneTokenKey, VerifyError, WebhookRequest, phone_token, webhooks,
};

const PUBLIC: &str = "https://hooks.example.com";

fn target() -> Target {
    Target {
        connect: "http://127.0.0.1:9".parse().unwrap(),
        public: PUBLIC.parse().unwrap(),
    }
}

/// All webhooks of a plan, each on its first try.
fn sent(plan: &Plan, stamp_all: bool, mut check: impl FnMut(&SealedCall, &PlannedFact, Webhook)) {
    let (accounts, context) = (accounts(), context());
    let wire = Wire::new(&accounts, &context, &target(), stamp_all).unwrap();
    for call in plan.calls() {
        let call = wire.seal(call);
        for fact in &call.call.facts {
            check(&call, fact, wire.webhook(&call, fact, 1, now()).unwrap());
        }
    }
}

fn verify(account: &Account, webhook: &Webhook, body: &[u8], at: DateTime<Utc>) -> Result<(), VerifyError> {
    let side = webhooks(account.carrier(), &account.verification_key(), None).unwrap();
    let request = WebhookRequest {
        method: &Method::POST,
        url: &webhook.signed_url,
        headers: &webhook.headers,
        body,
    };
    side.verify(&request, at)
}

fn parse(call: &PlannedCall, fact: &PlannedFact, webhook: &Webhook) -> Parsed {
    let account = &accounts()[call.account];
    let side = webhooks(account.carrier(), &account.verification_key(), None).unwrap();
    let request = WebhookRequest {
        method: &Method::POST,
        url: &webhook.signed_url,
        headers: &webhook.headers,
        body: &webhook.body,
    };
    let (context, phones) = (context(), PhoneTokenKey::new([3; 32]));
    let account = voice_telephony::Account {
        tenant: call.tenant,
        context: &context,
        phone: Some(&phones),
    };
    let kind = webhook
        .signed_url
        .split('?')
        .next()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    let kind = HookKind::parse(call.carrier, kind).unwrap();
    assert_eq!(kind, call.hook(fact.fact));
    side.parse(kind, &request, &account).unwrap()
}

/// What the platform must make of a fact.
fn neutral(call: &PlannedCall, fact: &Fact) -> CallFact {
    match *fact {
        Fact::Initiated => CallFact::Initiated,
        Fact::Ringing => CallFact::Ringing,
        Fact::Answered => CallFact::Answered,
        Fact::Amd {
            verdict,
            detection_ms,
        } => CallFact::Amd(Amd {
            answered_by: verdict.answered_by(),
            beep: verdict == Verdict::Beep,
            detection_ms: (call.carrier == Carrier::Twilio).then_some(detection_ms),
        }),
        Fact::Bridged(agent_kind) => CallFact::Bridged(Bridge { agent_kind }),
        Fact::Ended(_) | Fact::Chatter(_) => panic!("judged elsewhere"),
    }
}

fn check_end(call: &PlannedCall, event: &CarrierEvent) {
    let CallFact::Ended(ending) = &event.fact else {
        panic!("{:?}", event.fact)
    };
    let end = call.end();
    assert_eq!(ending.outcome, end.outcome);
    assert!(!ending.reconciled);
    match call.carrier {
        Carrier::Telnyx => {
            assert_eq!(ending.hangup_by, end.hangup_by);
            assert_eq!((ending.sip_code, ending.duration_ms), (end.sip_code, None));
        }
        Carrier::Twilio => {
            assert!(matches!(ending.hangup_by, HangupBy::Unknown | HangupBy::System));
            let told = u32::try_from(call.told_duration().num_milliseconds()).unwrap();
            assert_eq!(
                ending.duration_ms,
                (end.outcome == CallOutcome::Completed).then_some(told)
            );
            let outbound = call.direction == Direction::Outbound;
            assert_eq!(ending.sip_code, end.sip_code.filter(|_| outbound));
        }
    }
}

/// TEL-01
#[test]
fn every_webhook_is_authentic_and_says_what_was_planned() {
    let plan = plan(shift(21, 1_500));
    let mut outcomes = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    sent(&plan, true, |sealed, fact, webhook| {
        let call = &sealed.call;
        assert_eq!(
            verify(&accounts()[call.account], &webhook, &webhook.body, now()),
            Ok(())
        );
        let event = match (parse(call, fact, &webhook), fact.fact) {
            (Parsed::Ignored { .. }, Fact::Chatter(_)) => return,
            (parsed, _) => parsed.into_carrier_event().unwrap_or_else(|| panic!("{fact:?}")),
        };
        kinds.insert(event.carrier_event.clone());
        assert_eq!(event.at, Some(call.as_told(fact.at)));
        assert_eq!(event.tenant, call.tenant);
        let named = &event.call;
        assert_eq!(
            (named.call_id, named.direction, named.carrier),
            (call.call_id, call.direction, call.carrier)
        );
        assert_eq!(named.carrier_call_id, call.ids.call);
        let context = call.context.as_ref();
        assert_eq!(
            named.campaign_id,
            context.and_then(|context| context.campaign).map(|(id, _)| id)
        );
        assert_eq!(
            named.shard,
            context
                .and_then(|context| context.campaign)
                .map(|(_, shard)| shard)
        );
        assert_eq!(named.attempt_id, context.and_then(|context| context.attempt));
        assert_eq!(named.agent_id, context.and_then(|context| context.agent));
        if fact.fact.is_terminal() {
            check_end(call, &event);
            outcomes.insert((call.carrier, call.end().outcome));
        } else {
            assert_eq!(event.fact, neutral(call, &fact.fact));
        }
    });
    let all = [
        CallOutcome::Completed,
        CallOutcome::Busy,
        CallOutcome::NoAnswer,
        CallOutcome::InvalidNumber,
        CallOutcome::Rejected,
        CallOutcome::Canceled,
        CallOutcome::CarrierError,
    ];
    let both = [Carrier::Telnyx, Carrier::Twilio];
    let expected: BTreeSet<_> = both
        .iter()
        .flat_map(|carrier| all.map(|outcome| (*carrier, outcome)))
        .collect();
    assert_eq!(outcomes, expected);
    for kind in [
        "call.machine.premium.greeting.ended",
        "machine_end_beep",
        "participant-join",
        "voice",
        "no-answer",
    ] {
        assert!(kinds.contains(kind), "{kind}");
    }
}

#[test]
fn a_changed_body_another_address_and_another_account_are_not_authentic() {
    let others: Vec<Account> = {
        use rand::SeedableRng as _;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let accounts = accounts();
        accounts
            .iter()
            .map(|account| Account::generate(account.tenant, account.carrier(), "other", &mut rng))
            .collect()
    };
    sent(&plan(shift(22, 40)), true, |sealed, _, webhook| {
        let account = &accounts()[sealed.call.account];
        let mut changed = webhook.body.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        assert!(verify(account, &webhook, &changed, now()).is_err());
        assert!(verify(&others[sealed.call.account], &webhook, &webhook.body, now()).is_err());
        let elsewhere = Webhook {
            signed_url: webhook.signed_url.replace("hooks.", "hook."),
            ..webhook
        };
        let moved = verify(account, &elsewhere, &elsewhere.body, now());
        // Telnyx does not sign the address.
        assert_eq!(moved.is_err(), account.carrier() == Carrier::Twilio);
    });
}

#[test]
fn a_webhook_is_as_old_as_its_carrier_says() {
    let mut stale = BTreeMap::new();
    sent(&plan(shift(23, 60)), true, |sealed, fact, webhook| {
        let account = &accounts()[sealed.call.account];
        let later = |delta| {
            matches!(
                verify(account, &webhook, &webhook.body, now() + delta),
                Err(VerifyError::Stale { .. })
            )
        };
        match account.carrier() {
            // Signed at the moment of sending, whenever the event was.
            Carrier::Telnyx => assert!(later(TimeDelta::seconds(310)) && !later(TimeDelta::seconds(290))),
            Carrier::Twilio => {
                let age = now() - fact.at;
                assert!(later(TimeDelta::hours(24) - age + TimeDelta::seconds(5)));
                assert!(!later(TimeDelta::hours(24) - age - TimeDelta::seconds(5)));
            }
        }
        *stale.entry(account.carrier()).or_insert(0) += 1;
    });
    assert_eq!(stale.len(), 2);
}

#[test]
fn live_verdicts_and_inbound_calls_come_without_a_time_at_twilio_as_they_really_do() {
    let mut untimed = 0;
    sent(&plan(shift(24, 200)), false, |sealed, fact, webhook| {
        if let Some(event) = parse(&sealed.call, fact, &webhook).into_carrier_event() {
            let hook = sealed.call.hook(fact.fact);
            assert_eq!(
                event.at.is_none(),
                matches!(hook, HookKind::Amd | HookKind::Voice),
                "{hook:?}"
            );
            untimed += u64::from(event.at.is_none());
        }
    });
    assert!(untimed > 20, "{untimed}");
}

#[test]
fn another_try_is_the_same_webhook() {
    let (accounts, context) = (accounts(), context());
    let wire = Wire::new(&accounts, &context, &target(), true).unwrap();
    for call in plan(shift(25, 30)).calls() {
        let call = wire.seal(call);
        let fact = &call.call.facts[0];
        let (first, third) = (
            wire.webhook(&call, fact, 1, now()).unwrap(),
            wire.webhook(&call, fact, 3, now()).unwrap(),
        );
        assert_eq!(first.url, third.url);
        if call.call.carrier == Carrier::Twilio {
            assert_eq!(first.body, third.body);
            assert_eq!(
                first.headers["i-twilio-idempotency-token"],
                third.headers["i-twilio-idempotency-token"]
            );
        } else {
            let read = |webhook: &Webhook| serde_json::from_slice::<Value>(&webhook.body).unwrap();
            let (first, third) = (read(&first), read(&third));
            assert_eq!(first["data"], third["data"]);
            assert_eq!(
                (&first["meta"]["attempt"], &third["meta"]["attempt"]),
                (&Value::from(1), &Value::from(3))
            );
        }
        assert_eq!(
            verify(&accounts[call.call.account], &third, &third.body, now()),
            Ok(())
        );
    }
}

#[test]
fn what_is_signed_is_the_public_address_and_what_is_called_is_the_other() {
    sent(&plan(shift(26, 20)), true, |_, _, webhook| {
        let path = webhook.url.strip_prefix("http://127.0.0.1:9").unwrap();
        assert_eq!(webhook.signed_url, format!("{PUBLIC}{path}"));
        assert_eq!(webhook.headers[http::header::HOST], "hooks.example.com");
    });
    let (accounts, context) = (accounts(), context());
    let direct = Target::direct("http://127.0.0.1:9/base/".parse().unwrap());
    let wire = Wire::new(&accounts, &context, &direct, true).unwrap();
    let call = wire.seal(plan(shift(26, 1)).call(0).unwrap());
    let webhook = wire.webhook(&call, &call.call.facts[0], 1, now()).unwrap();
    assert!(
        webhook.url.starts_with("http://127.0.0.1:9/base/hooks/t"),
        "{}",
        webhook.url
    );
    assert_eq!(
        (webhook.url.as_str(), webhook.headers.get(http::header::HOST)),
        (webhook.signed_url.as_str(), None)
    );
}

#[test]
fn numbers_are_ones_nobody_has_and_the_token_is_that_of_the_person() {
    let phones = PhoneTokenKey::new([3; 32]);
    sent(&plan(shift(27, 100)), true, |sealed, fact, webhook| {
        let call = &sealed.call;
        assert!(
            [&call.from, &call.to]
                .iter()
                .all(|number| number.expose().starts_with("+1555"))
        );
        let person = if call.direction == Direction::Outbound {
            &call.to
        } else {
            &call.from
        };
        // Conference and AMD callbacks of Twilio name no number; without a context there is no token then.
        let silent =
            call.context.is_none() && matches!(call.hook(fact.fact), HookKind::Conference | HookKind::Amd);
        if let Some(event) = parse(call, fact, &webhook)
            .into_carrier_event()
            .filter(|_| !silent)
        {
            assert_eq!(event.call.phone_token, Some(phone_token(&phones, person)));
        }
    });
}

/// The names of everything in a delivery, by what it is about.
fn names(headers: &HeaderMap, body: &[u8]) -> (String, BTreeSet<String>) {
    if headers[http::header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .starts_with("application/json")
    {
        let body: Value = serde_json::from_slice(body).unwrap();
        let data = &body["data"];
        let payload = data["payload"].as_object().unwrap();
        (
            data["event_type"].as_str().unwrap().to_owned(),
            payload.keys().cloned().collect(),
        )
    } else {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let status = form
            .get("CallStatus")
            .or(form.get("StatusCallbackEvent"))
            .or(form.get("AnsweredBy"));
        (status.unwrap().clone(), form.into_keys().collect())
    }
}

#[test]
fn what_carriers_always_send_is_there() {
    let common = [
        "call_control_id",
        "call_leg_id",
        "call_session_id",
        "connection_id",
        "client_state",
        "from",
        "to",
    ];
    let form = [
        "ApiVersion",
        "CallSid",
        "AccountSid",
        "From",
        "To",
        "Caller",
        "Called",
        "Direction",
        "CallStatus",
    ];
    let progress = ["CallbackSource", "SequenceNumber", "Timestamp"];
    let mut seen = BTreeSet::new();
    sent(&plan(shift(28, 400)), false, |sealed, fact, webhook| {
        let (about, names) = names(&webhook.headers, &webhook.body);
        let has = |wanted: &[&str]| wanted.iter().all(|name| names.contains(*name));
        let hook = sealed.call.hook(fact.fact);
        match hook {
            HookKind::Call => {
                assert!(has(&common) && has(&["start_time"]), "{about}: {names:?}");
                assert_eq!(
                    has(&["hangup_cause", "hangup_source", "sip_hangup_cause"]),
                    about == "call.hangup"
                );
            }
            HookKind::Status => {
                assert!(has(&form) && has(&progress), "{about}: {names:?}");
                assert_eq!(has(&["CallDuration", "Duration"]), fact.fact.is_terminal());
            }
            HookKind::Voice => assert!(has(&form) && !names.contains("Timestamp"), "{names:?}"),
            HookKind::Amd => assert!(has(&[
                "CallSid",
                "AccountSid",
                "AnsweredBy",
                "MachineDetectionDuration"
            ])),
            HookKind::Conference => assert!(has(&[
                "ConferenceSid",
                "FriendlyName",
                "AccountSid",
                "SequenceNumber"
            ])),
            HookKind::Gather => panic!("nobody presses a key in a shift"),
        }
        seen.insert(format!("{hook:?}"));
    });
    assert_eq!(seen.len(), 5);
}
