//! Rate limits per key, in memory that does not grow with the number of keys.
//!
//! The arithmetic is governor's GCRA; this module adds `now` as an argument and a bound on keys. A key
//! whose burst is whole again is forgotten without loss. When the table is full of keys that are not, keys
//! that are not in it share one bucket: an attacker with many addresses can neither use up the memory nor
//! push others' counts out of the table, and is still limited.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use governor::{clock::Clock, middleware::NoOpMiddleware, nanos::Nanos, state::StateStore};

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Quota {
    /// So many per second, and as many at once. Zero is taken as one.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        let count = at_least_one(count);
        Self {
            per_second: count,
            burst: count,
        }
    }

    /// As many at once after a rest. Zero is taken as one.
    #[must_use]
    pub const fn with_burst(self, burst: u32) -> Self {
        Self {
            burst: at_least_one(burst),
            ..self
        }
    }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

/// The request is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the rate limit; try again in {} ms", .0.as_millis())]
pub struct RetryAfter(
    /// When the next one is allowed, if nobody else comes first.
    pub Duration,
);

/// A rate limit with one bucket per key.
pub struct RateLimiter<K: Clone + Eq + Hash> {
    limiter: governor::RateLimiter<K, Table<K>, LatestNow, NoOpMiddleware<Nanos>>,
    clock: LatestNow,
    seats: Arc<Mutex<Seats<K>>>,
}

impl<K: Clone + Eq + Hash> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> RateLimiter<K> {
    /// A limiter that remembers at most `max_keys` keys one by one.
    #[must_use]
    pub fn new(quota: Quota, max_keys: usize) -> Self {
        let clock = LatestNow::default();
        let seats = Arc::new(Mutex::new(Seats::default()));
        let table = Table {
            clock: clock.clone(),
            max_keys,
            seats: Arc::clone(&seats),
        };
        let rate = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        Self {
            limiter: governor::RateLimiter::new(rate, table, clock.clone()),
            clock,
            seats,
        }
    }

    /// Takes one from the bucket of `key` at `now`. A `now` before the latest one seen counts as the latest.
    ///
    /// # Errors
    /// [`RetryAfter`] when the bucket is empty.
    pub fn check(&self, key: &K, now: DateTime<Utc>) -> Result<(), RetryAfter> {
        self.clock.advance_to(now);
        self.limiter
            .check_key(key)
            .map_err(|not_until| RetryAfter(not_until.wait_time_from(self.clock.now())))
    }

    /// How many keys are remembered now.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.seats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_key
            .len()
    }
}

/// The latest `now` anybody passed, in nanoseconds since 1970; so time never runs backwards.
#[derive(Clone, Debug, Default)]
struct LatestNow(Arc<AtomicU64>);

impl LatestNow {
    fn advance_to(&self, now: DateTime<Utc>) {
        let nanos = now
            .timestamp_nanos_opt()
            .and_then(|nanos| u64::try_from(nanos).ok())
            .unwrap_or_default();
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Clock for LatestNow {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// The buckets: for every key the time at which it is whole again.
struct Table<K> {
    clock: LatestNow,
    max_keys: usize,
    seats: Arc<Mutex<Seats<K>>>,
}

struct Seats<K> {
    by_key: HashMap<K, Nanos>,
    /// The bucket of all keys that found no seat.
    standing: Option<Nanos>,
    /// A full table is searched for forgettable keys at most once a second, so that a flood of new keys
    /// does not turn every check into a walk over the table.
    next_sweep: Nanos,
}

impl<K> Default for Seats<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            standing: None,
            next_sweep: Nanos::new(0),
        }
    }
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl<K: Clone + Eq + Hash> StateStore for Table<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole_at) = seats.by_key.get_mut(key) {
            let (outcome, next) = measure(Some(*whole_at))?;
            *whole_at = next;
            return Ok(outcome);
        }
        if seats.by_key.len() >= self.max_keys {
            let now = self.clock.now();
            if now >= seats.next_sweep {
                seats.by_key.retain(|_, whole_at| *whole_at > now);
                seats.next_sweep = now + SWEEP_INTERVAL;
            }
        }
        if seats.by_key.len() >= self.max_keys {
            let (outcome, next) = measure(seats.standing)?;
            seats.standing = Some(next);
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        seats.by_key.insert(key.clone(), next);
        Ok(outcome)
    }
}
