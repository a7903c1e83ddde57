//! Knowledge on a real Postgres.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::Instant,
};

use chrono::DateTime;
use tokio::runtime::Handle;
use uuid::Uuid;
use voice_lifecycle::ManualClock;
use voice_postgres::{
    Database, Role,
    sealed::{MasterKey, Sealer},
    tenants,
    testing::TestDatabase,
};
use voice_providers::{Provider, tools::Action};
use voice_schemas::{AgentId, CallId, TenantId, events::call::Carrier};
use voice_workers::{
    agents::{Agent, records},
    deeds::Deeds,
    hands::{Deed, Hands as _, HandsError, Line},
    knowledge::{Article, Found, Shelf, Written, passages, search},
};

struct World {
    _database: TestDatabase,
    owner: Database,
    api: Database,
    worker: Database,
}

impl World {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        Self {
            owner: database.connect(Role::Owner).await,
            api: database.connect(Role::Api).await,
            worker: database.connect(Role::Worker).await,
            _database: database,
        }
    }

    async fn tenant(&self) -> TenantId {
        let id = TenantId::random();
        let new = tenants::NewTenant {
            id,
            slug: format!("t{}", &Uuid::new_v4().simple().to_string()[..8]),
            name: "Test".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: "UTC".parse().unwrap(),
        };
        let key = MasterKey {
            version: 1,
            key: "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=".to_owned().into(),
        };
        tenants::upsert(&self.owner, &Sealer::new(&[key]).unwrap(), &new)
            .await
            .unwrap();
        id
    }

    async fn put(&self, tenant: TenantId, collection: &str, articles: &[Article]) -> Vec<Written> {
        let mut tx = self.api.tenant(tenant).await.unwrap();
        let mut shelf = Shelf::open(&mut tx, collection).await.unwrap();
        let mut written = Vec::new();
        for article in articles {
            written.push(shelf.put(article).await.unwrap().unwrap());
        }
        shelf.close().await.unwrap();
        tx.commit().await.unwrap();
        written
    }

    async fn find(&self, tenant: TenantId, collections: &[&str], question: &str) -> Vec<Found> {
        let names: Vec<String> = collections.iter().map(|name| (*name).to_owned()).collect();
        let mut tx = self.worker.tenant(tenant).await.unwrap();
        let found = search(&mut tx, &names, question).await.unwrap();
        tx.rollback().await.unwrap();
        found
    }

    async fn titles(&self, tenant: TenantId, question: &str) -> Vec<String> {
        let found = self.find(tenant, &["general"], question).await;
        found.into_iter().map(|found| found.title).collect()
    }

    fn deeds(&self) -> Deeds {
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap()).shared();
        let clients = Arc::new(RwLock::new(Arc::new(HashMap::new())));
        Deeds::new(self.worker.clone(), clients, clock, Handle::current())
    }
}

fn article(reference: &str, language: &str, title: &str, body: &str) -> Article {
    Article {
        reference: reference.to_owned(),
        title: title.to_owned(),
        body: body.to_owned(),
        language: language.to_owned(),
    }
}

fn shop() -> Vec<Article> {
    vec![
        article(
            "returns",
            "en",
            "Returning goods",
            "You may return what you bought within thirty days, opened or not. Keep the receipt.\n\n\
             Refunds are paid to the card that was used, within five working days.",
        ),
        article(
            "hours",
            "en",
            "Opening hours",
            "The shop in Brno is open from nine to five, Monday to Saturday.",
        ),
        article(
            "delivery",
            "en",
            "Delivery",
            "Parcels arrive two days after the order. Delivery is free above fifty euros.",
        ),
        article(
            "devoluciones",
            "es",
            "Devoluciones",
            "Puede devolver los artículos en un plazo de treinta días.\n\nEl reembolso se hace en la misma tarjeta.",
        ),
        article(
            "reklamace",
            "cs",
            "Reklamace a vrácení zboží",
            "Zboží můžete vrátit do třiceti dnů. Reklamaci vyřídíme nejpozději do měsíce.",
        ),
        article(
            "oteviraci-doba",
            "cs",
            "Otevírací doba",
            "Prodejna v Brně má otevřeno od devíti do pěti.",
        ),
    ]
}

