//! The life of a campaign, on `config.changes`: the last event of a campaign is its state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire_enum;
use crate::{CampaignId, Envelope, envelope::EventData};

/// An event on `config.changes` about a campaign.
pub type CampaignEvent = Envelope<CampaignData>;

wire_enum!(
    /// Where a campaign stands.
    CampaignStatus {
        /// Being set up.
        Draft = "draft",
        /// Waits for its start time.
        Scheduled = "scheduled",
        /// Dials.
        Active = "active",
        /// Stopped by a person; only a person starts it again.
        Paused = "paused",
        /// Has nobody left to call.
        Completed = "completed",
        /// Ended by a person.
        Cancelled = "cancelled",
        /// Kept for its history.
        Archived = "archived",
    }
);

/// The campaign and its state after the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignData {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Its status now.
    pub status: CampaignStatus,
    /// Grows with every change; a smaller one is stale.
    pub epoch: u64,
    /// How many shards its calls are keyed over.
    pub shards: u16,
}

impl EventData for CampaignData {
    const SCHEMA: &'static str = "campaign-event.v1.json";

    fn subject(&self) -> String {
        self.campaign_id.0.to_string()
    }
}
