//! The circuit breaker under schedules nobody thought of.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use voice_resilience::{Breaker, BreakerPolicy, ErrorRate, Permit, State, Transition};

fn policy() -> impl Strategy<Value = BreakerPolicy> {
    (1_u32..8, 1_u64..120, 1_u32..5, 0_u32..4).prop_map(|(failures, open_seconds, successes, spare)| {
        BreakerPolicy {
            consecutive_failures: failures,
            error_rate: None,
            open_for: Duration::from_secs(open_seconds),
            probes: successes + spare,
            successes,
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Wait(u32),
    Succeed(usize),
    Fail(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        2 => (0_u32..90).prop_map(Step::Wait),
        2 => any::<usize>().prop_map(Step::Succeed),
        3 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::GiveUp),
    ]
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_248_000, 0).unwrap()
}

/// What an onlooker knows about the current period.
#[derive(Default)]
struct Onlooker {
    opened_at: Option<DateTime<Utc>>,
    admitted: u32,
    given_up: u32,
    periods: u32,
}

impl Onlooker {
    fn note(&mut self, transition: Option<Transition>) {
        if let Some(transition) = transition {
            assert_ne!(transition.from, transition.to);
            *self = Self {
                opened_at: (transition.to == State::Open).then_some(transition.at),
                periods: self.periods + 1,
                ..Self::default()
            };
        }
    }
}

proptest! {
    /// RES-01
    #[test]
    fn no_schedule_breaks_the_promises_of_the_breaker(policy in policy(), steps in prop::collection::vec(step(), 1..200)) {
        let mut breaker = Breaker::new(policy);
        let mut seen = Onlooker::default();
        let mut held: Vec<(u32, Permit)> = Vec::new();
        let mut now = start();
        for step in steps {
            let before = breaker.state();
            match step {
                Step::Wait(seconds) => now += TimeDelta::seconds(i64::from(seconds)),
                Step::Ask => {
                    let opened_at = seen.opened_at;
                    let (answer, transition) = breaker.acquire(now);
                    seen.note(transition);
                    match answer {
                        Ok(permit) => {
                            prop_assert_ne!(breaker.state(), State::Open, "an open breaker admits nobody");
                            if let Some(opened_at) = opened_at {
                                prop_assert!((now - opened_at).to_std().unwrap() >= policy.open_for, "not before its time");
                            }
                            seen.admitted += 1;
                            held.push((seen.periods, permit));
                        }
                        Err(rejected) => {
                            prop_assert_ne!(breaker.state(), State::Closed, "a closed breaker rejects nobody");
                            prop_assert!(rejected.retry_after > Duration::ZERO && rejected.retry_after <= policy.open_for);
                        }
                    }
                }
                Step::Succeed(which) if !held.is_empty() => {
                    let (period, permit) = held.swap_remove(which % held.len());
                    let transition = breaker.succeeded(permit, now);
                    if let Some(transition) = transition {
                        prop_assert_eq!(period, seen.periods, "an answer of the past moves nothing");
                        prop_assert_eq!((transition.from, transition.to), (State::HalfOpen, State::Closed));
                    }
                    seen.note(transition);
                }
                Step::Fail(which) if !held.is_empty() => {
                    let (period, permit) = held.swap_remove(which % held.len());
                    let transition = breaker.failed(permit, now);
                    if let Some(transition) = transition {
                        prop_assert_eq!(period, seen.periods, "an answer of the past moves nothing");
                        prop_assert_eq!(transition.to, State::Open);
                    }
                    seen.note(transition);
                }
                Step::GiveUp(which) if !held.is_empty() => {
                    let (period, permit) = held.swap_remove(which % held.len());
                    seen.given_up += u32::from(period == seen.periods);
                    breaker.abandoned(permit);
                    prop_assert_eq!(breaker.state(), before, "giving up is no verdict");
                }
                Step::Succeed(_) | Step::Fail(_) | Step::GiveUp(_) => {}
            }
            if breaker.state() == State::HalfOpen {
                prop_assert!(seen.admitted - seen.given_up <= policy.probes, "never more probes than allowed");
            }
        }
    }

    /// RES-01
    #[test]
    fn it_opens_exactly_at_the_threshold_and_a_success_starts_the_count_again(
        policy in policy(),
        runs in prop::collection::vec(0_u32..8, 0..6),
    ) {
        let mut breaker = Breaker::new(policy);
        for run in runs {
            for _ in 0..run.min(policy.consecutive_failures - 1) {
                let permit = breaker.acquire(start()).0.unwrap();
                prop_assert_eq!(breaker.failed(permit, start()), None);
            }
            let permit = breaker.acquire(start()).0.unwrap();
            prop_assert_eq!(breaker.succeeded(permit, start()), None);
        }
        for failure in 1..=policy.consecutive_failures {
            let permit = breaker.acquire(start()).0.unwrap();
            let opened = breaker.failed(permit, start()).is_some();
            prop_assert_eq!(opened, failure == policy.consecutive_failures);
        }
        prop_assert_eq!(breaker.state(), State::Open);
    }

    /// RES-01: whatever went before, a far end that works again is used again.
    #[test]
    fn it_always_finds_back_to_closed_when_calls_succeed(policy in policy(), steps in prop::collection::vec(step(), 1..100)) {
        let mut breaker = Breaker::new(policy);
        let mut now = start();
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => now += TimeDelta::seconds(i64::from(seconds)),
                Step::Ask => held.extend(breaker.acquire(now).0),
                Step::Succeed(_) | Step::Fail(_) | Step::GiveUp(_) => {
                    if let Some(permit) = held.pop() {
                        let _transition = breaker.failed(permit, now);
                    }
                }
            }
        }
        // The permits still held are calls that hang for ever.
        let mut calls = 0;
        while breaker.state() != State::Closed {
            calls += 1;
            prop_assert!(calls <= 10 + policy.successes, "still {:?}", breaker.state());
            match breaker.acquire(now).0 {
                Ok(permit) => { let _transition = breaker.succeeded(permit, now); }
                Err(rejected) => now += TimeDelta::from_std(rejected.retry_after).unwrap(),
            }
        }
    }

    #[test]
    fn the_error_rate_opens_only_above_its_share_and_its_minimum(
        outcomes in prop::collection::vec(any::<bool>(), 1..120),
        minimum in 5_u32..40,
    ) {
        let rate = ErrorRate { window: Duration::from_secs(60), minimum_calls: minimum, threshold: 0.5 };
        let mut breaker = Breaker::new(BreakerPolicy {
            consecutive_failures: u32::MAX,
            error_rate: Some(rate),
            open_for: Duration::from_secs(1),
            probes: 1,
            successes: 1,
        });
        let (mut calls, mut failures) = (0_u32, 0_u32);
        for failed in outcomes {
            let permit = breaker.acquire(start()).0.unwrap();
            calls += 1;
            let opened = if failed {
                failures += 1;
                breaker.failed(permit, start()).is_some()
            } else {
                breaker.succeeded(permit, start()).is_some()
            };
            prop_assert_eq!(opened, failed && calls >= minimum && 2 * failures >= calls);
            if opened {
                break;
            }
        }
    }
}
