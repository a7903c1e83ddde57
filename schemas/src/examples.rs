//! One example of every type of event, the same in every run: what consumers are tested with.
//!
//! The files under `schemas/examples/<topic>/` are written from here and read by everybody else.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, Envelope, EventId, EventType, ListId,
    ProviderAccountId, QueueId, ReportId, ScheduleId, TenantId,
    envelope::EventData,
    events::{
        agent::{AgentData, AgentStatus},
        attempt::{AttemptClass, AttemptData},
        call::{
            AgentKind, AgentLeg, Amd, AnsweredBy, Bridge, CallFact, CallOutcome, CallRef, Carrier, Direction,
            Dtmf, Ending, Evidence, HangupBy,
        },
        campaign::{CampaignData, CampaignStatus},
        contact::{ConsentData, ImportData, SuppressionData, SuppressionScope},
        provider::{BreakerData, BreakerState},
        report::ReportData,
    },
    ids::derived_uuid,
    topics::{self, Topic},
};

mod media;

/// Every example: topic, file name without its ending, JSON.
#[must_use]
pub fn all() -> Vec<(&'static Topic, String, String)> {
    let mut examples = Vec::new();
    calls(&mut examples);
    attempts(&mut examples);
    agents(&mut examples);
    contacts(&mut examples);
    campaigns(&mut examples);
    media::put_all(&mut examples);
    providers(&mut examples);
    reports(&mut examples);
    examples
}

type Examples = Vec<(&'static Topic, String, String)>;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_795_248_000 + seconds) + TimeDelta::microseconds(123_456)
}

fn tenant() -> TenantId {
    TenantId::derived(at(0), &[b"tenant"])
}

fn put<T: Serialize>(examples: &mut Examples, topic: &'static Topic, name: &str, event: &T) {
    // The types of this crate have text keys only, so they always serialize.
    let json = serde_json::to_string_pretty(event).unwrap_or_default() + "\n";
    examples.push((topic, name.to_owned(), json));
}

fn event<T: EventData>(kind: EventType, seconds: i64, source: &str, data: T) -> Envelope<T> {
    Envelope::new(
        EventId::derived(at(seconds), &[kind.as_str().as_bytes()]),
        tenant(),
        source,
        kind,
        at(seconds),
        data,
    )
}

