//! Agents in Postgres: read, apply inputs, write, tell; many at a time and in one transaction.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Result, TenantTx, outbox::OutboxRecord};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, Envelope, EventId, ProviderAccountId,
    events::{
        agent::{AgentData, AgentStatus},
        call::AgentKind,
    },
    topics,
};

use super::{AgentState, Change, Input, Refused, Reservation};
use crate::{attempts::small, campaigns::SOURCE, outbox};

/// An agent and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// The agent.
    pub id: AgentId,
    /// Person or AI.
    pub kind: AgentKind,
    /// How long they have to finish up after a call.
    pub wrap: TimeDelta,
    /// How a call reaches them.
    pub reach: Reach,
    /// Where they stand.
    pub state: AgentState,
}

/// How a call reaches an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They come into their room by themselves, at every account.
    Open,
    /// Their leg is not in the room.
    Nowhere,
    /// Their leg is in the room, at this account: only calls of it can be put there.
    At(ProviderAccountId),
}

impl AgentRow {
    /// Whether a call of this account may be given to them at `now`.
    #[must_use]
    pub fn takes(&self, account: Option<ProviderAccountId>, now: DateTime<Utc>) -> bool {
        let reached = match self.reach {
            Reach::Open => true,
            Reach::Nowhere => false,
            Reach::At(at) => account.is_none_or(|account| account == at),
        };
        reached && self.state.is_free(now)
    }
}

/// What became of an input.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The agent, as they stand now.
    pub agent: AgentRow,
    /// The change, `None` when there was nothing to tell; or why it was refused.
    pub result: Result<Option<Change>, Refused>,
}

const AGENT: &str = "SELECT a.id, a.kind, a.wrap_seconds, s.status, s.reason, s.since, s.available_since, s.epoch,
           s.campaign_id, s.shard, s.lease_until, s.reserved_for, s.reservation_token, s.reserved_until, s.call_id,
           s.wrap_until, s.next_status, a.address IS NULL AS open, l.account_id AS leg_account
    FROM app.agent_states s JOIN app.agents a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id
    LEFT JOIN app.agent_legs l ON l.tenant_id = s.tenant_id AND l.agent_id = s.agent_id AND l.state = 'joined'";

