//! `calls.events` → `call_events`.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_clickhouse::block::{Numbers, Strings, Words};
use voice_schemas::{
    EventType, tables,
    topics::{self, Topic},
};

use super::{Feed, Meta, Reject, columns::columns, verbatim, wire, within_time};

columns! {
    /// The rows of a batch as columns, in the order of the table.
    CallEvents:
    tenant_id: Numbers<Uuid> = Numbers::new("UUID"),
    event_id: Numbers<Uuid> = Numbers::new("UUID"),
    event_type: Words = Words::default(),
    source: Words = Words::default(),
    call_id: Numbers<Uuid> = Numbers::new("UUID"),
    campaign_id: Numbers<Uuid> = Numbers::new("UUID"),
    shard: Numbers<u16> = Numbers::new("UInt16"),
    attempt_id: Numbers<Uuid> = Numbers::new("UUID"),
    contact_id: Numbers<Uuid> = Numbers::new("UUID"),
    queue_id: Numbers<Uuid> = Numbers::new("UUID"),
    agent_id: Numbers<Uuid> = Numbers::new("UUID"),
    direction: Numbers<i8> = Numbers::new("Enum8('unknown' = 0, 'inbound' = 1, 'outbound' = 2)"),
    carrier: Words = Words::default(),
    carrier_call_id: Strings = Strings::default(),
    carrier_event: Words = Words::default(),
    sequence: Numbers<u32> = Numbers::new("UInt32"),
    answered_by: Words = Words::default(),
    beep: Numbers<u8> = Numbers::new("UInt8"),
    agent_kind: Words = Words::default(),
    outcome: Words = Words::default(),
    hangup_by: Words = Words::default(),
    cause: Words = Words::default(),
    sip_code: Numbers<u16> = Numbers::new("UInt16"),
    duration_ms: Numbers<u32> = Numbers::new("UInt32"),
    reconciled: Numbers<u8> = Numbers::new("UInt8"),
    at: Numbers<i64> = Numbers::new("DateTime64(6, 'UTC')"),
    received_at: Numbers<i64> = Numbers::new("DateTime64(6, 'UTC')"),
    _topic: Words = Words::default(),
    _partition: Numbers<u16> = Numbers::new("UInt16"),
    _offset: Numbers<u64> = Numbers::new("UInt64"),
}

impl CallEvents {
    /// Appends the row of a record. On a rejection nothing was appended.
    ///
    /// # Errors
    /// When the record is no valid event of this topic.
    pub fn push(&mut self, meta: Meta<'_>, payload: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), Reject> {
        let payload = payload.ok_or_else(|| Reject::new("tombstone", "the record has no payload"))?;
        let event = match verbatim::event(payload) {
            Some(event) => event,
            None => serde_json::from_slice::<wire::Event<'_>>(payload)
                .map_err(|error| Reject::new("malformed", format!("not an event: {error}")))?,
        };
        let kind = EventType::parse(&event.kind)
            .ok_or_else(|| Reject::new("unknown_type", "the event type is not in the catalogue"))?;
        within_time(event.time.0, now)?;
        let row = row(kind, &event)?;
        let place = (u16::try_from(meta.partition), u64::try_from(meta.offset));
        let (Ok(partition), Ok(offset)) = place else {
            return Err(Reject::new("offset", "the record has no offset"));
        };

        let id = |id: Option<wire::Id>| id.map_or(Uuid::nil(), |id| id.0);
        self.tenant_id.push(event.tenantid.0);
        self.event_id.push(event.id.0);
        self.event_type.push(kind.as_str());
        self.source.push(&event.source);
        self.call_id.push(id(row.call_id));
        self.campaign_id.push(id(row.campaign_id));
        self.shard.push(row.shard);
        self.attempt_id.push(id(row.attempt_id));
        self.contact_id.push(id(row.contact_id));
        self.queue_id.push(id(row.queue_id));
        self.agent_id.push(id(row.agent_id));
        self.direction.push(row.direction);
        self.carrier.push(row.carrier);
        self.carrier_call_id.push(row.carrier_call_id);
        self.carrier_event.push(row.carrier_event);
        self.sequence.push(row.sequence);
        self.answered_by.push(row.answered_by);
        self.beep.push(u8::from(row.beep));
        self.agent_kind.push(row.agent_kind);
        self.outcome.push(row.outcome);
        self.hangup_by.push(row.hangup_by);
        self.cause.push(&row.cause);
        self.sip_code.push(row.sip_code);
        self.duration_ms.push(row.duration_ms);
        self.reconciled.push(u8::from(row.reconciled));
        self.at.push(event.time.0);
        self.received_at.push(row.received_at.unwrap_or(event.time.0));
        self._topic.push(meta.topic);
        self._partition.push(partition);
        self._offset.push(offset);
        Ok(())
    }

