//! Accounts of tenants at carriers, with the secrets that prove their webhooks and authorise our requests.
//!
//! Whoever receives webhooks keeps all enabled accounts in memory ([`load_all`]) and reads them again when
//! [`Changes`] says so. Secrets are decrypted here, live in `secrecy` types, and are never written back
//! out: an account is changed by writing whole new credentials.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use voice_schemas::{ProviderAccountId, TenantId, events::call::Carrier};

use crate::{
    Database, Error, Heard, Listener, Result,
    sealed::{Place, SealError, Sealed, Sealer},
    tenants::PhoneKey,
};

/// What proves and authorises, by carrier.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Twilio: webhooks are signed with the auth token; during a rotation two are valid.
    Twilio {
        /// `AC…`.
        account_sid: String,
        /// The primary auth token.
        auth_token: SecretString,
        /// The secondary one, while a rotation is under way.
        secondary_auth_token: Option<SecretString>,
    },
    /// Telnyx: webhooks are signed with Telnyx's key, requests are authorised with ours.
    Telnyx {
        /// The Ed25519 public key of the account, in base64.
        public_key: String,
        /// The API key of REST requests.
        api_key: SecretString,
        /// The Call Control application.
        connection_id: String,
    },
}

impl Credentials {
    /// Whose they are.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        match self {
            Self::Twilio { .. } => Carrier::Twilio,
            Self::Telnyx { .. } => Carrier::Telnyx,
        }
    }

    /// The carrier's own name of the account.
    #[must_use]
    pub fn carrier_account(&self) -> &str {
        match self {
            Self::Twilio { account_sid, .. } => account_sid,
            Self::Telnyx { connection_id, .. } => connection_id,
        }
    }
}

/// The inside of the sealed column.
#[derive(Serialize, Deserialize)]
#[serde(tag = "carrier", rename_all = "lowercase", deny_unknown_fields)]
enum Stored {
    Twilio {
        account_sid: String,
        auth_token: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secondary_auth_token: Option<String>,
    },
    Telnyx {
        public_key: String,
        api_key: String,
        connection_id: String,
    },
}

impl From<&Credentials> for Stored {
    fn from(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::Twilio {
                account_sid,
                auth_token,
                secondary_auth_token,
            } => Self::Twilio {
                account_sid: account_sid.clone(),
                auth_token: auth_token.expose_secret().to_owned(),
                secondary_auth_token: secondary_auth_token
                    .as_ref()
                    .map(|token| token.expose_secret().to_owned()),
            },
            Credentials::Telnyx {
                public_key,
                api_key,
                connection_id,
            } => Self::Telnyx {
                public_key: public_key.clone(),
                api_key: api_key.expose_secret().to_owned(),
                connection_id: connection_id.clone(),
            },
        }
    }
}

impl From<Stored> for Credentials {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Twilio {
                account_sid,
                auth_token,
                secondary_auth_token,
            } => Self::Twilio {
                account_sid,
                auth_token: auth_token.into(),
                secondary_auth_token: secondary_auth_token.map(SecretString::from),
            },
            Stored::Telnyx {
                public_key,
                api_key,
                connection_id,
            } => Self::Telnyx {
                public_key,
                api_key: api_key.into(),
                connection_id,
            },
        }
    }
}

/// What to do with a webhook from an address that is not the carrier's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpPolicy {
    /// Refuse it.
    Enforce,
    /// Take it and count it.
    #[default]
    Log,
    /// Do not look.
    Off,
}

impl IpPolicy {
    /// As it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Log => "log",
            Self::Off => "off",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "log" => Ok(Self::Log),
            "off" => Ok(Self::Off),
            _ => Err(Error::Unreadable {
                column: "provider_accounts.ip_policy",
            }),
        }
    }
}

