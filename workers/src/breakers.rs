//! One circuit breaker for each account at a provider, shared by the calls of this process (RES-01).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use voice_providers::Provider;
use voice_resilience::{
    BREAKER, Breaker, BreakerChanged, BreakerPolicy, Dependency, Permit, State, Transition,
};
use voice_schemas::TenantId;
use voice_telemetry::{Emit as _, Metrics};

use crate::facts::BreakerChange;

/// Above so many breakers those with nothing to say are forgotten.
const MOST: usize = 10_000;

/// The breakers.
#[derive(Debug)]
pub(crate) struct Breakers {
    policy: BreakerPolicy,
    known: Mutex<HashMap<(TenantId, String), Breaker>>,
    metrics: Metrics,
}

/// An account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) name: &'a str,
    pub(crate) provider: Provider,
}

/// What became of a session, and what followed from it for the breaker.
type Followed<T> = (T, Option<BreakerChange>);

impl Breakers {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            policy: BREAKER,
            known: Mutex::default(),
            metrics,
        }
    }

    /// Whether a session may be opened at `now`.
    pub(crate) fn lets_through(&self, account: Account<'_>, now: DateTime<Utc>) -> bool {
        let (permit, _) = self.acquire(account, now);
        permit.is_some_and(|permit| {
            self.with(account, |breaker| (breaker.abandoned(permit), None));
            true
        })
    }

    /// Asks to open a session.
    pub(crate) fn acquire(&self, account: Account<'_>, now: DateTime<Utc>) -> Followed<Option<Permit>> {
        self.with(account, |breaker| {
            let (permit, transition) = breaker.acquire(now);
            (permit.ok(), transition)
        })
    }

    /// The session stands.
    pub(crate) fn succeeded(
        &self,
        account: Account<'_>,
        permit: Permit,
        now: DateTime<Utc>,
    ) -> Option<BreakerChange> {
        self.with(account, |breaker| ((), breaker.succeeded(permit, now)))
            .1
    }

    /// The session never stood, or broke, in a way that speaks against the provider.
    pub(crate) fn failed(
        &self,
        account: Account<'_>,
        permit: Option<Permit>,
        now: DateTime<Utc>,
    ) -> Option<BreakerChange> {
        self.with(account, |breaker| {
            // One that stood has handed its permit back.
            let permit = permit.or_else(|| breaker.acquire(now).0.ok());
            ((), permit.and_then(|permit| breaker.failed(permit, now)))
        })
        .1
    }

    /// Nothing was learnt about the provider.
    pub(crate) fn abandoned(&self, account: Account<'_>, permit: Permit) {
        self.with(account, |breaker| (breaker.abandoned(permit), None));
    }

    fn with<T>(
        &self,
        account: Account<'_>,
        change: impl FnOnce(&mut Breaker) -> (T, Option<Transition>),
    ) -> Followed<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, breaker| breaker.state() != State::Closed);
        }
        let breaker = known
            .entry((account.tenant, account.name.to_owned()))
            .or_insert_with(|| Breaker::new(self.policy));
        let (result, transition) = change(breaker);
        drop(known);
        let change = transition.map(|transition| {
            BreakerChanged {
                dependency: Dependency(account.provider.as_str()),
                scope: &format!("{}/{}", account.tenant, account.name),
                transition,
            }
            .emit(&self.metrics);
            BreakerChange {
                account: account.name.to_owned(),
                provider: account.provider,
                from: transition.from.as_str(),
                to: transition.to.as_str(),
            }
        });
        (result, change)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// RES-01
    #[test]
    fn five_sessions_that_fail_in_a_row_open_the_breaker_of_one_account_alone() {
        let breakers = Breakers::new(Metrics::empty());
        let tenant = TenantId::random();
        let account = |name| Account {
            tenant,
            name,
            provider: Provider::OpenaiRealtime,
        };
        let now = DateTime::UNIX_EPOCH;
        let mut changes = Vec::new();
        for _ in 0..5 {
            assert!(breakers.lets_through(account("eu"), now));
            let (permit, _) = breakers.acquire(account("eu"), now);
            changes.extend(breakers.failed(account("eu"), permit, now));
        }
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].from, changes[0].to), ("closed", "open"));
        assert!(!breakers.lets_through(account("eu"), now));
        assert!(breakers.lets_through(account("us"), now));

        let later = now + TimeDelta::seconds(60);
        assert!(
            breakers.lets_through(account("eu"), later),
            "asking takes no probe away"
        );
        for _ in 0..2 {
            let (permit, _) = breakers.acquire(account("eu"), later);
            changes.extend(breakers.succeeded(account("eu"), permit.unwrap(), later));
        }
        assert_eq!(changes.last().unwrap().to, "closed");
    }

    #[test]
    fn a_session_that_stood_and_broke_counts_like_one_that_never_stood() {
        let breakers = Breakers::new(Metrics::empty());
        let account = Account {
            tenant: TenantId::random(),
            name: "eu",
            provider: Provider::GeminiLive,
        };
        let now = DateTime::UNIX_EPOCH;
        let opened = (0..5).filter_map(|_| breakers.failed(account, None, now)).count();
        assert_eq!(opened, 1);
    }
}
