//! What is told of contacts, beside the change and without a name or number.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use chrono::TimeDelta;
use common::{Place, file, key, now, request, token};
use serde_json::{Map, Value, json};
use voice_contacts::{
    ConsentStatus, ConsentType, Statement, consents,
    suppressions::{Reason, Scope, suppress, suppress_person},
};
use voice_postgres::Role;
use voice_schemas::{CampaignId, ContactId};

async fn told(place: &Place, kind: &str) -> Vec<Value> {
    let relay = place.server.connect(Role::Relay).await;
    let payloads: Vec<String> = sqlx::query_scalar(
        "SELECT payload::text FROM app.outbox WHERE type = $1 AND topic = 'contacts.events' ORDER BY id",
    )
    .bind(kind)
    .fetch_all(&relay.job_pool())
    .await
    .unwrap();
    for payload in &payloads {
        assert!(
            !payload.contains("602123") && !payload.contains("Novák"),
            "{payload}"
        );
    }
    payloads
        .iter()
        .map(|payload| serde_json::from_str(payload).unwrap())
        .collect()
}

async fn contact(place: &Place) -> ContactId {
    let text = "phone,phone2,last_name\n602123456,603123456,Novák\n";
    place.import(request(file(text).path())).await;
    let id = sqlx::query_scalar("SELECT id FROM app.contacts")
        .fetch_one(&mut *place.tx().await)
        .await
        .unwrap();
    ContactId(id)
}

#[tokio::test]
async fn an_import_is_told_once_with_its_counts_and_not_row_by_row() {
    let place = Place::create().await;
    contact(&place).await;
    let imports = told(&place, "import.completed").await;
    assert_eq!(imports.len(), 1);
    let data = &imports[0]["data"];
    assert_eq!(
        (&data["read"], &data["created"], &data["invalid"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(told(&place, "contact.consent_changed").await, Vec::<Value>::new());
    place.import(request(file("phone\nnone\nnot one\n").path())).await;
    let failed = told(&place, "import.failed").await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["data"]["failure"], "no_valid_rows");
}

#[tokio::test]
async fn a_suppression_is_told_when_it_begins_and_not_when_it_is_repeated() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let campaign = Scope::Campaign(CampaignId::random());
    let token = token(&key(&place.database, place.tenant).await, "+420602123456");
    let mut tx = place.tx().await;
    suppress(
        &mut tx,
        &[token],
        campaign,
        Reason::OptOut,
        Some(now() + TimeDelta::days(1)),
        now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut tx = place.tx().await;
    for at in [now(), now() + TimeDelta::hours(1)] {
        suppress_person(&mut tx, contact, None, Scope::Tenant, Reason::Complaint, at)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let events = told(&place, "contact.suppressed").await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["data"]["scope"], "campaign");
    assert!(events[0]["data"]["expires_at"].is_string());
    assert_eq!(events[0]["data"]["contact_id"], Value::Null);
    // Both numbers of the person, whichever of them complained.
    let tokens = events[1]["data"]["phone_tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    assert_eq!(events[1]["data"]["contact_id"], contact.0.to_string());
    assert_eq!(events[1]["subject"], contact.0.to_string());
    // One that ran out and is given again is told again.
    let mut tx = place.tx().await;
    let later = now() + TimeDelta::days(2);
    suppress(&mut tx, &[token], campaign, Reason::OptOut, None, later)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(told(&place, "contact.suppressed").await.len(), 3);
}

#[tokio::test]
async fn a_statement_is_told_once_and_nothing_is_told_of_what_was_rolled_back() {
    let place = Place::create().await;
    let contact = contact(&place).await;
    let said = Statement {
        kind: ConsentType::Marketing,
        status: ConsentStatus::Granted,
        purpose: None,
        channel: None,
        source: Some("Novák's form".to_owned()),
        evidence: Map::new(),
        captured_at: now(),
        expires_at: None,
    };
    let mut tx = place.tx().await;
    consents::add(&mut tx, &[(contact, said.clone())]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(told(&place, "contact.consent_changed").await, Vec::<Value>::new());
    for _ in 0..2 {
        let mut tx = place.tx().await;
        consents::add(&mut tx, &[(contact, said.clone())]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = place.tx().await;
    let at = now() + TimeDelta::hours(1);
    consents::withdraw(
        &mut tx,
        contact,
        ConsentType::Marketing,
        None,
        Map::new(),
        Scope::Tenant,
        at,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let statuses: Vec<Value> = told(&place, "contact.consent_changed")
        .await
        .into_iter()
        .map(|event| event["data"]["status"].clone())
        .collect();
    assert_eq!(statuses, [json!("granted"), json!("withdrawn")]);
    assert_eq!(
        told(&place, "contact.suppressed").await.len(),
        1,
        "the withdrawal ends calls as well"
    );
}
