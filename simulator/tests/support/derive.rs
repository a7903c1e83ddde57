//! The measures of the call tables, counted by somebody who has only seen the events.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::{
    CallId, EventType,
    events::call::{AnsweredBy, CallEvent, Direction},
};
use voice_simulator::Expected;

fn millis(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_milliseconds()).unwrap()
}

/// Each event counts once, and every call must have its end.
pub(crate) fn derive(events: &[CallEvent]) -> Expected {
    let mut seen = HashSet::new();
    let mut calls: HashMap<CallId, Vec<&CallEvent>> = HashMap::new();
    let mut expected = Expected::default();
    for event in events.iter().filter(|event| seen.insert(event.id)) {
        let reconciled = event.data.ending.as_ref().is_some_and(|ending| ending.reconciled);
        if !reconciled {
            *expected.events.entry(event.kind).or_default() += 1;
        }
        calls.entry(event.data.call.call_id).or_default().push(event);
    }
    expected.calls = calls.len() as u64;
    for events in calls.into_values() {
        count(&mut expected, &events);
    }
    expected
}

fn count(expected: &mut Expected, events: &[&CallEvent]) {
    let at = |kind| {
        events
            .iter()
            .filter(|event| event.kind == kind)
            .map(|event| event.time)
            .min()
    };
    let (answered, bridged) = (at(EventType::CallAnswered), at(EventType::CallBridged));
    let first = events.iter().map(|event| event.time).min().unwrap();
    let end = events
        .iter()
        .find(|event| event.kind == EventType::CallEnded)
        .unwrap();
    let ending = end.data.ending.as_ref().unwrap();
    let verdict = events
        .iter()
        .filter_map(|event| Some((event.time, event.data.amd.as_ref()?.answered_by)))
        .max()
        .map(|(_, verdict)| verdict);
    let inbound = end.data.call.direction == Direction::Inbound;
    let machine = matches!(
        verdict,
        Some(AnsweredBy::Machine | AnsweredBy::Fax | AnsweredBy::Silence)
    );
    let contacted = bridged.is_some() || (answered.is_some() && !machine);
    let offered = inbound || contacted;
    let abandoned = offered && bridged.is_none();
    let offered_at = if inbound { Some(first) } else { answered };
    let wait = match (offered_at, bridged) {
        (Some(from), Some(to)) => millis(from, to),
        _ => 0,
    };
    expected.inbound += u64::from(inbound);
    expected.answered += u64::from(answered.is_some());
    expected.contacted += u64::from(contacted);
    expected.offered += u64::from(offered);
    expected.bridged += u64::from(bridged.is_some());
    expected.bridged_sl += u64::from(bridged.is_some() && wait <= 20_000);
    expected.abandoned += u64::from(abandoned);
    let short = abandoned && inbound && end.time - first < TimeDelta::seconds(5);
    expected.short_abandoned += u64::from(short);
    expected.machines += u64::from(verdict == Some(AnsweredBy::Machine));
    *expected.outcomes.entry(ending.outcome).or_default() += 1;
    expected.reconciled += u64::from(ending.reconciled);
    expected.ring_ms += answered.map_or(0, |answered| millis(first, answered));
    expected.wait_ms += wait;
    expected.talk_ms += bridged.map_or(0, |bridged| millis(bridged, end.time));
    expected.line_ms += match (ending.duration_ms, answered) {
        (Some(told), _) if told > 0 => u64::from(told),
        (_, Some(answered)) => millis(answered, end.time),
        _ => 0,
    };
}
