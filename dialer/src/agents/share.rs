//! Agents of several campaigns, and of several shards of one: who gets them next.
//!
//! At any moment an agent works for one shard, the one that stands in their state, and only its controller plans with
//! them and reserves them: nobody is promised twice. Controllers lend their agents to each other. One that has nobody to
//! call gives all it does not need; otherwise the shard with the fewest agents is given some until nobody has two more
//! than another. A controller does not give away whom it has dialled for: it stops planning with an agent first.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_postgres::{Database, Result, TenantTx};
use voice_schemas::{AgentId, CampaignId};

use crate::{attempts::small, campaigns::EVERYBODY};

/// A shard of a campaign.
pub type Place = (CampaignId, u16);

/// A shard that agents could work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Agents with it who wait for calls, talk or wrap up.
    pub agents: usize,
    /// It has somebody to call.
    pub hungry: bool,
}

/// Who is to go where: of `mine`, which are at `here`, in the order they can go, each with the places they may work for.
/// Sorted so that who can go soonest goes.
#[must_use]
pub fn moves(
    here: Place,
    mine: &[(AgentId, Vec<Place>)],
    loads: &BTreeMap<Place, Load>,
) -> Vec<(AgentId, Place)> {
    let mut loads = loads.clone();
    let own_hunger = loads.get(&here).is_some_and(|load| load.hungry);
    let mut moves = Vec::new();
    for (agent, places) in mine {
        let here_now = loads.get(&here).map_or(0, |load| load.agents);
        let neediest = places
            .iter()
            .filter(|place| **place != here)
            .filter_map(|place| Some((*place, loads.get(place)?)))
            .filter(|(_, load)| load.hungry && (!own_hunger || load.agents + 2 <= here_now))
            .min_by_key(|(place, load)| (load.agents, *place));
        let Some((to, _)) = neediest else { continue };
        if let Some(load) = loads.get_mut(&to) {
            load.agents += 1;
        }
        if let Some(load) = loads.get_mut(&here) {
            load.agents = load.agents.saturating_sub(1);
        }
        moves.push((*agent, to));
    }
    moves
}

/// The agent may work for these campaigns and for no others any more. The one they sign in for is to be among them, or
/// they do not come back to it once they were lent.
///
/// # Errors
/// When the database fails, or the agent or a campaign does not exist.
pub async fn assign(tx: &mut TenantTx, agent: AgentId, campaigns: &[CampaignId]) -> Result<()> {
    let ids: Vec<Uuid> = campaigns.iter().map(|campaign| campaign.0).collect();
    sqlx::query(
        "DELETE FROM app.agent_campaigns WHERE tenant_id = $1 AND agent_id = $2 AND campaign_id <> ALL ($3)",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(&ids)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO app.agent_campaigns (tenant_id, agent_id, campaign_id)
         SELECT $1, $2, unnest($3::uuid[]) ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(&ids)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Campaigns of all tenants that share agents with another one.
///
/// # Errors
/// When the database fails.
pub async fn sharing(database: &Database) -> Result<HashSet<CampaignId>> {
    // The function crosses tenants by itself; the transaction belongs to nobody.
    let mut tx = database.tenant(EVERYBODY).await?;
    let rows: Vec<Uuid> = sqlx::query_scalar("SELECT campaign_id FROM app.all_sharing_campaigns()")
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(CampaignId).collect())
}

/// Says that the shard has somebody to call and takes more agents until then, or that it has not. Gives whether somebody is
/// due.
///
/// # Errors
/// When the database fails.
pub(crate) async fn say_hungry(
    tx: &mut TenantTx,
    (campaign, shard): Place,
    dials: bool,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    // One entry of the hopper's index for each priority, as in a claim.
    let hungry: Option<bool> = sqlx::query_scalar(
        "WITH RECURSIVE levels AS (
             (SELECT c.priority FROM app.campaign_contacts c
              WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.shard = $3 AND c.state = 'ready'
              ORDER BY c.priority DESC LIMIT 1)
             UNION ALL
             SELECT (SELECT c.priority FROM app.campaign_contacts c
                     WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.shard = $3 AND c.state = 'ready'
                       AND c.priority < l.priority
                     ORDER BY c.priority DESC LIMIT 1)
             FROM levels l WHERE l.priority IS NOT NULL),
         due AS (
             SELECT $4 AND EXISTS (
                 SELECT FROM levels l WHERE EXISTS (
                     SELECT FROM app.campaign_contacts c
                     WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.shard = $3 AND c.state = 'ready'
                       AND c.priority = l.priority AND c.next_attempt_at <= $6)) AS is)
         UPDATE app.campaign_shards s SET hungry_until = CASE WHEN due.is THEN $5::timestamptz END FROM due
         WHERE s.tenant_id = $1 AND s.campaign_id = $2 AND s.shard = $3 RETURNING due.is",
    )
    .bind(tx.tenant().0)
    .bind(campaign.0)
    .bind(small(shard))
    .bind(dials)
    .bind(until)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(hungry.unwrap_or(false))
}

