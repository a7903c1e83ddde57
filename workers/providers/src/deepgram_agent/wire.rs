//! What the Voice Agent sends, as far as it matters here.

use serde::Deserialize;

use crate::text::Text;

/// Every message in one shape.
#[derive(Debug, Deserialize)]
pub(super) struct ServerMessage<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) languages: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(super) functions: Option<Vec<Function<'a>>>,
    pub(super) total_latency: Option<f64>,
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) arguments: Option<Text<'a>>,
    #[serde(default)]
    pub(super) client_side: bool,
}
