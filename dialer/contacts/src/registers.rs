//! Registers of people who do not want calls, as they were on a day: `us-dnc`, `gb-tps`, …
//!
//! A scrub is loaded beside the one in use, a batch at a time, and takes its place in one step: nobody is dialled by
//! half a register, and one that breaks off changes nothing. How old it may be is a rule of the law's packs; whoever
//! was looked up too long ago was not looked up.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// The whole register: whoever is not in it is not listed.
    Register,
    /// The answer of a look-up: it says something about its own numbers only.
    Numbers,
}

impl Covers {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Numbers => "numbers",
        }
    }
}

/// A scrub that is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    id: Uuid,
    covers: Covers,
}

/// Begins a scrub of the register `list` as it was at `taken_at`.
///
/// # Errors
/// When the database fails or takes no register of this name: lower-case letters, digits and hyphens.
pub async fn begin(
    tx: &mut TenantTx,
    list: &str,
    covers: Covers,
    taken_at: DateTime<Utc>,
) -> Result<Loading> {
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO app.registry_scrubs (tenant_id, id, list, covers, taken_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .bind(list)
    .bind(covers.as_str())
    .bind(taken_at)
    .execute(&mut **tx)
    .await?;
    Ok(Loading { id, covers })
}

/// Adds tokens, each with whether it is listed. Returns how many there were, each counted once.
///
/// # Errors
/// When the database fails, or the scrub was given up.
pub async fn add(tx: &mut TenantTx, to: Loading, entries: &[(Uuid, bool)]) -> Result<u64> {
    let done = sqlx::query(
        "INSERT INTO app.registry_entries (tenant_id, token, scrub_id, listed)
         SELECT $1, u.token, $2, bool_or(u.listed)
         FROM unnest($3::uuid[], $4::boolean[]) AS u(token, listed) GROUP BY u.token ORDER BY u.token
         ON CONFLICT (tenant_id, token, scrub_id) DO UPDATE SET listed = registry_entries.listed OR excluded.listed",
    )
    .bind(tx.tenant().0)
    .bind(to.id)
    .bind(entries.iter().map(|(token, _)| *token).collect::<Vec<_>>())
    .bind(entries.iter().map(|(_, listed)| *listed).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Puts the scrub to use. A whole register takes the place of the one before it, unless that is newer; then the new one
/// is dropped. True when it is in use.
///
/// # Errors
/// When the database fails.
pub async fn finish(tx: &mut TenantTx, scrub: Loading) -> Result<bool> {
    if scrub.covers == Covers::Register {
        let newer: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM app.registry_scrubs c, app.registry_scrubs n
                            WHERE n.tenant_id = $1 AND n.id = $2 AND c.tenant_id = $1 AND c.list = n.list
                              AND c.covers = 'register' AND c.state = 'current' AND c.taken_at > n.taken_at)",
        )
        .bind(tx.tenant().0)
        .bind(scrub.id)
        .fetch_one(&mut **tx)
        .await?;
        let drop = if newer {
            "DELETE FROM app.registry_scrubs WHERE tenant_id = $1 AND id = $2"
        } else {
            "DELETE FROM app.registry_scrubs c USING app.registry_scrubs n
             WHERE n.tenant_id = $1 AND n.id = $2 AND c.tenant_id = $1 AND c.list = n.list
               AND c.covers = 'register' AND c.state = 'current'"
        };
        sqlx::query(drop)
            .bind(tx.tenant().0)
            .bind(scrub.id)
            .execute(&mut **tx)
            .await?;
        if newer {
            return Ok(false);
        }
    }
    sqlx::query(
        "UPDATE app.registry_scrubs SET state = 'current',
             entries = (SELECT count(*) FROM app.registry_entries e WHERE e.tenant_id = $1 AND e.scrub_id = $2)
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tx.tenant().0)
    .bind(scrub.id)
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Drops a scrub that is being loaded; the one in use stays.
///
/// # Errors
/// When the database fails.
pub async fn give_up(tx: &mut TenantTx, scrub: Loading) -> Result<()> {
    sqlx::query("DELETE FROM app.registry_scrubs WHERE tenant_id = $1 AND id = $2 AND state = 'loading'")
        .bind(tx.tenant().0)
        .bind(scrub.id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Drops what is of no use any more: scrubs taken before `before`, and loads that broke off before it. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn forget(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM app.registry_scrubs
         WHERE tenant_id = $1 AND CASE state WHEN 'loading' THEN created_at ELSE taken_at END < $2",
    )
    .bind(tx.tenant().0)
    .bind(before)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
