//! What people who answer get: a person, an AI agent, a message they can answer with a key; on the real Postgres and
//! Kafka, through both carriers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::BTreeMap, time::Duration};

use support::{Dialer, Fate, Stage, now, outbox};
use voice_dialer::{
    Config,
    agents::{self, Input},
    campaigns::Mode,
};
use voice_schemas::{CampaignId, events::agent::AgentStatus};

fn quick() -> Config {
    Config {
        tick_ms: 20,
        reconcile_ms: 200,
        ..Config::default()
    }
}

const ALL_FINISHED: &str = "SELECT count(*) > 0 AND bool_and(state = 'finished') AND
        NOT EXISTS (SELECT FROM app.campaign_contacts c WHERE c.campaign_id = $1 AND c.state IN ('ready', 'dialling')
                    AND c.next_attempt_at <= now())
     FROM app.attempts WHERE campaign_id = $1";

/// Twenty agents have twenty people dialled, and are gone when they answer.
async fn dial_and_leave(stage: &Stage, campaign: CampaignId) -> Dialer {
    for (_, fake) in stage.accounts.values() {
        fake.ring(Duration::from_millis(1_500));
    }
    let agents = stage.agents(campaign, 20).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "twenty calls ring",
            "SELECT count(*) = 20 FROM app.attempts WHERE campaign_id = $1 AND state = 'placed'",
            campaign,
        )
        .await;
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    let leave = Input::Choose {
        status: AgentStatus::Break,
        reason: None,
    };
    let inputs: Vec<_> = agents.iter().map(|agent| (*agent, leave.clone())).collect();
    agents::apply(&mut tx, &inputs, now()).await.unwrap();
    tx.commit().await.unwrap();
    dialer
}

/// The safe-harbour message starts inside the law's two seconds, and its key ends all calls to the person: the number is
/// suppressed in the transaction that says so, with an event, for every campaign.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_presses_the_key_in_the_message_is_never_called_again_and_the_others_just_hear_it() {
    let stage = Stage::new("optout").await;
    stage.contacts(20).await;
    for (_, fake) in stage.accounts.values() {
        for number in 0..20 {
            let fate = if number < 10 {
                Fate::Presses('9')
            } else {
                Fate::Presses('5')
            };
            fake.fate(&format!("+420600{number:06}"), fate);
        }
    }
    let campaign = stage.campaign(|_| {}).await;
    let dialer = dial_and_leave(&stage, campaign).await;
    stage
        .until(
            "everybody heard the message",
            "SELECT count(*) = 20 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished' AND abandoned",
            campaign,
        )
        .await;
    dialer.stop().await;
    let wrong = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.contact_phones p ON p.contact_id = a.contact_id
             WHERE a.campaign_id = $1 AND a.state = 'finished' AND a.abandoned
               AND (a.class = 'opted_out') <> (p.e164 < '+420600000010')",
            campaign,
        )
        .await;
    assert_eq!(wrong, 0, "the attempt says who opted out, and only who did");
    let opted_out = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND opted_out_at IS NOT NULL",
            campaign,
        )
        .await;
    assert_eq!(opted_out, 10);
    let suppressed = stage
        .count(
            "SELECT count(*) FROM app.attempts a
             JOIN app.suppressions s ON s.token = a.phone_token AND s.scope = 'tenant' AND s.reason = 'opt_out'
             JOIN app.campaign_contacts c ON c.contact_id = a.contact_id AND c.campaign_id = a.campaign_id
             WHERE a.campaign_id = $1 AND a.opted_out_at IS NOT NULL
               AND (c.state = 'suppressed' OR a.state <> 'finished')",
            campaign,
        )
        .await;
    assert_eq!(suppressed, opted_out);
    let told = outbox(&stage, "contact.suppressed").await;
    assert_eq!(told.len(), usize::try_from(opted_out).unwrap());
    assert!(told.iter().all(|event| event["data"]["reason"] == "opt_out"));
    assert!(told.iter().all(|event| event["data"]["contact_id"].is_string()));
    // Within two seconds of the answer, whoever got no person heard the message.
    let messages: Vec<_> = stage
        .accounts
        .values()
        .flat_map(|(_, fake)| fake.told())
        .filter(|(_, what, _)| *what == "gather")
        .collect();
    assert_eq!(messages.len(), 20);
    for (_, _, after) in &messages {
        assert!(*after < Duration::from_secs(2), "{after:?}");
    }
    // Another campaign over the same list does not call them.
    let before = stage.dialled().len();
    let other = stage.campaign(|_| {}).await;
    stage.agents(other, 20).await;
    stage.everybody(Fate::Busy);
    let dialer = stage.dialer(quick());
    stage
        .until("the other campaign went through its list", ALL_FINISHED, other)
        .await;
    dialer.stop().await;
    let again = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.suppressions s ON s.token = a.phone_token
             WHERE a.campaign_id = $1",
            other,
        )
        .await;
    assert_eq!(again, 0);
    assert!(stage.dialled().len() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_hears_the_message_after_its_beep_and_the_line_is_closed_at_both_carriers() {
    let stage = Stage::new("voicemail").await;
    stage.contacts(8).await;
    stage.everybody(Fate::Machine);
    let campaign = stage
        .campaign(|new| {
            new.amd = "leave_message";
            new.voicemail_url = Some("https://audio.test/voicemail.mp3".to_owned());
        })
        .await;
    stage.agents(campaign, 8).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "all lines are closed",
            "SELECT count(*) = 8 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
            campaign,
        )
        .await;
    dialer.stop().await;
    let classes = stage
        .counts(
            "SELECT class, count(*) FROM app.attempts WHERE campaign_id = $1 GROUP BY 1",
            campaign,
        )
        .await;
    assert_eq!(classes, BTreeMap::from([("machine".to_owned(), 8)]));
    for (_, fake) in stage.accounts.values() {
        let told = fake.told();
        let messages = told.iter().filter(|(_, what, _)| *what == "gather");
        // The beep comes 400 ms after the answer.
        for (_, _, after) in messages.clone() {
            assert!(*after >= Duration::from_millis(390), "{after:?}");
        }
        assert!(messages.count() > 0, "both carriers left messages");
        assert_eq!(fake.alive(), 0);
    }
}

