//! Report jobs: through the real queue, and through crashes, failures and late figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use chrono::TimeDelta;
use common::{PATIENCE, World, at};
use sha2::{Digest, Sha256};
use sqlx::Row;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;
use voice_reports::Format;
use voice_scheduler::{
    jobs::{
        ReportJob, queue,
        rows::{self, Made, Parameters, TakeResult},
        runner::Ran,
    },
    schedules::CatchUp,
};
use voice_schemas::{CampaignId, TenantId, events::report::ReportEvent};
use voice_telemetry::Metrics;

/// Runs a worker on the queue until the token is cancelled.
fn worker(scheduler: &common::Scheduler, stop: &CancellationToken) -> tokio::task::JoinHandle<()> {
    let runner = scheduler.app.runner.clone();
    let (database, config) = (runner.database.clone(), runner.config.clone());
    tokio::spawn(queue::work(
        database,
        runner,
        config,
        Metrics::empty(),
        stop.clone(),
    ))
}

/// RPT-02
#[tokio::test]
async fn a_requested_report_goes_through_the_queue_into_files_of_all_formats() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let mut scheduler = world.scheduler().await;
    let stop = CancellationToken::new();
    let working = worker(&scheduler, &stop);
    let job = world.report(Format::ALL.to_vec(), Parameters::default()).await;
    world
        .until("the report is made", "status", |status| status == ["completed"])
        .await;

    let request = scheduler.asked.recv().await.unwrap();
    assert_eq!(
        (request.tenant, request.day.to_string().as_str()),
        (world.tenant, "2026-11-20")
    );
    assert_eq!(
        (request.from, request.to),
        (at("2026-11-19T23:00:00Z"), at("2026-11-20T23:00:00Z"))
    );
    assert!(!request.provisional);

    let folder = format!("reports/{}/{}", world.tenant.0, job.report_id.0);
    let expected: Vec<String> = ["csv", "json", "pdf", "xlsx"]
        .map(|format| format!("{folder}/daily_summary-2026-11-20.{format}"))
        .to_vec();
    assert_eq!(world.files(), expected);

    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    let rows = sqlx::query("SELECT object_key, bytes, sha256 FROM app.report_files ORDER BY object_key")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let content = std::fs::read(world.folder.path().join(row.get::<String, _>("object_key"))).unwrap();
        assert!(!content.is_empty());
        assert_eq!(row.get::<i64, _>("bytes"), i64::try_from(content.len()).unwrap());
        assert_eq!(row.get::<Vec<u8>, _>("sha256"), Sha256::digest(&content).to_vec());
    }
    // The period is printed in the report.
    let json = std::fs::read_to_string(world.folder.path().join(&expected[1])).unwrap();
    assert!(json.contains("2026-11-20"), "{json}");

    let events = world.events().await;
    assert_eq!(events.len(), 1);
    let event: ReportEvent = serde_json::from_value(events[0].clone()).unwrap();
    assert_eq!(event.kind.as_str(), "report.completed");
    assert_eq!(
        (event.tenantid, event.data.report_id),
        (world.tenant, job.report_id)
    );
    let mut keys = event.data.object_keys.clone();
    keys.sort();
    assert_eq!(keys, expected);

    stop.cancel();
    timeout(PATIENCE, working).await.unwrap().unwrap();
    assert_eq!(world.queue().await, [("Done".to_owned(), job)]);
}

