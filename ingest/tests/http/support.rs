//! A service on a port of its own, topics of its own, and carriers that sign what they send.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderMap};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use voice_ingest::{AccountSource, App, Config, Deps, HookAccount};
use voice_kafka::{Producer, admin::Admin, dead_letters, dead_letters::Kept, record};
use voice_lifecycle::{CancellationToken, Lifecycle, ManualClock, Readiness};
use voice_postgres::accounts::{Credentials, IpPolicy};
use voice_schemas::{
    CallId, CampaignId, ProviderAccountId, TenantId,
    events::call::Direction,
    topics::{self, Topic},
};
use voice_telemetry::Metrics;
use voice_telephony::{CallContext, ContextKey, ContextKeys, PhoneTokenKey, telnyx, twilio};

pub(crate) const TWILIO_TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const BASE_URL: &str = "https://hooks.voice.example";

/// The moment all tests happen at.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-20T09:31:00Z".parse().unwrap()
}

pub(crate) fn telnyx_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Topics of one test, with one partition each; gone when the test is over.
pub(crate) struct Topics {
    pub(crate) config: voice_kafka::Config,
}

impl Topics {
    pub(crate) async fn create() -> Self {
        let brokers = std::env::var("KAFKA_BROKERS").unwrap_or_else(|_| {
            panic!("KAFKA_BROKERS is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\"")
        });
        let prefix = format!("ingest-{:016x}.", fastrand::u64(..));
        let topics = Self {
            config: voice_kafka::Config {
                brokers,
                prefix,
                ..voice_kafka::Config::default()
            },
        };
        let admin = Admin::new(&topics.config).unwrap();
        for topic in [topics::CALLS, topics::AGENTS, topics::MEDIA, topics::DEAD_LETTERS] {
            admin
                .apply(
                    &Topic {
                        partitions: 1,
                        ..topic
                    },
                    1,
                )
                .await
                .unwrap();
        }
        topics
    }

    /// Keys and events of a topic, in order.
    pub(crate) async fn read(&self, topic: &'static Topic) -> Vec<(String, Value)> {
        let config = self.config.clone();
        let read = move || {
            let name = config.topic(topic);
            let marks = Admin::new(&config).unwrap().watermarks(&name).unwrap()[&0];
            (marks.low..marks.high)
                .map(|offset| {
                    let (key, payload) = record::read(&config, &name, 0, offset).unwrap().unwrap();
                    (
                        String::from_utf8(key).unwrap(),
                        serde_json::from_slice(&payload).unwrap(),
                    )
                })
                .collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    pub(crate) async fn calls(&self) -> Vec<(String, Value)> {
        self.read(&topics::CALLS).await
    }

    pub(crate) async fn letters(&self) -> Vec<Kept> {
        let config = self.config.clone();
        let read = move || {
            let mut letters = Vec::new();
            dead_letters::for_each(&config, |kept| letters.push(kept)).unwrap();
            letters
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        let config = self.config.clone();
        // Drop cannot wait inside the test's runtime, so a thread with its own does.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let names: Vec<_> = topics::ALL.iter().map(|topic| config.topic(topic)).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            runtime.block_on(async { Admin::new(&config).unwrap().delete(&names).await })
        });
        let _leftovers_are_harmless = deleting.join();
    }
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) http: reqwest::Client,
    stop: CancellationToken,
}

/// What tests change about the service before it starts.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) accounts: AccountSource,
    pub(crate) kafka: voice_kafka::Config,
}

impl Setup {
    pub(crate) fn new(kafka: &voice_kafka::Config, accounts: Vec<HookAccount>) -> Self {
        let config = Config {
            public_base_url: BASE_URL.to_owned(),
            ..Config::default()
        };
        Self {
            config,
            accounts: AccountSource::Fixed(accounts),
            kafka: kafka.clone(),
        }
    }

