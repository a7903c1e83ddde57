//! Files of people on the real Postgres: what is taken, what is counted, what is said about the rest.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Place, clock, faults, file, five, key, now, request, rows, tenant, token};
use encoding_rs::WINDOWS_1250;
use voice_contacts::{
    Region,
    import::{self, Import, Request},
    suppressions::{Reason, Scope, suppress},
};

const PEOPLE: &str =
    "SELECT external_id, first_name, last_name, email, locale, timezone, tier, attributes::text
    FROM app.contacts ORDER BY external_id, first_name";
const PHONES: &str = "SELECT c.external_id, p.e164, p.region, p.kind, p.is_primary::text
    FROM app.contact_phones p JOIN app.contacts c ON c.id = p.contact_id ORDER BY 1, 2";

/// CON-02, CON-08
#[tokio::test]
async fn a_spreadsheet_of_czech_names_becomes_a_list_of_people() {
    let place = Place::create().await;
    let text = "ID zákazníka;Jméno;Příjmení;Telefon;Telefon 2;E-mail;Jazyk;Časové pásmo;Město\r\n\
        1;Šárka;Dvořáková;602 123 456;+420 224 123 456;sarka@example.com;cs;Europe/Prague;Žďár\r\n\
        2;Jiří;Růžička;603123456;;;;;\r\n";
    let report = place
        .import(request(file(WINDOWS_1250.encode(text).0).path()))
        .await;
    assert_eq!(five(report.counters), [2, 0, 0, 0, 0]);
    assert_eq!((report.failure, faults(&report)), (None, vec![]));
    assert_eq!(
        place.rows(PEOPLE).await,
        [
            "1|Šárka|Dvořáková|sarka@example.com|cs|Europe/Prague||{\"Město\": \"Žďár\"}",
            "2|Jiří|Růžička|||||{}",
        ]
    );
    assert_eq!(
        place.rows(PHONES).await,
        [
            "1|+420224123456|CZ|fixed|false",
            "1|+420602123456|CZ|mobile|true",
            "2|+420603123456|CZ|mobile|true"
        ]
    );
    assert_eq!(
        place
            .rows(
                "SELECT l.name, count(*)::text, min(m.priority)::text FROM app.call_list_members m
                    JOIN app.call_lists l ON l.id = m.list_id GROUP BY 1"
            )
            .await,
        ["people|2|50"]
    );
    assert_eq!(
        place
            .rows(
                "SELECT state, rows_read::text, (bytes_read = file_bytes)::text, options->>'encoding',
                    options->>'delimiter', mapping->3->>'field' FROM app.imports"
            )
            .await,
        ["completed|2|true|windows-1250|;|phone"]
    );
    // The token is the one events carry for the number.
    let key = key(&place.database, place.tenant).await;
    let stored: uuid::Uuid =
        sqlx::query_scalar("SELECT token FROM app.contact_phones WHERE e164 = '+420602123456'")
            .fetch_one(&mut *place.tx().await)
            .await
            .unwrap();
    assert_eq!(stored, token(&key, "+420602123456"));
}

#[tokio::test]
async fn a_second_import_updates_what_changed_and_takes_nothing_away() {
    let place = Place::create().await;
    let header = "id,first_name,last_name,phone,city,tier\n";
    let first =
        format!("{header}1,Jan,Novák,602123456,Brno,gold\n2,Eva,Malá,603123456,Praha,\n,Petr,,604123456,,\n");
    place.import(request(file(&first).path())).await;
    let same = place.import(request(file(&first).path())).await;
    assert_eq!(five(same.counters), [0, 0, 3, 0, 0]);
    assert_eq!(faults(&same), [], "nothing was lost, so nothing is said");

    let second = format!(
        "{header}1,Jan,,605123456,,\n2,Eva,Nová,603123456,,\n3,Petr,,604123456,,\n4,Ota,,606123456,,\n"
    );
    let report = place.import(request(file(&second).path())).await;
    assert_eq!(five(report.counters), [1, 3, 0, 0, 0]);
    assert_eq!(
        place.rows(PEOPLE).await,
        [
            "1|Jan|Novák||||gold|{\"city\": \"Brno\"}",
            "2|Eva|Nová|||||{\"city\": \"Praha\"}",
            // Found by the number, and given the id.
            "3|Petr||||||{}",
            "4|Ota||||||{}",
        ]
    );
    // A further number is added; the primary one stays.
    assert_eq!(
        place.rows(PHONES).await[..2],
        [
            "1|+420602123456|CZ|mobile|true",
            "1|+420605123456|CZ|mobile|false"
        ]
    );
}

