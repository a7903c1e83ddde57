//! The worker under measurement: the real service with one lane. Prints its address, then a token for every
//! line it reads.

use std::{
    io::{BufRead as _, stdin},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use base64_simd::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use object_store::memory::InMemory;
use secrecy::SecretString;
use url::Url;
use voice_lifecycle::{Clock as _, Lifecycle, Readiness, SystemClock};
use voice_providers::{
    Account, AudioFormat, Connector, Engine, Session, Tls, Turns,
    openai_realtime::Options,
    price::{Budget, PriceTable},
    tools::{Patience, Toolbox},
};
use voice_recordings::{Announce, KeyConfig, KeyRing, Ready, Store};
use voice_schemas::{AgentId, CallId, TenantId};
use voice_telemetry::Metrics;
use voice_telephony::media::{StreamKey, StreamPurpose, StreamTokens};
use voice_turns::interruption::Policy;
use voice_workers::{
    App, Config, Deps,
    config::RecordingConfig,
    facts::{Fact, Sink, Subject},
    hands::{Deed, Hands, HandsError, Line},
    plan::{LastResort, Money, Opening, Plan, Plans, Recording, Tools, Voice},
};

#[derive(Debug)]
struct Nowhere;

impl Sink for Nowhere {
    fn emit(&self, _: &Subject, _: DateTime<Utc>, _: Fact) {}
}

impl Hands for Nowhere {
    fn act(&self, _: &Line, _: Deed) -> BoxFuture<'static, Result<serde_json::Value, HandsError>> {
        Box::pin(async { Err(HandsError::Unavailable) })
    }
}

impl Announce for Nowhere {
    fn announce(&self, _: Ready) -> BoxFuture<'_, bool> {
        Box::pin(async { true })
    }
}

#[derive(Debug)]
struct Bench {
    base_url: Url,
    connector: Connector,
    toolbox: Toolbox,
    prices: Arc<PriceTable>,
    transcode: bool,
}

impl Plans for Bench {
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan> {
        let format = if self.transcode {
            AudioFormat::PCM_24K
        } else {
            opening.format
        };
        let account = Account {
            base_url: self.base_url.clone(),
            key: SecretString::from("bench"),
        };
        let session = Session {
            model: format!("bench-{}", opening.start.parameters["n"]),
            instructions: "Be brief.".to_owned(),
            voice: None,
            input: format,
            output: format,
            languages: Vec::new(),
            turns: Turns::default(),
            tools: Arc::new([]),
            history: Vec::new(),
            safety_id: None,
            resume: None,
        };
        let voice = Voice {
            account: "bench".to_owned(),
            engine: Engine::OpenaiRealtime(account, Options::default()),
            session,
        };
        Some(Plan {
            voices: vec![voice],
            connector: self.connector.clone(),
            disclosure: None,
            greeting: None,
            interruption: Policy::default(),
            idle: None,
            languages: None,
            tools: Tools {
                toolbox: self.toolbox.clone(),
                webhooks: Vec::new(),
                patience: Patience::with_filler(""),
            },
            money: Money {
                budget: Budget {
                    downgrade_at: None,
                    end_at: None,
                },
                prices: Arc::clone(&self.prices),
                farewell: String::new(),
            },
            machine: None,
            last_resort: LastResort::default(),
            recording: if self.transcode {
                Recording::On
            } else {
                Recording::Off
            },
        })
    }
}

fn tokens() -> StreamTokens {
    StreamTokens::new(StreamKey::new([1; 32]), None)
}

pub(crate) fn run(provider: &str, transcode: bool) {
    let (url, certificate) = provider.split_once(' ').unwrap();
    // reqwest asks for a process-wide provider even for clients that never use TLS.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    if !certificate.is_empty() {
        let der = STANDARD.decode_to_vec(certificate.as_bytes()).unwrap();
        roots.add(der.into()).unwrap();
    }
    let spool = tempfile::tempdir().unwrap();
    let key = KeyConfig {
        id: "bench".to_owned(),
        key: SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    };
    let recordings = Store {
        objects: Arc::new(InMemory::new()),
        keys: Arc::new(KeyRing::new(&[key]).unwrap()),
        announce: Arc::new(Nowhere),
    };
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        lanes: 1,
        calls_per_lane: 10_000,
        // The bench wants to see what happens beyond the limit too.
        max_lag_ms: 10_000,
        recording: RecordingConfig {
            spool: spool.path().to_owned(),
            ..RecordingConfig::default()
        },
        ..Config::default()
    };
    let plans = Bench {
        base_url: url.parse().unwrap(),
        connector: Connector::new(
            Tls::with_roots(roots).unwrap(),
            reqwest::Client::new(),
            Duration::from_secs(10),
        ),
        toolbox: Toolbox::new(Vec::new()).unwrap(),
        prices: Arc::new(PriceTable::list()),
        transcode,
    };
    let app = App::build(
        config,
        Deps {
            clock: SystemClock::shared(),
            tokens: Arc::new(tokens()),
            plans: Arc::new(plans),
            sink: Arc::new(Nowhere),
            hands: Arc::new(Nowhere),
            recordings: transcode.then_some(recordings),
            metrics: Metrics::empty(),
        },
    )
    .unwrap();
    println!("{}", app.address());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
        app.spawn(&lifecycle);
        let asked = tokio::task::spawn_blocking(|| {
            let tokens = tokens();
            for (number, _) in stdin().lock().lines().enumerate() {
                let mut nonce = [0; 12];
                nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
                let expires = SystemClock.now() + TimeDelta::seconds(60);
                let purpose = StreamPurpose {
                    tenant: TenantId::random(),
                    call: CallId::random(),
                    agent: AgentId::random(),
                    attempt: None,
                };
                println!("{}", tokens.issue(&purpose, expires, nonce));
            }
        });
        asked.await.unwrap();
    });
}
