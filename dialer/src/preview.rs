//! Preview: an agent asks for a contact, looks at it, and has it dialled or passes it over.
//!
//! Every step is a row the agent's side writes ([`ask`], [`accept`], [`skip`]) and the controller of their shard answers;
//! [`current`] shows how it stands. An offered contact stays `ready` and is only put off until the offer runs out: an
//! offer nobody answers, for whatever reason, needs nobody to repair it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::{AgentId, AttemptId, CampaignId, ContactId};

use crate::{
    attempts::small,
    outbox,
    selection::{passed_over, skipped_by_agent},
};

/// A question nobody answers lapses after this.
const PATIENCE: TimeDelta = TimeDelta::seconds(30);
/// Whom an agent passed over is not offered again before this, where the agent does not say.
const REST: TimeDelta = TimeDelta::days(1);

/// How an offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The agent wants a contact.
    Asked,
    /// There is one; the agent has not decided.
    Offered,
    /// There is none at the moment.
    None,
    /// The agent wants the call.
    Accepted,
    /// It was dialled.
    Dialled,
    /// It could not be dialled after all.
    Refused,
    /// The agent passed it over.
    Skipped,
    /// Nobody answered in time.
    Lapsed,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Asked,
        Self::Offered,
        Self::None,
        Self::Accepted,
        Self::Dialled,
        Self::Refused,
        Self::Skipped,
        Self::Lapsed,
    ];

    /// The name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Offered => "offered",
            Self::None => "none",
            Self::Accepted => "accepted",
            Self::Dialled => "dialled",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
            Self::Lapsed => "lapsed",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What an agent asked for, and what they got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The agent.
    pub agent: AgentId,
    /// Names the offer, and becomes the id of the attempt.
    pub id: AttemptId,
    /// The campaign and shard.
    pub of: (CampaignId, u16),
    /// How it stands.
    pub state: State,
    /// Whom it is about.
    pub contact: Option<ContactId>,
    /// Why not, where it came to nothing.
    pub reasons: Vec<String>,
    /// It is good until then.
    pub until: Option<DateTime<Utc>>,
}

/// Why a step was refused; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The agent is not waiting for calls, or of a campaign that does not dial this way.
    #[error("the agent is not available in a preview campaign that dials")]
    NotAvailable,
    /// There is a question or an offer of theirs already.
    #[error("the agent has an offer already")]
    Open,
    /// The offer is over, or another one by now.
    #[error("the offer is over")]
    Over,
    /// A code of a reason is lower-case letters, digits and underscores.
    #[error("the reason is not a code: lower-case letters, digits and underscores")]
    Reason,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
}

impl From<sqlx::Error> for PreviewError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl PreviewError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAvailable => "not_available",
            Self::Open => "open",
            Self::Over => "over",
            Self::Reason => "reason",
            Self::Database(error) => error.kind(),
        }
    }
}

/// The agent wants to see a contact.
///
/// # Errors
/// When they do not wait for calls in a preview campaign that dials, or have an offer already.
pub async fn ask(tx: &mut TenantTx, agent: AgentId, now: DateTime<Utc>) -> Result<AttemptId, PreviewError> {
    let row: Option<(Uuid, i16)> = sqlx::query_as(
        "SELECT s.campaign_id, s.shard FROM app.agent_states s
         JOIN app.campaigns c ON c.tenant_id = s.tenant_id AND c.id = s.campaign_id
         WHERE s.tenant_id = $1 AND s.agent_id = $2 AND s.status = 'available' AND s.lease_until > $3
           AND c.dialling_mode = 'preview' AND c.status = 'active' FOR UPDATE OF s",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((campaign, shard)) = row else {
        return Err(PreviewError::NotAvailable);
    };
    let id = AttemptId(crate::selection::fresh_id(now));
    let done = sqlx::query(
        "INSERT INTO app.preview_offers AS o (tenant_id, agent_id, id, campaign_id, shard, state, until, at)
         VALUES ($1, $2, $3, $4, $5, 'asked', $6, $7)
         ON CONFLICT (tenant_id, agent_id) DO UPDATE SET
             id = excluded.id, campaign_id = excluded.campaign_id, shard = excluded.shard, state = 'asked',
             contact_id = NULL, reasons = '{}', until = excluded.until, at = excluded.at
         WHERE o.state NOT IN ('asked', 'offered', 'accepted') OR o.until <= $7",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(id.0)
    .bind(campaign)
    .bind(shard)
    .bind(now + PATIENCE)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Err(PreviewError::Open);
    }
    Ok(id)
}

/// The agent wants the call.
///
/// # Errors
/// When the offer is over.
pub async fn accept(
    tx: &mut TenantTx,
    agent: AgentId,
    id: AttemptId,
    now: DateTime<Utc>,
) -> Result<(), PreviewError> {
    let done = sqlx::query(
        "UPDATE app.preview_offers SET state = 'accepted', until = $5, at = $4
         WHERE tenant_id = $1 AND agent_id = $2 AND id = $3 AND state = 'offered' AND until > $4",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(id.0)
    .bind(now)
    .bind(now + PATIENCE)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Err(PreviewError::Over);
    }
    Ok(())
}

