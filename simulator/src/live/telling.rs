//! What a carrier says of a live call, in its own words.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use voice_schemas::events::call::{Carrier, HangupBy};

use super::line::Line;
use crate::{
    plan::{End, Verdict},
    wire::{telnyx, twilio},
};

/// One thing to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tale {
    Initiated,
    Ringing,
    Answered,
    Verdict(Verdict, i64),
    /// A seat was taken in the room with this id, which this call opened or not.
    Joined {
        conference: String,
        room: String,
        opened: bool,
        sequence: u32,
    },
    Left {
        conference: String,
        room: String,
        sequence: u32,
    },
    StreamStarted,
    StreamStopped,
    SpeechStarted {
        spoken: bool,
    },
    SpeechEnded {
        spoken: bool,
    },
    Pressed(char),
    Gathered {
        digits: String,
        status: &'static str,
    },
    Ended(End),
}

/// Form or JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// The `data` of an event.
    Telnyx(String),
    Twilio(Vec<(&'static str, String)>),
}

/// A webhook before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Webhook {
    pub(crate) account: usize,
    /// Whose it is.
    pub(crate) line: u64,
    pub(crate) url: String,
    pub(crate) body: Body,
    /// The same on every delivery.
    pub(crate) id: Uuid,
    /// It becomes an event of the platform.
    pub(crate) fact: bool,
    /// It tells the end of the call.
    pub(crate) end: bool,
}

/// The webhooks that tell it; none where the carrier has no words for it or was not asked to tell.
pub(crate) fn webhooks(
    line: &mut Line,
    key: u64,
    account: &str,
    tale: &Tale,
    at: DateTime<Utc>,
) -> Vec<Webhook> {
    match line.carrier {
        Carrier::Telnyx => telnyx_events(line, key, account, tale, at),
        Carrier::Twilio => twilio_callbacks(line, key, account, tale, at)
            .into_iter()
            .collect(),
    }
}

fn telnyx_events(line: &Line, key: u64, connection: &str, tale: &Tale, at: DateTime<Utc>) -> Vec<Webhook> {
    let Some(url) = &line.order.hooks.status else {
        return Vec::new();
    };
    let event = |name: &str, fact: bool, more: Value| {
        let (id, fact) = (Uuid::new_v4(), fact && !line.agent);
        Webhook {
            account: line.order.account,
            line: key,
            url: url.clone(),
            body: Body::Telnyx(data(line, connection, name, id, at, more)),
            id,
            fact,
            end: name == "call.hangup",
        }
    };
    let index = line.number;
    match tale {
        Tale::Initiated => vec![event(
            "call.initiated",
            true,
            json!({ "direction": "outgoing", "state": "bridging" }),
        )],
        // Telnyx has no event for ringing.
        Tale::Ringing => Vec::new(),
        Tale::Answered => vec![event("call.answered", true, json!({ "state": "answered" }))],
        Tale::Verdict(Verdict::Beep, _) => {
            vec![event(
                "call.machine.premium.greeting.ended",
                true,
                json!({ "result": "beep_detected" }),
            )]
        }
        Tale::Verdict(verdict, _) => vec![event(
            "call.machine.premium.detection.ended",
            true,
            json!({ "result": telnyx::word(*verdict, index) }),
        )],
        Tale::Joined {
            conference,
            room,
            opened,
            ..
        } => {
            let more = || json!({ "conference_id": conference, "conference_name": room });
            let mut events = Vec::new();
            if *opened {
                events.push(event("conference.created", false, more()));
            }
            // The one event of being connected in a room: `call.bridged` is of the bridge command. Who has no context
            // of the platform's is no customer it put there.
            let known = line.order.client_state.is_some();
            events.push(event("conference.participant.joined", known, more()));
            events
        }
        Tale::Left { conference, room, .. } => vec![event(
            "conference.participant.left",
            false,
            json!({ "conference_id": conference, "conference_name": room }),
        )],
        Tale::StreamStarted => vec![event("streaming.started", false, json!({}))],
        Tale::StreamStopped => vec![event("streaming.stopped", false, json!({}))],
        Tale::SpeechStarted { spoken: true } => vec![event("call.speak.started", false, json!({}))],
        Tale::SpeechStarted { spoken: false } => {
            vec![event("call.playback.started", false, json!({ "overlay": false }))]
        }
        Tale::SpeechEnded { spoken: true } => {
            vec![event("call.speak.ended", false, json!({ "status": "completed" }))]
        }
        Tale::SpeechEnded { spoken: false } => {
            vec![event(
                "call.playback.ended",
                false,
                json!({ "overlay": false, "status": "completed" }),
            )]
        }
        Tale::Pressed(digit) => {
            // The platform takes note of the one key it asked for, and of no other.
            let wanted = line.reports && line.keys.as_deref() == Some(digit.to_string().as_str());
            vec![event(
                "call.dtmf.received",
                wanted,
                json!({ "digit": digit.to_string() }),
            )]
        }
        Tale::Gathered { digits, status } => vec![event(
            "call.gather.ended",
            line.reports,
            json!({ "digits": digits, "status": status }),
        )],
        Tale::Ended(end) => vec![event("call.hangup", true, hangup(line, *end, at))],
    }
}

