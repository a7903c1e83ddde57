//! Who must not be called: by the token of a number, for a tenant, a company or one campaign.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Error, Result, TenantTx};
use voice_schemas::{CampaignId, ContactId};

use crate::events;

/// How far a suppression reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every call of the tenant.
    Tenant,
    /// Calls on behalf of one company.
    Company(Uuid),
    /// Calls of one campaign.
    Campaign(CampaignId),
}

impl Scope {
    const fn parts(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Tenant => ("tenant", None),
            Self::Company(id) => ("company", Some(id)),
            Self::Campaign(id) => ("campaign", Some(id.0)),
        }
    }

    fn read(name: &str, id: Option<Uuid>) -> Option<Self> {
        match (name, id) {
            ("tenant", None) => Some(Self::Tenant),
            ("company", Some(id)) => Some(Self::Company(id)),
            ("campaign", Some(id)) => Some(Self::Campaign(CampaignId(id))),
            _ => None,
        }
    }
}

/// Why somebody must not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Asked not to be called.
    OptOut,
    /// Withdrew a consent.
    Withdrawn,
    /// Stands on a list of a register or of the customer.
    DoNotCallList,
    /// Complained.
    Complaint,
    /// The number is somebody else's.
    WrongNumber,
    /// Asked to be forgotten; this is what remains.
    Erased,
    /// Anything else.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::OptOut,
        Self::Withdrawn,
        Self::DoNotCallList,
        Self::Complaint,
        Self::WrongNumber,
        Self::Erased,
        Self::Other,
    ];

    /// Its name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptOut => "opt_out",
            Self::Withdrawn => "withdrawn",
            Self::DoNotCallList => "do_not_call_list",
            Self::Complaint => "complaint",
            Self::WrongNumber => "wrong_number",
            Self::Erased => "erased",
            Self::Other => "other",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }
}

/// A suppression that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The token of the number.
    pub token: Uuid,
    /// How far it reaches.
    pub scope: Scope,
    /// Why.
    pub reason: Reason,
    /// When it ends; none is never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Suppression {
    /// Whether it forbids a call of this campaign on behalf of this company.
    #[must_use]
    pub fn forbids(&self, company: Option<Uuid>, campaign: CampaignId) -> bool {
        match self.scope {
            Scope::Tenant => true,
            Scope::Company(id) => company == Some(id),
            Scope::Campaign(id) => campaign == id,
        }
    }
}

/// Suppresses these tokens from now on, with an event about those that were not. One that already is stays so for
/// the longer of both times, and keeps its reason while it is in force. Returns how many rows were written.
///
/// # Errors
/// When the database fails.
pub async fn suppress(
    tx: &mut TenantTx,
    tokens: &[Uuid],
    scope: Scope,
    reason: Reason,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<u64> {
    suppress_for(tx, tokens, None, scope, reason, expires_at, now).await
}

/// Suppresses all numbers of a person, as [`suppress`] does: whoever objects, objects to being called, not to one
/// of their telephones. `also` is suppressed with them, should it not be theirs any more.
///
/// # Errors
/// When the database fails.
pub async fn suppress_person(
    tx: &mut TenantTx,
    contact: ContactId,
    also: Option<Uuid>,
    scope: Scope,
    reason: Reason,
    now: DateTime<Utc>,
) -> Result<u64> {
    let mut tokens: Vec<Uuid> =
        sqlx::query_scalar("SELECT token FROM app.contact_phones WHERE tenant_id = $1 AND contact_id = $2")
            .bind(tx.tenant().0)
            .bind(contact.0)
            .fetch_all(&mut **tx)
            .await?;
    tokens.extend(also);
    suppress_for(tx, &tokens, Some(contact), scope, reason, None, now).await
}

pub(crate) async fn suppress_for(
    tx: &mut TenantTx,
    tokens: &[Uuid],
    contact: Option<ContactId>,
    reach: Scope,
    reason: Reason,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let tenant = tx.tenant().0;
    let (scope, scope_id) = reach.parts();
    // In the order of tokens, so that two processes cannot wait for each other.
    let mut tokens = tokens.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    let ids: Vec<Uuid> = tokens.iter().map(|_| Uuid::now_v7()).collect();
    // What was in force before is read by the same statement, so as it was before it.
    let written: Vec<(Uuid, bool)> = sqlx::query_as(
        "INSERT INTO app.suppressions AS s (tenant_id, id, token, scope, scope_id, reason, expires_at)
         SELECT $1, u.id, u.token, $4, $5, $6, $7 FROM unnest($2::uuid[], $3::uuid[]) AS u (id, token)
         ON CONFLICT ON CONSTRAINT suppressions_token DO UPDATE SET
             reason = CASE WHEN s.expires_at <= $8 THEN excluded.reason ELSE s.reason END,
             expires_at = CASE WHEN s.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                               ELSE greatest(s.expires_at, excluded.expires_at) END
         RETURNING s.token,
             NOT EXISTS (SELECT FROM app.suppressions b
                         WHERE b.tenant_id = $1 AND b.token = s.token AND b.scope = $4
                           AND b.scope_id IS NOT DISTINCT FROM $5
                           AND (b.expires_at IS NULL OR b.expires_at > $8))",
    )
    .bind(tenant)
    .bind(&ids)
    .bind(&tokens)
    .bind(scope)
    .bind(scope_id)
    .bind(reason.as_str())
    .bind(expires_at)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    let mut fresh: Vec<Uuid> = written
        .iter()
        .filter_map(|(token, fresh)| fresh.then_some(*token))
        .collect();
    fresh.sort_unstable();
    events::suppressed(tx, &fresh, contact, reach, reason, expires_at, now).await?;
    Ok(u64::try_from(written.len()).unwrap_or(u64::MAX))
}

/// Every suppression of these tokens that is in force at `now`, of all scopes: one query for a whole batch of
/// dials, whose campaigns and companies [`Suppression::forbids`] tells apart.
///
/// # Errors
/// When the database fails, or holds a scope or reason this program does not know.
pub async fn matching(tx: &mut TenantTx, tokens: &[Uuid], now: DateTime<Utc>) -> Result<Vec<Suppression>> {
    let rows = sqlx::query(
        // One look into the index per token. `token = ANY($2)` would be a scan of the whole tenant where the
        // table has no statistics yet.
        "SELECT s.token, s.scope, s.scope_id, s.reason, s.expires_at
         FROM (SELECT DISTINCT unnest($2::uuid[])) AS wanted (token)
         CROSS JOIN LATERAL (
             SELECT * FROM app.suppressions s WHERE s.tenant_id = $1 AND s.token = wanted.token OFFSET 0) s
         WHERE s.expires_at IS NULL OR s.expires_at > $3",
    )
    .bind(tx.tenant().0)
    .bind(tokens)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Suppression {
                token: row.try_get("token")?,
                scope: Scope::read(row.try_get("scope")?, row.try_get("scope_id")?).ok_or(
                    Error::Unreadable {
                        column: "suppressions.scope",
                    },
                )?,
                reason: Reason::parse(row.try_get("reason")?).ok_or(Error::Unreadable {
                    column: "suppressions.reason",
                })?,
                expires_at: row.try_get("expires_at")?,
            })
        })
        .collect()
}
