//! The monthly partitions of what grows: attempts and decisions.

use chrono::{DateTime, Utc};
use voice_postgres::{Database, Result};

use crate::campaigns::EVERYBODY;

/// Makes the partitions of this month and the `months` after it; those there are stay. Only the owner of the tables
/// may: a [`Database`] of the role [`Owner`](voice_postgres::Role::Owner). Gives how many were made.
///
/// # Errors
/// When the database fails.
pub async fn make_partitions(database: &Database, months: i32, now: DateTime<Utc>) -> Result<i32> {
    let mut tx = database.tenant(EVERYBODY).await?;
    let made = sqlx::query_scalar("SELECT app.make_month_partitions($1, $2)")
        .bind(now)
        .bind(months)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(made)
}
