//! One event of a batch: whether it may be written, where, and under which key.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use voice_schemas::{
    Envelope, EventId, EventType, TenantId,
    envelope::EventData,
    events::{
        agent::AgentData,
        attempt::AttemptData,
        call::{CallData, record_key},
        media::MediaData,
    },
    topics::{self, Topic},
};

use crate::{hooks::verdict::time_is_sane, outlet::json};

/// The longest text a producer may put into an attribute of the envelope.
const LONGEST_ATTRIBUTE: usize = 256;

/// An event that may be written.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) id: EventId,
    pub(crate) topic: &'static Topic,
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
}

/// An event that may not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Where its id could be read.
    pub(crate) id: Option<EventId>,
    /// A stable label, upper snake case.
    pub(crate) code: &'static str,
    /// What is wrong, for the producer's developer. Does not repeat values: they may be personal.
    pub(crate) detail: String,
}

#[derive(Deserialize)]
struct Head<'a> {
    id: EventId,
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

/// Judges one event. What is written is what was understood, serialised again: a field nobody knows,
/// and whatever somebody put into it, goes no further.
pub(crate) fn judge(text: &RawValue, tenant: TenantId, now: DateTime<Utc>) -> Result<Ready, Rejected> {
    let head: Head<'_> = serde_json::from_str(text.get()).map_err(|error| Rejected {
        id: None,
        code: "INVALID_ENVELOPE",
        detail: format!("`id` (a UUID) and `type` cannot be read{}", place(&error)),
    })?;
    let item = Item {
        id: head.id,
        text,
        tenant,
        now,
    };
    let Some(kind) = EventType::parse(&head.kind) else {
        return Err(item.rejected("UNKNOWN_TYPE", "this `type` is not in the catalogue"));
    };
    match kind {
        EventType::CallInitiated
        | EventType::CallRinging
        | EventType::CallAnswered
        | EventType::CallAmd
        | EventType::CallBridged
        | EventType::CallHeld
        | EventType::CallResumed
        | EventType::CallTransferred
        | EventType::CallDtmf
        | EventType::CallEnded => item.ready::<CallData>(call_fault, |data| record_key(&data.call)),
        EventType::AttemptScheduled
        | EventType::AttemptSkipped
        | EventType::AttemptDialled
        | EventType::AttemptFinished => item.ready::<AttemptData>(attempt_fault, |data| {
            format!("{}#{}", data.campaign_id.0, data.shard)
        }),
        EventType::AgentStatusChanged
        | EventType::AgentReserved
        | EventType::AgentReservationExpired
        | EventType::AgentCorrected => {
            item.ready::<AgentData>(|_, _| None, |data| data.agent_id.0.to_string())
        }
        EventType::MediaStarted
        | EventType::MediaTurn
        | EventType::MediaProviderChanged
        | EventType::MediaToolUsed
        | EventType::MediaVerdict
        | EventType::MediaDisclosed
        | EventType::MediaLanguageChanged
        | EventType::MediaUsage
        | EventType::MediaStopped => item.ready::<MediaData>(media_fault, |data| data.call_id.0.to_string()),
        // Written by the platform itself, through its outbox.
        EventType::CampaignCreated
        | EventType::CampaignScheduled
        | EventType::CampaignStarted
        | EventType::CampaignPausing
        | EventType::CampaignPaused
        | EventType::CampaignResumed
        | EventType::CampaignCompleted
        | EventType::CampaignCancelled
        | EventType::AgentLegInitiated
        | EventType::AgentLegAnswered
        | EventType::AgentLegJoined
        | EventType::AgentLegEnded
        | EventType::ContactSuppressed
        | EventType::ContactConsentChanged
        | EventType::ImportCompleted
        | EventType::ImportFailed
        | EventType::MediaRecordingReady
        | EventType::TranscriptUtterance
        | EventType::ProviderBreakerChanged
        | EventType::ReportCompleted
        | EventType::ReportFailed => Err(item.rejected(
            "TYPE_NOT_ALLOWED",
            "producers may not write events of this `type`",
        )),
    }
}

struct Item<'a> {
    id: EventId,
    text: &'a RawValue,
    tenant: TenantId,
    now: DateTime<Utc>,
}

