//! What registers and relationships say about a dial, and what is told of those that are not made; on the real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use support::{Open, Owner, Stage, outbox, sql};
use uuid::Uuid;
use voice_contacts::{
    registers::{self, Covers},
    relationships::{self, Relationship},
};
use voice_dialer::{campaigns::load, law::Law, selection::explain};
use voice_schemas::ContactId;

/// The tokens of the stage's contacts, in their order.
fn token(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

async fn scrub(stage: &Stage, covers: Covers, taken_at: DateTime<Utc>, entries: &[(Uuid, bool)]) -> bool {
    let mut tx = stage.worker.tenant(stage.tenant).await.unwrap();
    let loading = registers::begin(&mut tx, "us-dnc", covers, taken_at)
        .await
        .unwrap();
    registers::add(&mut tx, loading, entries).await.unwrap();
    let used = registers::finish(&mut tx, loading).await.unwrap();
    tx.commit().await.unwrap();
    used
}

/// 47 CFR 64.1200(c)(2): nobody on the national list, nobody who was not looked up within 31 days, unless a purchase lifts
/// it. Each of them is told why, and called once that has changed.
#[tokio::test(flavor = "multi_thread")]
async fn the_national_register_is_asked_is_obeyed_and_grows_old() {
    let stage = Stage::new("registers").await;
    let contacts = stage.contacts(4).await;
    let campaign = stage.campaign(|_| {}).await;
    // Denver, mountain time.
    sql(
        &stage,
        "UPDATE app.contact_phones SET e164 = '+13035550' || right(e164, 3), region = 'US' WHERE $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    sql(
        &stage,
        "UPDATE app.contacts SET timezone = 'America/Denver' WHERE $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    let law = Law::embedded().unwrap();
    let noon: DateTime<Utc> = "2026-11-04T19:00:00Z".parse().unwrap();
    let why = async |contact: ContactId, at: DateTime<Utc>| {
        let mut tx = stage.tx().await;
        let settings = load(&mut tx, campaign).await.unwrap().unwrap();
        let explained = explain(&mut tx, &law, &settings, contact, at)
            .await
            .unwrap()
            .unwrap();
        let mut reasons = explained.reasons;
        reasons.retain(|reason| reason != "waits");
        reasons
    };
    assert_eq!(
        why(contacts[0], noon).await,
        ["register_check_missing"],
        "nobody asked"
    );

    // The whole register as of yesterday: the second is in it, the others are not.
    let yesterday = noon - TimeDelta::days(1);
    assert!(scrub(&stage, Covers::Register, yesterday, &[(token(1), true)]).await);
    assert_eq!(why(contacts[0], noon).await, [""; 0]);
    assert_eq!(why(contacts[1], noon).await, ["on_register"]);
    // An older file does not take the place of a newer one.
    assert!(!scrub(&stage, Covers::Register, noon - TimeDelta::days(9), &[]).await);
    assert_eq!(why(contacts[1], noon).await, ["on_register"]);

    // Whoever bought something lately may be called all the same.
    let mut tx = stage.worker.tenant(stage.tenant).await.unwrap();
    let bought = Relationship {
        last_purchase: Some(noon - TimeDelta::days(100)),
        ..Relationship::default()
    };
    relationships::put(&mut tx, contacts[1], None, bought, noon)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(why(contacts[1], noon).await, [""; 0]);

    // After 31 days it is as if nobody had asked; a look-up of one number makes that one callable.
    let later = yesterday + TimeDelta::days(32);
    assert_eq!(why(contacts[0], later).await, ["register_check_missing"]);
    assert!(
        scrub(
            &stage,
            Covers::Numbers,
            later - TimeDelta::days(2),
            &[(token(0), false), (token(2), true)]
        )
        .await
    );
    assert_eq!(why(contacts[0], later).await, [""; 0]);
    assert_eq!(why(contacts[2], later).await, ["on_register"]);
    assert_eq!(why(contacts[3], later).await, ["register_check_missing"]);

    // What explains is what decides.
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET next_attempt_at = '2026-11-01T00:00:00Z' WHERE campaign_id = $1",
        campaign,
    )
    .await;
    let mut owner = Owner::of(&stage, campaign).await;
    let claimed = owner.claim(&law, 10, later).await.unwrap();
    let called: BTreeSet<ContactId> = claimed.dials.iter().map(|dial| dial.line.contact).collect();
    assert_eq!(called, BTreeSet::from([contacts[0], contacts[1]]));
    let kept = {
        let mut tx = stage.worker.tenant(stage.tenant).await.unwrap();
        let dropped = registers::forget(&mut tx, later).await.unwrap();
        tx.rollback().await.unwrap();
        dropped
    };
    assert_eq!(kept, 2, "both scrubs are older than that");
}

/// `attempt.skipped` once for a contact and its reasons, however often the hopper is looked into.
#[tokio::test(flavor = "multi_thread")]
async fn a_skip_is_told_once_for_each_change_of_reasons_and_not_at_every_look() {
    let stage = Stage::new("skips").await;
    stage.contacts(5).await;
    let campaign = stage.campaign(|_| {}).await;
    let law = Law::embedded().unwrap();
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET next_attempt_at = '2026-11-01T00:00:00Z' WHERE campaign_id = $1",
        campaign,
    )
    .await;
    let mut owner = Owner::of(&stage, campaign).await;
    // Prague, without a consent: at night the hour stands against it too.
    let noon: DateTime<Utc> = "2026-11-03T11:00:00Z".parse().unwrap();
    for day in 0..4 {
        let claimed = owner.claim(&law, 10, noon + TimeDelta::days(day)).await.unwrap();
        assert_eq!((claimed.dials.len(), claimed.refused), (0, 5));
    }
    let skipped = outbox(&stage, "attempt.skipped").await;
    assert_eq!(skipped.len(), 5);
    for event in &skipped {
        assert_eq!(event["data"]["reasons"], serde_json::json!(["consent_missing"]));
        assert!(event["data"]["next_at"].is_string());
        assert_eq!(event["data"]["number"], 1);
    }
    let ids: BTreeSet<String> = skipped.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 5);
    // Somebody turns out to be suppressed: that is news about them, and the last there is.
    sql(
        &stage,
        "INSERT INTO app.suppressions (tenant_id, id, token, scope, reason)
         SELECT app.tid(), gen_random_uuid(), token, 'tenant', 'complaint' FROM app.contact_phones
         WHERE e164 = '+420600000000' AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    for day in 4..8 {
        owner.claim(&law, 10, noon + TimeDelta::days(day)).await.unwrap();
    }
    let skipped = outbox(&stage, "attempt.skipped").await;
    assert_eq!(skipped.len(), 6);
    let last = skipped.last().unwrap();
    let reasons: Vec<&str> = last["data"]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|reason| reason.as_str())
        .collect();
    assert!(reasons.contains(&"suppressed"), "{reasons:?}");
    assert!(last["data"]["next_at"].is_null(), "it will never be made");
    // A dial and a refusal after it are news again.
    let mut owner = Owner::of(&stage, campaign).await;
    let at = noon + TimeDelta::days(9);
    let dialled = owner.claim(&Open, 10, at).await.unwrap().dials.len();
    assert_eq!(dialled, 4);
}
