//! Why a contact is not called now, and when it may be: by the function that decides about dials.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use voice_postgres::{Result, TenantTx};
use voice_schemas::ContactId;

use super::{candidates, judge::judge};
use crate::{
    campaigns::{Campaign, caller_numbers},
    gate::Gate,
};

/// One contact of a campaign, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its state in the campaign.
    pub state: String,
    /// Codes of what stands against a call at this moment; empty when it is next.
    pub reasons: Vec<String>,
    /// When it may be called, if time alone decides.
    pub next_at: Option<DateTime<Utc>>,
    /// The rules it was judged by.
    pub policy_version: String,
    /// The wall clock of the person.
    pub local_time: Option<String>,
    /// Attempts there were.
    pub attempts_made: u16,
    /// What the last one came to.
    pub last_outcome: Option<String>,
}

/// Explains a contact; `None` when it is not in the campaign.
///
/// # Errors
/// When the database fails.
pub async fn explain(
    tx: &mut TenantTx,
    gate: &dyn Gate,
    campaign: &Campaign,
    contact: ContactId,
    now: DateTime<Utc>,
) -> Result<Option<Explanation>> {
    let row = sqlx::query(
        "SELECT state, next_attempt_at, attempts_made, last_outcome FROM app.campaign_contacts
         WHERE tenant_id = $1 AND campaign_id = $2 AND contact_id = $3",
    )
    .bind(tx.tenant().0)
    .bind(campaign.id.0)
    .bind(contact.0)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get("state")?;
    let waits_until: DateTime<Utc> = row.try_get("next_attempt_at")?;
    let mut explanation = Explanation {
        reasons: Vec::new(),
        next_at: None,
        policy_version: String::new(),
        local_time: None,
        attempts_made: u16::try_from(row.try_get::<i16, _>("attempts_made")?).unwrap_or(0),
        last_outcome: row.try_get("last_outcome")?,
        state,
    };
    if explanation.state != "ready" {
        explanation.reasons.push(explanation.state.clone());
        return Ok(Some(explanation));
    }
    if campaign.status != voice_schemas::events::campaign::CampaignStatus::Active {
        explanation.reasons.push(format!("campaign_{}", campaign.status));
    }
    let Some(mut candidate) = candidates::one(tx, campaign, contact, now).await? else {
        return Ok(None);
    };
    let numbers = match campaign.caller_pool {
        Some(pool) => caller_numbers(tx, pool, now).await?,
        None => Vec::new(),
    };
    match numbers.iter().find(|number| number.left_today > 0) {
        Some(number) => candidate.show(number),
        None => explanation.reasons.push("no_caller_number".to_owned()),
    }
    if candidate.phones.is_empty() {
        explanation.reasons.push("no_number".to_owned());
    }
    let judged: Vec<_> = candidate
        .phones
        .iter()
        .map(|phone| judge(gate, campaign, &phone.facts, now).verdict)
        .collect();
    // The number that may be called soonest speaks for the contact.
    let best = judged.into_iter().min_by_key(|verdict| {
        let never = verdict.next_at.is_none();
        (!verdict.allowed(), never, verdict.next_at)
    });
    if let Some(verdict) = best {
        explanation.next_at = verdict.next_at;
        explanation.policy_version = verdict.policy_version;
        explanation.local_time = verdict.local_time;
        explanation.reasons.extend(verdict.reasons);
    }
    if waits_until > now {
        explanation.reasons.push("waits".to_owned());
        explanation.next_at = explanation.next_at.max(Some(waits_until));
    }
    Ok(Some(explanation))
}
