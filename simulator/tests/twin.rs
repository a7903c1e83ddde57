//! The carriers' REST side: the product's own clients and the carriers' official ones can drive it, and it
//! tells the truth about the shift.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use support::{Platform, accounts, clock, context, derive::derive, patient, shift, simulator};
use url::Url;
use voice_lifecycle::ManualClock;
use voice_schemas::{
    AttemptId, CallId, EventType, TenantId,
    events::call::{CallEvent, CallFact, CallOutcome, Carrier, Direction, Ending, Evidence},
};
use voice_simulator::{
    Account, Credentials, Faults, Simulator,
    plan::{PlannedCall, Shift},
    player::{PlayOptions, Retries},
    twin::{Twin, serve_twin},
    wire::{Target, Wire},
};
use voice_telephony::{
    AmdMode, CallContext, CallState, CarrierClient, CarrierError, HookUrls, OriginateRequest, PhoneNumber,
    telnyx, twilio,
};

async fn serve(twin: Twin) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(serve_twin(listener, twin, std::future::pending()));
    url
}

fn client(account: &Account, base_url: Url) -> Box<dyn CarrierClient> {
    let timeout = Duration::from_secs(5);
    match &account.credentials {
        Credentials::Twilio {
            account_sid,
            auth_token,
        } => Box::new(twilio::Client::new(
            support::http(),
            twilio::Config {
                account_sid: account_sid.clone(),
                user: account_sid.clone(),
                password: auth_token.clone(),
                base_url,
                timeout,
            },
        )),
        Credentials::Telnyx {
            connection_id,
            api_key,
            ..
        } => Box::new(telnyx::Client::new(
            support::http(),
            telnyx::Config {
                api_key: api_key.clone(),
                connection_id: connection_id.clone(),
                base_url,
                timeout,
            },
        )),
    }
}

/// A twin that believes it is `at`, and clients of both accounts.
async fn twin_at(simulator: &Simulator, at: DateTime<Utc>) -> (Url, Vec<Box<dyn CarrierClient>>) {
    let now = ManualClock::at(at).shared();
    let (plan, accounts) = (Arc::clone(simulator.plan()), Arc::clone(simulator.accounts()));
    let url = serve(Twin::new(plan, accounts, context(), Arc::clone(&now), now)).await;
    let clients = simulator
        .accounts()
        .iter()
        .map(|account| client(account, url.clone()))
        .collect();
    (url, clients)
}

fn reconcile(call: &PlannedCall, like: &CallEvent, at: DateTime<Utc>, ending: Ending) -> CallEvent {
    let evidence = Evidence {
        carrier_event: "lookup".to_owned(),
        dedupe_key: "watchdog".to_owned(),
        sequence: None,
        received_at: at,
    };
    CallFact::Ended(ending).into_event(
        call.tenant,
        "/analytics/watchdog",
        at,
        like.data.call.clone(),
        evidence,
    )
}

