//! Plans are reproducible, legal and shaped as asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeSet, HashSet};

use chrono::{TimeDelta, Timelike as _};
use proptest::prelude::*;
use support::{accounts, plan, shift};
use voice_schemas::{
    EventType, TenantId,
    events::call::{AgentKind, CallOutcome, Carrier, Direction},
};
use voice_simulator::{
    Expected, SimulatorError,
    plan::{Cast, Fact, LogNormal, Outcomes, Party, Plan, PlannedCall, Shift, Verdict},
};

#[test]
fn the_same_seed_gives_the_same_calls_and_another_seed_gives_others() {
    let shift = shift(7, 500);
    let one: Vec<PlannedCall> = plan(shift.clone()).calls().collect();
    let two: Vec<PlannedCall> = plan(shift.clone()).calls().collect();
    assert_eq!(one, two);
    assert_eq!(one.len(), 500);
    let other: Vec<PlannedCall> = plan(Shift { seed: 8, ..shift }).calls().collect();
    let ids = |calls: &[PlannedCall]| {
        calls
            .iter()
            .map(|call| call.ids.call.clone())
            .collect::<HashSet<_>>()
    };
    assert!(ids(&one).is_disjoint(&ids(&other)));
}

#[test]
fn a_call_is_drawn_by_itself_as_it_comes_in_its_turn_and_is_found_by_the_carriers_id() {
    let plan = plan(shift(7, 300));
    for call in plan.calls() {
        assert_eq!(plan.call(call.index).as_ref(), Some(&call));
        assert_eq!(plan.find(&call.ids.call).as_ref(), Some(&call));
    }
    assert_eq!(plan.call(300), None);
    let mut other = plan.call(0).unwrap().ids.call;
    let last = if other.pop() == Some('a') { 'b' } else { 'a' };
    other.push(last);
    assert_eq!(
        plan.find(&other),
        None,
        "an id that only resembles one is nobody's"
    );
}

#[test]
fn calls_that_are_not_the_same_share_no_id() {
    let calls: Vec<PlannedCall> = plan(shift(3, 2_000)).calls().collect();
    let distinct = |id: fn(&PlannedCall) -> String| calls.iter().map(id).collect::<HashSet<_>>().len();
    assert_eq!(distinct(|call| call.ids.call.clone()), 2_000);
    assert_eq!(distinct(|call| call.ids.leg.to_string()), 2_000);
    assert_eq!(distinct(|call| call.call_id.to_string()), 2_000);
    let facts: Vec<_> = calls
        .iter()
        .flat_map(|call| call.facts.iter().map(|fact| fact.id))
        .collect();
    assert_eq!(facts.iter().collect::<HashSet<_>>().len(), facts.len());
}

#[test]
fn shares_come_out_as_asked() {
    let shift = shift(11, 20_000);
    let calls: Vec<PlannedCall> = plan(shift.clone()).calls().collect();
    let share = |part: &dyn Fn(&PlannedCall) -> bool, whole: &dyn Fn(&PlannedCall) -> bool| {
        let whole: Vec<_> = calls.iter().filter(|call| whole(call)).collect();
        whole.iter().filter(|call| part(call)).count() as f64 / whole.len() as f64
    };
    let all = |_: &PlannedCall| true;
    let outbound = |call: &PlannedCall| call.direction == Direction::Outbound;
    let answered = |call: &PlannedCall| outbound(call) && call.picked_up.is_some();
    let live = |call: &PlannedCall| outbound(call) && call.picked_up == Some(Party::Person);
    let bridged = |call: &PlannedCall| outbound(call) && call.bridged_at().is_some();
    let near = |name: &str, got: f64, wanted: f64, slack: f64| {
        assert!((got - wanted).abs() < slack, "{name}: {got} instead of {wanted}");
    };
    near(
        "inbound",
        share(&|call| !outbound(call), &all),
        shift.inbound_share,
        0.01,
    );
    near(
        "telnyx",
        share(&|call| call.carrier == Carrier::Telnyx, &all),
        shift.telnyx_share,
        0.015,
    );
    near(
        "answered",
        share(&answered, &outbound),
        shift.outcomes.answered,
        0.015,
    );
    near(
        "busy",
        share(&|call| call.end().outcome == CallOutcome::Busy, &outbound),
        shift.outcomes.busy,
        0.01,
    );
    near(
        "machines",
        share(&|call| call.picked_up == Some(Party::Machine), &answered),
        shift.machine_share,
        0.02,
    );
    near(
        "abandoned",
        share(&|call| call.bridged_at().is_none(), &live),
        shift.abandoned_share,
        0.006,
    );
    let in_time =
        |call: &PlannedCall| call.bridged_at().unwrap() - call.answered_at().unwrap() < TimeDelta::seconds(2);
    assert!(share(&in_time, &bridged) > 0.97);
    let ai = |call: &PlannedCall| call.context.as_ref().unwrap().agent_kind == Some(AgentKind::Ai);
    near("AI", share(&ai, &outbound), shift.ai_share, 0.02);
    // The two busiest hours of twelve have 22 % of the volume, the two at the ends 9 %.
    let hour = |call: &PlannedCall| (call.starts_at() - shift.starts_at).num_hours();
    near(
        "peaks",
        share(&|call| matches!(hour(call), 3 | 8), &all),
        2.7 / 12.2,
        0.01,
    );
    near(
        "ends",
        share(&|call| matches!(hour(call), 0 | 11), &all),
        1.1 / 12.2,
        0.01,
    );
}