/// Takes the tenant's turn to lend agents: until the transaction ends, nobody else counts and moves them.
pub(crate) async fn turn(tx: &mut TenantTx) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('lend agents ' || $1::text, 0))")
        .bind(tx.tenant().0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The shards people could work for.
pub(crate) async fn loads(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<BTreeMap<Place, Load>> {
    let rows: Vec<(Uuid, i16, i64, bool)> = sqlx::query_as(
        "SELECT s.campaign_id, s.shard,
                (SELECT count(*) FROM app.agent_states a
                 WHERE a.tenant_id = $1 AND a.campaign_id = s.campaign_id AND a.shard = s.shard
                   AND a.lease_until > $2 AND a.status IN ('available', 'reserved', 'on_call', 'wrap_up')),
                coalesce(s.hungry_until > $2, false)
         FROM app.campaign_shards s JOIN app.campaigns c ON c.tenant_id = s.tenant_id AND c.id = s.campaign_id
         WHERE s.tenant_id = $1 AND c.status = 'active' AND c.dialling_mode <> 'agentless'",
    )
    .bind(tx.tenant().0)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(campaign, shard, agents, hungry)| {
            let load = Load {
                agents: usize::try_from(agents).unwrap_or(0),
                hungry,
            };
            ((CampaignId(campaign), u16::try_from(shard).unwrap_or(0)), load)
        })
        .collect())
}

/// The campaigns these agents may work for beside the one they work for.
pub(crate) async fn assignments(
    tx: &mut TenantTx,
    agents: &[AgentId],
) -> Result<BTreeMap<AgentId, Vec<CampaignId>>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT agent_id, campaign_id FROM app.agent_campaigns
         WHERE tenant_id = $1 AND agent_id = ANY ($2) ORDER BY agent_id, campaign_id",
    )
    .bind(tx.tenant().0)
    .bind(agents.iter().map(|agent| agent.0).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let mut assignments: BTreeMap<AgentId, Vec<CampaignId>> = BTreeMap::new();
    for (agent, campaign) in rows {
        assignments
            .entry(AgentId(agent))
            .or_default()
            .push(CampaignId(campaign));
    }
    Ok(assignments)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(number: u8) -> Place {
        (
            CampaignId(Uuid::from_u128(u128::from(number / 2) + 1)),
            u16::from(number % 2),
        )
    }

    fn agent(number: u8) -> AgentId {
        AgentId(Uuid::from_u128(u128::from(number) + 100))
    }

    fn load(agents: usize, hungry: bool) -> Load {
        Load { agents, hungry }
    }

    #[test]
    fn a_campaign_with_nobody_to_call_gives_all_and_a_busy_one_its_share() {
        let mine: Vec<_> = (0..6)
            .map(|number| (agent(number), vec![place(0), place(2)]))
            .collect();
        let mut loads = BTreeMap::from([(place(0), load(6, false)), (place(2), load(0, true))]);
        assert_eq!(moves(place(0), &mine, &loads).len(), 6);
        loads.insert(place(0), load(6, true));
        assert_eq!(moves(place(0), &mine, &loads).len(), 3);
        loads.insert(place(2), load(0, false));
        assert_eq!(moves(place(0), &mine, &loads), []);
    }

    proptest! {
        /// Whoever gives what is asked, gives nothing more when asked again; and nobody goes where they may not work.
        #[test]
        fn lending_ends_in_a_balance_and_only_takes_people_where_they_may_work(
            counts in prop::collection::vec((0_usize..8, any::<bool>()), 4),
            may in prop::collection::vec(prop::collection::vec(0_u8..4, 0..4), 0..8),
        ) {
            let here = place(0);
            let mine: Vec<(AgentId, Vec<Place>)> = (0_u8..)
                .zip(&may)
                .map(|(number, may)| (agent(number), may.iter().map(|at| place(*at)).collect()))
                .collect();
            let mut loads: BTreeMap<Place, Load> = (0_u8..)
                .zip(&counts)
                .map(|(at, (agents, hungry))| (place(at), load(*agents, *hungry)))
                .collect();
            loads.get_mut(&here).unwrap().agents = mine.len();
            let first = moves(here, &mine, &loads);
            for (who, to) in &first {
                let places = &mine.iter().find(|(id, _)| id == who).unwrap().1;
                prop_assert!(places.contains(to) && *to != here && loads[to].hungry);
                loads.get_mut(to).unwrap().agents += 1;
                loads.get_mut(&here).unwrap().agents -= 1;
            }
            let left: Vec<_> = mine
                .into_iter()
                .filter(|(id, _)| first.iter().all(|(gone, _)| gone != id))
                .collect();
            prop_assert_eq!(moves(here, &left, &loads), []);
        }
    }
}
