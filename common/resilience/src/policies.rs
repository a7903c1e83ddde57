//! The numbers the platform promises, in one place.

use std::time::Duration;

use crate::{BreakerPolicy, Jitter, Quota, RetryPolicy};

/// RES-01: opens after five failures in a row, stays open for 60 s, then lets three probes through and
/// closes after two successes. One breaker per tenant, provider account and kind of operation.
pub const BREAKER: BreakerPolicy = BreakerPolicy {
    consecutive_failures: 5,
    error_rate: None,
    open_for: Duration::from_secs(60),
    probes: 3,
    successes: 2,
};

/// RES-02 outside calls: waits of 1, 2, 4, 8 and 16 s, each up to a tenth longer, then no more.
pub const BACKGROUND: RetryPolicy = RetryPolicy {
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(16),
    retries: 5,
    jitter: Jitter::Added { percent: 10 },
};

/// RES-02 inside a call: somebody is listening to the silence. Retries after 0.2, 0.4 and 0.8 s; whoever
/// uses it also passes a deadline of [`IN_CALL_FAILOVER`] to [`retry_until`](crate::retry_until).
pub const IN_CALL: RetryPolicy = RetryPolicy {
    first_wait: Duration::from_millis(200),
    longest_wait: Duration::from_millis(800),
    retries: 3,
    jitter: Jitter::Added { percent: 10 },
};

/// RES-02 inside a call: by then the next provider is tried.
pub const IN_CALL_FAILOVER: Duration = Duration::from_secs(2);

/// RES-02 inside a call: by then the caller has heard an apology and is on the way to a person or voicemail.
pub const IN_CALL_HANDOVER: Duration = Duration::from_secs(5);

/// WHK-01: webhooks per second for one tenant's account at one carrier, and the burst above it.
pub const WEBHOOK_PER_ACCOUNT: Quota = Quota::per_second(50).with_burst(500);

/// WHK-01: webhooks per second from one address, whatever they are for.
pub const WEBHOOK_PER_ADDRESS: Quota = Quota::per_second(1_000);
