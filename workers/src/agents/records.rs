//! AI agents in Postgres.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Row as _, postgres::PgRow};
use url::Url;
use uuid::Uuid;
use voice_postgres::{Database, Error, Result, TenantTx};
use voice_providers::Provider;
use voice_schemas::{AgentId, TenantId};

use crate::plan::Recording;

/// An AI agent as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name for people.
    pub name: String,
    /// Who speaks.
    pub provider: Provider,
    /// The provider's model; today's default where there is none.
    pub model: Option<String>,
    /// The provider's voice; the default where there is none.
    pub voice: Option<String>,
    /// Languages callers may speak, the likeliest first.
    pub languages: Vec<String>,
    /// Who it is and what it shall do.
    pub instructions: String,
    /// How to begin; without, the caller begins.
    pub greeting: Option<String>,
    /// What is said before anything else.
    pub disclosure: Option<String>,
    /// The platform's tools it may use, by name.
    pub tools: Vec<String>,
    /// Tools of the tenant's own.
    pub webhooks: Vec<Webhook>,
    /// Who takes over when the provider fails.
    pub failover: Vec<Provider>,
    /// What a call may cost, in millionths of a US dollar.
    pub budget_micros: Option<u64>,
    /// The last sentence of a call that may cost no more.
    pub farewell: String,
    /// Whether calls are recorded.
    pub record: Recording,
    /// What to do about machines.
    pub on_machine: OnMachine,
    /// Silence after which it asks whether somebody is there.
    pub idle_ms: Option<u32>,
    /// How often it asks.
    pub idle_prompts: u32,
}

/// What to do when a machine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnMachine {
    /// Talk to it as to a person.
    Talk,
    /// Hang up.
    HangUp,
    /// Say this after the beep.
    LeaveMessage(String),
}

/// A tool of the tenant's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// As the model calls it.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// A JSON Schema of type object.
    pub parameters: Value,
    /// Where the arguments are posted.
    pub url: Url,
}

impl Agent {
    /// An agent of this provider that talks English, greets, may hang up and note an opt-out, and does not record.
    #[must_use]
    pub fn new(id: AgentId, name: &str, provider: Provider, instructions: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            provider,
            model: None,
            voice: None,
            languages: vec!["en".to_owned()],
            instructions: instructions.to_owned(),
            greeting: Some("Greet the caller in one sentence.".to_owned()),
            disclosure: None,
            tools: vec!["hang_up".to_owned(), "opt_out".to_owned()],
            webhooks: Vec::new(),
            failover: Vec::new(),
            budget_micros: None,
            farewell: "I have to end our call here. Thank you, and goodbye.".to_owned(),
            record: Recording::Off,
            on_machine: OnMachine::HangUp,
            idle_ms: None,
            idle_prompts: 2,
        }
    }

    fn read(row: &PgRow) -> Result<Self> {
        let names: Vec<String> = row.try_get("failover")?;
        let failover = names
            .iter()
            .map(|name| provider(name, "ai_agents.failover"))
            .collect::<Result<_>>()?;
        let webhooks =
            serde_json::from_value(row.try_get("webhooks")?).map_err(|_| unreadable("ai_agents.webhooks"))?;
        let budget: Option<i64> = row.try_get("budget_micros")?;
        let idle: Option<i32> = row.try_get("idle_ms")?;
        let prompts: i16 = row.try_get("idle_prompts")?;
        let voicemail: Option<String> = row.try_get("voicemail")?;
        let on_machine = match (row.try_get("on_machine")?, voicemail) {
            ("talk", _) => OnMachine::Talk,
            ("hang_up", _) => OnMachine::HangUp,
            ("leave_message", Some(message)) => OnMachine::LeaveMessage(message),
            _ => return Err(unreadable("ai_agents.on_machine")),
        };
        let record = match row.try_get("record")? {
            "off" => Recording::Off,
            "on" => Recording::On,
            "after_consent" => Recording::AfterConsent,
            _ => return Err(unreadable("ai_agents.record")),
        };
        Ok(Self {
            id: AgentId(row.try_get("id")?),
            name: row.try_get("name")?,
            provider: provider(row.try_get("provider")?, "ai_agents.provider")?,
            model: row.try_get("model")?,
            voice: row.try_get("voice")?,
            languages: row.try_get("languages")?,
            instructions: row.try_get("instructions")?,
            greeting: row.try_get("greeting")?,
            disclosure: row.try_get("disclosure")?,
            tools: row.try_get("tools")?,
            webhooks,
            failover,
            budget_micros: budget.and_then(|micros| u64::try_from(micros).ok()),
            farewell: row.try_get("farewell")?,
            record,
            on_machine,
            idle_ms: idle.and_then(|ms| u32::try_from(ms).ok()),
            idle_prompts: u32::try_from(prompts).unwrap_or(0),
        })
    }
}

