//! Every way a process can end, in paused time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use voice_lifecycle::{CancellationToken, Cause, Lifecycle, Readiness, Stage, TaskPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn lifecycle() -> Lifecycle {
    Lifecycle::new(Readiness::new(), Duration::ZERO)
}

async fn until_cancelled(token: CancellationToken) {
    token.cancelled().await;
}

#[derive(Debug, thiserror::Error)]
#[error("the broker is gone")]
struct BrokerGone(#[source] std::io::Error);

#[tokio::test(start_paused = true)]
async fn asked_to_stop_it_cancels_the_stages_in_order_and_waits_for_each() {
    let lifecycle = lifecycle();
    let order = Arc::new(Mutex::new(Vec::new()));
    for (name, policy) in [
        ("outbox", TaskPolicy::background(SECOND * 10)),
        ("sink", TaskPolicy::workers(SECOND * 10)),
        ("listener", TaskPolicy::ingress(SECOND * 10)),
    ] {
        let order = Arc::clone(&order);
        lifecycle.spawn(name, policy, move |token| async move {
            token.cancelled().await;
            order.lock().unwrap().push(format!("{name} told"));
            tokio::time::sleep(SECOND).await;
            order.lock().unwrap().push(format!("{name} done"));
        });
    }
    let report = lifecycle.run_until(tokio::time::sleep(SECOND)).await;
    assert_eq!(
        *order.lock().unwrap(),
        [
            "listener told",
            "listener done",
            "sink told",
            "sink done",
            "outbox told",
            "outbox done"
        ]
    );
    assert_eq!(report.code(), 0, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_off_before_the_first_stage_is_told() {
    let readiness = Readiness::new();
    let lifecycle = Lifecycle::new(readiness.clone(), SECOND * 5);
    let (told, seen) = oneshot::channel();
    let start = Instant::now();
    let at_cancel = readiness.clone();
    lifecycle.spawn("listener", TaskPolicy::ingress(SECOND), move |token| async move {
        assert!(at_cancel.is_ready());
        tokio::time::sleep(SECOND * 2).await;
        assert!(!at_cancel.is_ready(), "unready two seconds in, still serving");
        token.cancelled().await;
        let _sent = told.send(start.elapsed());
    });
    let report = lifecycle.run_until(tokio::time::sleep(SECOND)).await;
    assert_eq!(
        seen.await.unwrap(),
        SECOND * 6,
        "one second of work and five for the load balancer"
    );
    assert!(!readiness.is_ready());
    assert_eq!(report.failures, []);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_silently_is_a_shutdown() {
    let lifecycle = lifecycle();
    lifecycle.spawn("sink", TaskPolicy::workers(SECOND), |_token| async {});
    lifecycle.spawn("listener", TaskPolicy::ingress(SECOND), until_cancelled);
    let report = lifecycle.run_until(std::future::pending()).await;
    assert_eq!(report.cause, Cause::TaskEnded("sink"));
    assert_eq!(report.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_is_a_shutdown_and_its_error_is_told_with_its_causes() {
    let lifecycle = lifecycle();
    lifecycle.spawn("sink", TaskPolicy::workers(SECOND), |_token| async {
        Err::<(), _>(BrokerGone(std::io::Error::other("connection refused")))
    });
    let report = lifecycle.run_until(std::future::pending()).await;
    assert_eq!(report.cause, Cause::TaskFailed("sink"));
    assert_eq!(report.failures[0].error, "the broker is gone: connection refused");
    assert_eq!(report.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_its_task_and_the_others_still_stop_in_order() {
    let lifecycle = lifecycle();
    let (done, finished) = oneshot::channel();
    lifecycle.spawn("sink", TaskPolicy::workers(SECOND), |token| async move {
        token.cancelled().await;
        let _sent = done.send(());
    });
    lifecycle.spawn("pacing", TaskPolicy::workers(SECOND), |_token| async {
        if true {
            panic!("no line {}", 7);
        }
    });
    let report = lifecycle.run_until(std::future::pending()).await;
    assert_eq!(report.cause, Cause::TaskFailed("pacing"));
    assert_eq!(report.failures[0].error, "panicked: no line 7");
    assert_eq!(report.unfinished, [] as [&str; 0]);
    finished.await.expect("the sink was told to stop and did");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_may_degrade_leaves_the_process_alive_and_unready() {
    let readiness = Readiness::new();
    let lifecycle = Lifecycle::new(readiness.clone(), Duration::ZERO);
    lifecycle.spawn(
        "forecast",
        TaskPolicy::background(SECOND).or_degrade(),
        |_token| async { Err::<(), _>("no history") },
    );
    lifecycle.spawn("sink", TaskPolicy::workers(SECOND), until_cancelled);
    let watching = readiness.clone();
    let report = lifecycle
        .run_until(async move {
            tokio::time::sleep(SECOND).await;
            let failing = watching.report().failing;
            assert_eq!(
                (failing[0].name, failing[0].reason.as_str()),
                ("forecast", "no history")
            );
        })
        .await;
    assert_eq!(report.cause, Cause::Requested("stopped by its owner".to_owned()));
    assert_eq!(report.failures[0].task, "forecast");
    assert_eq!(
        report.code(),
        1,
        "a failure shows in the exit code even when the process lived on"
    );
}

#[tokio::test(start_paused = true)]
async fn tasks_that_may_finish_end_the_process_clean_once_all_have() {
    let lifecycle = lifecycle();
    for seconds in [1, 3] {
        lifecycle.spawn(
            "import",
            TaskPolicy::workers(SECOND).may_finish(),
            move |_token| tokio::time::sleep(SECOND * seconds),
        );
    }
    let start = Instant::now();
    let report = lifecycle.run_until(std::future::pending()).await;
    assert_eq!(report.cause, Cause::AllFinished);
    assert_eq!(start.elapsed(), SECOND * 3);
    assert_eq!(report.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_task_has_its_own_budget_and_what_exceeds_it_is_cut_off_and_named() {
    let lifecycle = lifecycle();
    lifecycle.spawn("stuck", TaskPolicy::workers(SECOND * 2), |_token| {
        std::future::pending::<()>()
    });
    lifecycle.spawn("slow", TaskPolicy::workers(SECOND * 5), |token| async move {
        token.cancelled().await;
        tokio::time::sleep(SECOND * 4).await;
    });
    let (told, background) = oneshot::channel();
    let start = Instant::now();
    lifecycle.spawn(
        "outbox",
        TaskPolicy::background(SECOND),
        move |token| async move {
            token.cancelled().await;
            let _sent = told.send(start.elapsed());
        },
    );
    assert_eq!(lifecycle.longest_shutdown(), SECOND * 6);
    let report = lifecycle.run_until(std::future::ready(())).await;
    assert_eq!(report.unfinished, ["stuck"]);
    assert_eq!(
        background.await.unwrap(),
        SECOND * 4,
        "the slow worker had its time, the stuck one did not prolong it"
    );
    assert_eq!(report.code(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_while_stopping_is_reported_but_is_not_the_cause() {
    let lifecycle = lifecycle();
    lifecycle.spawn("sink", TaskPolicy::workers(SECOND), |token| async move {
        token.cancelled().await;
        Err::<(), _>("the last commit failed")
    });
    lifecycle.shut_down("maintenance");
    let report = lifecycle.run_until(std::future::pending()).await;
    assert_eq!(report.cause, Cause::Requested("maintenance".to_owned()));
    assert_eq!(report.failures[0].error, "the last commit failed");
    assert_eq!(report.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_spawned_into_a_cancelled_stage_is_told_at_once() {
    let lifecycle = lifecycle();
    let late = lifecycle.clone();
    lifecycle.spawn("listener", TaskPolicy::ingress(SECOND), move |token| async move {
        token.cancelled().await;
        late.spawn("last request", TaskPolicy::ingress(SECOND), until_cancelled);
    });
    let report = lifecycle.run_until(std::future::ready(())).await;
    assert!(lifecycle.token(Stage::Ingress).is_cancelled());
    assert_eq!((report.unfinished.len(), report.code()), (0, 0));
}
