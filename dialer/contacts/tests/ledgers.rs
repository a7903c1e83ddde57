//! Consents and suppressions as the dialer asks for them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Place, file, key, now, request, tenant, token};
use serde_json::Map;
use uuid::Uuid;
use voice_contacts::{
    Channel, ConsentStatus, ConsentType, Statement, consents,
    suppressions::{Reason, Scope, Suppression, matching, suppress},
};
use voice_postgres::TenantTx;
use voice_schemas::{CampaignId, ContactId};

fn statement(kind: ConsentType, status: ConsentStatus, captured_at: DateTime<Utc>) -> Statement {
    Statement {
        kind,
        status,
        purpose: None,
        channel: None,
        source: Some("test".to_owned()),
        evidence: Map::new(),
        captured_at,
        expires_at: None,
    }
}

async fn contact(place: &Place) -> ContactId {
    place
        .import(request(file("phone,phone2\n602123456,603123456\n").path()))
        .await;
    let id = sqlx::query_scalar("SELECT id FROM app.contacts")
        .fetch_one(&mut *place.tx().await)
        .await
        .unwrap();
    ContactId(id)
}

async fn granted(
    tx: &mut TenantTx,
    contact: ContactId,
    kind: ConsentType,
    at: DateTime<Utc>,
) -> Option<bool> {
    let standing = consents::for_calls(tx, &[contact]).await.unwrap();
    standing
        .get(&(contact, kind))
        .map(|standing| standing.is_granted(at))
}

/// EXT-09, T7
#[tokio::test]
async fn the_newest_statement_counts_and_all_of_them_stay() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let mut tx = place.tx().await;
    assert_eq!(
        granted(&mut tx, contact, ConsentType::Marketing, now()).await,
        None
    );
    let hour = TimeDelta::hours(1);
    let said = |status, at| (contact, statement(ConsentType::Marketing, status, at));
    let three = [
        said(ConsentStatus::Withdrawn, now() - hour),
        said(ConsentStatus::Granted, now()),
        said(ConsentStatus::Granted, now() - hour * 2),
    ];
    assert_eq!(consents::add(&mut tx, &three).await.unwrap(), 3);
    assert_eq!(
        granted(&mut tx, contact, ConsentType::Marketing, now()).await,
        Some(true)
    );
    assert_eq!(
        granted(&mut tx, contact, ConsentType::AiProcessing, now()).await,
        None
    );
    assert_eq!(
        consents::add(&mut tx, &three).await.unwrap(),
        0,
        "told twice, it is one"
    );
    // A no of the same time beats a yes.
    consents::add(&mut tx, &[said(ConsentStatus::Denied, now())])
        .await
        .unwrap();
    assert_eq!(
        granted(&mut tx, contact, ConsentType::Marketing, now()).await,
        Some(false)
    );
    tx.commit().await.unwrap();
    assert_eq!(place.count("SELECT count(*) FROM app.consents").await, 4);
    // The ledger is only ever added to.
    for sql in [
        "UPDATE app.consents SET status = 'granted'",
        "DELETE FROM app.consents",
    ] {
        let refused = sqlx::query(sql)
            .execute(&mut *place.tx().await)
            .await
            .unwrap_err();
        assert!(matches!(
            voice_postgres::Error::from(refused),
            voice_postgres::Error::Denied(_)
        ));
    }
}

#[tokio::test]
async fn a_yes_runs_out_and_other_channels_say_nothing_about_calls() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let mut tx = place.tx().await;
    let end = now() + TimeDelta::days(1);
    let ends = Statement {
        expires_at: Some(end),
        channel: Some(Channel::Voice),
        ..statement(ConsentType::Marketing, ConsentStatus::Granted, now())
    };
    let by_mail = Statement {
        channel: Some(Channel::Email),
        ..statement(
            ConsentType::Marketing,
            ConsentStatus::Withdrawn,
            now() + TimeDelta::minutes(1),
        )
    };
    consents::add(&mut tx, &[(contact, ends), (contact, by_mail)])
        .await
        .unwrap();
    assert_eq!(
        granted(&mut tx, contact, ConsentType::Marketing, now()).await,
        Some(true)
    );
    assert_eq!(
        granted(&mut tx, contact, ConsentType::Marketing, end).await,
        Some(false)
    );
}

/// T7: a withdrawal and the suppression it means are one change.
#[tokio::test]
async fn a_withdrawal_suppresses_every_number_of_the_person_at_once() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let key = key(&place.database, place.tenant).await;
    let tokens = ["+420602123456", "+420603123456"].map(|number| token(&key, number));
    let mut tx = place.tx().await;
    let ai = ConsentType::AiProcessing;
    assert_eq!(
        consents::withdraw(&mut tx, contact, ai, None, Map::new(), Scope::Tenant, now())
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        matching(&mut tx, &tokens, now()).await.unwrap(),
        [],
        "people may still call"
    );
    assert_eq!(granted(&mut tx, contact, ai, now()).await, Some(false));

    let marketing = ConsentType::Marketing;
    let source = Some("call".to_owned());
    let done = consents::withdraw(
        &mut tx,
        contact,
        marketing,
        source,
        Map::new(),
        Scope::Tenant,
        now(),
    )
    .await
    .unwrap();
    assert_eq!(done, 2);
    let found = matching(&mut tx, &tokens, now()).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(
        found
            .iter()
            .all(|one| one.reason == Reason::Withdrawn && one.scope == Scope::Tenant)
    );
    assert_eq!(granted(&mut tx, contact, marketing, now()).await, Some(false));
    // All of it or nothing.
    drop(tx);
    assert_eq!(matching(&mut place.tx().await, &tokens, now()).await.unwrap(), []);
    assert_eq!(place.count("SELECT count(*) FROM app.consents").await, 0);
}

