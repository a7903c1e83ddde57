//! Every client event of the Realtime API with every field it may have.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    sound::Format,
    strict::{Refusal, read},
};

/// What a client may send.
#[derive(Debug)]
pub(super) enum ClientEvent {
    SessionUpdate(Box<SessionUpdate>),
    Commit,
    Clear,
    ItemCreate(Box<ItemCreate>),
    ItemRetrieve(String),
    ItemDelete(String),
    Truncate(Truncate),
    ResponseCreate,
    ResponseCancel(ResponseCancel),
}

/// The type and the event id of whatever it is.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<&'a str>,
    #[serde(default)]
    pub(super) event_id: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Append<'a> {
    #[serde(rename = "type")]
    _kind: &'a str,
    #[serde(default, rename = "event_id")]
    _event_id: Option<&'a str>,
    pub(super) audio: std::borrow::Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfItem {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    item_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionUpdate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    pub(super) session: Session,
}

#[derive(Debug, Deserialize)]
pub(super) enum Realtime {
    #[serde(rename = "realtime")]
    Realtime,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    #[serde(rename = "type")]
    _kind: Realtime,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) output_modalities: Option<Vec<Modality>>,
    #[serde(default, rename = "instructions")]
    _instructions: Option<String>,
    #[serde(default)]
    pub(super) audio: Option<Audio>,
    #[serde(default)]
    pub(super) tools: Option<Vec<Tool>>,
    #[serde(default, rename = "tool_choice")]
    _tool_choice: Option<Value>,
    #[serde(default, rename = "parallel_tool_calls")]
    _parallel_tool_calls: Option<bool>,
    #[serde(default)]
    pub(super) reasoning: Option<Reasoning>,
    #[serde(default)]
    pub(super) max_output_tokens: Option<Value>,
    #[serde(default, rename = "truncation")]
    _truncation: Option<Value>,
    #[serde(default, rename = "include")]
    _include: Option<Vec<Include>>,
    #[serde(default, rename = "tracing")]
    _tracing: Option<Value>,
    #[serde(default, rename = "prompt")]
    _prompt: Option<Value>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Modality {
    Text,
    Audio,
}

