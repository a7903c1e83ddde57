//! A shift played to a platform in miniature arrives as counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use axum::http::StatusCode;
use chrono::TimeDelta;
use support::{Platform, Told, clock, derive::derive, http, now, patient, shift, simulator};
use voice_schemas::{CallId, EventId, EventType, events::call::CallEvent};
use voice_simulator::{
    Expected, FactSet, Faults, SimulatorError,
    plan::{LogNormal, PlannedCall, Shift},
    player::{Observer, Pace, PlayOptions, Progress, Retries, Tally},
    wire::Target,
};

/// Short waits: the tests want the retries, not the time between them.
fn options() -> PlayOptions {
    let retries = Retries {
        tries: 4,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
    };
    PlayOptions {
        concurrency: 16,
        retries,
        ..PlayOptions::default()
    }
}

async fn play(
    shift: Shift,
    faults: Faults,
    judge: impl Fn(u64, u64) -> StatusCode + Send + Sync + 'static,
) -> (Tally, Told) {
    let platform = Platform::start(judge).await;
    let simulator = simulator(shift, faults);
    let target = Target::direct(platform.url());
    let tally = simulator
        .play(&http(), &target, &options(), &clock(), &())
        .await
        .unwrap();
    (tally, platform.told())
}

/// Each event once.
fn distinct(told: &Told) -> HashMap<EventId, &CallEvent> {
    told.events.iter().map(|event| (event.id, event)).collect()
}

