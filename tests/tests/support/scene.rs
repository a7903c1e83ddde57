//! One test's own corner of a stack: topics, groups and databases nobody else touches.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret as _, SecretString};
use voice_clickhouse::ClickHouse;
use voice_kafka::{Producer, admin::Admin};
use voice_postgres::testing::TestDatabase;
use voice_schemas::topics::{self, Topic};
use voice_telephony::{ContextKey, ContextKeys};

use super::{Stack, Voice, voice};

/// Keys of the scenes; they open nothing else.
pub(super) const MASTER_KEY: [u8; 32] = [11; 32];
const CONTEXT_KEY: [u8; 32] = [12; 32];
pub(super) const STREAM_KEY: [u8; 32] = [13; 32];

/// One test's corner. What it made is deleted when it is dropped.
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) kafka: voice_kafka::Config,
    pub(crate) clickhouse: ClickHouse,
    pub(crate) producer: Producer,
    pub(crate) postgres: SecretString,
    pub(crate) settings: BTreeMap<String, String>,
    started: AtomicU32,
    _postgres: Option<TestDatabase>,
}

impl Scene {
    /// A scene on the stack of the environment.
    pub(crate) async fn new(suite: &str) -> Self {
        let database = TestDatabase::create_empty().await;
        let url = database.url();
        Self::make(suite, &Stack::of_the_environment(), url, Some(database)).await
    }

    /// A scene on a stack that is the test's own, with its database `voice`.
    pub(crate) async fn on(suite: &str, stack: &Stack) -> Self {
        Self::make(suite, stack, SecretString::from(stack.postgres.as_str()), None).await
    }

    async fn make(suite: &str, stack: &Stack, postgres: SecretString, own: Option<TestDatabase>) -> Self {
        // A second test of this process finds it installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let name = format!("{suite}_{:08x}", fastrand::u32(..));
        let kafka = voice_kafka::Config {
            brokers: stack.brokers.clone(),
            prefix: format!("{name}."),
            ..voice_kafka::Config::default()
        };
        let clickhouse = ClickHouse::new(&voice_clickhouse::Config {
            url: stack.clickhouse.clone(),
            database: name.clone(),
            ..voice_clickhouse::Config::default()
        });
        let settings = [
            ("KAFKA_BROKERS", stack.brokers.clone()),
            ("DATABASE_URL", postgres.expose_secret().to_owned()),
            ("CLICKHOUSE_URL", stack.clickhouse.clone()),
            ("VOICE_KAFKA__PREFIX", kafka.prefix.clone()),
            ("VOICE_CLICKHOUSE__DATABASE", name.clone()),
            ("VOICE_POSTGRES__MAX_CONNECTIONS", "8".to_owned()),
            (
                "VOICE_SECRETS__MASTER_KEYS",
                format!("[{{version=1,key=\"{}\"}}]", BASE64.encode(MASTER_KEY)),
            ),
            (
                "VOICE_SECRETS__CONTEXT_KEY",
                format!("\"{}\"", BASE64.encode(CONTEXT_KEY)),
            ),
            (
                "VOICE_SECRETS__STREAM_KEY",
                format!("\"{}\"", BASE64.encode(STREAM_KEY)),
            ),
            ("VOICE_OPS__LISTEN", "127.0.0.1:0".to_owned()),
            ("VOICE_OPS__READINESS_DELAY_MS", "0".to_owned()),
        ];
        let scene = Self {
            producer: Producer::new(&kafka).unwrap(),
            name,
            kafka,
            clickhouse,
            postgres,
            settings: settings
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            started: AtomicU32::new(0),
            _postgres: own,
        };
        let migrated = scene.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{migrated:?}");
        scene.make_topics().await;
        scene
    }

    /// The topic that matters as the catalogue has it, the others as small as can be.
    async fn make_topics(&self) {
        let admin = Admin::new(&self.kafka).unwrap();
        for topic in topics::ALL {
            let partitions = if topic.name == topics::CALLS.name {
                topic.partitions
            } else {
                1
            };
            admin.apply(&Topic { partitions, ..*topic }, 1).await.unwrap();
        }
    }

    /// Changes a setting of everything that is started from now on: `analytics.sink.linger_ms`.
    pub(crate) fn set(&mut self, setting: &str, value: impl ToString) {
        self.settings.insert(
            format!("VOICE_{}", setting.replace('.', "__").to_uppercase()),
            value.to_string(),
        );
    }

    /// Starts a role.
    pub(crate) fn start(&self, role: &str) -> Voice {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{role}-{number}.log", self.name));
        Voice::start(role, &self.settings, log)
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, words: &[&str]) -> Output {
        voice::command(words, &self.settings).await
    }

    /// The name of `calls.events` here.
    pub(crate) fn calls_topic(&self) -> String {
        self.kafka.topic(&topics::CALLS)
    }

    /// The keys that seal call contexts.
    pub(crate) fn context_keys(&self) -> Arc<ContextKeys> {
        Arc::new(ContextKeys::new(ContextKey::new(CONTEXT_KEY)))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let (kafka, clickhouse) = (self.kafka.clone(), self.clickhouse.clone());
        let statement = format!("DROP DATABASE IF EXISTS {} SYNC", self.name);
        // Drop cannot wait inside the test's runtime, so a thread with its own does.
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let names: Vec<_> = topics::ALL.iter().map(|topic| kafka.topic(topic)).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            runtime.block_on(async {
                let work = async {
                    let _leftovers_are_harmless = Admin::new(&kafka).unwrap().delete(&names).await;
                    let server = clickhouse.without_database();
                    let _leftovers_are_harmless =
                        server.execute("cleaning up", &statement, |query| query).await;
                };
                let _leftovers_are_harmless =
                    tokio::time::timeout(std::time::Duration::from_secs(15), work).await;
            });
        });
        let _leftovers_are_harmless = deleting.join();
    }
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
