//! Twilio's REST API for calls, as far as the platform uses it.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;
use uuid::Uuid;
use voice_schemas::events::call::{Carrier, Direction};
use voice_telephony::PhoneNumber;

use super::{Moment, Twin, placed::Placed};
use crate::{
    Account,
    plan::Fact,
    text::hex,
    wire::twilio::{rfc2822, status_of, word},
};

/// What `POST …/Calls.json` takes, from the reference of the call resource.
const CREATE: &[&str] = &[
    "ApplicationSid",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
    "Byoc",
    "CallReason",
    "CallToken",
    "CallerId",
    "ClientNotificationUrl",
    "FallbackMethod",
    "FallbackUrl",
    "From",
    "MachineDetection",
    "MachineDetectionSilenceTimeout",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionTimeout",
    "Method",
    "Record",
    "RecordingChannels",
    "RecordingConfigurationId",
    "RecordingStatusCallback",
    "RecordingStatusCallbackEvent",
    "RecordingStatusCallbackMethod",
    "RecordingTrack",
    "SendDigits",
    "SipAuthPassword",
    "SipAuthUsername",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "TimeLimit",
    "Timeout",
    "To",
    "Trim",
    "Twiml",
    "Url",
];

/// What `POST …/Calls/{sid}.json` takes.
const UPDATE: &[&str] = &[
    "FallbackMethod",
    "FallbackUrl",
    "Method",
    "Status",
    "StatusCallback",
    "StatusCallbackMethod",
    "TimeLimit",
    "Twiml",
    "Url",
];

pub(super) fn routes() -> Router<Twin> {
    Router::new()
        .route("/2010-04-01/Accounts/{account}/Calls.json", post(create))
        .route(
            "/2010-04-01/Accounts/{account}/Calls/{call}",
            get(fetch).post(update),
        )
}

/// What Twilio says when it says no.
struct Refusal(StatusCode, u32, &'static str);

const NOT_FOUND: Refusal = Refusal(
    StatusCode::NOT_FOUND,
    20404,
    "The requested resource was not found",
);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let body = json!({
            "code": code,
            "message": message,
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
            "status": status.as_u16(),
        });
        (status, Json(body)).into_response()
    }
}

/// The account a request is allowed to act for.
struct Caller {
    twin: Twin,
    account: usize,
    sid: String,
}

impl FromRequestParts<Twin> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, twin: &Twin) -> Result<Self, Refusal> {
        const REFUSED: Refusal = Refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let decoded = header.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = pair
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .ok_or(REFUSED)?;
        let sid = parts.uri.path().split('/').nth(3).unwrap_or_default();
        // The account's own SID, or an API key, whose secret is the auth token here.
        let opens = |account: &Account| {
            account.carrier_account() == sid
                && (user == sid || user.starts_with("SK"))
                && account.opens(password)
        };
        let (account, _) = twin.account(Carrier::Twilio, opens).ok_or(REFUSED)?;
        Ok(Self {
            twin: twin.clone(),
            account,
            sid: sid.to_owned(),
        })
    }
}

async fn fetch(caller: Caller, Path((_, call)): Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    caller.show(resource(&call)?).map(Json)
}

async fn create(
    caller: Caller,
    State(twin): State<Twin>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let form = Form::read(&body, CREATE)?;
    let number = |name, missing: Refusal, invalid: Refusal| {
        let text = form.get(name).ok_or(missing)?;
        PhoneNumber::parse(text).ok_or(invalid)
    };
    let to = number(
        "To",
        bad(21201, "No 'To' number is specified"),
        bad(21211, "Invalid 'To' Phone Number"),
    )?;
    let invalid_from = || bad(21212, "Invalid 'From' Phone Number");
    let from = number("From", invalid_from(), invalid_from())?;
    if !["Url", "Twiml", "ApplicationSid"]
        .iter()
        .any(|name| form.get(name).is_some())
    {
        return Err(bad(21205, "Url parameter is required."));
    }
    let now = twin.state().clock.now();
    let random = Uuid::new_v4();
    let call = Placed {
        account: caller.account,
        id: format!("CA{}", hex(random.as_bytes())),
        leg: random,
        session: random,
        from: from.expose().to_owned(),
        to: to.expose().to_owned(),
        client_state: None,
        at: now,
        ended_at: None,
    };
    let shown = caller.placed(&call);
    twin.placed().add(call);
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn update(
    caller: Caller,
    State(twin): State<Twin>,
    Path((_, call)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    const WRONG_STATE: Refusal = Refusal(
        StatusCode::BAD_REQUEST,
        21220,
        "Call is not in-progress. Cannot redirect.",
    );
    let sid = resource(&call)?;
    let form = Form::read(&body, UPDATE)?;
    let status = form.get("Status");
    if status.is_some_and(|status| !matches!(status, "canceled" | "completed")) {
        return Err(bad(20001, "Status must be 'canceled' or 'completed'"));
    }
    if let Some(Moment { call, now }) = twin.planned(caller.account, sid) {
        let moment = Moment { call, now };
        // Only a call that has not been picked up can be canceled, only one that has can be redirected.
        let picked_up = moment.answered_at().is_some();
        let fits = match status {
            Some("canceled") => !picked_up,
            Some(_) => true,
            None => picked_up,
        };
        if moment.over() || !fits {
            return Err(WRONG_STATE);
        }
    } else if status.is_none() {
        // Nobody has picked up a call that was placed here.
        return Err(twin
            .placed()
            .get(caller.account, sid)
            .map_or(NOT_FOUND, |_| WRONG_STATE));
    } else if !twin
        .placed()
        .end(caller.account, sid, twin.state().clock.now())
        .ok_or(NOT_FOUND)?
    {
        return Err(WRONG_STATE);
    }
    caller.show(sid).map(Json)
}

fn bad(code: u32, message: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, code, message)
}

/// The name of a resource, without the format it is asked for in.
fn resource(segment: &str) -> Result<&str, Refusal> {
    segment.strip_suffix(".json").ok_or(NOT_FOUND)
}

struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        if pairs.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return Err(bad(20001, "Unknown parameter"));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value.as_str()))
    }
}

