//! The tools every agent may be given, and what each asks for.

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::ToolSpec;

/// What is to be done, out of arguments that fit the schema of their tool.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(tag = "tool", content = "arguments", rename_all = "snake_case")]
pub enum Action {
    /// End the call after what is being said.
    HangUp {
        /// For the record.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Hand the caller over.
    TransferCall {
        /// How.
        mode: TransferMode,
        /// To whom.
        target: TransferTarget,
        /// What the one who takes over should know.
        #[serde(default)]
        summary: Option<String>,
    },
    /// Press keys for the caller: extension numbers, menus.
    SendDtmf {
        /// Digits, `*`, `#`, and `w` for half a second.
        digits: String,
    },
    /// Call again later.
    ScheduleCallback {
        /// The local time the caller named, with its offset (RFC 3339).
        at: String,
        /// Why.
        #[serde(default)]
        note: Option<String>,
    },
    /// Say what came of the call.
    SetDisposition {
        /// What.
        disposition: Disposition,
        /// In words.
        #[serde(default)]
        note: Option<String>,
    },
    /// Never call this person again.
    OptOut {
        /// What the caller said, word for word.
        #[serde(default)]
        wording: Option<String>,
    },
    /// Look something up in what the company knows.
    LookUpKnowledge {
        /// The question.
        query: String,
    },
    /// Stop recording, or go on with it.
    SetRecording {
        /// Whether to record.
        on: bool,
    },
}

impl Action {
    /// The name of the tool.
    #[must_use]
    pub const fn tool(&self) -> &'static str {
        match self {
            Self::HangUp { .. } => "hang_up",
            Self::TransferCall { .. } => "transfer_call",
            Self::SendDtmf { .. } => "send_dtmf",
            Self::ScheduleCallback { .. } => "schedule_callback",
            Self::SetDisposition { .. } => "set_disposition",
            Self::OptOut { .. } => "opt_out",
            Self::LookUpKnowledge { .. } => "look_up_knowledge",
            Self::SetRecording { .. } => "set_recording",
        }
    }
}

/// What callers say and whom they are handed to stays out of logs.
impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Action").field(&self.tool()).finish()
    }
}

/// How a caller is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferMode {
    /// The one who takes over hears about it first.
    Warm,
    /// At once.
    Cold,
}

/// To whom a caller is handed over.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TransferTarget {
    /// Whoever in the queue is free.
    Queue {
        /// Its name, as the instructions of the agent give it.
        name: String,
    },
    /// One person.
    Person {
        /// The name, as the instructions of the agent give it.
        name: String,
    },
    /// A number of the operator's choice; no model can name one.
    #[serde(skip)]
    Number {
        /// In E.164.
        number: String,
    },
}

/// Names and numbers stay out of logs.
impl std::fmt::Debug for TransferTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue { .. } => "Queue",
            Self::Person { .. } => "Person",
            Self::Number { .. } => "Number",
        })
    }
}

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// What the call was for is done.
    Success,
    /// The person is interested.
    Interested,
    /// The person is not.
    NotInterested,
    /// Another time.
    CallBack,
    /// Somebody else answered.
    WrongPerson,
    /// The person cannot be talked to in a language of ours.
    LanguageBarrier,
    /// Anything else.
    Other,
}

/// A tool of the tenant's own: a request to their service, made through the egress guard.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// As the model sees it.
    pub spec: ToolSpec,
    /// Where to.
    pub url: Url,
}

fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required,
                           "additionalProperties": false}),
    }
}

/// The tools that come with the platform, as models see them.
#[must_use]
pub fn built_in() -> Vec<ToolSpec> {
    let text = |description: &str| json!({"type": "string", "maxLength": 2_000, "description": description});
    let target = json!({"type": "object", "additionalProperties": false, "required": ["kind", "name"],
        "properties": {"kind": {"type": "string", "enum": ["queue", "person"]},
                       "name": {"type": "string", "minLength": 1, "maxLength": 100}}});
    vec![
        tool(
            "hang_up",
            "Ends the call. Say goodbye first.",
            json!({"reason": text("Why, for the record.")}),
            &[],
        ),
        tool(
            "transfer_call",
            "Hands the caller to a queue or a person. Tell the caller before.",
            json!({"mode": {"type": "string", "enum": ["warm", "cold"],
                            "description": "warm: who takes over hears the summary first."},
                   "target": target, "summary": text("What who takes over should know.")}),
            &["mode", "target"],
        ),
        tool(
            "send_dtmf",
            "Presses keys of the telephone, to get through the menu of another system.",
            json!({"digits": {"type": "string", "pattern": "^[0-9*#w]{1,32}$",
                              "description": "0-9, *, #, and w for half a second of waiting."}}),
            &["digits"],
        ),
        tool(
            "schedule_callback",
            "Notes that the person wants to be called again at a certain time.",
            json!({"at": {"type": "string",
                          "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2})?(Z|[+-]\\d{2}:\\d{2})$",
                          "description": "Local time of the person with offset: 2026-11-24T15:00:00+01:00."},
                   "note": text("What about.")}),
            &["at"],
        ),
        tool(
            "set_disposition",
            "Notes what came of the call. Use it before the call ends.",
            json!({"disposition": {"type": "string", "enum": ["success", "interested", "not_interested",
                       "call_back", "wrong_person", "language_barrier", "other"]},
                   "note": text("In a sentence.")}),
            &["disposition"],
        ),
        tool(
            "opt_out",
            "The person does not want to be called any more. Use it at once, without asking why.",
            json!({"wording": text("What the person said, word for word.")}),
            &[],
        ),
        tool(
            "look_up_knowledge",
            "Looks something up in what the company knows. Use it rather than guess.",
            json!({"query": {"type": "string", "minLength": 1, "maxLength": 500}}),
            &["query"],
        ),
        tool(
            "set_recording",
            "Stops and continues the recording. Stop it before the person says or types the number of a card, \
             and continue afterwards; stop it when the person does not want to be recorded.",
            json!({"on": {"type": "boolean"}}),
            &["on"],
        ),
    ]
}
