//! Callers an AI agent hands over to people: who gets them, who does not, and what is left when something dies in the middle;
//! on the real Postgres and Kafka, through both carriers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use chrono::TimeDelta;
use sqlx::Row as _;
use support::{
    Dialer, Fate, Stage,
    http::{ONE, send},
    now, outbox, sql,
};
use tokio::net::TcpListener;
use uuid::Uuid;
use voice_dialer::{
    ApiConfig, Config,
    agents::{self, Input},
    campaigns::Mode,
};
use voice_http::ApiKey;
use voice_schemas::{AgentId, AttemptId, CampaignId};

fn quick() -> Config {
    Config {
        tick_ms: 20,
        reconcile_ms: 200,
        ..Config::default()
    }
}

/// Somebody who works for the campaign, or this person.
#[derive(Clone, Copy)]
enum Wanted {
    Queue(CampaignId),
    Person(AgentId),
}

/// A campaign whose callers talk to an AI agent, and the people callers are handed to: a campaign that dials nobody.
async fn callers(stage: &Stage, count: u32, fate: Fate) -> (CampaignId, CampaignId, Dialer, SocketAddr) {
    stage.contacts(count).await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'ai_processing', 'granted', '2026-01-01T00:00:00Z'
         FROM app.contact_phones",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    stage.everybody(fate);
    let people = stage.campaign(|_| {}).await;
    sql(
        stage,
        "UPDATE app.campaigns SET status = 'paused' WHERE id = $1",
        people,
    )
    .await;
    let agent = stage.ai_agent().await;
    let ai = stage
        .campaign(|new| {
            new.mode = Mode::Agentless;
            new.ai_agent = Some(agent);
        })
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let keys = vec![ApiKey {
        tenant: stage.tenant,
        sha256: ONE.to_owned(),
    }];
    let config = Config {
        api: ApiConfig {
            keys,
            ..ApiConfig::default()
        },
        ..quick()
    };
    let dialer = stage.dialer_with(config, Arc::new(support::Open), Some(listener));
    let mut deadline = 400;
    loop {
        let talking = stage
            .count(
                "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND agent_kind = 'ai'",
                ai,
            )
            .await;
        if talking == i64::from(count) {
            break;
        }
        deadline -= 1;
        assert!(deadline > 0, "{talking} of {count} talk to the AI agent");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (people, ai, dialer, at)
}

async fn attempts(stage: &Stage, campaign: CampaignId) -> Vec<AttemptId> {
    let mut tx = stage.tx().await;
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM app.attempts WHERE campaign_id = $1 ORDER BY id")
        .bind(campaign.0)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    ids.into_iter().map(AttemptId).collect()
}

/// What a media worker writes. The same request again changes nothing.
async fn ask(stage: &Stage, attempt: AttemptId, wanted: Wanted) {
    let (queue, person) = match wanted {
        Wanted::Queue(campaign) => (Some(campaign.0), None),
        Wanted::Person(agent) => (None, Some(agent.0)),
    };
    let mut tx = stage.tx().await;
    sqlx::query(
        "INSERT INTO app.transfers (tenant_id, id, call_id, attempt_id, campaign_id, shard, account_id,
                                    queue_campaign_id, wanted_agent_id, mode, summary, until, asked_at, changed_at)
         SELECT tenant_id, $2, call_id, id, campaign_id, shard, account_id, $3, $4, 'warm', 'Wants two.',
                $5, $6, $6 FROM app.attempts WHERE id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(attempt.0)
    .bind(Uuid::now_v7())
    .bind(queue)
    .bind(person)
    .bind(now() + TimeDelta::seconds(3))
    .bind(now())
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

fn states(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs
        .iter()
        .map(|(state, count)| ((*state).to_owned(), *count))
        .collect()
}

/// How often a carrier was told to put somebody into a room.
fn put_through(stage: &Stage) -> usize {
    let told = stage.accounts.values().flat_map(|(_, fake)| fake.told());
    told.filter(|(_, what, _)| *what == "conference").count()
}

fn talk(stage: &Stage, talk: Duration) {
    for (_, fake) in stage.accounts.values() {
        fake.talk(talk);
    }
}

/// The person works for another campaign than the one that called: they stay theirs, finish up after the call, and nobody
/// repairs what is right while they talk.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_an_ai_agent_is_handed_to_a_free_person_of_the_queue_and_the_attempt_is_theirs() {
    let stage = Stage::new("handed").await;
    talk(&stage, Duration::from_millis(1_500));
    let (people, ai, dialer, at) = callers(&stage, 1, Fate::Stays).await;
    let agent = stage.agents(people, 1).await[0];
    sql(
        &stage,
        "UPDATE app.agents SET wrap_seconds = 600 WHERE $1::uuid IS NOT NULL",
        people,
    )
    .await;
    let attempt = attempts(&stage, ai).await[0];
    // Asked for three times: it is one transfer all the same.
    for _ in 0..3 {
        ask(&stage, attempt, Wanted::Queue(people)).await;
    }
    stage
        .until(
            "the person talks to the caller",
            "SELECT count(*) = 1 FROM app.agent_states s JOIN app.attempts a ON a.call_id = s.call_id
             WHERE a.campaign_id = $1 AND s.status = 'on_call' AND a.agent_id = s.agent_id AND a.agent_kind = 'human'",
            ai,
        )
        .await;
    let shown = async |agent: AgentId| {
        let path = format!("/api/v1/agents/{agent}/transfer");
        send(at, "GET", &path, Some("cck_test_one"), None).await
    };
    let (status, head, handed) = shown(agent).await;
    assert_eq!((status, &handed["summary"]), (200, &"Wants two.".into()));
    assert!(head.contains("cache-control: private, no-store"), "{head}");
    // The carrier's own word can be faster than its answer to the order.
    stage
        .until(
            "the one transfer says so",
            "SELECT count(*) = 1 AND bool_and(state = 'done') FROM app.transfers WHERE campaign_id = $1",
            ai,
        )
        .await;
    stage
        .until(
            "the call is over",
            "SELECT bool_and(state = 'finished' AND class = 'reached') FROM app.attempts WHERE campaign_id = $1",
            ai,
        )
        .await;
    stage
        .until(
            "the person finishes up",
            "SELECT bool_and(s.status = 'wrap_up') FROM app.agent_states s WHERE s.campaign_id = $1",
            people,
        )
        .await;
    assert_eq!(shown(agent).await.0, 404, "they are finishing up");
    dialer.stop().await;
    assert_eq!(put_through(&stage), 1);
    let mut tx = stage.tx().await;
    let row = sqlx::query("SELECT state, summary, agent_id FROM app.transfers")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert_eq!(row.get::<&str, _>("state"), "over");
    assert_eq!(
        row.get::<Option<&str>, _>("summary"),
        None,
        "what was said is not kept"
    );
    assert_eq!(row.get::<Uuid, _>("agent_id"), agent.0);
    let told = outbox(&stage, "call.transferred").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["call"]["agent_id"], agent.0.to_string());
    assert_eq!(outbox(&stage, "agent.corrected").await.len(), 0);
}

