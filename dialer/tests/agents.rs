//! Agents: the leg that keeps them in their room, offers in preview, and working for several campaigns; on the real
//! Postgres and Kafka.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::BTreeSet, time::Duration};

use support::{Fate, Stage, now, outbox};
use voice_dialer::{
    Config,
    agents::{self, Input, share},
    campaigns::Mode,
    preview::{self, Offer, PreviewError, State},
};
use voice_schemas::{AgentId, AttemptId, CampaignId, events::agent::AgentStatus};

fn quick() -> Config {
    Config {
        tick_ms: 20,
        reconcile_ms: 200,
        ..Config::default()
    }
}

const READY: &str =
    "SELECT count(*) = 2 FROM app.agent_legs l JOIN app.agent_states s ON s.agent_id = l.agent_id
     WHERE s.campaign_id = $1 AND l.state = 'joined'";

async fn sql(stage: &Stage, text: &'static str, campaign: CampaignId) {
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(text)
        .bind(campaign.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Everybody gets an address at the carrier: `+42060099990n`, answered by a person who stays.
async fn give_addresses(stage: &Stage, carrier: &str, agents: &[AgentId], fate: Fate) {
    let (account, fake) = &stage.accounts[carrier];
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    for (position, agent) in agents.iter().enumerate() {
        let number = format!("+42060099990{position}");
        fake.fate(&number, fate);
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
}

async fn apply(stage: &Stage, agent: AgentId, input: Input) {
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let applied = agents::apply(&mut tx, &[(agent, input)], now()).await.unwrap();
    assert!(applied[0].result.is_ok(), "{applied:?}");
    tx.commit().await.unwrap();
}

/// At both carriers: called once when they become available, given calls of that account only, let go when they sign out.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_an_address_is_called_once_kept_in_the_room_and_let_go() {
    for carrier in ["telnyx", "twilio"] {
        let stage = Stage::new("legs").await;
        stage.contacts(30).await;
        stage.everybody(Fate::Person);
        let campaign = stage.campaign(|_| {}).await;
        let agents = stage.agents(campaign, 2).await;
        give_addresses(&stage, carrier, &agents, Fate::Agent).await;
        let dialer = stage.dialer(quick());
        stage.until("both are in their rooms", READY, campaign).await;
        stage
            .until(
                "everybody was talked to",
                "SELECT count(*) = 30 FROM app.attempts WHERE campaign_id = $1 AND class = 'reached'",
                campaign,
            )
            .await;
        let (account, fake) = &stage.accounts[carrier];
        assert_eq!(fake.summoned(), 2, "{carrier}: nobody's telephone rang twice");
        let elsewhere = {
            let mut tx = stage.tx().await;
            let count: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND account_id <> $2",
            )
            .bind(campaign.0)
            .bind(account.0)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            count
        };
        assert_eq!(
            elsewhere, 0,
            "calls of another account cannot be put into the room"
        );
        for agent in &agents {
            let offline = Input::Choose {
                status: AgentStatus::Offline,
                reason: None,
            };
            apply(&stage, *agent, offline).await;
        }
        stage
            .until(
                "both were let go",
                "SELECT count(*) = 2 FROM app.agent_legs WHERE state = 'ended' AND $1::uuid IS NOT NULL",
                campaign,
            )
            .await;
        dialer.stop().await;
        assert_eq!(fake.alive(), 0);
    }
}

/// A leg that drops takes its agent out, with the reason, and the customer with it; nobody is rung again unasked.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_leg_drops_is_away_until_they_are_back_and_nobody_is_left_alone() {
    let stage = Stage::new("drop").await;
    stage.contacts(6).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|_| {}).await;
    let agents = stage.agents(campaign, 2).await;
    give_addresses(&stage, "telnyx", &agents, Fate::Agent).await;
    let (_, fake) = &stage.accounts["telnyx"];
    fake.talk(Duration::from_secs(30));
    let dialer = stage.dialer(quick());
    stage
        .until(
            "both talk",
            "SELECT count(*) = 2 FROM app.agent_states WHERE campaign_id = $1 AND status = 'on_call'",
            campaign,
        )
        .await;
    fake.drop_agents().await;
    stage
        .until(
            "both are away, and their customers were let go",
            "SELECT (SELECT count(*) FROM app.agent_states WHERE campaign_id = $1 AND status = 'away') = 2
                AND (SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND state = 'finished') = 2",
            campaign,
        )
        .await;
    assert_eq!((fake.alive(), fake.summoned()), (0, 2));
    let dialled = stage.dialled().len();
    fake.talk(Duration::from_millis(50));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(stage.dialled().len(), dialled, "no agents, no dials");
    assert_eq!(fake.summoned(), 2);
    for agent in &agents {
        let back = Input::Choose {
            status: AgentStatus::Available,
            reason: None,
        };
        apply(&stage, *agent, back).await;
    }
    stage
        .until(
            "everybody was talked to",
            "SELECT count(*) = 6 FROM app.attempts WHERE campaign_id = $1 AND class = 'reached'",
            campaign,
        )
        .await;
    dialer.stop().await;
    assert_eq!(fake.summoned(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_does_not_pick_up_is_away_and_gives_nobody_the_right_to_dial() {
    let stage = Stage::new("noanswer").await;
    stage.contacts(4).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|_| {}).await;
    let agents = stage.agents(campaign, 1).await;
    give_addresses(&stage, "twilio", &agents, Fate::NoAnswer).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "the agent is away",
            "SELECT status = 'away' AND reason = 'leg_not_answered' FROM app.agent_states WHERE campaign_id = $1",
            campaign,
        )
        .await;
    dialer.stop().await;
    assert_eq!(stage.dialled(), Vec::new());
}

