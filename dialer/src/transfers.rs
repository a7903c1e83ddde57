//! Callers an AI agent hands over to a person: the rows, and what the call's owner does next about one.
//!
//! A media worker asks with a row ([`app.transfers`](voice_schemas::transfers)). Two controllers answer, often the same
//! one: that of a shard a free person works for reserves them, with the state machine every answered call uses; that of
//! the call's shard puts the call into their room. A step is a move of the row from a state that is named, so whoever
//! comes second changes nothing. A place nobody uses runs out by itself.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;
use voice_postgres::{Database, Error, Result, TenantTx};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, ProviderAccountId, TenantId, TransferId,
    transfers::TransferState,
};

use crate::{
    attempts::{Phase, small},
    campaigns::EVERYBODY,
};

/// How long a person's place is held for a caller: longer than a carrier may take to answer an order, and no longer than
/// a person may be lost to the others when the controller dies in the middle.
pub const PLACE: TimeDelta = TimeDelta::seconds(25);
/// With less of the place left no carrier is told any more: after a line for the person, its answer could come too late.
const MARGIN: TimeDelta = TimeDelta::seconds(20);
/// Whoever asked says by themselves that nobody was free; this long after, they are gone.
const FORGOTTEN: TimeDelta = TimeDelta::seconds(5);

/// Who is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Anybody who works for the campaign.
    Anybody(CampaignId),
    /// One person.
    Person(AgentId),
}

/// A person's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The person.
    pub agent: AgentId,
    /// The token of their reservation.
    pub token: u64,
}

/// A caller who is to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The tenant.
    pub tenant: TenantId,
    /// Its id.
    pub id: TransferId,
    /// The call.
    pub call: CallId,
    /// The attempt the call belongs to.
    pub attempt: AttemptId,
    /// The shard whose controller owns the call.
    pub of: (CampaignId, u16),
    /// The account the call runs through.
    pub account: ProviderAccountId,
    /// Who is wanted.
    pub wanted: Wanted,
    /// How it stands.
    pub state: TransferState,
    /// Who was found.
    pub place: Option<Place>,
    /// Asked: nobody is reserved any more from then on; else the place is held until then.
    pub until: DateTime<Utc>,
}

/// The call of a transfer, as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It is over, or was never known.
    Gone,
    /// They talk to an AI agent.
    WithAi,
    /// They talk to a person.
    WithPerson,
    /// Anything else: they hear a message, or nobody talks to them yet.
    Elsewhere,
}

/// What the owner of the call does about its transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for now.
    Wait,
    /// Tell the carrier.
    Order,
    /// The caller is with the person already.
    Done,
    /// It came to nothing; a held place is given back.
    Fail,
    /// Whoever asked is gone.
    Forget,
}

/// What is to be done about a transfer at `now`, seen from the call.
#[must_use]
pub fn step(transfer: &Transfer, caller: Caller, now: DateTime<Utc>) -> Step {
    match (transfer.state, caller) {
        (TransferState::Asked, Caller::WithAi) if now < transfer.until + FORGOTTEN => Step::Wait,
        (TransferState::Asked, Caller::WithAi) => Step::Forget,
        (TransferState::Reserved, Caller::WithAi) if now + MARGIN <= transfer.until => Step::Order,
        (TransferState::Ordered, Caller::WithPerson) => Step::Done,
        // Told, and not heard of yet.
        (TransferState::Ordered, Caller::WithAi) if now < transfer.until => Step::Wait,
        (TransferState::Asked | TransferState::Reserved | TransferState::Ordered, _) => Step::Fail,
        _ => Step::Wait,
    }
}

/// What has become of a tenant's transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All of them.
    pub asked: i64,
    /// Callers who were put through.
    pub connected: i64,
    /// Callers nobody was free for.
    pub nobody_free: i64,
}

/// Counts them.
///
/// # Errors
/// When the database fails.
pub async fn totals(tx: &mut TenantTx) -> Result<Totals> {
    let (asked, connected, nobody_free) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE state IN ('done', 'over')),
                count(*) FILTER (WHERE state = 'nobody_free')
         FROM app.transfers WHERE tenant_id = $1",
    )
    .bind(tx.tenant().0)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Totals {
        asked,
        connected,
        nobody_free,
    })
}

