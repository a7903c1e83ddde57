//! Trying again, later and later, and not all at once.

use std::{future::Future, time::Duration};

use backon::Retryable;
use tokio::time::Instant;

/// How often and how late something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait before the first retry; every further one doubles.
    pub first_wait: Duration,
    /// No wait grows beyond this, jitter aside.
    pub longest_wait: Duration,
    /// How many retries follow the first attempt.
    pub retries: u32,
    /// How waits of many clients are spread.
    pub jitter: Jitter,
}

/// How waits of many clients are spread, so that they do not come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Anything from nothing to the whole wait: the best spread under contention
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    Full,
    /// The wait, and up to this share of it on top: for waits that are promised.
    Added {
        /// Share in percent.
        percent: u32,
    },
    /// None, for tests.
    None,
}

impl RetryPolicy {
    /// Full jitter between nothing and a wait that doubles from `first_wait` to `longest_wait`.
    #[must_use]
    pub const fn full_jitter(first_wait: Duration, longest_wait: Duration, retries: u32) -> Self {
        Self {
            first_wait,
            longest_wait,
            retries,
            jitter: Jitter::Full,
        }
    }

    /// The waits of one series of retries; equal seeds give equal waits.
    #[must_use]
    pub fn backoff(self, seed: u64) -> Backoff {
        Backoff {
            policy: self,
            made: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }
}

/// The waits between attempts, in order; ends when no retry is left.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    made: u32,
    random: fastrand::Rng,
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.made >= self.policy.retries {
            return None;
        }
        let factor = 2_u32.checked_pow(self.made).unwrap_or(u32::MAX);
        let wait = self
            .policy
            .first_wait
            .saturating_mul(factor)
            .min(self.policy.longest_wait);
        self.made += 1;
        Some(match self.policy.jitter {
            Jitter::None => wait,
            Jitter::Full => wait.mul_f64(self.random.f64()),
            Jitter::Added { percent } => {
                wait.saturating_add(wait.mul_f64(self.random.f64() * f64::from(percent) / 100.0))
            }
        })
    }
}

/// What an error says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It will fail again; give up.
    Permanent,
    /// It may work next time.
    Transient,
    /// It may work, but not before this long: the other side said so. A longer wait of the policy stands.
    After(Duration),
}

/// Tries `operation` until it works, its error is permanent, or the policy has no retry left.
///
/// # Errors
/// The last error.
pub async fn retry<T, E, Fut>(
    policy: RetryPolicy,
    classify: impl Fn(&E) -> Verdict,
    operation: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    run(policy, None, classify, operation).await
}

/// As [`retry`], and gives up as soon as the next wait would end at or after `deadline`. An attempt that
/// is running is not cut off; it has its own timeout.
///
/// # Errors
/// The last error.
pub async fn retry_until<T, E, Fut>(
    policy: RetryPolicy,
    deadline: Instant,
    classify: impl Fn(&E) -> Verdict,
    operation: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    run(policy, Some(deadline), classify, operation).await
}

async fn run<T, E, Fut>(
    policy: RetryPolicy,
    deadline: Option<Instant>,
    classify: impl Fn(&E) -> Verdict,
    operation: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    operation
        .retry(policy.backoff(fastrand::u64(..)))
        .sleep(tokio::time::sleep)
        .when(|error| classify(error) != Verdict::Permanent)
        .adjust(|error, wait| {
            let wait = match classify(error) {
                Verdict::After(least) => wait?.max(least),
                Verdict::Permanent | Verdict::Transient => wait?,
            };
            deadline
                .is_none_or(|deadline| Instant::now() + wait < deadline)
                .then_some(wait)
        })
        .await
}
