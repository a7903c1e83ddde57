//! A worker on loopback between a carrier of the tests' own and the twin of OpenAI Realtime.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::{ObjectStoreExt as _, memory::InMemory};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use voice_lifecycle::{Clock as _, Lifecycle, Readiness, SystemClock};
use voice_providers::{
    Account, Connector, OpenaiRealtime, Provider, Session, Tls, Turns, models, openai_realtime::Options,
};
use voice_schemas::{CallId, TenantId};
use voice_simulator_providers::{Script, Scripts, Twins, serve};
use voice_telemetry::Metrics;
use voice_telephony::media::{StreamKey, StreamTokens};
use voice_turns::interruption::Policy;
use voice_workers::{
    App, Config, Deps,
    config::RecordingConfig,
    facts::{Fact, Sink, Stopped, Subject, Utterance},
    plan::{Opening, Plan, Plans},
};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
const KEY: &str = "sk-test";

/// Every fact that was told.
#[derive(Clone, Debug)]
pub(crate) struct Facts(Arc<Mutex<Vec<Fact>>>, watch::Sender<usize>);

impl Sink for Facts {
    fn emit(&self, _: &Subject, _: DateTime<Utc>, fact: Fact) {
        let mut facts = self.0.lock().unwrap();
        facts.push(fact);
        self.1.send_replace(facts.len());
    }
}

impl Facts {
    /// Waits for the first fact that `wanted` makes something of.
    pub(crate) async fn find<T>(&self, mut wanted: impl FnMut(&Fact) -> Option<T>) -> T {
        let mut told = self.1.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.0.lock().unwrap().iter().find_map(&mut wanted) {
                    return found;
                }
                told.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("never told; only {:#?}", self.0.lock().unwrap()))
    }

    pub(crate) async fn stopped(&self) -> Stopped {
        self.find(|fact| match fact {
            Fact::Stopped(stopped) => Some(stopped.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn utterance(&self, mut wanted: impl FnMut(&Utterance) -> bool) -> Utterance {
        self.find(|fact| match fact {
            Fact::Utterance(utterance) if wanted(utterance) => Some(utterance.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) fn all(&self) -> Vec<Fact> {
        self.0.lock().unwrap().clone()
    }
}

/// Answers every call alike.
#[derive(Clone, Debug)]
struct Alike {
    provider: SocketAddr,
    greeting: Option<String>,
    transcode: bool,
    policy: Policy,
}

impl Plans for Alike {
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan> {
        let format = if self.transcode {
            voice_providers::AudioFormat::PCM_24K
        } else {
            opening.format
        };
        let account = Account {
            base_url: format!("ws://{}", self.provider).parse().unwrap(),
            key: SecretString::from(KEY),
        };
        let session = Session {
            model: models::default_model(Provider::OpenaiRealtime).to_owned(),
            instructions: "Be brief.".to_owned(),
            voice: None,
            input: format,
            output: format,
            languages: vec!["en".to_owned()],
            turns: Turns::default(),
            tools: Arc::new([]),
            history: Vec::new(),
            safety_id: None,
            resume: None,
        };
        Some(Plan {
            agent: None,
            adapter: Box::new(OpenaiRealtime::new(account, session, Options::default())),
            connector: Connector::new(
                Tls::with_roots(rustls::RootCertStore::empty()).unwrap(),
                reqwest::Client::new(),
                Duration::from_secs(3),
            ),
            greeting: self.greeting.clone(),
            interruption: self.policy,
            idle: None,
            record: true,
        })
    }
}

/// How a test wants its world.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) script: Script,
    pub(crate) greeting: bool,
    pub(crate) transcode: bool,
    pub(crate) policy: Policy,
    pub(crate) calls: usize,
    pub(crate) drain_seconds: u32,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            script: Script::default(),
            greeting: true,
            transcode: false,
            policy: Policy::default(),
            calls: 10,
            drain_seconds: 20,
        }
    }
}

/// Everything that runs.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) facts: Facts,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) tenant: TenantId,
    pub(crate) call: CallId,
    objects: Arc<InMemory>,
    tokens: StreamTokens,
    _spool: TempDir,
}

fn tokens() -> StreamTokens {
    StreamTokens::new(StreamKey::new([7; 32]), None)
}

impl World {
    pub(crate) async fn new(wanted: Wanted) -> Self {
        // reqwest asks for a process-wide provider even for clients that never use TLS.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = listener.local_addr().unwrap();
        let twins = Twins::new(KEY, Scripts::all(wanted.script));
        tokio::spawn(serve(listener, twins, None, std::future::pending()));

        let spool = tempfile::tempdir().unwrap();
        let objects = Arc::new(InMemory::new());
        let facts = Facts(Arc::default(), watch::Sender::new(0));
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lanes: 2,
            calls_per_lane: wanted.calls,
            // Other tests share the machine.
            max_lag_ms: 5_000,
            drain_seconds: wanted.drain_seconds,
            recording: RecordingConfig {
                spool: spool.path().to_owned(),
                ..RecordingConfig::default()
            },
            ..Config::default()
        };
        let deps = Deps {
            clock: SystemClock::shared(),
            tokens: Arc::new(tokens()),
            plans: Arc::new(Alike {
                provider,
                greeting: wanted.greeting.then(|| "Greet the caller.".to_owned()),
                transcode: wanted.transcode,
                policy: wanted.policy,
            }),
            sink: Arc::new(facts.clone()),
            objects: Some(objects.clone()),
            metrics: Metrics::empty(),
        };
        let app = App::build(config, deps).unwrap();
        let address = app.address();
        let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
        app.spawn(&lifecycle);
        Self {
            address,
            facts,
            lifecycle,
            tenant: TenantId::random(),
            call: CallId::random(),
            objects,
            tokens: tokens(),
            _spool: spool,
        }
    }

    /// A token that opens one stream within the next `seconds`.
    pub(crate) fn token(&self, seconds: i64, nonce: u8) -> String {
        let expires = SystemClock.now() + TimeDelta::seconds(seconds);
        self.tokens.issue(self.tenant, self.call, expires, [nonce; 12])
    }

    /// The recording of a stopped call: the caller's channel and the agent's.
    pub(crate) async fn recording(&self, key: &str) -> (Vec<u8>, Vec<u8>) {
        let path = object_store::path::Path::from(key);
        let stored = async {
            loop {
                if let Ok(found) = self.objects.get(&path).await {
                    return found.bytes().await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let file = tokio::time::timeout(PATIENCE, stored).await.unwrap();
        assert_eq!(&file[..4], b"RIFF");
        let data = &file[58..];
        let length = u32::from_le_bytes(file[54..58].try_into().unwrap()) as usize;
        assert_eq!(length, data.len(), "the head says how much follows");
        let channel = |offset: usize| data.iter().skip(offset).step_by(2).copied().collect();
        (channel(0), channel(1))
    }
}