/// Everybody has a telephone of their own, one at each carrier: it says in a line who comes, before they come.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_leg_hears_about_the_caller_first_at_both_carriers() {
    let stage = Stage::new("briefed").await;
    talk(&stage, Duration::from_secs(3_600));
    let (people, ai, dialer, _) = callers(&stage, 12, Fate::Stays).await;
    let carriers = ["telnyx", "twilio"];
    let agents = stage.agents(people, carriers.len()).await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    for (name, agent) in carriers.iter().zip(&agents) {
        let (account, fake) = &stage.accounts[name];
        let number = format!("+4206009999{:02}", name.len());
        fake.fate(&number, Fate::Agent);
        sqlx::query(
            "UPDATE app.agents SET address = $2,
                 leg_number_id = (SELECT n.id FROM app.phone_numbers n WHERE n.account_id = $3)
             WHERE id = $1",
        )
        .bind(agent.0)
        .bind(number)
        .bind(account.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    stage
        .until(
            "both are in their rooms",
            "SELECT count(*) = 2 FROM app.agent_legs l JOIN app.agent_states s ON s.agent_id = l.agent_id
             WHERE s.campaign_id = $1 AND l.state = 'joined'",
            people,
        )
        .await;
    for attempt in attempts(&stage, ai).await {
        ask(&stage, attempt, Wanted::Queue(people)).await;
    }
    stage
        .until(
            "each of them has a caller",
            "SELECT count(*) FILTER (WHERE state = 'done') = 2 FROM app.transfers WHERE campaign_id = $1",
            ai,
        )
        .await;
    dialer.stop().await;
    for name in carriers {
        let told: Vec<&str> = stage.accounts[name]
            .1
            .told()
            .iter()
            .map(|(_, what, _)| *what)
            .collect();
        // The first one seats the agent, where the carrier is not told with the call.
        assert!(told.ends_with(&["say", "conference"]), "{name}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_callers_who_ask_for_one_person_one_gets_them_and_the_other_goes_on_with_the_ai_agent() {
    let stage = Stage::new("onlyone").await;
    talk(&stage, Duration::from_secs(3_600));
    let (people, ai, dialer, _) = callers(&stage, 2, Fate::Stays).await;
    let agent = stage.agents(people, 1).await[0];
    for attempt in attempts(&stage, ai).await {
        ask(&stage, attempt, Wanted::Person(agent)).await;
    }
    stage
        .until(
            "one of them has the person",
            "SELECT count(*) FILTER (WHERE state = 'done') = 1 FROM app.transfers WHERE campaign_id = $1",
            ai,
        )
        .await;
    // Whoever asked does not say when to stop: nobody is reserved after the deadline, and it is taken back for them.
    stage
        .until(
            "the other one is told that nobody is free",
            "SELECT count(*) FILTER (WHERE state = 'nobody_free') = 1 FROM app.transfers WHERE campaign_id = $1",
            ai,
        )
        .await;
    let kinds = stage
        .counts(
            "SELECT agent_kind, count(*) FROM app.attempts WHERE campaign_id = $1 AND state = 'answered' GROUP BY 1",
            ai,
        )
        .await;
    assert_eq!(kinds, states(&[("ai", 1), ("human", 1)]));
    dialer.stop().await;
    assert_eq!(put_through(&stage), 1);
    assert_eq!(outbox(&stage, "agent.reserved").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_while_they_are_put_through_leaves_the_person_free() {
    let stage = Stage::new("gone").await;
    let (people, ai, dialer, _) = callers(&stage, 1, Fate::Leaves).await;
    stage.agents(people, 1).await;
    let attempt = attempts(&stage, ai).await[0];
    ask(&stage, attempt, Wanted::Queue(people)).await;
    stage
        .until(
            "the transfer has failed and the person is free again",
            "SELECT EXISTS (SELECT FROM app.transfers WHERE state = 'failed' AND campaign_id <> $1)
                AND bool_and(status = 'available' AND reservation_token = 1)
             FROM app.agent_states WHERE campaign_id = $1",
            people,
        )
        .await;
    stage
        .until(
            "the call is over, and was no person's",
            "SELECT bool_and(state = 'finished' AND agent_kind = 'ai') FROM app.attempts WHERE campaign_id = $1",
            ai,
        )
        .await;
    dialer.stop().await;
    assert_eq!(put_through(&stage), 1);
}

/// The dialer that reserved the person has died; the next one goes on from the row. People may work for the campaign
/// whose callers they get.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_takes_over_in_the_middle_puts_the_caller_through() {
    let stage = Stage::new("takeover").await;
    talk(&stage, Duration::from_millis(300));
    let (_, ai, first, _) = callers(&stage, 1, Fate::Stays).await;
    first.stop().await;
    let agent = stage.agents(ai, 1).await[0];
    let attempt = attempts(&stage, ai).await[0];
    ask(&stage, attempt, Wanted::Person(agent)).await;
    let mut tx = stage.tx().await;
    let until = now() + TimeDelta::seconds(60);
    let reserve = Input::Reserve {
        attempt,
        by: (ai, 0),
        until,
    };
    agents::apply(&mut tx, &[(agent, reserve)], now()).await.unwrap();
    sqlx::query("UPDATE app.transfers SET state = 'reserved', agent_id = $1, token = 1, until = $2")
        .bind(agent.0)
        .bind(until)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let second = stage.dialer(quick());
    stage
        .until(
            "the caller talked to the person, who is free again",
            "SELECT EXISTS (SELECT FROM app.transfers WHERE campaign_id = $1 AND state = 'over')
                AND bool_and(s.status = 'available') FROM app.agent_states s WHERE s.campaign_id = $1",
            ai,
        )
        .await;
    second.stop().await;
    let kinds = stage
        .counts(
            "SELECT agent_kind, count(*) FROM app.attempts WHERE campaign_id = $1 GROUP BY 1",
            ai,
        )
        .await;
    assert_eq!(kinds, states(&[("human", 1)]));
    assert_eq!(put_through(&stage), 1);
}
