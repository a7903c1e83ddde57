use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::events::{DROPPED, Kind};

const NAME: &str = "eu";

fn account(tenant: TenantId, name: &str) -> Account<'_> {
    Account {
        tenant,
        name,
        provider: Provider::OpenaiRealtime,
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// RES-01
#[test]
fn five_sessions_that_fail_in_a_row_open_the_breaker_of_one_account_alone() {
    let breakers = Breakers::new(Metrics::empty());
    let tenant = TenantId::random();
    let now = DateTime::UNIX_EPOCH;
    let mut changes = Vec::new();
    for _ in 0..5 {
        assert!(breakers.lets_through(account(tenant, "eu"), now));
        let (permit, _) = breakers.acquire(account(tenant, "eu"), now);
        changes.extend(breakers.failed(account(tenant, "eu"), permit, now));
    }
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].from, changes[0].to), ("closed", "open"));
    assert!(!breakers.lets_through(account(tenant, "eu"), now));
    assert!(breakers.lets_through(account(tenant, "us"), now));

    let later = now + TimeDelta::seconds(60);
    assert!(
        breakers.lets_through(account(tenant, "eu"), later),
        "asking takes no probe away"
    );
    for _ in 0..2 {
        let (permit, _) = breakers.acquire(account(tenant, "eu"), later);
        changes.extend(breakers.succeeded(account(tenant, "eu"), permit.unwrap(), later));
    }
    assert_eq!(changes.last().unwrap().to, "closed");
}

#[test]
fn a_session_that_stood_and_broke_counts_like_one_that_never_stood() {
    let breakers = Breakers::new(Metrics::empty());
    let account = account(TenantId::random(), NAME);
    let now = DateTime::UNIX_EPOCH;
    let opened = (0..5).filter_map(|_| breakers.failed(account, None, now)).count();
    assert_eq!(opened, 1);
}

/// Workers that hear each other at once, or when they are told to.
struct Workers {
    tenant: TenantId,
    workers: Vec<(Arc<Breakers>, mpsc::Receiver<BreakerEvent>)>,
    /// Words on their way, each with those who have not heard it.
    log: Vec<BreakerEvent>,
}

impl Workers {
    fn new(count: usize) -> Self {
        let worker = |_| {
            let (breakers, link) = shared(100, Metrics::empty());
            (breakers, link.into_changes())
        };
        Self {
            tenant: TenantId::random(),
            workers: (0..count).map(worker).collect(),
            log: Vec::new(),
        }
    }

    fn breakers(&self, worker: usize) -> &Breakers {
        &self.workers[worker].0
    }

    /// Everybody hears what was said since.
    fn hear(&mut self, now: DateTime<Utc>) {
        for (_, changes) in &mut self.workers {
            while let Ok(event) = changes.try_recv() {
                self.log.push(event);
            }
        }
        for (breakers, _) in &self.workers {
            for event in &self.log {
                breakers.hear(event, now);
            }
        }
    }

    fn fails(&mut self, worker: usize, now: DateTime<Utc>) {
        for _ in 0..5 {
            self.breakers(worker)
                .failed(account(self.tenant, NAME), None, now);
        }
        self.hear(now);
    }

    /// Who would open a session now.
    fn let_through(&self, now: DateTime<Utc>) -> Vec<usize> {
        let lets = |worker: &usize| {
            self.breakers(*worker)
                .lets_through(account(self.tenant, NAME), now)
        };
        (0..self.workers.len()).filter(lets).collect()
    }
}

/// RES-01: what one has found out, all know.
#[test]
fn an_account_that_one_worker_gives_up_is_left_alone_by_all() {
    let mut workers = Workers::new(3);
    workers.fails(0, at(100));
    assert_eq!(workers.let_through(at(101)), [0_usize; 0]);
    assert_eq!(workers.let_through(at(159)), [0_usize; 0]);
    // Another account, and another tenant, are not touched.
    let other = account(TenantId::random(), NAME);
    assert!(workers.breakers(1).lets_through(other, at(101)));
    assert!(
        workers
            .breakers(1)
            .lets_through(account(workers.tenant, "us"), at(101))
    );
    let event = workers.log[0].clone();
    assert_eq!(
        (event.kind, event.tenantid),
        (EventType::ProviderBreakerChanged, workers.tenant)
    );
    assert_eq!(event.data.state, BreakerState::Open);
    assert_eq!(event.subject, account(workers.tenant, NAME).id().0.to_string());
}

