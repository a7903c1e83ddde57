//! The clock a loop reads, so that everything it decides can be tested at any time of day.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time. Loops hold one; decisions take `now` as an argument and hold none.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock that several owners read.
pub type SharedClock = Arc<dyn Clock>;

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        self.as_ref().now()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The clock of the machine, ready to be handed around.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn at(at: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    /// Moves the clock on; a negative step moves it back, as a corrected machine clock does.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Shows `at` from now on.
    pub fn set(&self, at: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// The clock as loops take it.
    #[must_use]
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that follows tokio's timer, for tests that pause and advance it: sleeps and `now` agree.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    base: DateTime<Utc>,
    start: tokio::time::Instant,
}

impl TokioClock {
    /// Shows `base` now, and `base` plus whatever tokio's timer has advanced later.
    #[must_use]
    pub fn starting_at(base: DateTime<Utc>) -> Self {
        Self {
            base,
            start: tokio::time::Instant::now(),
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        self.base + TimeDelta::from_std(self.start.elapsed()).unwrap_or(TimeDelta::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn nine() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_248_000, 0).unwrap()
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_move_with_it() {
        let clock = ManualClock::at(nine());
        let shared = clock.shared();
        assert_eq!(shared.now(), nine());
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(shared.now(), nine() + TimeDelta::seconds(90));
        clock.set(nine());
        assert_eq!(shared.now(), nine());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_agrees_with_the_sleeps_of_the_runtime() {
        let clock = TokioClock::starting_at(nine());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now(), nine() + TimeDelta::milliseconds(1_500));
    }
}
