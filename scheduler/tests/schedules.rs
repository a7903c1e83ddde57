//! Due schedules start their runs once, however many schedulers look.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod common;

use chrono::TimeDelta;
use common::{World, at};
use futures::future::join_all;
use voice_postgres::Role;
use voice_scheduler::schedules::{CatchUp, tick::Ticked};

#[tokio::test]
async fn schedulers_that_look_at_the_same_time_start_every_run_once() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    for number in 0..20 {
        world
            .schedule(&format!("daily {number}"), "0 6 * * *", CatchUp::Once)
            .await;
    }
    let mut schedulers = Vec::new();
    for _ in 0..4 {
        schedulers.push(world.scheduler().await);
    }
    // Not due yet.
    assert_eq!(schedulers[0].app.tick.once().await.unwrap(), Ticked::default());
    world.clock.set(at("2026-11-20T05:00:00Z"));
    let ticks = join_all(schedulers.iter().map(|scheduler| scheduler.app.tick.once())).await;
    let started: usize = ticks.into_iter().map(|ticked| ticked.unwrap().started).sum();
    assert_eq!(started, 20);
    assert_eq!(world.reports("scheduled_for").await, vec!["11-20 05:00"; 20]);
    let mut queued: Vec<_> = world
        .queue()
        .await
        .into_iter()
        .map(|(_, job)| job.report_id)
        .collect();
    queued.sort();
    queued.dedup();
    assert_eq!(queued.len(), 20);
    // Looking again starts nothing until tomorrow.
    assert_eq!(schedulers[1].app.tick.once().await.unwrap(), Ticked::default());
    world.clock.set(at("2026-11-21T05:00:01Z"));
    assert_eq!(schedulers[2].app.tick.once().await.unwrap().started, 20);
}

#[tokio::test]
async fn a_run_that_exists_is_not_started_again_even_when_the_schedule_says_it_is_due() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("daily", "0 6 * * *", CatchUp::Once).await;
    let scheduler = world.scheduler().await;
    world.clock.set(at("2026-11-20T05:00:00Z"));
    assert_eq!(scheduler.app.tick.once().await.unwrap().started, 1);
    // As if a restored backup had turned the schedule back.
    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    sqlx::query("UPDATE app.report_schedules SET next_run_at = '2026-11-20T05:00:00Z'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(scheduler.app.tick.once().await.unwrap().started, 0);
    assert_eq!(
        (world.reports("status").await.len(), world.queue().await.len()),
        (1, 1)
    );
}

#[tokio::test]
async fn runs_missed_while_no_scheduler_ran_follow_the_catch_up_policy() {
    for (catch_up, expected) in [
        (CatchUp::Skip, vec![]),
        (CatchUp::Once, vec!["11-20 05:00"]),
        (CatchUp::All, vec!["11-18 05:00", "11-19 05:00", "11-20 05:00"]),
    ] {
        let world = World::new("2026-11-17T12:00:00Z").await;
        world.schedule("daily", "0 6 * * *", catch_up).await;
        world.clock.set(at("2026-11-20T12:00:00Z"));
        let scheduler = world.scheduler().await;
        assert_eq!(
            scheduler.app.tick.once().await.unwrap().started,
            expected.len(),
            "{catch_up:?}"
        );
        assert_eq!(world.reports("scheduled_for").await, expected, "{catch_up:?}");
        assert_eq!(scheduler.app.tick.once().await.unwrap().started, 0);
        world.clock.set(at("2026-11-21T05:00:00Z"));
        assert_eq!(
            scheduler.app.tick.once().await.unwrap().started,
            1,
            "{catch_up:?}"
        );
    }
}

#[tokio::test]
async fn paused_schedules_and_suspended_tenants_start_nothing() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("daily", "0 6 * * *", CatchUp::Once).await;
    let scheduler = world.scheduler().await;
    world.clock.set(at("2026-11-20T05:00:00Z"));
    for (stop, go) in [
        (
            "UPDATE app.report_schedules SET paused = true",
            "UPDATE app.report_schedules SET paused = false",
        ),
        (
            "UPDATE app.tenants SET status = 'suspended'",
            "UPDATE app.tenants SET status = 'active'",
        ),
    ] {
        let mut tx = world.owner.tenant(world.tenant).await.unwrap();
        sqlx::query(stop).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            scheduler.app.tick.once().await.unwrap(),
            Ticked::default(),
            "{stop}"
        );
        let mut tx = world.owner.tenant(world.tenant).await.unwrap();
        sqlx::query(go).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(scheduler.app.tick.once().await.unwrap().started, 1);
}

#[tokio::test]
async fn a_schedule_that_makes_no_sense_is_taken_off_the_plan_and_the_others_go_on() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("bad", "0 6 * * *", CatchUp::Once).await;
    world.schedule("good", "0 6 * * *", CatchUp::Once).await;
    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    sqlx::query("UPDATE app.report_schedules SET cron = 'at dawn' WHERE name = 'bad'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    world.clock.set(at("2026-11-20T05:00:00Z"));
    let scheduler = world.scheduler().await;
    assert_eq!(scheduler.app.tick.once().await.unwrap().started, 1);
    let mut tx = world.owner.tenant(world.tenant).await.unwrap();
    let faults: Vec<(String, Option<String>, bool)> =
        sqlx::query_as("SELECT name, fault, next_run_at IS NULL FROM app.report_schedules ORDER BY name")
            .fetch_all(&mut *tx)
            .await
            .unwrap();
    assert_eq!(
        faults,
        [
            ("bad".to_owned(), Some("unsupported".to_owned()), true),
            ("good".to_owned(), None, false)
        ]
    );
}

#[tokio::test]
async fn a_report_whose_job_was_lost_is_pushed_again_once_its_lease_is_over() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    world.schedule("daily", "0 6 * * *", CatchUp::Once).await;
    let (one, two) = (world.scheduler().await, world.scheduler().await);
    world.clock.set(at("2026-11-20T05:00:00Z"));
    one.app.tick.once().await.unwrap();
    sqlx::query("DELETE FROM apalis.jobs")
        .execute(&world.owner.job_pool())
        .await
        .unwrap();
    assert_eq!(one.app.tick.once().await.unwrap(), Ticked::default());
    world.clock.advance(TimeDelta::minutes(10));
    let both = join_all([one.app.tick.once(), two.app.tick.once()]).await;
    let pushed: usize = both.into_iter().map(|ticked| ticked.unwrap().pushed_again).sum();
    assert_eq!((pushed, world.queue().await.len()), (1, 1));
}

#[tokio::test]
async fn the_queues_tables_are_made_once_and_serve_the_worker_role() {
    let world = World::new("2026-11-20T04:00:00Z").await;
    voice_scheduler::migrate(&world.database.url()).await.unwrap();
    let worker = world.database.connect(Role::Worker).await;
    assert_eq!(voice_scheduler::jobs::queue::sweep(&worker, 1).await.unwrap(), 0);
    let extensions: Vec<String> = sqlx::query_scalar("SELECT extname::text FROM pg_extension ORDER BY 1")
        .fetch_all(&world.owner.job_pool())
        .await
        .unwrap();
    assert!(extensions.contains(&"hstore".to_owned()));
    assert!(!extensions.contains(&"pgcrypto".to_owned()), "{extensions:?}");
}