const fn unreadable(column: &'static str) -> Error {
    Error::Unreadable { column }
}

fn provider(name: &str, column: &'static str) -> Result<Provider> {
    Provider::ALL
        .into_iter()
        .find(|provider| provider.as_str() == name)
        .ok_or(unreadable(column))
}

/// All agents, and those that could not be read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Ready to talk.
    pub agents: Vec<(TenantId, Agent)>,
    /// Written by a newer release, or damaged.
    pub unreadable: Vec<(TenantId, AgentId, Error)>,
}

/// All enabled agents of all active tenants. Needs [`Role::Worker`](voice_postgres::Role::Worker).
///
/// # Errors
/// When the database fails. An agent that cannot be read is no error; see [`Loaded::unreadable`].
pub async fn load_all(database: &Database) -> Result<Loaded> {
    // The function crosses tenants by itself; the transaction belongs to nobody.
    let mut tx = database.tenant(TenantId(Uuid::nil())).await?;
    let rows = sqlx::query("SELECT * FROM app.all_ai_agents()")
        .fetch_all(&mut *tx)
        .await?;
    tx.rollback().await?;
    let mut loaded = Loaded::default();
    for row in &rows {
        let tenant = TenantId(row.try_get::<Uuid, _>("tenant_id")?);
        match Agent::read(row) {
            Ok(agent) => loaded.agents.push((tenant, agent)),
            Err(error) => loaded
                .unreadable
                .push((tenant, AgentId(row.try_get("id")?), error)),
        }
    }
    Ok(loaded)
}

/// Creates the agent or replaces everything about it, in the role `voice_api`. When the transaction is committed, every
/// media worker reads it.
///
/// # Errors
/// `Constraint` when the name is taken or a value is out of range.
pub async fn upsert(tx: &mut TenantTx, agent: &Agent) -> Result<()> {
    let webhooks =
        serde_json::to_value(&agent.webhooks).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let record = match agent.record {
        Recording::Off => "off",
        Recording::On => "on",
        Recording::AfterConsent => "after_consent",
    };
    let (on_machine, voicemail) = match &agent.on_machine {
        OnMachine::Talk => ("talk", None),
        OnMachine::HangUp => ("hang_up", None),
        OnMachine::LeaveMessage(message) => ("leave_message", Some(message)),
    };
    let failover: Vec<&str> = agent.failover.iter().map(|provider| provider.as_str()).collect();
    sqlx::query(
        "INSERT INTO app.ai_agents
             (tenant_id, id, name, provider, model, voice, languages, instructions, greeting, disclosure, tools,
              webhooks, failover, budget_micros, farewell, record, on_machine, voicemail, idle_ms, idle_prompts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         ON CONFLICT (tenant_id, id) DO UPDATE SET
             name = excluded.name, provider = excluded.provider, model = excluded.model, voice = excluded.voice,
             languages = excluded.languages, instructions = excluded.instructions, greeting = excluded.greeting,
             disclosure = excluded.disclosure, tools = excluded.tools, webhooks = excluded.webhooks,
             failover = excluded.failover, budget_micros = excluded.budget_micros, farewell = excluded.farewell,
             record = excluded.record, on_machine = excluded.on_machine, voicemail = excluded.voicemail,
             idle_ms = excluded.idle_ms, idle_prompts = excluded.idle_prompts",
    )
    .bind(tx.tenant().0)
    .bind(agent.id.0)
    .bind(&agent.name)
    .bind(agent.provider.as_str())
    .bind(&agent.model)
    .bind(&agent.voice)
    .bind(&agent.languages)
    .bind(&agent.instructions)
    .bind(&agent.greeting)
    .bind(&agent.disclosure)
    .bind(&agent.tools)
    .bind(webhooks)
    .bind(failover)
    .bind(
        agent
            .budget_micros
            .map(|micros| i64::try_from(micros).unwrap_or(i64::MAX)),
    )
    .bind(&agent.farewell)
    .bind(record)
    .bind(on_machine)
    .bind(voicemail)
    .bind(agent.idle_ms.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX)))
    .bind(i16::try_from(agent.idle_prompts).unwrap_or(i16::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
