//! `kill -9` of ingest: what a carrier was told is kept is in Kafka, and what it sends again is the same
//! fact.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use support::{Scene, eventually, random_moment, scene::free_port, seed};
use url::Url;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::{CallId, EventId, EventType, events::call::CallEvent};
use voice_simulator::{
    FactSet, Faults, Simulator,
    plan::{PlannedCall, Shift},
    player::{Observer, PlayOptions, Progress},
    wire::Target,
};

const CALLS: u64 = 3_000;
const KILLS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// A fact, by what the carrier says about it.
type FactKey = (CallId, EventType, DateTime<Utc>);

/// Notes what was answered 2xx.
#[derive(Default)]
struct Ledger {
    delivered: AtomicU64,
    taken: Mutex<BTreeSet<FactKey>>,
}

impl Observer for Ledger {
    fn progress(&self, progress: &Progress) {
        self.delivered.store(progress.delivered, Ordering::Relaxed);
    }

    fn finished(&self, call: &PlannedCall, arrived: FactSet, _: FactSet) {
        let mut taken = self.taken.lock().unwrap();
        for (_, planned) in call
            .facts
            .iter()
            .enumerate()
            .filter(|(place, _)| arrived.has(*place))
        {
            if let Some(kind) = planned.fact.event_type() {
                assert!(
                    taken.insert((call.call_id, kind, call.as_told(planned.at))),
                    "two facts look the same"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_webhook_answered_2xx_is_in_kafka_and_a_redelivered_one_is_the_same_event() {
    let seed = seed("ingest_survives_kill");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scene = Scene::new("hooks").await;
    let accounts = scene.found_company(seed).await;
    let address = format!("127.0.0.1:{}", free_port());
    let url = Url::parse(&format!("http://{address}")).unwrap();
    scene.set("ingest.listen", &address);
    scene.set("ingest.public_base_url", url.as_str().trim_end_matches('/'));
    scene.set("ingest.per_address_per_second", 1_000_000);

    let clock = SystemClock::shared();
    let shift = Shift::new(seed, CALLS, SystemClock.now() - TimeDelta::hours(18));
    // Every tenth webhook is sent twice: some of the copies come after a restart that forgot the first.
    let faults = Faults {
        duplicates: 0.1,
        ..Faults::default()
    };
    let simulator = Simulator::new(shift, faults, accounts, scene.context_keys()).unwrap();
    let ledger = Arc::new(Ledger::default());

    let mut ingest = Some(scene.start("ingest"));
    ingest.as_mut().unwrap().has_said("\"running\"").await;
    let playing = tokio::spawn({
        let (ledger, clock) = (Arc::clone(&ledger), clock.clone());
        async move {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut options = PlayOptions {
                concurrency: 16,
                ..PlayOptions::default()
            };
            // Whatever is turned away while ingest is down comes back.
            options.retries.tries = 60;
            options.retries.longest_wait = Duration::from_secs(1);
            simulator
                .play(&http, &Target::direct(url), &options, &clock, &*ledger)
                .await
                .unwrap()
        }
    });
    // So many webhooks come anyway; each life of ingest takes its share of them.
    let share = CALLS * 3 / (KILLS + 1);
    for _ in 0..KILLS {
        let goal = ledger.delivered.load(Ordering::Relaxed) + rng.u64(share / 2..share);
        let running = ingest.as_mut().unwrap();
        eventually("webhooks are taken", PATIENCE, async || {
            running.must_run();
            ledger.delivered.load(Ordering::Relaxed) >= goal
        })
        .await;
        random_moment(&mut rng, Duration::from_millis(30)).await;
        assert!(!playing.is_finished(), "the shift was over before the last kill");
        ingest.take().unwrap().kill().await;
        ingest = Some(scene.start("ingest"));
    }
    let tally = playing.await.unwrap();
    ingest.unwrap().terminate().await;
    assert_eq!(tally.undelivered, 0, "{tally:?}");

    let taken = std::mem::take(&mut *ledger.taken.lock().unwrap());
    assert_eq!(taken.len() as u64, tally.expected.event_count());
    let mut ids: BTreeMap<FactKey, BTreeSet<EventId>> = BTreeMap::new();
    let mut records = 0;
    for event in scene.events_in_kafka::<CallEvent>().await {
        records += 1;
        ids.entry((event.data.call.call_id, event.kind, event.time))
            .or_default()
            .insert(event.id);
    }
    let lost: Vec<_> = taken.iter().filter(|fact| !ids.contains_key(fact)).collect();
    assert!(
        lost.is_empty(),
        "{} facts were answered 2xx and are not in Kafka: {:?}",
        lost.len(),
        lost.first()
    );
    let several: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(
        several.is_empty(),
        "{} facts have several ids: {:?}",
        several.len(),
        several.first()
    );
    // Nothing was ever written that the carrier had not sent, and all it sent was taken in the end.
    assert!(ids.keys().all(|fact| taken.contains(fact)));
    let again = records - ids.len();
    println!(
        "{} requests ({} unanswered, {} repeated): {} facts in {records} records",
        tally.requests,
        tally.unanswered,
        tally.repeated,
        ids.len()
    );
    assert!(tally.unanswered > 0, "no kill hit a request");
    assert!(again > 0, "no webhook was redelivered after a restart");
}
