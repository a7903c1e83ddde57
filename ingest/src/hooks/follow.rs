//! Keeps the directory of accounts as Postgres has it.

use std::{collections::HashMap, time::Duration};

use voice_lifecycle::{CancellationToken, Check};
use voice_postgres::{
    Database, Result,
    accounts::{self, Changes},
    sealed::Sealer,
    tenants,
};
use voice_telemetry::{Emit, Metrics};

use super::accounts::{Directory, HookAccount};
use crate::events::{AccountUnusable, AccountsStale};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Loads the accounts, says ready, and loads them again whenever they change, until `token` is cancelled.
/// While Postgres is away it tries again, ever more slowly, and what was loaded stays in use.
pub(crate) async fn follow(
    database: Database,
    sealer: &Sealer,
    directory: Directory,
    ready: Check,
    metrics: Metrics,
    token: CancellationToken,
) {
    let follower = Follower {
        database,
        sealer,
        directory,
        ready,
        metrics,
    };
    let _until_cancelled = token.run_until_cancelled(follower.run()).await;
}

struct Follower<'a> {
    database: Database,
    sealer: &'a Sealer,
    directory: Directory,
    ready: Check,
    metrics: Metrics,
}

impl Follower<'_> {
    async fn run(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            let Err(error) = self.listen_and_load(&mut wait).await;
            AccountsStale { reason: error.kind() }.emit(&self.metrics);
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Ends only with an error.
    async fn listen_and_load(&self, wait: &mut Duration) -> Result<std::convert::Infallible> {
        // Listening begins before loading, or a change in between is missed.
        let mut changes = Changes::listen(&self.database).await?;
        loop {
            self.load().await?;
            *wait = FIRST_WAIT;
            changes.changed().await?;
        }
    }

    async fn load(&self) -> Result<()> {
        let loaded = accounts::load_all(&self.database, self.sealer).await?;
        let locales: HashMap<_, _> = tenants::all(&self.database)
            .await?
            .into_iter()
            .map(|tenant| (tenant.id, tenant.default_locale))
            .collect();
        for account in &loaded.unreadable {
            AccountUnusable {
                account: account.id,
                reason: account.error.kind(),
            }
            .emit(&self.metrics);
        }
        let accounts: Vec<_> = loaded
            .accounts
            .into_iter()
            .map(|account| {
                let locale = locales.get(&account.tenant).cloned().unwrap_or_default();
                HookAccount::of(account, locale)
            })
            .collect();
        self.directory.replace(&accounts, &self.metrics);
        self.ready.set_ready();
        Ok(())
    }
}
