//! A database, topics and carriers of a test's own, and dialers to run on them.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; each suite uses its part"
)]

mod carrier;
pub(crate) mod http;
mod owner;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock},
    time::Duration,
};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use sqlx::Row as _;
use tokio::sync::oneshot;
use uuid::Uuid;
use voice_dialer::{
    App, Config, Dependencies,
    agents::{self, Input},
    campaigns::{Campaign, Fault},
    gate::{Caller, Facts, Gate, Verdict},
    origination::carriers::Line,
    setup::{self, NewCampaign, NewNumber},
};
use voice_kafka::{Producer, admin::Admin};
use voice_lifecycle::{Clock as _, Lifecycle, Readiness, SystemClock};
use voice_postgres::{
    Database, Role, TenantTx, accounts,
    sealed::{MasterKey, Sealer},
    tenants,
    testing::TestDatabase,
};
use voice_resilience::{BREAKER, CircuitBreaker};
use voice_schemas::{
    AgentId, CampaignId, ContactId, ListId, ProviderAccountId, TenantId,
    events::call::{AgentKind, Carrier},
    topics::{self, Topic},
};
use voice_telemetry::Metrics;
use voice_telephony::{
    ContextKey, ContextKeys, HookUrls, PhoneNumber,
    media::{StreamKey, StreamTokens, StreamUrls},
};

pub(crate) use self::{
    carrier::{FakeCarrier, Fate},
    owner::{Owner, sql, together},
};

/// A gate that only knows its own version: everything the campaign itself rules out still holds.
#[derive(Debug)]
pub(crate) struct Open;

impl Gate for Open {
    fn judge(&self, _: &Campaign, _: &Facts, _: DateTime<Utc>) -> Verdict {
        Verdict {
            reasons: Vec::new(),
            next_at: None,
            policy_version: "open".to_owned(),
            local_time: None,
        }
    }

    fn may_start(&self, _: &Campaign, _: &[Option<String>], _: &[Caller], _: DateTime<Utc>) -> Vec<Fault> {
        Vec::new()
    }

    fn jurisdiction(&self, region: Option<&str>) -> String {
        region.unwrap_or("XX").to_owned()
    }
}

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) api: Database,
    pub(crate) worker: Database,
    pub(crate) kafka: voice_kafka::Config,
    pub(crate) producer: Producer,
    pub(crate) tenant: TenantId,
    pub(crate) pool: Uuid,
    pub(crate) accounts: BTreeMap<&'static str, (ProviderAccountId, Arc<FakeCarrier>)>,
    pub(crate) context: Arc<ContextKeys>,
    pub(crate) list: ListId,
}

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now().trunc_subsecs(6)
}

impl Stage {
    pub(crate) async fn new(suite: &str) -> Self {
        let database = TestDatabase::create().await;
        let (owner, api, worker) = (
            database.connect(Role::Owner).await,
            database.connect(Role::Api).await,
            database.connect(Role::Worker).await,
        );
        let brokers = std::env::var("KAFKA_BROKERS").expect(
            "KAFKA_BROKERS is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\"",
        );
        let kafka = voice_kafka::Config {
            brokers,
            prefix: format!("{suite}_{:08x}.", fastrand::u32(..)),
            ..voice_kafka::Config::default()
        };
        let admin = Admin::new(&kafka).unwrap();
        let calls = Topic {
            partitions: 4,
            ..topics::CALLS
        };
        admin.apply(&calls, 1).await.unwrap();
        let producer = Producer::new(&kafka).unwrap();
        let key = MasterKey {
            version: 1,
            key: "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=".to_owned().into(),
        };
        let sealer = Sealer::new(&[key]).unwrap();
        let tenant = TenantId::random();
        let new = tenants::NewTenant {
            id: tenant,
            slug: format!("t{:08x}", fastrand::u32(..)),
            name: "Test".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: chrono_tz::Tz::UTC,
        };
        tenants::upsert(&owner, &sealer, &new).await.unwrap();
        let context = Arc::new(ContextKeys::new(ContextKey::new([12; 32])));
        let mut all = BTreeMap::new();
        for (name, carrier) in [("telnyx", Carrier::Telnyx), ("twilio", Carrier::Twilio)] {
            let id = ProviderAccountId::random();
            let credentials = match carrier {
                Carrier::Telnyx => accounts::Credentials::Telnyx {
                    public_key: "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=".to_owned(),
                    api_key: "KEY".to_owned().into(),
                    connection_id: "1".to_owned(),
                },
                Carrier::Twilio => accounts::Credentials::Twilio {
                    account_sid: format!("AC{:032x}", fastrand::u128(..)),
                    auth_token: "t".to_owned().into(),
                    secondary_auth_token: None,
                },
            };
            accounts::upsert(
                &api,
                &sealer,
                tenant,
                &accounts::NewAccount::new(id, name, credentials),
            )
            .await
            .unwrap();
            let fake = FakeCarrier::new(carrier, producer.clone(), kafka.clone(), Arc::clone(&context));
            all.insert(name, (id, fake));
        }
        let (pool, list) = (Uuid::now_v7(), ListId::random());
        let stage = Self {
            database,
            api,
            worker,
            kafka,
            producer,
            tenant,
            pool,
            accounts: all,
            context,
            list,
        };
        stage.set_up().await;
        stage
    }

