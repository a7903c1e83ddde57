//! The worker under measurement: the service that `voice media` runs, with one lane, and without what stands around
//! it. Plans come from no Postgres, and what is told goes to no Kafka.

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use object_store::{ObjectStore, ObjectStoreExt as _};
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;
use url::Url;
use voice_lifecycle::{Lifecycle, Readiness, SystemClock};
use voice_providers::{
    Account, AudioFormat, Connector, Engine, Session, Tls, Turns,
    openai_realtime::Options,
    price::{Budget, PriceTable},
    tools::{Patience, Toolbox},
};
use voice_recordings::{Announce, KeyConfig, KeyRing, Ready, Store, note_key};
use voice_scheduler::jobs::files;
use voice_telemetry::Metrics;
use voice_workers::{
    App, Config, Deps,
    config::RecordingConfig,
    facts::{Fact, Sink, Subject},
    hands::{Deed, Hands, HandsError, Line},
    plan::{LastResort, Money, Opening, Plan, Plans, Recording, Tools, Voice},
};

use super::rig::tokens;
use crate::args::MediaWorkerArgs;

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

/// Takes note of recordings, and deletes them where they are not wanted.
#[derive(Debug)]
struct Shelf {
    objects: Arc<dyn ObjectStore>,
    forget: bool,
}

impl Announce for Shelf {
    fn announce(&self, ready: Ready) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            if self.forget {
                for key in [ready.recording.key.clone(), note_key(&ready.recording.key)] {
                    let _already = self.objects.delete(&key.into()).await;
                }
            }
            true
        })
    }
}

/// Makes of every call what its caller wishes.
#[derive(Debug)]
struct Wishes {
    account: Account,
    connector: Connector,
    toolbox: Toolbox,
    prices: Arc<PriceTable>,
}

impl Plans for Wishes {
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan> {
        let parameter = |name| opening.start.parameters.get(name).map(String::as_str);
        let wish = parameter("wish")?;
        let format = if wish.contains("convert") {
            AudioFormat::PCM_24K
        } else {
            opening.format
        };
        let session = Session {
            model: format!("bench-{}", parameter("number")?),
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
            engine: Engine::OpenaiRealtime(self.account.clone(), Options::default()),
            session,
        };
        Some(Plan {
            voices: vec![voice],
            connector: self.connector.clone(),
            disclosure: None,
            greeting: None,
            interruption: Default::default(),
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
            recording: if wish.contains("record") {
                Recording::On
            } else {
                Recording::Off
            },
        })
    }
}

/// Trusts the provider's own certificate and nobody else's.
fn connector(certificate: &str) -> anyhow::Result<Connector> {
    let der = STANDARD
        .decode(certificate)
        .context("the certificate is not Base64")?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der.into())?;
    Ok(Connector::new(
        Tls::with_roots(roots)?,
        reqwest::Client::new(),
        Duration::from_secs(10),
    ))
}

/// Serves until its input ends.
pub async fn run(args: MediaWorkerArgs) -> anyhow::Result<()> {
    let plans = Wishes {
        account: Account {
            base_url: Url::clone(&args.provider),
            key: SecretString::from("bench"),
        },
        connector: connector(&args.certificate)?,
        toolbox: Toolbox::new(Vec::new())?,
        prices: Arc::new(PriceTable::list()),
    };
    let objects = files::folder(&args.folder.join("stored"))?;
    let key = KeyConfig {
        id: "bench".to_owned(),
        // A key for benches only.
        key: SecretString::from("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    };
    let recordings = Store {
        objects: Arc::clone(&objects),
        keys: Arc::new(KeyRing::new(&[key])?),
        announce: Arc::new(Shelf {
            objects,
            forget: args.forget,
        }),
    };
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        lanes: 1,
        calls_per_lane: 10_000,
        // The bench wants to see what happens beyond the limit, too.
        max_lag_ms: 10_000,
        drain_seconds: 1,
        // The provider knows a call by the model its session names.
        sessions_early: 0,
        recording: RecordingConfig {
            spool: args.folder.join("spool"),
            ..RecordingConfig::default()
        },
        ..Config::default()
    };
    let app = App::build(
        config,
        Deps {
            clock: SystemClock::shared(),
            tokens: Arc::new(tokens()),
            plans: Arc::new(plans),
            sink: Arc::new(Nowhere),
            hands: Arc::new(Nowhere),
            recordings: Some(recordings),
            metrics: Metrics::empty(),
        },
    )?;
    let address = app.address();
    let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
    app.spawn(&lifecycle);
    announce(address)?;
    let report = lifecycle.run_until(told_to_stop()).await;
    anyhow::ensure!(report.code() == 0, "the worker did not stop cleanly");
    Ok(())
}

fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}

/// The bench closes the input of a worker it is done with, also when the bench itself dies.
async fn told_to_stop() {
    let mut end = Vec::new();
    let _an_error_ends_it_too = tokio::io::stdin().read_to_end(&mut end).await;
}
