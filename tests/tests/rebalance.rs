//! Partitions that move while batches are open: members join, leave and die, and every row is still there
//! once.
//!
//! Batches linger for two seconds and nothing else closes them, so a partition that moves always moves in
//! the middle of one.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.

mod support;

use std::time::Duration;

use support::{Scene, exact::assert_same, feed::Feed, fold::fold, seed, story::Story};

const EVENTS: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_join_leave_and_die_in_the_middle_of_batches_double_and_lose_nothing() {
    members_come_and_go("rebalance", "consumer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_with_the_group_protocol_of_older_brokers() {
    members_come_and_go("rebalance_classic", "classic").await;
}

async fn members_come_and_go(suite: &str, protocol: &str) {
    let seed = seed(suite);
    let mut rng = fastrand::Rng::with_seed(seed);
    let story = Story::new(seed, EVENTS);
    let mut scene = Scene::new(suite).await;
    scene.set("kafka.consumer.group_protocol", protocol);
    scene.set("kafka.consumer.session_timeout_ms", 6_000);
    scene.set("kafka.consumer.drain_deadline_ms", 5_000);
    scene.set("analytics.sink.linger_ms", 2_000);
    scene.set("analytics.rollups.interval_ms", 200);
    scene.set("analytics.watchdog.interval_ms", 3_600_000);
    scene.set("telemetry.filter", "info,voice_analytics=debug");
    scene
        .expel_after(voice_analytics::sink::GROUP, Duration::from_secs(3))
        .await;

    let mut feed = Feed::new(&scene, &story, 0);
    let mut first = scene.start("analytics");
    while_fed(&mut feed, first.has_said("batch written")).await;
    // Every partition has an open batch while the second joins, and a while more.
    let mut second = scene.start("analytics");
    while_fed(&mut feed, second.has_said("batch written")).await;
    while_fed(
        &mut feed,
        support::random_moment(&mut rng, Duration::from_secs(2)),
    )
    .await;
    let mut said = while_fed(&mut feed, first.terminate()).await;
    let mut third = scene.start("analytics");
    while_fed(&mut feed, third.has_said("batch written")).await;
    while_fed(
        &mut feed,
        support::random_moment(&mut rng, Duration::from_secs(2)),
    )
    .await;
    said.push_str(&while_fed(&mut feed, second.kill()).await);
    feed.write_the_rest().await;
    scene.settles(&feed.written, PATIENCE).await;

    scene.is_exact(&feed.written).await;
    let calls = fold(&story.events);
    assert_same("calls", &scene.calls().await, &calls);
    scene.rolls_up(&calls, PATIENCE).await;
    said.push_str(&third.terminate().await);
    scene.is_exact(&feed.written).await;
    scene.is_rolled_up(&calls).await;
    println!(
        "{suite}: {} assignments, {} revocations, {} open batches taken over",
        said.matches("partitions assigned").count(),
        said.matches("partitions revoked").count(),
        said.matches("took over an open batch").count(),
    );
}

/// Lets something happen while events keep coming.
async fn while_fed<T>(feed: &mut Feed<'_>, happening: impl Future<Output = T>) -> T {
    let mut happening = std::pin::pin!(happening);
    loop {
        assert!(!feed.is_over(), "the story was told before the last member died");
        feed.write(100, Duration::from_millis(150)).await;
        if let std::task::Poll::Ready(outcome) = futures::poll!(happening.as_mut()) {
            return outcome;
        }
    }
}