/// The offer of an agent once it stands as wanted.
async fn offer_of(stage: &Stage, agent: AgentId, state: State) -> Offer {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
        let offer = preview::current(&mut tx, agent).await.unwrap();
        drop(tx);
        if let Some(offer) = &offer
            && offer.state == state
        {
            return offer.clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {state:?}: {offer:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(stage: &Stage, agent: AgentId) -> Result<AttemptId, PreviewError> {
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let asked = preview::ask(&mut tx, agent, now()).await;
    tx.commit().await.unwrap();
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_preview_sees_a_contact_and_dials_it_or_passes_it_over() {
    let stage = Stage::new("preview").await;
    stage.contacts(6).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|new| new.mode = Mode::Preview).await;
    let agents = stage.agents(campaign, 2).await;
    let dialer = stage.dialer(quick());

    // Two agents see two people, and nobody is dialled for that.
    for agent in &agents {
        ask(&stage, *agent).await.unwrap();
    }
    let first = offer_of(&stage, agents[0], State::Offered).await;
    let second = offer_of(&stage, agents[1], State::Offered).await;
    assert_ne!(first.contact, second.contact);
    assert!(matches!(ask(&stage, agents[0]).await, Err(PreviewError::Open)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.dialled(), Vec::new());

    // One has it dialled, and is the one who gets the call.
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    preview::accept(&mut tx, agents[0], first.id, now())
        .await
        .unwrap();
    // The other passes theirs over.
    preview::skip(&mut tx, agents[1], second.id, "not_my_language", None, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    offer_of(&stage, agents[0], State::Dialled).await;
    stage
        .until(
            "the call was talked",
            "SELECT count(*) = 1 AND count(*) FILTER (WHERE class = 'reached') = 1
             FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    assert_eq!(stage.dialled(), [first.id]);
    let by = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.preview_offers o ON o.id = a.id AND o.agent_id = a.agent_id
             WHERE a.campaign_id = $1 AND a.contact_id = o.contact_id",
            campaign,
        )
        .await;
    assert_eq!(by, 1);
    let skipped = outbox(&stage, "attempt.skipped").await;
    assert_eq!(skipped.len(), 1);
    assert_eq!(
        skipped[0]["data"]["reasons"],
        serde_json::json!(["passed_over", "not_my_language"])
    );
    assert_eq!(
        skipped[0]["data"]["contact_id"],
        second.contact.unwrap().0.to_string()
    );
    // Whom they passed over waits until tomorrow, and what is over stays over.
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let late = preview::accept(&mut tx, agents[1], second.id, now()).await;
    assert!(matches!(late, Err(PreviewError::Over)));
    let wrong = preview::skip(&mut tx, agents[1], second.id, "Not a code", None, now()).await;
    assert!(matches!(wrong, Err(PreviewError::Reason)));
    drop(tx);
    ask(&stage, agents[1]).await.unwrap();
    let third = offer_of(&stage, agents[1], State::Offered).await;
    assert!(![first.contact, second.contact].contains(&third.contact));

    // A contact that was suppressed while the agent looked at it is not dialled.
    sql(
        &stage,
        "INSERT INTO app.suppressions (tenant_id, id, token, scope, reason)
         SELECT app.tid(), gen_random_uuid(), token, 'tenant', 'opt_out' FROM app.contact_phones
         WHERE contact_id = (SELECT contact_id FROM app.preview_offers WHERE state = 'offered')
           AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    preview::accept(&mut tx, agents[1], third.id, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let refused = offer_of(&stage, agents[1], State::Refused).await;
    assert_eq!(refused.reasons, ["suppressed"]);
    dialer.stop().await;
    assert_eq!(stage.dialled(), [first.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_nobody_answers_lapses_and_its_contact_is_offered_to_somebody_else() {
    let stage = Stage::new("lapse").await;
    stage.contacts(1).await;
    stage.everybody(Fate::Person);
    let campaign = stage.campaign(|new| new.mode = Mode::Preview).await;
    sql(
        &stage,
        "UPDATE app.campaigns SET preview_seconds = 5 WHERE id = $1",
        campaign,
    )
    .await;
    let agents = stage.agents(campaign, 2).await;
    let dialer = stage.dialer(quick());
    ask(&stage, agents[0]).await.unwrap();
    let first = offer_of(&stage, agents[0], State::Offered).await;
    ask(&stage, agents[1]).await.unwrap();
    offer_of(&stage, agents[1], State::None).await;
    let lapsed = offer_of(&stage, agents[0], State::Lapsed).await;
    assert_eq!(lapsed.id, first.id);
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let late = preview::accept(&mut tx, agents[0], first.id, now()).await;
    assert!(matches!(late, Err(PreviewError::Over)));
    drop(tx);
    ask(&stage, agents[1]).await.unwrap();
    let again = offer_of(&stage, agents[1], State::Offered).await;
    assert_eq!(again.contact, first.contact);
    dialer.stop().await;
    assert_eq!(stage.dialled(), Vec::new());
}

/// Agents assigned to two campaigns, run by two processes, and a campaign of two shards: an agent has one call at a time,
/// wherever they work, and those of a campaign that has nobody left to call go where there is somebody.
#[tokio::test(flavor = "multi_thread")]
async fn agents_of_several_campaigns_and_shards_go_where_they_are_needed_and_have_one_call_at_a_time() {
    let stage = Stage::new("shared").await;
    stage.contacts(120).await;
    stage.everybody(Fate::Person);
    for (_, fake) in stage.accounts.values() {
        fake.talk(Duration::from_millis(30));
    }
    let (one, other) = (
        stage.campaign(|_| {}).await,
        stage.campaign(|new| new.shards = 2).await,
    );
    // All of them sign in for the first.
    let agents = stage.agents(one, 8).await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    for agent in &agents {
        share::assign(&mut tx, *agent, &[one, other]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let dialers = [stage.dialer(quick()), stage.dialer(quick())];
    for campaign in [one, other] {
        stage
            .until(
                "everybody was talked to",
                "SELECT count(*) = 120 FROM app.attempts WHERE campaign_id = $1 AND class = 'reached'",
                campaign,
            )
            .await;
    }
    for dialer in dialers {
        dialer.stop().await;
    }
    let shards = stage
        .count(
            "SELECT count(DISTINCT shard) FROM app.attempts WHERE campaign_id = $1 AND agent_id IS NOT NULL",
            other,
        )
        .await;
    assert_eq!(shards, 2, "both shards had agents");
    // Two calls of one agent never overlap.
    let overlaps = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.attempts b ON b.agent_id = a.agent_id AND b.id > a.id
               AND b.bridged_at < a.ended_at AND a.bridged_at < b.ended_at WHERE $1::uuid IS NOT NULL",
            one,
        )
        .await;
    assert_eq!(overlaps, 0);
    let abandoned = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE abandoned AND $1::uuid IS NOT NULL",
            one,
        )
        .await;
    assert_eq!(
        abandoned, 0,
        "nobody was dialled for an agent who was promised elsewhere"
    );
    assert_eq!(
        stage.dialled().iter().collect::<BTreeSet<_>>().len(),
        stage.dialled().len()
    );
}