fn calls(examples: &mut Examples) {
    let outbound = CallRef {
        call_id: CallId::derived(at(0), &[b"outbound"]),
        direction: Direction::Outbound,
        carrier: Carrier::Telnyx,
        carrier_call_id: "v3:4Wz9bAXq2lqYw1mR".to_owned(),
        campaign_id: Some(CampaignId::derived(at(0), &[b"campaign"])),
        shard: Some(1),
        attempt_id: Some(AttemptId::derived(at(0), &[b"attempt"])),
        contact_id: Some(ContactId::derived(at(0), &[b"contact"])),
        queue_id: None,
        agent_id: None,
        phone_token: Some("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
    };
    let inbound = CallRef {
        call_id: CallId::derived(DateTime::UNIX_EPOCH, &[b"inbound"]),
        direction: Direction::Inbound,
        carrier: Carrier::Twilio,
        carrier_call_id: "CA0123456789abcdef0123456789abcdef".to_owned(),
        campaign_id: None,
        shard: None,
        attempt_id: None,
        contact_id: None,
        queue_id: Some(QueueId::derived(at(0), &[b"queue"])),
        agent_id: None,
        phone_token: None,
    };
    let connected = CallRef {
        agent_id: Some(AgentId::derived(at(0), &[b"agent"])),
        ..outbound.clone()
    };
    let leg = CallRef {
        call_id: CallId::derived(at(0), &[b"leg"]),
        carrier_call_id: "v3:9dVb1kQe7rTz5hLm".to_owned(),
        campaign_id: None,
        shard: None,
        attempt_id: None,
        contact_id: None,
        phone_token: None,
        ..connected.clone()
    };
    let bridge = Bridge {
        agent_kind: AgentKind::Human,
    };
    let ending = Ending {
        outcome: CallOutcome::Completed,
        hangup_by: HangupBy::Callee,
        cause: "normal_clearing".to_owned(),
        sip_code: Some(200),
        duration_ms: Some(61_500),
        reconciled: false,
    };
    let lost = Ending {
        outcome: CallOutcome::Unknown,
        hangup_by: HangupBy::Unknown,
        cause: "unspecified".to_owned(),
        sip_code: None,
        duration_ms: None,
        reconciled: true,
    };
    let facts: [(&str, i64, &CallRef, &str, CallFact); 16] = [
        (
            "call.initiated",
            0,
            &outbound,
            "call.initiated",
            CallFact::Initiated,
        ),
        (
            "call.initiated.inbound",
            0,
            &inbound,
            "ringing",
            CallFact::Initiated,
        ),
        ("call.ringing", 1, &inbound, "ringing", CallFact::Ringing),
        ("call.answered", 8, &outbound, "call.answered", CallFact::Answered),
        (
            "call.amd",
            9,
            &outbound,
            "call.machine.premium.detection.ended",
            CallFact::Amd(Amd {
                answered_by: AnsweredBy::Human,
                beep: false,
                detection_ms: Some(1_240),
            }),
        ),
        (
            "call.bridged",
            10,
            &connected,
            "call.bridged",
            CallFact::Bridged(bridge.clone()),
        ),
        ("call.held", 20, &connected, "call.hold", CallFact::Held),
        ("call.resumed", 25, &connected, "call.unhold", CallFact::Resumed),
        (
            "call.transferred",
            40,
            &connected,
            "call.bridged",
            CallFact::Transferred(bridge),
        ),
        (
            "call.dtmf",
            12,
            &outbound,
            "call.gather.ended",
            CallFact::Dtmf(Dtmf {
                digits: "9".to_owned(),
            }),
        ),
        (
            "agent.leg_initiated",
            -40,
            &leg,
            "call.initiated",
            CallFact::AgentLeg(AgentLeg::Initiated),
        ),
        (
            "agent.leg_answered",
            -35,
            &leg,
            "call.answered",
            CallFact::AgentLeg(AgentLeg::Answered),
        ),
        (
            "agent.leg_joined",
            -34,
            &leg,
            "conference.participant.joined",
            CallFact::AgentLeg(AgentLeg::Joined),
        ),
        (
            "agent.leg_ended",
            3600,
            &leg,
            "call.hangup",
            CallFact::AgentLeg(AgentLeg::Ended(ending.clone())),
        ),
        (
            "call.ended",
            70,
            &connected,
            "call.hangup",
            CallFact::Ended(ending),
        ),
        (
            "call.ended.reconciled",
            900,
            &inbound,
            "lookup",
            CallFact::Ended(lost),
        ),
    ];
    for (name, seconds, call, carrier_event, fact) in facts {
        let evidence = Evidence {
            carrier_event: carrier_event.to_owned(),
            dedupe_key: format!("{name}-1"),
            sequence: (call.carrier == Carrier::Twilio).then_some(2),
            received_at: at(seconds) + TimeDelta::milliseconds(84),
        };
        let source = format!("/ingest/{}", call.carrier);
        put(
            examples,
            &topics::CALLS,
            name,
            &fact.into_event(tenant(), &source, at(seconds), call.clone(), evidence),
        );
    }
}

fn attempts(examples: &mut Examples) {
    let data = AttemptData {
        attempt_id: AttemptId::derived(at(0), &[b"attempt"]),
        campaign_id: CampaignId::derived(at(0), &[b"campaign"]),
        shard: 1,
        contact_id: ContactId::derived(at(0), &[b"contact"]),
        call_id: None,
        number: 2,
        reasons: Vec::new(),
        next_at: None,
        outcome: None,
        class: None,
    };
    let dialled = AttemptData {
        call_id: Some(CallId::derived(at(0), &[b"outbound"])),
        ..data.clone()
    };
    let skipped = AttemptData {
        reasons: vec!["outside_calling_window".to_owned(), "person_cap".to_owned()],
        next_at: Some(at(36_000)),
        ..data.clone()
    };
    let finished = AttemptData {
        outcome: Some(CallOutcome::Completed),
        class: Some(AttemptClass::Reached),
        ..dialled.clone()
    };
    for (kind, seconds, data) in [
        (EventType::AttemptScheduled, -60, data),
        (EventType::AttemptSkipped, -30, skipped),
        (EventType::AttemptDialled, -1, dialled),
        (EventType::AttemptFinished, 71, finished),
    ] {
        put(
            examples,
            &topics::CALLS,
            kind.as_str(),
            &event(kind, seconds, "/dialer", data),
        );
    }
}

fn agents(examples: &mut Examples) {
    let data = AgentData {
        agent_id: AgentId::derived(at(0), &[b"agent"]),
        agent_kind: AgentKind::Human,
        from: Some(AgentStatus::Break),
        to: AgentStatus::Available,
        reason: None,
        call_id: None,
        epoch: 41,
    };
    let call_id = Some(CallId::derived(at(0), &[b"outbound"]));
    let reserved = AgentData {
        from: Some(AgentStatus::Available),
        to: AgentStatus::Reserved,
        call_id,
        epoch: 42,
        ..data.clone()
    };
    let expired = AgentData {
        from: Some(AgentStatus::Reserved),
        to: AgentStatus::Available,
        call_id,
        epoch: 43,
        ..data.clone()
    };
    let corrected = AgentData {
        from: Some(AgentStatus::OnCall),
        to: AgentStatus::WrapUp,
        reason: Some("no_live_leg".to_owned()),
        epoch: 44,
        ..data.clone()
    };
    for (kind, data) in [
        (EventType::AgentStatusChanged, data),
        (EventType::AgentReserved, reserved),
        (EventType::AgentReservationExpired, expired),
        (EventType::AgentCorrected, corrected),
    ] {
        put(
            examples,
            &topics::AGENTS,
            kind.as_str(),
            &event(kind, 0, "/api", data),
        );
    }
}

fn contacts(examples: &mut Examples) {
    let contact_id = ContactId::derived(at(0), &[b"contact"]);
    let suppressed = SuppressionData {
        phone_tokens: vec!["9f86d081884c7d659a2feaa0c55ad015".to_owned()],
        contact_id: Some(contact_id),
        scope: SuppressionScope::Tenant,
        company_id: None,
        campaign_id: None,
        reason: "opt_out".to_owned(),
        expires_at: None,
    };
    put(
        examples,
        &topics::CONTACTS,
        EventType::ContactSuppressed.as_str(),
        &event(EventType::ContactSuppressed, 13, "/dialer", suppressed),
    );
    let consent = ConsentData {
        contact_id,
        consent: "marketing".to_owned(),
        status: "withdrawn".to_owned(),
        channel: Some("voice".to_owned()),
        expires_at: None,
    };
    put(
        examples,
        &topics::CONTACTS,
        EventType::ContactConsentChanged.as_str(),
        &event(EventType::ContactConsentChanged, 20, "/contacts", consent),
    );
    let completed = ImportData {
        import_id: ListId::derived(at(0), &[b"import"]).0,
        list_id: ListId::derived(at(0), &[b"list"]),
        read: 1_000,
        created: 840,
        updated: 100,
        duplicate: 20,
        invalid: 30,
        suppressed: 10,
        failure: None,
    };
    let failed = ImportData {
        failure: Some("file_changed".to_owned()),
        ..completed.clone()
    };
    for (kind, data) in [
        (EventType::ImportCompleted, completed),
        (EventType::ImportFailed, failed),
    ] {
        put(
            examples,
            &topics::CONTACTS,
            kind.as_str(),
            &event(kind, 0, "/contacts", data),
        );
    }
}

fn campaigns(examples: &mut Examples) {
    let states = BTreeMap::from([
        (EventType::CampaignCreated, CampaignStatus::Draft),
        (EventType::CampaignScheduled, CampaignStatus::Scheduled),
        (EventType::CampaignStarted, CampaignStatus::Active),
        (EventType::CampaignPausing, CampaignStatus::Active),
        (EventType::CampaignPaused, CampaignStatus::Paused),
        (EventType::CampaignResumed, CampaignStatus::Active),
        (EventType::CampaignCompleted, CampaignStatus::Completed),
        (EventType::CampaignCancelled, CampaignStatus::Cancelled),
    ]);
    for (epoch, (kind, status)) in (1..).zip(states) {
        let data = CampaignData {
            campaign_id: CampaignId::derived(at(0), &[b"campaign"]),
            status,
            epoch,
            shards: 4,
        };
        put(
            examples,
            &topics::CONFIG,
            kind.as_str(),
            &event(kind, 0, "/outbox", data),
        );
    }
}

fn providers(examples: &mut Examples) {
    let data = BreakerData {
        account_id: ProviderAccountId::derived(at(0), &[b"account"]),
        account: "openai-eu".to_owned(),
        provider: "openai_realtime".to_owned(),
        state: BreakerState::Open,
        worker: derived_uuid(at(0), &[b"worker"]),
    };
    let kind = EventType::ProviderBreakerChanged;
    put(
        examples,
        &topics::CONFIG,
        kind.as_str(),
        &event(kind, 0, "/workers/media", data),
    );
}

fn reports(examples: &mut Examples) {
    let report_id = ReportId::derived(at(0), &[b"report"]);
    let completed = ReportData {
        report_id,
        schedule_id: Some(ScheduleId::derived(at(0), &[b"schedule"])),
        kind: "daily_summary".to_owned(),
        object_keys: vec![format!(
            "reports/{}/{}/daily_summary-2026-11-20.pdf",
            tenant().0,
            report_id.0
        )],
        failure: None,
    };
    let failed = ReportData {
        object_keys: Vec::new(),
        failure: Some("source_unavailable".to_owned()),
        ..completed.clone()
    };
    for (kind, data) in [
        (EventType::ReportCompleted, completed),
        (EventType::ReportFailed, failed),
    ] {
        put(
            examples,
            &topics::REPORTS,
            kind.as_str(),
            &event(kind, 0, "/scheduler", data),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;

    /// `UPDATE_SCHEMAS=1 cargo test -p voice-schemas` writes them.
    #[test]
    fn every_type_of_event_has_a_committed_example() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut shown = BTreeSet::new();
        for (topic, name, json) in all() {
            let path = folder.join(topic.name).join(format!("{name}.json"));
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &json).unwrap();
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, json, "{} is out of date", path.display());
            let event: serde_json::Value = serde_json::from_str(&json).unwrap();
            shown.insert(event["type"].as_str().unwrap().to_owned());
        }
        let types: BTreeSet<String> = EventType::ALL
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect();
        assert_eq!(shown, types);
    }
}
