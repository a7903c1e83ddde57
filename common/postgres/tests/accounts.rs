//! Carrier accounts: sealed in the table, open in the process, announced when they change.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{sealer, telnyx, tenant, twilio};
use secrecy::ExposeSecret;
use tokio::time::timeout;
use voice_postgres::{
    Role,
    accounts::{self, Changes, Credentials, IpPolicy, NewAccount},
    tenants,
    testing::TestDatabase,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn accounts_of_all_tenants_come_back_with_their_secrets_and_the_tenants_phone_key() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let owner = database.connect(Role::Owner).await;
    let one = NewAccount {
        base_url: Some("http://127.0.0.1:1".to_owned()),
        ip_policy: IpPolicy::Enforce,
        ip_allow: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
        rate_per_second: 7,
        rate_burst: 70,
        ..twilio("one")
    };
    let two = telnyx("two");
    accounts::upsert(&owner, &sealer(7), a, &one).await.unwrap();
    accounts::upsert(&owner, &sealer(7), b, &two).await.unwrap();
    accounts::upsert(
        &owner,
        &sealer(7),
        b,
        &NewAccount {
            enabled: false,
            ..twilio("off")
        },
    )
    .await
    .unwrap();

    let worker = database.connect(Role::Worker).await;
    let loaded = accounts::load_all(&worker, &sealer(7)).await.unwrap();
    assert!(loaded.unreadable.is_empty());
    assert_eq!(loaded.accounts.len(), 2);
    let first = loaded
        .accounts
        .iter()
        .find(|account| account.id == one.id)
        .unwrap();
    assert_eq!(
        (first.tenant, first.rate_per_second, first.rate_burst),
        (a, 7, 70)
    );
    assert_eq!(
        (first.ip_policy, &first.ip_allow),
        (IpPolicy::Enforce, &one.ip_allow)
    );
    assert_eq!(
        (&first.base_url, &first.ingress_id),
        (&one.base_url, &one.ingress_id)
    );
    let Credentials::Twilio {
        auth_token,
        secondary_auth_token,
        ..
    } = &first.credentials
    else {
        panic!("{:?}", first.credentials)
    };
    assert_eq!(auth_token.expose_secret(), "primary-token");
    assert_eq!(
        secondary_auth_token.as_ref().unwrap().expose_secret(),
        "secondary-token"
    );
    let second = loaded
        .accounts
        .iter()
        .find(|account| account.id == two.id)
        .unwrap();
    let Credentials::Telnyx {
        api_key,
        connection_id,
        ..
    } = &second.credentials
    else {
        panic!("{:?}", second.credentials)
    };
    assert_eq!(
        (api_key.expose_secret(), connection_id.as_str()),
        ("api-key", "connection-two")
    );

    let key = tenants::phone_key(&mut worker.tenant(a).await.unwrap(), &sealer(7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((key.expose().len(), key.expose()), (32, first.phone_key.expose()));
    assert_ne!(first.phone_key.expose(), second.phone_key.expose());
}

#[tokio::test]
async fn no_secret_stands_in_the_table_or_in_debug_output() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    accounts::upsert(
        &database.connect(Role::Owner).await,
        &sealer(7),
        a,
        &twilio("one"),
    )
    .await
    .unwrap();
    let worker = database.connect(Role::Worker).await;
    let mut tx = worker.tenant(a).await.unwrap();
    let (row, sealed): (String, Vec<u8>) =
        sqlx::query_as("SELECT a::text, credentials_enc FROM app.provider_accounts a")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    let loaded = format!("{:?}", accounts::load_all(&worker, &sealer(7)).await.unwrap());
    for secret in ["primary-token", "secondary-token"] {
        assert!(!row.contains(secret));
        assert!(
            !sealed
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
        assert!(!loaded.contains(secret), "{loaded}");
    }
    assert!(loaded.contains("ACone"));
}

#[tokio::test]
async fn an_account_sealed_with_another_key_is_set_apart_and_the_rest_go_on() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let owner = database.connect(Role::Owner).await;
    let (good, bad) = (twilio("good"), telnyx("bad"));
    accounts::upsert(&owner, &sealer(7), a, &good).await.unwrap();
    accounts::upsert(&owner, &sealer(8), a, &bad).await.unwrap();
    let loaded = accounts::load_all(&database.connect(Role::Worker).await, &sealer(7))
        .await
        .unwrap();
    assert_eq!(
        loaded
            .accounts
            .iter()
            .map(|account| account.id)
            .collect::<Vec<_>>(),
        [good.id]
    );
    assert_eq!(loaded.unreadable.len(), 1);
    assert_eq!(
        (loaded.unreadable[0].id, loaded.unreadable[0].error.kind()),
        (bad.id, "secret_refused")
    );
}

#[tokio::test]
async fn a_ciphertext_copied_to_another_account_does_not_open() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let owner = database.connect(Role::Owner).await;
    let (one, two) = (twilio("one"), twilio("two"));
    accounts::upsert(&owner, &sealer(7), a, &one).await.unwrap();
    accounts::upsert(&owner, &sealer(7), a, &two).await.unwrap();
    let mut tx = owner.tenant(a).await.unwrap();
    sqlx::query(
        "UPDATE app.provider_accounts SET credentials_enc =
             (SELECT credentials_enc FROM app.provider_accounts WHERE id = $1) WHERE id = $2",
    )
    .bind(one.id.0)
    .bind(two.id.0)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let loaded = accounts::load_all(&database.connect(Role::Worker).await, &sealer(7))
        .await
        .unwrap();
    assert_eq!(
        loaded
            .unreadable
            .iter()
            .map(|account| account.id)
            .collect::<Vec<_>>(),
        [two.id]
    );
}

