//! What the dialer decides and does about one try to reach a contact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::CallOutcome;
use crate::{AttemptId, CallId, CampaignId, ContactId, Envelope, envelope::EventData};

/// An event on `calls.events` about an attempt.
pub type AttemptEvent = Envelope<AttemptData>;

/// The attempt and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptData {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The campaign it belongs to.
    pub campaign_id: CampaignId,
    /// The shard of the campaign that owns it.
    #[serde(default)]
    pub shard: u16,
    /// The person to reach.
    pub contact_id: ContactId,
    /// The call that carries it out, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// Which try this is, from 1.
    pub number: u16,
    /// On `attempt.skipped`: the codes of the rules that forbade it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// On `attempt.finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
}

impl EventData for AttemptData {
    const SCHEMA: &'static str = "attempt-event.v1.json";

    fn subject(&self) -> String {
        self.attempt_id.0.to_string()
    }
}
