//! Whether there is room for another call, judged by how late the loop runs.
//!
//! A lane that cannot keep up wakes later than it asked for, long before anything else shows it: so a probe asks
//! to be woken every 10 ms and measures. The worst lateness of the last moments counts; it fades by a tenth every
//! time it is not reached again, so that one hiccup does not close the door for longer than a second.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

const PROBE: Duration = Duration::from_millis(10);

/// What a lane knows about itself.
#[derive(Debug)]
pub(crate) struct Admission {
    lag_us: AtomicU64,
    live: AtomicUsize,
    most_live: usize,
    most_lag: Duration,
}

impl Admission {
    pub(crate) const fn new(most_live: usize, most_lag: Duration) -> Self {
        Self {
            lag_us: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            most_live,
            most_lag,
        }
    }

    /// The loop ran so late.
    pub(crate) fn observe(&self, lag: Duration) {
        let lag = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        let faded = self.lag_us.load(Ordering::Relaxed) * 9 / 10;
        self.lag_us.store(lag.max(faded), Ordering::Relaxed);
    }

    pub(crate) fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_us.load(Ordering::Relaxed))
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Takes a place, if there is one. Give it back with [`leave`](Self::leave).
    pub(crate) fn enter(&self) -> bool {
        if self.lag() > self.most_lag {
            return false;
        }
        self.live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                (live < self.most_live).then_some(live + 1)
            })
            .is_ok()
    }

    pub(crate) fn leave(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    /// Measures for ever.
    pub(crate) async fn probe(&self) {
        loop {
            let due = Instant::now() + PROBE;
            sleep_until(due).await;
            // Timers are a millisecond coarse.
            self.observe(due.elapsed().saturating_sub(Duration::from_millis(1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_loop_takes_no_call_until_it_has_caught_up() {
        let admission = Admission::new(10, Duration::from_millis(20));
        assert!(admission.enter());
        admission.observe(Duration::from_millis(100));
        assert!(!admission.enter());
        let probes = (1..200)
            .find(|_| {
                admission.observe(Duration::ZERO);
                admission.enter()
            })
            .unwrap();
        // 100 ms fade below 20 ms within a second of probes.
        assert!((10..100).contains(&probes), "{probes}");
        assert_eq!(admission.live(), 2);
    }

    #[test]
    fn a_lane_has_so_many_places() {
        let admission = Admission::new(2, Duration::from_millis(20));
        assert!(admission.enter() && admission.enter() && !admission.enter());
        admission.leave();
        assert!(admission.enter());
    }
}
