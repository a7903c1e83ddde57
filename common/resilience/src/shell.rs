//! The circuit breaker around real calls: a lock, a clock and telemetry.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use voice_lifecycle::SharedClock;
use voice_telemetry::{Emit, Metrics};

use crate::{Breaker, BreakerChanged, BreakerPolicy, Dependency, Permit, Rejected, State, Transition};

/// Why a guarded call has no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// It was not made.
    #[error(transparent)]
    Rejected(Rejected),
    /// It was made and failed.
    #[error(transparent)]
    Failed(E),
}

impl<E> CallError<E> {
    /// Stable label of the error.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "circuit_open",
            Self::Failed(_) => "call_failed",
        }
    }

    /// When it makes sense to ask again, if the circuit is what stands in the way.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejected) => Some(rejected.retry_after),
            Self::Failed(_) => None,
        }
    }
}

type Observer = dyn Fn(Transition) + Send + Sync;

/// A breaker that many tasks share. Clones are the same breaker.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Inner>);

struct Inner {
    breaker: Mutex<Breaker>,
    clock: SharedClock,
    observer: Box<Observer>,
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreaker").field(&self.state()).finish()
    }
}

impl CircuitBreaker {
    /// A closed breaker that tells `observer` of every transition, after the lock is released.
    #[must_use]
    pub fn new(
        policy: BreakerPolicy,
        clock: SharedClock,
        observer: impl Fn(Transition) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            breaker: Mutex::new(Breaker::new(policy)),
            clock,
            observer: Box::new(observer),
        }))
    }

    /// A closed breaker that emits [`BreakerChanged`]. `scope` tells breakers of one dependency apart in the
    /// log: ids of tenant and account, nothing personal.
    #[must_use]
    pub fn observed(
        policy: BreakerPolicy,
        clock: SharedClock,
        metrics: Metrics,
        dependency: Dependency,
        scope: String,
    ) -> Self {
        Self::new(policy, clock, move |transition| {
            BreakerChanged {
                dependency,
                scope: &scope,
                transition,
            }
            .emit(&metrics);
        })
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> State {
        self.breaker().state()
    }

    /// Makes `call` unless the circuit is open. `blames` says whether an error speaks against the other
    /// side (timeouts, connection errors, 5xx) or only against the request (4xx). A future that is dropped
    /// or panics before it is done gives its place back.
    ///
    /// # Errors
    /// [`CallError::Rejected`] without calling, [`CallError::Failed`] with the error of the call.
    pub async fn call<T, E, Fut>(
        &self,
        call: impl FnOnce() -> Fut,
        blames: impl FnOnce(&E) -> bool,
    ) -> Result<T, CallError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let (permit, transition) = self.breaker().acquire(self.0.clock.now());
        self.observe(transition);
        let mut held = Held {
            owner: self,
            permit: Some(permit.map_err(CallError::Rejected)?),
        };
        let result = call().await;
        let failed = match &result {
            Ok(_) => Some(false),
            Err(error) => blames(error).then_some(true),
        };
        if let (Some(failed), Some(permit)) = (failed, failed.and_then(|_| held.permit.take())) {
            let now = self.0.clock.now();
            let transition = if failed {
                self.breaker().failed(permit, now)
            } else {
                self.breaker().succeeded(permit, now)
            };
            self.observe(transition);
        }
        result.map_err(CallError::Failed)
    }

    fn observe(&self, transition: Option<Transition>) {
        if let Some(transition) = transition {
            (self.0.observer)(transition);
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit on loan to a running call; whatever way the call ends, it comes back.
struct Held<'breaker> {
    owner: &'breaker CircuitBreaker,
    permit: Option<Permit>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.owner.breaker().abandoned(permit);
        }
    }
}
