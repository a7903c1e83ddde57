//! The customers of the platform.

use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretSlice};
use sqlx::Row;
use voice_schemas::TenantId;

use crate::{
    Database, Error, Result, TenantTx,
    sealed::{Place, Sealed, Sealer},
};

/// What may be known about a tenant outside its own transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name in addresses and on the command line.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// Where its data lives.
    pub region: String,
    /// The language of its reports.
    pub default_locale: String,
    /// The zone its days are cut in.
    pub timezone: Tz,
}

/// A tenant as it is written.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its id.
    pub id: TenantId,
    /// Lower-case letters, digits and hyphens; unique on the platform.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Where its data lives.
    pub region: String,
    /// The language of its reports.
    pub default_locale: String,
    /// The zone its days are cut in.
    pub timezone: Tz,
}

/// The key that turns a tenant's phone numbers into tokens: HMAC-SHA-256 over the E.164 number.
#[derive(Clone, Debug)]
pub struct PhoneKey(SecretSlice<u8>);

impl PhoneKey {
    /// The 32 bytes of the key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    pub(crate) fn open(sealer: &Sealer, tenant: TenantId, sealed: &Sealed) -> Result<Self> {
        Ok(Self(sealer.open(&phone_key_place(tenant), sealed)?))
    }
}

fn phone_key_place(tenant: TenantId) -> Place {
    Place {
        tenant,
        table: "tenants",
        row: tenant.0,
        field: "phone_key",
    }
}

/// Every tenant, for jobs that go through them one by one. Needs [`Role::Api`](crate::Role::Api),
/// [`Worker`](crate::Role::Worker) or [`Report`](crate::Role::Report), or the owner.
///
/// # Errors
/// When the database fails or a row names a time zone this program does not know.
pub async fn all(database: &Database) -> Result<Vec<Tenant>> {
    sqlx::query("SELECT id, slug, name, status, region, default_locale, timezone FROM app.all_tenants()")
        .fetch_all(database.pool())
        .await?
        .iter()
        .map(read)
        .collect()
}

/// The tenant of this transaction; none when it does not exist.
///
/// # Errors
/// When the database fails or the row names a time zone this program does not know.
pub async fn current(tx: &mut TenantTx) -> Result<Option<Tenant>> {
    sqlx::query("SELECT id, slug, name, status, region, default_locale, timezone FROM app.tenants")
        .fetch_optional(&mut **tx)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

fn read(row: &sqlx::postgres::PgRow) -> Result<Tenant> {
    let zone: String = row.try_get("timezone")?;
    Ok(Tenant {
        id: TenantId(row.try_get("id")?),
        slug: row.try_get("slug")?,
        name: row.try_get("name")?,
        status: row.try_get("status")?,
        region: row.try_get("region")?,
        default_locale: row.try_get("default_locale")?,
        timezone: zone.parse().map_err(|_| Error::Unreadable {
            column: "tenants.timezone",
        })?,
    })
}

/// Creates the tenant, or changes everything about it but its phone key, which it keeps for life: with
/// another key, every number would become another token. Commits by itself.
///
/// # Errors
/// `Constraint("tenants_slug_key")` when another tenant has the slug.
pub async fn upsert(database: &Database, sealer: &Sealer, tenant: &NewTenant) -> Result<()> {
    let mut key = [0_u8; 32];
    rand::fill(&mut key);
    let sealed = sealer.seal(&phone_key_place(tenant.id), &key)?;
    let mut tx = database.tenant(tenant.id).await?;
    sqlx::query(
        "INSERT INTO app.tenants
             (id, slug, name, region, default_locale, timezone, phone_key_enc, phone_key_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET
             slug = excluded.slug, name = excluded.name, region = excluded.region,
             default_locale = excluded.default_locale, timezone = excluded.timezone",
    )
    .bind(tenant.id.0)
    .bind(&tenant.slug)
    .bind(&tenant.name)
    .bind(&tenant.region)
    .bind(&tenant.default_locale)
    .bind(tenant.timezone.name())
    .bind(&sealed.bytes)
    .bind(sealed.key_version)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// The phone key of the transaction's tenant; none when the tenant does not exist.
///
/// # Errors
/// When the database fails or the key does not open.
pub async fn phone_key(tx: &mut TenantTx, sealer: &Sealer) -> Result<Option<PhoneKey>> {
    let row: Option<(Vec<u8>, i32)> =
        sqlx::query_as("SELECT phone_key_enc, phone_key_version FROM app.tenants")
            .fetch_optional(&mut **tx)
            .await?;
    row.map(|(bytes, key_version)| PhoneKey::open(sealer, tx.tenant(), &Sealed { bytes, key_version }))
        .transpose()
}
