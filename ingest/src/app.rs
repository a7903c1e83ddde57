//! The composition root: settings and handles in, a service out.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, time::MissedTickBehavior};
use voice_http::{HttpConfig, Listener, Problem, Stack};
use voice_kafka::Producer;
use voice_lifecycle::{CancellationToken, Lifecycle, SharedClock, TaskPolicy};
use voice_telemetry::Metrics;
use voice_telephony::ContextKeys;

use crate::{
    AccountSource, Config,
    config::base_url,
    events::Counters,
    events_api::{self, EventsApi},
    hooks::{
        self, Hooks,
        accounts::Directory,
        follow,
        guard::rate::AddressGuard,
        signatures::{self, Verifier},
    },
    outlet::Outlet,
};

/// How long requests may take to finish once the process is told to stop: a little longer than the
/// producer waits for the brokers.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the gauges of memory are set.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What the service is given rather than makes.
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// Where records go. Its owner flushes it after the service has stopped.
    pub producer: Producer,
    /// How topics are called in this deployment.
    pub kafka: voice_kafka::Config,
    /// Where accounts come from.
    pub accounts: AccountSource,
    /// What opens the call contexts that come back with webhooks.
    pub context: Arc<ContextKeys>,
    /// Where telemetry goes.
    pub metrics: Metrics,
}

/// Settings that cannot be used, all of them at once.
#[derive(Debug, thiserror::Error)]
#[error("ingest cannot start: {}", .0.join("; "))]
pub struct BuildError(
    /// One sentence each.
    pub Vec<String>,
);

/// The service, put together.
pub struct App {
    router: Router,
    hooks: Arc<Hooks>,
    verifier: Option<Verifier>,
    directory: Directory,
    accounts: AccountSource,
    metrics: Metrics,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Puts the service together. Nothing runs and nothing is connected yet.
    ///
    /// # Errors
    /// When settings cannot be used; names all of them.
    pub fn build(config: Config, deps: Deps) -> Result<Self, BuildError> {
        let faults = config.faults();
        let base_url = match base_url(&config.public_base_url) {
            Ok(url) if faults.is_empty() => url,
            _ => return Err(BuildError(faults)),
        };
        let Deps {
            clock,
            producer,
            kafka,
            accounts,
            context,
            metrics,
        } = deps;
        let counters = Arc::new(Counters::new(&metrics));
        let addresses = Arc::new(AddressGuard::new(
            config.per_address_per_second,
            config.tracked_addresses,
        ));
        let outlet = Outlet::new(producer, kafka);
        let directory = Directory::new(&config.hooks);
        let (batches, verifier) = (config.hooks.verify_batch > 1)
            .then(|| {
                let (waiting, most) = (config.hooks.max_in_flight, config.hooks.verify_batch);
                signatures::batches(waiting, most, Arc::clone(&clock))
            })
            .unzip();
        let hooks = Arc::new(Hooks::new(hooks::Parts {
            config: config.hooks,
            base_url,
            trusted_hops: config.trusted_hops,
            addresses: Arc::clone(&addresses),
            directory: directory.clone(),
            context,
            outlet: outlet.clone(),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&counters),
            batches,
        }));
        let http = HttpConfig {
            body_limit_bytes: config.events.max_body_bytes,
            trusted_hops: config.trusted_hops,
            ..HttpConfig::default()
        };
        let stack = Stack::new(Listener("ingest"), http, metrics.clone());
        let events = Arc::new(EventsApi::new(
            config.events,
            config.trusted_hops,
            addresses,
            outlet,
            clock,
            counters,
        ));
        // Webhooks go without the common layers: a request id, a span and four metrics per request cost
        // more than the budget above the floor has room for, and `Hooks` counts its requests itself.
        let router = stack
            .apply(events_api::router(events).fallback(|| async { Problem::not_found() }))
            .merge(hooks::router(Arc::clone(&hooks)))
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed("POST") });
        Ok(Self {
            router,
            hooks,
            verifier,
            directory,
            accounts,
            metrics,
        })
    }

    /// Runs the service as tasks of `lifecycle`: the listener, which stops first and finishes what it has
    /// taken, and whoever follows the accounts. Ready once the accounts are loaded.
    pub fn spawn(self, lifecycle: &Lifecycle, listener: TcpListener) {
        let Self {
            router,
            hooks,
            verifier,
            directory,
            accounts,
            metrics,
        } = self;
        if let Some(verifier) = verifier {
            let policy = TaskPolicy::workers(Duration::from_secs(1));
            lifecycle.spawn("ingest signatures", policy, |token| verifier.run(token));
        }
        let ready = lifecycle.readiness().check("ingest accounts");
        match accounts {
            AccountSource::Fixed(accounts) => {
                directory.replace(&accounts, &metrics);
                ready.set_ready();
            }
            AccountSource::Postgres(database, sealer) => {
                lifecycle.spawn(
                    "ingest accounts",
                    TaskPolicy::background(Duration::from_secs(2)),
                    |token| async move {
                        follow::follow(database, &sealer, directory, ready, metrics, token).await;
                    },
                );
            }
        }
        lifecycle.spawn(
            "ingest gauges",
            TaskPolicy::background(Duration::from_secs(1)),
            |token| report(hooks, token),
        );
        lifecycle.spawn("ingest listener", TaskPolicy::ingress(DRAIN), |token| {
            serve(listener, router, token)
        });
    }
}

async fn serve(listener: TcpListener, router: Router, token: CancellationToken) -> io::Result<()> {
    voice_http::serve(listener, router, token).await
}

async fn report(hooks: Arc<Hooks>, token: CancellationToken) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while token.run_until_cancelled(ticks.tick()).await.is_some() {
        hooks.report();
    }
}
