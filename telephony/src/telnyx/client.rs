//! Telnyx's REST API for calls.
//!
//! Every command carries a `command_id`; Telnyx ignores a second one within 60 s. So a command without an
//! answer is sent once more, unchanged, within that time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use voice_schemas::events::call::{CallOutcome, Carrier, Ending, HangupBy};

use super::instructions::{Command, plan, stream_fields};
use crate::{
    AmdMode, Answered, CallSnapshot, CallState, CarrierClient, CarrierError, CarrierFuture, HookKind,
    Instruction, InstructionError, OriginateRequest, Originated, SealedContext,
    transport::{self, Answer},
};

/// Two tries and their overhead must fit the 60 s in which Telnyx recognises a repetition.
const LONGEST_TRY: Duration = Duration::from_secs(25);

/// Ids look like `v3:…` and may hold `/`. What RFC 3986 lets stand in a path segment stands.
const ID: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `KEY…`
    pub api_key: SecretString,
    /// The Call Control application that places calls.
    pub connection_id: String,
    /// `https://api.telnyx.com`, or a simulator.
    pub base_url: Url,
    /// How long to wait for an answer; at most 25 s.
    pub timeout: Duration,
}

/// Telnyx, through one account.
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

    fn url(&self, path: &str) -> String {
        format!(
            "{}/v2/{path}",
            self.config.base_url.as_str().trim_end_matches('/')
        )
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, CarrierError> {
        let request = request.bearer_auth(self.config.api_key.expose_secret());
        let answer = transport::exchange(request, self.config.timeout.min(LONGEST_TRY)).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(&answer))
        }
    }

    /// Sends a command, and once more when it is not known whether it arrived.
    async fn command(&self, path: &str, body: &Value) -> Result<Answer, CarrierError> {
        let url = self.url(path);
        match self.send(self.http.post(&url).json(body)).await {
            Err(CarrierError::Unknown { .. }) => self.send(self.http.post(&url).json(body)).await,
            result => result,
        }
    }

    async fn act(&self, id: &str, action: &str, mut body: Value) -> Result<(), CarrierError> {
        body["command_id"] = json!(Uuid::new_v4());
        self.command(
            &format!("calls/{}/actions/{action}", utf8_percent_encode(id, ID)),
            &body,
        )
        .await
        .map(drop)
    }

    async fn place(&self, request: &OriginateRequest) -> Result<Originated, CarrierError> {
        let answer = self.command("calls", &self.dial(request)?).await?;
        let Data { data } = answer.json::<Data<Call>>()?;
        Ok(Originated {
            carrier_call_id: data.call_control_id,
            queue_time_ms: 0,
        })
    }

    fn dial(&self, request: &OriginateRequest) -> Result<Value, InstructionError> {
        let mut body = match request.on_answer.as_slice() {
            [] => json!({}),
            [Instruction::ConnectStream(stream)] => {
                let mut body = stream_fields(stream);
                // Only the command for a live call takes them; the `start` of a dialled stream has the context.
                if let Some(fields) = body.as_object_mut() {
                    fields.remove("custom_parameters");
                }
                body
            }
            [first, ..] => {
                let instruction = first.name();
                return Err(InstructionError::Unsupported {
                    carrier: Carrier::Telnyx,
                    instruction,
                });
            }
        };
        body["connection_id"] = json!(self.config.connection_id);
        body["to"] = json!(request.to.expose());
        body["from"] = json!(request.from.expose());
        body["client_state"] = json!(request.context.as_client_state());
        body["command_id"] = json!(request.attempt.0);
        body["webhook_url"] = json!(request.hooks.url(HookKind::Call));
        body["webhook_url_method"] = json!("POST");
        body["timeout_secs"] = json!(request.ring_timeout.as_secs().clamp(5, 600));
        body["answering_machine_detection"] = json!(match request.amd {
            AmdMode::Off => "disabled",
            // Premium detection reports the end of a greeting without being asked.
            AmdMode::Detect | AmdMode::DetectBeep => "premium",
        });
        if let Some(limit) = request.time_limit {
            body["time_limit_secs"] = json!(limit.as_secs().clamp(30, 14_400));
        }
        if request.record {
            body["record"] = json!("record-from-answer");
            body["record_channels"] = json!("dual");
        }
        Ok(body)
    }

    async fn end(&self, id: &str) -> Result<(), CarrierError> {
        over_is_fine(self.act(id, "hangup", json!({})).await)
    }

    async fn ask(&self, id: &str) -> Result<CallSnapshot, CarrierError> {
        let url = self.url(&format!("calls/{}", utf8_percent_encode(id, ID)));
        match self.send(self.http.get(url)).await {
            Ok(answer) => Ok(answer.json::<Data<Call>>()?.data.snapshot()),
            Err(CarrierError::NotFound) => Ok(ended(None, None)),
            Err(error) => Err(error),
        }
    }

    async fn tell(&self, id: &str, instructions: &[Instruction]) -> Result<Answered, CarrierError> {
        let plan = plan(instructions)?;
        match plan.next {
            None => {}
            Some(Command::Call {
                action: "hangup",
                body,
            }) => over_is_fine(self.act(id, "hangup", body).await)?,
            Some(Command::Call { action, body }) => self.act(id, action, body).await?,
            Some(Command::Conference { room, join, create }) => self.enter(id, &room, join, create).await?,
        }
        Ok(Answered {
            remaining: plan.remaining,
        })
    }

    /// Rooms have ids of Telnyx's making and unique names. Whoever finds none opens it; when another call
    /// opened it at the same moment, the second look finds it.
    async fn enter(
        &self,
        id: &str,
        room: &str,
        mut join: Value,
        create: Option<Value>,
    ) -> Result<(), CarrierError> {
        join["call_control_id"] = json!(id);
        join["command_id"] = json!(Uuid::new_v4());
        if let Some(conference) = self.find_room(room).await? {
            return self.join(&conference, &join).await;
        }
        let mut create = create.ok_or(CarrierError::NotFound)?;
        create["call_control_id"] = json!(id);
        create["command_id"] = json!(Uuid::new_v4());
        match self.command("conferences", &create).await {
            Err(error @ CarrierError::Rejected { .. }) => match self.find_room(room).await? {
                Some(conference) => self.join(&conference, &join).await,
                None => Err(error),
            },
            result => result.map(drop),
        }
    }

    async fn join(&self, conference: &str, body: &Value) -> Result<(), CarrierError> {
        let path = format!("conferences/{}/actions/join", utf8_percent_encode(conference, ID));
        self.command(&path, body).await.map(drop)
    }

    async fn find_room(&self, room: &str) -> Result<Option<String>, CarrierError> {
        let request = self
            .http
            .get(self.url("conferences"))
            .query(&[("filter[name]", room), ("page[size]", "20")]);
        let Data { data } = self.send(request).await?.json::<Data<Vec<Room>>>()?;
        Ok(data
            .into_iter()
            .find(|found| found.name == room && found.status != "completed")
            .map(|found| found.id))
    }
}

