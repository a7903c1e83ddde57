//! Agents and deeds on a real Postgres.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::runtime::Handle;
use uuid::Uuid;
use voice_lifecycle::{CancellationToken, ManualClock};
use voice_postgres::{
    Database, Role,
    sealed::{MasterKey, Sealer},
    tenants,
    testing::TestDatabase,
};
use voice_providers::{
    AudioFormat, Connector, Provider, Tls,
    tools::{Action, Disposition},
};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, ProviderAccountId, TenantId, events::call::Carrier,
};
use voice_telemetry::Metrics;
use voice_telephony::{
    Answered, CallSnapshot, CarrierClient, CarrierFuture, Instruction, OriginateRequest, Originated,
    SealedContext,
    media::{Duties, Encoding, MediaFormat, StreamKey, StreamPurpose, StreamStart, StreamTokens},
};
use voice_workers::{
    agents::{Accounts, Agent, Book, OnMachine, Webhook, records},
    deeds::{Clients, Deeds},
    hands::{Deed, Hands as _, HandsError, Line},
    plan::{Opening, Plans as _, Recording},
};

struct World {
    _database: TestDatabase,
    api: Database,
    worker: Database,
    tenant: TenantId,
}

impl World {
    async fn new() -> Self {
        let _first = rustls::crypto::ring::default_provider().install_default();
        let database = TestDatabase::create().await;
        let owner = database.connect(Role::Owner).await;
        let key = MasterKey {
            version: 1,
            key: "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=".to_owned().into(),
        };
        let tenant = TenantId::random();
        let new = tenants::NewTenant {
            id: tenant,
            slug: format!("t{}", &Uuid::new_v4().simple().to_string()[..8]),
            name: "Test".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: "UTC".parse().unwrap(),
        };
        tenants::upsert(&owner, &Sealer::new(&[key]).unwrap(), &new)
            .await
            .unwrap();
        Self {
            api: database.connect(Role::Api).await,
            worker: database.connect(Role::Worker).await,
            _database: database,
            tenant,
        }
    }

    async fn write(&self, agent: &Agent) {
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        records::upsert(&mut tx, agent).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn book(&self) -> Book {
        let mut accounts = Accounts::default();
        accounts.openai.as_mut().unwrap().key = Some("key".to_owned().into());
        let tls = Tls::with_roots(rustls::RootCertStore::empty()).unwrap();
        let connector = Connector::new(tls, reqwest::Client::new(), Duration::from_secs(1));
        Book::open(self.worker.clone(), accounts, connector, Metrics::empty())
            .await
            .unwrap()
    }

    /// What the book makes of a call of this agent.
    fn instructions(&self, book: &Book, agent: AgentId) -> Option<String> {
        let tokens = StreamTokens::new(StreamKey::new([1; 32]), None);
        let purpose = StreamPurpose {
            tenant: self.tenant,
            call: CallId::random(),
            agent,
            dialled: None,
            duties: Duties::STRICTEST,
        };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = tokens.issue(&purpose, now, [0; 12]);
        let opening = Opening {
            grant: &tokens.open(&token, now).unwrap(),
            carrier: Carrier::Telnyx,
            start: &StreamStart {
                stream_id: "S1".to_owned(),
                carrier_call_id: "C1".to_owned(),
                parameters: BTreeMap::new(),
                client_state: None,
                format: MediaFormat {
                    encoding: Encoding::Pcmu,
                    rate_hz: 8_000,
                    channels: 1,
                },
            },
            format: AudioFormat::PCMU,
        };
        let plan = book.plan(&opening)?;
        Some(plan.voices[0].session.instructions.clone())
    }
}

fn whole(id: AgentId) -> Agent {
    Agent {
        model: Some("gpt-realtime-2.1-mini".to_owned()),
        voice: Some("cedar".to_owned()),
        languages: ["cs", "en"].map(str::to_owned).into(),
        disclosure: Some("I am a machine.".to_owned()),
        webhooks: vec![Webhook {
            name: "order_status".to_owned(),
            description: "Where an order is.".to_owned(),
            parameters: json!({"type": "object", "properties": {"order": {"type": "string"}}}),
            url: "https://shop.example.com/status".parse().unwrap(),
        }],
        failover: vec![Provider::GeminiLive],
        budget_micros: Some(250_000),
        record: Recording::AfterConsent,
        on_machine: OnMachine::LeaveMessage("Call us back.".to_owned()),
        idle_ms: Some(6_000),
        idle_prompts: 3,
        ..Agent::new(id, "Ada", Provider::OpenaiRealtime, "Be brief.")
    }
}

#[tokio::test]
async fn an_agent_is_read_as_it_was_written_and_no_other_tenant_sees_it() {
    let world = World::new().await;
    let agent = whole(AgentId::random());
    world.write(&agent).await;
    let loaded = records::load_all(&world.worker).await.unwrap();
    assert!(loaded.unreadable.is_empty());
    assert_eq!(loaded.agents, [(world.tenant, agent)]);
    let mut tx = world.worker.tenant(TenantId::random()).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM app.ai_agents")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn a_changed_agent_answers_the_next_call_and_an_unknown_one_answers_none() {
    let world = World::new().await;
    let agent = whole(AgentId::random());
    world.write(&agent).await;
    let book = world.book().await;
    assert_eq!(world.instructions(&book, agent.id).as_deref(), Some("Be brief."));
    assert_eq!(world.instructions(&book, AgentId::random()), None);
    let stop = CancellationToken::new();
    let watching = tokio::spawn(book.clone().watch(stop.clone()));
    let changed = Agent {
        instructions: "Be briefer.".to_owned(),
        ..agent.clone()
    };
    // Written anew until it was heard of: the watch may not listen yet.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.instructions(&book, agent.id).as_deref() != Some("Be briefer.") {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the change was never heard of"
        );
        world.write(&changed).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    watching.await.unwrap();
}

