//! The commands that move a campaign, each in the caller's transaction, with the event beside the change.
//!
//! The row of the campaign is locked for update; claims lock it for share. So a pause waits for the claims that
//! are being committed, a few milliseconds, and none is committed after it.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use voice_postgres::{
    Database, TenantTx,
    outbox::{self, OutboxRecord},
};
use voice_schemas::{
    CampaignId, Envelope, EventId, TenantId,
    events::campaign::{CampaignData, CampaignStatus},
    topics,
};

use super::state::{Command, NotFrom, Transition, step};
use crate::attempts::small;

/// What the dialer's events call their source.
pub(crate) const SOURCE: &str = "/dialer";

/// Why a command was not carried out; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The tenant has no such campaign.
    #[error("there is no such campaign")]
    Missing,
    /// It does not stand where the command could take it from.
    #[error(transparent)]
    NotFrom(#[from] NotFrom),
    /// It could not lawfully run. Every reason, as a code and a sentence.
    #[error("the campaign cannot start: {}", .0.iter().map(|fault| fault.text.as_str()).collect::<Vec<_>>().join("; "))]
    Faulty(Vec<Fault>),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] voice_postgres::Error),
}

/// One reason why a campaign cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A stable code.
    pub code: String,
    /// What to do about it.
    pub text: String,
}

impl CommandError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotFrom(_) => "not_from",
            Self::Faulty(_) => "faulty",
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<sqlx::Error> for CommandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Moves a campaign, whoever asks; see [`start`](crate::start::start) for starting one lawfully.
///
/// # Errors
/// When there is none, or it cannot go there from where it stands.
pub async fn change(
    tx: &mut TenantTx,
    id: CampaignId,
    command: Command,
    now: DateTime<Utc>,
) -> Result<Transition, CommandError> {
    let row = sqlx::query(
        "SELECT status, epoch, shards FROM app.campaigns WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_optional(&mut **tx)
    .await?
    .ok_or(CommandError::Missing)?;
    let from = CampaignStatus::parse(row.try_get("status")?).ok_or(voice_postgres::Error::Unreadable {
        column: "campaigns.status",
    })?;
    let transition = step(from, command)?;
    let epoch = row.try_get::<i64, _>("epoch")? + 1;
    let shards: i16 = row.try_get("shards")?;
    sqlx::query("UPDATE app.campaigns SET status = $3, epoch = $4 WHERE tenant_id = $1 AND id = $2")
        .bind(tx.tenant().0)
        .bind(id.0)
        .bind(transition.to.as_str())
        .bind(epoch)
        .execute(&mut **tx)
        .await?;
    if transition.to == CampaignStatus::Active {
        sqlx::query(
            "INSERT INTO app.campaign_shards (tenant_id, campaign_id, shard)
             SELECT $1, $2, generate_series(0, $3::integer - 1)::smallint ON CONFLICT DO NOTHING",
        )
        .bind(tx.tenant().0)
        .bind(id.0)
        .bind(i32::from(shards))
        .execute(&mut **tx)
        .await?;
    }
    if transition.to == CampaignStatus::Archived {
        return Ok(transition);
    }
    let data = CampaignData {
        campaign_id: id,
        status: transition.to,
        epoch: u64::try_from(epoch).unwrap_or(0),
        shards: u16::try_from(shards).unwrap_or(1),
    };
    let event_id = EventId::derived(now, &[b"campaign", id.0.as_bytes(), &epoch.to_be_bytes()]);
    let event = Envelope::new(event_id, tx.tenant(), SOURCE, transition.event, now, data);
    outbox::enqueue(
        tx,
        &OutboxRecord::event(&topics::CONFIG, id.0.to_string(), &event)?,
    )
    .await?;
    Ok(transition)
}

/// What [`fill`] put into a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Contacts that were not in it before.
    pub added: u64,
}

/// Brings the members of the campaign's static lists into it; those it has keep their state. The priority is that of
/// the list with the greatest weight.
///
/// # Errors
/// When the database fails.
pub async fn fill(tx: &mut TenantTx, id: CampaignId, now: DateTime<Utc>) -> Result<Fill, CommandError> {
    let done = sqlx::query(
        "INSERT INTO app.campaign_contacts (tenant_id, campaign_id, contact_id, shard, priority, next_attempt_at,
                                            created_at, updated_at)
         SELECT DISTINCT ON (m.contact_id) m.tenant_id, $2, m.contact_id,
                (('x' || left(md5(m.contact_id::text), 7))::bit(28)::integer % c.shards)::smallint,
                m.priority, $3, $3, $3
         FROM app.campaigns c
         JOIN app.campaign_lists l ON l.tenant_id = c.tenant_id AND l.campaign_id = c.id
         JOIN app.call_list_members m ON m.tenant_id = l.tenant_id AND m.list_id = l.list_id
         CROSS JOIN LATERAL (SELECT FROM app.contacts p
                             WHERE p.tenant_id = m.tenant_id AND p.id = m.contact_id AND p.status = 'active' OFFSET 0) p
         WHERE c.tenant_id = $1 AND c.id = $2
         ORDER BY m.contact_id, l.weight DESC, l.position
         ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(Fill {
        added: done.rows_affected(),
    })
}

