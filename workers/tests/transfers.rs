//! What a call is told that asks for a person, on a real Postgres; the dialer's part is played by hand.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use serde_json::Value;
use tokio::runtime::Handle;
use uuid::Uuid;
use voice_lifecycle::SystemClock;
use voice_postgres::{
    Database, Role,
    sealed::{MasterKey, Sealer},
    tenants,
    testing::TestDatabase,
};
use voice_providers::{
    Provider,
    tools::{Action, TransferMode, TransferTarget},
};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ProviderAccountId, TenantId, events::call::Carrier,
    transfers::TransferState,
};
use voice_telephony::{
    Answered, CallSnapshot, CarrierClient, CarrierFuture, Instruction, OriginateRequest, Originated,
    PhoneNumber, SealedContext,
};
use voice_workers::{
    agents::{
        Agent, records,
        targets::{self, Target},
    },
    deeds::Deeds,
    hands::{Deed, Hands as _, HandsError, Line},
};

/// A carrier that notes what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(String, Instruction)>>);

impl CarrierClient for Told {
    fn carrier(&self) -> Carrier {
        Carrier::Twilio
    }

    fn originate<'a>(&'a self, _: &'a OriginateRequest) -> CarrierFuture<'a, Originated> {
        panic!("nobody dials here")
    }

    fn hangup<'a>(&'a self, _: &'a str) -> CarrierFuture<'a, ()> {
        panic!("nobody hangs up here")
    }

    fn lookup<'a>(&'a self, _: &'a str) -> CarrierFuture<'a, CallSnapshot> {
        panic!("nobody asks here")
    }

    fn answer<'a>(&'a self, id: &'a str, steps: &'a [Instruction]) -> CarrierFuture<'a, Answered> {
        let told = steps.iter().map(|step| (id.to_owned(), step.clone()));
        self.0.lock().unwrap().extend(told);
        Box::pin(async { Ok(Answered::default()) })
    }

    fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
        panic!("nobody picks up here")
    }
}

struct World {
    _database: TestDatabase,
    worker: Database,
    tenant: TenantId,
    deeds: Deeds,
    line: Line,
    people: CampaignId,
    carrier: Arc<Told>,
}

impl World {
    /// An AI agent that may hand callers to the queue `sales`, and a call of theirs.
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let (owner, api, worker) = (
            database.connect(Role::Owner).await,
            database.connect(Role::Api).await,
            database.connect(Role::Worker).await,
        );
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
        let line = Line {
            tenant,
            call: CallId::random(),
            agent: AgentId::random(),
            attempt: Some(AttemptId::random()),
            carrier: Carrier::Twilio,
            carrier_call_id: "CA1".to_owned(),
        };
        let (people, account) = (CampaignId::random(), ProviderAccountId::random());
        let mut tx = api.tenant(tenant).await.unwrap();
        let agent = Agent::new(line.agent, "Ada", Provider::OpenaiRealtime, "Be brief.");
        records::upsert(&mut tx, &agent).await.unwrap();
        sqlx::query("INSERT INTO app.campaigns (tenant_id, id, name) VALUES ($1, $2, 'people')")
            .bind(tenant.0)
            .bind(people.0)
            .execute(&mut *tx)
            .await
            .unwrap();
        targets::allow(&mut tx, line.agent, "Sales", Target::Queue(people))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let mut tx = worker.tenant(tenant).await.unwrap();
        sqlx::query(
            "INSERT INTO app.attempts (tenant_id, id, campaign_id, contact_id, shard, number, phone_token, call_id,
                                       account_id, epoch, state, claimed_at)
             VALUES ($1, $2, $3, gen_random_uuid(), 2, 1, gen_random_uuid(), $4, $5, 1, 'answered', now())",
        )
        .bind(tenant.0)
        .bind(line.attempt.unwrap().0)
        .bind(Uuid::now_v7())
        .bind(line.call.0)
        .bind(account.0)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let carrier = Arc::new(Told::default());
        let client = Arc::clone(&carrier) as Arc<dyn CarrierClient>;
        let clients = HashMap::from([((tenant, account), client)]);
        let clients = Arc::new(RwLock::new(Arc::new(clients)));
        Self {
            deeds: Deeds::new(worker.clone(), clients, SystemClock::shared(), Handle::current()),
            carrier,
            _database: database,
            worker,
            tenant,
            line,
            people,
        }
    }

    async fn ask(&self, name: &str) -> Result<Value, HandsError> {
        let wish = Action::TransferCall {
            mode: TransferMode::Warm,
            target: TransferTarget::Queue {
                name: name.to_owned(),
            },
            summary: Some("Wants two.".to_owned()),
        };
        self.deeds.act(&self.line, Deed::Act(wish)).await
    }

    /// The transfers there are: how they stand, and who is wanted.
    async fn rows(&self) -> Vec<(String, Option<Uuid>)> {
        let mut tx = self.worker.tenant(self.tenant).await.unwrap();
        sqlx::query_as("SELECT state, queue_campaign_id FROM app.transfers ORDER BY asked_at")
            .fetch_all(&mut *tx)
            .await
            .unwrap()
    }

    /// Finds somebody and takes it as far as this, once it was asked for.
    async fn dialer(&self, to: TransferState) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let mut tx = self.worker.tenant(self.tenant).await.unwrap();
            let moved = sqlx::query(
                "UPDATE app.transfers SET state = $1, agent_id = gen_random_uuid(), token = 1 WHERE state = 'asked'",
            )
            .bind(to.as_str())
            .execute(&mut *tx)
            .await
            .unwrap();
            tx.commit().await.unwrap();
            if moved.rows_affected() > 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "nobody was asked for");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_name_the_agent_was_not_given_is_refused_and_nobody_is_asked_for() {
    let world = World::new().await;
    assert_eq!(world.ask("directors").await, Err(HandsError::Refused));
    assert_eq!(world.rows().await, []);
}

