//! What the dialer decides and does about one try to reach a contact.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{call::CallOutcome, wire_enum};
use crate::{AttemptId, CallId, CampaignId, ContactId, Envelope, envelope::EventData};

/// An event on `calls.events` about an attempt.
pub type AttemptEvent = Envelope<AttemptData>;

wire_enum!(
    /// What an attempt came to, as far as trying again is concerned.
    AttemptClass {
        /// A person was talked to.
        Reached = "reached",
        /// The line was engaged.
        Busy = "busy",
        /// It rang until the time-out.
        NoAnswer = "no_answer",
        /// A machine answered.
        Machine = "machine",
        /// The carrier failed or refused.
        CarrierError = "carrier_error",
        /// The far end refused the call.
        Rejected = "rejected",
        /// A person answered and nobody was there for them.
        Abandoned = "abandoned",
        /// Nobody knows what became of it.
        Unknown = "unknown",
        /// We gave up before it was answered.
        Canceled = "canceled",
        /// The number does not exist.
        InvalidNumber = "invalid_number",
        /// The person pressed the key that ends all calls to them.
        OptedOut = "opted_out",
    }
);

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
    /// On `attempt.skipped`: when it may be made, if time alone decides.
    #[serde(
        default,
        with = "crate::time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub next_at: Option<DateTime<Utc>>,
    /// On `attempt.finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CallOutcome>,
    /// On `attempt.finished`: what it came to; `opted_out` whatever else happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<AttemptClass>,
}

impl EventData for AttemptData {
    const SCHEMA: &'static str = "attempt-event.v1.json";

    fn subject(&self) -> String {
        self.attempt_id.0.to_string()
    }
}