/// EXT-08
#[tokio::test]
async fn suppressions_reach_as_far_as_their_scope_and_as_long_as_they_last() {
    let place = Place::create().await;
    let (company, campaign) = (Uuid::now_v7(), CampaignId::random());
    let [everywhere, of_company, of_campaign, ended, free] = [1_u128, 2, 3, 4, 5].map(Uuid::from_u128);
    let mut tx = place.tx().await;
    let later = Some(now() + TimeDelta::days(1));
    for (token, scope, until) in [
        (everywhere, Scope::Tenant, None),
        (of_company, Scope::Company(company), later),
        (of_campaign, Scope::Campaign(campaign), None),
        (ended, Scope::Tenant, Some(now())),
    ] {
        assert_eq!(
            suppress(&mut tx, &[token], scope, Reason::OptOut, until, now())
                .await
                .unwrap(),
            1
        );
    }
    let all = [everywhere, of_company, of_campaign, ended, free];
    let found = matching(&mut tx, &all, now()).await.unwrap();
    let forbidden = |company, campaign| {
        let mut tokens: Vec<Uuid> = found
            .iter()
            .filter(|one| one.forbids(company, campaign))
            .map(|one| one.token)
            .collect();
        tokens.sort_unstable();
        tokens
    };
    assert_eq!(
        forbidden(Some(company), campaign),
        [everywhere, of_company, of_campaign]
    );
    assert_eq!(forbidden(None, campaign), [everywhere, of_campaign]);
    assert_eq!(
        forbidden(Some(Uuid::now_v7()), CampaignId::random()),
        [everywhere]
    );
    let found = matching(&mut tx, &all, now() + TimeDelta::days(1)).await.unwrap();
    assert!(!found.iter().any(|one| one.token == of_company), "it ended");
}

#[tokio::test]
async fn suppressing_again_keeps_the_longer_time_and_the_reason_in_force() {
    let place = Place::create().await;
    let mut tx = place.tx().await;
    let token = Uuid::from_u128(1);
    let day = |days| Some(now() + TimeDelta::days(days));
    let mut again = async |reason, until, at| {
        suppress(&mut tx, &[token, token], Scope::Tenant, reason, until, at)
            .await
            .unwrap();
        let found = matching(&mut tx, &[token], at).await.unwrap();
        let [
            Suppression {
                reason, expires_at, ..
            },
        ] = found[..]
        else {
            panic!("{found:?}")
        };
        (reason, expires_at)
    };
    assert_eq!(
        again(Reason::OptOut, day(5), now()).await,
        (Reason::OptOut, day(5))
    );
    assert_eq!(
        again(Reason::Other, day(2), now()).await,
        (Reason::OptOut, day(5))
    );
    // It had run out; now there is a new reason.
    assert_eq!(
        again(Reason::Complaint, day(9), now() + TimeDelta::days(6)).await,
        (Reason::Complaint, day(9))
    );
    assert_eq!(again(Reason::Other, None, now()).await, (Reason::Complaint, None));
    assert_eq!(
        again(Reason::Other, day(1), now()).await,
        (Reason::Complaint, None),
        "never ends, whatever comes"
    );
}

/// T2
#[tokio::test]
async fn a_tenant_sees_and_writes_only_its_own_ledgers() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let other = tenant(&place.server, "second").await;
    let mut tx = place.tx().await;
    let token = Uuid::from_u128(1);
    suppress(&mut tx, &[token], Scope::Tenant, Reason::OptOut, None, now())
        .await
        .unwrap();
    let yes = statement(ConsentType::Marketing, ConsentStatus::Granted, now());
    consents::add(&mut tx, &[(contact, yes.clone())]).await.unwrap();
    tx.commit().await.unwrap();

    let mut theirs = place.database.tenant(other).await.unwrap();
    assert_eq!(matching(&mut theirs, &[token], now()).await.unwrap(), []);
    assert!(
        consents::for_calls(&mut theirs, &[contact])
            .await
            .unwrap()
            .is_empty()
    );
    let refused = consents::add(&mut theirs, &[(contact, yes)]).await.unwrap_err();
    assert!(
        refused.constraint().is_some(),
        "{refused:?}: a contact of another tenant is no contact"
    );
}

#[tokio::test]
async fn a_batch_of_suppressions_is_found_through_the_index() {
    let place = Place::create().await;
    let mut tx = place.tx().await;
    sqlx::query(
        "INSERT INTO app.suppressions (tenant_id, id, token, scope, reason)
         SELECT $1, gen_random_uuid(), lpad(to_hex(n), 32, '0')::uuid, 'tenant', 'opt_out' FROM generate_series(1, 50000) n",
    )
    .bind(place.tenant.0)
    .execute(&mut *tx)
    .await
    .unwrap();
    let tokens: Vec<Uuid> = (49_900..50_100).map(Uuid::from_u128).collect();
    assert_eq!(matching(&mut tx, &tokens, now()).await.unwrap().len(), 101);
    // Nobody has analysed the table, and still no other row is looked at than those asked for.
    let read: i64 = sqlx::query_scalar(
        "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'suppressions'",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!(read, 101);
}