#[tokio::test]
async fn nobody_within_a_few_seconds_is_nobody_free_and_the_next_question_is_a_new_one() {
    let world = World::new().await;
    let began = tokio::time::Instant::now();
    assert_eq!(world.ask("sales").await, Err(HandsError::NobodyFree));
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(6),
        "{took:?}"
    );
    let (again, ()) = tokio::join!(world.ask("Sales"), world.dialer(TransferState::Done));
    assert!(again.is_ok());
    let wanted = Some(world.people.0);
    assert_eq!(
        world.rows().await,
        [("nobody_free".to_owned(), wanted), ("done".to_owned(), wanted)]
    );
}

/// A model that asks twice, or a worker that does not know whether it has asked: the caller is handed over once.
#[tokio::test]
async fn a_repeated_request_is_the_same_transfer_and_gets_the_same_answer() {
    let world = World::new().await;
    let (first, second, ()) = tokio::join!(
        world.ask("sales"),
        world.ask("sales"),
        world.dialer(TransferState::Done)
    );
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert!(world.ask("sales").await.is_ok(), "it is done already");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn a_carrier_that_refused_and_a_call_of_no_campaign_are_told_to_the_model() {
    let world = World::new().await;
    let (failed, ()) = tokio::join!(world.ask("sales"), world.dialer(TransferState::Failed));
    assert_eq!(failed, Err(HandsError::Unavailable));
    let inbound = Line {
        attempt: None,
        ..world.line.clone()
    };
    let wish = Action::TransferCall {
        mode: TransferMode::Cold,
        target: TransferTarget::Queue {
            name: "sales".to_owned(),
        },
        summary: None,
    };
    let nobody = world.deeds.act(&inbound, Deed::Act(wish)).await;
    assert_eq!(nobody, Err(HandsError::NobodyFree));
}

/// The last resort of a plan: nobody is reserved, the carrier dials.
#[tokio::test]
async fn a_number_of_the_operators_choice_is_dialled_through_the_account_of_the_call() {
    let world = World::new().await;
    let wish = |number: &str| {
        let target = TransferTarget::Number {
            number: number.to_owned(),
        };
        Deed::Act(Action::TransferCall {
            mode: TransferMode::Cold,
            target,
            summary: None,
        })
    };
    assert!(world.deeds.act(&world.line, wish("+420222000111")).await.is_ok());
    let to = PhoneNumber::parse("+420222000111").unwrap();
    assert_eq!(
        *world.carrier.0.lock().unwrap(),
        [("CA1".to_owned(), Instruction::Transfer { to })]
    );
    let none = world.deeds.act(&world.line, wish("222000111")).await;
    assert_eq!(none, Err(HandsError::Refused));
    assert_eq!(world.rows().await, [], "nobody was reserved");
}
