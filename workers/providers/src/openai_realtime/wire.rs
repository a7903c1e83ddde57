//! What the Realtime API sends, as far as it matters here. Fields nobody reads are not declared, unknown events
//! are passed over: the API grows.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::Text;

/// Every server event in one shape: one pass over the frame, no copy of its audio.
#[derive(Debug, Deserialize)]
pub(super) struct ServerEvent<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) item_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) delta: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) transcript: Option<Text<'a>>,
    pub(super) audio_start_ms: Option<u64>,
    pub(super) audio_end_ms: Option<u64>,
    #[serde(borrow)]
    pub(super) event: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) languages: Option<Vec<Language<'a>>>,
    #[serde(borrow)]
    pub(super) session: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A language that was heard.
#[derive(Debug, Deserialize)]
pub(super) struct Language<'a> {
    #[serde(borrow)]
    pub(super) code: Text<'a>,
}

/// `session` of `session.created` and `session.updated`.
#[derive(Debug, Deserialize)]
pub(super) struct EffectiveSession<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) audio: Option<EffectiveAudio<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EffectiveAudio<'a> {
    #[serde(borrow)]
    pub(super) input: Option<EffectiveSide<'a>>,
    #[serde(borrow)]
    pub(super) output: Option<EffectiveSide<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EffectiveSide<'a> {
    #[serde(borrow)]
    pub(super) format: Option<EffectiveFormat<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EffectiveFormat<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    pub(super) rate: Option<u32>,
}

/// `item` of `response.output_item.done`.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Text<'a>>,
}

/// `response` of `response.created` and `response.done`.
#[derive(Debug, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status_details: Option<StatusDetails<'a>>,
    pub(super) usage: Option<ResponseUsage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StatusDetails<'a> {
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseUsage {
    pub(super) input_token_details: Option<InputTokens>,
    pub(super) output_token_details: Option<OutputTokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InputTokens {
    pub(super) text_tokens: Option<u64>,
    pub(super) audio_tokens: Option<u64>,
    pub(super) cached_tokens: Option<u64>,
    pub(super) cached_tokens_details: Option<CachedTokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CachedTokens {
    pub(super) text_tokens: Option<u64>,
    pub(super) audio_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OutputTokens {
    pub(super) text_tokens: Option<u64>,
    pub(super) audio_tokens: Option<u64>,
}

/// `usage` of a transcription: by tokens or by time, as the model is charged for.
#[derive(Debug, Deserialize)]
pub(super) struct TranscriptionUsage {
    pub(super) seconds: Option<f64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) input_token_details: Option<InputTokens>,
}

/// `error` of an error event or of a failed response.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) param: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event_id: Option<Text<'a>>,
}