/// When no person is free 1.2 s after the answer, an AI agent takes the call of whoever agreed to that; the others hear the
/// message.
#[tokio::test(flavor = "multi_thread")]
async fn an_ai_agent_takes_over_after_one_point_two_seconds_and_only_with_consent() {
    let stage = Stage::new("overflow").await;
    stage.contacts(20).await;
    stage.everybody(Fate::Person);
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'ai_processing', 'granted', '2026-01-01T00:00:00Z'
         FROM app.contact_phones WHERE e164 < '+420600000012'",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let agent = stage.ai_agent().await;
    let campaign = stage
        .campaign(|new| {
            new.ai_overflow = true;
            new.ai_agent = Some(agent);
        })
        .await;
    let dialer = dial_and_leave(&stage, campaign).await;
    stage
        .until(
            "everybody got somebody or the message",
            "SELECT count(*) FILTER (WHERE agent_kind = 'ai' AND class = 'reached') = 12
                AND count(*) FILTER (WHERE abandoned) = 8
             FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
            campaign,
        )
        .await;
    dialer.stop().await;
    let without = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.contact_phones p ON p.contact_id = a.contact_id
             WHERE a.campaign_id = $1 AND a.agent_kind = 'ai' AND p.e164 >= '+420600000012'",
            campaign,
        )
        .await;
    assert_eq!(without, 0, "nobody talks to an AI agent who did not agree to it");
    let told: Vec<_> = stage
        .accounts
        .values()
        .flat_map(|(_, fake)| fake.told())
        .collect();
    for (_, what, after) in told.iter().filter(|(_, what, _)| *what != "conference") {
        assert!(["connect_stream", "gather", "hangup"].contains(what), "{what}");
        if *what != "hangup" {
            let range = Duration::from_millis(1_150)..Duration::from_secs(2);
            assert!(range.contains(after), "{what} after {after:?}");
        }
    }
}

