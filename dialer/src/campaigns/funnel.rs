//! Where the contacts of a campaign stand, counted: why the hopper is as full as it is.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use voice_postgres::{Result, TenantTx};
use voice_schemas::CampaignId;

/// Contacts of a campaign, each counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    /// May be claimed now, as far as the last decision knows.
    pub due: i64,
    /// Wait for the time of a retry or a callback.
    pub waiting: i64,
    /// The last decision went against them for the hours or the calendar.
    pub out_of_window: i64,
    /// The last decision went against them for a cap or a lock-out.
    pub capped: i64,
    /// The last decision went against them for something else.
    pub held_back: i64,
    /// Are being called.
    pub dialling: i64,
    /// Were talked to.
    pub completed: i64,
    /// Were tried as often as they may be.
    pub exhausted: i64,
    /// Must not be called.
    pub suppressed: i64,
    /// Have no number that works.
    pub failed: i64,
    /// When the next of those that wait is due.
    pub next_at: Option<DateTime<Utc>>,
    /// How often each code of a reason stands in the last decisions against.
    pub reasons: Vec<(String, i64)>,
}

impl Funnel {
    /// All contacts of the campaign.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.due
            + self.waiting
            + self.out_of_window
            + self.capped
            + self.held_back
            + self.dialling
            + self.completed
            + self.exhausted
            + self.suppressed
            + self.failed
    }
}

/// Counts the contacts of a campaign at `now`. Reads all of them: a person asks for it, no loop does.
///
/// # Errors
/// When the database fails.
pub async fn funnel(tx: &mut TenantTx, id: CampaignId, now: DateTime<Utc>) -> Result<Funnel> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE state = 'ready' AND next_attempt_at <= $3) AS due,
                count(*) FILTER (WHERE held AND cardinality(last_reasons) = 0) AS waiting,
                count(*) FILTER (WHERE held AND window_closed) AS out_of_window,
                count(*) FILTER (WHERE held AND NOT window_closed AND capped) AS capped,
                count(*) FILTER (WHERE held AND NOT window_closed AND NOT capped
                                   AND cardinality(last_reasons) > 0) AS held_back,
                count(*) FILTER (WHERE state = 'dialling') AS dialling,
                count(*) FILTER (WHERE state = 'completed') AS completed,
                count(*) FILTER (WHERE state = 'exhausted') AS exhausted,
                count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
                count(*) FILTER (WHERE state = 'failed') AS failed,
                min(next_attempt_at) FILTER (WHERE held) AS next_at
         FROM (SELECT state, next_attempt_at, last_reasons, state = 'ready' AND next_attempt_at > $3 AS held,
                      EXISTS (SELECT FROM unnest(last_reasons) r
                              WHERE r LIKE '%hours%' OR r LIKE '%window%' OR r LIKE '%holiday%' OR r LIKE '%day%closed%'
                                 OR r LIKE 'calendar%') AS window_closed,
                      EXISTS (SELECT FROM unnest(last_reasons) r
                              WHERE r LIKE '%cap%' OR r LIKE '%lockout%' OR r LIKE '%cool%') AS capped
               FROM app.campaign_contacts WHERE tenant_id = $1 AND campaign_id = $2) AS c",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .bind(now)
    .fetch_one(&mut **tx)
    .await?;
    let reasons = sqlx::query(
        "SELECT r.code, count(*) AS contacts
         FROM app.campaign_contacts c CROSS JOIN LATERAL unnest(c.last_reasons) AS r(code)
         WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.state IN ('ready', 'suppressed', 'exhausted')
         GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_all(&mut **tx)
    .await?;
    Ok(Funnel {
        due: row.try_get("due")?,
        waiting: row.try_get("waiting")?,
        out_of_window: row.try_get("out_of_window")?,
        capped: row.try_get("capped")?,
        held_back: row.try_get("held_back")?,
        dialling: row.try_get("dialling")?,
        completed: row.try_get("completed")?,
        exhausted: row.try_get("exhausted")?,
        suppressed: row.try_get("suppressed")?,
        failed: row.try_get("failed")?,
        next_at: row.try_get("next_at")?,
        reasons: reasons
            .iter()
            .map(|row| Ok((row.try_get("code")?, row.try_get("contacts")?)))
            .collect::<Result<_>>()?,
    })
}
