//! What changes about people who can be called, without a name or number: the facts on `contacts.events`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire_enum;
use crate::{CampaignId, ContactId, Envelope, ListId, envelope::EventData};

/// An event on `contacts.events` about numbers that must not be called.
pub type SuppressionEvent = Envelope<SuppressionData>;
/// An event on `contacts.events` about what a person agreed to.
pub type ConsentEvent = Envelope<ConsentData>;
/// An event on `contacts.events` about a file of contacts.
pub type ImportEvent = Envelope<ImportData>;

wire_enum!(
    /// How far a suppression reaches.
    SuppressionScope {
        /// Every call of the tenant.
        Tenant = "tenant",
        /// Calls on behalf of one company.
        Company = "company",
        /// Calls of one campaign.
        Campaign = "campaign",
    }
);

/// Numbers that must not be called, from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionData {
    /// Their tokens, 32 hexadecimal characters each; at most 500 in an event.
    pub phone_tokens: Vec<String>,
    /// The person who asked for it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<ContactId>,
    /// How far it reaches.
    pub scope: SuppressionScope,
    /// The company it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_id: Option<uuid::Uuid>,
    /// The campaign it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    /// Why, as a code: `opt_out`, `complaint`, …
    pub reason: String,
    /// When it ends; absent for never.
    #[serde(
        default,
        with = "crate::time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl EventData for SuppressionData {
    const SCHEMA: &'static str = "suppression-event.v1.json";

    /// The person, or else the first token.
    fn subject(&self) -> String {
        match (self.contact_id, self.phone_tokens.first()) {
            (Some(contact), _) => contact.0.to_string(),
            (None, token) => token.cloned().unwrap_or_default(),
        }
    }
}

/// What a person said about one kind of consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentData {
    /// The person.
    pub contact_id: ContactId,
    /// What it is about: `marketing`, `ai_processing`, `recording`, …
    pub consent: String,
    /// What they said: `granted`, `denied`, `withdrawn`, …
    pub status: String,
    /// The channel it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When it ends; absent for never.
    #[serde(
        default,
        with = "crate::time::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<DateTime<Utc>>")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl EventData for ConsentData {
    const SCHEMA: &'static str = "consent-event.v1.json";

    fn subject(&self) -> String {
        self.contact_id.0.to_string()
    }
}

/// A file of contacts and what became of its rows; the counts add up to those read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportData {
    /// The import.
    pub import_id: uuid::Uuid,
    /// The list it went into.
    pub list_id: ListId,
    /// Rows read.
    pub read: u64,
    /// Contacts created.
    pub created: u64,
    /// Contacts updated.
    pub updated: u64,
    /// Rows about a contact an earlier row was about.
    pub duplicate: u64,
    /// Rows that could not be taken.
    pub invalid: u64,
    /// Rows whose numbers must not be called.
    pub suppressed: u64,
    /// On `import.failed`: the stable label of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl EventData for ImportData {
    const SCHEMA: &'static str = "import-event.v1.json";

    fn subject(&self) -> String {
        self.import_id.to_string()
    }
}
