//! What each number was used for on each day: dials, for its cap, and answers, from which its answer rate is learnt.
//!
//! All shards that show a number write the same row, so it is written in a transaction of its own, after the one that
//! made the attempts or ended them: held inside those, the rows of a few numbers would let one claim through at a time.
//! A process killed in between leaves the calls of that moment uncounted; what counts for the law is the ledger.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use uuid::Uuid;
use voice_postgres::{Database, Result};
use voice_schemas::TenantId;

use crate::{attempts::Line, events::NumbersUncounted};

/// Calls of a number on a day (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) dials: i32,
    pub(crate) answers: i32,
}

impl Use {
    /// A call that was placed.
    pub(crate) const DIAL: Self = Self { dials: 1, answers: 0 };
    /// One that was answered.
    pub(crate) const ANSWER: Self = Self { dials: 0, answers: 1 };
}

/// By number and day.
pub(crate) type Uses = BTreeMap<(Uuid, NaiveDate), Use>;

/// What the numbers shown by `lines` were used for, each of them for `each`.
pub(crate) fn uses<'a>(lines: impl Iterator<Item = &'a Line>, each: Use) -> Uses {
    let mut uses = Uses::new();
    for line in lines {
        if let Some(number) = line.caller_number {
            let of_day = uses.entry((number, line.claimed_at.date_naive())).or_default();
            of_day.dials += each.dials;
            of_day.answers += each.answers;
        }
    }
    uses
}

/// Adds to the days of numbers. What cannot be written is given up: it would only come late.
pub(crate) async fn count(database: &Database, tenant: TenantId, uses: &Uses) {
    if uses.is_empty() {
        return;
    }
    if let Err(error) = write(database, tenant, uses).await {
        NumbersUncounted { error: &error }.emit();
    }
}

async fn write(database: &Database, tenant: TenantId, uses: &Uses) -> Result<()> {
    let mut tx = database.tenant(tenant).await?;
    // Nobody waits for the disk while these rows are locked.
    sqlx::query("SET LOCAL synchronous_commit = off")
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        // In one order everywhere, so that two processes never wait for each other in a circle.
        "INSERT INTO app.caller_number_days AS d (tenant_id, number_id, day, dials, answers)
         SELECT $1, u.* FROM unnest($2::uuid[], $3::date[], $4::integer[], $5::integer[])
             AS u(number_id, day, dials, answers) ORDER BY u.number_id, u.day
         ON CONFLICT (tenant_id, number_id, day)
         DO UPDATE SET dials = d.dials + excluded.dials, answers = d.answers + excluded.answers",
    )
    .bind(tenant.0)
    .bind(uses.keys().map(|(number, _)| *number).collect::<Vec<_>>())
    .bind(uses.keys().map(|(_, day)| *day).collect::<Vec<_>>())
    .bind(uses.values().map(|one| one.dials).collect::<Vec<_>>())
    .bind(uses.values().map(|one| one.answers).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
