//! A worker on loopback between a carrier of the tests' own and the twins of providers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use object_store::{ObjectStoreExt as _, memory::InMemory};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use voice_lifecycle::{
    CancellationToken, Clock as _, Lifecycle, Readiness, SharedClock, SystemClock, TokioClock,
};
use voice_providers::{
    Account, AudioFormat, Connector, Engine, Provider, Session, Tls, Turns, deepgram_agent, deepgram_cascade,
    gemini_live, models, openai_live, openai_realtime,
    price::{Budget, PriceTable},
    tools::{Patience, Toolbox, built_in},
};
use voice_recordings::{Announce, KeyConfig, KeyRing, Ready, Store, fetch};
use voice_schemas::{
    AgentId, CallId, TenantId,
    events::media::{ChangeKind, ProviderChange, ToolUse},
};
use voice_simulator_providers::{Script, Scripts, Twins, serve};
use voice_telemetry::Metrics;
use voice_telephony::media::{Duties, StreamKey, StreamPurpose, StreamTokens};
use voice_turns::interruption::Policy;
use voice_workers::{
    App, Config, Deps,
    config::RecordingConfig,
    facts::{Fact, Sink, Stopped, Subject, Utterance},
    plan::{LastResort, Money, Opening, Plan, Plans, Recording, Tools, Voice},
};

use crate::{
    platform::{Answer, Platform},
    relay::Relay,
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

/// A recording is looked for in the store here, not waited for.
impl Announce for Facts {
    fn announce(&self, _: Ready) -> BoxFuture<'_, bool> {
        Box::pin(async { true })
    }
}