impl Item<'_> {
    fn rejected(&self, code: &'static str, detail: impl Into<String>) -> Rejected {
        Rejected {
            id: Some(self.id),
            code,
            detail: detail.into(),
        }
    }

    fn ready<T: EventData>(
        &self,
        fault: impl Fn(EventType, &T) -> Option<&'static str>,
        key: impl Fn(&T) -> String,
    ) -> Result<Ready, Rejected> {
        let event: Envelope<T> = serde_json::from_str(self.text.get()).map_err(|error| {
            self.rejected(
                "INVALID_EVENT",
                format!(
                    "a field is missing or not of the documented form{}",
                    place(&error)
                ),
            )
        })?;
        let wrong = |code, detail: &str| Err(self.rejected(code, detail));
        if event.tenantid != self.tenant {
            return wrong("OTHER_TENANT", "`tenantid` is not the tenant of the key");
        }
        if !time_is_sane(event.time, self.now) {
            return wrong(
                "TIME_OUT_OF_RANGE",
                "`time` is more than 30 days ago or more than a day ahead",
            );
        }
        if event.subject != event.data.subject() {
            return wrong("INVALID_EVENT", "`subject` is not what `data` is about");
        }
        if event.dataschema != T::SCHEMA {
            return wrong("INVALID_EVENT", "`dataschema` is not the schema of this `type`");
        }
        let attributes = [
            Some(&event.source),
            Some(&event.correlationid),
            event.causationid.as_ref(),
            event.traceparent.as_ref(),
        ];
        if attributes
            .into_iter()
            .flatten()
            .any(|text| text.len() > LONGEST_ATTRIBUTE || text.chars().any(char::is_control))
        {
            return wrong(
                "INVALID_EVENT",
                "an attribute is longer than 256 bytes or holds control characters",
            );
        }
        if let Some(fault) = fault(event.kind, &event.data) {
            return wrong("INVALID_EVENT", fault);
        }
        Ok(Ready {
            id: self.id,
            topic: topics::for_event(event.kind),
            key: key(&event.data),
            payload: json(&event),
        })
    }
}

/// The section a type of call event needs, and none it does not have.
fn call_fault(kind: EventType, data: &CallData) -> Option<&'static str> {
    let wanted = (
        kind == EventType::CallAmd,
        matches!(kind, EventType::CallBridged | EventType::CallTransferred),
        kind == EventType::CallEnded,
        kind == EventType::CallDtmf,
    );
    let has = (
        data.amd.is_some(),
        data.bridge.is_some(),
        data.ending.is_some(),
        data.dtmf.is_some(),
    );
    if has != wanted {
        return Some(
            "`data` does not have exactly the section this `type` needs (`amd`, `bridge`, `ending`, `dtmf`)",
        );
    }
    // More than the one key a call was told to press may be somebody's secret.
    let key = |digits: &str| {
        digits.len() <= 1 && digits.bytes().all(|key| matches!(key, b'0'..=b'9' | b'*' | b'#'))
    };
    if data.dtmf.as_ref().is_some_and(|pressed| !key(&pressed.digits)) {
        return Some("`data.dtmf.digits` is more than one key");
    }
    let hex = |token: &String| {
        token.len() == 32
            && token
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match &data.call.phone_token {
        Some(token) if !hex(token) => {
            Some("`data.call.phone_token` is not a token: 32 hexadecimal characters")
        }
        _ => None,
    }
}

fn attempt_fault(kind: EventType, data: &AttemptData) -> Option<&'static str> {
    match kind {
        EventType::AttemptFinished if data.outcome.is_none() => Some("`data.outcome` is missing"),
        EventType::AttemptSkipped if data.reasons.is_empty() => Some("`data.reasons` is empty"),
        _ => None,
    }
}

fn media_fault(kind: EventType, data: &MediaData) -> Option<&'static str> {
    data.missing_section(kind)
        .map(|_| "the section of `data` that this type of event needs is missing")
}

/// Where a parser stopped, without its words: they quote the value.
fn place(error: &serde_json::Error) -> String {
    format!(" (line {}, column {})", error.line(), error.column())
}
