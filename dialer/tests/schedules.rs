//! Crash and restart at every step, as a property over schedules: whatever happens in whatever order, no attempt is made
//! that must not be, and none twice. Held against an oracle of the test's own, on the real Postgres and the real law.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use chrono_tz::Europe::Prague;
use support::{Owner, Stage, now, sql};
use uuid::Uuid;
use voice_contacts::suppressions::{self, Reason, Scope};
use voice_dialer::{law::Law, selection::ClaimError, start};
use voice_schemas::{AttemptId, ContactId};

const PEOPLE: u32 = 40;

/// What the test knows, kept apart from what the product does.
struct Oracle {
    consented: BTreeSet<ContactId>,
    suppressed: BTreeSet<ContactId>,
    under_way: BTreeMap<ContactId, AttemptId>,
    tries: BTreeMap<ContactId, u32>,
    paused: bool,
    seen: BTreeSet<AttemptId>,
}

impl Oracle {
    /// Why the attempt must not have been made.
    fn objection(&self, contact: ContactId, attempt: AttemptId, at: DateTime<Utc>) -> Option<&'static str> {
        let hour = at.with_timezone(&Prague).hour();
        match () {
            () if self.paused => Some("paused"),
            () if self.suppressed.contains(&contact) => Some("suppressed"),
            () if !self.consented.contains(&contact) => Some("unconsented"),
            () if !(8..21).contains(&hour) => Some("out of window"),
            () if self.tries.get(&contact).copied().unwrap_or(0) >= 3 => Some("exhausted"),
            () if self.under_way.contains_key(&contact) => Some("dialled already"),
            () if self.seen.contains(&attempt) => Some("the same attempt twice"),
            () => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_schedule_of_crashes_pauses_and_clocks_makes_an_attempt_that_must_not_be() {
    let mut dials = 0;
    let mut steps = BTreeMap::<&str, u32>::new();
    for seed in 0..6 {
        dials += run(seed, &mut steps).await;
    }
    println!("{dials} dials; {steps:?}");
    assert!(
        dials > 60,
        "{dials}: the property must not hold for want of dials"
    );
    assert!(steps.values().all(|times| *times > 3), "{steps:?}");
}

async fn run(seed: u64, steps: &mut BTreeMap<&'static str, u32>) -> usize {
    let stage = Stage::new("schedules").await;
    let contacts = stage.contacts(PEOPLE).await;
    let campaign = stage.campaign(|_| {}).await;
    let law = Law::embedded().unwrap();
    // Three quarters agreed, in writing and provably.
    sql(
        &stage,
        "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, evidence, captured_at)
         SELECT app.tid(), gen_random_uuid(), contact_id, 'marketing', 'granted', '{\"class\": \"written\", \"form\": 1}',
                '2026-01-01T00:00:00Z'
         FROM app.contact_phones WHERE e164 < '+420600000030' AND $1::uuid IS NOT NULL",
        campaign,
    )
    .await;
    sql(
        &stage,
        "UPDATE app.campaign_contacts SET next_attempt_at = '2026-11-01T00:00:00Z' WHERE campaign_id = $1",
        campaign,
    )
    .await;
    let mut oracle = Oracle {
        consented: contacts[..30].iter().copied().collect(),
        suppressed: BTreeSet::new(),
        under_way: BTreeMap::new(),
        tries: BTreeMap::new(),
        paused: false,
        seen: BTreeSet::new(),
    };
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut owner = Owner::of(&stage, campaign).await;
    let mut time: DateTime<Utc> = "2026-11-03T05:00:00Z".parse().unwrap();
    let mut dials = 0;
    for _ in 0..90 {
        time += TimeDelta::minutes(rng.i64(5..150));
        let step = [
            "claim",
            "claim",
            "claim",
            "ends",
            "crash in a claim",
            "crash after a claim",
            "another owner",
            "pause",
            "suppress",
            "withdraw",
        ][rng.usize(..10)];
        *steps.entry(step).or_default() += 1;
        match step {
            "claim" | "crash after a claim" => {
                let claimed = match owner.claim(&law, rng.u32(1..9), time).await {
                    Ok(claimed) => claimed,
                    Err(ClaimError::NotDialling) => {
                        assert!(oracle.paused, "only a pause refuses the claim of an owner");
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                for dial in claimed.dials {
                    let (contact, attempt) = (dial.line.contact, dial.line.attempt);
                    assert_eq!(
                        oracle.objection(contact, attempt, time),
                        None,
                        "seed {seed}, {time}"
                    );
                    oracle.under_way.insert(contact, attempt);
                    oracle.seen.insert(attempt);
                    *oracle.tries.entry(contact).or_default() += 1;
                    dials += 1;
                }
                if step == "crash after a claim" {
                    // Nothing of it is known any more but what was committed.
                    owner = Owner::of(&stage, campaign).await;
                }
            }
            "crash in a claim" => {
                // The transaction is never committed: as if it had not been.
                let mut tx = stage.tx().await;
                sqlx::query("UPDATE app.campaign_contacts SET state = 'ready', attempt_id = NULL WHERE campaign_id = $1")
                    .bind(campaign.0)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                drop(tx);
                owner = Owner::of(&stage, campaign).await;
            }
            "another owner" => {
                let mut old = std::mem::replace(&mut owner, Owner::of(&stage, campaign).await);
                let refused = old.claim(&law, 5, time).await;
                assert!(
                    matches!(refused, Err(ClaimError::Fenced | ClaimError::NotDialling)),
                    "{refused:?}"
                );
            }
            "ends" => {
                let ended = owner.end_all(rng.usize(1..4), time).await;
                assert_eq!(ended, oracle.under_way.len(), "every attempt ends once");
                oracle.under_way.clear();
            }
            "pause" => {
                let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
                if oracle.paused {
                    start::start(&mut tx, &support::Open, campaign, now())
                        .await
                        .unwrap();
                } else {
                    start::pause(&mut tx, campaign, now()).await.unwrap();
                }
                tx.commit().await.unwrap();
                oracle.paused = !oracle.paused;
            }
            "suppress" => {
                let chosen = rng.usize(..contacts.len());
                let token = Uuid::from_u128(chosen as u128 + 1);
                let scope = [Scope::Tenant, Scope::Campaign(campaign)][rng.usize(..2)];
                let mut tx = stage.worker.tenant(stage.tenant).await.unwrap();
                suppressions::suppress(&mut tx, &[token], scope, Reason::OptOut, None, time)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                oracle.suppressed.insert(contacts[chosen]);
            }
            _ => {
                let chosen = rng.usize(..contacts.len());
                let mut tx = stage.worker.tenant(stage.tenant).await.unwrap();
                sqlx::query(
                    "INSERT INTO app.consents (tenant_id, id, contact_id, type, status, captured_at)
                     VALUES (app.tid(), gen_random_uuid(), $1, 'marketing', 'withdrawn', $2)",
                )
                .bind(contacts[chosen].0)
                .bind(time)
                .execute(&mut *tx)
                .await
                .unwrap();
                tx.commit().await.unwrap();
                oracle.consented.remove(&contacts[chosen]);
            }
        }
    }
    // What the tables say is what was seen: no attempt more, each with the decision that allowed it.
    let attempts = stage
        .count(
            "SELECT count(*) FROM app.attempts a JOIN app.contact_decisions d ON d.id = a.id AND d.allowed
             WHERE a.campaign_id = $1",
            campaign,
        )
        .await;
    assert_eq!(attempts, i64::try_from(oracle.seen.len()).unwrap());
    let all = stage
        .count(
            "SELECT count(*) FROM app.attempts WHERE campaign_id = $1",
            campaign,
        )
        .await;
    assert_eq!(all, attempts);
    let most = stage
        .count(
            "SELECT coalesce(max(n), 0)::bigint FROM
                 (SELECT count(*) AS n FROM app.attempts WHERE campaign_id = $1 GROUP BY contact_id) AS t",
            campaign,
        )
        .await;
    assert!(most <= 3, "{most}");
    dials
}
