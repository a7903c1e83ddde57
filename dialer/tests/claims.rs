//! Claims on the real Postgres: what is never dialled, whoever crashes when.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{SeedableRng as _, rngs::StdRng};
use sqlx::Row as _;
use support::{Fate, Open, Owner, Stage, now, sql, together};
use uuid::Uuid;
use voice_dialer::{
    Config,
    attempts::{Line, apply_ends, open_lines},
    campaigns::{self, Mode, load},
    gate::Gate,
    law::Law,
    selection::{ClaimError, explain},
};
use voice_schemas::{ContactId, events::call::CallOutcome};

/// The worst that can happen to a dialer, at every step, with contacts nobody may call among the others: crash
/// before the commit, crash after it, an owner who does not know that it was replaced, ends told twice.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_crashes_when_nobody_is_dialled_who_must_not_be_and_nobody_twice_at_once() {
    let stage = Stage::new("claims").await;
    let contacts = stage.contacts(60).await;
    let campaign = stage.campaign(|_| {}).await;
    // 0..10 suppressed, 10..20 archived, 20..30 tried as often as may be, 30..40 want to be called later.
    sql(
        &stage,
        "INSERT INTO app.suppressions (tenant_id, id, token, scope, reason)
         SELECT app.tid(), gen_random_uuid(), token, 'tenant', 'opt_out' FROM app.contact_phones
         WHERE e164 < '+420600000010' AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    sql(
        &stage,
        "UPDATE app.contacts SET status = 'archived' WHERE id IN (SELECT contact_id FROM app.contact_phones
         WHERE e164 BETWEEN '+420600000010' AND '+420600000019') AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET tries = '{\"busy\": 3}' WHERE campaign_id = $1 AND contact_id IN
         (SELECT contact_id FROM app.contact_phones WHERE e164 BETWEEN '+420600000020' AND '+420600000029')",
        campaign,
    )
    .await;
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET callback_at = now() + interval '5 days' WHERE campaign_id = $1
         AND contact_id IN (SELECT contact_id FROM app.contact_phones
                            WHERE e164 BETWEEN '+420600000030' AND '+420600000039')",
        campaign,
    )
    .await;
    let forbidden: BTreeSet<ContactId> = contacts[..40].iter().copied().collect();

    let mut rng = fastrand::Rng::with_seed(11);
    let mut owner = Owner::of(&stage, campaign).await;
    let mut time = now();
    let mut under_way: BTreeSet<ContactId> = BTreeSet::new();
    let mut dialled = 0;
    for _ in 0..120 {
        time += TimeDelta::minutes(i64::from(rng.u8(1..20)));
        match rng.u8(0..6) {
            0 => {
                // The process dies inside the claim: its transaction is never committed.
                let mut tx = stage.tx().await;
                let doomed = sqlx::query(
                    "UPDATE app.campaign_contacts SET state = 'ready' WHERE campaign_id = $1 AND state = 'ready'",
                )
                .bind(campaign.0)
                .execute(&mut *tx)
                .await;
                doomed.unwrap();
                drop(tx);
            }
            1 => {
                // Another process takes over; the old owner has not heard of it.
                let mut old = owner;
                owner = Owner::of(&stage, campaign).await;
                assert!(matches!(old.claim(&Open, 5, time).await, Err(ClaimError::Fenced)));
            }
            2 => {
                let open = under_way.len();
                let ended = owner.end_all(2, time).await;
                assert_eq!(
                    ended, open,
                    "every attempt ends once, however often its end is told"
                );
                under_way.clear();
            }
            _ => {
                let claimed = owner.claim(&Open, rng.u32(1..8), time).await.unwrap();
                for dial in claimed.dials {
                    assert!(!forbidden.contains(&dial.line.contact), "{:?}", dial.line);
                    assert!(
                        under_way.insert(dial.line.contact),
                        "called while a call is under way"
                    );
                    dialled += 1;
                }
            }
        }
    }
    assert!(dialled > 20, "{dialled}");
    let attempts = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    assert_eq!(attempts, dialled);
    let twice = stage
        .count(
            "SELECT count(*) FROM (SELECT contact_id, number FROM app.attempts WHERE campaign_id = $1
             GROUP BY 1, 2 HAVING count(*) > 1) AS t",
            campaign,
        )
        .await;
    assert_eq!(twice, 0);
    let most = stage
        .count(
            "SELECT max(n)::bigint FROM (SELECT count(*) AS n FROM app.attempts WHERE campaign_id = $1 GROUP BY contact_id) t",
            campaign,
        )
        .await;
    assert!(most <= 3, "{most}");
    // Every attempt has the decision that allowed it.
    let undecided = stage
        .count(
            "SELECT count(*) FROM app.attempts a WHERE a.campaign_id = $1 AND NOT EXISTS
             (SELECT FROM app.contact_decisions d WHERE d.id = a.id AND d.allowed AND d.policy_version <> '')",
            campaign,
        )
        .await;
    assert_eq!(undecided, 0);
    let states = stage
        .counts(
            "SELECT state, count(*) FROM app.campaign_contacts WHERE campaign_id = $1 AND state IN ('suppressed')
             GROUP BY 1",
            campaign,
        )
        .await;
    assert_eq!(states, BTreeMap::from([("suppressed".to_owned(), 20)]));
}

