//! What a campaign's attempts have come to, counted: for whoever watches it or checks it afterwards.

use sqlx::Row as _;
use voice_postgres::{Result, TenantTx};
use voice_schemas::CampaignId;

/// The attempts of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// All of them.
    pub attempts: i64,
    /// Without an end yet.
    pub open: i64,
    /// A carrier took a call on for them.
    pub placed: i64,
    /// Somebody or something picked up.
    pub answered: i64,
    /// Of these, machines and faxes, as far as the detector said so.
    pub machines: i64,
    /// Connected with a person.
    pub to_people: i64,
    /// Connected with an AI agent.
    pub to_ai: i64,
    /// A person answered and nobody was there.
    pub abandoned: i64,
    /// Contacts that were tried.
    pub contacts: i64,
}

impl Figures {
    /// Calls a person answered, as far as the detector said: what abandoned calls are a share of.
    #[must_use]
    pub const fn live(&self) -> i64 {
        self.answered - self.machines
    }
}

/// Counts the attempts of a campaign. Reads all of them: a person asks for it, no loop of the dialer does.
///
/// # Errors
/// When the database fails.
pub async fn figures(tx: &mut TenantTx, id: CampaignId) -> Result<Figures> {
    let row = sqlx::query(
        "SELECT count(*) AS attempts, count(*) FILTER (WHERE state <> 'finished') AS open,
                count(carrier_call_id) AS placed, count(answered_at) AS answered,
                count(answered_at) FILTER (WHERE answered_by IN ('machine', 'fax')) AS machines,
                count(bridged_at) FILTER (WHERE agent_kind = 'human') AS to_people,
                count(bridged_at) FILTER (WHERE agent_kind = 'ai') AS to_ai,
                count(*) FILTER (WHERE abandoned) AS abandoned, count(DISTINCT contact_id) AS contacts
         FROM app.attempts WHERE tenant_id = $1 AND campaign_id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Figures {
        attempts: row.try_get("attempts")?,
        open: row.try_get("open")?,
        placed: row.try_get("placed")?,
        answered: row.try_get("answered")?,
        machines: row.try_get("machines")?,
        to_people: row.try_get("to_people")?,
        to_ai: row.try_get("to_ai")?,
        abandoned: row.try_get("abandoned")?,
        contacts: row.try_get("contacts")?,
    })
}