    pub(crate) async fn start(self) -> Service {
        // A second test of this process finds it installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (clock, metrics, readiness) = (ManualClock::at(now()), Metrics::empty(), Readiness::new());
        let deps = Deps {
            clock: clock.shared(),
            producer: Producer::new(&self.kafka).unwrap(),
            kafka: self.kafka,
            accounts: self.accounts,
            context: context_keys(),
            metrics: metrics.clone(),
        };
        let service = Service {
            address: listener.local_addr().unwrap(),
            clock,
            metrics,
            readiness: readiness.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            stop: CancellationToken::new(),
        };
        let lifecycle = Lifecycle::new(readiness, Duration::ZERO);
        App::build(self.config, deps).unwrap().spawn(&lifecycle, listener);
        let stop = service.stop.clone();
        tokio::spawn(async move { lifecycle.run_until(stop.cancelled_owned()).await });
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("http://{}{path}", self.address))
    }

    /// Sends a body signed by Telnyx.
    pub(crate) async fn telnyx(&self, account: &HookAccount, body: &Value) -> Response {
        self.signed_telnyx(account, body).send().await.unwrap()
    }

    pub(crate) fn signed_telnyx(&self, account: &HookAccount, body: &Value) -> RequestBuilder {
        self.telnyx_bytes(account, serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn telnyx_bytes(&self, account: &HookAccount, bytes: Vec<u8>) -> RequestBuilder {
        let headers = telnyx::signature::sign(&telnyx_key(), now(), &bytes);
        self.post(&path(account, "call")).headers(headers).body(bytes)
    }

    /// Sends a form signed by Twilio, to a path with an optional query.
    pub(crate) async fn twilio(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let token = SecretString::from(TWILIO_TOKEN);
        let signature = twilio::signature::sign(&token, &format!("{BASE_URL}{path}"), form).unwrap();
        self.post(path)
            .header(twilio::signature::HEADER, signature)
            .form(form)
            .send()
            .await
            .unwrap()
    }

    /// One sample of the metrics, such as `webhook_in_total{carrier="telnyx",outcome="stale"}`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.render();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

pub(crate) fn path(account: &HookAccount, kind: &str) -> String {
    format!(
        "/hooks/{}/{}/{kind}",
        account.credentials.carrier(),
        account.ingress_id
    )
}

pub(crate) fn context_keys() -> Arc<ContextKeys> {
    Arc::new(ContextKeys::new(ContextKey::new([3; 32])))
}

/// The context of a call of campaign shard 2.
pub(crate) fn campaign_context(tenant: TenantId) -> CallContext {
    let mut context = CallContext::new(tenant, CallId::random(), Direction::Outbound);
    context.campaign = Some((CampaignId::random(), 2));
    context
}

pub(crate) fn telnyx_credentials() -> Credentials {
    Credentials::Telnyx {
        public_key: telnyx::signature::public_key_of(&telnyx_key()),
        api_key: SecretString::from("unused"),
        connection_id: "1684641123236054244".to_owned(),
    }
}

pub(crate) fn twilio_credentials() -> Credentials {
    Credentials::Twilio {
        account_sid: "AC00000000000000000000000000000001".to_owned(),
        auth_token: SecretString::from(TWILIO_TOKEN),
        secondary_auth_token: None,
    }
}

/// An account of a tenant of its own, with generous limits.
pub(crate) fn account(credentials: Credentials) -> HookAccount {
    HookAccount {
        tenant: TenantId::random(),
        id: ProviderAccountId::random(),
        credentials,
        ingress_id: voice_postgres::accounts::new_ingress_id(),
        rate_per_second: 1_000,
        rate_burst: 10_000,
        ip_policy: IpPolicy::Off,
        ip_allow: Vec::new(),
        phone_key: Some(Arc::new(PhoneTokenKey::new([9; 32]))),
        locale: "cs-CZ".to_owned(),
    }
}

/// A Telnyx event of `event_type`, a minute ago, of a call without a context.
pub(crate) fn telnyx_event(event_type: &str) -> Value {
    json!({
        "data": {
            "record_type": "event",
            "event_type": event_type,
            "id": uuid(),
            "occurred_at": (now() - TimeDelta::minutes(1)).to_rfc3339(),
            "payload": {
                "call_control_id": format!("v3:{}", uuid()),
                "call_leg_id": uuid(),
                "direction": "incoming",
                "from": "+14155550100",
                "to": "+14155550199",
            },
        },
        "meta": { "attempt": 1, "delivered_to": "https://hooks.voice.example" },
    })
}

/// The same with our context, as Telnyx gives it back.
pub(crate) fn telnyx_event_of(event_type: &str, context: &CallContext) -> Value {
    let mut event = telnyx_event(event_type);
    event["data"]["payload"]["client_state"] = json!(context_keys().seal(context).as_client_state());
    event["data"]["payload"]["direction"] = json!("outgoing");
    event
}

pub(crate) fn uuid() -> String {
    CallId::random().0.to_string()
}

pub(crate) fn call_sid() -> String {
    format!("CA{:032x}", fastrand::u128(..))
}

/// The problem document behind a refusal, after checking its status.
pub(crate) async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    response.json().await.unwrap()
}

/// Waits for something that happens soon, without guessing how soon.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < patience,
            "{what} did not happen within 30 s"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Headers from names and values.
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}