fn hangup(line: &Line, end: End, at: DateTime<Utc>) -> Value {
    json!({
        "state": "hangup",
        "end_time": telnyx::micros(at),
        "hangup_cause": telnyx::cause(end),
        "hangup_source": match end.hangup_by {
            HangupBy::Caller => "caller",
            HangupBy::Callee => "callee",
            HangupBy::System | HangupBy::Unknown => "unknown",
        },
        "sip_hangup_cause": end.sip_code.map_or_else(|| "unspecified".to_owned(), |code| code.to_string()),
        "call_quality_stats": line.answered_at.map(|_| json!({
            "inbound": { "jitter_max_variance": "38.41", "jitter_packet_count": "0", "mos": "4.50",
                         "packet_count": (line.seconds(at) * 50).to_string(), "skip_packet_count": "0" },
            "outbound": { "packet_count": (line.seconds(at) * 50).to_string(), "skip_packet_count": "0" },
        })),
    })
}

fn data(line: &Line, connection: &str, name: &str, id: Uuid, at: DateTime<Utc>, more: Value) -> String {
    let mut payload = Map::new();
    payload.insert("call_control_id".into(), json!(line.id));
    payload.insert("call_leg_id".into(), json!(line.leg));
    payload.insert("call_session_id".into(), json!(line.session));
    payload.insert("client_state".into(), json!(line.order.client_state));
    payload.insert("connection_id".into(), json!(connection));
    payload.insert("from".into(), json!(line.order.from));
    payload.insert("to".into(), json!(line.order.to));
    payload.insert("start_time".into(), json!(telnyx::micros(line.begins_at)));
    if let Value::Object(more) = more {
        payload.extend(more);
    }
    json!({
        "event_type": name,
        "id": id,
        "occurred_at": telnyx::micros(at),
        "payload": payload,
        "record_type": "event",
    })
    .to_string()
}

/// The bytes Telnyx posts on the given try, from 1.
pub(crate) fn envelope(data: &str, attempt: u32, delivered_to: &str) -> Vec<u8> {
    let meta = json!({ "attempt": attempt, "delivered_to": delivered_to });
    format!("{{\"data\":{data},\"meta\":{meta}}}").into_bytes()
}