#[tokio::test]
async fn a_known_contact_enters_another_list_as_an_update() {
    let place = Place::create().await;
    let people = file("phone\n602123456\n");
    place.import(request(people.path())).await;
    let other = Request {
        list: "others".to_owned(),
        ..request(people.path())
    };
    assert_eq!(five(place.import(other.clone()).await.counters), [0, 1, 0, 0, 0]);
    assert_eq!(five(place.import(other).await.counters), [0, 0, 1, 0, 0]);
    assert_eq!(place.count("SELECT count(*) FROM app.contacts").await, 1);
    assert_eq!(place.count("SELECT count(*) FROM app.call_list_members").await, 2);
}

#[tokio::test]
async fn the_first_row_about_a_person_counts_and_later_ones_are_named() {
    let place = Place::create().await;
    let text = "id,phone,name\n1,602123456,Jan\n2,603123456,Eva\n1,604123456,Jan again\n,602123456,Who\n3,602123456,Twin\n";
    for batch_rows in [1, 2, 5] {
        let list = format!("list {batch_rows}");
        let file = file(text);
        let report = place
            .import(Request {
                list,
                batch_rows,
                ..request(file.path())
            })
            .await;
        assert_eq!(faults(&report), [("duplicate_in_file", 2)]);
        // The first list makes three people; the others find them and only add them to the list.
        assert_eq!(report.counters.created + report.counters.updated, 3);
        assert_eq!(report.counters.duplicate, 2);
    }
    assert_eq!(place.count("SELECT count(*) FROM app.contacts").await, 3);
}