/// SCH-01
#[tokio::test]
async fn a_scheduled_run_is_about_the_day_before_it_was_due_however_late_it_is_made() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("daily", "0 6 * * *", CatchUp::All).await;
    world.clock.set(at("2026-11-22T12:00:00Z"));
    let mut scheduler = world.scheduler().await;
    scheduler.app.tick.once().await.unwrap();
    let stop = CancellationToken::new();
    let working = worker(&scheduler, &stop);
    world
        .until("all runs are made", "status", |status| status == ["completed"; 3])
        .await;
    let mut days = Vec::new();
    for _ in 0..3 {
        days.push(scheduler.asked.recv().await.unwrap().day.to_string());
    }
    days.sort();
    assert_eq!(days, ["2026-11-19", "2026-11-20", "2026-11-21"]);
    stop.cancel();
    timeout(PATIENCE, working).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_that_dies_between_push_and_run_loses_nothing() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("daily", "0 6 * * *", CatchUp::Once).await;
    world.clock.set(at("2026-11-20T05:00:00Z"));
    let first = world.scheduler().await;
    first.app.tick.once().await.unwrap();
    drop(first);
    let next = world.scheduler().await;
    let stop = CancellationToken::new();
    let working = worker(&next, &stop);
    world
        .until("the next process makes it", "status", |status| {
            status == ["completed"]
        })
        .await;
    stop.cancel();
    timeout(PATIENCE, working).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_job_killed_while_it_works_is_run_again_and_overwrites_its_own_file() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let mut killed = world.scheduler_with(0, Some(Arc::new(Notify::new()))).await;
    let runner = killed.app.runner.clone();
    let running = tokio::spawn(async move { runner.run(job).await });
    timeout(PATIENCE, killed.asked.recv()).await.unwrap().unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());

    // What the dead one may have left: a file, under the key every try uses.
    let path = format!(
        "reports/{}/{}/daily_summary-2026-11-20.csv",
        world.tenant.0, job.report_id.0
    );
    let file = world.folder.path().join(&path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "half").unwrap();

    // Its lease keeps others away while it might still be alive.
    let next = world.scheduler().await;
    assert_eq!(next.app.runner.run(job).await, Ran::NothingToDo);
    assert_eq!(next.app.tick.once().await.unwrap().pushed_again, 0);
    world.clock.advance(TimeDelta::minutes(3));
    assert_eq!(next.app.tick.once().await.unwrap().pushed_again, 1);
    assert_eq!(next.app.runner.run(job).await, Ran::Completed);
    assert_eq!(
        (world.reports("status").await, world.reports("attempts").await),
        (vec!["completed".to_owned()], vec!["2".to_owned()])
    );
    assert_eq!(world.files(), [path]);
    assert_ne!(std::fs::read(&file).unwrap(), b"half");
    // A job that comes once more finds it done.
    assert_eq!(next.app.runner.run(job).await, Ran::NothingToDo);
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_job_that_lost_its_lease_cannot_mark_the_report() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let scheduler = world.scheduler().await;
    let runner = &scheduler.app.runner;
    let take = async |now: &str| match rows::take(&runner.database, job, at(now), &runner.config)
        .await
        .unwrap()
    {
        TakeResult::Taken(taken) => taken,
        other => panic!("the report is free: {other:?}"),
    };
    let slow = take("2026-11-21T06:00:00Z").await;
    let next = take("2026-11-21T06:10:00Z").await;
    let made = Made {
        from: at("2026-11-19T23:00:00Z"),
        to: at("2026-11-20T23:00:00Z"),
        provisional: false,
        files: vec![],
    };
    let now = at("2026-11-21T06:11:00Z");
    let fence = (slow.attempt, None, "daily_summary");
    // While the next one is at it, and after it is done.
    assert!(!rows::complete(&runner.database, &slow, &made, now).await.unwrap());
    assert!(
        !rows::fail(&runner.database, job, fence, "timed_out", None, now)
            .await
            .unwrap()
    );
    assert_eq!(
        (world.reports("status").await, world.events().await.len()),
        (vec!["generating".to_owned()], 0)
    );
    assert!(rows::complete(&runner.database, &next, &made, now).await.unwrap());
    assert!(!rows::complete(&runner.database, &slow, &made, now).await.unwrap());
    assert!(
        !rows::fail(&runner.database, job, fence, "timed_out", None, now)
            .await
            .unwrap()
    );
    assert_eq!(
        (world.reports("status").await, world.events().await.len()),
        (vec!["completed".to_owned()], 1)
    );
}

