//! Twilio's REST API for calls.
//!
//! There is no idempotency key: a request without an answer may have dialled. Calls above the account's rate
//! are queued by Twilio, not refused; `queue_time` says for how long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use voice_schemas::events::call::{CallOutcome, Carrier, Ending, HangupBy};

use super::{twiml, webhook};
use crate::{
    AmdMode, Answered, CallSnapshot, CallState, CarrierClient, CarrierError, CarrierFuture, HookKind,
    Instruction, InstructionError, OriginateRequest, Originated, SealedContext,
    transport::{self, Answer},
};

/// Twilio takes no longer TwiML in a parameter.
const LONGEST_TWIML: usize = 4000;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `AC…`
    pub account_sid: String,
    /// An API key (`SK…`), or the account SID again.
    pub user: String,
    /// The API key's secret, or the auth token.
    pub password: SecretString,
    /// `https://api.twilio.com`, a regional host, or a simulator.
    pub base_url: Url,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

/// Twilio, through one account.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: Config,
}

impl Client {
    /// A client that sends through `http`.
    #[must_use]
    pub const fn new(http: reqwest::Client, config: Config) -> Self {
        Self { http, config }
    }

    fn url(&self, call: Option<&str>) -> String {
        let base = self.config.base_url.as_str().trim_end_matches('/');
        let account = utf8_percent_encode(&self.config.account_sid, NON_ALPHANUMERIC);
        match call {
            None => format!("{base}/2010-04-01/Accounts/{account}/Calls.json"),
            Some(id) => {
                let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
                format!("{base}/2010-04-01/Accounts/{account}/Calls/{id}.json")
            }
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, CarrierError> {
        let request = request.basic_auth(&self.config.user, Some(self.config.password.expose_secret()));
        let answer = transport::exchange(request, self.config.timeout).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(&answer))
        }
    }

    async fn update(&self, id: &str, form: &[(&str, &str)]) -> Result<(), CarrierError> {
        self.send(self.http.post(self.url(Some(id))).form(form))
            .await
            .map(drop)
    }

    async fn place(&self, request: &OriginateRequest) -> Result<Originated, CarrierError> {
        let answer = self
            .send(self.http.post(self.url(None)).form(&form(request)?))
            .await?;
        let call: Call = answer.json()?;
        let queue_time_ms = call.queue_time.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Originated {
            carrier_call_id: call.sid,
            queue_time_ms,
        })
    }

    async fn end(&self, id: &str) -> Result<(), CarrierError> {
        match self.update(id, &[("Status", "completed")]).await {
            // 21220: not in a state for that; it has ended already.
            Err(CarrierError::Rejected { code }) if code == "21220" => Ok(()),
            result => result,
        }
    }

    async fn ask(&self, id: &str) -> Result<CallSnapshot, CarrierError> {
        match self.send(self.http.get(self.url(Some(id)))).await {
            Ok(answer) => answer.json::<Call>()?.snapshot(),
            Err(CarrierError::NotFound) => Ok(forgotten()),
            Err(error) => Err(error),
        }
    }

    async fn tell(&self, id: &str, instructions: &[Instruction]) -> Result<Answered, CarrierError> {
        let document = twiml(instructions)?;
        if document.chars().count() > LONGEST_TWIML {
            let reason = "the instructions exceed 4000 characters";
            return Err(InstructionError::Invalid {
                instruction: "response",
                reason,
            }
            .into());
        }
        self.update(id, &[("Twiml", &document)]).await?;
        Ok(Answered::default())
    }
}

impl CarrierClient for Client {
    fn carrier(&self) -> Carrier {
        Carrier::Twilio
    }

    fn originate<'a>(&'a self, request: &'a OriginateRequest) -> CarrierFuture<'a, Originated> {
        Box::pin(self.place(request))
    }

    fn hangup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, ()> {
        Box::pin(self.end(carrier_call_id))
    }

    fn lookup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, CallSnapshot> {
        Box::pin(self.ask(carrier_call_id))
    }

