//! One circuit breaker for each account at a provider, shared by the calls of this process and, through Kafka, by all
//! workers (RES-01).
//!
//! | module | question |
//! |---|---|
//! | [`merge`] | What follows from what another worker has found out? |
//! | [`link`] | How do workers hear of each other? |
//!
//! Without Kafka every worker finds out for itself.

mod link;
mod merge;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;
use voice_providers::Provider;
use voice_resilience::{
    BREAKER, Breaker, BreakerChanged, BreakerPolicy, Dependency, Permit, State, Transition,
};
use voice_schemas::{
    EventId, EventType, ProviderAccountId, TenantId,
    events::provider::{BreakerData, BreakerEvent, BreakerState},
};
use voice_telemetry::{Emit as _, Metrics};

pub use self::link::Link;
use self::merge::{Course, Word, head_start, merge, span};
use crate::{events::FactDropped, facts::BreakerChange};

/// Above so many breakers those with nothing to say are forgotten, and what others say of further accounts is not
/// noted.
const MOST: usize = 10_000;
/// The longest name of an account that is believed.
const LONGEST_NAME: usize = 64;
/// Who writes these events.
const SOURCE: &str = "/workers/media";

/// The breakers of a worker.
#[derive(Debug)]
pub struct Breakers {
    policy: BreakerPolicy,
    known: Mutex<HashMap<(TenantId, String), Known>>,
    fleet: Option<Fleet>,
    metrics: Metrics,
}

/// The other workers.
#[derive(Debug)]
struct Fleet {
    /// Who we are.
    worker: Uuid,
    changes: mpsc::Sender<BreakerEvent>,
}

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// The operator's name of it.
    pub name: &'a str,
    /// Where.
    pub provider: Provider,
}

impl Account<'_> {
    fn id(&self) -> ProviderAccountId {
        let (tenant, name) = (self.tenant.0, self.name.as_bytes());
        ProviderAccountId::derived(DateTime::UNIX_EPOCH, &[tenant.as_bytes(), name])
    }
}

/// What is known of one account.
#[derive(Debug)]
struct Known {
    breaker: Breaker,
    /// When its state last changed, here or at another worker.
    changed: Option<DateTime<Utc>>,
    /// It is not tried before, however long it has been open.
    not_before: Option<DateTime<Utc>>,
}

impl Known {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            breaker: Breaker::new(policy),
            changed: None,
            not_before: None,
        }
    }

    fn word(&self) -> Option<Word> {
        let state = self.breaker.state();
        self.changed.map(|at| Word { state, at })
    }
}

/// What became of a session, and what followed from it for the breaker.
type Followed<T> = (T, Option<BreakerChange>);

/// Breakers that share what they find out with those of other workers, as long as the [`Link`] runs. `waiting` changes
/// may wait for Kafka; more are lost.
#[must_use]
pub fn shared(waiting: usize, metrics: Metrics) -> (Arc<Breakers>, Link) {
    let (sender, changes) = mpsc::channel(waiting);
    let worker = Uuid::now_v7();
    let breakers = Arc::new(Breakers {
        fleet: Some(Fleet {
            worker,
            changes: sender,
        }),
        ..Breakers::new(metrics)
    });
    let link = Link::new(Arc::clone(&breakers), worker, changes);
    (breakers, link)
}

