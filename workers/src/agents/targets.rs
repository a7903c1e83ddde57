//! To whom an AI agent may hand callers over. A name stands for people only if it was allowed here.

use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_providers::tools::TransferTarget;
use voice_schemas::{AgentId, CampaignId};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whoever works for the campaign and is free.
    Queue(CampaignId),
    /// One person.
    Person(AgentId),
}

/// Lets the AI agent hand callers over under this name, which its instructions have to give; in the role `voice_api`.
/// The next call it asks in already knows.
///
/// # Errors
/// `Constraint` when there is no such agent, campaign or person.
pub async fn allow(tx: &mut TenantTx, agent: AgentId, name: &str, target: Target) -> Result<()> {
    let (kind, campaign, person) = match target {
        Target::Queue(campaign) => ("queue", Some(campaign.0), None),
        Target::Person(person) => ("person", None, Some(person.0)),
    };
    sqlx::query(
        "INSERT INTO app.ai_agent_targets (tenant_id, ai_agent_id, kind, name, campaign_id, agent_id)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, ai_agent_id, kind, name) DO UPDATE SET
             campaign_id = excluded.campaign_id, agent_id = excluded.agent_id",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(kind)
    .bind(name)
    .bind(campaign)
    .bind(person)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whom the model means; `None` when the agent may not hand callers over there. Models change the case of names.
pub(crate) async fn find(
    tx: &mut TenantTx,
    agent: AgentId,
    wanted: &TransferTarget,
) -> Result<Option<Target>> {
    let (kind, name) = match wanted {
        TransferTarget::Queue { name } => ("queue", name),
        TransferTarget::Person { name } => ("person", name),
        TransferTarget::Number { .. } => return Ok(None),
    };
    let found: Option<(Option<Uuid>, Option<Uuid>)> = sqlx::query_as(
        "SELECT campaign_id, agent_id FROM app.ai_agent_targets
         WHERE tenant_id = $1 AND ai_agent_id = $2 AND kind = $3 AND lower(name) = lower($4)
         ORDER BY name <> $4, name LIMIT 1",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(kind)
    .bind(name.trim())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.and_then(|(campaign, person)| {
        let queue = campaign.map(|campaign| Target::Queue(CampaignId(campaign)));
        queue.or(person.map(|person| Target::Person(AgentId(person))))
    }))
}
