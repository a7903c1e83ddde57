//! The leg of an agent: a call the platform places and keeps, so that a customer reaches them without ringing.
//!
//! An agent who has an address is called when they become available, and stays in their room until they sign out. Like a
//! dial, a leg is committed before the carrier is asked, and asked for once. One that drops, or is not picked up, makes
//! the agent `away` with a reason: nobody's telephone is rung again before they say that they are back.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Database, Result, TenantTx};
use voice_schemas::{
    AgentId, CallId, EventType, ProviderAccountId, TenantId,
    events::{
        agent::AgentStatus,
        call::{CallEvent, CallOutcome, Carrier},
    },
};
use voice_telephony::{Destination, PhoneNumber};

use super::Input;
use crate::campaigns::EVERYBODY;

/// How long an agent's telephone rings.
pub const RING: TimeDelta = TimeDelta::seconds(30);
/// A leg nobody heard of for so long after it was asked for has failed.
const SILENCE: TimeDelta = TimeDelta::seconds(45);
/// A leg in its room is asked about when nothing was heard of it for so long.
const ASK: TimeDelta = TimeDelta::seconds(120);
/// Between two tries to end it.
const AGAIN: TimeDelta = TimeDelta::seconds(10);

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Committed; the carrier may or may not have been asked.
    Asked,
    /// The agent picked up.
    Answered,
    /// The agent is in the room.
    Joined,
    /// It is over.
    Ended,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Asked, Self::Answered, Self::Joined, Self::Ended];

    /// The name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Joined => "joined",
            Self::Ended => "ended",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// A leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The call.
    pub call: CallId,
    /// Through which account.
    pub account: ProviderAccountId,
    /// How far it has come.
    pub stage: Stage,
    /// The carrier's id of it.
    pub carrier: Option<(Carrier, String)>,
    /// When something was last heard of it, or done about it.
    pub heard: DateTime<Utc>,
    /// The carrier was told to end it.
    pub ending: bool,
}

/// What has to be known to look after an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What the agent is doing.
    pub status: AgentStatus,
    /// Their heartbeat keeps the lease.
    pub leased: bool,
    /// They have an address.
    pub has_address: bool,
    /// Their last leg.
    pub leg: Option<Leg>,
}

/// What to do about a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// All is as it should be.
    Nothing,
    /// Call them.
    Place,
    /// End the leg.
    HangUp,
    /// Ask the carrier whether it lives.
    Ask,
    /// It came to nothing.
    GiveUp,
}

/// What to do about a seat at `now`.
#[must_use]
pub fn care(seat: &Seat, now: DateTime<Utc>) -> Care {
    let Some(leg) = seat.leg.as_ref().filter(|leg| leg.stage != Stage::Ended) else {
        let wanted = seat.has_address && seat.leased && seat.status == AgentStatus::Available;
        return if wanted { Care::Place } else { Care::Nothing };
    };
    let silent = now - leg.heard;
    if seat.status == AgentStatus::Offline || !seat.has_address {
        return match leg.stage {
            // Nobody knows its id, and nobody may ever: there is nothing to end.
            _ if leg.carrier.is_none() && silent >= SILENCE => Care::GiveUp,
            _ if leg.carrier.is_none() => Care::Nothing,
            _ if !leg.ending || silent >= AGAIN => Care::HangUp,
            _ => Care::Nothing,
        };
    }
    match leg.stage {
        Stage::Asked | Stage::Answered if silent >= SILENCE => Care::GiveUp,
        Stage::Joined if silent >= ASK => Care::Ask,
        _ => Care::Nothing,
    }
}

/// A call to place to an agent.
#[derive(Clone, Debug)]
pub struct Summons {
    /// The call.
    pub call: CallId,
    /// Through which account.
    pub account: ProviderAccountId,
    /// Where the agent is.
    pub to: Destination,
    /// The number shown to them.
    pub from: PhoneNumber,
}

/// Agents of all tenants whose leg is not as it should be, or was not heard of lately. Only names them.
///
/// # Errors
/// When the database fails.
pub async fn to_mind(database: &Database) -> Result<Vec<(TenantId, AgentId)>> {
    // The function crosses tenants by itself; the transaction belongs to nobody.
    let mut tx = database.tenant(EVERYBODY).await?;
    let rows: Vec<(Uuid, Uuid)> =
        sqlx::query_as("SELECT tenant_id, agent_id FROM app.all_agent_legs_to_mind()")
            .fetch_all(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, agent)| (TenantId(tenant), AgentId(agent)))
        .collect())
}

