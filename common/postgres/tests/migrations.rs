//! Databases come up to date once, together, and notice when somebody rewrote history.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use voice_postgres::{Error, migrate, testing::TestDatabase};
use voice_schemas::migrations::{Migration, POSTGRES};

fn names() -> Vec<&'static str> {
    POSTGRES.iter().map(|migration| migration.name).collect()
}

#[tokio::test]
async fn a_fresh_database_gets_everything_and_a_second_run_does_nothing() {
    let database = TestDatabase::create_empty().await;
    let before = migrate::status(&database.url()).await.unwrap();
    assert_eq!((before.pending.clone(), before.applied.len()), (names(), 0));
    assert!(!before.is_current());
    assert_eq!(migrate::run(&database.url()).await.unwrap(), names());
    assert_eq!(migrate::run(&database.url()).await.unwrap(), Vec::<&str>::new());
    let after = migrate::status(&database.url()).await.unwrap();
    assert!(after.is_current());
    assert_eq!(after.applied, names());
}

#[tokio::test]
async fn processes_that_migrate_at_once_take_turns() {
    let database = TestDatabase::create_empty().await;
    let runs = (0..6).map(|_| {
        let url = database.url();
        tokio::spawn(async move { migrate::run(&url).await })
    });
    let mut applied = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        applied.extend(run.await.unwrap().unwrap());
    }
    assert_eq!(applied, names(), "each migration by exactly one of them");
}

#[tokio::test]
async fn several_databases_of_one_cluster_migrate_at_once() {
    let mut databases = Vec::new();
    for _ in 0..4 {
        databases.push(TestDatabase::create_empty().await);
    }
    let runs: Vec<_> = databases
        .iter()
        .map(|database| {
            let url = database.url();
            tokio::spawn(async move { migrate::run(&url).await })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().unwrap(), names());
    }
}

const ORIGINAL: &[Migration] = &[Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE app.first (id int);",
}];
const EDITED: &[Migration] = &[Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE app.first (id bigint);",
}];
const LONGER: &[Migration] = &[
    ORIGINAL[0],
    Migration {
        version: 2,
        name: "0002_broken",
        sql: "CREATE TABLE app.second (id int);\nSELECT 1 / 0;",
    },
];

#[tokio::test]
async fn an_applied_migration_that_was_edited_is_named() {
    let database = TestDatabase::create_empty().await;
    migrate::apply(&database.url(), ORIGINAL).await.unwrap();
    let error = migrate::apply(&database.url(), EDITED).await.unwrap_err();
    assert!(
        matches!(&error, Error::MigrationEdited { name } if name == "0001_first"),
        "{error:?}"
    );
    assert!(error.to_string().contains("0001_first"));
    // The real list is another history as well, and status says so without failing.
    let status = migrate::status(&database.url()).await.unwrap();
    assert_eq!(status.edited, [POSTGRES[0].name]);
    assert!(!status.is_current());
}

#[tokio::test]
async fn a_failing_migration_leaves_no_trace_and_no_lock() {
    let database = TestDatabase::create_empty().await;
    for _ in 0..2 {
        let error = migrate::apply(&database.url(), LONGER).await.unwrap_err();
        assert!(
            matches!(&error, Error::MigrationFailed { name, .. } if name == "0002_broken"),
            "{error:?}"
        );
    }
    // Its first statement is undone, the migration before it stays.
    let error = migrate::apply(&database.url(), EDITED).await.unwrap_err();
    assert_eq!(error.kind(), "migration_edited");
}

#[tokio::test]
async fn a_database_newer_than_the_program_is_refused() {
    const TWO: &[Migration] = &[
        ORIGINAL[0],
        Migration {
            version: 2,
            name: "0002_second",
            sql: "CREATE TABLE app.second (id int);",
        },
    ];
    let database = TestDatabase::create_empty().await;
    migrate::apply(&database.url(), TWO).await.unwrap();
    let error = migrate::apply(&database.url(), ORIGINAL).await.unwrap_err();
    assert!(
        matches!(error, Error::MigrationUnknown { version: 2 }),
        "{error:?}"
    );
}
