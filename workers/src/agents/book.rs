//! All agents, in memory.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use voice_lifecycle::CancellationToken;
use voice_postgres::{Database, Heard, Listener};
use voice_providers::{Connector, ModelEnds, price::PriceTable};
use voice_schemas::{AgentId, TenantId};
use voice_telemetry::{Emit as _, Metrics};

use super::{Accounts, prepared::Prepared, records};
use crate::plan::{Opening, Plan, Plans};

/// The channel every change of configuration is announced on.
const CHANNEL: &str = "config_changed";
const TRY_AGAIN: Duration = Duration::from_secs(5);

type Agents = HashMap<(TenantId, AgentId), Arc<Prepared>>;

/// Who answers which call. Clones are the same book.
#[derive(Clone)]
pub struct Book(Arc<Inner>);

struct Inner {
    agents: RwLock<Arc<Agents>>,
    database: Database,
    accounts: Accounts,
    connector: Connector,
    prices: Arc<PriceTable>,
    metrics: Metrics,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book")
            .field("agents", &self.agents().len())
            .finish()
    }
}

impl Book {
    /// Reads the agents of all tenants, over a database of the role [`Worker`](voice_postgres::Role::Worker).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(
        database: Database,
        accounts: Accounts,
        connector: Connector,
        metrics: Metrics,
    ) -> voice_postgres::Result<Self> {
        let book = Self(Arc::new(Inner {
            agents: RwLock::default(),
            database,
            accounts,
            connector,
            prices: Arc::new(PriceTable::list()),
            metrics,
        }));
        book.read().await?;
        Ok(book)
    }

    fn agents(&self) -> Arc<Agents> {
        Arc::clone(&self.0.agents.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(&self) -> voice_postgres::Result<()> {
        let loaded = records::load_all(&self.0.database).await?;
        for (tenant, agent, error) in &loaded.unreadable {
            tracing::error!(%tenant, %agent, kind = error.kind(), "an AI agent cannot be read");
        }
        let mut agents = Agents::new();
        for (tenant, agent) in loaded.agents {
            let id = agent.id;
            let made = Prepared::new(
                agent,
                &self.0.accounts,
                Arc::clone(&self.0.prices),
                self.0.connector.clone(),
            );
            match made {
                Ok(prepared) => {
                    for (provider, shutdown) in prepared.ending_models() {
                        ModelEnds { provider, shutdown }.emit(&self.0.metrics);
                    }
                    agents.insert((tenant, id), Arc::new(prepared));
                }
                Err(error) => tracing::warn!(%tenant, agent = %id, %error, "an AI agent cannot talk"),
            }
        }
        *self.0.agents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(agents);
        Ok(())
    }

    /// Reads them again whenever one changes, until `stop`. What is known stays in use while Postgres is away.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            let watch = async {
                // Listens first, so that nothing changes between the reading and the listening.
                let mut listener = self.0.database.listen(&[CHANNEL]).await?;
                loop {
                    self.read().await?;
                    changed(&mut listener).await?;
                }
            };
            let ended: Option<voice_postgres::Result<Infallible>> = stop.run_until_cancelled(watch).await;
            let Some(Err(error)) = ended else { return };
            tracing::warn!(
                kind = error.kind(),
                "AI agents could not be read; the known ones stay in use"
            );
            if stop
                .run_until_cancelled(tokio::time::sleep(TRY_AGAIN))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

async fn changed(listener: &mut Listener) -> voice_postgres::Result<()> {
    loop {
        match listener.next().await? {
            Heard::Gap => break,
            Heard::Notification { payload, .. }
                if payload.starts_with("ai_agents:") || payload.starts_with("tenants:") =>
            {
                break;
            }
            Heard::Notification { .. } => {}
        }
    }
    listener.drain();
    Ok(())
}

impl Plans for Book {
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan> {
        let (tenant, agent) = (opening.grant.tenant, opening.grant.agent);
        let prepared = self.agents().get(&(tenant, agent)).cloned();
        if prepared.is_none() {
            tracing::error!(%tenant, %agent, call = %opening.grant.call, "nobody knows the agent of a call");
        }
        Some(prepared?.plan(tenant, opening.format, opening.grant.duties))
    }
}
