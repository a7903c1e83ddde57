//! How fast an account may dial, shared by all processes: one bucket in Postgres, out of which they take handfuls.
//!
//! A bucket and not equal shares by lease: the limit then holds whatever processes start, die or idle, and an account
//! one process does not need is another's at once. What it costs is one small transaction per handful.
//! Handfuls spoil within a second: dials that were not made must not pile up into a burst the carrier queues.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;

use voice_postgres::{Database, Result};
use voice_schemas::{ProviderAccountId, TenantId};

/// Unused dials are worth nothing after this.
const FRESH: TimeDelta = TimeDelta::milliseconds(1_000);

/// What the bucket gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// Dials that may be made.
    pub dials: u32,
    /// The account is blocked until then.
    pub blocked_until: Option<DateTime<Utc>>,
    /// When it makes sense to ask again, if it gave less than was asked for.
    pub again_in: TimeDelta,
}

/// Takes up to `want` dials out of the account's bucket. An account without a bucket dials nothing.
///
/// # Errors
/// When the database fails.
pub async fn take(
    database: &Database,
    tenant: TenantId,
    account: ProviderAccountId,
    want: u32,
    now: DateTime<Utc>,
) -> Result<Grant> {
    let mut tx = database.tenant(tenant).await?;
    // The server's clock, since the processes' own may differ; clock_timestamp, since now() is the start of a wait.
    let row = sqlx::query(
        "WITH line AS (
             SELECT tokens, burst, dials_per_second, blocked_until,
                    least(burst, tokens + dials_per_second
                          * greatest(0, extract(epoch FROM clock_timestamp() - refilled_at)))::real AS full
             FROM app.carrier_lines WHERE tenant_id = $1 AND account_id = $2 FOR UPDATE)
         UPDATE app.carrier_lines l SET
             tokens = line.full - CASE WHEN line.blocked_until > $4 THEN 0 ELSE least($3, floor(line.full)) END,
             refilled_at = clock_timestamp()
         FROM line WHERE l.tenant_id = $1 AND l.account_id = $2
         RETURNING CASE WHEN line.blocked_until > $4 THEN 0 ELSE least($3, floor(line.full)) END::integer AS dials,
                   line.blocked_until, line.dials_per_second",
    )
    .bind(tenant.0)
    .bind(account.0)
    .bind(i32::try_from(want).unwrap_or(i32::MAX))
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    let Some(row) = row else {
        return Ok(Grant {
            dials: 0,
            blocked_until: None,
            again_in: FRESH,
        });
    };
    let rate = f64::from(row.try_get::<f32, _>("dials_per_second")?);
    #[allow(clippy::cast_possible_truncation)]
    let per_dial = TimeDelta::microseconds((1e6 / rate) as i64);
    Ok(Grant {
        dials: u32::try_from(row.try_get::<i32, _>("dials")?).unwrap_or(0),
        blocked_until: row
            .try_get::<Option<DateTime<Utc>>, _>("blocked_until")?
            .filter(|until| *until > now),
        again_in: per_dial.clamp(TimeDelta::milliseconds(10), FRESH),
    })
}