/// A caller who is handed to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The transfer.
    pub id: TransferId,
    /// The call.
    pub call: CallId,
    /// The campaign that called.
    pub campaign: CampaignId,
    /// Who it is.
    pub contact: Option<ContactId>,
    /// How it stands.
    pub state: TransferState,
    /// What the AI agent says about them.
    pub summary: Option<String>,
}

/// The caller who is coming to the person, or with them.
///
/// # Errors
/// When the database fails.
pub async fn of_agent(tx: &mut TenantTx, agent: AgentId) -> Result<Option<Handed>> {
    let row = sqlx::query(
        "SELECT t.id, t.call_id, t.campaign_id, a.contact_id, t.state, t.summary FROM app.transfers t
         LEFT JOIN app.attempts a ON a.tenant_id = t.tenant_id AND a.id = t.attempt_id
         WHERE t.tenant_id = $1 AND t.agent_id = $2 AND t.state IN ('reserved', 'ordered', 'done')
         ORDER BY t.asked_at DESC LIMIT 1",
    )
    .bind(tx.tenant().0)
    .bind(agent.0)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Handed {
        id: TransferId(row.try_get("id")?),
        call: CallId(row.try_get("call_id")?),
        campaign: CampaignId(row.try_get("campaign_id")?),
        contact: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        state: TransferState::parse(row.try_get("state")?).ok_or(Error::Unreadable {
            column: "transfers.state",
        })?,
        summary: row.try_get("summary")?,
    }))
}

/// What a person hears before a caller who is handed over warmly, on the leg that keeps them in their room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Briefing {
    /// Their leg.
    pub(crate) leg: CallId,
    /// The carrier's name of it.
    pub(crate) carrier_call_id: String,
    /// One line.
    pub(crate) words: String,
}

/// Nobody waits for a longer line: four seconds of speech.
const LINE: usize = 60;

impl Briefing {
    /// How long it takes to say, at fifteen characters a second.
    pub(crate) fn lasts(&self) -> std::time::Duration {
        let characters = u64::try_from(self.words.chars().count()).unwrap_or(0);
        std::time::Duration::from_millis(characters * 1_000 / 15)
    }
}

/// As much of the summary as fits a line, to the end of a word.
fn line(summary: &str) -> String {
    let first = summary.lines().next().unwrap_or_default().trim();
    if first.chars().count() <= LINE {
        return first.to_owned();
    }
    let cut: String = first.chars().take(LINE + 1).collect();
    let end = cut.rfind(' ').unwrap_or(0);
    if end == 0 {
        first.chars().take(LINE).collect()
    } else {
        cut[..end].to_owned()
    }
}

/// What there is to be said to the person first; `None` where it is a cold transfer, there is nothing to say, or they have
/// no leg of ours.
pub(crate) async fn briefing(tx: &mut TenantTx, id: TransferId) -> Result<Option<Briefing>> {
    let found: Option<(String, Uuid, String)> = sqlx::query_as(
        "SELECT t.summary, l.call_id, l.carrier_call_id FROM app.transfers t
         JOIN app.agent_legs l ON l.tenant_id = t.tenant_id AND l.agent_id = t.agent_id AND l.state = 'joined'
              AND l.account_id = t.account_id AND l.carrier_call_id IS NOT NULL
         WHERE t.tenant_id = $1 AND t.id = $2 AND t.mode = 'warm' AND t.summary IS NOT NULL",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.and_then(|(summary, leg, carrier_call_id)| {
        let words = line(&summary);
        (!words.is_empty()).then_some(Briefing {
            leg: CallId(leg),
            carrier_call_id,
            words,
        })
    }))
}