impl Breakers {
    /// Breakers that nobody else hears of.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            policy: BREAKER,
            known: Mutex::default(),
            fleet: None,
            metrics,
        }
    }

    /// Whether a session may be opened at `now`.
    pub fn lets_through(&self, account: Account<'_>, now: DateTime<Utc>) -> bool {
        let (permit, _) = self.acquire(account, now);
        permit.is_some_and(|permit| {
            self.abandoned(account, permit);
            true
        })
    }

    /// Asks to open a session.
    pub fn acquire(&self, account: Account<'_>, now: DateTime<Utc>) -> Followed<Option<Permit>> {
        self.with(account, |known| {
            let waits = known.not_before.is_some_and(|until| now < until);
            if waits && known.breaker.state() == State::Open {
                return (None, None);
            }
            let (permit, transition) = known.breaker.acquire(now);
            (permit.ok(), transition)
        })
    }

    /// The session stands.
    pub fn succeeded(
        &self,
        account: Account<'_>,
        permit: Permit,
        now: DateTime<Utc>,
    ) -> Option<BreakerChange> {
        self.with(account, |known| ((), known.breaker.succeeded(permit, now)))
            .1
    }

    /// The session never stood, or broke, in a way that speaks against the provider.
    pub fn failed(
        &self,
        account: Account<'_>,
        permit: Option<Permit>,
        now: DateTime<Utc>,
    ) -> Option<BreakerChange> {
        self.with(account, |known| {
            // One that stood has handed its permit back.
            let permit = permit.or_else(|| known.breaker.acquire(now).0.ok());
            ((), permit.and_then(|permit| known.breaker.failed(permit, now)))
        })
        .1
    }

    /// Nothing was learnt about the provider.
    pub fn abandoned(&self, account: Account<'_>, permit: Permit) {
        self.with(account, |known| (known.breaker.abandoned(permit), None));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(TenantId, String), Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, account| account.breaker.state() != State::Closed);
        }
        known
    }

    fn with<T>(
        &self,
        account: Account<'_>,
        change: impl FnOnce(&mut Known) -> (T, Option<Transition>),
    ) -> Followed<T> {
        let mut all = self.known();
        let known = all
            .entry((account.tenant, account.name.to_owned()))
            .or_insert_with(|| Known::new(self.policy));
        let (result, transition) = change(known);
        let Some(transition) = transition else {
            return (result, None);
        };
        known.changed = Some(transition.at);
        known.not_before = self.tried_again(account, transition);
        drop(all);
        self.tell_fleet(account, transition);
        (result, Some(self.changed(account, transition)))
    }

    /// From when on a session may be tried at an account that was given up: not by all workers at once.
    fn tried_again(&self, account: Account<'_>, transition: Transition) -> Option<DateTime<Utc>> {
        let fleet = self.fleet.as_ref().filter(|_| transition.to == State::Open)?;
        let later = head_start(fleet.worker, account.id(), transition.at);
        Some(transition.at + span(self.policy.open_for + later))
    }

    fn changed(&self, account: Account<'_>, transition: Transition) -> BreakerChange {
        BreakerChanged {
            dependency: Dependency(account.provider.as_str()),
            scope: &account.to_string(),
            transition,
        }
        .emit(&self.metrics);
        BreakerChange {
            account: account.name.to_owned(),
            provider: account.provider,
            from: transition.from.as_str(),
            to: transition.to.as_str(),
        }
    }

    fn tell_fleet(&self, account: Account<'_>, transition: Transition) {
        let Some(fleet) = &self.fleet else { return };
        let state = match transition.to {
            State::Closed => BreakerState::Closed,
            State::Open => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        };
        let data = BreakerData {
            account_id: account.id(),
            account: account.name.to_owned(),
            provider: account.provider.as_str().to_owned(),
            state,
            worker: fleet.worker,
        };
        let kind = EventType::ProviderBreakerChanged;
        let seed: [&[u8]; 3] = [
            fleet.worker.as_bytes(),
            data.account_id.0.as_bytes(),
            state.as_str().as_bytes(),
        ];
        let id = EventId::derived(transition.at, &seed);
        let event = BreakerEvent::new(id, account.tenant, SOURCE, kind, transition.at, data);
        if fleet.changes.try_send(event).is_err() {
            FactDropped {
                kind: "breaker_changed",
                reason: "queue_full",
            }
            .emit(&self.metrics);
        }
    }

    /// Another worker has found something out. Words of our own, and about what nobody here can know, mean nothing.
    pub fn hear(&self, event: &BreakerEvent, now: DateTime<Utc>) {
        let data = &event.data;
        let provider = Provider::ALL
            .into_iter()
            .find(|one| one.as_str() == data.provider);
        let Some(provider) = provider.filter(|_| data.account.len() <= LONGEST_NAME) else {
            return;
        };
        if self
            .fleet
            .as_ref()
            .is_some_and(|fleet| fleet.worker == data.worker)
        {
            return;
        }
        let account = Account {
            tenant: event.tenantid,
            name: &data.account,
            provider,
        };
        let state = match data.state {
            BreakerState::Closed => State::Closed,
            BreakerState::Open => State::Open,
            BreakerState::HalfOpen => State::HalfOpen,
        };
        let theirs = Word {
            state,
            at: event.time,
        };
        let mut all = self.known();
        let name = (account.tenant, data.account.clone());
        let mine = all.get(&name).and_then(Known::word);
        let course = merge(mine, theirs, self.policy.open_for, now);
        if course == Course::Nothing || (all.len() >= MOST && !all.contains_key(&name)) {
            return;
        }
        let known = all.entry(name).or_insert_with(|| Known::new(self.policy));
        let transition = match course {
            Course::Nothing => None,
            Course::Open { since } => {
                known.changed = Some(since);
                let transition = known.breaker.opened_elsewhere(since, now);
                let opened = Transition {
                    from: State::Closed,
                    to: State::Open,
                    at: since,
                };
                known.not_before = self.tried_again(account, opened);
                transition
            }
            Course::LeaveAlone { until } => {
                let later = self
                    .fleet
                    .as_ref()
                    .map(|fleet| head_start(fleet.worker, account.id(), until));
                known.not_before = known
                    .not_before
                    .max(Some(until + span(later.unwrap_or_default())));
                None
            }
            Course::Close { at } => {
                (known.changed, known.not_before) = (Some(at), None);
                known.breaker.closed_elsewhere(now)
            }
        };
        drop(all);
        if let Some(transition) = transition {
            self.changed(account, transition);
        }
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

#[cfg(test)]
mod tests;
