//! The events of a shift as the platform writes them: some twice, some late, some ends found by the
//! watchdog, some both.

use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng as _;
use voice_kafka::OutboundRecord;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::{
    TenantId,
    events::call::{
        Amd, Bridge, CallEvent, CallFact, CallOutcome, CallRef, Carrier, Ending, Evidence, HangupBy,
        record_key,
    },
};
use voice_simulator::{
    Account, Faults,
    plan::{Fact, Plan, PlannedCall, PlannedFact, Shift, Verdict},
};

/// One call in so many gets an end from the watchdog although the carrier's own arrives as well.
const BOTH_ENDS: u64 = 40;

/// Events in the order they are written to the log; repetitions included.
pub(crate) struct Story {
    pub(crate) events: Vec<CallEvent>,
}

impl Story {
    /// The first `count` events of a shift that ended a while ago. The last calls have no end: the story
    /// is cut off in the middle of them.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let tenant = TenantId::derived(DateTime::UNIX_EPOCH, &[&seed.to_le_bytes()]);
        let accounts = [Carrier::Telnyx, Carrier::Twilio]
            .map(|carrier| Account::generate(tenant, carrier, "in", &mut rng));
        let now = SystemClock.now();
        // An event is seldom more than a fifth of its call; some to spare.
        let mut shift = Shift::new(seed, count as u64 / 3 + 10, now - TimeDelta::hours(20));
        shift.duration = TimeDelta::hours(16);
        let faults = Faults {
            duplicates: 0.03,
            reordered: 0.05,
            terminal_loss: 0.02,
            ..Faults::default()
        };
        let plan = Plan::new(shift, &accounts).unwrap();
        let mut told: Vec<(DateTime<Utc>, CallEvent)> = Vec::new();
        for call in plan.calls() {
            for departure in faults.decide(seed, &call).departures {
                if let Some(event) = event(&call, &call.facts[departure.fact], departure.due) {
                    told.push((departure.due, event));
                }
            }
            let lost = !told
                .iter()
                .rev()
                .take(12)
                .any(|(_, event)| event.data.call.call_id == call.call_id && event.data.ending.is_some());
            if lost || call.index % BOTH_ENDS == 0 {
                let due =
                    call.ended_at() + TimeDelta::milliseconds(i64::from(call.index as u32 % 90_000) - 1_000);
                told.push((due, found_end(&call, due)));
            }
        }
        told.sort_by_key(|(due, _)| *due);
        assert!(told.len() >= count, "the shift has only {} events", told.len());
        told.truncate(count);
        Self {
            events: told.into_iter().map(|(_, event)| event).collect(),
        }
    }
}

/// The record of an event in `topic`.
pub(crate) fn record(event: &CallEvent, topic: &str) -> OutboundRecord {
    OutboundRecord {
        topic: topic.to_owned(),
        key: record_key(&event.data.call).into_bytes(),
        payload: serde_json::to_vec(event).unwrap(),
        headers: Vec::new(),
    }
}

fn event(call: &PlannedCall, planned: &PlannedFact, heard: DateTime<Utc>) -> Option<CallEvent> {
    let fact = match planned.fact {
        Fact::Initiated => CallFact::Initiated,
        Fact::Ringing => CallFact::Ringing,
        Fact::Answered => CallFact::Answered,
        Fact::Amd {
            verdict,
            detection_ms,
        } => CallFact::Amd(Amd {
            answered_by: verdict.answered_by(),
            beep: verdict == Verdict::Beep,
            detection_ms: Some(detection_ms),
        }),
        Fact::Bridged(agent_kind) => CallFact::Bridged(Bridge { agent_kind }),
        Fact::Ended(end) => CallFact::Ended(Ending {
            outcome: end.outcome,
            hangup_by: end.hangup_by,
            cause: end.outcome.as_str().replace('_', "-"),
            sip_code: end.sip_code,
            duration_ms: (call.carrier == Carrier::Twilio)
                .then(|| u32::try_from(call.told_duration().num_milliseconds()).unwrap()),
            reconciled: false,
        }),
        Fact::Chatter(_) => return None,
    };
    let evidence = Evidence {
        carrier_event: fact.event_type().as_str().to_owned(),
        dedupe_key: planned.id.to_string(),
        sequence: Some(planned.sequence),
        received_at: heard,
    };
    let with_agent = matches!(fact, CallFact::Bridged(_) | CallFact::Ended(_));
    let source = format!("/ingest/{}", call.carrier);
    Some(fact.into_event(
        call.tenant,
        &source,
        call.as_told(planned.at),
        reference(call, with_agent),
        evidence,
    ))
}

/// The end the watchdog writes after it asked.
fn found_end(call: &PlannedCall, at: DateTime<Utc>) -> CallEvent {
    let ending = Ending {
        outcome: CallOutcome::Unknown,
        hangup_by: HangupBy::Unknown,
        cause: String::new(),
        sip_code: None,
        duration_ms: None,
        reconciled: true,
    };
    let evidence = Evidence {
        carrier_event: "lookup".to_owned(),
        dedupe_key: "watchdog".to_owned(),
        sequence: None,
        received_at: at,
    };
    CallFact::Ended(ending).into_event(
        call.tenant,
        "/analytics/watchdog",
        at,
        reference(call, false),
        evidence,
    )
}

fn reference(call: &PlannedCall, with_agent: bool) -> CallRef {
    let context = call.context.as_ref();
    CallRef {
        call_id: call.call_id,
        direction: call.direction,
        carrier: call.carrier,
        carrier_call_id: call.ids.call.clone(),
        campaign_id: context.and_then(|context| Some(context.campaign?.0)),
        shard: context.and_then(|context| Some(context.campaign?.1)),
        attempt_id: context.and_then(|context| context.attempt),
        contact_id: context.and_then(|context| context.contact),
        queue_id: context.and_then(|context| context.queue),
        agent_id: context.and_then(|context| context.agent).filter(|_| with_agent),
        phone_token: None,
    }
}