/// TEL-01
#[tokio::test(flavor = "multi_thread")]
async fn without_faults_everything_arrives_once_in_order_and_as_expected() {
    let shift = Shift {
        chatter_share: 0.3,
        ..shift(41, 400)
    };
    let expected = simulator(shift.clone(), Faults::none()).expected();
    let (tally, told) = play(shift, Faults::none(), patient).await;
    assert_eq!(told.refused, Vec::<String>::new());
    assert_eq!(tally.expected, expected);
    assert_eq!(
        derive(&told.events),
        Expected {
            chatter: 0,
            ..expected.clone()
        }
    );
    assert_eq!(told.ignored.len() as u64, expected.chatter);
    assert!(expected.chatter > 50);
    assert_eq!(
        (tally.calls, tally.ends_missing, tally.lost, tally.undelivered),
        (400, 0, 0, 0)
    );
    assert_eq!(
        (
            tally.repeated,
            tally.retries,
            tally.out_of_order,
            tally.unanswered
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (tally.planned, tally.requests),
        (tally.delivered, tally.delivered)
    );
    assert_eq!(tally.delivered, told.requests);
    assert_eq!(told.events.len() as u64, expected.event_count());
    assert_eq!(distinct(&told).len(), told.events.len());
    assert!(tally.response_times.quantile(0.5).is_some());
    // Per call, events came in the order they happened.
    let mut latest = HashMap::new();
    for event in &told.events {
        let before = latest.insert(event.data.call.call_id, event.time);
        assert!(before.is_none_or(|before| before <= event.time));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_faults_the_tally_knows_what_arrived_and_what_did_not() {
    let faults = Faults {
        duplicates: 0.1,
        reordered: 0.2,
        loss: 0.05,
        terminal_loss: 0.05,
        ..Faults::default()
    };
    let (tally, told) = play(shift(42, 600), faults, patient).await;
    assert_eq!(told.refused, Vec::<String>::new());
    let seen = distinct(&told);
    assert_eq!(seen.len() as u64, tally.expected.event_count());
    assert_eq!(told.requests, tally.requests);
    assert_eq!(told.tries.len() as u64, tally.delivered);
    assert_eq!(tally.planned, tally.delivered + tally.lost);
    assert_eq!(tally.repeated, tally.requests - tally.delivered);
    assert!(
        tally.repeated > 100 && tally.out_of_order > 50 && tally.lost > 80,
        "{tally:?}"
    );
    let ended: HashSet<CallId> = told
        .events
        .iter()
        .filter(|event| event.kind == EventType::CallEnded)
        .map(|event| event.data.call.call_id)
        .collect();
    assert_eq!(tally.ends_missing, 600 - ended.len() as u64);
    assert!(tally.ends_missing > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_and_arrives_once() {
    // Every webhook fails once, in one of three ways that pass.
    let judge = |number: u64, tries: u64| match (tries, number % 3) {
        (1, 0) => StatusCode::SERVICE_UNAVAILABLE,
        (1, 1) => StatusCode::TOO_MANY_REQUESTS,
        (1, _) => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::OK,
    };
    let shift = shift(43, 150);
    let expected = simulator(shift.clone(), Faults::none()).expected();
    let (tally, told) = play(shift, Faults::none(), judge).await;
    assert_eq!(tally.expected, expected);
    assert_eq!((tally.undelivered, tally.retries), (0, tally.planned));
    assert_eq!(tally.refusals.values().sum::<u64>(), tally.planned);
    assert_eq!(
        tally.refusals.keys().copied().collect::<Vec<_>>(),
        [408, 429, 503]
    );
    assert!(told.tries.values().all(|tries| *tries == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_never_takes_anything_is_given_up_on_after_the_last_try() {
    let unavailable = |_, _| StatusCode::SERVICE_UNAVAILABLE;
    let (tally, told) = play(shift(44, 30), Faults::none(), unavailable).await;
    assert_eq!(
        (tally.calls, tally.delivered, tally.undelivered),
        (30, 0, tally.planned)
    );
    assert_eq!((tally.ends_missing, tally.expected.calls), (30, 0));
    assert!(told.tries.values().all(|tries| *tries == 4));
    // What another try cannot change gets none.
    let forbidden = |_, _| StatusCode::FORBIDDEN;
    let (tally, told) = play(shift(44, 30), Faults::none(), forbidden).await;
    assert_eq!((tally.undelivered, tally.retries), (tally.planned, 0));
    assert!(told.tries.values().all(|tries| *tries == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_not_there_is_told_apart_from_one_that_refuses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let simulator = simulator(shift(45, 5), Faults::none());
    let tally = simulator
        .play(&http(), &Target::direct(url), &options(), &clock(), &())
        .await
        .unwrap();
    assert_eq!((tally.delivered, tally.undelivered), (0, tally.planned));
    assert_eq!(
        (tally.unanswered, tally.refusals),
        (tally.planned * 4, BTreeMap::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_of_a_shift_whose_webhooks_are_all_lost() {
    let faults = Faults {
        loss: 1.0,
        ..Faults::none()
    };
    let (tally, told) = play(shift(46, 3_000), faults, patient).await;
    assert_eq!(
        (tally.calls, tally.lost, tally.requests),
        (3_000, tally.planned, 0)
    );
    assert_eq!(
        (told.requests, tally.expected),
        (
            0,
            Expected {
                ..Expected::default()
            }
        )
    );
}

#[derive(Default)]
struct Watching {
    progress: Mutex<Vec<Progress>>,
    calls: Mutex<Vec<(u64, FactSet, FactSet)>>,
}

impl Observer for Watching {
    fn progress(&self, progress: &Progress) {
        self.progress.lock().unwrap().push(*progress);
    }

    fn finished(&self, call: &PlannedCall, arrived: FactSet, lost: FactSet) {
        self.calls.lock().unwrap().push((call.index, arrived, lost));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_every_step_and_every_call() {
    let platform = Platform::start(patient).await;
    let simulator = simulator(
        shift(47, 100),
        Faults {
            loss: 0.1,
            ..Faults::default()
        },
    );
    let watching = Watching::default();
    let target = Target::direct(platform.url());
    let tally = simulator
        .play(&http(), &target, &options(), &clock(), &watching)
        .await
        .unwrap();
    let progress = watching.progress.into_inner().unwrap();
    assert!(progress.is_sorted_by_key(|progress| (progress.finished, progress.delivered)));
    let last = progress.last().unwrap();
    assert_eq!(
        (last.calls, last.finished, last.delivered),
        (100, 100, tally.delivered)
    );
    let calls = watching.calls.into_inner().unwrap();
    let seen: HashSet<u64> = calls.iter().map(|(index, ..)| *index).collect();
    assert_eq!((calls.len(), seen.len()), (100, 100));
    assert_eq!(
        calls
            .iter()
            .map(|(_, arrived, _)| u64::from(arrived.len()))
            .sum::<u64>(),
        tally.delivered
    );
    assert_eq!(
        calls.iter().map(|(.., lost)| u64::from(lost.len())).sum::<u64>(),
        tally.lost
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_shift_takes_its_share_of_the_time() {
    // A quarter of an hour at three thousand times the speed is 0.3 s, and no less.
    let mut quarter = Shift {
        duration: TimeDelta::minutes(10),
        ..shift(48, 40)
    };
    quarter.talk_ms = LogNormal::fixed(60_000);
    let platform = Platform::start(patient).await;
    let simulator = simulator(quarter, Faults::none());
    let plan = simulator.plan();
    let last = plan
        .calls()
        .flat_map(|call| call.facts)
        .map(|fact| fact.at)
        .max()
        .unwrap();
    let least = (last - plan.shift().starts_at).to_std().unwrap().div_f64(3_000.0);
    let options = PlayOptions {
        pace: Pace::Scaled(3_000.0),
        ..options()
    };
    let began = std::time::Instant::now();
    let tally = simulator
        .play(&http(), &Target::direct(platform.url()), &options, &clock(), &())
        .await
        .unwrap();
    assert_eq!(tally.delivered, tally.planned);
    assert!(began.elapsed() >= least, "{:?} < {least:?}", began.elapsed());
}

#[tokio::test]
async fn a_shift_nobody_would_believe_is_refused_before_anything_is_sent() {
    let platform = Platform::start(patient).await;
    let old = Shift {
        starts_at: now() - TimeDelta::hours(25),
        ..shift(49, 10)
    };
    let target = Target::direct(platform.url());
    let refused = simulator(old, Faults::none())
        .play(&http(), &target, &options(), &clock(), &())
        .await;
    assert!(
        matches!(refused, Err(SimulatorError::TooOld { .. })),
        "{refused:?}"
    );
    let options = PlayOptions {
        pace: Pace::Scaled(0.0),
        ..options()
    };
    let refused = simulator(shift(49, 10), Faults::none())
        .play(&http(), &target, &options, &clock(), &())
        .await;
    assert!(
        matches!(refused, Err(SimulatorError::Parameter { field: "pace", .. })),
        "{refused:?}"
    );
    assert_eq!(platform.told().requests, 0);
}