#[tokio::test]
async fn a_change_wakes_the_listener_and_a_lost_connection_counts_as_one() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let (owner, worker) = (
        database.connect(Role::Owner).await,
        database.connect(Role::Worker).await,
    );
    let mut changes = Changes::listen(&worker).await.unwrap();
    let account = twilio("one");
    accounts::upsert(&owner, &sealer(7), a, &account).await.unwrap();
    timeout(PATIENCE, changes.changed())
        .await
        .expect("woken by the insert")
        .unwrap();
    assert_eq!(
        accounts::load_all(&worker, &sealer(7)).await.unwrap().accounts[0].version,
        1
    );
    accounts::upsert(&owner, &sealer(7), a, &account).await.unwrap();
    timeout(PATIENCE, changes.changed())
        .await
        .expect("woken by the update")
        .unwrap();
    assert_eq!(
        accounts::load_all(&worker, &sealer(7)).await.unwrap().accounts[0].version,
        2
    );

    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'voice-worker' AND query ILIKE 'listen%'",
    )
    .execute(&owner.job_pool())
    .await
    .unwrap();
    timeout(PATIENCE, changes.changed())
        .await
        .expect("woken by the loss")
        .unwrap();
    accounts::upsert(&owner, &sealer(7), a, &account).await.unwrap();
    timeout(PATIENCE, changes.changed())
        .await
        .expect("it listens again")
        .unwrap();
}

#[tokio::test]
async fn ingress_ids_are_unguessable_and_taken_ones_are_refused() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let owner = database.connect(Role::Owner).await;
    let one = twilio("one");
    // 32 characters of base64 are 192 bits.
    assert_eq!(one.ingress_id.len(), 32);
    accounts::upsert(&owner, &sealer(7), a, &one).await.unwrap();
    let thief = NewAccount {
        ingress_id: one.ingress_id.clone(),
        ..telnyx("thief")
    };
    let error = accounts::upsert(&owner, &sealer(7), b, &thief).await.unwrap_err();
    assert_eq!(error.constraint(), Some("provider_accounts_ingress_id_key"));
    let guessable = NewAccount {
        ingress_id: "1".to_owned(),
        ..telnyx("short")
    };
    let error = accounts::upsert(&owner, &sealer(7), b, &guessable)
        .await
        .unwrap_err();
    assert_eq!(error.constraint(), Some("provider_accounts_ingress_id_check"));
}

#[tokio::test]
async fn a_tenant_keeps_its_phone_key_when_it_is_written_again() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let owner = database.connect(Role::Owner).await;
    let before = tenants::phone_key(&mut owner.tenant(a).await.unwrap(), &sealer(7))
        .await
        .unwrap()
        .unwrap();
    let renamed = tenants::NewTenant {
        id: a,
        slug: "renamed".to_owned(),
        name: "Renamed".to_owned(),
        region: "eu".to_owned(),
        default_locale: "cs".to_owned(),
        timezone: chrono_tz::Tz::Asia__Kathmandu,
    };
    tenants::upsert(&owner, &sealer(7), &renamed).await.unwrap();
    let mut tx = owner.tenant(a).await.unwrap();
    let after = tenants::phone_key(&mut tx, &sealer(7)).await.unwrap().unwrap();
    assert_eq!(before.expose(), after.expose());
    let current = tenants::current(&mut tx).await.unwrap().unwrap();
    assert_eq!(
        (current.slug.as_str(), current.timezone),
        ("renamed", chrono_tz::Tz::Asia__Kathmandu)
    );
    let all = tenants::all(&database.connect(Role::Report).await).await.unwrap();
    assert_eq!(all, [current]);
}