/// T4, and the kill switch: the claim itself refuses, whatever the process has heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_campaign_and_a_thrown_switch_refuse_the_claim_itself() {
    let stage = Stage::new("stops").await;
    stage.contacts(20).await;
    let campaign = stage.campaign(|_| {}).await;
    let mut owner = Owner::of(&stage, campaign).await;
    assert_eq!(owner.claim(&Open, 1, now()).await.unwrap().dials.len(), 1);
    for tenant in [stage.tenant, campaigns::EVERYBODY] {
        let mut tx = stage.api.tenant(tenant).await.unwrap();
        campaigns::stop_dialling(&mut tx, "test", now()).await.unwrap();
        tx.commit().await.unwrap();
        let refused = owner.claim(&Open, 1, now()).await;
        assert!(matches!(refused, Err(ClaimError::NotDialling)), "{refused:?}");
        let mut tx = stage.api.tenant(tenant).await.unwrap();
        campaigns::allow_dialling(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(owner.claim(&Open, 1, now()).await.unwrap().dials.len(), 1);
    }
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    voice_dialer::start::pause(&mut tx, campaign, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for _ in 0..100 {
        assert!(matches!(
            owner.claim(&Open, 1, now()).await,
            Err(ClaimError::NotDialling)
        ));
        let (live, _) = campaigns::live(&stage.worker).await.unwrap();
        campaigns::run_timers(&stage.worker, &live, now()).await.unwrap();
    }
    assert_eq!(stage.dialled(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_campaigns_that_dial_the_same_person_at_once_share_one_place() {
    let stage = Stage::new("ledger").await;
    stage.contacts(40).await;
    let (one, other) = (stage.campaign(|_| {}).await, stage.campaign(|_| {}).await);
    // At most one call to a person in a day, whoever makes it.
    #[derive(Debug)]
    struct OncePerDay;
    impl Gate for OncePerDay {
        fn judge(
            &self,
            campaign: &campaigns::Campaign,
            facts: &voice_dialer::gate::Facts,
            now: DateTime<Utc>,
        ) -> voice_dialer::gate::Verdict {
            let mut verdict = Open.judge(campaign, facts, now);
            if let Some(last) = facts.history.iter().map(|earlier| earlier.at).max()
                && now - last < TimeDelta::days(1)
            {
                verdict.reasons.push("cap".to_owned());
                verdict.next_at = Some(last + TimeDelta::days(1));
            }
            verdict
        }
        fn may_start(
            &self,
            _: &campaigns::Campaign,
            _: &[Option<String>],
            _: &[voice_dialer::gate::Caller],
            _: DateTime<Utc>,
        ) -> Vec<campaigns::Fault> {
            Vec::new()
        }
        fn jurisdiction(&self, _: Option<&str>) -> String {
            String::new()
        }
    }
    let (mut first, mut second) = (Owner::of(&stage, one).await, Owner::of(&stage, other).await);
    let mut called: Vec<Uuid> = Vec::new();
    for _ in 0..12 {
        let at = now();
        let (left, right) = tokio::join!(first.claim(&OncePerDay, 6, at), second.claim(&OncePerDay, 6, at));
        for claimed in [left.unwrap(), right.unwrap()] {
            called.extend(claimed.dials.iter().map(|dial| dial.line.phone_token));
        }
    }
    assert_eq!(called.len(), 40);
    assert_eq!(called.iter().collect::<BTreeSet<_>>().len(), 40);
}

/// One transaction for all shards of a tenant: what they share is shared, and what stops one of them stops that one.
/// Whoever takes the lines over knows who agreed to talk to an AI agent.
#[tokio::test(flavor = "multi_thread")]
async fn campaigns_claimed_together_share_accounts_and_people_and_none_hinders_another() {
    let stage = Stage::new("together").await;
    stage.contacts(30).await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        let campaign = stage.campaign(|_| {}).await;
        orders.push(Owner::of(&stage, campaign).await.order(8).await);
    }
    // So many that some of ten agreed, whoever the ten are.
    sql(
        &stage,
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'ai_processing', 'granted', '2026-01-01T00:00:00Z'
         FROM app.contact_phones WHERE e164 < '+420600000021' AND $1::uuid IS NOT NULL",
        orders[0].campaign.id,
    )
    .await;
    orders[1].epoch -= 1;
    sql(
        &stage,
        "UPDATE app.campaigns SET status = 'paused', epoch = epoch + 1 WHERE id = $1",
        orders[2].campaign.id,
    )
    .await;
    let each: HashMap<_, _> = stage.accounts.values().map(|(id, _)| (*id, 5)).collect();
    let most = 5 * each.len();
    let mut rng = StdRng::seed_from_u64(7);
    let mut claims = together(&stage, &orders, each, &Open, &mut rng, now())
        .await
        .unwrap();
    assert_eq!(claims.len(), 4);
    let last = claims.pop().unwrap().unwrap().dials;
    assert!(matches!(claims.pop().unwrap(), Err(ClaimError::NotDialling)));
    assert!(matches!(claims.pop().unwrap(), Err(ClaimError::Fenced)));
    let first = claims.pop().unwrap().unwrap().dials;
    assert_eq!(
        (first.len(), first.len() + last.len()),
        (8, most),
        "no account dials more than it may"
    );
    let people: BTreeSet<Uuid> = first
        .iter()
        .chain(&last)
        .map(|dial| dial.line.phone_token)
        .collect();
    assert_eq!(people.len(), most, "nobody is called by two of them");
    let mut tx = stage.tx().await;
    for (order, dials) in [(&orders[0], &first), (&orders[3], &last)] {
        let lines = open_lines(&mut tx, order.campaign.id, 0).await.unwrap();
        let known = |line: &Line| (line.attempt, line.ai_consent);
        let kept: BTreeSet<_> = lines.iter().map(known).collect();
        assert_eq!(kept, dials.iter().map(|dial| known(&dial.line)).collect());
    }
    assert!(first.iter().chain(&last).any(|dial| dial.line.ai_consent));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_conclude_is_replaced_by_the_carriers_word_and_never_replaces_it() {
    let stage = Stage::new("last_word").await;
    stage.contacts(2).await;
    let campaign = stage.campaign(|_| {}).await;
    let mut owner = Owner::of(&stage, campaign).await;
    owner.claim(&Open, 2, now()).await.unwrap();
    let mut tx = stage.tx().await;
    let lines = open_lines(&mut tx, campaign, 0).await.unwrap();
    drop(tx);
    let (told, silence) = ((CallOutcome::Busy, false), (CallOutcome::Unknown, true));
    for (line, words) in lines
        .iter()
        .zip([[told, silence, told], [silence, told, silence]])
    {
        let mut found = Vec::new();
        for word in words {
            let end = owner.end(line.clone(), word, now());
            let mut tx = stage.tx().await;
            let applied = apply_ends(&mut tx, &[end], now()).await.unwrap();
            tx.commit().await.unwrap();
            found.push((applied.ended.len(), applied.amended.len()));
        }
        let second = if words[0] == told { (0, 0) } else { (0, 1) };
        assert_eq!(found, [(1, 0), second, (0, 0)]);
    }
    let outcomes = stage
        .counts(
            "SELECT outcome, count(*) FROM app.attempts WHERE campaign_id = $1 GROUP BY 1",
            campaign,
        )
        .await;
    assert_eq!(outcomes, BTreeMap::from([("busy".to_owned(), 2)]));
}

/// T7: without a consent on record the law's gate refuses, and says why and what it asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_law_dials_with_consent_in_the_hours_of_the_person_and_explains_the_rest() {
    let stage = Stage::new("law").await;
    let contacts = stage.contacts(6).await;
    let campaign = stage.campaign(|_| {}).await;
    let law = Law::embedded().unwrap();
    sql(
        &stage,
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, evidence, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'marketing', 'granted', '{\"class\": \"written\", \"form\": 1}',
                '2026-01-01T00:00:00Z'
         FROM app.contact_phones WHERE e164 < '+420600000003' AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    // The contacts are due from the start of the month on.
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET next_attempt_at = '2026-11-01T00:00:00Z' WHERE campaign_id = $1",
        campaign,
    )
    .await;
    let mut owner = Owner::of(&stage, campaign).await;
    // Tuesday, 3 November 2026, three in the morning in Prague: nobody.
    let night: DateTime<Utc> = "2026-11-03T02:00:00Z".parse().unwrap();
    let claimed = owner.claim(&law, 10, night).await.unwrap();
    assert_eq!((claimed.dials.len(), claimed.refused), (0, 6));
    let rows = {
        let mut tx = stage.tx().await;
        sqlx::query(
            "SELECT contact_id, next_attempt_at, last_reasons FROM app.campaign_contacts WHERE campaign_id = $1",
        )
        .bind(campaign.0)
        .fetch_all(&mut *tx)
        .await
        .unwrap()
    };
    for row in rows {
        let contact = ContactId(row.get("contact_id"));
        let reasons: Vec<String> = row.get("last_reasons");
        let consented = contacts[..3].contains(&contact);
        assert!(!reasons.is_empty());
        assert_eq!(
            reasons.iter().any(|reason| reason.contains("consent")),
            !consented,
            "{reasons:?}"
        );
        let next: DateTime<Utc> = row.get("next_attempt_at");
        assert!(next > night, "{next}");
    }
    // At ten those who agreed are called, and only those.
    let morning: DateTime<Utc> = "2026-11-04T09:00:00Z".parse().unwrap();
    let claimed = owner.claim(&law, 10, morning).await.unwrap();
    let called: BTreeSet<ContactId> = claimed.dials.iter().map(|dial| dial.line.contact).collect();
    assert_eq!(called, contacts[..3].iter().copied().collect());
    let mut tx = stage.tx().await;
    let settings = load(&mut tx, campaign).await.unwrap().unwrap();
    let explained = explain(&mut tx, &law, &settings, contacts[5], morning)
        .await
        .unwrap()
        .unwrap();
    assert!(
        explained.reasons.iter().any(|reason| reason.contains("consent")),
        "{explained:?}"
    );
    assert!(!explained.policy_version.is_empty());
    let under_way = explain(&mut tx, &law, &settings, contacts[0], morning)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(under_way.reasons, ["dialling"]);
    let funnel = campaigns::funnel(&mut tx, campaign, morning).await.unwrap();
    assert_eq!((funnel.total(), funnel.dialling), (6, 3));
}

/// A dialer that dies between the commit and the request: what it claimed is not dialled by the next one, and ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_and_never_asked_of_a_carrier_is_not_dialled_by_the_next_owner() {
    let stage = Stage::new("crash").await;
    stage.contacts(12).await;
    stage.everybody(Fate::Busy);
    let campaign = stage.campaign(|new| new.ring_seconds = 15).await;
    let mut dead = Owner::of(&stage, campaign).await;
    // Long enough ago that a call would have been heard of.
    let before = now() - TimeDelta::seconds(60);
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET next_attempt_at = now() - interval '1 hour' WHERE campaign_id = $1",
        campaign,
    )
    .await;
    let claimed = dead.claim(&Open, 5, before).await.unwrap();
    let lost: BTreeSet<_> = claimed.dials.iter().map(|dial| dial.line.attempt).collect();
    assert_eq!(lost.len(), 5);
    stage.agents(campaign, 12).await;
    let config = Config {
        tick_ms: 20,
        silence_ms: 20_000,
        ..Config::default()
    };
    let dialer = stage.dialer(config);
    stage
        .until(
            "the rest is dialled, and the lost ones end",
            "SELECT count(*) = 12 FROM app.attempts WHERE campaign_id = $1 AND state = 'finished'",
            campaign,
        )
        .await;
    dialer.stop().await;
    let dialled = stage.dialled();
    assert_eq!(dialled.len(), 7);
    assert!(dialled.iter().all(|attempt| !lost.contains(attempt)));
    let unknown = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1 AND outcome = 'unknown' AND concluded",
            campaign,
        )
        .await;
    assert_eq!(unknown, 5);
}

