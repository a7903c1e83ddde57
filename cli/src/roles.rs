//! Starting any set of roles in one process.

use std::{collections::HashMap, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use url::Url;
use voice_analytics::watchdog::CarrierMap;
use voice_clickhouse::ClickHouse;
use voice_kafka::Producer;
use voice_lifecycle::{Lifecycle, Readiness, SharedClock, SystemClock, TaskPolicy};
use voice_postgres::{
    Database, Role as DatabaseRole,
    accounts::{self, Credentials, ProviderAccount},
    sealed::Sealer,
};
use voice_schemas::{TenantId, events::call::Carrier};
use voice_telemetry::{BuildInfo, Metrics};
use voice_telephony::{CarrierClient, media::StreamUrls, telnyx, twilio};

use crate::settings::Settings;

mod dialling;
mod media;
mod outbox;
mod watermark;

const FLUSH: Duration = Duration::from_secs(5);
const CARRIER_TIMEOUT: Duration = Duration::from_secs(10);

/// A part of the platform that runs until it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Webhooks and events in.
    Ingest,
    /// Campaigns.
    Dialer,
    /// Calls with AI agents.
    Media,
    /// Kafka to ClickHouse and what follows.
    Analytics,
    /// Reports, and the outbox relay.
    Scheduler,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ingest,
        Self::Dialer,
        Self::Media,
        Self::Analytics,
        Self::Scheduler,
    ];
}

/// Runs `roles` until a signal, or until one of their tasks dies.
pub async fn run(settings: Settings, roles: &[Role]) -> anyhow::Result<ExitCode> {
    voice_telemetry::init(&settings.telemetry)?;
    let started = start(settings, roles).await?;
    tracing::info!(?roles, "running");
    let report = started.lifecycle.run_until_signal().await;
    started.finish().await;
    Ok(report.exit_code())
}

/// Roles that are running.
pub struct Started {
    /// Ends them.
    pub lifecycle: Lifecycle,
    /// Where ingest listens, if it was started.
    pub ingest: Option<Url>,
    /// Where media workers listen, if they were started.
    pub media: Option<SocketAddr>,
    /// The scheduler, if it was started.
    pub scheduler: Option<voice_scheduler::App>,
    /// What ingest and analytics write with.
    pub producer: Producer,
    /// The time.
    pub clock: SharedClock,
}

impl Started {
    /// Gives records that are still unconfirmed a last chance, after everything stopped.
    pub async fn finish(self) {
        if let Err(error) = self.producer.flush(FLUSH).await {
            tracing::warn!(%error, "records were still unconfirmed; whoever sent them was told nothing");
        }
    }
}