/// Completes the campaign if it dials, nobody in it is left to call and no call is under way. True when it did.
///
/// # Errors
/// When the database fails.
pub async fn complete_when_done(
    tx: &mut TenantTx,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<bool, CommandError> {
    // Two questions, each the first entry of an index: whether anything is ready, whether anything is under way.
    let left: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM app.campaign_shards s
                        WHERE s.tenant_id = $1 AND s.campaign_id = $2
                          AND EXISTS (SELECT FROM app.campaign_contacts c
                                      WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.shard = s.shard
                                        AND c.state = 'ready'))
             OR EXISTS (SELECT FROM app.attempts a
                        WHERE a.tenant_id = $1 AND a.campaign_id = $2
                          AND a.state IN ('claimed', 'unknown', 'placed', 'answered'))",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_one(&mut **tx)
    .await?;
    if left {
        return Ok(false);
    }
    match change(tx, id, Command::NobodyLeft, now).await {
        Ok(_) => Ok(true),
        Err(CommandError::NotFrom(_) | CommandError::Missing) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the clock does to campaigns: starts those whose time has come and ends those whose time is over. It has no
/// way to start one that a person paused.
///
/// # Errors
/// When the database fails.
pub async fn run_timers(
    database: &Database,
    live: &[super::live::Live],
    now: DateTime<Utc>,
) -> Result<(), CommandError> {
    for campaign in live {
        let command = match campaign.status {
            CampaignStatus::Scheduled if campaign.start_at.is_some_and(|at| at <= now) => {
                Command::StartTimeCame
            }
            CampaignStatus::Active if campaign.end_at.is_some_and(|at| at <= now) => Command::EndTimeCame,
            _ => continue,
        };
        let mut tx = database.tenant(campaign.tenant).await?;
        if command == Command::StartTimeCame {
            fill(&mut tx, campaign.id, now).await?;
        }
        match change(&mut tx, campaign.id, command, now).await {
            Ok(_) => tx.commit().await?,
            // Somebody was faster, or paused it.
            Err(CommandError::NotFrom(_) | CommandError::Missing) => tx.rollback().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Everybody's tenant, for the switch that stops all dialling.
pub const EVERYBODY: TenantId = TenantId(uuid::Uuid::nil());

/// Stops all dialling of the transaction's tenant; of everybody in a transaction of [`EVERYBODY`]. Calls under way go on.
///
/// # Errors
/// When the database fails.
pub async fn stop_dialling(tx: &mut TenantTx, reason: &str, now: DateTime<Utc>) -> Result<(), CommandError> {
    sqlx::query(
        "INSERT INTO app.dial_stops (tenant_id, reason, stopped_at) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id) DO UPDATE SET reason = excluded.reason",
    )
    .bind(tx.tenant().0)
    .bind(reason)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the stop back.
///
/// # Errors
/// When the database fails.
pub async fn allow_dialling(tx: &mut TenantTx) -> Result<(), CommandError> {
    sqlx::query("DELETE FROM app.dial_stops WHERE tenant_id = $1")
        .bind(tx.tenant().0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Says that this process owns the shard from now on. Claims of whoever owned it before are refused once this is
/// committed, and none is under way: the row is locked for share while one is.
///
/// # Errors
/// When the campaign has no such shard.
pub async fn take_over(
    tx: &mut TenantTx,
    id: CampaignId,
    shard: u16,
    now: DateTime<Utc>,
) -> Result<(u64, Option<serde_json::Value>), CommandError> {
    let row = sqlx::query(
        "UPDATE app.campaign_shards SET epoch = epoch + 1, taken_at = $4
         WHERE tenant_id = $1 AND campaign_id = $2 AND shard = $3 RETURNING epoch, pacer",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(small(shard))
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?
    .ok_or(CommandError::Missing)?;
    let epoch: i64 = row.try_get("epoch")?;
    Ok((u64::try_from(epoch).unwrap_or(0), row.try_get("pacer")?))
}

/// Keeps what the pacer learnt and counted, unless somebody else owns the shard by now.
///
/// # Errors
/// When the database fails.
pub async fn keep_pacer(
    tx: &mut TenantTx,
    id: CampaignId,
    shard: u16,
    epoch: u64,
    state: &serde_json::Value,
) -> Result<(), CommandError> {
    sqlx::query(
        "UPDATE app.campaign_shards SET pacer = $5
         WHERE tenant_id = $1 AND campaign_id = $2 AND shard = $3 AND epoch = $4",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(small(shard))
    .bind(i64::try_from(epoch).unwrap_or(i64::MAX))
    .bind(state)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