#[test]
fn one_worker_tries_an_account_again_and_all_use_it_once_that_went_well() {
    let mut workers = Workers::new(5);
    workers.fails(0, at(100));
    // Nobody may try it within a minute, and everybody would within three seconds more.
    let first = (0..3_000)
        .map(|ms| at(160) + TimeDelta::milliseconds(ms))
        .find_map(|now| {
            let first = (0..5).find(|worker| {
                let (permit, change) = workers
                    .breakers(*worker)
                    .acquire(account(workers.tenant, NAME), now);
                let tried = permit.is_some();
                assert_eq!(tried, change.is_some_and(|change| change.to == "half_open"));
                tried
            });
            first.map(|first| (first, now))
        });
    let (prober, tried_at) = first.unwrap();
    workers.hear(tried_at + TimeDelta::milliseconds(40));
    let others: Vec<usize> = workers
        .let_through(at(169))
        .into_iter()
        .filter(|worker| *worker != prober)
        .collect();
    assert_eq!(others, [0_usize; 0], "worker {prober} tries it");
    for _ in 0..2 {
        let breakers = workers.breakers(prober);
        let (permit, _) = breakers.acquire(account(workers.tenant, NAME), at(169));
        breakers.succeeded(account(workers.tenant, NAME), permit.unwrap(), at(169));
    }
    workers.hear(at(170));
    assert_eq!(workers.let_through(at(170)), [0, 1, 2, 3, 4]);
}

#[test]
fn an_account_whose_prober_is_never_heard_of_again_is_tried_by_another() {
    let mut workers = Workers::new(2);
    workers.fails(0, at(100));
    let _lost = workers
        .breakers(0)
        .acquire(account(workers.tenant, NAME), at(163));
    workers.hear(at(163));
    assert!(!workers.let_through(at(172)).contains(&1));
    assert!(workers.let_through(at(177)).contains(&1));
}

#[test]
fn a_worker_that_begins_learns_what_is_known_and_believes_no_nonsense() {
    let mut workers = Workers::new(1);
    workers.fails(0, at(100));
    let event = workers.log[0].clone();
    let begins = |now| {
        let breakers = Breakers::new(Metrics::empty());
        breakers.hear(&event, now);
        breakers.lets_through(account(workers.tenant, NAME), now)
    };
    assert!(!begins(at(150)));
    assert!(begins(at(160)), "it has cooled down");

    let breakers = Breakers::new(Metrics::empty());
    let mut nonsense = event.clone();
    nonsense.data.provider = "somebody".to_owned();
    breakers.hear(&nonsense, at(101));
    nonsense.data.provider.clone_from(&event.data.provider);
    nonsense.data.account = "x".repeat(LONGEST_NAME + 1);
    breakers.hear(&nonsense, at(101));
    assert!(breakers.known().is_empty());
}

#[test]
fn what_nobody_takes_is_counted_and_holds_nothing_up() {
    let metrics = Metrics::empty();
    let (breakers, _link) = shared(1, metrics.clone());
    for tenant in [TenantId::random(), TenantId::random()] {
        for _ in 0..5 {
            breakers.failed(account(tenant, NAME), None, at(100));
        }
        assert!(!breakers.lets_through(account(tenant, NAME), at(101)));
    }
    assert_eq!(metrics.counter(&DROPPED).get(Kind("breaker_changed")), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Fails(usize),
    /// A session is opened, and stands or not.
    Tries(usize, bool),
    Hear,
    Wait(i64),
}

proptest! {
    /// Whatever workers find out and whenever they hear of it: who has not heard for long uses an account again, and
    /// nobody uses one that another has given up within the last minute and told them of, but to try it.
    #[test]
    fn nobody_is_locked_out_for_ever_and_nobody_ignores_a_fresh_opening(
        steps in vec(prop_oneof![
            (0..3_usize).prop_map(Step::Fails),
            (0..3_usize, any::<bool>()).prop_map(|(worker, well)| Step::Tries(worker, well)),
            Just(Step::Hear),
            (0..40_i64).prop_map(Step::Wait),
        ], 0..60),
    ) {
        let mut workers = Workers::new(3);
        let mut now = at(1_000);
        for step in steps {
            let tenant = workers.tenant;
            match step {
                Step::Fails(worker) => {
                    for _ in 0..5 {
                        workers.breakers(worker).failed(account(tenant, NAME), None, now);
                    }
                }
                Step::Tries(worker, well) => {
                    let breakers = workers.breakers(worker);
                    if let (Some(permit), _) = breakers.acquire(account(tenant, NAME), now) {
                        if well {
                            breakers.succeeded(account(tenant, NAME), permit, now);
                        } else {
                            breakers.failed(account(tenant, NAME), Some(permit), now);
                        }
                    }
                }
                Step::Hear => {
                    workers.hear(now);
                    let latest = workers.log.iter().max_by_key(|event| event.time);
                    // One moment may hold words that contradict each other.
                    let alone = |event: &BreakerEvent| {
                        workers.log.iter().filter(|other| other.time == event.time).count() == 1
                    };
                    if let Some(latest) = latest.filter(|latest| alone(latest))
                        && latest.data.state == BreakerState::Open
                        && now - latest.time < TimeDelta::seconds(60)
                    {
                        prop_assert_eq!(workers.let_through(now), [0_usize; 0]);
                    }
                }
                Step::Wait(seconds) => now += TimeDelta::seconds(seconds),
            }
        }
        workers.hear(now);
        let much_later = now + TimeDelta::seconds(140);
        for worker in 0..3 {
            let lets = |now| workers.breakers(worker).lets_through(account(workers.tenant, NAME), now);
            // Probes that were never answered are given up after a minute.
            prop_assert!(lets(much_later) || lets(much_later + TimeDelta::seconds(64)));
        }
    }
}
