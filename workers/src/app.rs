//! The composition root: settings and handles in, a service out.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::MissedTickBehavior};
use voice_lifecycle::{CancellationToken, Lifecycle, SharedClock, TaskPolicy};
use voice_recordings::{Settings, Store, Writer};
use voice_telemetry::{Emit as _, Metrics};
use voice_telephony::media::{SingleUse, StreamTokens};

use crate::{
    Config,
    breakers::Breakers,
    bridge::{Early, Shared},
    error::BuildError,
    events::Load,
    facts::Sink,
    hands::Hands,
    plan::Plans,
    way_in::{self, Gate, admission::Admission},
};

/// How often the gauges are set.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// What ending a call takes after the last moment of the drain.
const ENDING: Duration = Duration::from_secs(5);

/// What the service is given rather than makes.
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// What opens stream tokens.
    pub tokens: Arc<StreamTokens>,
    /// How calls are answered.
    pub plans: Arc<dyn Plans>,
    /// Where facts go.
    pub sink: Arc<dyn Sink>,
    /// What acts for calls.
    pub hands: Arc<dyn Hands>,
    /// Where recordings go and what seals them; `None` records nothing.
    pub recordings: Option<Store>,
    /// Where telemetry goes.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The service, put together.
#[derive(Debug)]
pub struct App {
    gate: Arc<Gate>,
    shared: Shared,
    recordings: Option<Writer>,
    lanes: Vec<(Arc<Admission>, std::net::TcpListener)>,
    drain: Duration,
    address: SocketAddr,
}

impl App {
    /// Puts the service together and binds its port. Nothing is accepted yet.
    ///
    /// # Errors
    /// When settings cannot be used, the port is taken, or the spool cannot be opened; names all of them.
    pub fn build(config: Config, deps: Deps) -> Result<Self, BuildError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(BuildError(faults));
        }
        let fault = |what: &str, error: &io::Error| BuildError(vec![format!("{what}: {error}")]);
        let Deps {
            clock,
            tokens,
            plans,
            sink,
            hands,
            recordings,
            metrics,
        } = deps;
        let (spool, recordings) = match recordings {
            Some(store) => {
                let settings = Settings {
                    folder: config.recording.spool.clone(),
                    waiting: config.recording.waiting,
                    retention: config.recording.retention.clone(),
                };
                let opened = voice_recordings::open(settings, store, clock.clone(), metrics.clone())
                    .map_err(|error| fault("media.recording.spool cannot be opened", &error))?;
                (Some(opened.0), Some(opened.1))
            }
            None => (None, None),
        };
        let bind =
            |address| way_in::listen(address).map_err(|error| fault("media.listen cannot be bound", &error));
        let first = bind(config.listen)?;
        let address = first
            .local_addr()
            .map_err(|error| fault("media.listen has no address", &error))?;
        let most_lag = Duration::from_millis(config.max_lag_ms.into());
        let lane = |listener| {
            let admission = Arc::new(Admission::new(config.calls_per_lane, most_lag));
            (admission, listener)
        };
        let mut lanes = vec![lane(first)];
        for _ in 1..config.lanes() {
            lanes.push(lane(bind(address)?));
        }
        Ok(Self {
            gate: Arc::new(Gate {
                tokens,
                used: Mutex::new(SingleUse::new(config.tokens_remembered)),
            }),
            shared: Shared {
                plans,
                sink,
                hands,
                breakers: Arc::new(Breakers::new(metrics.clone())),
                early: Arc::new(Early::new(config.sessions_early)),
                spool,
                clock,
                metrics,
                start_timeout: config.start_timeout(),
                max_call: config.max_call(),
            },
            recordings,
            lanes,
            drain: config.drain(),
            address,
        })
    }

    /// The same with breakers that hear of those of other workers.
    #[must_use]
    pub fn sharing(mut self, breakers: Arc<Breakers>) -> Self {
        self.shared.breakers = breakers;
        self
    }

    /// Where carriers reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs the service as tasks of `lifecycle`. Told to stop, no call is taken any more and those under way may
    /// end by themselves; then they are ended.
    pub fn spawn(self, lifecycle: &Lifecycle) {
        let Self {
            gate,
            shared,
            recordings,
            lanes,
            drain,
            address: _,
        } = self;
        if let Some(recordings) = recordings {
            lifecycle.spawn(
                "media recordings",
                TaskPolicy::background(Duration::from_secs(60)).may_finish(),
                |token| recordings.run(token),
            );
        }
        let all: Vec<Arc<Admission>> = lanes.iter().map(|(admission, _)| Arc::clone(admission)).collect();
        let metrics = shared.metrics.clone();
        lifecycle.spawn(
            "media gauges",
            TaskPolicy::background(Duration::from_secs(1)),
            move |token| report(all, metrics, token),
        );
        for (admission, listener) in lanes {
            let (gate, shared) = (Arc::clone(&gate), shared.of_a_lane());
            lifecycle.spawn("media lane", TaskPolicy::ingress(drain + ENDING), move |token| {
                lane(listener, gate, shared, admission, token, drain)
            });
        }
    }

    /// Serves on the caller's runtime instead of threads of its own, and so by the caller's clock, which a test may
    /// have stopped. `stop` ends all calls. Recordings are not written.
    ///
    /// # Errors
    /// When a lane cannot listen.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let lanes = self.lanes.into_iter().map(|(admission, listener)| {
            let (gate, shared) = (Arc::clone(&self.gate), self.shared.of_a_lane());
            way_in::serve(listener, gate, shared, admission, stop.clone(), stop.clone())
        });
        futures::future::try_join_all(lanes).await.map(drop)
    }
}

/// Runs one lane on a thread of its own.
async fn lane(
    listener: std::net::TcpListener,
    gate: Arc<Gate>,
    shared: Shared,
    admission: Arc<Admission>,
    token: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let (done, over) = oneshot::channel();
    let draining = token.clone();
    let stopping = stop.clone();
    std::thread::Builder::new()
        .name("media lane".to_owned())
        .spawn(move || {
            let served = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .and_then(|runtime| {
                    runtime.block_on(way_in::serve(
                        listener, gate, shared, admission, draining, stopping,
                    ))
                });
            // Nobody listens when the process ends without waiting for the lane.
            let _nobody = done.send(served);
        })?;
    let deadline = async {
        token.cancelled().await;
        tokio::time::sleep(drain).await;
        stop.cancel();
    };
    let served = async {
        over.await
            .unwrap_or_else(|_| Err(io::Error::other("the lane's thread died")))
    };
    tokio::pin!(served);
    tokio::select! {
        result = &mut served => result,
        () = deadline => served.await,
    }
}

async fn report(lanes: Vec<Arc<Admission>>, metrics: Metrics, token: CancellationToken) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while token.run_until_cancelled(ticks.tick()).await.is_some() {
        Load {
            live: lanes.iter().map(|lane| lane.live()).sum(),
            lag: lanes.iter().map(|lane| lane.lag()).max().unwrap_or_default(),
        }
        .emit(&metrics);
    }
}