    /// The earliest arrival among the rows, microseconds since 1970.
    #[must_use]
    pub fn earliest_arrival(&self) -> Option<i64> {
        self.received_at.values().iter().copied().min()
    }
}

impl Feed for CallEvents {
    const GROUP: &'static str = "analytics-sink";
    const TOPIC: &'static Topic = &topics::CALLS;
    const TABLE: &'static str = tables::CALL_EVENTS;
    const STAGE: &'static str = "sink.call_events";
    const DERIVED: &'static [&'static str] = &[include_str!("../sink/derive_calls.sql")];

    fn push(&mut self, meta: Meta<'_>, payload: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), Reject> {
        Self::push(self, meta, payload, now)
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    fn offset(&self, position: usize) -> Option<u64> {
        Self::offset(self, position)
    }

    fn earliest_arrival(&self) -> Option<i64> {
        Self::earliest_arrival(self)
    }
}

/// What the two kinds of events on the topic have in a row.
#[derive(Default)]
struct Row<'a> {
    call_id: Option<wire::Id>,
    campaign_id: Option<wire::Id>,
    shard: u16,
    attempt_id: Option<wire::Id>,
    contact_id: Option<wire::Id>,
    queue_id: Option<wire::Id>,
    agent_id: Option<wire::Id>,
    direction: i8,
    carrier: &'a str,
    carrier_call_id: &'a str,
    carrier_event: &'a str,
    sequence: u32,
    answered_by: &'a str,
    beep: bool,
    agent_kind: &'a str,
    outcome: &'a str,
    hangup_by: &'a str,
    cause: std::borrow::Cow<'a, str>,
    sip_code: u16,
    duration_ms: u32,
    reconciled: bool,
    received_at: Option<i64>,
}

fn row<'a>(kind: EventType, event: &'a wire::Event<'_>) -> Result<Row<'a>, Reject> {
    use EventType as T;
    match kind {
        T::CallInitiated
        | T::CallRinging
        | T::CallAnswered
        | T::CallAmd
        | T::CallBridged
        | T::CallHeld
        | T::CallResumed
        | T::CallTransferred
        | T::CallDtmf
        | T::CallEnded
        | T::AgentLegInitiated
        | T::AgentLegAnswered
        | T::AgentLegJoined
        | T::AgentLegEnded => call_row(kind, &event.data),
        T::AttemptScheduled | T::AttemptSkipped | T::AttemptDialled | T::AttemptFinished => {
            attempt_row(&event.data)
        }
        _ => Err(Reject::new(
            "wrong_topic",
            "this type of event does not belong on calls.events",
        )),
    }
}

fn call_row<'a>(kind: EventType, data: &'a wire::Data<'_>) -> Result<Row<'a>, Reject> {
    let missing = |section: &str| Reject::new("missing_section", format!("{kind} needs data.{section}"));
    let call = data.call.as_ref().ok_or_else(|| missing("call"))?;
    let evidence = data.evidence.as_ref().ok_or_else(|| missing("evidence"))?;
    let mut row = Row {
        call_id: Some(call.call_id),
        campaign_id: call.campaign_id,
        shard: call.shard.unwrap_or(0),
        attempt_id: call.attempt_id,
        contact_id: call.contact_id,
        queue_id: call.queue_id,
        agent_id: call.agent_id,
        direction: match &*call.direction {
            "inbound" => 1,
            "outbound" => 2,
            _ => {
                return Err(Reject::new(
                    "unknown_value",
                    "data.call.direction is neither inbound nor outbound",
                ));
            }
        },
        carrier: &call.carrier,
        carrier_call_id: &call.carrier_call_id,
        carrier_event: &evidence.carrier_event,
        sequence: evidence.sequence.unwrap_or(0),
        received_at: Some(evidence.received_at.0),
        ..Row::default()
    };
    match kind {
        EventType::CallAmd => {
            let amd = data.amd.as_ref().ok_or_else(|| missing("amd"))?;
            row.answered_by = &amd.answered_by;
            row.beep = amd.beep;
        }
        EventType::CallBridged | EventType::CallTransferred => {
            row.agent_kind = &data.bridge.as_ref().ok_or_else(|| missing("bridge"))?.agent_kind;
        }
        EventType::CallEnded | EventType::AgentLegEnded => {
            let ending = data.ending.as_ref().ok_or_else(|| missing("ending"))?;
            row.outcome = &ending.outcome;
            row.hangup_by = &ending.hangup_by;
            row.cause = std::borrow::Cow::Borrowed(&ending.cause);
            row.sip_code = ending.sip_code.unwrap_or(0);
            row.duration_ms = ending.duration_ms.unwrap_or(0);
            row.reconciled = ending.reconciled;
        }
        _ => {}
    }
    Ok(row)
}

