//! Telnyx's webhooks: a JSON envelope, signed with Ed25519 over the time of sending and the body.

use chrono::{DateTime, SecondsFormat, Utc};
use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use uuid::Uuid;
use voice_schemas::events::call::{CallOutcome, Direction, HangupBy};
use voice_telephony::telnyx::signature;

use crate::plan::{Chatter, End, Fact, PlannedCall, PlannedFact, Verdict};

/// One event.
pub(super) struct Event<'a> {
    pub(super) connection_id: &'a str,
    pub(super) call: &'a PlannedCall,
    pub(super) client_state: Option<String>,
    pub(super) fact: &'a PlannedFact,
    pub(super) attempt: u32,
    pub(super) delivered_to: &'a str,
}

#[derive(Serialize)]
struct Envelope<'a> {
    data: Data<'a>,
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    attempt: u32,
    delivered_to: &'a str,
}

#[derive(Serialize)]
struct Data<'a> {
    event_type: &'static str,
    id: Uuid,
    occurred_at: String,
    payload: Payload<'a>,
    record_type: &'static str,
}

#[derive(Serialize)]
struct Payload<'a> {
    call_control_id: &'a str,
    call_leg_id: Uuid,
    call_session_id: Uuid,
    client_state: Option<&'a str>,
    connection_id: &'a str,
    from: &'a str,
    to: &'a str,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hangup_cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hangup_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_hangup_cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_quality_stats: Option<QualityStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_duration_secs: Option<i64>,
}

#[derive(Serialize)]
struct QualityStats {
    inbound: Inbound,
    outbound: Outbound,
}

#[derive(Serialize)]
struct Inbound {
    jitter_max_variance: &'static str,
    jitter_packet_count: &'static str,
    mos: &'static str,
    packet_count: String,
    skip_packet_count: &'static str,
}

#[derive(Serialize)]
struct Outbound {
    packet_count: String,
    skip_packet_count: &'static str,
}

/// The headers of a webhook with this body, sent at `now`.
pub(crate) fn headers(key: &SigningKey, now: DateTime<Utc>, body: &[u8]) -> HeaderMap {
    let mut headers = signature::sign(key, now, body);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(header::USER_AGENT, HeaderValue::from_static("telnyx-webhooks"));
    headers
}

impl Event<'_> {
    pub(super) fn signed(&self, key: &SigningKey, now: DateTime<Utc>) -> (HeaderMap, Vec<u8>) {
        let envelope = Envelope {
            data: self.data(),
            meta: Meta {
                attempt: self.attempt,
                delivered_to: self.delivered_to,
            },
        };
        // Only maps with keys that are no strings, and failing writers, make this fail.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        (headers(key, now, &body), body)
    }

    fn data(&self) -> Data<'_> {
        let mut payload = Payload {
            call_control_id: &self.call.ids.call,
            call_leg_id: self.call.ids.leg,
            call_session_id: self.call.ids.session,
            client_state: self.client_state.as_deref(),
            connection_id: self.connection_id,
            from: self.call.from.expose(),
            to: self.call.to.expose(),
            start_time: micros(self.call.starts_at()),
            direction: None,
            state: None,
            end_time: None,
            result: None,
            hangup_cause: None,
            hangup_source: None,
            sip_hangup_cause: None,
            call_quality_stats: None,
            billed_duration_secs: None,
        };
        let event_type = match self.fact.fact {
            // Telnyx has no event for ringing, and no plan has one for it.
            Fact::Initiated | Fact::Ringing => {
                let (direction, state) = match self.call.direction {
                    Direction::Inbound => ("incoming", "parked"),
                    Direction::Outbound => ("outgoing", "bridging"),
                };
                payload.direction = Some(direction);
                payload.state = Some(state);
                "call.initiated"
            }
            Fact::Answered => {
                payload.state = Some("answered");
                "call.answered"
            }
            Fact::Amd {
                verdict: Verdict::Beep,
                ..
            } => {
                payload.result = Some("beep_detected");
                "call.machine.premium.greeting.ended"
            }
            Fact::Amd { verdict, .. } => {
                payload.result = Some(word(verdict, self.call.index));
                "call.machine.premium.detection.ended"
            }
            Fact::Bridged(_) => "call.bridged",
            Fact::Ended(end) => {
                self.ending(&mut payload, end);
                "call.hangup"
            }
            Fact::Chatter(Chatter::Cost) => {
                payload.billed_duration_secs = Some(self.call.told_duration().num_seconds());
                "call.cost"
            }
            // The others are Twilio's.
            Fact::Chatter(_) => "streaming.started",
        };
        Data {
            event_type,
            id: self.fact.id,
            occurred_at: micros(self.fact.at),
            payload,
            record_type: "event",
        }
    }

    fn ending(&self, payload: &mut Payload<'_>, end: End) {
        payload.state = Some("hangup");
        payload.end_time = Some(micros(self.fact.at));
        payload.hangup_cause = Some(cause(end));
        payload.hangup_source = Some(match end.hangup_by {
            HangupBy::Caller => "caller",
            HangupBy::Callee => "callee",
            HangupBy::System | HangupBy::Unknown => "unknown",
        });
        let code = end.sip_code.map(|code| code.to_string());
        payload.sip_hangup_cause = Some(code.unwrap_or_else(|| "unspecified".to_owned()));
        if end.outcome == CallOutcome::Completed {
            // 50 packets of 20 ms in a second.
            let packets = (self.call.told_duration().num_milliseconds() / 20).to_string();
            payload.call_quality_stats = Some(QualityStats {
                inbound: Inbound {
                    jitter_max_variance: "38.41",
                    jitter_packet_count: "0",
                    mos: "4.50",
                    packet_count: packets.clone(),
                    skip_packet_count: "0",
                },
                outbound: Outbound {
                    packet_count: packets,
                    skip_packet_count: "0",
                },
            });
        }
    }
}

/// Telnyx's word for how a call ended.
pub(crate) const fn cause(end: End) -> &'static str {
    match end.outcome {
        CallOutcome::Completed => "normal_clearing",
        CallOutcome::Busy => "user_busy",
        CallOutcome::NoAnswer => "timeout",
        CallOutcome::InvalidNumber => "not_found",
        CallOutcome::Rejected => "call_rejected",
        CallOutcome::Canceled => "originator_cancel",
        CallOutcome::CarrierError | CallOutcome::Unknown => "unspecified",
    }
}

/// Premium detection tells homes from offices; the place of the call decides which this is.
pub(crate) const fn word(verdict: Verdict, index: u64) -> &'static str {
    match verdict {
        Verdict::Human if index.is_multiple_of(4) => "human_business",
        Verdict::Human => "human_residence",
        Verdict::Machine | Verdict::Beep => "machine",
        Verdict::Fax => "fax_detected",
        Verdict::Silence => "silence",
        Verdict::Unsure => "not_sure",
    }
}

/// `2026-01-01T00:00:00.000000Z`
pub(crate) fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
