//! Media workers, with everything they are given.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::runtime::Handle;
use voice_kafka::Producer;
use voice_lifecycle::{Lifecycle, SharedClock, TaskPolicy};
use voice_postgres::Database;
use voice_providers::{Connector, Tls};
use voice_recordings::{KeyRing, Store};
use voice_telemetry::Metrics;
use voice_workers::{
    App, Deps,
    agents::{Accounts, Book},
    breakers,
    deeds::Deeds,
    outbox,
};

use super::dialling::Clients;
use crate::settings::Settings;

/// What is still to be written when the last call is over: recordings first, then what was told of them.
const LAST_FACTS: Duration = Duration::from_secs(75);

/// What the role is given.
pub struct Given {
    pub database: Database,
    pub clients: Clients,
    pub producer: Producer,
    pub clock: SharedClock,
    pub metrics: Metrics,
}

/// Changes of circuit breakers that may wait for Kafka.
const BREAKERS_WAITING: usize = 64;

/// Starts the role; says where it listens.
pub async fn start(settings: &Settings, lifecycle: &Lifecycle, given: Given) -> anyhow::Result<SocketAddr> {
    let Given {
        database,
        clients,
        producer,
        clock,
        metrics,
    } = given;
    let config = settings.media.clone();
    let tokens = settings.secrets.stream_tokens().map_err(anyhow::Error::msg)?;
    let connector = Connector::new(
        tls(&config.providers)?,
        reqwest::Client::builder().build()?,
        config.provider_timeout(),
    );
    let book = Book::open(
        database.clone(),
        config.providers.clone(),
        connector,
        metrics.clone(),
    )
    .await
    .context("reading the AI agents")?;
    let (queue, outbox) = outbox::queue(config.facts_waiting, metrics.clone());
    let recordings = if config.recording.keys.is_empty() {
        tracing::warn!("media.recording.keys is empty: no call is recorded");
        None
    } else {
        Some(Store {
            objects: voice_scheduler::jobs::files::folder(&settings.objects.folder)?,
            keys: Arc::new(KeyRing::new(&config.recording.keys)?),
            announce: Arc::new(queue.clone()),
        })
    };
    let (shared, link) = breakers::shared(BREAKERS_WAITING, metrics.clone());
    let deps = Deps {
        clock: clock.clone(),
        tokens: Arc::new(tokens),
        plans: Arc::new(book.clone()),
        hands: Arc::new(Deeds::new(database, clients, clock.clone(), Handle::current())),
        sink: Arc::new(queue),
        recordings,
        metrics,
    };
    let app = App::build(config, deps)?.sharing(shared);
    let address = app.address();
    app.spawn(lifecycle);
    lifecycle.spawn(
        "AI agents",
        TaskPolicy::background(Duration::from_secs(2)),
        |stop| book.watch(stop),
    );
    let (kafka, telling) = (settings.kafka.clone(), producer.clone());
    lifecycle.spawn(
        "provider breakers",
        TaskPolicy::background(Duration::from_secs(5)),
        |stop| link.run(telling, kafka, clock, stop),
    );
    let kafka = settings.kafka.clone();
    // Ends by itself, when whoever could still tell something is gone.
    lifecycle.spawn(
        "media facts",
        TaskPolicy::background(LAST_FACTS).may_finish(),
        |_| async move { outbox.run(producer, kafka).await },
    );
    Ok(address)
}

/// Whom connections to providers believe.
fn tls(providers: &Accounts) -> anyhow::Result<Tls> {
    let Some(path) = &providers.ca_file else {
        return Ok(Tls::system()?);
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .with_context(|| format!("media.providers.ca_file: {}", path.display()))?;
    for certificate in certificates {
        roots.add(certificate.context("media.providers.ca_file holds something that is no certificate")?)?;
    }
    ensure!(!roots.is_empty(), "media.providers.ca_file holds no certificate");
    Ok(Tls::with_roots(roots)?)
}