#[tokio::test]
async fn suppressed_people_do_not_come_in() {
    let place = Place::create().await;
    let key = key(&place.database, place.tenant).await;
    let mut tx = place.tx().await;
    let blocked = [token(&key, "+420602123456"), token(&key, "+420603123456")];
    suppress(&mut tx, &blocked, Scope::Tenant, Reason::OptOut, None, now())
        .await
        .unwrap();
    let over = Some(now() - chrono::TimeDelta::days(1));
    let past = [token(&key, "+420604123456")];
    suppress(&mut tx, &past, Scope::Tenant, Reason::Other, over, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let file = file(
        "phone,phone2,name\n602123456,,Jan\n602123456,603123456,Eva\n602123456,605123456,Ota\n604123456,,Ida\n",
    );
    let report = place.import(request(file.path())).await;
    assert_eq!(five(report.counters), [2, 0, 0, 0, 2]);
    assert_eq!(faults(&report), [("suppressed", 2)]);
    assert_eq!(
        place.rows("SELECT first_name FROM app.contacts ORDER BY 1").await,
        ["Ida", "Ota"]
    );
}

#[tokio::test]
async fn a_suppression_of_a_company_keeps_people_out_of_its_lists_only() {
    let place = Place::create().await;
    let company = uuid::Uuid::now_v7();
    let owner = place.server.connect(voice_postgres::Role::Api).await;
    let mut tx = owner.tenant(place.tenant).await.unwrap();
    for sql in [
        "INSERT INTO app.companies (tenant_id, id, name) VALUES ($1, $2, 'ours')",
        "INSERT INTO app.call_lists (tenant_id, id, name, company_id) VALUES ($1, gen_random_uuid(), 'ours', $2)",
    ] {
        sqlx::query(sql)
            .bind(place.tenant.0)
            .bind(company)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    let key = key(&place.database, place.tenant).await;
    let blocked = [token(&key, "+420602123456")];
    suppress(
        &mut tx,
        &blocked,
        Scope::Company(company),
        Reason::Complaint,
        None,
        now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let file = file("phone\n602123456\n");
    let into = |list: &str| Request {
        list: list.to_owned(),
        ..request(file.path())
    };
    assert_eq!(five(place.import(into("ours")).await.counters), [0, 0, 0, 0, 1]);
    assert_eq!(five(place.import(into("theirs")).await.counters), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_dry_run_counts_the_same_and_writes_nothing() {
    let place = Place::create().await;
    let before = file("id,phone,name\n1,602123456,Jan\n2,603123456,Eva\n");
    place.import(request(before.path())).await;
    let tables = "SELECT 'contacts', count(*)::text, max(xmin::text) FROM app.contacts
        UNION ALL SELECT 'phones', count(*)::text, max(xmin::text) FROM app.contact_phones
        UNION ALL SELECT 'lists', count(*)::text, max(xmin::text) FROM app.call_lists
        UNION ALL SELECT 'members', count(*)::text, max(xmin::text) FROM app.call_list_members
        UNION ALL SELECT 'imports', count(*)::text, max(xmin::text) FROM app.imports
        UNION ALL SELECT 'rejected', count(*)::text, max(xmin::text) FROM app.import_rows_rejected ORDER BY 1";
    let then = place.rows(tables).await;
    let text = "id,phone,name\n1,602123456,Jan\n2,603123456,Eva B.\n3,604123456,Ota\n3,604123456,Ota\nx,y,z\n,605123456,Ida\n9,605123456,Ida\n";
    let file = file(text);
    let dry = place
        .import(Request {
            dry_run: true,
            batch_rows: 2,
            ..request(file.path())
        })
        .await;
    assert_eq!(dry.import, None);
    assert_eq!(place.rows(tables).await, then);
    let wet = place
        .import(Request {
            batch_rows: 2,
            ..request(file.path())
        })
        .await;
    assert_eq!((dry.counters, dry.faults), (wet.counters, wet.faults));
    assert_eq!(five(wet.counters), [2, 1, 3, 1, 0]);
    assert_ne!(place.rows(tables).await, then);
}

#[tokio::test]
async fn a_mapping_told_by_hand_and_a_file_without_a_heading() {
    let place = Place::create().await;
    let told = ["#1=external_id", "#2=name", "#3=phone", "#4=priority"]
        .map(|one| one.parse().unwrap())
        .to_vec();
    let file = file("A1;Jan Novák;602123456;90\nA2;Eva Malá;603123456;10\n");
    let report = place
        .import(Request {
            told,
            ..request(file.path())
        })
        .await;
    assert_eq!(five(report.counters), [2, 0, 0, 0, 0]);
    assert_eq!(
        place
            .rows(
                "SELECT c.external_id, c.first_name, m.priority::text FROM app.contacts c
                    JOIN app.call_list_members m ON m.contact_id = c.id ORDER BY 1"
            )
            .await,
        ["A1|Jan Novák|90", "A2|Eva Malá|10"]
    );
}

/// EXT-09
#[tokio::test]
async fn consents_come_in_once_with_the_line_that_proves_them() {
    let place = Place::create().await;
    let text = "phone,consent_type,consent_status,consent_source,consent_captured_at\n\
        602123456,\"marketing, ai_processing\",ano,web,2026-03-01\n\
        603123456,marketing,ne,web,1.3.2026 10:30\n\
        604123456,marketing,,web,3/4/2026\n\
        605123456,telepathy,,web,2026-03-01\n\
        606123456,marketing,,web,2999-01-01\n\
        607123456,,,,\n";
    let file = file(text);
    for _ in 0..2 {
        let report = place.import(request(file.path())).await;
        assert_eq!(report.counters.read(), 6);
        assert_eq!(
            faults(&report),
            [("consent_time_malformed", 2), ("consent_type_unknown", 1)]
        );
    }
    assert_eq!(
        place.rows("SELECT p.e164, s.type, s.status, s.source, s.captured_at::text, s.evidence->>'line'
                    FROM app.consents s JOIN app.contact_phones p ON p.contact_id = s.contact_id ORDER BY 1, 2").await,
        [
            "+420602123456|ai_processing|granted|web|2026-03-01 00:00:00+00|2",
            "+420602123456|marketing|granted|web|2026-03-01 00:00:00+00|2",
            "+420603123456|marketing|denied|web|2026-03-01 10:30:00+00|3",
        ]
    );
}

/// T2
#[tokio::test]
async fn two_tenants_with_the_same_number_know_nothing_of_each_other() {
    let place = Place::create().await;
    let other = tenant(&place.server, "second").await;
    let file = file("id,phone,name\n1,602123456,Jan\n");
    place.import(request(file.path())).await;
    let theirs = Import::open(
        &place.database,
        other,
        key(&place.database, other).await,
        request(file.path()),
        clock(),
    );
    let report = import::run(theirs.await.unwrap(), |_| ()).await.unwrap();
    assert_eq!(
        five(report.counters),
        [1, 0, 0, 0, 0],
        "their first contact, although ours has the same id and number"
    );

    // Same list name, same external id, same number: each sees its own, under another token.
    let mut tokens = Vec::new();
    for tenant in [place.tenant, other] {
        let mut tx = place.database.tenant(tenant).await.unwrap();
        assert_eq!(
            rows(&mut tx, "SELECT first_name FROM app.contacts").await,
            ["Jan"]
        );
        assert_eq!(
            rows(&mut tx, "SELECT state FROM app.imports").await,
            ["completed"]
        );
        assert_eq!(rows(&mut tx, "SELECT name FROM app.call_lists").await, ["people"]);
        tokens.push(rows(&mut tx, "SELECT token::text FROM app.contact_phones").await);
    }
    assert_ne!(tokens[0], tokens[1]);

    // A suppression of one tenant does not reach the other.
    let ours = key(&place.database, place.tenant).await;
    let mut tx = place.tx().await;
    let blocked = [token(&ours, "+420602123456")];
    suppress(&mut tx, &blocked, Scope::Tenant, Reason::OptOut, None, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let again = Request {
        region: Region::parse("CZ"),
        ..Request::new(file.path(), "again")
    };
    let theirs = Import::open(
        &place.database,
        other,
        key(&place.database, other).await,
        again.clone(),
        clock(),
    );
    assert_eq!(
        five(import::run(theirs.await.unwrap(), |_| ()).await.unwrap().counters),
        [0, 1, 0, 0, 0]
    );
    assert_eq!(five(place.import(again).await.counters), [0, 0, 0, 0, 1]);
}
