//! A campaign of AI agents over a list that was imported from a file, on accounts of both carriers.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_compliance::Rules;
use voice_dialer::{
    campaigns::{Declarations, Mode},
    law::Law,
    setup::{self, NewCampaign, NewNumber},
    start,
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role};
use voice_providers::Provider;
use voice_schemas::{AgentId, CampaignId, ProviderAccountId, TenantId};
use voice_simulator::places::{self, Place};
use voice_telephony::PhoneNumber;
use voice_workers::{
    agents::{self, Agent},
    plan::Recording,
};

use super::Scene;

const LIST: &str = "everybody";

/// Where everybody lives: somewhere that may be called at the hour the test runs.
fn place() -> Place {
    places::open_now(&Rules::embedded().unwrap(), SystemClock.now()).unwrap()
}

impl Scene {
    pub(crate) async fn database(&self, role: Role) -> Database {
        let mut config = voice_postgres::Config::new(self.postgres.clone());
        config.max_connections = 4;
        Database::connect(&config, role).await.unwrap()
    }

    /// Brings people in as an operator does: who agreed to be spoken to by a machine.
    pub(crate) async fn import_people(&self, tenant: TenantId, count: u32) {
        let place = place();
        let mut file = String::from("phone,country,consent_type,consent_status,consent_captured_at\n");
        for person in 0..count {
            writeln!(
                file,
                "{},{},marketing ai_processing,granted,2026-01-01T00:00:00Z",
                place.number(person),
                place.region
            )
            .unwrap();
        }
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.csv", self.name));
        std::fs::write(&path, file).unwrap();
        let tenant = tenant.to_string();
        let words = [
            "contacts",
            "import",
            path.to_str().unwrap(),
            "--tenant",
            &tenant,
            "--list",
            LIST,
        ];
        let imported = self.run(&words).await;
        assert!(imported.status.success(), "{imported:?}");
        std::fs::remove_file(path).unwrap();
    }

    /// Starts a campaign over everybody that was imported, `change`d from an AI campaign of two shards.
    pub(crate) async fn start_campaign(
        &self,
        tenant: TenantId,
        accounts: &BTreeSet<ProviderAccountId>,
        now: DateTime<Utc>,
        change: impl FnOnce(&mut NewCampaign),
    ) -> CampaignId {
        let database = self.database(Role::Api).await;
        let mut tx = database.tenant(tenant).await.unwrap();
        let (id, pool) = (CampaignId::random(), Uuid::now_v7());
        let agent = Agent {
            record: Recording::On,
            ..Agent::new(AgentId::random(), "Ada", Provider::OpenaiRealtime, "Be brief.")
        };
        agents::records::upsert(&mut tx, &agent).await.unwrap();
        setup::caller_pool(&mut tx, pool, "ours").await.unwrap();
        let place = place();
        for (index, account) in (0..).zip(accounts) {
            setup::line(&mut tx, *account, 500.0, 500.0).await.unwrap();
            let number = NewNumber {
                id: Uuid::now_v7(),
                pool,
                account: *account,
                number: PhoneNumber::parse(&place.caller(index)).unwrap(),
                country: place.region.to_owned(),
                presence: true,
                daily_cap: 1_000_000,
                verified_at: Some(DateTime::UNIX_EPOCH),
            };
            setup::caller_number(&mut tx, &number).await.unwrap();
        }
        let mut new = NewCampaign {
            mode: Mode::Agentless,
            shards: 2,
            purpose: "informational",
            caller_pool: Some(pool),
            ai_agent: Some(agent.id),
            declarations: Declarations {
                consent_marketing: true,
                consent_automated: true,
                consent_written: true,
                consent_proof: true,
                message_names_company: true,
                message_says_number: true,
                ai_discloses: true,
                ai_offers_opt_out: true,
                identifies_at_start: true,
                records_kept_days: 3_650,
                ..Declarations::default()
            },
            safe_harbour_url: Some("https://audio.example.test/sorry.mp3".to_owned()),
            ..NewCampaign::new(id, "survey")
        };
        change(&mut new);
        setup::campaign(&mut tx, &new).await.unwrap();
        let list = voice_contacts::lists::find(&mut tx, LIST).await.unwrap().unwrap();
        setup::add_list(&mut tx, id, list.id).await.unwrap();
        start::start(&mut tx, &Law::embedded().unwrap(), id, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }
}
