//! What GPT-Live sends, as far as it matters here.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::Text;

/// Every server event in one shape.
#[derive(Debug, Deserialize)]
pub(super) struct ServerEvent<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) delta: Option<Text<'a>>,
    pub(super) start_ms: Option<u64>,
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
    pub(super) usage: Option<Usage>,
    /// Of `response.event` an object, of a key pressed a string.
    #[serde(borrow)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) session: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    pub(super) seconds: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) param: Option<Text<'a>>,
}

/// `session` of `session.started`.
#[derive(Debug, Deserialize)]
pub(super) struct Started<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) audio: Option<Audio<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Audio<'a> {
    #[serde(borrow)]
    pub(super) format: Option<Format<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Format<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    pub(super) rate: u32,
}

/// An event of the model it delegates to.
#[derive(Debug, Deserialize)]
pub(super) struct Delegated<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) item: Option<Item<'a>>,
    pub(super) response: Option<Completed>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Completed {
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) input_tokens_details: Option<Cached>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cached {
    pub(super) cached_tokens: u64,
}
