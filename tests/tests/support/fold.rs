//! Calls, told by somebody who has read the events and the definitions of `docs/kpis.md`, and no SQL.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{Row, clickhouse};
use voice_schemas::{
    EventType,
    events::call::{AgentKind, AnsweredBy, CallEvent, Carrier, Direction, Ending},
};

use super::Scene;

/// A call, with times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct Call {
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) call_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) tenant_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) campaign_id: Uuid,
    pub(crate) shard: u16,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) attempt_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) contact_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) queue_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    pub(crate) agent_id: Uuid,
    pub(crate) direction: String,
    pub(crate) carrier: String,
    pub(crate) carrier_call_id: String,
    pub(crate) started: i64,
    pub(crate) last: i64,
    pub(crate) answered: Option<i64>,
    pub(crate) bridged: Option<i64>,
    pub(crate) ended: Option<i64>,
    pub(crate) agent_kind: String,
    pub(crate) answered_by: String,
    pub(crate) outcome: String,
    pub(crate) hangup_by: String,
    pub(crate) cause: String,
    pub(crate) sip_code: u16,
    pub(crate) reconciled: bool,
    pub(crate) reached: bool,
    pub(crate) contacted: bool,
    pub(crate) offered: bool,
    pub(crate) abandoned: bool,
    pub(crate) short_abandoned: bool,
    pub(crate) ring_ms: u32,
    pub(crate) wait_ms: u32,
    pub(crate) talk_ms: u32,
    pub(crate) line_ms: u32,
}

const CALLS: &str = "SELECT call_id, tenant_id, campaign_id, shard, attempt_id, contact_id, queue_id, agent_id, \
     toString(direction) AS direction, toString(carrier) AS carrier, carrier_call_id, \
     toUnixTimestamp64Milli(started_at) AS started, toUnixTimestamp64Milli(last_at) AS last, \
     toUnixTimestamp64Milli(answered_at) AS answered, toUnixTimestamp64Milli(bridged_at) AS bridged, \
     toUnixTimestamp64Milli(ended_at) AS ended, toString(agent_kind) AS agent_kind, answered_by, outcome, \
     hangup_by, cause, sip_code, reconciled = 1 AS reconciled, was_bridged = 1 AS reached, contacted = 1 AS contacted, offered = 1 AS offered, \
     abandoned = 1 AS abandoned, short_abandoned = 1 AS short_abandoned, ring_ms, wait_ms, talk_ms, line_ms \
     FROM (SELECT f.*, f.answered_at, f.bridged_at, f.bridged AS was_bridged FROM calls_final AS f) ORDER BY toString(call_id)";

impl Scene {
    /// The calls as the tables have them.
    pub(crate) async fn calls(&self) -> Vec<Call> {
        self.clickhouse
            .rows("reading every call", CALLS, |query| query)
            .await
            .unwrap()
    }
}

/// The calls as the events tell them. Events may come twice, late and in any order.
pub(crate) fn fold(events: &[CallEvent]) -> Vec<Call> {
    let mut calls: BTreeMap<String, Vec<&CallEvent>> = BTreeMap::new();
    for event in events {
        calls
            .entry(event.data.call.call_id.0.to_string())
            .or_default()
            .push(event);
    }
    calls.into_values().map(|events| call(&events)).collect()
}

fn call(events: &[&CallEvent]) -> Call {
    let ms = |event: &CallEvent| event.time.timestamp_millis();
    let first_of = |kind| {
        events
            .iter()
            .filter(|event| event.kind == kind)
            .map(|event| ms(event))
            .min()
    };
    let any = |id: &dyn Fn(&CallEvent) -> Option<Uuid>| {
        events.iter().find_map(|event| id(event)).unwrap_or_default()
    };
    let reference = &events[0].data.call;
    let started = events.iter().map(|event| ms(event)).min().unwrap();
    let (answered, bridged) = (
        first_of(EventType::CallAnswered),
        first_of(EventType::CallBridged),
    );
    let verdict = events
        .iter()
        .filter_map(|event| Some((ms(event), event.data.amd.as_ref()?.answered_by)))
        .max_by_key(|(at, verdict)| (*at, verdict.as_str()))
        .map(|(_, verdict)| verdict);
    // The carrier's own word wins over the watchdog's, however late it comes.
    let end: Option<(i64, &Ending)> = events
        .iter()
        .filter_map(|event| Some((ms(event), event.data.ending.as_ref()?)))
        .max_by_key(|(at, ending)| (!ending.reconciled, *at));
    let ended = end.map(|(at, _)| at);

    let machine = matches!(
        verdict,
        Some(AnsweredBy::Machine | AnsweredBy::Fax | AnsweredBy::Silence)
    );
    let inbound = reference.direction == Direction::Inbound;
    let agents = events
        .iter()
        .filter_map(|event| Some(event.data.bridge.as_ref()?.agent_kind));
    let agent_kind = agents.max_by_key(|kind| kind.as_str());
    let reached = bridged.is_some() && !(machine && agent_kind == Some(AgentKind::Ai));
    let contacted = reached || (answered.is_some() && !machine);
    let offered = inbound || contacted;
    let abandoned = offered && !reached && ended.is_some();
    let between = |from: Option<i64>, to: Option<i64>| match (from, to) {
        (Some(from), Some(to)) => u32::try_from((to - from).max(0)).unwrap(),
        _ => 0,
    };
    let counted = end
        .and_then(|(_, ending)| ending.duration_ms)
        .filter(|counted| *counted > 0);
    let short = abandoned && inbound && ended.is_some_and(|ended| ended - started < 5_000);
    let text = |said: Option<&str>| said.unwrap_or_default().to_owned();
    Call {
        call_id: reference.call_id.0,
        tenant_id: events[0].tenantid.0,
        campaign_id: any(&|event| Some(event.data.call.campaign_id?.0)),
        shard: reference.shard.unwrap_or(0),
        attempt_id: any(&|event| Some(event.data.call.attempt_id?.0)),
        contact_id: any(&|event| Some(event.data.call.contact_id?.0)),
        queue_id: any(&|event| Some(event.data.call.queue_id?.0)),
        agent_id: any(&|event| Some(event.data.call.agent_id?.0)),
        direction: reference.direction.as_str().to_owned(),
        carrier: Carrier::as_str(reference.carrier).to_owned(),
        carrier_call_id: reference.carrier_call_id.clone(),
        started,
        last: events.iter().map(|event| ms(event)).max().unwrap(),
        answered,
        bridged,
        ended,
        agent_kind: text(agent_kind.map(AgentKind::as_str)),
        answered_by: text(verdict.map(AnsweredBy::as_str)),
        outcome: text(end.map(|(_, ending)| ending.outcome.as_str())),
        hangup_by: text(end.map(|(_, ending)| ending.hangup_by.as_str())),
        cause: text(end.map(|(_, ending)| ending.cause.as_str())),
        sip_code: end.and_then(|(_, ending)| ending.sip_code).unwrap_or(0),
        reconciled: end.is_some_and(|(_, ending)| ending.reconciled),
        reached,
        contacted,
        offered,
        abandoned,
        short_abandoned: short,
        ring_ms: between(answered.map(|_| started), answered),
        wait_ms: between(
            if inbound { Some(started) } else { answered },
            bridged.filter(|_| reached),
        ),
        talk_ms: between(bridged.filter(|_| reached), ended),
        line_ms: counted.unwrap_or_else(|| between(answered, ended)),
    }
}
