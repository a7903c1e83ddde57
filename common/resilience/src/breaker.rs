//! The circuit breaker as a state machine without a clock, a lock or a future.
//!
//! ```text
//!            N failures in a row, or too many in the window
//!   closed ───────────────────────────────────────────────► open
//!     ▲                                                       │ `open_for` has passed
//!     │ S probes succeeded                                    ▼ and somebody asks
//!     └─────────────────────────────────────────────────  half-open
//!                  too many probes failed for S to succeed,   │
//!                  or no verdict within `open_for`: open ◄─────┘
//! ```
//!
//! A half-open period admits at most `probes` calls at a time *and* in total, apart from those that were
//! given up without a verdict. An answer that arrives after the state has changed says nothing about the
//! new state and is ignored; the [`Permit`] knows which period it belongs to.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// Opens at this many failures in a row; at least 1.
    pub consecutive_failures: u32,
    /// Opens also when too large a share of recent calls failed.
    pub error_rate: Option<ErrorRate>,
    /// How long it stays open before it lets probes through.
    pub open_for: Duration,
    /// How many probes a half-open period admits; at least `successes`.
    pub probes: u32,
    /// How many of them must succeed to close; at least 1.
    pub successes: u32,
}

/// The share of failures that opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorRate {
    /// Over the last so much time.
    pub window: Duration,
    /// Not judged below this many calls in the window.
    pub minimum_calls: u32,
    /// Opens at this share, above 0 and at most 1.
    pub threshold: f64,
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Lets them through.
    Closed,
    /// Refuses them.
    Open,
    /// Lets a few through to see.
    HalfOpen,
}

impl State {
    /// Name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A change of state; whoever gets one publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "every transition is a metric and an event"]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state from now on.
    pub to: State,
    /// When.
    pub at: DateTime<Utc>,
}

/// Leave to make one call. Hand it back with the verdict.
#[derive(Debug)]
#[must_use = "hand it back with the verdict, or the breaker counts the call as still running"]
pub struct Permit {
    period: u64,
}

/// The call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit is open; try again in {} ms", retry_after.as_millis())]
pub struct Rejected {
    /// When it makes sense to ask again.
    pub retry_after: Duration,
}

/// The state machine.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: Inner,
    /// Counts transitions; a permit of another period has no say.
    period: u64,
}