    /// An AI agent.
    pub(crate) async fn ai_agent(&self) -> AgentId {
        let agent = AgentId::random();
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        sqlx::query(
            "INSERT INTO app.ai_agents (tenant_id, id, name, provider, instructions)
             VALUES ($1, $2, 'Ada', 'openai_realtime', 'Be brief.')",
        )
        .bind(self.tenant.0)
        .bind(agent.0)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        agent
    }

    async fn set_up(&self) {
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        setup::caller_pool(&mut tx, self.pool, "all").await.unwrap();
        for (position, (id, _)) in self.accounts.values().enumerate() {
            setup::line(&mut tx, *id, 500.0, 500.0).await.unwrap();
            let number = NewNumber {
                id: Uuid::now_v7(),
                pool: self.pool,
                account: *id,
                number: PhoneNumber::parse(&format!("+42022200000{position}")).unwrap(),
                country: "CZ".to_owned(),
                presence: true,
                daily_cap: 100_000,
                verified_at: Some(DateTime::UNIX_EPOCH),
            };
            setup::caller_number(&mut tx, &number).await.unwrap();
        }
        sqlx::query("INSERT INTO app.call_lists (tenant_id, id, name) VALUES ($1, $2, 'all')")
            .bind(self.tenant.0)
            .bind(self.list.0)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Contacts with the numbers +420 600 000 000 and up, members of the list.
    pub(crate) async fn contacts(&self, count: u32) -> Vec<ContactId> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let numbers: Vec<String> = (0..count).map(|number| format!("+420600{number:06}")).collect();
        let tokens: Vec<Uuid> = (0..count)
            .map(|number| Uuid::from_u128(u128::from(number) + 1))
            .collect();
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        for sql in [
            "INSERT INTO app.contacts (tenant_id, id, timezone) SELECT $1, u.id, 'Europe/Prague'
             FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS u(id, e164, token)",
            "INSERT INTO app.contact_phones (tenant_id, contact_id, e164, token, region, kind, is_primary)
             SELECT $1, u.id, u.e164, u.token, 'CZ', 'mobile', true
             FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS u(id, e164, token)",
        ] {
            sqlx::query(sql)
                .bind(self.tenant.0)
                .bind(&ids)
                .bind(&numbers)
                .bind(&tokens)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        sqlx::query(
            "INSERT INTO app.call_list_members (tenant_id, list_id, contact_id) SELECT $1, $2, unnest($3::uuid[])",
        )
        .bind(self.tenant.0)
        .bind(self.list.0)
        .bind(&ids)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        ids.into_iter().map(ContactId).collect()
    }

    /// A campaign over the list, as `change` makes it; started.
    pub(crate) async fn campaign(&self, change: impl FnOnce(&mut NewCampaign)) -> CampaignId {
        let id = CampaignId::random();
        let mut new = NewCampaign::new(id, format!("c{:08x}", fastrand::u32(..)));
        new.caller_pool = Some(self.pool);
        new.safe_harbour_url = Some("https://audio.test/sorry.mp3".to_owned());
        change(&mut new);
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        setup::campaign(&mut tx, &new).await.unwrap();
        setup::add_list(&mut tx, id, self.list).await.unwrap();
        voice_dialer::start::start(&mut tx, &Open, id, now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Agents who are signed in for shard 0 with a long lease.
    pub(crate) async fn agents(&self, campaign: CampaignId, count: usize) -> Vec<AgentId> {
        let ids: Vec<AgentId> = (0..count).map(|_| AgentId::random()).collect();
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        for id in &ids {
            agents::sign_up(&mut tx, *id, AgentKind::Human, TimeDelta::zero(), now())
                .await
                .unwrap();
        }
        let input = Input::SignIn {
            works_for: (campaign, 0),
            lease_until: now() + TimeDelta::minutes(10),
        };
        let inputs: Vec<_> = ids.iter().map(|id| (*id, input.clone())).collect();
        agents::apply(&mut tx, &inputs, now()).await.unwrap();
        tx.commit().await.unwrap();
        ids
    }

    pub(crate) async fn tx(&self) -> TenantTx {
        self.worker.tenant(self.tenant).await.unwrap()
    }

    /// One number out of the database.
    pub(crate) async fn count(&self, sql: &'static str, campaign: CampaignId) -> i64 {
        let mut tx = self.tx().await;
        sqlx::query_scalar(sql)
            .bind(campaign.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap()
    }

    /// How many of a column's values there are.
    pub(crate) async fn counts(&self, sql: &'static str, campaign: CampaignId) -> BTreeMap<String, i64> {
        let mut tx = self.tx().await;
        sqlx::query(sql)
            .bind(campaign.0)
            .fetch_all(&mut *tx)
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect()
    }

    /// Waits until a question to the database is answered with yes.
    pub(crate) async fn until(&self, what: &str, sql: &'static str, campaign: CampaignId) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
        loop {
            let mut tx = self.tx().await;
            let yes: bool = sqlx::query_scalar(sql)
                .bind(campaign.0)
                .fetch_one(&mut *tx)
                .await
                .unwrap();
            drop(tx);
            if yes {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts a dialer on this stage.
    pub(crate) fn dialer(&self, config: Config) -> Dialer {
        self.dialer_with(config, Arc::new(Open), None)
    }

    /// Starts a dialer under this law, which answers "why not" on the listener.
    pub(crate) fn dialer_with(
        &self,
        config: Config,
        gate: Arc<dyn Gate>,
        listener: Option<tokio::net::TcpListener>,
    ) -> Dialer {
        let lines = self
            .accounts
            .values()
            .map(|(id, fake)| {
                let carrier = Arc::clone(fake);
                let line = Line {
                    client: carrier,
                    hooks: HookUrls::new(&"http://127.0.0.1:1/hooks/x/y".parse().unwrap()),
                    breaker: CircuitBreaker::new(BREAKER, SystemClock::shared(), |_| {}),
                };
                ((self.tenant, *id), line)
            })
            .collect::<HashMap<_, _>>();
        let deps = Dependencies {
            kafka: self.kafka.clone(),
            database: self.worker.clone(),
            producer: self.producer.clone(),
            lines: Arc::new(RwLock::new(Arc::new(lines))),
            context: Arc::clone(&self.context),
            streams: StreamUrls::new(
                &"wss://media.test".parse().unwrap(),
                Arc::new(StreamTokens::new(StreamKey::new([9; 32]), None)),
            ),
            gate,
            clock: SystemClock::shared(),
            metrics: Metrics::empty(),
        };
        let app = App::build(config, deps).unwrap();
        let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
        if let Some(listener) = listener {
            app.serve_api(&lifecycle, listener);
        }
        app.start(&lifecycle);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            lifecycle
                .run_until(async {
                    let _ended = stopped.await;
                })
                .await
        });
        Dialer { stop, running }
    }

    /// Every attempt any carrier was asked to dial, in order.
    pub(crate) fn dialled(&self) -> Vec<voice_schemas::AttemptId> {
        self.accounts
            .values()
            .flat_map(|(_, fake)| fake.dialled())
            .collect()
    }

    /// The same fate for everybody.
    pub(crate) fn everybody(&self, fate: Fate) {
        for (_, fake) in self.accounts.values() {
            fake.everybody(fate);
        }
    }
}

/// Events of a type that wait in the outbox: no relay runs beside these tests.
pub(crate) async fn outbox(stage: &Stage, kind: &str) -> Vec<serde_json::Value> {
    let relay = stage.database.connect(Role::Relay).await;
    let payloads: Vec<String> =
        sqlx::query_scalar("SELECT payload::text FROM app.outbox WHERE type = $1 ORDER BY id")
            .bind(kind)
            .fetch_all(&relay.job_pool())
            .await
            .unwrap();
    payloads
        .iter()
        .map(|payload| serde_json::from_str(payload).unwrap())
        .collect()
}

pub(crate) struct Dialer {
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<voice_lifecycle::ExitReport>,
}

impl Dialer {
    pub(crate) async fn stop(self) {
        let _stopping = self.stop.send(());
        let report = tokio::time::timeout(Duration::from_secs(30), self.running)
            .await
            .expect("a dialer stops in time")
            .unwrap();
        assert!(report.failures.is_empty(), "{report:?}");
    }
}
