//! Putting the service together.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use voice_kafka::{KafkaError, Producer, admin::Admin};
use voice_lifecycle::{Lifecycle, SharedClock, TaskPolicy};
use voice_postgres::Database;
use voice_schemas::topics;
use voice_telemetry::Metrics;
use voice_telephony::{ContextKeys, media::StreamUrls};

use crate::{
    Config,
    api::Api,
    controller::{self, Directory, Listings},
    gate::Gate,
    origination::{carriers::Lines, cps::Purse},
};

/// The consumer group whose members share the campaign shards.
pub const GROUP: &str = "dialer";

/// What the service needs from outside.
pub struct Dependencies {
    /// How to reach the brokers.
    pub kafka: voice_kafka::Config,
    /// Where everything stands; of the role [`Worker`](voice_postgres::Role::Worker).
    pub database: Database,
    /// Where events go.
    pub producer: Producer,
    /// Accounts calls can be placed through; put new ones in whenever they change.
    pub lines: Arc<RwLock<Arc<Lines>>>,
    /// Seals what comes back with webhooks.
    pub context: Arc<ContextKeys>,
    /// Where calls talk to AI agents.
    pub streams: StreamUrls,
    /// The law.
    pub gate: Arc<dyn Gate>,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Metrics,
}

/// The service, ready to start.
pub struct App {
    deps: controller::Deps,
    directory: Directory,
    drain: Duration,
}

impl App {
    /// Puts the parts together. Asks the brokers how many partitions `calls.events` has: the owner of a shard
    /// follows from it.
    ///
    /// # Errors
    /// When the brokers cannot be reached or the topic does not exist.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, KafkaError> {
        let Dependencies {
            kafka,
            database,
            producer,
            lines,
            context,
            streams,
            gate,
            clock,
            metrics,
        } = dependencies;
        let partitions = Admin::new(&kafka)?
            .partitions(&kafka.topic(&topics::CALLS))?
            .len();
        let (directory, listings) = Directory::new(database.clone(), Arc::clone(&clock));
        Ok(Self {
            drain: Duration::from_millis(kafka.consumer.drain_deadline_ms) + Duration::from_secs(5),
            directory,
            deps: controller::Deps {
                database,
                producer,
                partitions: u32::try_from(partitions).unwrap_or(1),
                kafka,
                lines,
                context,
                streams,
                gate,
                listings,
                purse: Arc::new(Mutex::new(Purse::default())),
                requests: Arc::new(Semaphore::new(config.requests_at_once)),
                clock,
                metrics,
                config,
            },
        })
    }

    /// What this process knows of campaigns.
    #[must_use]
    pub fn listings(&self) -> Listings {
        self.deps.listings.clone()
    }

    /// Answers "why not" on this listener, as a task of `lifecycle`.
    pub fn serve_api(&self, lifecycle: &Lifecycle, listener: TcpListener) {
        let deps = &self.deps;
        Api::new(
            &deps.config.api,
            deps.database.clone(),
            Arc::clone(&deps.gate),
            Arc::clone(&deps.clock),
        )
        .spawn(lifecycle, listener, deps.metrics.clone());
    }

    /// Starts every part.
    pub fn start(self, lifecycle: &Lifecycle) {
        let Self {
            deps,
            directory,
            drain,
        } = self;
        lifecycle.spawn(
            "campaign directory",
            TaskPolicy::background(Duration::from_secs(5)),
            |stop: CancellationToken| directory.run(stop),
        );
        lifecycle.spawn(
            "dialer",
            TaskPolicy::workers(drain),
            |stop: CancellationToken| async move {
                let kafka = deps.kafka.clone();
                let topic = kafka.topic(&topics::CALLS);
                voice_kafka::consumer::run(
                    &kafka,
                    GROUP,
                    &[&topic],
                    move |partition| Box::pin(controller::run(deps.clone(), partition)),
                    stop,
                )
                .await
            },
        );
    }
}

/// The accounts as of now.
pub(crate) fn lines(shared: &RwLock<Arc<Lines>>) -> Arc<Lines> {
    Arc::clone(&shared.read().unwrap_or_else(PoisonError::into_inner))
}
