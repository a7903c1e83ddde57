//! Setting a campaign up: what the API, the demo and tests write before anything is dialled.
//!
//! In this order, each in a transaction of the tenant in the role `voice_api` (agents' states also take `voice_worker`):
//!
//! 1. the tenant and its carrier accounts: `voice_postgres::tenants::upsert`, `voice_postgres::accounts::upsert`;
//! 2. [`line`]: how fast each account may dial; an account without one dials nothing;
//! 3. [`caller_pool`] and [`caller_number`]: the numbers to show;
//! 4. contacts, consents and call lists: `voice_contacts`;
//! 5. [`campaign`] and [`add_list`];
//! 6. agents: [`agents::sign_up`](crate::agents::sign_up), then [`agents::apply`](crate::agents::apply) with
//!    [`Input::SignIn`](crate::agents::Input::SignIn), and a heartbeat before each lease runs out;
//! 7. [`start::start`](crate::start::start).

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::{AgentId, CampaignId, ListId, ProviderAccountId};
use voice_telephony::PhoneNumber;

use crate::{
    campaigns::{Declarations, Mode},
    origination::cps,
};

/// A campaign as it is written. The rest has the defaults of its table.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    /// Its id.
    pub id: CampaignId,
    /// The client it calls for.
    pub company: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// How it dials.
    pub mode: Mode,
    /// Decide, do not dial.
    pub shadow: bool,
    /// Over how many shards its calls are spread; more than one for a campaign too big for one process.
    pub shards: u16,
    /// Calls at once; for AI agents this is their capacity.
    pub max_concurrent: u32,
    /// Lines per free agent in the mode power.
    pub power_ratio: f64,
    /// The share of abandoned calls to aim at, at most 0.03.
    pub abandon_target: f64,
    /// How long to let it ring, 15 s at least.
    pub ring_seconds: u16,
    /// `off`, `hang_up` or `leave_message`.
    pub amd: &'static str,
    /// What is said to machines.
    pub voicemail_url: Option<String>,
    /// What is said when nobody is free.
    pub safe_harbour_url: Option<String>,
    /// The AI agent that talks, where one does; it is written before the campaign.
    pub ai_agent: Option<AgentId>,
    /// AI agents take what no person is free for.
    pub ai_overflow: bool,
    /// `marketing`, `informational`, `debt_collection`, `service` or `survey`.
    pub purpose: &'static str,
    /// The numbers it may show.
    pub caller_pool: Option<Uuid>,
    /// When to try again; none is [`RetryPolicy::default`](crate::retry::RetryPolicy::default).
    pub retry_policy: Option<Uuid>,
    /// When it calls, inside the hours of the law.
    pub calendar: Option<Uuid>,
    /// What the tenant states.
    pub declarations: Declarations,
    /// When it is to start and end.
    pub start_at: Option<DateTime<Utc>>,
    /// See `start_at`.
    pub end_at: Option<DateTime<Utc>>,
}

impl NewCampaign {
    /// A progressive campaign of one shard.
    #[must_use]
    pub fn new(id: CampaignId, name: impl Into<String>) -> Self {
        Self {
            id,
            company: None,
            name: name.into(),
            mode: Mode::Progressive,
            shadow: false,
            shards: 1,
            max_concurrent: 100,
            power_ratio: 1.0,
            abandon_target: 0.025,
            ring_seconds: 22,
            amd: "off",
            voicemail_url: None,
            safe_harbour_url: None,
            ai_agent: None,
            ai_overflow: false,
            purpose: "marketing",
            caller_pool: None,
            retry_policy: None,
            calendar: None,
            declarations: Declarations::default(),
            start_at: None,
            end_at: None,
        }
    }
}