    fn answer<'a>(
        &'a self,
        carrier_call_id: &'a str,
        instructions: &'a [Instruction],
    ) -> CarrierFuture<'a, Answered> {
        Box::pin(self.tell(carrier_call_id, instructions))
    }

    fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn form(request: &OriginateRequest) -> Result<Vec<(&'static str, String)>, InstructionError> {
    let hook = |kind| request.hooks.url_with(kind, &request.context);
    let mut form = vec![
        ("To", request.to.expose().to_owned()),
        ("From", request.from.expose().to_owned()),
        ("StatusCallback", hook(HookKind::Status)),
        ("StatusCallbackMethod", "POST".to_owned()),
    ];
    for event in ["initiated", "ringing", "answered", "completed"] {
        form.push(("StatusCallbackEvent", event.to_owned()));
    }
    form.push((
        "Timeout",
        request.ring_timeout.as_secs().clamp(1, 600).to_string(),
    ));
    if let Some(limit) = request.time_limit {
        form.push(("TimeLimit", limit.as_secs().max(1).to_string()));
    }
    let detection = match request.amd {
        AmdMode::Off => None,
        AmdMode::Detect => Some("Enable"),
        AmdMode::DetectBeep => Some("DetectMessageEnd"),
    };
    if let Some(detection) = detection {
        form.push(("MachineDetection", detection.to_owned()));
        form.push(("AsyncAmd", "true".to_owned()));
        form.push(("AsyncAmdStatusCallback", hook(HookKind::Amd)));
        form.push(("AsyncAmdStatusCallbackMethod", "POST".to_owned()));
    }
    if request.record {
        form.push(("Record", "true".to_owned()));
        form.push(("RecordingChannels", "dual".to_owned()));
    }
    let document = if request.on_answer.is_empty() {
        None
    } else {
        Some(twiml(&request.on_answer)?)
    };
    match document.filter(|document| document.chars().count() <= LONGEST_TWIML) {
        Some(document) => form.push(("Twiml", document)),
        None => {
            form.push(("Url", hook(HookKind::Voice)));
            form.push(("Method", "POST".to_owned()));
        }
    }
    Ok(form)
}

/// The parts of Twilio's call resource we read. Numbers come as strings, times as RFC 2822.
#[derive(Deserialize)]
struct Call {
    sid: String,
    status: String,
    queue_time: Option<String>,
    duration: Option<String>,
    answered_by: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
}

impl Call {
    fn snapshot(self) -> Result<CallSnapshot, CarrierError> {
        let outcome = webhook::ended_as(&self.status, None, None);
        let state = match (self.status.as_str(), outcome) {
            (_, Some(_)) => CallState::Ended,
            ("queued", _) => CallState::Queued,
            ("initiated" | "ringing", _) => CallState::Ringing,
            ("in-progress", _) => CallState::Answered,
            _ => return Err(transport::unknown("status")),
        };
        let time = |text: Option<String>| {
            DateTime::parse_from_rfc2822(&text?)
                .ok()
                .map(|at| at.with_timezone(&Utc))
        };
        let duration_ms = self
            .duration
            .and_then(|text| text.parse::<u32>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        Ok(CallSnapshot {
            state,
            ending: outcome.map(|outcome| Ending {
                outcome,
                hangup_by: HangupBy::Unknown,
                cause: self.status,
                sip_code: None,
                duration_ms: duration_ms.filter(|_| outcome == CallOutcome::Completed),
                reconciled: true,
            }),
            answered_by: self.answered_by.map(|word| webhook::verdict(&word).answered_by),
            started_at: time(self.start_time),
            ended_at: time(self.end_time),
        })
    }
}

/// A call Twilio has no record of.
fn forgotten() -> CallSnapshot {
    CallSnapshot {
        state: CallState::Ended,
        ending: Some(Ending {
            outcome: CallOutcome::Unknown,
            hangup_by: HangupBy::Unknown,
            cause: "not_found".to_owned(),
            sip_code: None,
            duration_ms: None,
            reconciled: true,
        }),
        answered_by: None,
        started_at: None,
        ended_at: None,
    }
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<u32>,
}

/// <https://www.twilio.com/docs/api/errors>. The message may quote the number; it is not kept.
fn refusal(answer: &Answer) -> CarrierError {
    let code = serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|Refusal { code }| code);
    match (answer.status, code) {
        (_, Some(22005)) => CarrierError::QueueFull,
        (_, Some(20429 | 10004)) | (StatusCode::TOO_MANY_REQUESTS, _) => CarrierError::Throttled {
            retry_after: answer.retry_after(),
        },
        (_, Some(13224 | 21211 | 21214 | 21217)) => CarrierError::InvalidNumber,
        (status, _) if status.is_server_error() => transport::unknown(format!("http_{}", status.as_u16())),
        (_, Some(20003)) | (StatusCode::UNAUTHORIZED, _) => CarrierError::Auth,
        (_, Some(20404)) | (StatusCode::NOT_FOUND, _) => CarrierError::NotFound,
        (_, Some(code)) => CarrierError::Rejected {
            code: code.to_string(),
        },
        (status, None) => CarrierError::Rejected {
            code: format!("http_{}", status.as_u16()),
        },
    }
}