#[tokio::test]
async fn failures_are_labelled_and_tried_again_later_until_it_works() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let scheduler = world.scheduler_with(2, None).await;
    let runner = &scheduler.app.runner;
    assert_eq!(runner.run(job).await, Ran::Retrying(at("2026-11-21T06:01:00Z")));
    assert_eq!(world.reports("failure").await, ["source_unavailable"]);
    // Not before its time, whoever asks.
    assert_eq!(runner.run(job).await, Ran::NothingToDo);
    assert_eq!(scheduler.app.tick.once().await.unwrap().pushed_again, 0);
    world.clock.advance(TimeDelta::seconds(60));
    assert_eq!(scheduler.app.tick.once().await.unwrap().pushed_again, 1);
    assert_eq!(runner.run(job).await, Ran::Retrying(at("2026-11-21T06:05:00Z")));
    assert_eq!(world.events().await.len(), 0);
    world.clock.advance(TimeDelta::seconds(240));
    assert_eq!(scheduler.app.tick.once().await.unwrap().pushed_again, 1);
    assert_eq!(runner.run(job).await, Ran::Completed);
    assert_eq!(
        (world.reports("failure").await, world.reports("attempts").await),
        (vec!["-".to_owned()], vec!["3".to_owned()])
    );
}

#[tokio::test]
async fn a_report_that_keeps_failing_is_given_up_with_an_event() {
    let mut world = World::new("2026-11-21T06:00:00Z").await;
    world.config.jobs.most_attempts = 2;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let scheduler = world.scheduler_with(9, None).await;
    assert!(matches!(scheduler.app.runner.run(job).await, Ran::Retrying(_)));
    world.clock.advance(TimeDelta::minutes(1));
    assert_eq!(scheduler.app.runner.run(job).await, Ran::Failed);
    assert_eq!(world.reports("status").await, ["failed"]);
    let events = world.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["type"], &events[0]["data"]["failure"]),
        (&"report.failed".into(), &"source_unavailable".into())
    );
    // For good: neither time nor another job revives it.
    world.clock.advance(TimeDelta::days(2));
    assert_eq!(scheduler.app.tick.once().await.unwrap().pushed_again, 0);
    assert_eq!(scheduler.app.runner.run(job).await, Ran::NothingToDo);
    assert_eq!(scheduler.figures.attempts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_kind_nobody_can_make_fails_at_once_and_for_good() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    sqlx::query("UPDATE app.reports SET kind = 'horoscope'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let scheduler = world.scheduler().await;
    assert_eq!(scheduler.app.runner.run(job).await, Ran::Failed);
    assert_eq!(world.reports("failure").await, ["unsupported"]);
}

#[tokio::test]
async fn a_report_waits_for_its_figures_and_says_so_when_it_could_not() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Json], Parameters::default()).await;
    let mut scheduler = world.scheduler().await;
    *scheduler.complete.0.lock().unwrap() = Some(at("2026-11-20T22:00:00Z"));
    let runner = &scheduler.app.runner;
    assert_eq!(runner.run(job).await, Ran::Postponed(at("2026-11-21T06:01:00Z")));
    assert_eq!(
        (world.reports("status").await, world.reports("attempts").await),
        (vec!["pending".to_owned()], vec!["0".to_owned()])
    );
    world.clock.advance(TimeDelta::minutes(1));
    assert_eq!(scheduler.app.tick.once().await.unwrap().pushed_again, 1);
    assert_eq!(runner.run(job).await, Ran::Postponed(at("2026-11-21T06:02:00Z")));
    world.clock.advance(TimeDelta::minutes(29));
    assert_eq!(runner.run(job).await, Ran::Completed);
    assert!(scheduler.asked.recv().await.unwrap().provisional);
    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    let provisional: bool = sqlx::query_scalar("SELECT provisional FROM app.reports")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert!(provisional);
}

