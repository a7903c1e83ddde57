//! What Gemini Live sends, as far as it matters here. One message may hold several things at once.

use serde::Deserialize;
use serde_json::Value;

use crate::text::Text;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerMessage<'a> {
    #[serde(borrow)]
    pub(super) setup_complete: Option<SetupComplete<'a>>,
    #[serde(borrow)]
    pub(super) server_content: Option<ServerContent<'a>>,
    #[serde(borrow)]
    pub(super) tool_call: Option<ToolCalls<'a>>,
    #[serde(borrow)]
    pub(super) tool_call_cancellation: Option<Cancellation<'a>>,
    #[serde(borrow)]
    pub(super) session_resumption_update: Option<Resumption<'a>>,
    #[serde(borrow)]
    pub(super) go_away: Option<GoAway<'a>>,
    #[serde(borrow)]
    pub(super) voice_activity: Option<VoiceActivity<'a>>,
    #[serde(borrow)]
    pub(super) usage_metadata: Option<UsageMetadata<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetupComplete<'a> {
    #[serde(borrow)]
    pub(super) session_id: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerContent<'a> {
    #[serde(borrow)]
    pub(super) model_turn: Option<Content<'a>>,
    #[serde(borrow)]
    pub(super) input_transcription: Option<Transcription<'a>>,
    #[serde(borrow)]
    pub(super) output_transcription: Option<Transcription<'a>>,
    #[serde(default)]
    pub(super) interrupted: bool,
    #[serde(default)]
    pub(super) generation_complete: bool,
    #[serde(default)]
    pub(super) turn_complete: bool,
    #[serde(borrow)]
    pub(super) turn_complete_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) interaction_status: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) inline_data: Option<Blob<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    #[serde(borrow)]
    pub(super) mime_type: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transcription<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(default)]
    pub(super) finished: bool,
    #[serde(borrow)]
    pub(super) language_code: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCalls<'a> {
    #[serde(borrow, default)]
    pub(super) function_calls: Vec<FunctionCall<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    pub(super) args: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancellation<'a> {
    #[serde(borrow, default)]
    pub(super) ids: Vec<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resumption<'a> {
    #[serde(borrow)]
    pub(super) new_handle: Option<Text<'a>>,
    #[serde(default)]
    pub(super) resumable: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GoAway<'a> {
    #[serde(borrow)]
    pub(super) time_left: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VoiceActivity<'a> {
    /// The documents call it otherwise than the wire does.
    #[serde(borrow, rename = "type", alias = "voiceActivityType")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) audio_offset: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata<'a> {
    #[serde(default)]
    pub(super) prompt_token_count: u64,
    #[serde(default)]
    pub(super) response_token_count: u64,
    #[serde(default)]
    pub(super) tool_use_prompt_token_count: u64,
    #[serde(default)]
    pub(super) thoughts_token_count: u64,
    #[serde(borrow, default)]
    pub(super) prompt_tokens_details: Vec<Count<'a>>,
    #[serde(borrow, default)]
    pub(super) cache_tokens_details: Vec<Count<'a>>,
    #[serde(borrow, default)]
    pub(super) response_tokens_details: Vec<Count<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Count<'a> {
    #[serde(borrow)]
    pub(super) modality: Option<Text<'a>>,
    #[serde(default)]
    pub(super) token_count: u64,
}