fn keys() -> Arc<KeyRing> {
    let key = SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let id = "test".to_owned();
    Arc::new(KeyRing::new(&[KeyConfig { id, key }]).unwrap())
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

    pub(crate) async fn change(&self, kind: ChangeKind) -> ProviderChange {
        self.find(|fact| match fact {
            Fact::ProviderChanged(change) if change.kind == kind => Some(change.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn tool(&self, tool: &str) -> ToolUse {
        self.find(|fact| match fact {
            Fact::ToolUsed(used) if used.name == tool => Some(used.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) fn all(&self) -> Vec<Fact> {
        self.0.lock().unwrap().clone()
    }
}

/// Changes a plan as a test wants it.
pub(crate) type Adjust = Arc<dyn Fn(&mut Plan) + Send + Sync>;

/// Answers every call alike.
#[derive(Clone)]
struct Alike {
    voices: Vec<(Provider, SocketAddr)>,
    transcode: bool,
    adjust: Adjust,
}

impl std::fmt::Debug for Alike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alike")
            .field("voices", &self.voices)
            .finish_non_exhaustive()
    }
}

fn engine(provider: Provider, address: SocketAddr) -> Engine {
    let key = SecretString::from(KEY);
    let account = Account {
        base_url: format!("ws://{address}").parse().unwrap(),
        key: key.clone(),
    };
    match provider {
        Provider::OpenaiRealtime => Engine::OpenaiRealtime(account, openai_realtime::Options::default()),
        Provider::OpenaiLive => Engine::OpenaiLive(account, openai_live::Options::default()),
        Provider::GeminiLive => Engine::GeminiLive(account, gemini_live::Options::default()),
        Provider::DeepgramAgent => Engine::DeepgramAgent(account, deepgram_agent::Options::default()),
        Provider::DeepgramCascade => {
            let base_url = format!("http://{address}/v1").parse().unwrap();
            let chat = deepgram_cascade::ChatAccount { base_url, key };
            Engine::DeepgramCascade(account, chat, deepgram_cascade::Options::default())
        }
    }
}

impl Alike {
    fn voice(&self, (provider, address): (Provider, SocketAddr), leg: AudioFormat) -> Voice {
        let (input, output) = if self.transcode {
            (AudioFormat::PCM_24K, AudioFormat::PCM_24K)
        } else {
            provider.capabilities().formats_for(leg)
        };
        Voice {
            account: format!("{provider}-{}", address.port()),
            engine: engine(provider, address),
            session: Session {
                model: models::default_model(provider).to_owned(),
                instructions: "Be brief.".to_owned(),
                voice: None,
                input,
                output,
                languages: vec!["en".to_owned()],
                turns: Turns::default(),
                tools: Arc::new([]),
                history: Vec::new(),
                safety_id: None,
                resume: None,
            },
        }
    }
}

impl Plans for Alike {
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan> {
        let voices = self
            .voices
            .iter()
            .map(|voice| self.voice(*voice, opening.format))
            .collect();
        let mut plan = Plan {
            voices,
            connector: Connector::new(
                Tls::with_roots(rustls::RootCertStore::empty()).unwrap(),
                reqwest::Client::new(),
                Duration::from_secs(3),
            ),
            disclosure: None,
            greeting: Some("Greet the caller.".to_owned()),
            interruption: Policy::default(),
            idle: None,
            languages: None,
            tools: Tools {
                toolbox: Toolbox::new(built_in()).unwrap(),
                webhooks: Vec::new(),
                patience: Patience::with_filler("One moment, please."),
            },
            money: Money {
                budget: Budget {
                    downgrade_at: None,
                    end_at: None,
                },
                prices: Arc::new(PriceTable::list()),
                farewell: "I have to end the call here. Goodbye.".to_owned(),
            },
            machine: None,
            last_resort: LastResort::default(),
            recording: Recording::On,
        };
        (self.adjust)(&mut plan);
        Some(plan)
    }
}

/// How a test wants its world.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// The providers in the order of the plan, each with its scripts, one connection by each.
    pub(crate) voices: Vec<(Provider, Scripts)>,
    pub(crate) transcode: bool,
    pub(crate) adjust: Adjust,
    pub(crate) platform: Platform,
    pub(crate) calls: usize,
    pub(crate) drain_seconds: u32,
    /// Sessions that are opened before their calls; then all calls are of one lane.
    pub(crate) early: usize,
    /// Everything runs by the clock of the test's runtime, which is stopped and jumps from timer to timer. Providers
    /// are behind doors, and nothing is recorded.
    pub(crate) stopped: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self::from(Script::default())
    }
}

/// OpenAI Realtime by this script.
impl From<Script> for Wanted {
    fn from(script: Script) -> Self {
        Self {
            voices: vec![(Provider::OpenaiRealtime, Scripts::all(script))],
            transcode: false,
            adjust: Arc::new(|_| {}),
            platform: Platform::answering([]),
            calls: 10,
            drain_seconds: 20,
            early: 0,
            stopped: false,
        }
    }
}

impl Wanted {
    /// By a clock that jumps from timer to timer.
    pub(crate) fn stopped(self) -> Self {
        Self {
            stopped: true,
            calls: 100,
            ..self
        }
    }

    pub(crate) fn voices(voices: Vec<(Provider, Scripts)>) -> Self {
        Self {
            voices,
            ..Self::default()
        }
    }

    pub(crate) fn plan(self, adjust: impl Fn(&mut Plan) + Send + Sync + 'static) -> Self {
        Self {
            adjust: Arc::new(adjust),
            ..self
        }
    }

    pub(crate) fn platform(self, answers: impl IntoIterator<Item = (&'static str, Answer)>) -> Self {
        Self {
            platform: Platform::answering(answers),
            ..self
        }
    }
}

/// Everything that runs.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) facts: Facts,
    pub(crate) platform: Platform,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: Metrics,
    pub(crate) tenant: TenantId,
    pub(crate) call: CallId,
    /// The doors of the providers, in the order of the plan, where time is stopped.
    pub(crate) doors: Vec<Relay>,
    clock: SharedClock,
    agent: AgentId,
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
        let (mut voices, mut doors) = (Vec::new(), Vec::new());
        for (provider, scripts) in wanted.voices {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut address = listener.local_addr().unwrap();
            let twins = Twins::new(KEY, scripts);
            tokio::spawn(serve(listener, twins, None, std::future::pending()));
            if wanted.stopped {
                doors.push(Relay::to(address).await);
                address = doors[doors.len() - 1].address;
            }
            voices.push((provider, address));
        }
        let clock: SharedClock = if wanted.stopped {
            Arc::new(TokioClock::starting_at(SystemClock.now()))
        } else {
            SystemClock::shared()
        };

        let spool = tempfile::tempdir().unwrap();
        let objects = Arc::new(InMemory::new());
        let facts = Facts(Arc::default(), watch::Sender::new(0));
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lanes: if wanted.stopped || wanted.early > 0 { 1 } else { 2 },
            sessions_early: wanted.early,
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
        let metrics = Metrics::empty();
        let deps = Deps {
            clock: clock.clone(),
            tokens: Arc::new(tokens()),
            plans: Arc::new(Alike {
                voices,
                transcode: wanted.transcode,
                adjust: wanted.adjust,
            }),
            hands: Arc::new(wanted.platform.clone()),
            sink: Arc::new(facts.clone()),
            recordings: (!wanted.stopped).then(|| Store {
                objects: objects.clone(),
                keys: keys(),
                announce: Arc::new(facts.clone()),
            }),
            metrics: metrics.clone(),
        };
        let app = App::build(config, deps).unwrap();
        let address = app.address();
        let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
        if wanted.stopped {
            tokio::spawn(app.serve(CancellationToken::new()));
        } else {
            app.spawn(&lifecycle);
        }
        Self {
            address,
            facts,
            platform: wanted.platform,
            lifecycle,
            metrics,
            tenant: TenantId::random(),
            call: CallId::random(),
            doors,
            clock,
            agent: AgentId::random(),
            objects,
            tokens: tokens(),
            _spool: spool,
        }
    }

    /// A token that opens one stream within the next `seconds`.
    pub(crate) fn token(&self, seconds: i64, nonce: u8) -> String {
        let expires = self.clock.now() + TimeDelta::seconds(seconds);
        let purpose = StreamPurpose {
            tenant: self.tenant,
            call: self.call,
            agent: self.agent,
            dialled: None,
            duties: Duties::STRICTEST,
        };
        self.tokens.issue(&purpose, expires, [nonce; 12])
    }

    /// The recording of a stopped call: the caller's channel and the agent's.
    pub(crate) async fn recording(&self, key: &str) -> (Vec<u8>, Vec<u8>) {
        let path = object_store::path::Path::from(key);
        let stored = async {
            loop {
                if self.objects.head(&path).await.is_ok() {
                    let mut wav = Vec::new();
                    fetch(&*self.objects, key, &keys(), &mut wav).await.unwrap();
                    return wav;
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