/// What was decided and written about an agent.
#[derive(Clone, Debug)]
pub enum Minded {
    /// Nothing.
    Nothing,
    /// Ask the carrier for this call, once.
    Place(Box<Summons>),
    /// Tell the carrier to end it.
    HangUp(Leg),
    /// Ask the carrier about it.
    Ask(Leg),
}

/// Looks after an agent: decides, and writes what follows. Whoever comes second finds it done.
///
/// # Errors
/// When the database fails; then nothing changed.
pub async fn mind(tx: &mut TenantTx, agent: AgentId, now: DateTime<Utc>) -> Result<Minded> {
    let Some((seat, to, number)) = load(tx, agent, now).await? else {
        return Ok(Minded::Nothing);
    };
    let minded = match (care(&seat, now), seat.leg) {
        (Care::Place, _) => {
            let (Some(to), Some((account, from))) = (to, number) else {
                return Ok(Minded::Nothing);
            };
            let call = CallId::random();
            sqlx::query(
                "INSERT INTO app.agent_legs (tenant_id, agent_id, call_id, account_id, state, heard_at, asked_at)
                 VALUES ($1, $2, $3, $4, 'asked', $5, $5)
                 ON CONFLICT (tenant_id, agent_id) DO UPDATE SET
                     call_id = excluded.call_id, account_id = excluded.account_id, state = 'asked', carrier = NULL,
                     carrier_call_id = NULL, heard_at = excluded.heard_at, asked_at = excluded.asked_at,
                     ended_at = NULL, outcome = NULL",
            )
            .bind(tx.tenant().0)
            .bind(agent.0)
            .bind(call.0)
            .bind(account.0)
            .bind(now)
            .execute(&mut **tx)
            .await?;
            Minded::Place(Box::new(Summons {
                call,
                account,
                to,
                from,
            }))
        }
        (Care::HangUp, Some(leg)) => {
            touch(tx, agent, true, now).await?;
            Minded::HangUp(leg)
        }
        (Care::Ask, Some(leg)) => {
            touch(tx, agent, leg.ending, now).await?;
            Minded::Ask(leg)
        }
        (Care::GiveUp, Some(leg)) => {
            over(tx, agent, leg.call, CallOutcome::Unknown, now).await?;
            // Should it live after all, it is to end.
            if leg.carrier.is_some() {
                Minded::HangUp(leg)
            } else {
                Minded::Nothing
            }
        }
        _ => Minded::Nothing,
    };
    Ok(minded)
}

type Loaded = (
    Seat,
    Option<Destination>,
    Option<(ProviderAccountId, PhoneNumber)>,
);

