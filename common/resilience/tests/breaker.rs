//! The circuit breaker in the situations it exists for.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use voice_lifecycle::{ManualClock, TokioClock};
use voice_resilience::{
    BREAKER, BREAKER_TRANSITIONS, BREAKERS_TRIPPED, Breaker, BreakerChanged, BreakerPolicy, CallError,
    CircuitBreaker, Dependency, ErrorRate, State, Transition,
};
use voice_telemetry::{Definition, Emit, Metrics, assert_documented, assert_emits};

const TELNYX: Dependency = Dependency("telnyx_calls");

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_248_000, 0).unwrap()
}

fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

fn fail(breaker: &mut Breaker, now: DateTime<Utc>) -> Option<Transition> {
    let permit = breaker.acquire(now).0.expect("the breaker admits the call");
    breaker.failed(permit, now)
}

fn tripped() -> Breaker {
    let mut breaker = Breaker::new(BREAKER);
    for _ in 0..4 {
        assert_eq!(fail(&mut breaker, start()), None);
    }
    assert_eq!(
        fail(&mut breaker, start()),
        Some(Transition {
            from: State::Closed,
            to: State::Open,
            at: start()
        })
    );
    breaker
}

/// RES-01: what somebody else has found out counts as long as it would if it had been found out here.
#[test]
fn it_opens_and_closes_on_somebody_elses_word() {
    let mut breaker = Breaker::new(BREAKER);
    assert_eq!(
        breaker.opened_elsewhere(start(), start() + seconds(60)),
        None,
        "that is over"
    );
    let (permit, _) = breaker.acquire(start());
    let opened = breaker.opened_elsewhere(start(), start() + seconds(10)).unwrap();
    assert_eq!((opened.from, opened.to), (State::Closed, State::Open));
    assert_eq!(breaker.succeeded(permit.unwrap(), start() + seconds(11)), None);
    assert!(breaker.acquire(start() + seconds(59)).0.is_err());
    // The latest opening counts, whoever tells of it when.
    assert_eq!(
        breaker.opened_elsewhere(start() + seconds(20), start() + seconds(30)),
        None
    );
    assert_eq!(breaker.opened_elsewhere(start(), start() + seconds(30)), None);
    assert!(breaker.acquire(start() + seconds(79)).0.is_err());
    let closed = breaker.closed_elsewhere(start() + seconds(79)).unwrap();
    assert_eq!((closed.from, closed.to), (State::Open, State::Closed));
    assert!(breaker.acquire(start() + seconds(79)).0.is_ok());
    assert_eq!(breaker.closed_elsewhere(start() + seconds(79)), None);
}

/// RES-01
#[test]
fn five_failures_open_it_for_a_minute_and_two_successes_out_of_three_probes_close_it() {
    let mut breaker = tripped();
    let (answer, _) = breaker.acquire(start() + seconds(59));
    assert_eq!(answer.unwrap_err().retry_after, Duration::from_secs(1));

    let now = start() + seconds(60);
    let (first, transition) = breaker.acquire(now);
    assert_eq!(
        transition,
        Some(Transition {
            from: State::Open,
            to: State::HalfOpen,
            at: now
        })
    );
    let second = breaker.acquire(now).0.unwrap();
    let third = breaker.acquire(now).0.unwrap();
    assert!(breaker.acquire(now).0.is_err(), "a fourth probe");

    assert_eq!(breaker.succeeded(first.unwrap(), now), None);
    assert_eq!(breaker.failed(second, now), None, "one of three may fail");
    assert_eq!(
        breaker.succeeded(third, now),
        Some(Transition {
            from: State::HalfOpen,
            to: State::Closed,
            at: now
        })
    );
}

/// RES-01
#[test]
fn two_failed_probes_open_it_for_another_minute() {
    let mut breaker = tripped();
    let now = start() + seconds(60);
    assert_eq!(fail(&mut breaker, now), None);
    assert_eq!(
        fail(&mut breaker, now),
        Some(Transition {
            from: State::HalfOpen,
            to: State::Open,
            at: now
        })
    );
    assert!(breaker.acquire(now + seconds(59)).0.is_err());
    assert!(breaker.acquire(now + seconds(60)).0.is_ok());
}

#[test]
fn probes_that_never_answer_count_as_failed_after_the_open_time() {
    let mut breaker = tripped();
    let now = start() + seconds(60);
    let _hanging: Vec<_> = (0..3).map(|_| breaker.acquire(now).0.unwrap()).collect();
    assert_eq!(breaker.acquire(now + seconds(59)).1, None);
    let later = now + seconds(60);
    let (answer, transition) = breaker.acquire(later);
    assert!(answer.is_err());
    assert_eq!(
        transition,
        Some(Transition {
            from: State::HalfOpen,
            to: State::Open,
            at: later
        })
    );
}