/// The carrier said "too many": nobody dials through the account until `until`.
///
/// # Errors
/// When the database fails.
pub async fn block(
    database: &Database,
    tenant: TenantId,
    account: ProviderAccountId,
    until: DateTime<Utc>,
) -> Result<()> {
    let mut tx = database.tenant(tenant).await?;
    sqlx::query(
        "UPDATE app.carrier_lines SET blocked_until = greatest(blocked_until, $3), tokens = 0
         WHERE tenant_id = $1 AND account_id = $2",
    )
    .bind(tenant.0)
    .bind(account.0)
    .bind(until)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// What this process holds of the buckets: dials that were taken out and not made.
#[derive(Debug, Default)]
pub struct Purse {
    held: HashMap<(TenantId, ProviderAccountId), Held>,
}

#[derive(Debug)]
struct Held {
    dials: u32,
    since: DateTime<Utc>,
    not_before: DateTime<Utc>,
    /// What was taken before then is worth nothing.
    spoilt: DateTime<Utc>,
}

impl Purse {
    /// Takes up to `want` dials of the account out; they are the taker's alone.
    pub fn take(
        &mut self,
        tenant: TenantId,
        account: ProviderAccountId,
        want: u32,
        now: DateTime<Utc>,
    ) -> u32 {
        let Some(held) = self.held.get_mut(&(tenant, account)) else {
            return 0;
        };
        if now - held.since >= FRESH {
            held.dials = 0;
        }
        let dials = held.dials.min(want);
        held.dials -= dials;
        dials
    }

    /// Whether it makes sense to ask the bucket.
    #[must_use]
    pub fn may_ask(&self, tenant: TenantId, account: ProviderAccountId, now: DateTime<Utc>) -> bool {
        self.held
            .get(&(tenant, account))
            .is_none_or(|held| held.not_before <= now)
    }

    /// Takes note of what the bucket said to a question for `want`.
    pub fn asked(
        &mut self,
        tenant: TenantId,
        account: ProviderAccountId,
        want: u32,
        grant: Grant,
        now: DateTime<Utc>,
    ) {
        let short = grant.dials < want;
        let held = self.held.entry((tenant, account)).or_insert(Held {
            dials: 0,
            since: now,
            not_before: now,
            spoilt: DateTime::UNIX_EPOCH,
        });
        let again = grant
            .blocked_until
            .unwrap_or(if short { now + grant.again_in } else { now });
        held.not_before = held.not_before.max(again);
    }

    /// Puts back what was taken at `since` and not dialled.
    pub fn give_back(
        &mut self,
        tenant: TenantId,
        account: ProviderAccountId,
        dials: u32,
        since: DateTime<Utc>,
    ) {
        let Some(held) = self.held.get_mut(&(tenant, account)) else {
            return;
        };
        if since < held.spoilt {
            return;
        }
        held.since = if held.dials == 0 {
            since
        } else {
            held.since.min(since)
        };
        held.dials += dials;
    }

    /// The carrier refused: nothing that is held is worth anything until `until`.
    pub fn spoil(&mut self, tenant: TenantId, account: ProviderAccountId, until: DateTime<Utc>) {
        self.held.insert(
            (tenant, account),
            Held {
                dials: 0,
                since: until,
                not_before: until,
                spoilt: until,
            },
        );
    }
}

/// The bucket of an account, as it is set up.
///
/// # Errors
/// When the database fails.
pub async fn set_up(
    tx: &mut voice_postgres::TenantTx,
    account: ProviderAccountId,
    dials_per_second: f32,
    burst: f32,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.carrier_lines (tenant_id, account_id, dials_per_second, burst) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, account_id) DO UPDATE
         SET dials_per_second = excluded.dials_per_second, burst = excluded.burst",
    )
    .bind(tx.tenant().0)
    .bind(account.0)
    .bind(dials_per_second)
    .bind(burst)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const THE: (TenantId, ProviderAccountId) = (TenantId(Uuid::nil()), ProviderAccountId(Uuid::nil()));

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    fn grant(dials: u32) -> Grant {
        Grant {
            dials,
            blocked_until: None,
            again_in: TimeDelta::milliseconds(100),
        }
    }

    #[test]
    fn what_was_not_dialled_is_there_for_others_and_spoils_within_a_second() {
        let (tenant, account) = THE;
        let mut purse = Purse::default();
        assert_eq!(purse.take(tenant, account, 5, at(0)), 0);
        purse.asked(tenant, account, 5, grant(5), at(0));
        purse.give_back(tenant, account, 3, at(0));
        assert_eq!(purse.take(tenant, account, 2, at(999)), 2);
        assert_eq!(
            purse.take(tenant, account, 2, at(999)),
            1,
            "nobody gets what another has"
        );
        purse.give_back(tenant, account, 3, at(0));
        assert_eq!(purse.take(tenant, account, 2, at(1_000)), 0);
    }

    #[test]
    fn an_empty_bucket_is_not_asked_at_once_again() {
        let (tenant, account) = THE;
        let mut purse = Purse::default();
        assert!(purse.may_ask(tenant, account, at(0)));
        purse.asked(tenant, account, 5, grant(3), at(0));
        assert!(!purse.may_ask(tenant, account, at(99)));
        assert!(purse.may_ask(tenant, account, at(100)));
        purse.asked(tenant, account, 5, grant(5), at(100));
        assert!(purse.may_ask(tenant, account, at(100)));
    }

    #[test]
    fn a_blocked_account_gives_nothing_until_the_carrier_takes_calls_again() {
        let (tenant, account) = THE;
        let mut purse = Purse::default();
        purse.asked(tenant, account, 3, grant(3), at(0));
        purse.give_back(tenant, account, 2, at(0));
        purse.spoil(tenant, account, at(2_000));
        purse.give_back(tenant, account, 1, at(0));
        assert_eq!(purse.take(tenant, account, 3, at(1)), 0);
        assert!(!purse.may_ask(tenant, account, at(1_999)));
        assert!(purse.may_ask(tenant, account, at(2_000)));
    }
}
