//! A tenant sees and writes its own rows and nobody else's, whatever the query says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{sealer, tenant, twilio};
use uuid::Uuid;
use voice_postgres::{Config, Database, Error, Role, TenantTx, accounts, testing::TestDatabase};
use voice_schemas::{ScheduleId, TenantId};

async fn schedule(tx: &mut TenantTx, tenant: TenantId, name: &str) -> Result<ScheduleId, Error> {
    let id = ScheduleId::random();
    sqlx::query(
        "INSERT INTO app.report_schedules (tenant_id, id, name, kind, cron, timezone)
         VALUES ($1, $2, $3, 'daily_summary', '0 6 * * *', 'Europe/Prague')",
    )
    .bind(tenant.0)
    .bind(id.0)
    .bind(name)
    .execute(&mut **tx)
    .await?;
    Ok(id)
}

async fn visible(tx: &mut TenantTx) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM app.report_schedules")
        .fetch_one(&mut **tx)
        .await
        .unwrap()
}

/// T2
#[tokio::test]
async fn two_tenants_see_their_own_rows_and_cannot_reach_the_others_by_id() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let api = database.connect(Role::Api).await;

    let mut tx = api.tenant(a).await.unwrap();
    let of_a = schedule(&mut tx, a, "mine").await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = api.tenant(b).await.unwrap();
    // The same name in another tenant is free: no unique key tells of it.
    schedule(&mut tx, b, "mine").await.unwrap();
    assert_eq!(visible(&mut tx).await, 1);
    for sql in [
        "SELECT 1 FROM app.report_schedules WHERE id = $1",
        "UPDATE app.report_schedules SET paused = true WHERE id = $1",
        "DELETE FROM app.report_schedules WHERE id = $1",
    ] {
        let done = sqlx::query(sql).bind(of_a.0).execute(&mut *tx).await.unwrap();
        assert_eq!(done.rows_affected(), 0, "{sql}");
    }
    tx.commit().await.unwrap();

    let mut tx = api.tenant(a).await.unwrap();
    let paused: bool = sqlx::query_scalar("SELECT paused FROM app.report_schedules WHERE id = $1")
        .bind(of_a.0)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert!(!paused);
}

/// T2
#[tokio::test]
async fn a_row_cannot_be_written_for_or_moved_to_another_tenant() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let api = database.connect(Role::Api).await;

    let mut tx = api.tenant(a).await.unwrap();
    let refused = schedule(&mut tx, b, "for b").await.unwrap_err();
    assert!(matches!(refused, Error::Denied(_)), "{refused:?}");
    tx.rollback().await.unwrap();

    let mut tx = api.tenant(a).await.unwrap();
    schedule(&mut tx, a, "mine").await.unwrap();
    let moved = sqlx::query("UPDATE app.report_schedules SET tenant_id = $1")
        .bind(b.0)
        .execute(&mut *tx)
        .await;
    assert!(matches!(Error::from(moved.unwrap_err()), Error::Denied(_)));
}

/// T2
#[tokio::test]
async fn a_reference_to_another_tenants_row_is_refused() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let api = database.connect(Role::Api).await;
    let mut tx = api.tenant(a).await.unwrap();
    let of_a = schedule(&mut tx, a, "mine").await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = api.tenant(b).await.unwrap();
    let refused = sqlx::query(
        "INSERT INTO app.reports
             (tenant_id, id, schedule_id, scheduled_for, kind, formats, timezone, period_as_of)
         VALUES ($1, $2, $3, now(), 'daily_summary', '{pdf}', 'UTC', now())",
    )
    .bind(b.0)
    .bind(Uuid::now_v7())
    .bind(of_a.0)
    .execute(&mut *tx)
    .await;
    assert_eq!(
        Error::from(refused.unwrap_err()).constraint(),
        Some("reports_schedule")
    );
}

#[tokio::test]
async fn the_setting_a_transaction_leaves_behind_shows_no_rows_and_is_no_error() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    // One connection, so that the second query runs where the transaction ran.
    let config = Config {
        max_connections: 1,
        ..database.config()
    };
    for role in [Role::Api, Role::Owner] {
        let single = Database::connect(&config, role).await.unwrap();
        let mut tx = single.tenant(a).await.unwrap();
        schedule(&mut tx, a, &format!("{role:?}")).await.unwrap();
        assert!(visible(&mut tx).await >= 1);
        tx.commit().await.unwrap();
        let pool = single.job_pool();
        let leftover: Option<String> = sqlx::query_scalar("SELECT current_setting('app.tenant_id', true)")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(leftover.as_deref(), Some(""));
        let outside: i64 = sqlx::query_scalar("SELECT count(*) FROM app.report_schedules")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(outside, 0, "{role:?}");
    }
}

