//! What the end-to-end suites share: the stack they run on, a scene of their own on it, and the `voice`
//! processes they start and end.
//!
//! Every [`Scene`] has its own topics, consumer groups and databases, so suites and their tests may run
//! side by side on one stack.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "each suite uses its part; a test that cannot go on stops here and says why"
)]

pub(crate) mod campaign;
pub(crate) mod company;
pub(crate) mod exact;
pub(crate) mod feed;
pub(crate) mod fold;
pub(crate) mod groups;
pub(crate) mod kpis;
pub(crate) mod log;
pub(crate) mod scene;
pub(crate) mod stack;
pub(crate) mod story;
pub(crate) mod voice;

use std::time::Duration;

pub(crate) use self::{scene::Scene, stack::Stack, voice::Voice};

/// The seed of this run: `VOICE_TEST_SEED`, or a fresh one. Printed, so that a failure can be looked at again.
pub(crate) fn seed(suite: &str) -> u64 {
    let seed = std::env::var("VOICE_TEST_SEED").map_or_else(
        |_| fastrand::u64(..),
        |given| given.parse().expect("VOICE_TEST_SEED is a number"),
    );
    println!("{suite}: seed {seed} (VOICE_TEST_SEED={seed} repeats it)");
    seed
}

/// Waits until something holds; fails when it does not within `patience`.
pub(crate) async fn eventually(what: &str, patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    wait_for(what, patience, async || holds().await.then_some(())).await;
}

/// Waits until there is something to have.
pub(crate) async fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(
            began.elapsed() < patience,
            "{what}: not within {} s",
            patience.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A moment of the length a suite is after, drawn from its seed: kills fall where they may.
pub(crate) async fn random_moment(rng: &mut fastrand::Rng, longest: Duration) {
    tokio::time::sleep(longest.mul_f64(rng.f64())).await;
}