/// The hopper is an index range whatever the list: also when all of a high priority wait for another day.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reads_the_hopper_by_its_index_and_takes_milliseconds_with_a_long_list() {
    let stage = Stage::new("hopper").await;
    stage.contacts(50_000).await;
    let campaign = stage
        .campaign(|new| {
            new.mode = Mode::Progressive;
        })
        .await;
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET priority = 90, next_attempt_at = now() + interval '2 days'
         WHERE campaign_id = $1 AND contact_id IN
             (SELECT contact_id FROM app.contact_phones WHERE e164 < '+420600040000')",
        campaign,
    )
    .await;
    let owner_db = stage.database.connect(voice_postgres::Role::Owner).await;
    sqlx::query("VACUUM ANALYZE app.campaign_contacts")
        .execute(&owner_db.job_pool())
        .await
        .unwrap();
    let mut owner = Owner::of(&stage, campaign).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let claimed = owner.claim(&Open, 16, now()).await.unwrap();
        times.push(began.elapsed());
        assert_eq!(claimed.dials.len(), 16);
    }
    times.sort_unstable();
    println!("claims of 16: median {:?}, worst {:?}", times[10], times[19]);
    let mut tx = stage.tx().await;
    let read: i64 = sqlx::query_scalar(
        "SELECT coalesce(seq_tup_read, 0) FROM pg_stat_xact_user_tables WHERE relname = 'campaign_contacts'",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    assert_eq!(read, 0);
    // As a claim asks, and as a tenant is judged whom the planner does not know.
    sqlx::query("SET LOCAL enable_bitmapscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT contact_id FROM app.campaign_contacts
         WHERE tenant_id = app.tid() AND campaign_id = $1 AND shard = 0 AND state = 'ready' AND priority = 50
           AND next_attempt_at <= now() ORDER BY next_attempt_at LIMIT 16",
    )
    .bind(campaign.0)
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("campaign_contacts_ready") && !plan.contains("Sort"),
        "{plan}"
    );
    assert!(times[10] < Duration::from_secs(1), "{times:?}");
}