#[tokio::test]
async fn a_dropped_transaction_changes_nothing() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    let api = database.connect(Role::Api).await;
    let mut tx = api.tenant(a).await.unwrap();
    schedule(&mut tx, a, "never").await.unwrap();
    drop(tx);
    assert_eq!(visible(&mut api.tenant(a).await.unwrap()).await, 0);
}

#[tokio::test]
async fn roles_do_what_they_are_for_and_no_more() {
    let database = TestDatabase::create().await;
    let a = tenant(&database, "a").await;
    accounts::upsert(
        &database.connect(Role::Owner).await,
        &sealer(7),
        a,
        &twilio("one"),
    )
    .await
    .unwrap();
    let denied = [
        // The relay reads no configuration, the report role no secrets, the worker writes no accounts.
        (Role::Relay, "SELECT count(*) FROM app.provider_accounts"),
        (Role::Relay, "SELECT count(*) FROM app.all_tenants()"),
        (
            Role::Relay,
            "INSERT INTO app.outbox (tenant_id, topic, key, type) SELECT id, 't', 'k', 'x' FROM app.tenants",
        ),
        (Role::Report, "SELECT count(*) FROM app.provider_accounts"),
        (Role::Report, "SELECT phone_key_enc FROM app.tenants"),
        (Role::Report, "UPDATE app.reports SET kind = kind"),
        (Role::Worker, "UPDATE app.provider_accounts SET enabled = false"),
        (Role::Worker, "UPDATE app.report_schedules SET cron = '* * * * *'"),
        (Role::Worker, "DELETE FROM app.outbox"),
        (Role::Api, "SELECT count(*) FROM app.outbox"),
        (Role::Api, "SELECT count(*) FROM app.all_provider_accounts()"),
        (Role::Api, "DELETE FROM app.tenants"),
        (Role::Api, "CREATE TABLE app.mine (id int)"),
        (Role::Worker, "CREATE TABLE public.mine (id int)"),
    ];
    for (role, sql) in denied {
        let database = database.connect(role).await;
        let mut tx = database.tenant(a).await.unwrap();
        let error = sqlx::query(sql).execute(&mut *tx).await.expect_err(sql);
        assert!(matches!(Error::from(error), Error::Denied(_)), "{role:?}: {sql}");
    }
    let allowed = [
        (Role::Report, "SELECT name, timezone FROM app.tenants"),
        (Role::Worker, "SELECT * FROM app.all_provider_accounts()"),
        (
            Role::Worker,
            "SELECT id FROM app.report_schedules FOR UPDATE SKIP LOCKED",
        ),
        (Role::Relay, "SELECT * FROM app.outbox"),
    ];
    for (role, sql) in allowed {
        let database = database.connect(role).await;
        let mut tx = database.tenant(a).await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.expect(sql);
    }
}

#[tokio::test]
async fn a_page_of_a_large_table_is_read_through_its_index() {
    let database = TestDatabase::create().await;
    let (a, b) = (tenant(&database, "a").await, tenant(&database, "b").await);
    let worker = database.connect(Role::Worker).await;
    for tenant in [a, b] {
        let mut tx = worker.tenant(tenant).await.unwrap();
        sqlx::query(
            "INSERT INTO app.reports (tenant_id, id, kind, formats, timezone, period_as_of, created_at)
             SELECT $1, gen_random_uuid(), 'daily_summary', '{pdf}', 'UTC', now(), now() - make_interval(mins => n)
             FROM generate_series(1, 20000) AS n",
        )
        .bind(tenant.0)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
    let owner = database.connect(Role::Owner).await;
    sqlx::query("ANALYZE app.reports")
        .execute(&owner.job_pool())
        .await
        .unwrap();

    let api = database.connect(Role::Api).await;
    let mut tx = api.tenant(a).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF)
         SELECT id, status FROM app.reports ORDER BY created_at DESC, id LIMIT 50",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan using reports_newest"), "{plan}");
    assert!(plan.contains("Index Cond: (tenant_id ="), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    // The tenant is asked for once, not once a row.
    assert!(plan.contains("InitPlan"), "{plan}");
}