fn read(row: &PgRow, tenant: TenantId) -> Result<Transfer> {
    let unreadable = |column| Error::Unreadable { column };
    let wanted = match (
        row.try_get::<Option<Uuid>, _>("queue_campaign_id")?,
        row.try_get::<Option<Uuid>, _>("wanted_agent_id")?,
    ) {
        (Some(campaign), None) => Wanted::Anybody(CampaignId(campaign)),
        (None, Some(agent)) => Wanted::Person(AgentId(agent)),
        _ => return Err(unreadable("transfers.wanted_agent_id")),
    };
    let place = row
        .try_get::<Option<Uuid>, _>("agent_id")?
        .zip(row.try_get::<Option<i64>, _>("token")?)
        .map(|(agent, token)| Place {
            agent: AgentId(agent),
            token: u64::try_from(token).unwrap_or(0),
        });
    Ok(Transfer {
        tenant,
        id: TransferId(row.try_get("id")?),
        call: CallId(row.try_get("call_id")?),
        attempt: AttemptId(row.try_get("attempt_id")?),
        of: (
            CampaignId(row.try_get("campaign_id")?),
            u16::try_from(row.try_get::<i16, _>("shard")?).unwrap_or(0),
        ),
        account: ProviderAccountId(row.try_get("account_id")?),
        wanted,
        state: TransferState::parse(row.try_get("state")?).ok_or(unreadable("transfers.state"))?,
        place,
        until: row.try_get("until")?,
    })
}

/// Transfers that want something done, in all tenants, the oldest first.
///
/// # Errors
/// When the database fails.
pub(crate) async fn open(database: &Database) -> Result<Vec<Transfer>> {
    // The function crosses tenants by itself; the transaction belongs to nobody.
    let mut tx = database.tenant(EVERYBODY).await?;
    let rows = sqlx::query("SELECT * FROM app.all_open_transfers()")
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    rows.iter()
        .map(|row| read(row, TenantId(row.try_get("tenant_id")?)))
        .collect()
}

/// Transfers of a shard's calls that have found somebody.
pub(crate) async fn of_shard(tx: &mut TenantTx, campaign: CampaignId, shard: u16) -> Result<Vec<Transfer>> {
    let rows = sqlx::query(
        "SELECT * FROM app.transfers
         WHERE tenant_id = $1 AND campaign_id = $2 AND shard = $3 AND state IN ('reserved', 'ordered', 'done')",
    )
    .bind(tx.tenant().0)
    .bind(campaign.0)
    .bind(small(shard))
    .fetch_all(&mut **tx)
    .await?;
    let tenant = tx.tenant();
    rows.iter().map(|row| read(row, tenant)).collect()
}