#[test]
fn what_is_expected_of_a_plan_is_what_its_calls_say() {
    let plan = plan(shift(5, 3_000));
    let expected = Expected::of(plan.calls());
    let count = |of: &dyn Fn(&PlannedCall) -> bool| plan.calls().filter(|call| of(call)).count() as u64;
    let outbound = |call: &PlannedCall| call.direction == Direction::Outbound;
    assert_eq!(expected.calls, 3_000);
    assert_eq!(expected.reconciled, 0);
    assert_eq!(expected.events[&EventType::CallEnded], 3_000);
    assert_eq!(expected.events[&EventType::CallInitiated], 3_000);
    assert_eq!(expected.outcomes.values().sum::<u64>(), 3_000);
    assert_eq!(
        expected.outcomes[&CallOutcome::Busy],
        count(&|call| call.end().outcome == CallOutcome::Busy)
    );
    let picked_up = |call: &PlannedCall| call.answered_at().is_some();
    let silent = |call: &PlannedCall| call.carrier == Carrier::Twilio && !outbound(call);
    assert_eq!(expected.answered, count(&|call| picked_up(call) && !silent(call)));
    assert_eq!(expected.bridged, count(&|call| call.bridged_at().is_some()));
    assert_eq!(expected.offered - expected.abandoned, expected.bridged);
    let person = |call: &PlannedCall| call.picked_up == Some(Party::Person);
    // A machine that is hung up on before the verdict looks like a person; here none is.
    assert_eq!(expected.offered, count(&person));
    assert_eq!(
        expected.abandoned,
        count(&|call| person(call) && call.bridged_at().is_none())
    );
    let line: i64 = plan
        .calls()
        .map(|call| call.told_duration().num_milliseconds())
        .sum();
    assert_eq!(expected.line_ms, line.unsigned_abs());
    assert!(expected.talk_ms < expected.line_ms && expected.bridged_sl < expected.bridged);
}

#[test]
fn a_team_is_the_same_on_two_days_and_other_tenants_have_others() {
    let (today, tenant) = (shift(5, 10), TenantId(uuid::Uuid::from_u128(1)));
    let yesterday = Shift {
        starts_at: today.starts_at - TimeDelta::days(1),
        ..today.clone()
    };
    let cast = Cast::of(&today, tenant);
    assert_eq!(cast, Cast::of(&yesterday, tenant));
    assert_eq!(
        cast.campaigns
            .iter()
            .filter(|(_, kind)| *kind == AgentKind::Ai)
            .count(),
        1
    );
    assert_eq!(
        (cast.campaigns.len(), cast.queues.len(), cast.agents.len()),
        (4, 4, 60)
    );
    let other = Cast::of(&today, TenantId(uuid::Uuid::from_u128(2)));
    assert!(cast.agents.iter().all(|agent| !other.agents.contains(agent)));
    for call in plan(today)
        .calls()
        .filter(|call| call.direction == Direction::Outbound)
    {
        let context = call.context.unwrap();
        let (campaign, shard) = context.campaign.unwrap();
        let place = cast.campaigns.iter().position(|(id, _)| *id == campaign).unwrap();
        assert_eq!(context.queue, Some(cast.queues[place]));
        assert!(cast.agents.contains(&context.agent.unwrap()) && shard < 4);
        assert!(context.attempt.is_some() && context.contact.is_some() && context.phone_token.is_some());
    }
}

#[test]
fn a_carrier_with_calls_needs_an_account() {
    let accounts = accounts();
    let (telnyx, _) = accounts.split_at(1);
    let refused = Plan::new(shift(1, 1), telnyx).unwrap_err();
    assert!(
        matches!(
            refused,
            SimulatorError::NoAccount {
                carrier: Carrier::Twilio
            }
        ),
        "{refused}"
    );
    let all_telnyx = Shift {
        telnyx_share: 1.0,
        ..shift(1, 20)
    };
    assert!(
        Plan::new(all_telnyx, telnyx)
            .unwrap()
            .calls()
            .all(|call| call.carrier == Carrier::Telnyx)
    );
}

