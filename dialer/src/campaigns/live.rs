//! Which campaigns there is anything to do for, in all tenants, and whose dialling is stopped.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use voice_postgres::{Database, Result};
use voice_schemas::{CampaignId, TenantId, events::campaign::CampaignStatus};

use super::EVERYBODY;

/// A campaign that dials, may soon, or may have calls under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: CampaignId,
    /// Where it stands.
    pub status: CampaignStatus,
    /// Its shards.
    pub shards: u16,
    /// Grows with every change.
    pub version: i64,
    /// When it is to start.
    pub start_at: Option<DateTime<Utc>>,
    /// When it is to end.
    pub end_at: Option<DateTime<Utc>>,
}

/// The switches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops(HashSet<TenantId>);

impl Stops {
    /// Whether the tenant's dialling is stopped, by its own switch or everybody's.
    #[must_use]
    pub fn holds(&self, tenant: TenantId) -> bool {
        self.0.contains(&tenant) || self.0.contains(&EVERYBODY)
    }
}

/// All live campaigns and all stops.
///
/// # Errors
/// When the database fails.
pub async fn live(database: &Database) -> Result<(Vec<Live>, Stops)> {
    // The functions cross tenants by themselves; the transaction belongs to nobody.
    let mut tx = database.tenant(EVERYBODY).await?;
    let rows = sqlx::query(
        "SELECT tenant_id, id, status, shards, version, start_at, end_at FROM app.all_live_campaigns()",
    )
    .fetch_all(&mut *tx)
    .await?;
    let stopped = sqlx::query("SELECT tenant_id FROM app.all_dial_stops()")
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    let mut campaigns = Vec::with_capacity(rows.len());
    for row in rows {
        let shards: i16 = row.try_get("shards")?;
        campaigns.push(Live {
            tenant: TenantId(row.try_get("tenant_id")?),
            id: CampaignId(row.try_get("id")?),
            status: CampaignStatus::parse(row.try_get("status")?).ok_or(
                voice_postgres::Error::Unreadable {
                    column: "campaigns.status",
                },
            )?,
            shards: u16::try_from(shards).unwrap_or(1),
            version: row.try_get("version")?,
            start_at: row.try_get("start_at")?,
            end_at: row.try_get("end_at")?,
        });
    }
    let stops = stopped
        .iter()
        .map(|row| Ok(TenantId(row.try_get("tenant_id")?)))
        .collect::<Result<_>>()?;
    Ok((campaigns, Stops(stops)))
}