fn attempt_row<'a>(data: &'a wire::Data<'_>) -> Result<Row<'a>, Reject> {
    if data.attempt_id.is_none() || data.campaign_id.is_none() {
        return Err(Reject::new(
            "missing_section",
            "an attempt event needs data.attempt_id and data.campaign_id",
        ));
    }
    Ok(Row {
        call_id: data.call_id,
        campaign_id: data.campaign_id,
        shard: data.shard.unwrap_or(0),
        attempt_id: data.attempt_id,
        contact_id: data.contact_id,
        direction: 2,
        sequence: data.number.map_or(0, u32::from),
        outcome: data.outcome.as_deref().unwrap_or_default(),
        cause: data.reasons.join(",").into(),
        ..Row::default()
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // Every batch here has a row.
mod tests {
    use chrono::TimeDelta;
    use voice_clickhouse::block::Columns as _;
    use voice_schemas::{
        CallId, CampaignId, TenantId,
        events::call::{CallFact, CallOutcome, CallRef, Carrier, Direction, Ending, Evidence, HangupBy},
    };

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn meta() -> Meta<'static> {
        Meta {
            topic: "calls.events",
            partition: 3,
            offset: 42,
        }
    }

    fn ended(at: DateTime<Utc>) -> serde_json::Value {
        let call = CallRef {
            call_id: CallId::derived(now(), &[b"call"]),
            direction: Direction::Outbound,
            carrier: Carrier::Telnyx,
            carrier_call_id: "v3:\"quoted\"".to_owned(),
            campaign_id: Some(CampaignId::derived(now(), &[b"campaign"])),
            shard: Some(0),
            attempt_id: None,
            contact_id: None,
            queue_id: None,
            agent_id: None,
            phone_token: None,
        };
        let evidence = Evidence {
            carrier_event: "call.hangup".to_owned(),
            dedupe_key: "e1".to_owned(),
            sequence: None,
            received_at: at,
        };
        let ending = Ending {
            outcome: CallOutcome::Busy,
            hangup_by: HangupBy::Callee,
            cause: "user_busy".to_owned(),
            sip_code: Some(486),
            duration_ms: None,
            reconciled: false,
        };
        let tenant = TenantId::derived(now(), &[b"tenant"]);
        let event = CallFact::Ended(ending).into_event(tenant, "/ingest/telnyx", at, call, evidence);
        serde_json::to_value(event).unwrap()
    }

    fn push(value: &serde_json::Value) -> Result<CallEvents, Reject> {
        let mut rows = CallEvents::default();
        rows.push(meta(), Some(&serde_json::to_vec(value).unwrap()), now())
            .map(|()| rows)
    }

    #[test]
    fn an_event_as_the_platform_writes_it_becomes_a_row() {
        let rows = push(&ended(now())).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows.offset(0), Some(42));
        assert_eq!(rows.earliest_arrival(), Some(now().timestamp_micros()));
    }

    /// What the fast decoder makes of every example is what the typed events say.
    #[test]
    fn every_example_of_the_topic_becomes_the_row_its_typed_event_describes() {
        use voice_schemas::events::{attempt::AttemptEvent, call::CallEvent};
        let examples = voice_schemas::examples::all();
        let mine = examples.iter().filter(|(topic, ..)| **topic == topics::CALLS);
        let mut seen = 0;
        for (_, name, json) in mine {
            let mut rows = CallEvents::default();
            rows.push(meta(), Some(json.as_bytes()), now())
                .unwrap_or_else(|reject| panic!("{name}: {reject}"));
            let text = |words: &Words| words.get(0).unwrap().to_owned();
            let common = |id: Uuid, tenant: Uuid, kind: EventType, source: &str, at: DateTime<Utc>| {
                assert_eq!(
                    (rows.event_id.values()[0], rows.tenant_id.values()[0]),
                    (id, tenant),
                    "{name}"
                );
                assert_eq!(
                    (text(&rows.event_type), text(&rows.source)),
                    (kind.to_string(), source.to_owned())
                );
                assert_eq!(rows.at.values()[0], at.timestamp_micros(), "{name}");
            };
            if name.starts_with("call.") || name.starts_with("agent.leg_") {
                let event: CallEvent = serde_json::from_str(json).unwrap();
                common(
                    event.id.0,
                    event.tenantid.0,
                    event.kind,
                    &event.source,
                    event.time,
                );
                let (call, evidence) = (&event.data.call, &event.data.evidence);
                let nil = Uuid::nil();
                assert_eq!(rows.call_id.values()[0], call.call_id.0);
                assert_eq!(
                    rows.campaign_id.values()[0],
                    call.campaign_id.map_or(nil, |id| id.0)
                );
                assert_eq!(rows.shard.values()[0], call.shard.unwrap_or(0));
                assert_eq!(
                    rows.attempt_id.values()[0],
                    call.attempt_id.map_or(nil, |id| id.0)
                );
                assert_eq!(
                    rows.contact_id.values()[0],
                    call.contact_id.map_or(nil, |id| id.0)
                );
                assert_eq!(rows.queue_id.values()[0], call.queue_id.map_or(nil, |id| id.0));
                assert_eq!(rows.agent_id.values()[0], call.agent_id.map_or(nil, |id| id.0));
                assert_eq!(
                    rows.direction.values()[0],
                    if call.direction == Direction::Inbound {
                        1
                    } else {
                        2
                    }
                );
                assert_eq!(text(&rows.carrier), call.carrier.as_str());
                assert_eq!(rows.carrier_call_id.get(0), Some(call.carrier_call_id.as_str()));
                assert_eq!(text(&rows.carrier_event), evidence.carrier_event);
                assert_eq!(rows.sequence.values()[0], evidence.sequence.unwrap_or(0));
                assert_eq!(
                    rows.received_at.values()[0],
                    evidence.received_at.timestamp_micros()
                );
                let amd = event.data.amd.as_ref();
                assert_eq!(
                    text(&rows.answered_by),
                    amd.map_or("", |amd| amd.answered_by.as_str())
                );
                assert_eq!(rows.beep.values()[0], u8::from(amd.is_some_and(|amd| amd.beep)));
                let bridge = event.data.bridge.as_ref();
                assert_eq!(
                    text(&rows.agent_kind),
                    bridge.map_or("", |bridge| bridge.agent_kind.as_str())
                );
                let ending = event.data.ending.as_ref();
                assert_eq!(
                    text(&rows.outcome),
                    ending.map_or("", |ending| ending.outcome.as_str())
                );
                assert_eq!(
                    text(&rows.hangup_by),
                    ending.map_or("", |ending| ending.hangup_by.as_str())
                );
                assert_eq!(text(&rows.cause), ending.map_or("", |ending| &ending.cause));
                assert_eq!(
                    rows.sip_code.values()[0],
                    ending.and_then(|ending| ending.sip_code).unwrap_or(0)
                );
                assert_eq!(
                    rows.duration_ms.values()[0],
                    ending.and_then(|ending| ending.duration_ms).unwrap_or(0)
                );
                assert_eq!(
                    rows.reconciled.values()[0],
                    u8::from(ending.is_some_and(|ending| ending.reconciled))
                );
            } else {
                let event: AttemptEvent = serde_json::from_str(json).unwrap();
                common(
                    event.id.0,
                    event.tenantid.0,
                    event.kind,
                    &event.source,
                    event.time,
                );
                assert_eq!(rows.attempt_id.values()[0], event.data.attempt_id.0);
                assert_eq!(rows.campaign_id.values()[0], event.data.campaign_id.0);
                assert_eq!(rows.contact_id.values()[0], event.data.contact_id.0);
                assert_eq!(rows.sequence.values()[0], u32::from(event.data.number));
                assert_eq!(text(&rows.cause), event.data.reasons.join(","));
                assert_eq!(
                    text(&rows.outcome),
                    event.data.outcome.map_or("", |outcome| outcome.as_str())
                );
            }
            seen += 1;
        }
        assert!(
            seen >= 13,
            "the topic has thirteen types of events, {seen} examples were seen"
        );
    }

    #[test]
    fn what_is_no_event_of_the_topic_is_rejected_with_its_reason_and_leaves_no_half_row() {
        let mut cases = vec![
            ("malformed", serde_json::json!("not an object")),
            ("malformed", serde_json::json!({"id": 7})),
            ("time_out_of_range", ended(now() - TimeDelta::days(31))),
            ("time_out_of_range", ended(now() + TimeDelta::days(2))),
        ];
        let mut change = |code, pointer: &str, value: serde_json::Value| {
            let mut event = ended(now());
            *event.pointer_mut(pointer).unwrap() = value;
            cases.push((code, event));
        };
        change("unknown_type", "/type", "call.teleported".into());
        change("wrong_topic", "/type", "agent.reserved".into());
        change("missing_section", "/data/ending", serde_json::Value::Null);
        change("missing_section", "/data/call", serde_json::Value::Null);
        change("malformed", "/data/call/call_id", "nonsense".into());
        change("unknown_value", "/data/call/direction", "sideways".into());
        for (code, event) in cases {
            assert_eq!(
                push(&event).err().map(|reject| reject.code),
                Some(code),
                "{event}"
            );
        }
        assert_eq!(
            CallEvents::default().push(meta(), None, now()).unwrap_err().code,
            "tombstone"
        );
    }

    #[test]
    fn a_rejection_quotes_nothing_of_the_payload() {
        let mut event = ended(now());
        event["type"] = "+15551234567".into();
        assert!(!push(&event).err().unwrap().to_string().contains("555"));
    }
}
