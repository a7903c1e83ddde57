//! The ways to the carriers: one per account, kept fresh while accounts change.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use url::Url;
use voice_dialer::origination::carriers::{Line, Lines};
use voice_lifecycle::SharedClock;
use voice_postgres::{
    Database,
    accounts::{self, ProviderAccount},
    sealed::Sealer,
};
use voice_resilience::{BREAKER, CircuitBreaker, Dependency};
use voice_schemas::{ProviderAccountId, events::call::Carrier};
use voice_telemetry::Metrics;
use voice_telephony::HookUrls;
use voice_workers::deeds;

use super::client;

const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What media workers reach carriers with.
pub type Clients = Arc<RwLock<Arc<deeds::Clients>>>;

/// Accounts calls can be placed through.
pub struct Accounts {
    pub database: Database,
    pub sealer: Arc<Sealer>,
    pub public_base_url: String,
    pub clock: SharedClock,
    pub metrics: Metrics,
    /// For the dialer.
    pub lines: Arc<RwLock<Arc<Lines>>>,
    /// The same clients, for media workers.
    pub clients: Clients,
}

impl Accounts {
    /// Reads the accounts. One that did not change keeps its connections and its breaker.
    pub async fn load(&self, versions: &mut HashMap<ProviderAccountId, i64>) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(256).build()?;
        let loaded = accounts::load_all(&self.database, &self.sealer).await?;
        let before = Arc::clone(&self.lines.read().unwrap_or_else(PoisonError::into_inner));
        let mut lines = Lines::new();
        for account in &loaded.accounts {
            let key = (account.tenant, account.id);
            let same = versions.insert(account.id, account.version) == Some(account.version);
            let line = match before.get(&key).filter(|_| same) {
                Some(line) => line.clone(),
                None => self.line(&http, account)?,
            };
            lines.insert(key, line);
        }
        let clients = lines
            .iter()
            .map(|(key, line)| (*key, Arc::clone(&line.client)))
            .collect();
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clients);
        *self.lines.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lines);
        Ok(())
    }

    fn line(&self, http: &reqwest::Client, account: &ProviderAccount) -> anyhow::Result<Line> {
        let carrier = account.credentials.carrier();
        let base = format!(
            "{}/hooks/{carrier}/{}",
            self.public_base_url.trim_end_matches('/'),
            account.ingress_id
        );
        let base = Url::parse(&base).context("ingest.public_base_url is not an address")?;
        Ok(Line {
            client: client(http, account)?,
            hooks: HookUrls::new(&base),
            breaker: CircuitBreaker::observed(
                BREAKER,
                Arc::clone(&self.clock),
                self.metrics.clone(),
                Dependency(match carrier {
                    Carrier::Telnyx => "telnyx_calls",
                    Carrier::Twilio => "twilio_calls",
                }),
                account.id.to_string(),
            ),
        })
    }

    /// Reads them again whenever one changes.
    pub async fn watch(self, mut versions: HashMap<ProviderAccountId, i64>, stop: CancellationToken) {
        loop {
            let watch = async {
                // Listens first, so that nothing changes between the reading and the listening.
                let mut changes = accounts::Changes::listen(&self.database).await?;
                loop {
                    self.load(&mut versions).await?;
                    changes.changed().await?;
                }
            };
            let ended: anyhow::Result<std::convert::Infallible> = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ended = watch => ended,
            };
            let Err(error) = ended;
            tracing::warn!(%error, "carrier accounts could not be read; the known ones stay in use");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
    }
}