/// A carrier that notes what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl CarrierClient for Told {
    fn carrier(&self) -> Carrier {
        Carrier::Telnyx
    }

    fn originate<'a>(&'a self, _: &'a OriginateRequest) -> CarrierFuture<'a, Originated> {
        panic!("nobody dials here")
    }

    fn hangup<'a>(&'a self, id: &'a str) -> CarrierFuture<'a, ()> {
        self.0.lock().unwrap().push(id.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn lookup<'a>(&'a self, _: &'a str) -> CarrierFuture<'a, CallSnapshot> {
        panic!("nobody asks here")
    }

    fn answer<'a>(&'a self, _: &'a str, _: &'a [Instruction]) -> CarrierFuture<'a, Answered> {
        panic!("nobody instructs here")
    }

    fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
        panic!("nobody picks up here")
    }
}

/// A call of a campaign that is under way.
async fn call_under_way(world: &World, account: ProviderAccountId, now: DateTime<Utc>) -> (Line, ContactId) {
    let (campaign, contact) = (CampaignId::random(), ContactId::random());
    let (attempt, call) = (AttemptId::random(), CallId::random());
    let mut tx = world.api.tenant(world.tenant).await.unwrap();
    for sql in [
        "INSERT INTO app.campaigns (tenant_id, id, name) SELECT $1, $2, 'c' WHERE $3::uuid IS NOT NULL",
        "INSERT INTO app.contacts (tenant_id, id) SELECT $1, $3 WHERE $2::uuid IS NOT NULL",
        "INSERT INTO app.contact_phones (tenant_id, contact_id, e164, token, is_primary)
         SELECT $1, $3, e164, gen_random_uuid(), first FROM (VALUES ('+420600000001', true), ('+420600000002', false))
              AS n(e164, first) WHERE $2::uuid IS NOT NULL",
        "INSERT INTO app.dispositions (tenant_id, id, code, class)
         SELECT $1, gen_random_uuid(), 'bought', 'sale' WHERE $2::uuid IS NOT NULL AND $3::uuid IS NOT NULL",
    ] {
        sqlx::query(sql)
            .bind(world.tenant.0)
            .bind(campaign.0)
            .bind(contact.0)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = world.worker.tenant(world.tenant).await.unwrap();
    sqlx::query(
        "INSERT INTO app.attempts (tenant_id, id, campaign_id, contact_id, shard, number, phone_token, call_id,
                                   account_id, epoch, state, claimed_at)
         SELECT $1, $2, $3, $4, 0, 1, token, $5, $6, 1, 'answered', $7
         FROM app.contact_phones WHERE contact_id = $4 AND is_primary",
    )
    .bind(world.tenant.0)
    .bind(attempt.0)
    .bind(campaign.0)
    .bind(contact.0)
    .bind(call.0)
    .bind(account.0)
    .bind(now)
    .execute(&mut *tx)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO app.campaign_contacts (tenant_id, campaign_id, contact_id, state, attempt_id)
         VALUES ($1, $2, $3, 'dialling', $4)",
    )
    .bind(world.tenant.0)
    .bind(campaign.0)
    .bind(contact.0)
    .bind(attempt.0)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let line = Line {
        tenant: world.tenant,
        call,
        agent: AgentId::random(),
        attempt: Some(attempt),
        carrier: Carrier::Telnyx,
        carrier_call_id: "v3:C1".to_owned(),
    };
    (line, contact)
}