/// Shifts at the ends of what is allowed, too.
fn shifts() -> impl Strategy<Value = Shift> {
    let share = || prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64];
    let weight = || prop_oneof![Just(0.0), 0.0..1.0_f64];
    let spread = |low: u32, high: u32| {
        (1.0..50_000.0_f64, 0.0..3.0_f64)
            .prop_map(move |(median, sigma)| LogNormal::new(median, sigma, low, high))
    };
    (
        (any::<u64>(), 1_u64..60, 60_i64..50_000, share(), share(), share()),
        (
            weight(),
            weight(),
            weight(),
            weight(),
            weight(),
            weight(),
            0.001..1.0_f64,
        ),
        (share(), share(), share(), share()),
        (
            spread(0, 60_000),
            spread(0, 20_000),
            spread(0, 60_000),
            spread(0, 3_000_000),
            5_000_u32..60_000,
        ),
    )
        .prop_map(|(whole, outcomes, shares, spreads)| {
            let (seed, calls, seconds, inbound_share, telnyx_share, ai_share) = whole;
            let (answered, busy, no_answer, invalid_number, rejected, canceled, carrier_error) = outcomes;
            let (machine_share, unsure_share, abandoned_share, chatter_share) = shares;
            let (ring_ms, detection_ms, agent_wait_ms, talk_ms, ring_timeout_ms) = spreads;
            Shift {
                duration: TimeDelta::seconds(seconds),
                inbound_share,
                telnyx_share,
                ai_share,
                outcomes: Outcomes {
                    answered,
                    busy,
                    no_answer,
                    invalid_number,
                    rejected,
                    canceled,
                    carrier_error,
                },
                machine_share,
                unsure_share,
                abandoned_share,
                chatter_share,
                ring_ms,
                detection_ms,
                agent_wait_ms,
                talk_ms,
                ring_timeout_ms,
                ..shift(seed, calls)
            }
        })
}

/// What this carrier can say about such a call.
fn is_legal(call: &PlannedCall, fact: &Fact) -> bool {
    let twilio = call.carrier == Carrier::Twilio;
    let outbound = call.direction == Direction::Outbound;
    match fact {
        Fact::Initiated | Fact::Ended(_) => true,
        Fact::Ringing => twilio && outbound,
        Fact::Answered => call.picked_up.is_some() && (!twilio || outbound),
        Fact::Amd { verdict, .. } => {
            let person = matches!(verdict, Verdict::Human | Verdict::Unsure);
            outbound
                && (call.picked_up == Some(Party::Person)) == person
                && (*verdict != Verdict::Silence || !twilio)
        }
        Fact::Bridged(_) => call.picked_up == Some(Party::Person),
        Fact::Chatter(_) => call.picked_up.is_some(),
    }
}

proptest! {
    #[test]
    fn every_call_has_one_legal_life_from_its_beginning_to_its_one_end(shift in shifts()) {
        prop_assert!(shift.check().is_ok());
        let plan = plan(shift);
        let shift = plan.shift();
        let mut before = shift.starts_at;
        for call in plan.calls() {
            prop_assert!(call.starts_at() >= before, "calls come in the order they begin");
            before = call.starts_at();
            prop_assert!(call.starts_at() <= shift.starts_at + shift.duration);
            prop_assert!(call.ended_at() <= shift.ends_at(), "{:?}", call);
            prop_assert!(call.facts.len() < 12);
            prop_assert!(call.facts.is_sorted_by_key(|fact| fact.at), "{:?}", call.facts);
            prop_assert_eq!(call.starts_at().nanosecond() % 1_000_000, 0, "whole milliseconds survive every carrier");

            let facts: Vec<&Fact> = call.facts.iter().map(|planned| &planned.fact).collect();
            prop_assert_eq!(facts.first(), Some(&&Fact::Initiated));
            let count = |of: fn(&Fact) -> bool| facts.iter().filter(|fact| of(fact)).count();
            prop_assert_eq!(count(Fact::is_terminal), 1);
            prop_assert!(count(|fact| matches!(fact, Fact::Answered)) <= 1);
            prop_assert!(count(|fact| matches!(fact, Fact::Bridged(_))) <= 1);
            let end = facts.iter().position(|fact| fact.is_terminal()).unwrap();
            prop_assert_eq!(call.facts[end].at, call.ended_at());
            prop_assert!(facts[end + 1..].iter().all(|fact| matches!(fact, Fact::Chatter(_))));
            for fact in &facts {
                prop_assert!(is_legal(&call, fact), "{:?} of {:?}", fact, call);
            }
            let completed = call.end().outcome == CallOutcome::Completed;
            prop_assert_eq!(completed, call.picked_up.is_some());
            prop_assert_eq!(completed, call.answered_at().is_some());
            if let (Some(answered), Some(bridged)) = (call.answered_at(), call.bridged_at()) {
                prop_assert!(answered <= bridged && bridged <= call.ended_at());
            }
            // Twilio's counters have no gap: of the call, and of the conference.
            let counted = |status: bool| call.facts.iter().filter(move |planned| match planned.fact {
                Fact::Amd { .. } => false,
                Fact::Initiated => status && call.direction == Direction::Outbound,
                Fact::Bridged(_) | Fact::Chatter(_) => !status,
                _ => status,
            });
            for status in [true, false] {
                let numbers: BTreeSet<u32> = counted(status).map(|planned| planned.sequence).collect();
                let count = u32::try_from(counted(status).count()).unwrap();
                prop_assert_eq!(numbers, (0..count).collect::<BTreeSet<u32>>());
            }
        }
    }
}
