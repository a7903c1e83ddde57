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
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;
use uuid::Uuid;
use voice_schemas::events::call::{Carrier, Direction};
use voice_telephony::PhoneNumber;

use super::{Moment, Twin};
use crate::{
    Account,
    live::{Declined, Detection, Found, Hooks, Ids, Line, OnAnswer, Order, Phase, Progress, Step, read},
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
    let order = order(&form, caller.account)?;
    let random = Uuid::new_v4();
    let ids = Ids {
        id: format!("CA{}", hex(random.as_bytes())),
        leg: random,
        session: random,
    };
    let shown = twin
        .live()
        .act(|board, now| board.place(order, ids, now).map(|line| caller.placed(line, now)));
    let shown = shown.map_err(|declined| match declined {
        Declined::QueueFull => Refusal(StatusCode::TOO_MANY_REQUESTS, 22005, "Call queue is full"),
        Declined::TooManyCalls | Declined::TooFast(_) => Refusal(
            StatusCode::TOO_MANY_REQUESTS,
            10004,
            "Call concurrency limit exceeded",
        ),
    })?;
    Ok((StatusCode::CREATED, Json(shown)))
}

fn order(form: &Form, account: usize) -> Result<Order, Refusal> {
    let to = form
        .get("To")
        .ok_or_else(|| bad(21201, "No 'To' number is specified"))?;
    // Agents' telephones have addresses.
    let address = to.starts_with("sip:") || to.starts_with("sips:") || to.starts_with("client:");
    if !address && PhoneNumber::parse(to).is_none() {
        return Err(bad(21211, "Invalid 'To' Phone Number"));
    }
    let from = form
        .get("From")
        .filter(|from| PhoneNumber::parse(from).is_some())
        .ok_or_else(|| bad(21212, "Invalid 'From' Phone Number"))?;
    let on_answer = match (form.get("Url"), form.get("Twiml"), form.get("ApplicationSid")) {
        (Some(url), ..) => OnAnswer::Fetch(url.to_owned()),
        (None, Some(document), _) => OnAnswer::Script(document_of(document)?),
        (None, None, Some(_)) => OnAnswer::Script(Vec::new()),
        (None, None, None) => return Err(bad(21205, "Url parameter is required.")),
    };
    let asynchronous = form.get("AsyncAmd") == Some("true");
    let detection = match form.get("MachineDetection") {
        // Digits sent on answer switch detection off.
        _ if form.get("SendDigits").is_some() => Detection::Off,
        Some("Enable") => Detection::Detect,
        Some("DetectMessageEnd") => Detection::AtBeep,
        _ => Detection::Off,
    };
    let seconds = |name, usual: i64, most: i64| {
        let given = form.get(name).map_or(Ok(usual), str::parse);
        given
            .ok()
            .filter(|seconds| (1..=most).contains(seconds))
            .map(TimeDelta::seconds)
            .ok_or_else(|| bad(20001, "A time is out of range"))
    };
    Ok(Order {
        account,
        to: to.to_owned(),
        from: from.to_owned(),
        client_state: None,
        hooks: Hooks {
            status: form.get("StatusCallback").map(str::to_owned),
            progress: form.progress(),
            amd: form
                .get("AsyncAmdStatusCallback")
                .filter(|_| asynchronous)
                .map(str::to_owned),
        },
        detection,
        ring: seconds("Timeout", 60, 600)?,
        limit: seconds("TimeLimit", 14_400, 86_400)?,
        on_answer,
    })
}

fn document_of(twiml: &str) -> Result<Vec<Step>, Refusal> {
    read(twiml).ok_or_else(|| bad(12100, "Document parse failure"))
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
        return caller.show(sid).map(Json);
    }
    let steps = match (status, form.get("Url"), form.get("Twiml")) {
        (Some(_), ..) => None,
        (None, Some(url), _) => Some(vec![Step::Redirect(url.to_owned())]),
        (None, None, Some(document)) => Some(document_of(document)?),
        (None, None, None) => Some(Vec::new()),
    };
    let answered = |line: &Line| line.answered_at.is_some();
    let found = twin.live().act(|board, now| {
        board.advance(now);
        let picked_up = board.get(caller.account, sid).is_some_and(answered);
        match steps {
            // A call that was picked up can be completed, not canceled.
            None if status == Some("canceled") && picked_up => Some(Found::Over),
            None => board.hang_up(caller.account, sid, now),
            Some(steps) => board.instruct(caller.account, sid, steps, now),
        }
    });
    match found.ok_or(NOT_FOUND)? {
        Found::Done => caller.show(sid).map(Json),
        Found::Over | Found::NotAnswered => Err(WRONG_STATE),
    }
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

    /// The progress events asked for: none is the end alone.
    fn progress(&self) -> Progress {
        let asked = |event: &str| {
            let mut pairs = self.0.iter();
            pairs.any(|(name, value)| name == "StatusCallbackEvent" && value == event)
        };
        if self.get("StatusCallbackEvent").is_none() {
            return Progress::default();
        }
        Progress {
            initiated: asked("initiated"),
            ringing: asked("ringing"),
            answered: asked("answered"),
            completed: asked("completed"),
        }
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
    queue_ms: i64,
}

impl Caller {
    fn show(&self, sid: &str) -> Result<Value, Refusal> {
        if let Some(moment) = self.twin.planned(self.account, sid) {
            return Ok(self.planned(&moment));
        }
        self.twin.live().act(|board, now| {
            board.advance(now);
            board
                .get(self.account, sid)
                .map(|line| self.placed(line, now))
                .ok_or(NOT_FOUND)
        })
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
            queue_ms: 0,
        })
    }

    fn placed(&self, line: &Line, now: DateTime<Utc>) -> Value {
        let ended = line.ended.map(|(at, _)| at);
        let status = match (line.outcome(), line.phase) {
            (Some(outcome), _) => status_of(outcome),
            (None, Phase::Answered) => "in-progress",
            (None, Phase::Ringing) => "ringing",
            (None, _) => "queued",
        };
        let held_back = (line.begins_at - line.placed_at).num_milliseconds();
        self.resource(&Shown {
            id: &line.id,
            from: &line.order.from,
            to: &line.order.to,
            status,
            direction: "outbound-api",
            began: line.answered_at.or(ended.map(|_| line.placed_at)),
            ended,
            seconds: ended.map(|_| line.seconds(now)),
            answered_by: line.verdict.map(word),
            created: line.placed_at,
            queue_ms: held_back,
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
            "queue_time": call.queue_ms.to_string(),
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