#[derive(Debug, Deserialize)]
enum Include {
    #[serde(rename = "item.input_audio_transcription.logprobs")]
    Logprobs,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reasoning {
    #[serde(default, rename = "effort")]
    _effort: Option<Effort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audio {
    #[serde(default)]
    pub(super) input: Option<Input>,
    #[serde(default)]
    pub(super) output: Option<Output>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    #[serde(default)]
    pub(super) format: Option<AudioFormat>,
    #[serde(default, rename = "noise_reduction")]
    _noise_reduction: Option<NoiseReduction>,
    #[serde(default)]
    pub(super) transcription: Option<Transcription>,
    /// Absent is unchanged, null is none.
    #[serde(default, deserialize_with = "present")]
    pub(super) turn_detection: Option<Option<TurnDetection>>,
}

fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum AudioFormat {
    #[serde(rename = "audio/pcm")]
    Pcm {
        #[serde(default)]
        rate: Option<u32>,
    },
    #[serde(rename = "audio/pcmu")]
    Pcmu {},
    #[serde(rename = "audio/pcma")]
    Pcma {},
}

impl AudioFormat {
    pub(super) fn known(self, param: &str) -> Result<Format, Refusal> {
        match self {
            Self::Pcmu {} => Ok(Format::PCMU),
            Self::Pcma {} => Ok(Format::PCMA),
            Self::Pcm {
                rate: None | Some(24_000),
            } => Ok(Format::pcm(24_000)),
            Self::Pcm { rate: Some(rate) } => Err(Refusal::value(
                &format!("{param}.rate"),
                format!("Invalid value: {rate}. Supported values are: 24000."),
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoiseReduction {
    #[serde(rename = "type")]
    _kind: Field,
    #[serde(default, rename = "strength")]
    _strength: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    NearField,
    FarField,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transcription {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) language: Option<String>,
    #[serde(default)]
    pub(super) languages: Option<Vec<String>>,
    #[serde(default)]
    pub(super) keywords: Option<Vec<String>>,
    #[serde(default, rename = "prompt")]
    _prompt: Option<String>,
    #[serde(default, rename = "delay")]
    _delay: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum TurnDetection {
    ServerVad {
        #[serde(default)]
        threshold: Option<f64>,
        #[serde(default)]
        prefix_padding_ms: Option<u64>,
        #[serde(default)]
        silence_duration_ms: Option<u64>,
        #[serde(default)]
        create_response: Option<bool>,
        #[serde(default)]
        interrupt_response: Option<bool>,
        #[serde(default)]
        idle_timeout_ms: Option<u64>,
    },
    SemanticVad {
        #[serde(default)]
        eagerness: Option<Eagerness>,
        #[serde(default)]
        create_response: Option<bool>,
        #[serde(default)]
        interrupt_response: Option<bool>,
    },
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    #[serde(default)]
    pub(super) format: Option<AudioFormat>,
    #[serde(default)]
    pub(super) voice: Option<Voice>,
    #[serde(default)]
    pub(super) speed: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Voice {
    Named(String),
    Own {
        #[serde(rename = "id")]
        _id: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    _kind: Function,
    pub(super) name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(super) parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemCreate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    #[serde(default)]
    pub(super) previous_item_id: Option<String>,
    pub(super) item: Item,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Item {
    Message {
        #[serde(default)]
        id: Option<String>,
        #[serde(default, rename = "object")]
        _object: Option<String>,
        #[serde(default, rename = "status")]
        _status: Option<String>,
        role: Role,
        content: Vec<Content>,
    },
    FunctionCallOutput {
        #[serde(default)]
        id: Option<String>,
        #[serde(default, rename = "object")]
        _object: Option<String>,
        #[serde(default, rename = "status")]
        _status: Option<String>,
        call_id: String,
        output: String,
    },
    FunctionCall {
        #[serde(default)]
        id: Option<String>,
        #[serde(default, rename = "object")]
        _object: Option<String>,
        #[serde(default, rename = "status")]
        _status: Option<String>,
        #[serde(default)]
        call_id: Option<String>,
        name: String,
        arguments: String,
    },
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    System,
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    #[serde(rename = "type")]
    pub(super) kind: ContentKind,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) audio: Option<String>,
    #[serde(default, rename = "transcript")]
    _transcript: Option<String>,
    #[serde(default, rename = "image_url")]
    _image_url: Option<String>,
    #[serde(default, rename = "detail")]
    _detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentKind {
    InputText,
    InputAudio,
    InputImage,
    OutputText,
    OutputAudio,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Truncate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    pub(super) item_id: String,
    pub(super) content_index: u32,
    pub(super) audio_end_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseCreate {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    #[serde(default, rename = "response")]
    _response: Option<ResponseParams>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseParams {
    #[serde(default, rename = "audio")]
    _audio: Option<Value>,
    #[serde(default, rename = "conversation")]
    _conversation: Option<String>,
    #[serde(default, rename = "input")]
    _input: Option<Vec<Value>>,
    #[serde(default, rename = "instructions")]
    _instructions: Option<String>,
    #[serde(default, rename = "max_output_tokens")]
    _max_output_tokens: Option<Value>,
    #[serde(default, rename = "metadata")]
    _metadata: Option<Value>,
    #[serde(default, rename = "output_modalities")]
    _output_modalities: Option<Vec<Modality>>,
    #[serde(default, rename = "parallel_tool_calls")]
    _parallel_tool_calls: Option<bool>,
    #[serde(default, rename = "prompt")]
    _prompt: Option<Value>,
    #[serde(default, rename = "reasoning")]
    _reasoning: Option<Reasoning>,
    #[serde(default, rename = "tool_choice")]
    _tool_choice: Option<Value>,
    #[serde(default, rename = "tools")]
    _tools: Option<Vec<Tool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResponseCancel {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "event_id")]
    _event_id: Option<String>,
    #[serde(default)]
    pub(super) response_id: Option<String>,
}

/// Reads one event of a known type.
pub(super) fn parse(kind: &str, text: &str) -> Result<ClientEvent, Refusal> {
    Ok(match kind {
        "session.update" => ClientEvent::SessionUpdate(Box::new(read(text)?)),
        "input_audio_buffer.commit" => {
            read::<Bare>(text)?;
            ClientEvent::Commit
        }
        "input_audio_buffer.clear" => {
            read::<Bare>(text)?;
            ClientEvent::Clear
        }
        "conversation.item.create" => ClientEvent::ItemCreate(Box::new(read(text)?)),
        "conversation.item.retrieve" => ClientEvent::ItemRetrieve(read::<OfItem>(text)?.item_id),
        "conversation.item.delete" => ClientEvent::ItemDelete(read::<OfItem>(text)?.item_id),
        "conversation.item.truncate" => ClientEvent::Truncate(read(text)?),
        "response.create" => {
            read::<ResponseCreate>(text)?;
            ClientEvent::ResponseCreate
        }
        "response.cancel" => ClientEvent::ResponseCancel(read(text)?),
        other => {
            return Err(Refusal::value(
                "type",
                format!(
                    "Invalid value: '{other}'. Supported values are: 'session.update', \
                     'input_audio_buffer.append', 'input_audio_buffer.commit', 'input_audio_buffer.clear', \
                     'conversation.item.create', 'conversation.item.retrieve', 'conversation.item.delete', \
                     'conversation.item.truncate', 'response.create', and 'response.cancel'."
                ),
            ));
        }
    })
}
