//! `kill -9` of analytics, again and again, in the middle of fifty thousand events.
//!
//! Small batches make every moment one between intent, insert and done of some partition. What must hold
//! afterwards is said by the records the broker confirmed and by a fold over the events in this process.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::time::Duration;

use support::{Scene, eventually, feed::Feed, fold::fold, random_moment, seed, story::Story};

const EVENTS: usize = 50_000;
const KILLS: usize = 10;
/// Some batches' time: intent, insert and done take tens of milliseconds each.
const LONGEST_LIFE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_during_fifty_thousand_events_leave_every_row_once_and_every_figure_exact() {
    let seed = seed("sink_survives_kill");
    let mut rng = fastrand::Rng::with_seed(seed);
    let story = Story::new(seed, EVENTS);
    let mut scene = Scene::new("kill").await;
    scene.set("analytics.sink.max_rows", 700);
    scene.set("analytics.sink.linger_ms", 50);
    scene.set("analytics.rollups.interval_ms", 300);
    // Told after the event; nobody is to be asked about these calls.
    scene.set("analytics.watchdog.interval_ms", 3_600_000);
    scene
        .expel_after(voice_analytics::sink::GROUP, Duration::from_secs(3))
        .await;

    let mut feed = Feed::new(&scene, &story, 250);
    let mut said = String::new();
    for kill in 0..KILLS {
        let mut voice = scene.start("analytics");
        voice.has_said("partitions assigned").await;
        let before = scene.rows().await;
        // What was left open and what is new are written while the kill is on its way.
        feed.write(EVENTS / (KILLS + 1), Duration::from_millis(100)).await;
        eventually("rows are written", PATIENCE, async || {
            voice.must_run();
            scene.rows().await > before
        })
        .await;
        random_moment(&mut rng, LONGEST_LIFE).await;
        said.push_str(&voice.kill().await);
        println!(
            "kill {}: {} rows in {} records",
            kill + 1,
            scene.rows().await,
            feed.written.len()
        );
    }
    let last = scene.start("analytics");
    feed.write_the_rest().await;
    scene.settles(&feed.written, PATIENCE).await;

    scene.is_exact(&feed.written).await;
    let calls = fold(&story.events);
    support::exact::assert_same("calls", &scene.calls().await, &calls);
    scene.rolls_up(&calls, PATIENCE).await;
    said.push_str(&last.terminate().await);
    scene.is_exact(&feed.written).await;
    scene.is_rolled_up(&calls).await;

    // A run whose kills all fell between batches would have proved nothing.
    let repeated = said.matches(r#""repair":"repeated""#).count();
    println!("{repeated} batches were found between their intent and their end, and repeated");
    assert!(repeated > 0, "no kill hit a batch between its intent and its end");
}