/// KB-01
#[tokio::test]
async fn a_question_finds_the_passage_that_answers_it_in_its_own_language() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    assert_eq!(world.put(tenant, "general", &shop()).await, [Written::Created; 6]);
    for (question, title) in [
        (
            "What is the return policy for opened items bought online?",
            "Returning goods",
        ),
        ("when will I get my refund on my card", "Returning goods"),
        ("Are you open on Saturdays?", "Opening hours"),
        ("how much is delivery", "Delivery"),
        ("¿Cuándo me hacen el reembolso?", "Devoluciones"),
        ("¿Puedo devolver un artículo?", "Devoluciones"),
        ("Jak mohu vrátit zboží?", "Reklamace a vrácení zboží"),
        ("do kdy vyřídíte reklamaci", "Reklamace a vrácení zboží"),
        ("jaka je oteviraci doba prodejny", "Otevírací doba"),
    ] {
        let found = world.titles(tenant, question).await;
        assert_eq!(
            found.first().map(String::as_str),
            Some(title),
            "{question}: {found:?}"
        );
    }
    let refund = world.find(tenant, &["general"], "refund").await;
    assert!(refund[0].text.contains("five working days"), "{refund:?}");
}

#[tokio::test]
async fn misspelt_words_are_understood_and_words_of_nothing_find_nothing() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    assert_eq!(
        world.titles(tenant, "anything").await,
        [""; 0],
        "there is nothing yet"
    );
    world.put(tenant, "general", &shop()).await;
    for (question, title) in [
        ("retrun", "Returning goods"),
        ("delivry", "Delivery"),
        ("opneing huors", "Opening hours"),
        ("rembolso", "Devoluciones"),
        ("reklamce", "Reklamace a vrácení zboží"),
    ] {
        let found = world.titles(tenant, question).await;
        assert_eq!(
            found.first().map(String::as_str),
            Some(title),
            "{question}: {found:?}"
        );
    }
    for question in [
        "quantum chromodynamics",
        "???",
        "",
        "the and of",
        "' | !& :*",
        "\u{0301}",
    ] {
        assert_eq!(world.titles(tenant, question).await, [""; 0], "{question}");
    }
}

/// SEC-02
#[tokio::test]
async fn no_tenant_finds_what_another_one_knows_and_no_agent_what_it_was_not_allowed() {
    let world = World::new().await;
    let (one, other) = (world.tenant().await, world.tenant().await);
    let secret = article(
        "secret",
        "en",
        "Margins",
        "The margin on bicycles is forty percent.",
    );
    world.put(one, "internal", &[secret]).await;
    world.put(one, "general", &shop()).await;
    world
        .put(
            other,
            "general",
            &[article("a", "en", "Bicycles", "We sell bicycles.")],
        )
        .await;
    let found = world
        .find(other, &["general", "internal"], "margin on bicycles")
        .await;
    assert_eq!(
        found.iter().map(|found| found.title.as_str()).collect::<Vec<_>>(),
        ["Bicycles"]
    );
    assert_eq!(world.find(other, &["internal", "general"], "retrun").await, []);

    let agent = Agent::new(AgentId::random(), "Ada", Provider::OpenaiRealtime, "Be brief.");
    let mut tx = world.api.tenant(one).await.unwrap();
    records::upsert(&mut tx, &agent).await.unwrap();
    tx.commit().await.unwrap();
    let deeds = world.deeds();
    let line = Line {
        tenant: one,
        call: CallId::random(),
        agent: agent.id,
        attempt: None,
        carrier: Carrier::Telnyx,
        carrier_call_id: "C1".to_owned(),
    };
    let ask = |query: &str| {
        let query = query.to_owned();
        deeds.act(&line, Deed::Act(Action::LookUpKnowledge { query }))
    };
    assert_eq!(
        ask("return").await,
        Err(HandsError::Refused),
        "nothing is allowed yet"
    );
    let mut tx = world.api.tenant(one).await.unwrap();
    search::allow(&mut tx, agent.id, &["general".to_owned()])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let answer = ask("May I return it?").await.unwrap();
    assert_eq!(answer["passages"][0]["title"], "Returning goods", "{answer}");
    assert!(
        answer["passages"][0]["article"]
            .as_str()
            .unwrap()
            .starts_with("kb_")
    );
    assert!(answer["note"].as_str().unwrap().contains("not instructions"));
    let nothing = ask("margin on bicycles").await.unwrap();
    assert_eq!(nothing["passages"].as_array().unwrap().len(), 0);
    assert!(nothing["note"].as_str().unwrap().contains("Nothing was found"));
}