/// Creates an agent, or changes nothing when there is one with this id. Their state is offline.
///
/// # Errors
/// When the database fails.
pub async fn sign_up(
    tx: &mut TenantTx,
    id: AgentId,
    kind: AgentKind,
    wrap: TimeDelta,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.agents (tenant_id, id, kind, wrap_seconds) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(kind.as_str())
    .bind(i32::try_from(wrap.num_seconds()).unwrap_or(0))
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO app.agent_states (tenant_id, agent_id, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The agents who work for a shard.
///
/// # Errors
/// When the database fails.
pub async fn of_shard(tx: &mut TenantTx, campaign: CampaignId, shard: u16) -> Result<Vec<AgentRow>> {
    let sql =
        format!("{AGENT} WHERE s.tenant_id = $1 AND s.campaign_id = $2 AND s.shard = $3 ORDER BY s.agent_id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(campaign.0)
        .bind(small(shard))
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(read).collect()
}

/// These agents, whoever they work for.
///
/// # Errors
/// When the database fails.
pub async fn some(tx: &mut TenantTx, ids: &[AgentId]) -> Result<Vec<AgentRow>> {
    let sql = format!("{AGENT} WHERE s.tenant_id = $1 AND s.agent_id = ANY ($2) ORDER BY s.agent_id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(read).collect()
}

/// Applies inputs in their order, several of one agent too, and writes what changed with an event for each change.
/// An agent nobody signed up is left out.
///
/// # Errors
/// When the database fails; then nothing changed.
pub async fn apply(
    tx: &mut TenantTx,
    inputs: &[(AgentId, Input)],
    now: DateTime<Utc>,
) -> Result<Vec<Applied>> {
    let ids: Vec<Uuid> = inputs.iter().map(|(id, _)| id.0).collect();
    let sql = format!(
        "{AGENT} WHERE s.tenant_id = $1 AND s.agent_id = ANY ($2) ORDER BY s.agent_id FOR UPDATE OF s"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(&ids)
        .fetch_all(&mut **tx)
        .await?;
    let mut agents: BTreeMap<AgentId, (AgentRow, bool)> = BTreeMap::new();
    for row in &rows {
        let agent = read(row)?;
        agents.insert(agent.id, (agent, false));
    }
    let mut events = Vec::new();
    let mut applied = Vec::with_capacity(inputs.len());
    for (id, input) in inputs {
        let Some((agent, dirty)) = agents.get_mut(id) else {
            continue;
        };
        let before = agent.state.clone();
        let result = agent.state.apply(input.clone(), now);
        *dirty |= agent.state != before;
        if let Ok(Some(change)) = &result {
            events.push(event(tx, agent, change, now)?);
        }
        applied.push(Applied {
            agent: agent.clone(),
            result,
        });
    }
    let dirty: Vec<&AgentRow> = agents
        .values()
        .filter_map(|(agent, dirty)| dirty.then_some(agent))
        .collect();
    write(tx, &dirty).await?;
    outbox::tell(tx, &events).await?;
    Ok(applied)
}

fn event(tx: &TenantTx, agent: &AgentRow, change: &Change, now: DateTime<Utc>) -> Result<OutboxRecord> {
    let data = AgentData {
        agent_id: agent.id,
        agent_kind: agent.kind,
        from: Some(change.from),
        to: change.to,
        reason: change.reason.clone(),
        call_id: change.call.or(agent.state.call),
        epoch: agent.state.epoch,
    };
    let id = EventId::derived(
        now,
        &[b"agent", agent.id.0.as_bytes(), &agent.state.epoch.to_be_bytes()],
    );
    let event = Envelope::new(id, tx.tenant(), SOURCE, change.event, now, data);
    OutboxRecord::event(&topics::AGENTS, agent.id.0.to_string(), &event)
}

async fn write(tx: &mut TenantTx, agents: &[&AgentRow]) -> Result<()> {
    if agents.is_empty() {
        return Ok(());
    }
    fn column<T>(agents: &[&AgentRow], value: impl Fn(&AgentState) -> T) -> Vec<T> {
        agents.iter().map(|agent| value(&agent.state)).collect()
    }
    sqlx::query(
        "UPDATE app.agent_states s SET
             status = u.status, reason = u.reason, since = u.since, available_since = u.available_since, epoch = u.epoch,
             campaign_id = u.campaign_id, shard = u.shard, lease_until = u.lease_until, reserved_for = u.reserved_for,
             reservation_token = u.token, reserved_until = u.reserved_until, call_id = u.call_id,
             wrap_until = u.wrap_until, next_status = u.next_status
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::uuid[],
                     $9::smallint[], $10::timestamptz[], $11::uuid[], $12::bigint[], $13::timestamptz[], $14::uuid[],
                     $15::timestamptz[], $16::text[])
              AS u(agent_id, status, reason, since, available_since, epoch, campaign_id, shard, lease_until,
                   reserved_for, token, reserved_until, call_id, wrap_until, next_status)
         WHERE s.tenant_id = $1 AND s.agent_id = u.agent_id",
    )
    .bind(tx.tenant().0)
    .bind(agents.iter().map(|agent| agent.id.0).collect::<Vec<_>>())
    .bind(column(agents, |state| state.status.as_str()))
    .bind(column(agents, |state| state.reason.clone()))
    .bind(column(agents, |state| state.since))
    .bind(column(agents, |state| state.available_since))
    .bind(column(agents, |state| big(state.epoch)))
    .bind(column(agents, |state| state.works_for.map(|(campaign, _)| campaign.0)))
    .bind(column(agents, |state| state.works_for.map(|(_, shard)| small(shard))))
    .bind(column(agents, |state| state.lease_until))
    .bind(column(agents, |state| state.reservation.map(|held| held.attempt.0)))
    .bind(column(agents, |state| big(state.token)))
    .bind(column(agents, |state| state.reservation.map(|held| held.until)))
    .bind(column(agents, |state| state.call.map(|call| call.0)))
    .bind(column(agents, |state| state.wrap_until))
    .bind(column(agents, |state| state.next_status.map(AgentStatus::as_str)))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &sqlx::postgres::PgRow) -> Result<AgentRow> {
    let unreadable = |column| voice_postgres::Error::Unreadable { column };
    let status = |word: &str| AgentStatus::parse(word).ok_or(unreadable("agent_states.status"));
    let token = unsigned(row.try_get("reservation_token")?);
    let reservation = match row.try_get::<Option<Uuid>, _>("reserved_for")? {
        Some(attempt) => Some(Reservation {
            attempt: AttemptId(attempt),
            token,
            until: row.try_get("reserved_until")?,
        }),
        None => None,
    };
    let campaign: Option<Uuid> = row.try_get("campaign_id")?;
    let shard: Option<i16> = row.try_get("shard")?;
    Ok(AgentRow {
        id: AgentId(row.try_get("id")?),
        kind: AgentKind::parse(row.try_get("kind")?).ok_or(unreadable("agents.kind"))?,
        wrap: TimeDelta::seconds(row.try_get::<i32, _>("wrap_seconds")?.into()),
        reach: match (
            row.try_get("open")?,
            row.try_get::<Option<Uuid>, _>("leg_account")?,
        ) {
            (true, _) => Reach::Open,
            (false, None) => Reach::Nowhere,
            (false, Some(account)) => Reach::At(ProviderAccountId(account)),
        },
        state: AgentState {
            status: status(row.try_get("status")?)?,
            reason: row.try_get("reason")?,
            since: row.try_get("since")?,
            available_since: row.try_get("available_since")?,
            epoch: unsigned(row.try_get("epoch")?),
            works_for: campaign
                .zip(shard)
                .map(|(campaign, shard)| (CampaignId(campaign), u16::try_from(shard).unwrap_or(0))),
            lease_until: row.try_get("lease_until")?,
            reservation,
            token,
            call: row.try_get::<Option<Uuid>, _>("call_id")?.map(CallId),
            wrap_until: row.try_get("wrap_until")?,
            next_status: row
                .try_get::<Option<&str>, _>("next_status")?
                .map(status)
                .transpose()?,
        },
    })
}

fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