/// Starts `roles` and comes back at once. Every port that can be refused is opened here.
pub async fn start(settings: Settings, roles: &[Role]) -> anyhow::Result<Started> {
    let metrics = Metrics::new(&BuildInfo {
        role: if roles.len() > 1 { "all" } else { name(roles) },
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("VOICE_COMMIT").unwrap_or("unknown"),
    });
    let readiness = Readiness::new();
    let lifecycle = Lifecycle::new(
        readiness.clone(),
        Duration::from_millis(settings.ops.readiness_delay_ms),
    );
    let clock = SystemClock::shared();
    let sealer = Arc::new(settings.secrets.sealer().map_err(anyhow::Error::msg)?);
    let context = Arc::new(settings.secrets.context_keys().map_err(anyhow::Error::msg)?);
    let producer = Producer::new(&settings.kafka)?;
    let clickhouse = ClickHouse::new(&settings.clickhouse);
    let worker = Database::connect(&settings.postgres, DatabaseRole::Worker)
        .await
        .context("connecting to Postgres")?;

    let ops = TcpListener::bind(settings.ops.listen)
        .await
        .with_context(|| format!("ops: {}", settings.ops.listen))?;
    let router = voice_http::ops_router(readiness, metrics.clone());
    lifecycle.spawn(
        "ops listener",
        TaskPolicy::background(Duration::from_secs(2)),
        |stop| voice_http::serve(ops, router, stop),
    );

    let mut started = Started {
        lifecycle: lifecycle.clone(),
        ingest: None,
        media: None,
        scheduler: None,
        producer: producer.clone(),
        clock: clock.clone(),
    };
    let accounts = dialling::Accounts {
        database: worker.clone(),
        sealer: Arc::clone(&sealer),
        public_base_url: settings.ingest.public_base_url.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        lines: Arc::default(),
        clients: Arc::default(),
    };
    let (lines, clients) = (Arc::clone(&accounts.lines), Arc::clone(&accounts.clients));
    if roles
        .iter()
        .any(|role| matches!(role, Role::Dialer | Role::Media))
    {
        let mut versions = HashMap::new();
        accounts.load(&mut versions).await?;
        lifecycle.spawn(
            "carrier accounts",
            TaskPolicy::background(Duration::from_secs(2)),
            |stop| accounts.watch(versions, stop),
        );
    }
    for role in roles {
        match role {
            Role::Ingest => {
                let listen = settings.ingest.listen;
                let listener = TcpListener::bind(listen)
                    .await
                    .with_context(|| format!("ingest: {listen}"))?;
                started.ingest = Some(Url::parse(&format!("http://{}", listener.local_addr()?))?);
                let deps = voice_ingest::Deps {
                    clock: clock.clone(),
                    producer: producer.clone(),
                    kafka: settings.kafka.clone(),
                    accounts: voice_ingest::AccountSource::Postgres(worker.clone(), Arc::clone(&sealer)),
                    context: Arc::clone(&context),
                    metrics: metrics.clone(),
                };
                voice_ingest::App::build(settings.ingest.clone(), deps)?.spawn(&lifecycle, listener);
            }
            Role::Dialer => {
                let deps = voice_dialer::Dependencies {
                    kafka: settings.kafka.clone(),
                    database: worker.clone(),
                    producer: producer.clone(),
                    lines: Arc::clone(&lines),
                    context: Arc::clone(&context),
                    streams: streams(&settings)?,
                    gate: Arc::new(voice_dialer::law::Law::embedded()?),
                    clock: clock.clone(),
                    metrics: metrics.clone(),
                };
                let app = voice_dialer::App::build(settings.dialer.clone(), deps)
                    .context("the dialer asks the brokers for the partitions of calls.events")?;
                if let Some(listen) = settings.dialer.api.listen {
                    let listener = TcpListener::bind(listen)
                        .await
                        .with_context(|| format!("dialer: {listen}"))?;
                    app.serve_api(&lifecycle, listener);
                }
                app.start(&lifecycle);
            }
            Role::Media => {
                let given = media::Given {
                    database: worker.clone(),
                    clients: Arc::clone(&clients),
                    producer: producer.clone(),
                    clock: clock.clone(),
                    metrics: metrics.clone(),
                };
                started.media = Some(media::start(&settings, &lifecycle, given).await?);
            }
            Role::Analytics => {
                let deps = voice_analytics::Dependencies {
                    kafka: settings.kafka.clone(),
                    clickhouse: clickhouse.clone(),
                    producer: producer.clone(),
                    carriers: Arc::new(carriers(&worker, &sealer).await?),
                    clock: clock.clone(),
                    metrics: metrics.clone(),
                };
                voice_analytics::App::build(settings.analytics.clone(), deps).start(&lifecycle);
            }
            Role::Scheduler => {
                let deps = voice_scheduler::Deps {
                    database: worker.clone(),
                    source: Arc::new(voice_scheduler::figures::Figures::new(clickhouse.clone())),
                    watermark: Arc::new(watermark::SinkLag::new(settings.kafka.clone(), clock.clone())),
                    objects: voice_scheduler::jobs::files::folder(&settings.objects.folder)?,
                    clock: clock.clone(),
                    metrics: metrics.clone(),
                };
                let app = voice_scheduler::App::build(settings.scheduler.clone(), deps);
                started.scheduler = Some(app.clone());
                app.spawn(&lifecycle);
                let objects = voice_scheduler::jobs::files::folder(&settings.objects.folder)?;
                let keep = settings.media.recording.keep_days.clone();
                let (expiry_clock, expiry_metrics) = (clock.clone(), metrics.clone());
                lifecycle.spawn(
                    "recordings that run out",
                    TaskPolicy::background(Duration::from_secs(5)),
                    |stop| voice_recordings::expiry::run(objects, keep, expiry_clock, expiry_metrics, stop),
                );
                let relay = Database::connect(&settings.postgres, DatabaseRole::Relay).await?;
                outbox::spawn(
                    &lifecycle,
                    relay,
                    producer.clone(),
                    settings.kafka.clone(),
                    metrics.clone(),
                );
            }
        }
    }
    Ok(started)
}

/// Where calls are told to talk to AI agents.
fn streams(settings: &Settings) -> anyhow::Result<StreamUrls> {
    let tokens = settings.secrets.stream_tokens().map_err(anyhow::Error::msg)?;
    let base = settings
        .media
        .public_address()
        .context("media.public_url is not an address")?;
    Ok(StreamUrls::new(&base, Arc::new(tokens)))
}

fn name(roles: &[Role]) -> &'static str {
    match roles.first() {
        Some(Role::Ingest) => "ingest",
        Some(Role::Dialer) => "dialer",
        Some(Role::Media) => "media",
        Some(Role::Analytics) => "analytics",
        Some(Role::Scheduler) => "scheduler",
        None => "none",
    }
}

/// The clients that ask carriers about calls, one per account.
async fn carriers(database: &Database, sealer: &Sealer) -> anyhow::Result<CarrierMap> {
    let http = reqwest::Client::builder().build()?;
    let loaded = accounts::load_all(database, sealer).await?;
    let mut clients: HashMap<(TenantId, Carrier), Arc<dyn CarrierClient>> = HashMap::new();
    for account in &loaded.accounts {
        clients.insert(
            (account.tenant, account.credentials.carrier()),
            client(&http, account)?,
        );
    }
    Ok(CarrierMap(clients))
}

fn client(http: &reqwest::Client, account: &ProviderAccount) -> anyhow::Result<Arc<dyn CarrierClient>> {
    Ok(match &account.credentials {
        Credentials::Twilio {
            account_sid,
            auth_token,
            ..
        } => {
            let config = twilio::Config {
                account_sid: account_sid.clone(),
                user: account_sid.clone(),
                password: auth_token.clone(),
                base_url: base_url(account, "https://api.twilio.com")?,
                timeout: CARRIER_TIMEOUT,
            };
            Arc::new(twilio::Client::new(http.clone(), config))
        }
        Credentials::Telnyx {
            api_key,
            connection_id,
            ..
        } => {
            let config = telnyx::Config {
                api_key: api_key.clone(),
                connection_id: connection_id.clone(),
                base_url: base_url(account, "https://api.telnyx.com")?,
                timeout: CARRIER_TIMEOUT,
            };
            Arc::new(telnyx::Client::new(http.clone(), config))
        }
    })
}

fn base_url(account: &ProviderAccount, usual: &str) -> anyhow::Result<Url> {
    let text = account.base_url.as_deref().unwrap_or(usual);
    Url::parse(text).with_context(|| format!("the account {} has an unusable address", account.id))
}
