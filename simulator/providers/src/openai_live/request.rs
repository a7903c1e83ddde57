//! Every client event of GPT-Live with every field it may have.

use serde::Deserialize;
use serde_json::Value;

use crate::{sound::Format, strict::Refusal};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    pub(super) session: Session,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) model: String,
    #[serde(default, rename = "instructions")]
    _instructions: Option<String>,
    #[serde(default)]
    pub(super) audio: Option<Audio>,
    #[serde(default, rename = "client")]
    _client: Option<Value>,
    #[serde(default)]
    pub(super) delegation: Option<Delegation>,
    #[serde(default, rename = "input")]
    _input: Option<Vec<InitialItem>>,
    #[serde(default, rename = "store")]
    _store: Option<bool>,
    #[serde(default, rename = "safety_identifier")]
    _safety_identifier: Option<String>,
    #[serde(default, rename = "triggers")]
    _triggers: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audio {
    #[serde(default)]
    pub(super) format: Option<AudioFormat>,
    #[serde(default, rename = "output")]
    _output: Option<Output>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    #[serde(default, rename = "voice")]
    _voice: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AudioFormat {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) rate: u32,
}

impl AudioFormat {
    pub(super) fn known(&self) -> Result<Format, Refusal> {
        match (self.kind.as_str(), self.rate) {
            ("audio/pcmu", 8_000) => Ok(Format::PCMU),
            ("audio/pcma", 8_000) => Ok(Format::PCMA),
            ("audio/pcm", 16_000 | 24_000) => Ok(Format::pcm(self.rate)),
            _ => Err(Refusal::value(
                "session.audio.format",
                "Unsupported audio format.",
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delegation {
    #[serde(rename = "type")]
    pub(super) kind: DelegationKind,
    #[serde(default, rename = "acknowledgement_delay_ms")]
    _acknowledgement_delay_ms: Option<u32>,
    #[serde(default)]
    pub(super) responses: Option<Responses>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum DelegationKind {
    Client,
    Responses,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Responses {
    #[serde(rename = "model")]
    _model: String,
    #[serde(default, rename = "instructions")]
    _instructions: Option<String>,
    #[serde(default, rename = "max_output_tokens")]
    _max_output_tokens: Option<u32>,
    #[serde(default, rename = "parallel_tool_calls")]
    _parallel_tool_calls: Option<bool>,
    #[serde(default, rename = "reasoning")]
    _reasoning: Option<Value>,
    #[serde(default, rename = "service_tier")]
    _service_tier: Option<ServiceTier>,
    #[serde(default, rename = "text")]
    _text: Option<Value>,
    #[serde(default, rename = "tool_choice")]
    _tool_choice: Option<Value>,
    #[serde(default, rename = "tools")]
    _tools: Option<Vec<Tool>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ServiceTier {
    Auto,
    Default,
    Flex,
    Priority,
    Ultrafast,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    _kind: Function,
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<Value>,
    #[serde(default, rename = "strict")]
    _strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Function {
    Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InitialItem {
    #[serde(default, rename = "type")]
    _kind: Option<String>,
    #[serde(rename = "role")]
    _role: Role,
    #[serde(rename = "content")]
    _content: Vec<Content>,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default, rename = "status")]
    _status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Developer,
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    #[serde(default, rename = "type")]
    _kind: Option<String>,
    #[serde(rename = "text")]
    _text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Append<'a> {
    #[serde(rename = "type")]
    _kind: &'a str,
    #[serde(default, rename = "event_id")]
    _event_id: Option<&'a str>,
    pub(super) audio: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    pub(super) content: String,
    #[serde(rename = "delegation_id")]
    _delegation_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemCreate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    pub(super) item: FunctionOutput,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionOutput {
    #[serde(rename = "type")]
    _kind: FunctionCallOutput,
    pub(super) call_id: String,
    #[serde(rename = "output")]
    _output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FunctionCallOutput {
    FunctionCallOutput,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bare {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
}