/// TEL-08
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_about_every_call_without_an_end_reaches_the_expected_answer() {
    let platform = Platform::start(patient).await;
    let faults = Faults {
        duplicates: 0.05,
        reordered: 0.1,
        loss: 0.05,
        terminal_loss: 0.2,
        ..Faults::default()
    };
    let simulator = simulator(shift(61, 500), faults);
    let options = PlayOptions {
        retries: Retries {
            tries: 3,
            ..Retries::default()
        },
        ..PlayOptions::default()
    };
    let target = Target::direct(platform.url());
    let tally = simulator
        .play(&support::http(), &target, &options, &clock(), &())
        .await
        .unwrap();
    let base = serve(simulator.twin(clock())).await;
    let clients: Vec<_> = simulator
        .accounts()
        .iter()
        .map(|account| client(account, base.clone()))
        .collect();

    let mut events = platform.told().events;
    let mut asked = 0;
    for call in simulator.plan().calls() {
        let told: Vec<_> = events
            .iter()
            .filter(|event| event.data.call.call_id == call.call_id)
            .collect();
        let Some(like) = told.first().copied() else {
            continue;
        };
        if told.iter().any(|event| event.kind == EventType::CallEnded) {
            continue;
        }
        let last = told.iter().map(|event| event.time).max().unwrap();
        let found = clients[call.account].lookup(&call.ids.call).await.unwrap();
        let at = found.ended_at.unwrap_or(last).max(last);
        let end = reconcile(&call, like, at, found.ending.unwrap());
        events.push(end);
        asked += 1;
    }
    assert!(asked > 50, "{asked}");
    assert_eq!(tally.expected.reconciled, asked);
    let derived = derive(&events);
    assert_eq!(
        tally.expected,
        voice_simulator::Expected {
            chatter: tally.expected.chatter,
            ..derived
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_as_it_stands_at_the_moment_of_asking() {
    let simulator = simulator(shift(62, 60), Faults::none());
    for call in simulator
        .plan()
        .calls()
        .filter(|call| call.answered_at().is_some())
        .take(8)
    {
        let states = [
            (call.starts_at() - TimeDelta::milliseconds(1), None),
            (call.starts_at(), Some(false)),
            (call.answered_at().unwrap(), Some(true)),
        ];
        for (at, answered) in states {
            let (_, clients) = twin_at(&simulator, at).await;
            let found = clients[call.account].lookup(&call.ids.call).await.unwrap();
            match (answered, call.carrier) {
                // Nobody knows it yet.
                (None, _) => assert_eq!(found.ending.unwrap().cause, "not_found"),
                (Some(_), Carrier::Telnyx) => assert_eq!(found.state, CallState::Alive),
                (Some(true), Carrier::Twilio) => assert_eq!(found.state, CallState::Answered),
                (Some(false), Carrier::Twilio) if call.direction == Direction::Inbound => {
                    assert_eq!(found.state, CallState::Ringing);
                }
                (Some(false), Carrier::Twilio) => assert_eq!(found.state, CallState::Queued),
            }
        }
        let (_, clients) = twin_at(&simulator, call.ended_at()).await;
        let found = clients[call.account].lookup(&call.ids.call).await.unwrap();
        assert_eq!(found.state, CallState::Ended);
        assert_eq!(found.ended_at, Some(call.as_told(call.ended_at())));
        let outcome = found.ending.unwrap().outcome;
        assert_eq!(outcome, voice_simulator::reconciled_outcome(&call));
        // The other carrier does not know it.
        let foreign = clients[1 - call.account].lookup(&call.ids.call).await.unwrap();
        assert_eq!(foreign.ending.unwrap().outcome, CallOutcome::Unknown);
    }
}

fn request(to: &str) -> OriginateRequest {
    let attempt = AttemptId::random();
    let context = CallContext::new(TenantId::random(), CallId::random(), Direction::Outbound);
    OriginateRequest {
        attempt,
        context: support::context().seal(&context),
        to: PhoneNumber::parse(to).unwrap().into(),
        from: PhoneNumber::parse("+15559999999").unwrap(),
        hooks: HookUrls::new(&"https://hooks.example.com/hooks/carrier/in".parse().unwrap()),
        ring_timeout: Duration::from_secs(20),
        time_limit: Some(Duration::from_secs(600)),
        amd: AmdMode::Detect,
        record: true,
        on_answer: Vec::new(),
    }
}

/// TEL-01
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_placed_can_be_asked_about_and_hung_up_once() {
    let simulator = simulator(shift(63, 5), Faults::none());
    let (_, clients) = twin_at(&simulator, support::now()).await;
    for client in &clients {
        let request = request("+15550000001");
        let placed = client.originate(&request).await.unwrap();
        let found = client.lookup(&placed.carrier_call_id).await.unwrap();
        assert!(
            matches!(found.state, CallState::Queued | CallState::Alive),
            "{found:?}"
        );
        client.hangup(&placed.carrier_call_id).await.unwrap();
        let found = client.lookup(&placed.carrier_call_id).await.unwrap();
        assert_eq!(found.state, CallState::Ended);
        // A call that is over already is no error to who wants it over.
        client.hangup(&placed.carrier_call_id).await.unwrap();
        let again = client.originate(&request).await.unwrap();
        // Only Telnyx knows a command again.
        let same = again.carrier_call_id == placed.carrier_call_id;
        assert_eq!(same, client.carrier() == Carrier::Telnyx);
        assert!(matches!(
            client.hangup("v3:none").await,
            Err(CarrierError::NotFound)
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_opens_nothing() {
    let simulator = simulator(shift(64, 5), Faults::none());
    let (base, _) = twin_at(&simulator, support::now()).await;
    let other = Account::generate(TenantId::random(), Carrier::Telnyx, "x", &mut rng());
    let refused = client(&other, base.clone()).lookup("v3:x").await;
    assert!(matches!(refused, Err(CarrierError::Auth)), "{refused:?}");
    let other = Account::generate(TenantId::random(), Carrier::Twilio, "x", &mut rng());
    let refused = client(&other, base.clone()).lookup("CAx").await;
    assert!(matches!(refused, Err(CarrierError::Auth)), "{refused:?}");
    let anonymous = support::http()
        .get(base.join("/v2/calls/v3:x").unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
}

fn rng() -> rand_chacha::ChaCha8Rng {
    use rand::SeedableRng as _;
    rand_chacha::ChaCha8Rng::seed_from_u64(1)
}

struct Raw {
    http: Client,
    base: Url,
    twilio: Account,
    telnyx: Account,
}

impl Raw {
    async fn new() -> Self {
        let simulator = simulator(shift(65, 5), Faults::none());
        let (base, _) = twin_at(&simulator, support::now()).await;
        let [telnyx, twilio] = <[Account; 2]>::try_from(accounts()).unwrap();
        Self {
            http: support::http(),
            base,
            twilio,
            telnyx,
        }
    }

    async fn twilio(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let sid = self.twilio.carrier_account();
        let url = self
            .base
            .join(&format!("/2010-04-01/Accounts/{sid}/Calls.json"))
            .unwrap();
        let secret = self.twilio.api_secret();
        let request = self
            .http
            .post(url)
            .basic_auth(sid, Some(secret.expose_secret()))
            .form(form);
        answer(request.send().await.unwrap()).await
    }

    async fn telnyx(&self, path: &str, body: Value) -> (u16, Value) {
        let secret = self.telnyx.api_secret();
        let url = self.base.join(path).unwrap();
        let request = self
            .http
            .post(url)
            .bearer_auth(secret.expose_secret())
            .json(&body);
        answer(request.send().await.unwrap()).await
    }
}

async fn answer(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_carrier_does_not_know_is_refused_in_its_own_words() {
    let raw = Raw::new().await;
    let (to, from, url) = (
        ("To", "+15550000001"),
        ("From", "+15559999999"),
        ("Url", "https://x.example"),
    );
    for (form, code) in [
        (vec![from, url], 21201),
        (vec![("To", "5550001"), from, url], 21211),
        (vec![to, url], 21212),
        (vec![to, from], 21205),
        (vec![to, from, url, ("Timeuot", "20")], 20001),
    ] {
        let (status, body) = raw.twilio(&form).await;
        assert_eq!(
            (status, &body["code"], &body["status"]),
            (400, &json!(code), &json!(400)),
            "{form:?}"
        );
        assert!(body["more_info"].as_str().unwrap().ends_with(&code.to_string()));
    }
    let connection = raw.telnyx.carrier_account();
    let dial = |more: Value| {
        let mut body = json!({ "connection_id": connection, "from": "+15559999999", "to": "+15550000001" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for (body, code) in [
        (json!({ "connection_id": connection }), "10004"),
        (dial(json!({ "to": "5550001" })), "10016"),
        (dial(json!({ "connection_id": "1" })), "10015"),
        (dial(json!({ "timeout": 20 })), "10015"),
    ] {
        let (status, answer) = raw.telnyx("/v2/calls", body).await;
        assert_eq!((status, &answer["errors"][0]["code"]), (422, &json!(code)));
    }
    let (status, answer) = raw.telnyx("/v2/calls/v3:x/actions/dance", json!({})).await;
    assert_eq!((status, &answer["errors"][0]["code"]), (404, &json!("10005")));
}

/// TEL-01
#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_drive_it() {
    let simulator = simulator(
        Shift {
            inbound_share: 0.0,
            ..shift(66, 40)
        },
        Faults::none(),
    );
    let (base, _) = twin_at(&simulator, support::now()).await;
    let known = |carrier: Carrier| {
        let mut calls = simulator.plan().calls();
        let call = calls
            .find(|call| call.carrier == carrier && call.bridged_at().is_some())
            .unwrap();
        let (ended, told) = (call.as_told(call.ended_at()), call.told_duration().num_seconds());
        json!({ "id": call.ids.call, "ended": ended.timestamp(), "duration": told })
    };
    let (accounts, context) = (accounts(), context());
    let target = Target::direct("https://hooks.example.com".parse().unwrap());
    let wire = Wire::new(&accounts, &context, &target, true).unwrap();
    let webhooks = |carrier: Carrier| {
        let mut sent = Vec::new();
        for call in simulator.plan().calls().filter(|call| call.carrier == carrier) {
            let call = wire.seal(call);
            for fact in &call.call.facts {
                let webhook = wire.webhook(&call, fact, 1, support::now()).unwrap();
                let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
                let headers: HashMap<String, String> = webhook
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), text(value)))
                    .collect();
                let body = String::from_utf8(webhook.body).unwrap();
                sent.push(json!({ "url": webhook.signed_url, "headers": headers, "body": body }));
            }
        }
        sent
    };
    let [telnyx, twilio] = <[Account; 2]>::try_from(accounts.clone()).unwrap();
    let asked = json!({
        "base": base.as_str().trim_end_matches('/'),
        "twilio": {
            "account": twilio.carrier_account(),
            "secret": twilio.api_secret().expose_secret(),
            "call": known(Carrier::Twilio),
            "webhooks": webhooks(Carrier::Twilio),
        },
        "telnyx": {
            "connection": telnyx.carrier_account(),
            "secret": telnyx.api_secret().expose_secret(),
            "call": known(Carrier::Telnyx),
            "public": telnyx.verification_key().expose_secret(),
            "webhooks": webhooks(Carrier::Telnyx),
        },
    });
    let said = tokio::task::spawn_blocking(move || {
        let venv =
            voice_tests::python::venv(&["pynacl==1.6.2", "telnyx==4.189.0", "twilio==9.13.0"]).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/twin.py");
        venv.run(script, &asked.to_string()).unwrap()
    })
    .await
    .unwrap();
    assert_eq!(said.trim(), "both agree");
}