#[test]
fn an_answer_from_before_the_breaker_opened_does_not_close_it() {
    let mut breaker = Breaker::new(BREAKER);
    let early: Vec<_> = (0..2).map(|_| breaker.acquire(start()).0.unwrap()).collect();
    for _ in 0..5 {
        let _transition = fail(&mut breaker, start());
    }
    let now = start() + seconds(60);
    let _probe = breaker.acquire(now).0.unwrap();
    for permit in early {
        assert_eq!(breaker.succeeded(permit, now), None);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn a_clock_that_is_set_back_restarts_the_wait_instead_of_prolonging_it() {
    let mut breaker = tripped();
    let back = start() - seconds(3_600);
    assert!(breaker.acquire(back).0.is_err());
    assert!(breaker.acquire(back + seconds(59)).0.is_err());
    assert!(breaker.acquire(back + seconds(60)).0.is_ok());
}

#[test]
fn failures_older_than_the_window_do_not_count_towards_the_error_rate() {
    let rate = ErrorRate {
        window: Duration::from_secs(60),
        minimum_calls: 4,
        threshold: 0.5,
    };
    let policy = BreakerPolicy {
        consecutive_failures: u32::MAX,
        error_rate: Some(rate),
        ..BREAKER
    };
    let mut breaker = Breaker::new(policy);
    for _ in 0..3 {
        assert_eq!(fail(&mut breaker, start()), None);
    }
    let now = start() + seconds(60);
    for _ in 0..3 {
        assert_eq!(
            fail(&mut breaker, now),
            None,
            "three calls in the window, four are needed"
        );
    }
    assert!(fail(&mut breaker, now).is_some());
}

#[derive(Debug, PartialEq)]
enum CarrierError {
    Timeout,
    BadNumber,
}

fn their_fault(error: &CarrierError) -> bool {
    *error == CarrierError::Timeout
}

async fn times_out(breaker: &CircuitBreaker) -> Result<(), CallError<CarrierError>> {
    breaker
        .call(|| async { Err(CarrierError::Timeout) }, their_fault)
        .await
}

/// RES-01
#[tokio::test]
async fn calls_are_refused_without_being_made_while_it_is_open_and_operators_see_every_change() {
    let clock = ManualClock::at(start());
    let metrics = Metrics::empty();
    let breaker = CircuitBreaker::observed(
        BREAKER,
        clock.shared(),
        metrics.clone(),
        TELNYX,
        "tenant/account".to_owned(),
    );
    for _ in 0..5 {
        assert_eq!(
            times_out(&breaker).await,
            Err(CallError::Failed(CarrierError::Timeout))
        );
    }
    assert_eq!(metrics.gauge(&BREAKERS_TRIPPED).get((TELNYX, State::Open)), 1.0);

    let refused = breaker
        .call(|| async { panic!("the call is not made") }, their_fault)
        .await;
    let refused: CallError<CarrierError> = Result::<(), _>::unwrap_err(refused);
    assert_eq!(
        (refused.kind(), refused.retry_after()),
        ("circuit_open", Some(Duration::from_secs(60)))
    );

    clock.advance(seconds(60));
    for _ in 0..2 {
        assert_eq!(
            breaker
                .call(|| async { Ok::<_, CarrierError>(7) }, their_fault)
                .await,
            Ok(7)
        );
    }
    assert_eq!(breaker.state(), State::Closed);
    let transitions = metrics.counter(&BREAKER_TRANSITIONS);
    for state in [State::Open, State::HalfOpen, State::Closed] {
        assert_eq!(transitions.get((TELNYX, state)), 1, "{state:?}");
        assert_eq!(
            metrics.gauge(&BREAKERS_TRIPPED).get((TELNYX, state)),
            0.0,
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn an_error_that_is_the_callers_own_fault_does_not_open_it() {
    let breaker = CircuitBreaker::new(BREAKER, ManualClock::at(start()).shared(), |_| {
        panic!("no transition")
    });
    for _ in 0..20 {
        let result: Result<(), _> = breaker
            .call(|| async { Err(CarrierError::BadNumber) }, their_fault)
            .await;
        assert_eq!(result, Err(CallError::Failed(CarrierError::BadNumber)));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_before_it_answers_gives_its_place_back() {
    let transitions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&transitions);
    let policy = BreakerPolicy {
        probes: 1,
        successes: 1,
        ..BREAKER
    };
    let breaker = CircuitBreaker::new(
        policy,
        Arc::new(TokioClock::starting_at(start())),
        move |transition| {
            seen.lock().unwrap().push(transition.to);
        },
    );
    for _ in 0..5 {
        let _failed = times_out(&breaker).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let hanging = breaker.call(std::future::pending::<Result<(), CarrierError>>, their_fault);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), hanging)
            .await
            .is_err()
    );
    assert_eq!(
        breaker
            .call(|| async { Ok::<_, CarrierError>(()) }, their_fault)
            .await,
        Ok(())
    );
    assert_eq!(
        *transitions.lock().unwrap(),
        [State::Open, State::HalfOpen, State::Closed]
    );
}

#[test]
fn its_metrics_are_the_documented_ones() {
    let catalogue: &[&dyn Definition] = &[&BREAKER_TRANSITIONS, &BREAKERS_TRIPPED];
    assert_documented(catalogue);
    assert_emits(catalogue, |metrics| {
        let transition = Transition {
            from: State::Closed,
            to: State::Open,
            at: start(),
        };
        BreakerChanged {
            dependency: TELNYX,
            scope: "tenant/account",
            transition,
        }
        .emit(metrics);
    });
}
