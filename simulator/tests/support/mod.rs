//! A platform in miniature: it judges and reads webhooks with the adapters of the product.

#![allow(dead_code, reason = "each suite uses a part")]

pub(crate) mod derive;
pub(crate) mod stage;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    routing::post,
};
use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use url::Url;
use uuid::Uuid;
use voice_lifecycle::{Clock as _, SharedClock, SystemClock};
use voice_schemas::{
    TenantId,
    events::call::{CallEvent, Carrier},
};
use voice_simulator::{
    Account, Faults, Simulator,
    plan::{Plan, Shift},
};
use voice_telephony::{
    ContextKey, ContextKeys, HookKind, Parsed, PhoneTokenKey, WebhookRequest, Webhooks, webhooks,
};

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub(crate) fn clock() -> SharedClock {
    SystemClock::shared()
}

pub(crate) fn context() -> Arc<ContextKeys> {
    Arc::new(ContextKeys::new(ContextKey::new([7; 32])))
}

/// An account at each carrier.
pub(crate) fn accounts() -> Vec<Account> {
    let tenant = TenantId(Uuid::from_u128(1));
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let phones = Arc::new(PhoneTokenKey::new([3; 32]));
    [(Carrier::Telnyx, "tx1"), (Carrier::Twilio, "tw1")]
        .map(|(carrier, ingress)| {
            Account::generate(tenant, carrier, ingress, &mut rng).with_phone_key(Arc::clone(&phones))
        })
        .into()
}

/// A shift that ended a moment ago.
pub(crate) fn shift(seed: u64, calls: u64) -> Shift {
    let mut shift = Shift::new(seed, calls, DateTime::UNIX_EPOCH);
    shift.starts_at = now() - shift.duration - shift.tail();
    shift
}

pub(crate) fn plan(shift: Shift) -> Plan {
    Plan::new(shift, &accounts()).unwrap()
}

pub(crate) fn simulator(shift: Shift, faults: Faults) -> Simulator {
    Simulator::new(shift, faults, accounts(), context()).unwrap()
}

/// Without a provider installed, the HTTP client cannot be built; it speaks no TLS here.
pub(crate) fn http() -> reqwest::Client {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// What the platform was told, in the order it was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Events, and whether they had been told before.
    pub(crate) events: Vec<CallEvent>,
    pub(crate) ignored: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) requests: u64,
    /// Requests by what makes them the same webhook.
    pub(crate) tries: HashMap<String, u64>,
}

/// The tenant behind an ingress, and what verifies its webhooks.
type Side = (TenantId, Arc<dyn Webhooks>);
type Judge = Box<dyn Fn(u64, u64) -> StatusCode + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Platform {
    told: Arc<Mutex<Told>>,
    sides: Arc<HashMap<String, Side>>,
    base: String,
    phones: Arc<PhoneTokenKey>,
    judge: Arc<Judge>,
}

impl Platform {
    /// Listens on loopback. `judge` decides what to answer an authentic webhook, from the number of the
    /// request and of the try; an event is only kept when that is a success.
    pub(crate) async fn start(judge: impl Fn(u64, u64) -> StatusCode + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let side = |account: Account| {
            let side = webhooks(account.carrier(), &account.verification_key(), None).unwrap();
            (account.ingress.clone(), (account.tenant, side))
        };
        let platform = Self {
            told: Arc::default(),
            sides: Arc::new(accounts().into_iter().map(side).collect()),
            base,
            phones: Arc::new(PhoneTokenKey::new([3; 32])),
            judge: Arc::new(Box::new(judge)),
        };
        let router = Router::new()
            .route("/hooks/{carrier}/{ingress}/{kind}", post(hook))
            .with_state(platform.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        platform
    }

    pub(crate) fn url(&self) -> Url {
        self.base.parse().unwrap()
    }

    pub(crate) fn told(self) -> Told {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn take(
        &self,
        path: (String, String, String),
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> StatusCode {
        let mut told = self.told.lock().unwrap();
        told.requests += 1;
        let number = told.requests;
        match self.read(&path, uri, headers, body) {
            Err(reason) => {
                told.refused.push(reason);
                StatusCode::BAD_REQUEST
            }
            Ok((key, parsed)) => {
                let tries = told.tries.entry(key).or_default();
                *tries += 1;
                let status = (self.judge)(number, *tries);
                if status.is_success() {
                    match parsed {
                        Parsed::Event(event) => told.events.push(event.into_event(now())),
                        Parsed::Ignored { carrier_event } => told.ignored.push(carrier_event),
                    }
                }
                status
            }
        }
    }

    fn read(
        &self,
        (carrier, ingress, kind): &(String, String, String),
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(String, Parsed), String> {
        let (tenant, side) = self.sides.get(ingress).ok_or("unknown ingress")?;
        let carrier = Carrier::parse(carrier).ok_or("unknown carrier")?;
        let kind = HookKind::parse(carrier, kind).ok_or("unknown kind")?;
        let url = format!("{}{uri}", self.base);
        let request = WebhookRequest {
            method: &Method::POST,
            url: &url,
            headers,
            body,
        };
        side.verify(&request, now()).map_err(|error| error.to_string())?;
        let context = context();
        let account = voice_telephony::Account {
            tenant: *tenant,
            context: &context,
            phone: Some(&self.phones),
        };
        let parsed = side
            .parse(kind, &request, &account)
            .map_err(|error| error.to_string())?;
        let key = match carrier {
            Carrier::Twilio => headers["i-twilio-idempotency-token"].to_str().unwrap().to_owned(),
            Carrier::Telnyx => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                body["data"]["id"].as_str().unwrap().to_owned()
            }
        };
        Ok((key, parsed))
    }
}

async fn hook(
    State(platform): State<Platform>,
    Path(path): Path<(String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    platform.take(path, &uri, &headers, &body)
}

/// Everything is taken.
pub(crate) fn patient(_: u64, _: u64) -> StatusCode {
    StatusCode::OK
}

/// `at`, to the precision of the carrier, is `told`.
pub(crate) fn within_a_second(at: DateTime<Utc>, told: DateTime<Utc>) -> bool {
    (at - told).abs() < TimeDelta::seconds(1)
}