/// An enabled account of an active tenant, ready to verify webhooks and to make requests.
#[derive(Clone, Debug)]
pub struct ProviderAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ProviderAccountId,
    /// Its name for people.
    pub name: String,
    /// What proves and authorises; also says which carrier it is.
    pub credentials: Credentials,
    /// The part of the webhook address that names it.
    pub ingress_id: String,
    /// Where the carrier's REST API is, when not at the carrier's own address.
    pub base_url: Option<String>,
    /// Webhooks a second it may send.
    pub rate_per_second: u32,
    /// Webhooks it may send at once.
    pub rate_burst: u32,
    /// What to do with a webhook from an unknown address.
    pub ip_policy: IpPolicy,
    /// Networks that are allowed beyond the carrier's published ones, as `10.0.0.0/8`.
    pub ip_allow: Vec<String>,
    /// Counts its changes.
    pub version: i64,
    /// The tenant's key for phone tokens.
    pub phone_key: PhoneKey,
}

/// An account that could not be read; the others go on.
#[derive(Debug)]
pub struct Unreadable {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub id: ProviderAccountId,
    /// Why.
    pub error: Error,
}

/// All accounts, and those that could not be read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Ready to use.
    pub accounts: Vec<ProviderAccount>,
    /// Sealed with another key, or damaged: a person is needed.
    pub unreadable: Vec<Unreadable>,
}

/// An account as it is written.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: ProviderAccountId,
    /// Its name for people.
    pub name: String,
    /// What proves and authorises.
    pub credentials: Credentials,
    /// See [`new_ingress_id`].
    pub ingress_id: String,
    /// Where the carrier's REST API is, when not at the carrier's own address.
    pub base_url: Option<String>,
    /// Webhooks a second it may send.
    pub rate_per_second: u32,
    /// Webhooks it may send at once.
    pub rate_burst: u32,
    /// What to do with a webhook from an unknown address.
    pub ip_policy: IpPolicy,
    /// Networks that are allowed beyond the carrier's published ones, as `10.0.0.0/8`.
    pub ip_allow: Vec<String>,
    /// Whether it is used.
    pub enabled: bool,
}

impl NewAccount {
    /// An enabled account with a fresh ingress id and the default limits.
    #[must_use]
    pub fn new(id: ProviderAccountId, name: &str, credentials: Credentials) -> Self {
        Self {
            id,
            name: name.to_owned(),
            credentials,
            ingress_id: new_ingress_id(),
            base_url: None,
            rate_per_second: 50,
            rate_burst: 500,
            ip_policy: IpPolicy::default(),
            ip_allow: Vec::new(),
            enabled: true,
        }
    }
}

/// 192 random bits for a webhook address, URL-safe.
#[must_use]
pub fn new_ingress_id() -> String {
    let mut bits = [0_u8; 24];
    rand::fill(&mut bits);
    URL_SAFE_NO_PAD.encode(bits)
}

fn place(tenant: TenantId, id: ProviderAccountId) -> Place {
    Place {
        tenant,
        table: "provider_accounts",
        row: id.0,
        field: "credentials",
    }
}

/// All enabled accounts of all active tenants, decrypted. Needs [`Role::Worker`](crate::Role::Worker).
///
/// # Errors
/// When the database fails. An account that does not open is no error; see [`Loaded::unreadable`].
pub async fn load_all(database: &Database, sealer: &Sealer) -> Result<Loaded> {
    let rows = sqlx::query("SELECT * FROM app.all_provider_accounts()")
        .fetch_all(database.pool())
        .await?;
    let mut loaded = Loaded::default();
    for row in &rows {
        let (tenant, id) = (
            TenantId(row.try_get("tenant_id")?),
            ProviderAccountId(row.try_get("id")?),
        );
        match read(row, tenant, id, sealer) {
            Ok(account) => loaded.accounts.push(account),
            Err(error) => loaded.unreadable.push(Unreadable { tenant, id, error }),
        }
    }
    Ok(loaded)
}