/// CAM-03: decides and stores, and dials nobody.
#[tokio::test(flavor = "multi_thread")]
async fn shadow_mode_decides_about_everybody_and_asks_no_carrier() {
    let stage = Stage::new("shadow").await;
    stage.contacts(30).await;
    let campaign = stage.campaign(|new| new.shadow = true).await;
    stage.agents(campaign, 3).await;
    let dialer = stage.dialer(quick());
    stage
        .until(
            "everybody was decided about",
            "SELECT count(DISTINCT contact_id) = 30 FROM app.contact_decisions WHERE campaign_id = $1 AND allowed",
            campaign,
        )
        .await;
    dialer.stop().await;
    assert_eq!(stage.dialled(), Vec::new());
    let attempts = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    assert_eq!(attempts, 0);
}

/// The modes that dial ahead of their agents keep to their ratio, and everybody they reach gets somebody or a message.
#[tokio::test(flavor = "multi_thread")]
async fn power_and_predictive_campaigns_run_to_their_end_and_leave_nobody_in_silence() {
    for mode in [Mode::Power, Mode::Predictive] {
        let stage = Stage::new("ahead").await;
        stage.contacts(80).await;
        for (_, fake) in stage.accounts.values() {
            for number in (0..80).filter(|number| number % 3 == 0) {
                fake.fate(&format!("+420600{number:06}"), Fate::Person);
            }
            fake.talk(Duration::from_millis(150));
        }
        stage.everybody(Fate::Busy);
        let campaign = stage
            .campaign(|new| {
                new.mode = mode;
                new.power_ratio = 3.0;
            })
            .await;
        stage.agents(campaign, 5).await;
        let dialer = stage.dialer(quick());
        let mut most = 0;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
        loop {
            most = most.max(stage.accounts.values().map(|(_, fake)| fake.alive()).sum());
            let done = stage
                .count(
                    "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
                    campaign,
                )
                .await;
            if done >= 80 {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{mode:?}: {done} of 80");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        dialer.stop().await;
        if mode == Mode::Power {
            // Three lines for each idle agent, beside those who talk.
            assert!((4..=20).contains(&most), "{most} calls at once");
        }
        let silent = stage
            .accounts
            .values()
            .flat_map(|(_, fake)| fake.told())
            .filter(|(_, what, after)| *what != "conference" && *after > Duration::from_secs(2))
            .count();
        assert_eq!(silent, 0, "{mode:?}");
        let lost = stage
            .count(
                "SELECT count(*) FROM app.attempts WHERE campaign_id = $1
                 AND answered_at IS NOT NULL AND bridged_at IS NULL AND NOT abandoned",
                campaign,
            )
            .await;
        assert_eq!(lost, 0, "{mode:?}");
    }
}

/// The answer of a call that is hung up at once can be told after its end: while its owner still remembers the call, and
/// to an owner who never knew it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_told_after_the_end_of_its_call_stands_in_the_attempt_all_the_same() {
    let stage = Stage::new("overtaken").await;
    stage.contacts(20).await;
    stage.everybody(Fate::Overtaken);
    let campaign = stage.campaign(|_| {}).await;
    stage.agents(campaign, 20).await;
    let first = stage.dialer(quick());
    stage
        .until(
            "everybody was called, and nobody answered as far as anybody knows",
            "SELECT count(*) = 20 AND bool_and(state = 'finished' AND outcome = 'completed' AND answered_at IS NULL)
             FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    stage.accounts["telnyx"].1.tell_answers().await;
    stage
        .until(
            "what the first owner heard late is kept",
            "SELECT bool_and((answered_at IS NOT NULL) = (carrier = 'telnyx')) FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    first.stop().await;
    let second = stage.dialer(quick());
    stage.accounts["twilio"].1.tell_answers().await;
    stage
        .until(
            "what the second owner heard is kept too",
            "SELECT bool_and(answered_at IS NOT NULL) FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    second.stop().await;
    let (kept, carriers) = (
        stage
            .count(
                "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'
                   AND outcome = 'completed' AND class = 'no_answer' AND NOT abandoned",
                campaign,
            )
            .await,
        stage
            .count(
                "SELECT count(DISTINCT carrier) FROM app.attempts WHERE campaign_id = $1",
                campaign,
            )
            .await,
    );
    assert_eq!(
        (kept, carriers),
        (20, 2),
        "nothing else has changed, at either carrier"
    );
}