/// The agent passes the contact over, for a reason of the tenant's list. It may be offered again from `again_at` on;
/// tomorrow, where that is not said. Told as `attempt.skipped`.
///
/// # Errors
/// When the offer is over, or the reason is no code.
pub async fn skip(
    tx: &mut TenantTx,
    agent: AgentId,
    id: AttemptId,
    reason: &str,
    again_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), PreviewError> {
    let code = !reason.is_empty()
        && reason.len() <= 63
        && reason
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !code {
        return Err(PreviewError::Reason);
    }
    let row: Option<(Uuid, i16, Uuid)> = sqlx::query_as(
        "UPDATE app.preview_offers SET state = 'skipped', reasons = ARRAY[$5], at = $4
         WHERE tenant_id = $1 AND agent_id = $2 AND id = $3 AND state = 'offered' AND until > $4
         RETURNING campaign_id, shard, contact_id",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(id.0)
    .bind(now)
    .bind(reason)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((campaign, shard, contact)) = row else {
        return Err(PreviewError::Over);
    };
    let again = again_at.unwrap_or(now + REST);
    let reasons = vec!["passed_over".to_owned(), reason.to_owned()];
    let made: Option<i16> = sqlx::query_scalar(
        "UPDATE app.campaign_contacts SET next_attempt_at = $4, last_reasons = $5, updated_at = $6
         WHERE tenant_id = $1 AND campaign_id = $2 AND contact_id = $3 AND state = 'ready' RETURNING attempts_made",
    )
    .bind(tx.tenant().0)
    .bind(campaign)
    .bind(contact)
    .bind(again)
    .bind(&reasons)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let number = u16::try_from(made.unwrap_or(0)).unwrap_or(0).saturating_add(1);
    passed_over(
        tx,
        CampaignId(campaign),
        id.0,
        ContactId(contact),
        &reasons,
        again,
        now,
    )
    .await?;
    let event = skipped_by_agent(
        tx,
        (CampaignId(campaign), u16::try_from(shard).unwrap_or(0)),
        (id, ContactId(contact), number),
        reasons,
        again,
        now,
    )?;
    outbox::tell(tx, &[event]).await?;
    Ok(())
}

const OFFER: &str =
    "SELECT agent_id, id, campaign_id, shard, state, contact_id, reasons, until FROM app.preview_offers";

/// What the agent asked for last, and what they got.
///
/// # Errors
/// When the database fails.
pub async fn current(tx: &mut TenantTx, agent: AgentId) -> Result<Option<Offer>> {
    let sql = format!("{OFFER} WHERE tenant_id = $1 AND agent_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(agent.0)
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Questions and offers of a shard that want an answer.
pub(crate) async fn waiting(tx: &mut TenantTx, campaign: CampaignId, shard: u16) -> Result<Vec<Offer>> {
    let sql = format!(
        "{OFFER} WHERE tenant_id = $1 AND campaign_id = $2 AND shard = $3
           AND state IN ('asked', 'offered', 'accepted') ORDER BY at"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(campaign.0)
        .bind(small(shard))
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(read).collect()
}

/// Locks the offer; false when it does not stand so any more.
pub(crate) async fn hold(tx: &mut TenantTx, offer: &Offer, state: State) -> Result<bool> {
    let held: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM app.preview_offers
         WHERE tenant_id = $1 AND agent_id = $2 AND id = $3 AND state = $4 FOR UPDATE",
    )
    .bind(tx.tenant().0)
    .bind(offer.agent.0)
    .bind(offer.id.0)
    .bind(state.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(held.is_some())
}

pub(crate) async fn offered(
    tx: &mut TenantTx,
    offer: &Offer,
    contact: ContactId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE app.preview_offers SET state = 'offered', contact_id = $4, until = $5, at = $6
         WHERE tenant_id = $1 AND agent_id = $2 AND id = $3",
    )
    .bind(tx.tenant().0)
    .bind(offer.agent.0)
    .bind(offer.id.0)
    .bind(contact.0)
    .bind(until)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends an offer, unless it stands otherwise by now.
pub(crate) async fn close(
    tx: &mut TenantTx,
    offer: &Offer,
    state: State,
    reasons: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "UPDATE app.preview_offers SET state = $4, reasons = $5, at = $6
         WHERE tenant_id = $1 AND agent_id = $2 AND id = $3 AND state = $7",
    )
    .bind(tx.tenant().0)
    .bind(offer.agent.0)
    .bind(offer.id.0)
    .bind(state.as_str())
    .bind(reasons)
    .bind(now)
    .bind(offer.state.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Offer> {
    let state = State::parse(row.try_get("state")?).ok_or(voice_postgres::Error::Unreadable {
        column: "preview_offers.state",
    })?;
    Ok(Offer {
        agent: AgentId(row.try_get("agent_id")?),
        id: AttemptId(row.try_get("id")?),
        of: (
            CampaignId(row.try_get("campaign_id")?),
            u16::try_from(row.try_get::<i16, _>("shard")?).unwrap_or(0),
        ),
        state,
        contact: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        reasons: row.try_get("reasons")?,
        until: row.try_get("until")?,
    })
}