fn read(
    row: &sqlx::postgres::PgRow,
    tenant: TenantId,
    id: ProviderAccountId,
    sealer: &Sealer,
) -> Result<ProviderAccount> {
    let sealed = Sealed {
        bytes: row.try_get("credentials_enc")?,
        key_version: row.try_get("key_version")?,
    };
    let secret = sealer.open(&place(tenant, id), &sealed)?;
    let credentials: Credentials = serde_json::from_slice::<Stored>(secret.expose_secret())
        .map_err(|_| SealError::Content)?
        .into();
    if row.try_get::<String, _>("carrier")? != credentials.carrier().as_str() {
        return Err(SealError::Content.into());
    }
    let sealed = Sealed {
        bytes: row.try_get("phone_key_enc")?,
        key_version: row.try_get("phone_key_version")?,
    };
    Ok(ProviderAccount {
        tenant,
        id,
        name: row.try_get("name")?,
        credentials,
        ingress_id: row.try_get("ingress_id")?,
        base_url: row.try_get("base_url")?,
        rate_per_second: positive(row.try_get("rate_per_second")?),
        rate_burst: positive(row.try_get("rate_burst")?),
        ip_policy: IpPolicy::parse(row.try_get("ip_policy")?)?,
        ip_allow: row.try_get("ip_allow")?,
        version: row.try_get("version")?,
        phone_key: PhoneKey::open(sealer, tenant, &sealed)?,
    })
}

/// The column's CHECK keeps it above zero.
fn positive(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(1)
}

/// Creates the account or replaces everything about it, credentials included. Commits by itself, and wakes
/// everybody who listens to [`Changes`].
///
/// # Errors
/// `Constraint` when the name, the carrier's account or the ingress id is taken, or a value is out of range.
pub async fn upsert(
    database: &Database,
    sealer: &Sealer,
    tenant: TenantId,
    account: &NewAccount,
) -> Result<()> {
    let secret = serde_json::to_vec(&Stored::from(&account.credentials)).map_err(|_| SealError::Content)?;
    let sealed = sealer.seal(&place(tenant, account.id), &secret)?;
    drop(secrecy::SecretSlice::from(secret));
    let mut tx = database.tenant(tenant).await?;
    sqlx::query(
        "INSERT INTO app.provider_accounts
             (tenant_id, id, carrier, name, carrier_account, credentials_enc, key_version, ingress_id, base_url,
              rate_per_second, rate_burst, ip_policy, ip_allow, enabled)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text[]::cidr[], $14)
         ON CONFLICT (tenant_id, id) DO UPDATE SET
             carrier = excluded.carrier, name = excluded.name, carrier_account = excluded.carrier_account,
             credentials_enc = excluded.credentials_enc, key_version = excluded.key_version,
             ingress_id = excluded.ingress_id, base_url = excluded.base_url,
             rate_per_second = excluded.rate_per_second, rate_burst = excluded.rate_burst,
             ip_policy = excluded.ip_policy, ip_allow = excluded.ip_allow, enabled = excluded.enabled",
    )
    .bind(tenant.0)
    .bind(account.id.0)
    .bind(account.credentials.carrier().as_str())
    .bind(&account.name)
    .bind(account.credentials.carrier_account())
    .bind(&sealed.bytes)
    .bind(sealed.key_version)
    .bind(&account.ingress_id)
    .bind(&account.base_url)
    .bind(i32::try_from(account.rate_per_second).unwrap_or(i32::MAX))
    .bind(i32::try_from(account.rate_burst).unwrap_or(i32::MAX))
    .bind(account.ip_policy.as_str())
    .bind(&account.ip_allow)
    .bind(account.enabled)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Says when accounts or tenants may have changed, so that they are read again.
#[derive(Debug)]
pub struct Changes {
    listener: Listener,
}

impl Changes {
    /// Starts listening. Load the accounts after this, not before, or a change in between is missed.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn listen(database: &Database) -> Result<Self> {
        Ok(Self {
            listener: database.listen(&["config_changed"]).await?,
        })
    }

    /// Waits until something may have changed; a burst is answered once. Safe to drop and call again.
    ///
    /// # Errors
    /// When the connection was lost and cannot be reopened now; calling again tries again.
    pub async fn changed(&mut self) -> Result<()> {
        loop {
            match self.listener.next().await? {
                Heard::Gap => break,
                Heard::Notification { payload, .. }
                    if payload.starts_with("provider_accounts:") || payload.starts_with("tenants:") =>
                {
                    break;
                }
                Heard::Notification { .. } => {}
            }
        }
        self.listener.drain();
        Ok(())
    }
}
