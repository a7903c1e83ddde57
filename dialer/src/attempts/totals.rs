//! How many attempts there are and how they ended: what Kafka and ClickHouse have to agree with.

use std::collections::BTreeMap;

use sqlx::Row as _;
use voice_postgres::{Error, Result, TenantTx};
use voice_schemas::events::call::CallOutcome;

/// Attempts, each counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Without an end yet.
    pub open: u64,
    /// Ended, by outcome.
    pub ended: BTreeMap<CallOutcome, u64>,
    /// Of these, somebody or something answered.
    pub answered: u64,
    /// Of these, talked to a person of ours or an AI agent.
    pub bridged: u64,
    /// Of these, a person answered and nobody was there.
    pub abandoned: u64,
}

impl Totals {
    /// All that ended.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.ended.values().sum()
    }
}

/// Counts the attempts of the tenant of the transaction. Reads all of them: for audits.
///
/// # Errors
/// When the database fails.
pub async fn totals(tx: &mut TenantTx) -> Result<Totals> {
    let rows = sqlx::query(
        "SELECT outcome, count(*), count(answered_at), count(bridged_at), count(*) FILTER (WHERE abandoned)
         FROM app.attempts WHERE tenant_id = $1 GROUP BY outcome",
    )
    .bind(tx.tenant().0)
    .fetch_all(&mut **tx)
    .await?;
    let mut totals = Totals::default();
    for row in rows {
        let count = |column: usize| -> Result<u64> {
            let count: i64 = row.try_get(column)?;
            Ok(count.unsigned_abs())
        };
        let outcome: Option<&str> = row.try_get(0)?;
        let Some(outcome) = outcome else {
            totals.open += count(1)?;
            continue;
        };
        let outcome = CallOutcome::parse(outcome).ok_or(Error::Unreadable {
            column: "attempts.outcome",
        })?;
        totals.ended.insert(outcome, count(1)?);
        totals.answered += count(2)?;
        totals.bridged += count(3)?;
        totals.abandoned += count(4)?;
    }
    Ok(totals)
}