#[tokio::test]
async fn an_article_that_changes_is_found_by_its_new_words_only() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    world.put(tenant, "general", &shop()).await;
    let mut changed = shop();
    changed[1].body = "The shop is open around the clock.".to_owned();
    let written = world.put(tenant, "general", &changed).await;
    assert_eq!(written.iter().filter(|one| **one == Written::Updated).count(), 1);
    assert_eq!(
        written.iter().filter(|one| **one == Written::Unchanged).count(),
        5
    );
    assert_eq!(world.titles(tenant, "clock").await, ["Opening hours"]);
    assert_eq!(world.titles(tenant, "Monday to Saturday").await, [""; 0]);
    // Not even by a slip of a word that is gone.
    assert_eq!(world.titles(tenant, "saturdya").await, [""; 0]);
}

/// Ten thousand articles: what a look-up takes, and that its answer stays short.
#[tokio::test]
async fn among_ten_thousand_articles_a_look_up_takes_milliseconds_and_an_answer_can_be_listened_to() {
    const ARTICLES: usize = 10_000;
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut seed = 7_u64;
    let mut next = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let syllables = [
        "ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu",
    ];
    let words: Vec<String> = (0..15_000)
        .map(|_| (0..3 + next(2)).map(|_| syllables[next(15)]).collect())
        .collect();
    // As in languages: a few words are everywhere, most are rare.
    let mut text = |many: usize| {
        let words = (0..many).map(|_| {
            let within = [20, 300, 15_000][next(3)];
            words[next(within)].as_str()
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut articles: Vec<Article> = (0..ARTICLES)
        .map(|number| {
            let body = format!("{}.\n\n{}.\n\n{}.", text(60), text(60), text(60));
            article(&number.to_string(), "en", &text(4), &body)
        })
        .collect();
    articles[6_789]
        .body
        .push_str("\n\nThe warranty of a trampoline is seven years.");
    let began = Instant::now();
    world.put(tenant, "general", &articles).await;
    let import = began.elapsed();
    sqlx::query("ANALYZE app.knowledge_passages, app.knowledge_words, app.knowledge_spellings")
        .execute(&world.owner.job_pool())
        .await
        .unwrap();
    let found = world
        .find(tenant, &["general"], "how long is the waranty of a trampolin")
        .await;
    assert!(found[0].text.contains("seven years"), "{found:?}");

    let mut took = Vec::new();
    for _ in 0..200 {
        let question = text(6);
        let began = Instant::now();
        let found = world.find(tenant, &["general"], &question).await;
        took.push(began.elapsed());
        assert!(!found.is_empty(), "{question}");
        let spoken: usize = found.iter().map(|found| found.text.chars().count()).sum();
        assert!(spoken <= search::MOST * passages::LONGEST);
    }
    took.sort();
    println!(
        "imported in {import:?}; look-up p50 {:?}, p95 {:?}, max {:?}",
        took[100], took[190], took[199]
    );
    assert!(took[100].as_millis() < 100, "a look-up took {:?}", took[100]);
}
