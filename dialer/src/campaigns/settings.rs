//! A campaign as its controllers use it: its own row, its retry policy, its calendar.

use std::{collections::BTreeMap, str::FromStr as _};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use uuid::Uuid;
use voice_contacts::suppressions::Scope;
use voice_postgres::{Result, TenantTx};
use voice_schemas::{AgentId, CampaignId, ProviderAccountId, TenantId, events::campaign::CampaignStatus};
use voice_telephony::PhoneNumber;

use crate::{
    answer::{AnswerPolicy, OnMachine, TakenBy},
    calendar::Calendar,
    retry::{Class, RetryPolicy, Rule},
};

/// How a campaign dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An agent looks at the contact and asks for the call.
    Preview,
    /// One line per free agent.
    Progressive,
    /// So many lines per free agent.
    Power,
    /// As many as keep agents busy below the ceiling for abandoned calls.
    Predictive,
    /// AI agents take the calls; their number is a limit of concurrency.
    Agentless,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Preview,
        Self::Progressive,
        Self::Power,
        Self::Predictive,
        Self::Agentless,
    ];

    /// The name in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Progressive => "progressive",
            Self::Power => "power",
            Self::Predictive => "predictive",
            Self::Agentless => "agentless",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What the tenant states about a campaign and no table can prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declarations {
    /// The lists were gathered on consent to advertising.
    pub consent_marketing: bool,
    /// … to calls by an artificial voice.
    pub consent_automated: bool,
    /// … in writing.
    pub consent_written: bool,
    /// … with a record of each.
    pub consent_proof: bool,
    /// The safe-harbour message names the company.
    pub message_names_company: bool,
    /// … says a number to call.
    pub message_says_number: bool,
    /// … advertises something.
    pub message_sells: bool,
    /// The AI agent says that it is one.
    pub ai_discloses: bool,
    /// … offers a way out.
    pub ai_offers_opt_out: bool,
    /// The call begins with who calls.
    pub identifies_at_start: bool,
    /// Everybody is asked before recording.
    pub asks_before_recording: bool,
    /// Where the company is registered to call: `US-TX`.
    pub registered: Vec<String>,
    /// How long call records are kept.
    pub records_kept_days: u32,
}

/// A campaign and what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: CampaignId,
    /// The client it calls for.
    pub company: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: CampaignStatus,
    /// How it dials.
    pub mode: Mode,
    /// Decide, do not dial.
    pub shadow: bool,
    /// Over how many shards its calls are spread.
    pub shards: u16,
    /// Calls at once, over all shards.
    pub max_concurrent: u32,
    /// Lines per free agent in the mode power.
    pub power_ratio: f64,
    /// The share of abandoned calls to aim at.
    pub abandon_target: f64,
    /// How long to let it ring.
    pub ring: TimeDelta,
    /// When to end a call at the latest.
    pub longest_call: TimeDelta,
    /// What to do with answers.
    pub answers: AnswerPolicy,
    /// What is said to machines.
    pub voicemail_url: Option<String>,
    /// What is said when nobody is free.
    pub safe_harbour_url: Option<String>,
    /// The key that ends all calls to the number.
    pub opt_out_key: char,
    /// Whose calls it ends.
    pub opt_out_scope: Scope,
    /// What whoever pressed it hears.
    pub opt_out_url: Option<String>,
    /// How long an agent may look at a contact.
    pub preview: TimeDelta,
    /// The AI agent that talks, where one does.
    pub ai_agent: Option<AgentId>,
    /// What the call is, to the law.
    pub purpose: String,
    /// Record calls.
    pub record: bool,
    /// The numbers it may show.
    pub caller_pool: Option<Uuid>,
    /// What the tenant states.
    pub declarations: Declarations,
    /// When to try again.
    pub retry: RetryPolicy,
    /// When it calls.
    pub calendar: Option<Calendar>,
    /// When it ends.
    pub end_at: Option<DateTime<Utc>>,
    /// Grows with every change of status.
    pub epoch: u64,
    /// Grows with every change.
    pub version: i64,
}

impl Campaign {
    /// Whether people take its calls.
    #[must_use]
    pub const fn needs_people(&self) -> bool {
        !matches!(self.mode, Mode::Agentless)
    }
}

