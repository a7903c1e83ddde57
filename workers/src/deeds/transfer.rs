//! Handing a caller over to a person: asked for with a row, carried out by the dialers that own the person and the call.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;
use voice_postgres::{Database, Error, Result as Stored, TenantTx};
use voice_providers::tools::{TransferMode, TransferTarget};
use voice_schemas::{TransferId, transfers::TransferState};

use super::notes;
use crate::{
    agents::targets::{self, Target},
    hands::{HandsError, Line},
};

/// How long somebody may take to become free. The caller hears that they are being put through and nothing else: with
/// what a sentence and a look take, this is as long as silence may last.
const PATIENCE: TimeDelta = TimeDelta::seconds(3);
/// How long everything may take, with the line the person hears first; the call waits a little longer, so that the model
/// is told how it ended.
const WITHIN: Duration = Duration::from_secs(9);
/// Between two looks at how it stands.
const LOOK: Duration = Duration::from_millis(100);

/// What is asked for.
pub(super) struct Wish {
    pub(super) mode: TransferMode,
    pub(super) target: TransferTarget,
    pub(super) summary: Option<String>,
}

/// Hands the caller over, or says why not. Goes on to its end although nobody waits for it.
pub(super) async fn carry_out(
    database: &Database,
    line: &Line,
    wish: Wish,
    now: DateTime<Utc>,
) -> Result<Value, HandsError> {
    // A call of no campaign has no owner who could put it through.
    if line.attempt.is_none() {
        return Err(HandsError::NobodyFree);
    }
    let since = Instant::now();
    let asked = ask(database, line, &wish, now).await.map_err(notes::failed)?;
    let id = asked.ok_or(HandsError::Refused)?;
    let patience = PATIENCE.to_std().unwrap_or_default();
    loop {
        let overdue = since.elapsed() >= patience;
        match look(database, line, id, overdue, now)
            .await
            .map_err(notes::failed)?
        {
            TransferState::Done | TransferState::Over => return Ok(json!({"done": true})),
            TransferState::NobodyFree => return Err(HandsError::NobodyFree),
            TransferState::Failed => return Err(HandsError::Unavailable),
            TransferState::Asked | TransferState::Reserved | TransferState::Ordered => {}
        }
        if since.elapsed() >= WITHIN {
            return Err(HandsError::Unavailable);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The transfer of this call: the one that is under way, or a new one. `None` when that is not allowed.
async fn ask(
    database: &Database,
    line: &Line,
    wish: &Wish,
    now: DateTime<Utc>,
) -> Stored<Option<TransferId>> {
    let mut tx = database.tenant(line.tenant).await?;
    let Some(target) = targets::find(&mut tx, line.agent, &wish.target).await? else {
        return Ok(None);
    };
    insert(&mut tx, line, wish, target, now).await?;
    let id: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM app.transfers
         WHERE tenant_id = $1 AND call_id = $2 AND state NOT IN ('nobody_free', 'failed')",
    )
    .bind(line.tenant.0)
    .bind(line.call.0)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(id.map(TransferId))
}

async fn insert(
    tx: &mut TenantTx,
    line: &Line,
    wish: &Wish,
    target: Target,
    now: DateTime<Utc>,
) -> Stored<()> {
    let (queue, person) = match target {
        Target::Queue(campaign) => (Some(campaign.0), None),
        Target::Person(agent) => (None, Some(agent.0)),
    };
    let mode = match wish.mode {
        TransferMode::Warm => "warm",
        TransferMode::Cold => "cold",
    };
    sqlx::query(
        "INSERT INTO app.transfers (tenant_id, id, call_id, attempt_id, campaign_id, shard, account_id,
                                    queue_campaign_id, wanted_agent_id, mode, summary, until, asked_at, changed_at)
         SELECT $1, $2, a.call_id, a.id, a.campaign_id, a.shard, a.account_id, $5, $6, $7, $8, $9, $10, $10
         FROM app.attempts a
         WHERE a.tenant_id = $1 AND a.id = $3 AND a.call_id = $4 AND a.account_id IS NOT NULL AND a.state <> 'finished'
         ON CONFLICT DO NOTHING",
    )
    .bind(line.tenant.0)
    .bind(TransferId::random().0)
    .bind(line.attempt.map(|attempt| attempt.0))
    .bind(line.call.0)
    .bind(queue)
    .bind(person)
    .bind(mode)
    .bind(&wish.summary)
    .bind(now + PATIENCE)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How it stands. Once it is overdue it is taken back, unless somebody was found at that moment.
async fn look(
    database: &Database,
    line: &Line,
    id: TransferId,
    overdue: bool,
    now: DateTime<Utc>,
) -> Stored<TransferState> {
    let mut tx = database.tenant(line.tenant).await?;
    if overdue {
        sqlx::query(
            "UPDATE app.transfers SET state = 'nobody_free', summary = NULL, changed_at = $3
             WHERE tenant_id = $1 AND id = $2 AND state = 'asked'",
        )
        .bind(line.tenant.0)
        .bind(id.0)
        .bind(now + PATIENCE)
        .execute(&mut *tx)
        .await?;
    }
    let state: String =
        sqlx::query_scalar("SELECT state FROM app.transfers WHERE tenant_id = $1 AND id = $2")
            .bind(line.tenant.0)
            .bind(id.0)
            .fetch_one(&mut *tx)
            .await?;
    tx.commit().await?;
    TransferState::parse(&state).ok_or(Error::Unreadable {
        column: "transfers.state",
    })
}