async fn load(tx: &mut TenantTx, agent: AgentId, now: DateTime<Utc>) -> Result<Option<Loaded>> {
    let row = sqlx::query(
        "SELECT s.status, s.lease_until > $3 AS leased, a.address, n.account_id AS number_account, n.e164,
                l.call_id, l.account_id, l.state, l.carrier, l.carrier_call_id, l.heard_at, l.outcome
         FROM app.agent_states s
         JOIN app.agents a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id
         LEFT JOIN app.phone_numbers n ON n.tenant_id = a.tenant_id AND n.id = a.leg_number_id
         LEFT JOIN app.agent_legs l ON l.tenant_id = s.tenant_id AND l.agent_id = s.agent_id
         WHERE s.tenant_id = $1 AND s.agent_id = $2 FOR UPDATE OF s",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let unreadable = |column| voice_postgres::Error::Unreadable { column };
    let leg = match row.try_get::<Option<Uuid>, _>("call_id")? {
        None => None,
        Some(call) => Some(Leg {
            call: CallId(call),
            account: ProviderAccountId(row.try_get("account_id")?),
            stage: Stage::parse(row.try_get("state")?).ok_or(unreadable("agent_legs.state"))?,
            carrier: row
                .try_get::<Option<&str>, _>("carrier")?
                .and_then(Carrier::parse)
                .zip(row.try_get("carrier_call_id")?),
            heard: row.try_get("heard_at")?,
            ending: row.try_get::<Option<&str>, _>("outcome")? == Some(ENDING),
        }),
    };
    let address: Option<&str> = row.try_get("address")?;
    let number = row
        .try_get::<Option<Uuid>, _>("number_account")?
        .map(ProviderAccountId)
        .zip(
            row.try_get::<Option<&str>, _>("e164")?
                .and_then(PhoneNumber::parse),
        );
    let seat = Seat {
        status: AgentStatus::parse(row.try_get("status")?).ok_or(unreadable("agent_states.status"))?,
        leased: row.try_get::<Option<bool>, _>("leased")?.unwrap_or(false),
        has_address: address.is_some(),
        leg,
    };
    Ok(Some((seat, address.and_then(Destination::parse), number)))
}

/// Stands in the column of outcomes while the carrier was told to end the leg and has not said that it did.
const ENDING: &str = "ending";

async fn touch(tx: &mut TenantTx, agent: AgentId, ending: bool, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "UPDATE app.agent_legs SET heard_at = $3, outcome = CASE WHEN $4 THEN $5 END
         WHERE tenant_id = $1 AND agent_id = $2 AND state <> 'ended'",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(now)
    .bind(ending)
    .bind(ENDING)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The account of a leg that lives; `None` when it is over, or another one by now.
///
/// # Errors
/// When the database fails.
pub async fn account(tx: &mut TenantTx, agent: AgentId, call: CallId) -> Result<Option<ProviderAccountId>> {
    let account: Option<Uuid> = sqlx::query_scalar(
        "SELECT account_id FROM app.agent_legs
         WHERE tenant_id = $1 AND agent_id = $2 AND call_id = $3 AND state <> 'ended'",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(call.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(account.map(ProviderAccountId))
}

/// The carrier has taken the call on.
///
/// # Errors
/// When the database fails.
pub async fn placed(
    tx: &mut TenantTx,
    agent: AgentId,
    call: CallId,
    carrier: Carrier,
    id: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE app.agent_legs SET carrier = coalesce(carrier, $4), carrier_call_id = coalesce(carrier_call_id, $5)
         WHERE tenant_id = $1 AND agent_id = $2 AND call_id = $3",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(call.0)
    .bind(carrier.as_str())
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The leg is over. An agent who relied on it is away until they say otherwise; one who talks is when the call is over.
/// False when it was over before, or is another one by now.
///
/// # Errors
/// When the database fails.
pub async fn over(
    tx: &mut TenantTx,
    agent: AgentId,
    call: CallId,
    outcome: CallOutcome,
    now: DateTime<Utc>,
) -> Result<bool> {
    let was: Option<String> = sqlx::query_scalar(
        "WITH before AS MATERIALIZED (
             SELECT b.state FROM app.agent_legs b
             WHERE b.tenant_id = $1 AND b.agent_id = $2 AND b.call_id = $3 AND b.state <> 'ended' FOR UPDATE)
         UPDATE app.agent_legs l SET state = 'ended', ended_at = $5, heard_at = $5, outcome = $4
         FROM before WHERE l.tenant_id = $1 AND l.agent_id = $2 RETURNING before.state",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .bind(call.0)
    .bind(outcome.as_str())
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(was) = was else { return Ok(false) };
    let reason = if was == Stage::Joined.as_str() {
        "leg_lost"
    } else {
        "leg_not_answered"
    };
    let input = Input::Choose {
        status: AgentStatus::Away,
        reason: Some(reason.to_owned()),
    };
    // Refused when they have signed out: then it had to end.
    super::apply(tx, &[(agent, input)], now).await?;
    Ok(true)
}

/// What an event of a leg asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Noted,
    /// The agent picked up: they are to go into their room.
    Seat,
    /// It was given up, or another one has taken its place, and lives all the same: it is to end.
    Stray,
}

/// Takes note of an event of a leg; events of another leg than the agent's current one change nothing.
///
/// # Errors
/// When the database fails.
pub async fn hear(tx: &mut TenantTx, agent: AgentId, event: &CallEvent, now: DateTime<Utc>) -> Result<Heard> {
    let call = &event.data.call;
    let stage = match event.kind {
        EventType::AgentLegInitiated => Stage::Asked,
        EventType::AgentLegAnswered => Stage::Answered,
        EventType::AgentLegJoined => Stage::Joined,
        EventType::AgentLegEnded => {
            let outcome = event
                .data
                .ending
                .as_ref()
                .map_or(CallOutcome::Unknown, |ending| ending.outcome);
            over(tx, agent, call.call_id, outcome, now).await?;
            return Ok(Heard::Noted);
        }
        _ => return Ok(Heard::Noted),
    };
    placed(tx, agent, call.call_id, call.carrier, &call.carrier_call_id).await?;
    let order = "array_position('{asked,answered,joined,ended}'";
    let sql = format!(
        "UPDATE app.agent_legs SET state = $4, heard_at = $5
         WHERE tenant_id = $1 AND agent_id = $2 AND call_id = $3 AND {order}, state) < {order}, $4)"
    );
    let moved = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tx.tenant().0)
        .bind(agent.0)
        .bind(call.call_id.0)
        .bind(stage.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?
        .rows_affected()
        > 0;
    if moved {
        return Ok(if stage == Stage::Answered {
            Heard::Seat
        } else {
            Heard::Noted
        });
    }
    let known = account(tx, agent, call.call_id).await?.is_some();
    Ok(if known || stage == Stage::Asked {
        Heard::Noted
    } else {
        Heard::Stray
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn leg(stage: Stage, known: bool) -> Leg {
        Leg {
            call: CallId(Uuid::from_u128(1)),
            account: ProviderAccountId(Uuid::from_u128(2)),
            stage,
            carrier: known.then(|| (Carrier::Telnyx, "v3:x".to_owned())),
            heard: at(0),
            ending: false,
        }
    }

    fn seat(status: AgentStatus, leg: Option<Leg>) -> Seat {
        Seat {
            status,
            leased: true,
            has_address: true,
            leg,
        }
    }

    #[test]
    fn an_agent_is_called_when_they_become_available_and_let_go_when_they_sign_out() {
        let care_for =
            |status, stage: Option<Stage>| care(&seat(status, stage.map(|stage| leg(stage, true))), at(1));
        assert_eq!(care_for(AgentStatus::Available, None), Care::Place);
        assert_eq!(care_for(AgentStatus::Available, Some(Stage::Ended)), Care::Place);
        assert_eq!(
            care_for(AgentStatus::Available, Some(Stage::Joined)),
            Care::Nothing
        );
        assert_eq!(care_for(AgentStatus::Break, Some(Stage::Joined)), Care::Nothing);
        assert_eq!(care_for(AgentStatus::Offline, Some(Stage::Joined)), Care::HangUp);
        assert_eq!(care_for(AgentStatus::Offline, None), Care::Nothing);
    }

    #[test]
    fn a_leg_nobody_hears_of_is_given_up_before_it_is_in_the_room_and_asked_about_afterwards() {
        let care_at = |stage, second| care(&seat(AgentStatus::Available, Some(leg(stage, true))), at(second));
        assert_eq!(care_at(Stage::Asked, 44), Care::Nothing);
        assert_eq!(care_at(Stage::Asked, 45), Care::GiveUp);
        assert_eq!(care_at(Stage::Answered, 45), Care::GiveUp);
        assert_eq!(care_at(Stage::Joined, 45), Care::Nothing);
        assert_eq!(care_at(Stage::Joined, 120), Care::Ask);
    }

    proptest! {
        /// Nobody's telephone rings who did not say that they are available, and never twice at once.
        #[test]
        fn nobody_is_called_who_is_not_waiting_for_calls_or_is_being_called_already(
            status in prop::sample::select(AgentStatus::ALL.to_vec()), leased: bool, has_address: bool,
            stage in prop::option::of(prop::sample::select(Stage::ALL.to_vec())), known: bool, ending: bool,
            second in 0_i64..300,
        ) {
            let leg = stage.map(|stage| Leg { ending, ..leg(stage, known) });
            let live = leg.as_ref().is_some_and(|leg| leg.stage != Stage::Ended);
            let seat = Seat { status, leased, has_address, leg };
            let care = care(&seat, at(second));
            if care == Care::Place {
                prop_assert!(status == AgentStatus::Available && leased && has_address && !live);
            }
            if matches!(care, Care::HangUp | Care::Ask | Care::GiveUp) {
                prop_assert!(live);
            }
            // Whoever signed out is let go in the end, whatever the carrier says or does not say.
            if status == AgentStatus::Offline && live && second >= 45 {
                prop_assert!(matches!(care, Care::HangUp | Care::GiveUp));
            }
        }
    }
}