#[tokio::test]
async fn a_day_can_be_asked_for_by_name() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let day = "2026-10-25".parse().unwrap();
    let job = world
        .report(vec![Format::Csv], Parameters { day: Some(day) })
        .await;
    let mut scheduler = world.scheduler().await;
    assert_eq!(scheduler.app.runner.run(job).await, Ran::Completed);
    let request = scheduler.asked.recv().await.unwrap();
    // The clock went back that night: 25 hours.
    assert_eq!(
        (request.from, request.to),
        (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"))
    );
}

#[tokio::test]
async fn a_report_is_given_the_names_of_the_campaigns_of_its_tenant_and_of_nobody_else() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let other = common::tenant(&world.owner, "other").await;
    let (ours, theirs) = (CampaignId::random(), CampaignId::random());
    for (tenant, campaign, name) in [(world.tenant, ours, "Renewals"), (other, theirs, "Secret")] {
        let mut tx = world.api.tenant(tenant).await.unwrap();
        sqlx::query("INSERT INTO app.campaigns (tenant_id, id, name) VALUES ($1, $2, $3)")
            .bind(tenant.0)
            .bind(campaign.0)
            .bind(name)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let mut scheduler = world.scheduler().await;
    assert_eq!(scheduler.app.runner.run(job).await, Ran::Completed);
    let request = scheduler.asked.recv().await.unwrap();
    assert_eq!(
        request.campaign_names,
        HashMap::from([(ours, "Renewals".to_owned())])
    );
}

/// T2
#[tokio::test]
async fn a_job_that_names_another_tenant_finds_nothing() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let job = world.report(vec![Format::Csv], Parameters::default()).await;
    let other: TenantId = common::tenant(&world.owner, "other").await;
    let scheduler = world.scheduler().await;
    assert_eq!(
        scheduler.app.runner.run(ReportJob { tenant: other, ..job }).await,
        Ran::NothingToDo
    );
    assert_eq!(world.files(), Vec::<String>::new());
    assert_eq!(world.reports("status").await, ["pending"]);
}

#[tokio::test]
async fn a_worker_that_is_stopped_finishes_its_job_and_takes_no_other() {
    let mut world = World::new("2026-11-21T06:00:00Z").await;
    world.config.jobs.concurrency = 1;
    let hold = Arc::new(Notify::new());
    let mut scheduler = world.scheduler_with(0, Some(hold.clone())).await;
    world.report(vec![Format::Csv], Parameters::default()).await;
    let stop = CancellationToken::new();
    let working = worker(&scheduler, &stop);
    timeout(PATIENCE, scheduler.asked.recv()).await.unwrap().unwrap();
    stop.cancel();
    world.report(vec![Format::Csv], Parameters::default()).await;
    assert!(!working.is_finished());
    hold.notify_one();
    timeout(PATIENCE, working)
        .await
        .expect("the worker ends after its job")
        .unwrap();
    let mut status = world.reports("status").await;
    status.sort();
    assert_eq!(status, ["completed", "pending"]);
    assert_eq!(scheduler.figures.attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_worker_whose_connections_are_cut_is_replaced_and_the_work_goes_on() {
    let world = World::new("2026-11-21T06:00:00Z").await;
    let scheduler = world.scheduler().await;
    let stop = CancellationToken::new();
    let working = worker(&scheduler, &stop);
    for round in 1..=3 {
        world.report(vec![Format::Csv], Parameters::default()).await;
        world
            .until("the report is made", "status", |status| {
                status.len() == round && status.iter().all(|status| status == "completed")
            })
            .await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'voice-worker'",
        )
        .execute(&world.owner.job_pool())
        .await
        .unwrap();
    }
    stop.cancel();
    timeout(PATIENCE, working).await.unwrap().unwrap();
}
