//! What the resilience tools tell operators.

use voice_telemetry::{CounterDef, Emit, GaugeDef, Label, Metrics};

use crate::{State, Transition};

/// What a breaker guards, by kind of operation: `telnyx_calls`, `openai_realtime`. A constant of the
/// program; never a tenant or an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dependency(pub &'static str);

impl Label for Dependency {
    const NAME: &'static str = "dependency";

    fn value(self) -> &'static str {
        self.0
    }
}

impl Label for State {
    const NAME: &'static str = "state";

    fn value(self) -> &'static str {
        self.as_str()
    }
}

/// Transitions of circuit breakers, by the state entered.
pub const BREAKER_TRANSITIONS: CounterDef<(Dependency, State)> = CounterDef::new(
    "circuit_breaker_transitions_total",
    "Circuit breaker transitions, by the state entered.",
);

/// Circuit breakers that are not closed.
pub const BREAKERS_TRIPPED: GaugeDef<(Dependency, State)> = GaugeDef::new(
    "circuit_breakers_tripped",
    "Circuit breakers that are open or half-open now.",
);

/// A circuit breaker changed its state.
#[derive(Debug)]
pub struct BreakerChanged<'a> {
    /// What it guards.
    pub dependency: Dependency,
    /// Which breaker of that dependency: ids of tenant and account, nothing personal.
    pub scope: &'a str,
    /// The change.
    pub transition: Transition,
}

impl Emit for BreakerChanged<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Transition { from, to, at } = self.transition;
        let (dependency, scope) = (self.dependency.0, self.scope);
        let (from_name, to_name) = (from.as_str(), to.as_str());
        match to {
            State::Open => {
                tracing::warn!(dependency, scope, from = from_name, to = to_name, %at, "circuit breaker opened");
            }
            State::HalfOpen | State::Closed => {
                tracing::info!(dependency, scope, from = from_name, to = to_name, %at, "circuit breaker changed");
            }
        }
        metrics.counter(&BREAKER_TRANSITIONS).inc((self.dependency, to));
        let tripped = metrics.gauge(&BREAKERS_TRIPPED);
        if from != State::Closed {
            tripped.add((self.dependency, from), -1.0);
        }
        if to != State::Closed {
            tripped.add((self.dependency, to), 1.0);
        }
    }
}
