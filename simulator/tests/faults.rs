//! Faults are drawn as asked, apart from the calls, and the same again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use proptest::prelude::*;
use support::{plan, shift};
use voice_simulator::{
    Decision, Faults, SimulatorError,
    plan::{LogNormal, PlannedCall},
};

fn decisions(faults: &Faults, calls: u64) -> Vec<(PlannedCall, Decision)> {
    plan(shift(31, calls))
        .calls()
        .map(|call| (call.clone(), faults.decide(31, &call)))
        .collect()
}

/// The facts of a call in the order their webhooks leave.
fn order(decision: &Decision) -> Vec<usize> {
    let mut first: Vec<_> = decision
        .departures
        .iter()
        .filter(|departure| !departure.duplicate)
        .collect();
    first.sort_by_key(|departure| (departure.due, departure.fact));
    first.iter().map(|departure| departure.fact).collect()
}

#[test]
fn without_faults_everything_leaves_once_when_it_happens() {
    for (call, decision) in decisions(&Faults::none(), 200) {
        assert!(decision.lost.is_empty());
        let left: Vec<_> = decision
            .departures
            .iter()
            .map(|departure| (departure.due, departure.fact))
            .collect();
        let happened: Vec<_> = call.facts.iter().map(|fact| fact.at).zip(0..).collect();
        assert_eq!(left, happened);
    }
}

#[test]
fn latency_alone_changes_no_order() {
    let faults = Faults {
        latency_ms: LogNormal::new(2_000.0, 2.0, 0, 600_000),
        ..Faults::none()
    };
    for (call, decision) in decisions(&faults, 500) {
        assert_eq!(order(&decision), (0..call.facts.len()).collect::<Vec<_>>());
    }
}

#[test]
fn shares_of_faults_come_out_as_asked() {
    let faults = Faults {
        duplicates: 0.1,
        loss: 0.05,
        terminal_loss: 0.2,
        ..Faults::default()
    };
    let decisions = decisions(&faults, 10_000);
    let facts: usize = decisions.iter().map(|(call, _)| call.facts.len()).sum();
    let lost: u32 = decisions.iter().map(|(_, decision)| decision.lost.len()).sum();
    let ends_lost = decisions
        .iter()
        .filter(|(call, decision)| {
            call.facts
                .iter()
                .enumerate()
                .any(|(place, fact)| fact.fact.is_terminal() && decision.lost.has(place))
        })
        .count();
    let sent: usize = decisions
        .iter()
        .map(|(_, decision)| decision.departures.len())
        .sum();
    let left = facts as f64 - f64::from(lost);
    let twice = (sent as f64 - left) / left;
    assert!((twice - 0.1).abs() < 0.01, "{twice}");
    let ends = ends_lost as f64 / 10_000.0;
    assert!((ends - 0.24).abs() < 0.02, "{ends}");
    let others = (f64::from(lost) - ends_lost as f64) / (facts as f64 - 10_000.0);
    assert!((others - 0.05).abs() < 0.006, "{others}");
}

#[test]
fn a_webhook_that_is_held_back_is_overtaken_when_the_next_one_comes_within_the_window() {
    let faults = Faults {
        reordered: 1.0,
        reorder_window_ms: 60_000,
        ..Faults::none()
    };
    let mut overtaken = 0;
    for (call, decision) in decisions(&faults, 500) {
        for departure in &decision.departures {
            let (at, next) = (
                call.facts[departure.fact].at,
                call.facts.get(departure.fact + 1).map(|fact| fact.at),
            );
            let late = (departure.due - at).num_milliseconds();
            match next {
                Some(next) if (next - at).num_milliseconds() < 60_000 => {
                    assert!(departure.due > next);
                    overtaken += 1;
                }
                _ => assert!((1..=60_000).contains(&late), "{late}"),
            }
        }
    }
    assert!(overtaken > 500, "{overtaken}");
    let faults = Faults {
        reordered: 0.1,
        ..Faults::default()
    };
    let mixed = decisions(&faults, 2_000)
        .iter()
        .filter(|(_, decision)| !order(decision).is_sorted())
        .count();
    assert!(mixed > 100, "{mixed}");
}

#[test]
fn absurd_faults_are_named() {
    let named = |faults: Faults| match faults.check() {
        Err(SimulatorError::Parameter { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        named(Faults {
            loss: 1.5,
            ..Faults::none()
        }),
        "loss"
    );
    assert_eq!(
        named(Faults {
            duplicates: f64::NAN,
            ..Faults::none()
        }),
        "duplicates"
    );
    assert_eq!(
        named(Faults {
            latency_ms: LogNormal::new(1.0, -1.0, 0, 1),
            ..Faults::none()
        }),
        "latency_ms"
    );
    assert!(Faults::default().check().is_ok());
}

proptest! {
    #[test]
    fn every_webhook_is_sent_or_lost_and_faults_leave_the_calls_alone(
        seed: u64,
        duplicates in 0.0..1.0_f64,
        reordered in 0.0..1.0_f64,
        loss in 0.0..1.0_f64,
        terminal_loss in 0.0..1.0_f64,
        reorder_window_ms in 0_u32..100_000,
    ) {
        let faults = Faults { duplicates, reordered, loss, terminal_loss, reorder_window_ms, ..Faults::default() };
        for call in plan(shift(seed, 20)).calls() {
            let decision = faults.decide(seed, &call);
            prop_assert_eq!(&decision, &faults.decide(seed, &call));
            for (place, fact) in call.facts.iter().enumerate() {
                let first = decision.departures.iter().filter(|left| left.fact == place && !left.duplicate).count();
                prop_assert_eq!(first, usize::from(!decision.lost.has(place)));
                prop_assert!(decision.departures.iter().all(|left| left.fact != place || left.due >= fact.at));
            }
            // What is held back does not change what is lost.
            let calm = Faults { reordered: 0.0, ..faults };
            prop_assert_eq!(calm.decide(seed, &call).lost, decision.lost);
        }
    }
}
