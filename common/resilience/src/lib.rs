//! How this platform behaves when something it depends on is slow, broken or too much.
//!
//! Three tools, each a pure decision type that takes `now` and a thin asynchronous shell around it:
//! a circuit breaker that stops calling what does not answer ([`CircuitBreaker`]), retries that spread out
//! ([`retry`]), and rate limits per key in bounded memory ([`RateLimiter`]).

mod breaker;
mod events;
mod limits;
mod policies;
mod retry;
mod shell;

pub use breaker::{Breaker, BreakerPolicy, ErrorRate, Permit, Rejected, State, Transition};
pub use events::{BREAKER_TRANSITIONS, BREAKERS_TRIPPED, BreakerChanged, Dependency};
pub use limits::{Quota, RateLimiter, RetryAfter};
pub use policies::{
    BACKGROUND, BREAKER, IN_CALL, IN_CALL_FAILOVER, IN_CALL_HANDOVER, WEBHOOK_PER_ACCOUNT,
    WEBHOOK_PER_ADDRESS,
};
pub use retry::{Backoff, Jitter, RetryPolicy, Verdict, retry, retry_until};
pub use shell::{CallError, CircuitBreaker};