/// The parts of a call resource that differ from call to call.
struct Shown<'a> {
    id: &'a str,
    from: &'a str,
    to: &'a str,
    status: &'static str,
    direction: &'static str,
    began: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
    seconds: Option<i64>,
    answered_by: Option<&'static str>,
    created: DateTime<Utc>,
}

impl Caller {
    fn show(&self, sid: &str) -> Result<Value, Refusal> {
        if let Some(moment) = self.twin.planned(self.account, sid) {
            return Ok(self.planned(&moment));
        }
        let registry = self.twin.placed();
        registry
            .get(self.account, sid)
            .map(|call| self.placed(call))
            .ok_or(NOT_FOUND)
    }

    fn planned(&self, moment: &Moment) -> Value {
        let call = &moment.call;
        let over = moment.over();
        let outbound = call.direction == Direction::Outbound;
        let ringing = !outbound || moment.past().any(|fact| matches!(fact, Fact::Ringing));
        let status = if over {
            status_of(call.end().outcome)
        } else if moment.answered_at().is_some() {
            "in-progress"
        } else if ringing {
            "ringing"
        } else {
            "queued"
        };
        self.resource(&Shown {
            id: &call.ids.call,
            from: call.from.expose(),
            to: call.to.expose(),
            status,
            direction: if outbound { "outbound-api" } else { "inbound" },
            began: moment.answered_at().or(over.then(|| call.starts_at())),
            ended: over.then(|| call.ended_at()),
            seconds: over.then(|| call.told_duration().num_seconds()),
            answered_by: moment
                .past()
                .filter_map(|fact| match fact {
                    Fact::Amd { verdict, .. } => Some(word(*verdict)),
                    _ => None,
                })
                .last(),
            created: call.starts_at(),
        })
    }

    fn placed(&self, call: &Placed) -> Value {
        self.resource(&Shown {
            id: &call.id,
            from: &call.from,
            to: &call.to,
            status: if call.ended_at.is_some() {
                "canceled"
            } else {
                "queued"
            },
            direction: "outbound-api",
            began: None,
            ended: call.ended_at,
            seconds: call.ended_at.map(|_| 0),
            answered_by: None,
            created: call.at,
        })
    }

    fn resource(&self, call: &Shown<'_>) -> Value {
        let uri = format!("/2010-04-01/Accounts/{}/Calls/{}", self.sid, call.id);
        let below = |name: &str| format!("{uri}/{name}.json");
        json!({
            "sid": call.id,
            "account_sid": self.sid,
            "to": call.to,
            "to_formatted": call.to,
            "from": call.from,
            "from_formatted": call.from,
            "status": call.status,
            "start_time": call.began.map(rfc2822),
            "end_time": call.ended.map(rfc2822),
            "duration": call.seconds.map(|seconds| seconds.to_string()),
            "price": null,
            "price_unit": "USD",
            "direction": call.direction,
            "answered_by": call.answered_by,
            "api_version": "2010-04-01",
            "forwarded_from": null,
            "group_sid": null,
            "caller_name": null,
            "parent_call_sid": null,
            "phone_number_sid": null,
            "queue_time": "0",
            "trunk_sid": null,
            "date_created": rfc2822(call.created),
            "date_updated": rfc2822(call.ended.or(call.began).unwrap_or(call.created)),
            "uri": format!("{uri}.json"),
            "subresource_uris": {
                "notifications": below("Notifications"),
                "recordings": below("Recordings"),
                "payments": below("Payments"),
                "events": below("Events"),
                "siprec": below("Siprec"),
                "streams": below("Streams"),
                "transcriptions": below("Transcriptions"),
                "user_defined_messages": below("UserDefinedMessages"),
                "user_defined_message_subscriptions": below("UserDefinedMessageSubscriptions"),
            },
        })
    }
}