fn twilio_callbacks(
    line: &mut Line,
    key: u64,
    account: &str,
    tale: &Tale,
    at: DateTime<Utc>,
) -> Option<Webhook> {
    let progress = line.order.hooks.progress;
    let mut form = vec![("AccountSid", account.to_owned())];
    let (url, fact) = match tale {
        Tale::Initiated if progress.initiated => (status(line, &mut form, "initiated", at)?, true),
        Tale::Ringing if progress.ringing => (status(line, &mut form, "ringing", at)?, true),
        Tale::Answered if progress.answered => (status(line, &mut form, "in-progress", at)?, true),
        Tale::Ended(end) if progress.completed => {
            let url = status(line, &mut form, twilio::status_of(end.outcome), at)?;
            let seconds = line.seconds(at);
            form.push(("CallDuration", seconds.to_string()));
            form.push(("Duration", seconds.unsigned_abs().div_ceil(60).to_string()));
            if let Some(code) = end.sip_code {
                form.push(("SipResponseCode", code.to_string()));
            }
            (url, true)
        }
        Tale::Verdict(verdict, took) => {
            let url = line.order.hooks.amd.clone()?;
            form.push(("CallSid", line.id.clone()));
            form.push(("AnsweredBy", twilio::word(*verdict).to_owned()));
            form.push(("MachineDetectionDuration", took.to_string()));
            (url, true)
        }
        Tale::Joined {
            conference,
            room,
            sequence,
            ..
        } => {
            let seat = line.seat.clone().filter(|seat| seat.joins)?;
            conference_event(
                line,
                &mut form,
                "participant-join",
                (conference, room, *sequence),
                at,
            );
            form.push(("ParticipantLabel", seat.label.clone().unwrap_or_default()));
            // A leg without a label is the customer's.
            let customer = seat
                .label
                .is_none_or(|label| label == "customer" || label.starts_with("customer:"));
            (seat.events?, customer)
        }
        Tale::Left {
            conference,
            room,
            sequence,
        } => {
            let seat = line.seat.clone().filter(|seat| seat.leaves)?;
            conference_event(
                line,
                &mut form,
                "participant-leave",
                (conference, room, *sequence),
                at,
            );
            form.push(("ParticipantLabel", seat.label.unwrap_or_default()));
            (seat.events?, false)
        }
        _ => return None,
    };
    Some(Webhook {
        account: line.order.account,
        line: key,
        url,
        body: Body::Twilio(form),
        id: Uuid::new_v4(),
        fact: fact && !line.agent,
        end: matches!(tale, Tale::Ended(_)),
    })
}

fn status(
    line: &mut Line,
    form: &mut Vec<(&'static str, String)>,
    word: &str,
    at: DateTime<Utc>,
) -> Option<String> {
    let url = line.order.hooks.status.clone()?;
    parameters(line, form);
    form.push(("CallStatus", word.to_owned()));
    form.push(("CallbackSource", "call-progress-events".to_owned()));
    form.push(("SequenceNumber", line.out.status.to_string()));
    form.push(("Timestamp", twilio::rfc2822(at)));
    line.out.status += 1;
    Some(url)
}

/// What Twilio says of a call whatever it is about.
pub(crate) fn parameters(line: &Line, form: &mut Vec<(&'static str, String)>) {
    let Line { id, order, .. } = line;
    let texts = [
        ("ApiVersion", "2010-04-01"),
        ("CallSid", id.as_str()),
        ("Direction", "outbound-api"),
        ("From", order.from.as_str()),
        ("To", order.to.as_str()),
        ("Caller", order.from.as_str()),
        ("Called", order.to.as_str()),
        ("FromCity", ""),
        ("ToCity", ""),
        ("FromZip", ""),
        ("ToZip", ""),
        ("FromState", ""),
        ("ToState", ""),
        ("FromCountry", "US"),
        ("ToCountry", "US"),
    ];
    form.extend(texts.map(|(name, value)| (name, value.to_owned())));
}

fn conference_event(
    line: &Line,
    form: &mut Vec<(&'static str, String)>,
    event: &str,
    (conference, room, sequence): (&str, &str, u32),
    at: DateTime<Utc>,
) {
    let fields = [
        ("ConferenceSid", conference.to_owned()),
        ("FriendlyName", room.to_owned()),
        ("StatusCallbackEvent", event.to_owned()),
        ("SequenceNumber", sequence.to_string()),
        ("Timestamp", twilio::rfc2822(at)),
        ("CallSid", line.id.clone()),
        ("Muted", "false".to_owned()),
        ("Hold", "false".to_owned()),
        ("Coaching", "false".to_owned()),
        ("StartConferenceOnEnter", "true".to_owned()),
        ("EndConferenceOnExit", "false".to_owned()),
    ];
    form.extend(fields);
}