/// Opting out suppresses all numbers of the person in one transaction; a callback, a disposition and a hang-up land
/// where they belong; what is not possible is refused.
#[tokio::test]
async fn what_a_call_asks_for_is_done_for_its_person_its_campaign_and_its_account() {
    let world = World::new().await;
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let account = ProviderAccountId::random();
    let (line, contact) = call_under_way(&world, account, now).await;
    let told = Arc::new(Told::default());
    let other = Arc::new(Told::default());
    let clients: Clients = HashMap::from([
        (
            (world.tenant, account),
            Arc::clone(&told) as Arc<dyn CarrierClient>,
        ),
        (
            (world.tenant, ProviderAccountId::random()),
            Arc::clone(&other) as Arc<dyn CarrierClient>,
        ),
    ]);
    let deeds = Deeds::new(
        world.worker.clone(),
        Arc::new(RwLock::new(Arc::new(clients))),
        ManualClock::at(now).shared(),
        Handle::current(),
    );
    let act = |action| deeds.act(&line, Deed::Act(action));

    // Nobody waits for the first one: it happens all the same.
    drop(act(Action::HangUp { reason: None }));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while told.0.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nobody hung up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*told.0.lock().unwrap(), ["v3:C1"]);
    assert!(other.0.lock().unwrap().is_empty());

    act(Action::OptOut { wording: None }).await.unwrap();
    let at = now + TimeDelta::days(2);
    let callback = |at: DateTime<Utc>| Action::ScheduleCallback {
        at: at.to_rfc3339(),
        note: None,
    };
    act(callback(at)).await.unwrap();
    for never in [now - TimeDelta::hours(1), now + TimeDelta::days(200)] {
        assert_eq!(act(callback(never)).await, Err(HandsError::Refused));
    }
    let dispose = |disposition| Action::SetDisposition {
        disposition,
        note: None,
    };
    act(dispose(Disposition::Success)).await.unwrap();
    // The tenant has no such disposition.
    let unknown = act(dispose(Disposition::LanguageBarrier)).await;
    assert_eq!(unknown, Err(HandsError::Refused));

    let mut tx = world.worker.tenant(world.tenant).await.unwrap();
    let suppressed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM app.suppressions s JOIN app.contact_phones p ON p.token = s.token
         WHERE p.contact_id = $1 AND s.scope = 'tenant' AND s.reason = 'opt_out' AND s.expires_at IS NULL",
    )
    .bind(contact.0)
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!(suppressed, 2);
    let (opted_out, disposition): (Option<DateTime<Utc>>, String) = sqlx::query_as(
        "SELECT a.opted_out_at, d.code FROM app.attempts a JOIN app.dispositions d ON d.id = a.disposition_id
         WHERE a.id = $1",
    )
    .bind(line.attempt.unwrap().0)
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!((opted_out, &*disposition), (Some(now), "bought"));
    let callback_at: Option<DateTime<Utc>> =
        sqlx::query_scalar("SELECT callback_at FROM app.campaign_contacts WHERE contact_id = $1")
            .bind(contact.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    assert_eq!(callback_at, Some(at));

    let inbound = Line {
        attempt: None,
        ..line.clone()
    };
    let refused = deeds
        .act(&inbound, Deed::Act(Action::OptOut { wording: None }))
        .await;
    assert_eq!(refused, Err(HandsError::Refused));
}