#[derive(Debug)]
enum Inner {
    Closed {
        failures: u32,
        recent: Window,
    },
    Open {
        since: DateTime<Utc>,
    },
    HalfOpen {
        since: DateTime<Utc>,
        admitted: u32,
        succeeded: u32,
        failed: u32,
    },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: Inner::closed(),
            period: 0,
        }
    }

    /// The current state. An open breaker stays open until somebody asks for a permit.
    #[must_use]
    pub fn state(&self) -> State {
        match self.state {
            Inner::Closed { .. } => State::Closed,
            Inner::Open { .. } => State::Open,
            Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Asks to make one call at `now`.
    ///
    /// The second value is the transition the question caused, if any: from open to half-open when the
    /// wait is over, from half-open back to open when the probes never answered.
    pub fn acquire(&mut self, now: DateTime<Utc>) -> (Result<Permit, Rejected>, Option<Transition>) {
        let open_for = self.policy.open_for;
        match &mut self.state {
            Inner::Closed { .. } => (Ok(self.permit()), None),
            Inner::Open { since } => {
                let waited = elapsed(since, now);
                if waited < open_for {
                    return (
                        Err(Rejected {
                            retry_after: open_for - waited,
                        }),
                        None,
                    );
                }
                let transition = self.enter(
                    Inner::HalfOpen {
                        since: now,
                        admitted: 1,
                        succeeded: 0,
                        failed: 0,
                    },
                    now,
                );
                (Ok(self.permit()), Some(transition))
            }
            Inner::HalfOpen { since, admitted, .. } => {
                if *admitted < self.policy.probes {
                    *admitted += 1;
                    return (Ok(self.permit()), None);
                }
                let waited = elapsed(since, now);
                if waited < open_for {
                    return (
                        Err(Rejected {
                            retry_after: open_for - waited,
                        }),
                        None,
                    );
                }
                let transition = self.enter(Inner::Open { since: now }, now);
                (
                    Err(Rejected {
                        retry_after: open_for,
                    }),
                    Some(transition),
                )
            }
        }
    }

    /// The call worked.
    pub fn succeeded(&mut self, permit: Permit, now: DateTime<Utc>) -> Option<Transition> {
        if permit.period != self.period {
            return None;
        }
        match &mut self.state {
            Inner::Closed { failures, recent } => {
                *failures = 0;
                if let Some(rate) = self.policy.error_rate {
                    recent.record(now, rate.window, false);
                }
                None
            }
            Inner::HalfOpen { succeeded, .. } => {
                *succeeded += 1;
                (*succeeded >= self.policy.successes).then(|| self.enter(Inner::closed(), now))
            }
            Inner::Open { .. } => None,
        }
    }

    /// The call failed in a way that speaks against the other side.
    pub fn failed(&mut self, permit: Permit, now: DateTime<Utc>) -> Option<Transition> {
        if permit.period != self.period {
            return None;
        }
        let opens = match &mut self.state {
            Inner::Closed { failures, recent } => {
                *failures += 1;
                let too_many = self.policy.error_rate.is_some_and(|rate| {
                    recent.record(now, rate.window, true);
                    recent.calls() >= rate.minimum_calls && recent.failure_share() >= rate.threshold
                });
                too_many || *failures >= self.policy.consecutive_failures
            }
            Inner::HalfOpen { failed, .. } => {
                *failed += 1;
                *failed > self.policy.probes.saturating_sub(self.policy.successes)
            }
            Inner::Open { .. } => false,
        };
        opens.then(|| self.enter(Inner::Open { since: now }, now))
    }

    /// The call was given up before there was a verdict, or its failure says nothing about the other side
    /// (a refused argument). A probe given up makes room for another one.
    pub fn abandoned(&mut self, permit: Permit) {
        if let Inner::HalfOpen { admitted, .. } = &mut self.state
            && permit.period == self.period
        {
            *admitted = admitted.saturating_sub(1);
        }
    }

    /// Somebody else has found the other side broken at `since`: opens as if this breaker had, unless that is over.
    pub fn opened_elsewhere(&mut self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<Transition> {
        let mut since = since.min(now);
        if elapsed(&mut since, now) >= self.policy.open_for {
            return None;
        }
        if let Inner::Open { since: ours } = &mut self.state {
            *ours = since.max(*ours);
            return None;
        }
        Some(self.enter(Inner::Open { since }, now))
    }

    /// Somebody else has found the other side working again.
    pub fn closed_elsewhere(&mut self, now: DateTime<Utc>) -> Option<Transition> {
        (self.state() != State::Closed).then(|| self.enter(Inner::closed(), now))
    }

    fn permit(&self) -> Permit {
        Permit { period: self.period }
    }

    fn enter(&mut self, next: Inner, at: DateTime<Utc>) -> Transition {
        let from = self.state();
        self.state = next;
        self.period += 1;
        Transition {
            from,
            to: self.state(),
            at,
        }
    }
}

impl Inner {
    fn closed() -> Self {
        Self::Closed {
            failures: 0,
            recent: Window::default(),
        }
    }
}

/// Time since `since`. When the clock was set back, the wait starts again at the new time instead of
/// growing by the correction.
fn elapsed(since: &mut DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    *since = (*since).min(now);
    (now - *since).to_std().unwrap_or_default()
}

/// Calls of the recent past in slices of a tenth of the window, so that memory does not grow with traffic.
#[derive(Debug, Default)]
struct Window {
    slices: VecDeque<Slice>,
}

#[derive(Debug)]
struct Slice {
    start: DateTime<Utc>,
    calls: u32,
    failures: u32,
}

impl Window {
    const SLICES: u32 = 10;

    fn record(&mut self, now: DateTime<Utc>, window: Duration, failed: bool) {
        let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
        let slice =
            TimeDelta::from_std(window.to_std().unwrap_or_default() / Self::SLICES).unwrap_or_default();
        while self
            .slices
            .front()
            .is_some_and(|oldest| now - oldest.start >= window || oldest.start > now)
        {
            self.slices.pop_front();
        }
        if self
            .slices
            .back()
            .is_none_or(|newest| now - newest.start >= slice)
        {
            self.slices.push_back(Slice {
                start: now,
                calls: 0,
                failures: 0,
            });
        }
        if let Some(newest) = self.slices.back_mut() {
            newest.calls = newest.calls.saturating_add(1);
            newest.failures = newest.failures.saturating_add(u32::from(failed));
        }
    }

    fn calls(&self) -> u32 {
        self.slices.iter().map(|slice| slice.calls).sum()
    }

    fn failure_share(&self) -> f64 {
        let failures: u32 = self.slices.iter().map(|slice| slice.failures).sum();
        f64::from(failures) / f64::from(self.calls().max(1))
    }
}
