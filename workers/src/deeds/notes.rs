//! What a call leaves behind in Postgres.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;
use voice_contacts::suppressions::{Reason, Scope, suppress_person};
use voice_postgres::{Database, Error, Result as Stored, TenantTx};
use voice_providers::tools::Disposition;
use voice_schemas::{AttemptId, CampaignId, ContactId, ProviderAccountId, TenantId};

use crate::hands::{HandsError, Line};

/// Nobody remembers for longer what they wanted to be called about.
const LATEST_CALLBACK: TimeDelta = TimeDelta::days(90);

/// The try a call belongs to.
pub(super) struct Attempt {
    pub(super) account: Option<ProviderAccountId>,
    campaign: CampaignId,
    contact: ContactId,
    phone_token: Uuid,
    /// Whose calls an opt-out ends.
    scope: Scope,
}

impl Attempt {
    pub(super) async fn find(database: &Database, tenant: TenantId, id: AttemptId) -> Stored<Option<Self>> {
        let mut tx = database.tenant(tenant).await?;
        let found = Self::read(&mut tx, id).await?;
        tx.rollback().await?;
        Ok(found)
    }

    async fn read(tx: &mut TenantTx, id: AttemptId) -> Stored<Option<Self>> {
        let row = sqlx::query(
            "SELECT a.account_id, a.campaign_id, a.contact_id, a.phone_token, c.opt_out_scope, c.company_id
             FROM app.attempts a JOIN app.campaigns c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
             WHERE a.tenant_id = $1 AND a.id = $2",
        )
        .bind(tx.tenant().0)
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Self {
            account: row
                .try_get::<Option<Uuid>, _>("account_id")?
                .map(ProviderAccountId),
            campaign: CampaignId(row.try_get("campaign_id")?),
            contact: ContactId(row.try_get("contact_id")?),
            phone_token: row.try_get("phone_token")?,
            scope: match (row.try_get("opt_out_scope")?, row.try_get("company_id")?) {
                ("company", Some(company)) => Scope::Company(company),
                _ => Scope::Tenant,
            },
        }))
    }
}

pub(super) fn failed(error: Error) -> HandsError {
    tracing::warn!(kind = error.kind(), "a call's wish could not be written down");
    HandsError::Unavailable
}

fn done() -> Value {
    json!({"done": true})
}

/// Nobody of the person's numbers is called any more: written and told in one transaction.
pub(super) async fn opt_out(
    database: &Database,
    line: &Line,
    now: DateTime<Utc>,
) -> Result<Value, HandsError> {
    let id = line.attempt.ok_or(HandsError::Refused)?;
    let written = async {
        let mut tx = database.tenant(line.tenant).await?;
        let Some(attempt) = Attempt::read(&mut tx, id).await? else {
            return Ok(false);
        };
        let token = Some(attempt.phone_token);
        suppress_person(
            &mut tx,
            attempt.contact,
            token,
            attempt.scope,
            Reason::OptOut,
            now,
        )
        .await?;
        sqlx::query(
            "UPDATE app.attempts SET opted_out_at = coalesce(opted_out_at, $3) WHERE tenant_id = $1 AND id = $2",
        )
        .bind(line.tenant.0)
        .bind(id.0)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    };
    answer(written.await)
}

/// The campaign calls again at that time, whatever its retry policy makes of this call.
pub(super) async fn call_back(
    database: &Database,
    line: &Line,
    at: &str,
    now: DateTime<Utc>,
) -> Result<Value, HandsError> {
    let id = line.attempt.ok_or(HandsError::Refused)?;
    let at = DateTime::parse_from_rfc3339(at)
        .or_else(|_| DateTime::parse_from_str(at, "%Y-%m-%dT%H:%M%:z"))
        .map_err(|_| HandsError::Refused)?
        .to_utc();
    if at <= now || at > now + LATEST_CALLBACK {
        return Err(HandsError::Refused);
    }
    let written = async {
        let mut tx = database.tenant(line.tenant).await?;
        let Some(attempt) = Attempt::read(&mut tx, id).await? else {
            return Ok(false);
        };
        let noted = sqlx::query(
            "UPDATE app.campaign_contacts SET callback_at = $5
             WHERE tenant_id = $1 AND campaign_id = $2 AND contact_id = $3 AND attempt_id = $4",
        )
        .bind(line.tenant.0)
        .bind(attempt.campaign.0)
        .bind(attempt.contact.0)
        .bind(id.0)
        .bind(at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(noted.rows_affected() > 0)
    };
    answer(written.await)
}

/// What came of the call, by the tenant's disposition of that name, else by the first of its class.
pub(super) async fn dispose(
    database: &Database,
    line: &Line,
    disposition: Disposition,
) -> Result<Value, HandsError> {
    let id = line.attempt.ok_or(HandsError::Refused)?;
    let (code, class) = match disposition {
        Disposition::Success => ("success", Some("sale")),
        Disposition::Interested => ("interested", Some("sale")),
        Disposition::NotInterested => ("not_interested", Some("not_interested")),
        Disposition::CallBack => ("call_back", Some("callback")),
        Disposition::WrongPerson => ("wrong_person", Some("wrong_number")),
        Disposition::LanguageBarrier => ("language_barrier", None),
        Disposition::Other => ("other", None),
    };
    let written = async {
        let mut tx = database.tenant(line.tenant).await?;
        let noted = sqlx::query(
            "UPDATE app.attempts a SET disposition_id = d.id
             FROM (SELECT id FROM app.dispositions
                   WHERE tenant_id = $1 AND (code = $3 OR class = $4)
                   ORDER BY (code = $3) DESC, code LIMIT 1) AS d
             WHERE a.tenant_id = $1 AND a.id = $2",
        )
        .bind(line.tenant.0)
        .bind(id.0)
        .bind(code)
        .bind(class)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(noted.rows_affected() > 0)
    };
    answer(written.await)
}

fn answer(written: Stored<bool>) -> Result<Value, HandsError> {
    match written {
        Ok(true) => Ok(done()),
        Ok(false) => Err(HandsError::Refused),
        Err(error) => Err(failed(error)),
    }
}
