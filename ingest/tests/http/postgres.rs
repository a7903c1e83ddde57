//! Accounts as Postgres has them, while the service runs.

use std::sync::Arc;

use reqwest::StatusCode;
use secrecy::SecretString;
use voice_ingest::{AccountSource, HookAccount};
use voice_postgres::{
    Role,
    accounts::{self, NewAccount},
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_schemas::{ProviderAccountId, TenantId};

use crate::support::*;

/// How requests of a stored account are addressed and signed.
fn as_sent(tenant: TenantId, stored: &NewAccount) -> HookAccount {
    let mut sent = account(stored.credentials.clone());
    sent.tenant = tenant;
    sent.ingress_id.clone_from(&stored.ingress_id);
    sent
}

#[tokio::test]
async fn accounts_come_from_postgres_and_a_change_takes_effect_without_a_restart() {
    let (topics, database) = (Topics::create().await, TestDatabase::create().await);
    let master = MasterKey {
        version: 1,
        key: SecretString::from("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    };
    let sealer = Arc::new(Sealer::new(&[master]).unwrap());
    let owner = database.connect(Role::Owner).await;
    let tenant = NewTenant {
        id: TenantId::random(),
        slug: "acme".to_owned(),
        name: "Acme".to_owned(),
        region: "eu".to_owned(),
        default_locale: "es".to_owned(),
        timezone: chrono_tz::Europe::Madrid,
    };
    tenants::upsert(&owner, &sealer, &tenant).await.unwrap();
    let first = NewAccount::new(ProviderAccountId::random(), "main", twilio_credentials());
    accounts::upsert(&owner, &sealer, tenant.id, &first)
        .await
        .unwrap();

    let mut setup = Setup::new(&topics.config, Vec::new());
    setup.accounts = AccountSource::Postgres(database.connect(Role::Worker).await, Arc::clone(&sealer));
    let service = setup.start().await;
    eventually("readiness", async || service.readiness.is_ready()).await;

    let sid = call_sid();
    let form = [
        ("CallSid", sid.as_str()),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", "+14155550100"),
    ];
    let response = service
        .twilio(&path(&as_sent(tenant.id, &first), "voice"), &form)
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.text().await.unwrap().contains(r#"language="es-ES""#));
    let records = topics.calls().await;
    assert_eq!(records[0].1["tenantid"], tenant.id.0.to_string());
    assert_eq!(
        records[0].1["data"]["call"]["phone_token"].as_str().map(str::len),
        Some(32)
    );

    // A new account is taken, and a disabled one is unknown, without a restart.
    let second = NewAccount::new(ProviderAccountId::random(), "second", telnyx_credentials());
    accounts::upsert(&owner, &sealer, tenant.id, &second)
        .await
        .unwrap();
    let sent = as_sent(tenant.id, &second);
    eventually("the new account", async || {
        service
            .telnyx(&sent, &telnyx_event("call.answered"))
            .await
            .status()
            == StatusCode::OK
    })
    .await;
    accounts::upsert(
        &owner,
        &sealer,
        tenant.id,
        &NewAccount {
            enabled: false,
            ..second
        },
    )
    .await
    .unwrap();
    eventually("the disabled account", async || {
        service
            .telnyx(&sent, &telnyx_event("call.answered"))
            .await
            .status()
            == StatusCode::NOT_FOUND
    })
    .await;
}

#[tokio::test]
async fn the_service_is_not_ready_before_its_accounts_are_loaded_and_survives_without_postgres() {
    let topics = Topics::create().await;
    let sealer = {
        let master = MasterKey {
            version: 1,
            key: SecretString::from("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
        };
        Arc::new(Sealer::new(&[master]).unwrap())
    };
    let database = TestDatabase::create().await;
    let worker = database.connect(Role::Worker).await;
    // The server goes away before the service starts.
    worker.close().await;
    let mut setup = Setup::new(&topics.config, Vec::new());
    setup.accounts = AccountSource::Postgres(worker, sealer);
    let service = setup.start().await;
    eventually("the report that accounts cannot be read", async || {
        service.metric("ingest_accounts_stale") > 0.5
    })
    .await;
    assert!(!service.readiness.is_ready());
    // Not 404, on which carriers give up: nobody can say yet that the hook does not exist.
    let early = service
        .telnyx(&account(telnyx_credentials()), &telnyx_event("call.answered"))
        .await;
    problem(early, StatusCode::SERVICE_UNAVAILABLE).await;
}