/// Writes a draft.
///
/// # Errors
/// When a value is outside what the table takes.
pub async fn campaign(tx: &mut TenantTx, new: &NewCampaign) -> Result<()> {
    let declarations =
        serde_json::to_value(&new.declarations).map_err(|error| sqlx::Error::Encode(error.into()))?;
    #[allow(clippy::cast_possible_truncation)]
    let (ratio, target) = (new.power_ratio as f32, new.abandon_target as f32);
    sqlx::query(
        "INSERT INTO app.campaigns
             (tenant_id, id, company_id, name, dialling_mode, shadow, shards, max_concurrent, power_ratio,
              abandon_target, ring_seconds, amd, voicemail_url, safe_harbour_url, ai_agent_id, ai_overflow, purpose,
              caller_pool_id, retry_policy_id, calendar_id, declarations, start_at, end_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                 $23)",
    )
    .bind(tx.tenant().0)
    .bind(new.id.0)
    .bind(new.company)
    .bind(&new.name)
    .bind(new.mode.as_str())
    .bind(new.shadow)
    .bind(i16::try_from(new.shards).unwrap_or(i16::MAX))
    .bind(i32::try_from(new.max_concurrent).unwrap_or(i32::MAX))
    .bind(ratio)
    .bind(target)
    .bind(i16::try_from(new.ring_seconds).unwrap_or(i16::MAX))
    .bind(new.amd)
    .bind(&new.voicemail_url)
    .bind(&new.safe_harbour_url)
    .bind(new.ai_agent.map(|agent| agent.0))
    .bind(new.ai_overflow)
    .bind(new.purpose)
    .bind(new.caller_pool)
    .bind(new.retry_policy)
    .bind(new.calendar)
    .bind(declarations)
    .bind(new.start_at)
    .bind(new.end_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The campaign calls the members of this list too.
///
/// # Errors
/// When there is no such campaign or list.
pub async fn add_list(tx: &mut TenantTx, campaign: CampaignId, list: ListId) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.campaign_lists (tenant_id, campaign_id, list_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant().0)
    .bind(campaign.0)
    .bind(list.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A pool of numbers to show.
///
/// # Errors
/// When the tenant has one of this name.
pub async fn caller_pool(tx: &mut TenantTx, id: Uuid, name: &str) -> Result<()> {
    sqlx::query("INSERT INTO app.caller_pools (tenant_id, id, name) VALUES ($1, $2, $3)")
        .bind(tx.tenant().0)
        .bind(id)
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A number to show, proven at `verified_at` to be the tenant's own and to answer.
#[derive(Clone, Debug)]
pub struct NewNumber {
    /// Its id.
    pub id: Uuid,
    /// The pool.
    pub pool: Uuid,
    /// The account that holds it.
    pub account: ProviderAccountId,
    /// The number.
    pub number: PhoneNumber,
    /// ISO 3166-1.
    pub country: String,
    /// The company is present where it says.
    pub presence: bool,
    /// Calls a day, at most.
    pub daily_cap: u32,
    /// When it was proven.
    pub verified_at: Option<DateTime<Utc>>,
}

/// Writes a number.
///
/// # Errors
/// When the tenant has it already, or the account or pool does not exist.
pub async fn caller_number(tx: &mut TenantTx, new: &NewNumber) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.phone_numbers (tenant_id, id, pool_id, account_id, e164, country, presence, daily_cap, verified_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tx.tenant().0)
    .bind(new.id)
    .bind(new.pool)
    .bind(new.account.0)
    .bind(new.number.expose())
    .bind(&new.country)
    .bind(new.presence)
    .bind(i32::try_from(new.daily_cap).unwrap_or(i32::MAX))
    .bind(new.verified_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A retry policy under which nobody is tried more than `max_attempts` times, and after no class of outcome again.
///
/// # Errors
/// When the tenant has one of this name.
pub async fn retry_policy(tx: &mut TenantTx, id: Uuid, name: &str, max_attempts: u16) -> Result<()> {
    sqlx::query("INSERT INTO app.retry_policies (tenant_id, id, name, max_attempts) VALUES ($1, $2, $3, $4)")
        .bind(tx.tenant().0)
        .bind(id)
        .bind(name)
        .bind(i16::try_from(max_attempts).unwrap_or(i16::MAX))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A word for what a call came to, in one of the classes of its table: `sale`, `callback`, `wrong_number` …
///
/// # Errors
/// When the tenant has one of this code, or there is no such class.
pub async fn disposition(tx: &mut TenantTx, id: Uuid, code: &str, class: &str) -> Result<()> {
    sqlx::query("INSERT INTO app.dispositions (tenant_id, id, code, class) VALUES ($1, $2, $3, $4)")
        .bind(tx.tenant().0)
        .bind(id)
        .bind(code)
        .bind(class)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// How fast an account may dial: by default Twilio takes 1 a second and queues the rest, Telnyx 30.
///
/// # Errors
/// When there is no such account.
pub async fn line(
    tx: &mut TenantTx,
    account: ProviderAccountId,
    dials_per_second: f32,
    burst: f32,
) -> Result<()> {
    cps::set_up(tx, account, dials_per_second, burst).await
}
