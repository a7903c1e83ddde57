//! Real signals. Alone in its process, because a signal reaches everything in it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use voice_lifecycle::{Cause, Lifecycle, Readiness, TaskPolicy};

#[allow(unsafe_code, reason = "there is no safe way to send a signal to oneself")]
fn send(signal: libc::c_int) {
    // SAFETY: `raise` takes a number and touches no memory of ours.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

#[tokio::test]
async fn a_signal_starts_the_shutdown_and_a_second_one_cuts_it_short() {
    let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
    let told = Arc::new(Notify::new());
    let telling = Arc::clone(&told);
    // Longer than any test may run: only the second signal can end it.
    lifecycle.spawn(
        "live call",
        TaskPolicy::workers(Duration::from_secs(3_600)),
        |token| async move {
            token.cancelled().await;
            telling.notify_one();
            std::future::pending::<()>().await;
        },
    );
    let running = tokio::spawn({
        let lifecycle = lifecycle.clone();
        async move { lifecycle.run_until_signal().await }
    });
    // The handlers are in place once the task has run up to its first wait.
    tokio::task::yield_now().await;
    send(libc::SIGTERM);
    told.notified().await;
    assert!(!lifecycle.readiness().is_ready());
    send(libc::SIGINT);
    let report = running.await.unwrap();
    assert_eq!(report.cause, Cause::Signal("SIGTERM"));
    assert_eq!(report.unfinished, ["live call"]);
    assert_eq!(report.code(), 3);
}