/// Says who was found; false when that is not wanted any more.
pub(crate) async fn reserve(
    tx: &mut TenantTx,
    id: TransferId,
    place: Place,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let moved = sqlx::query(
        "UPDATE app.transfers SET state = 'reserved', agent_id = $3, token = $4, until = $5, changed_at = $6
         WHERE tenant_id = $1 AND id = $2 AND state = 'asked' AND until > $6",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(place.agent.0)
    .bind(i64::try_from(place.token).unwrap_or(i64::MAX))
    .bind(until)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Moves a transfer on; false when it does not stand there any more.
pub(crate) async fn advance(
    tx: &mut TenantTx,
    id: TransferId,
    (from, to): (TransferState, TransferState),
    now: DateTime<Utc>,
) -> Result<bool> {
    let moved = sqlx::query(
        "UPDATE app.transfers SET state = $4, changed_at = $5,
             summary = CASE WHEN $4 IN ('nobody_free', 'failed') THEN NULL ELSE summary END
         WHERE tenant_id = $1 AND id = $2 AND state = $3",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// The calls these transfers were about have ended: those that got through are over, the others came to nothing.
pub(crate) async fn close(tx: &mut TenantTx, ids: &[TransferId], now: DateTime<Utc>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE app.transfers SET state = CASE WHEN state = 'done' THEN 'over' ELSE 'failed' END, summary = NULL,
             changed_at = $3
         WHERE tenant_id = $1 AND id = ANY ($2) AND state IN ('asked', 'reserved', 'ordered', 'done')",
    )
    .bind(tx.tenant().0)
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether the attempt has ended.
pub(crate) async fn is_over(tx: &mut TenantTx, attempt: AttemptId) -> Result<bool> {
    let state: Option<String> =
        sqlx::query_scalar("SELECT state FROM app.attempts WHERE tenant_id = $1 AND id = $2")
            .bind(tx.tenant().0)
            .bind(attempt.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(state.is_none_or(|state| state == Phase::Ended.as_str()))
}

/// Calls of other shards that were handed over to one of these people and have not ended.
pub(crate) async fn alive(tx: &mut TenantTx, agents: &[AgentId]) -> Result<Vec<CallId>> {
    let calls: Vec<Uuid> = sqlx::query_scalar(
        "SELECT t.call_id FROM app.transfers t
         JOIN app.attempts a ON a.tenant_id = t.tenant_id AND a.id = t.attempt_id
         WHERE t.tenant_id = $1 AND t.agent_id = ANY ($2) AND t.state IN ('reserved', 'ordered', 'done')
           AND a.state <> 'finished'",
    )
    .bind(tx.tenant().0)
    .bind(agents.iter().map(|agent| agent.0).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(calls.into_iter().map(CallId).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn transfer(state: TransferState, until: DateTime<Utc>) -> Transfer {
        let id = Uuid::from_u128(7);
        Transfer {
            tenant: TenantId(id),
            id: TransferId(id),
            call: CallId(id),
            attempt: AttemptId(id),
            of: (CampaignId(id), 0),
            account: ProviderAccountId(id),
            wanted: Wanted::Person(AgentId(id)),
            state,
            place: None,
            until,
        }
    }

    #[test]
    fn a_caller_with_an_ai_agent_is_put_through_as_soon_as_somebody_is_reserved() {
        let reserved = transfer(TransferState::Reserved, at(20));
        assert_eq!(step(&reserved, Caller::WithAi, at(0)), Step::Order);
        let ordered = transfer(TransferState::Ordered, at(20));
        assert_eq!(step(&ordered, Caller::WithAi, at(1)), Step::Wait, "once");
        assert_eq!(step(&ordered, Caller::WithPerson, at(1)), Step::Done);
    }

    #[test]
    fn an_order_that_could_be_answered_after_the_place_is_lost_is_not_given() {
        let reserved = transfer(TransferState::Reserved, at(20));
        assert_eq!(step(&reserved, Caller::WithAi, at(5)), Step::Fail);
        let ordered = transfer(TransferState::Ordered, at(20));
        assert_eq!(step(&ordered, Caller::WithAi, at(20)), Step::Fail);
    }

    #[test]
    fn whoever_asks_is_given_time_to_say_that_nobody_was_free() {
        let asked = transfer(TransferState::Asked, at(3));
        assert_eq!(step(&asked, Caller::WithAi, at(7)), Step::Wait);
        assert_eq!(step(&asked, Caller::WithAi, at(8)), Step::Forget);
    }

    #[test]
    fn a_briefing_is_one_line_that_ends_with_a_word() {
        assert_eq!(line("Wants two.\nAnd a discount."), "Wants two.");
        let long = "Wants to change the delivery address of the last order and asks about the price.";
        assert_eq!(
            line(long),
            "Wants to change the delivery address of the last order and"
        );
        let briefing = Briefing {
            leg: CallId(Uuid::nil()),
            carrier_call_id: String::new(),
            words: line(&"x".repeat(500)),
        };
        assert_eq!(briefing.lasts(), std::time::Duration::from_secs(4));
    }

    proptest! {
        /// A caller who hangs up holds nobody's place, whatever had been done for them.
        #[test]
        fn nothing_is_ordered_for_a_caller_who_is_gone_or_with_somebody_else(
            state in proptest::sample::select(TransferState::ALL.to_vec()), now in 0_i64..60, until in 0_i64..60,
            caller in proptest::sample::select(vec![Caller::Gone, Caller::WithPerson, Caller::Elsewhere]),
        ) {
            let open = matches!(state, TransferState::Asked | TransferState::Reserved | TransferState::Ordered);
            let done = (state, caller) == (TransferState::Ordered, Caller::WithPerson);
            let expected = match (open, done) {
                (_, true) => Step::Done,
                (true, false) => Step::Fail,
                (false, _) => Step::Wait,
            };
            prop_assert_eq!(step(&transfer(state, at(until)), caller, at(now)), expected);
        }
    }
}