/// The campaign of this transaction's tenant; `None` when there is none.
///
/// # Errors
/// When the database fails or a row holds a word this program does not know.
pub async fn load(tx: &mut TenantTx, id: CampaignId) -> Result<Option<Campaign>> {
    let row = sqlx::query(
        "SELECT c.company_id, c.name, c.status, c.dialling_mode, c.shadow, c.shards, c.max_concurrent, c.power_ratio,
                c.abandon_target, c.ring_seconds, c.max_call_seconds, c.amd, c.amd_certainty, c.voicemail_url,
                c.safe_harbour_url, c.opt_out_key, c.opt_out_scope, c.opt_out_url, c.preview_seconds, c.ai_agent_id, c.ai_overflow, c.purpose, c.record,
                c.caller_pool_id, c.declarations, c.calendar_id, c.retry_policy_id, c.end_at, c.epoch, c.version, c.timezone
         FROM app.campaigns c WHERE c.tenant_id = $1 AND c.id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let unreadable = |column| voice_postgres::Error::Unreadable { column };
    let mode = Mode::parse(row.try_get("dialling_mode")?).ok_or(unreadable("campaigns.dialling_mode"))?;
    let calendar = match row.try_get::<Option<Uuid>, _>("calendar_id")? {
        Some(calendar) => Some(load_calendar(tx, calendar).await?),
        None => None,
    };
    let retry = match row.try_get::<Option<Uuid>, _>("retry_policy_id")? {
        Some(policy) => load_retry(tx, policy).await?,
        None => RetryPolicy::default(),
    };
    let safe_harbour_url: Option<String> = row.try_get("safe_harbour_url")?;
    let seconds =
        |column: &str| -> Result<TimeDelta> { Ok(TimeDelta::seconds(row.try_get::<i32, _>(column)?.into())) };
    let shards: i16 = row.try_get("shards")?;
    let concurrent: i32 = row.try_get("max_concurrent")?;
    Ok(Some(Campaign {
        tenant: tx.tenant(),
        id,
        company: row.try_get("company_id")?,
        name: row.try_get("name")?,
        status: CampaignStatus::parse(row.try_get("status")?).ok_or(unreadable("campaigns.status"))?,
        mode,
        shadow: row.try_get("shadow")?,
        shards: u16::try_from(shards).unwrap_or(1),
        max_concurrent: u32::try_from(concurrent).unwrap_or(1),
        power_ratio: f64::from(row.try_get::<f32, _>("power_ratio")?),
        abandon_target: f64::from(row.try_get::<f32, _>("abandon_target")?),
        ring: TimeDelta::seconds(row.try_get::<i16, _>("ring_seconds")?.into()),
        longest_call: seconds("max_call_seconds")?,
        answers: AnswerPolicy {
            on_machine: match row.try_get("amd")? {
                "hang_up" => OnMachine::HangUp,
                "leave_message" => OnMachine::LeaveMessage,
                _ => OnMachine::Ignore,
            },
            certainty: f64::from(row.try_get::<f32, _>("amd_certainty")?),
            taken_by: if mode == Mode::Agentless {
                TakenBy::Ai
            } else {
                TakenBy::People
            },
            ai_overflow: row.try_get("ai_overflow")?,
            safe_harbour: safe_harbour_url.is_some(),
        },
        voicemail_url: row.try_get("voicemail_url")?,
        safe_harbour_url,
        opt_out_key: row
            .try_get::<&str, _>("opt_out_key")?
            .chars()
            .next()
            .unwrap_or('9'),
        opt_out_scope: match (row.try_get("opt_out_scope")?, row.try_get("company_id")?) {
            ("company", Some(company)) => Scope::Company(company),
            _ => Scope::Tenant,
        },
        opt_out_url: row.try_get("opt_out_url")?,
        preview: seconds("preview_seconds")?,
        ai_agent: row.try_get::<Option<Uuid>, _>("ai_agent_id")?.map(AgentId),
        purpose: row.try_get("purpose")?,
        record: row.try_get("record")?,
        caller_pool: row.try_get("caller_pool_id")?,
        declarations: serde_json::from_value(row.try_get("declarations")?).map_err(|_| {
            voice_postgres::Error::Unreadable {
                column: "campaigns.declarations",
            }
        })?,
        retry,
        calendar,
        end_at: row.try_get("end_at")?,
        epoch: u64::try_from(row.try_get::<i64, _>("epoch")?).unwrap_or(0),
        version: row.try_get("version")?,
    }))
}

async fn load_retry(tx: &mut TenantTx, id: Uuid) -> Result<RetryPolicy> {
    let max_attempts: i16 =
        sqlx::query_scalar("SELECT max_attempts FROM app.retry_policies WHERE tenant_id = $1 AND id = $2")
            .bind(tx.tenant().0)
            .bind(id)
            .fetch_one(&mut **tx)
            .await?;
    let rows = sqlx::query(
        "SELECT class, delays_seconds, max_attempts FROM app.retry_rules WHERE tenant_id = $1 AND policy_id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    let mut rules = BTreeMap::new();
    for row in rows {
        let class = Class::parse(row.try_get("class")?).ok_or(voice_postgres::Error::Unreadable {
            column: "retry_rules.class",
        })?;
        let delays: Vec<i32> = row.try_get("delays_seconds")?;
        let max: i16 = row.try_get("max_attempts")?;
        rules.insert(
            class,
            Rule {
                delays: delays
                    .into_iter()
                    .map(|seconds| TimeDelta::seconds(seconds.into()))
                    .collect(),
                max_attempts: u16::try_from(max).unwrap_or(1),
            },
        );
    }
    Ok(RetryPolicy {
        max_attempts: u16::try_from(max_attempts).unwrap_or(1),
        rules,
    })
}

async fn load_calendar(tx: &mut TenantTx, id: Uuid) -> Result<Calendar> {
    let zone: Option<String> =
        sqlx::query_scalar("SELECT timezone FROM app.calendars WHERE tenant_id = $1 AND id = $2")
            .bind(tx.tenant().0)
            .bind(id)
            .fetch_one(&mut **tx)
            .await?;
    let zone = match zone.as_deref().map(Tz::from_str) {
        Some(Ok(zone)) => Some(zone),
        Some(Err(_)) => {
            return Err(voice_postgres::Error::Unreadable {
                column: "calendars.timezone",
            });
        }
        None => None,
    };
    let mut hours: BTreeMap<u8, Vec<(NaiveTime, NaiveTime)>> = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT weekday, opens, closes FROM app.calendar_hours
         WHERE tenant_id = $1 AND calendar_id = $2 ORDER BY weekday, opens",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    for row in rows {
        let weekday: i16 = row.try_get("weekday")?;
        let day = u8::try_from(weekday - 1)
            .ok()
            .and_then(|day| Weekday::try_from(day).ok());
        if let Some(day) = day {
            hours
                .entry(u8::try_from(day.num_days_from_monday()).unwrap_or(0))
                .or_default()
                .push((row.try_get("opens")?, row.try_get("closes")?));
        }
    }
    let rows = sqlx::query(
        "SELECT day, opens, closes FROM app.calendar_exceptions WHERE tenant_id = $1 AND calendar_id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .fetch_all(&mut **tx)
    .await?;
    let mut exceptions: BTreeMap<NaiveDate, Option<(NaiveTime, NaiveTime)>> = BTreeMap::new();
    for row in rows {
        let opens: Option<NaiveTime> = row.try_get("opens")?;
        exceptions.insert(row.try_get("day")?, opens.zip(row.try_get("closes")?));
    }
    Ok(Calendar {
        zone,
        hours,
        exceptions,
    })
}

/// A number calls may be shown to come from, and how it has done.
#[derive(Clone, Debug)]
pub struct CallerNumber {
    /// Its id.
    pub id: Uuid,
    /// The account that holds it.
    pub account: ProviderAccountId,
    /// The number.
    pub number: PhoneNumber,
    /// Its country.
    pub country: String,
    /// The company is present where it says.
    pub presence: bool,
    /// Calls it may still make today.
    pub left_today: u32,
    /// Calls of the last days, and those of them that were answered.
    pub dials: u32,
    /// See `dials`.
    pub answers: u32,
}

/// The numbers of a pool that may be shown at `now`: ours, proven, switched on and not labelled.
///
/// # Errors
/// When the database fails.
pub async fn caller_numbers(tx: &mut TenantTx, pool: Uuid, now: DateTime<Utc>) -> Result<Vec<CallerNumber>> {
    let rows = sqlx::query(
        "SELECT n.id, n.account_id, n.e164, n.country, n.presence, n.daily_cap - coalesce(today.dials, 0) AS left_today,
                coalesce(lately.dials, 0) AS dials, coalesce(lately.answers, 0) AS answers
         FROM app.phone_numbers n
         LEFT JOIN app.caller_number_days today
           ON today.tenant_id = n.tenant_id AND today.number_id = n.id AND today.day = $3
         LEFT JOIN LATERAL (
             SELECT sum(d.dials)::integer AS dials, sum(d.answers)::integer AS answers
             FROM app.caller_number_days d
             WHERE d.tenant_id = n.tenant_id AND d.number_id = n.id AND d.day > $3 - 7) AS lately ON true
         WHERE n.tenant_id = $1 AND n.pool_id = $2 AND n.enabled AND n.verified_at <= $4 AND n.flagged_at IS NULL
         ORDER BY n.id",
    )
    .bind(tx.tenant().0)
    .bind(pool)
    .bind(now.date_naive())
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(number) = PhoneNumber::parse(row.try_get("e164")?) else {
            continue;
        };
        numbers.push(CallerNumber {
            id: row.try_get("id")?,
            account: ProviderAccountId(row.try_get("account_id")?),
            number,
            country: row.try_get("country")?,
            presence: row.try_get("presence")?,
            left_today: count(row.try_get("left_today")?),
            dials: count(row.try_get("dials")?),
            answers: count(row.try_get("answers")?),
        });
    }
    Ok(numbers)
}