impl CarrierClient for Client {
    fn carrier(&self) -> Carrier {
        Carrier::Telnyx
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

    fn pick_up<'a>(&'a self, carrier_call_id: &'a str, context: &'a SealedContext) -> CarrierFuture<'a, ()> {
        let body = json!({ "client_state": context.as_client_state() });
        Box::pin(self.act(carrier_call_id, "answer", body))
    }
}

/// 90018: the call has ended already, which is what was wanted.
fn over_is_fine(result: Result<(), CarrierError>) -> Result<(), CarrierError> {
    match result {
        Err(CarrierError::Rejected { code }) if code == "90018" => Ok(()),
        result => result,
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Room {
    id: String,
    name: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Call {
    call_control_id: String,
    is_alive: bool,
    start_time: Option<DateTime<Utc>>,
    end_time: Option<DateTime<Utc>>,
}

impl Call {
    fn snapshot(self) -> CallSnapshot {
        if self.is_alive {
            let (started_at, ended_at) = (self.start_time, None);
            CallSnapshot {
                state: CallState::Alive,
                ending: None,
                answered_by: None,
                started_at,
                ended_at,
            }
        } else {
            ended(self.start_time, self.end_time)
        }
    }
}

/// Telnyx says that a call is over, not how it ended.
fn ended(started_at: Option<DateTime<Utc>>, ended_at: Option<DateTime<Utc>>) -> CallSnapshot {
    CallSnapshot {
        state: CallState::Ended,
        ending: Some(Ending {
            outcome: CallOutcome::Unknown,
            hangup_by: HangupBy::Unknown,
            cause: if ended_at.is_some() {
                "not_alive"
            } else {
                "not_found"
            }
            .to_owned(),
            sip_code: None,
            duration_ms: None,
            reconciled: true,
        }),
        answered_by: None,
        started_at,
        ended_at,
    }
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// <https://developers.telnyx.com/development/api-fundamentals/errors>. The detail may quote the number; it
/// is looked at, not kept.
fn refusal(answer: &Answer) -> CarrierError {
    let fault = serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|refusal: Refusal| refusal.errors.into_iter().next());
    let code = fault.as_ref().map_or("", |fault| fault.code.as_str());
    // "User channel limit exceeded D1": as many calls as the account may have at once.
    let too_many_calls = fault.as_ref().is_some_and(|Fault { title, detail, .. }| {
        title.contains("channel limit exceeded") || detail.contains("channel limit exceeded")
    });
    match (answer.status, code) {
        (StatusCode::TOO_MANY_REQUESTS, _) | (_, "90103" | "10011") => CarrierError::Throttled {
            retry_after: answer.retry_after(),
        },
        (StatusCode::FORBIDDEN, _) if too_many_calls => CarrierError::Throttled { retry_after: None },
        (_, "10016") => CarrierError::InvalidNumber,
        (status, _) if status.is_server_error() => transport::unknown(format!("http_{}", status.as_u16())),
        (StatusCode::UNAUTHORIZED, _) | (_, "10009") => CarrierError::Auth,
        (StatusCode::NOT_FOUND, _) => CarrierError::NotFound,
        (status, "") => CarrierError::Rejected {
            code: format!("http_{}", status.as_u16()),
        },
        (_, code) => CarrierError::Rejected {
            code: code.chars().take(16).collect(),
        },
    }
}
