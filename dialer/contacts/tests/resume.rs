//! An import that is stopped anywhere goes on there and ends with the same totals.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fmt::Write as _,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use common::{Place, clock, five, key, request};
use voice_contacts::{
    Error,
    import::{self, Import, Request},
};
use voice_postgres::{Config, Database, Role};
use voice_schemas::TenantId;

const STATE: &str = "SELECT count(*)::text, count(DISTINCT c.external_id)::text,
        (SELECT count(*) FROM app.contact_phones)::text, (SELECT count(*) FROM app.call_list_members)::text,
        (SELECT count(*) FROM app.import_rows_rejected)::text, (SELECT count(*) FROM app.consents)::text,
        min(c.first_name), max(c.first_name)
    FROM app.contacts c";
const IMPORTS: &str = "SELECT state, rows_read::text, rows_created::text, rows_updated::text, rows_duplicate::text,
        rows_invalid::text, rows_suppressed::text, faults::text, errors_bytes::text FROM app.imports ORDER BY id";

/// Good rows, bad rows, rows about people of earlier rows; quoted lines as well.
fn text(rows: usize) -> String {
    let mut text = String::from("id,phone,name,consent_type,consent_captured_at,note\n");
    for row in 0..rows {
        let person = if row % 7 == 6 { row / 2 } else { row };
        let phone = if row % 5 == 4 {
            "4.2E+11".to_owned()
        } else {
            format!("60{:07}", 2_000_000 + person)
        };
        writeln!(
            text,
            "p{person},{phone},Name {person},marketing,2026-01-01,\"two\nlines\""
        )
        .unwrap();
    }
    text
}

fn requests(file: &Path, errors: &Path) -> Request {
    Request {
        batch_rows: 10,
        errors: Some(errors.to_owned()),
        ..request(file)
    }
}

struct Expected {
    state: Vec<String>,
    import: Vec<String>,
    errors: String,
}

async fn expected(file: &Path) -> Expected {
    let place = Place::create().await;
    let errors = tempfile::NamedTempFile::new().unwrap();
    let report = place.import(requests(file, errors.path())).await;
    let counters = five(report.counters);
    assert!(
        counters[0] > 0 && counters[2] > 0 && counters[3] > 0,
        "{counters:?}"
    );
    Expected {
        state: place.rows(STATE).await,
        import: place.rows(IMPORTS).await,
        errors: std::fs::read_to_string(errors.path()).unwrap(),
    }
}

impl Expected {
    async fn assert_reached(&self, place: &Place, errors: &Path, how: &str) {
        assert_eq!(place.rows(STATE).await, self.state, "{how}");
        assert_eq!(
            place.rows(IMPORTS).await,
            self.import,
            "{how}: one import, the same totals"
        );
        assert_eq!(std::fs::read_to_string(errors).unwrap(), self.errors, "{how}");
    }
}

#[tokio::test]
async fn an_import_dropped_after_any_batch_goes_on_there() {
    let file = common::file(text(65));
    let expected = expected(file.path()).await;
    for steps in 0..=8 {
        let place = Place::create().await;
        let errors = tempfile::NamedTempFile::new().unwrap();
        let mut import = place.open(requests(file.path(), errors.path())).await.unwrap();
        for _ in 0..steps {
            import.step().await.unwrap();
        }
        let reached = import.progress();
        drop(import);
        let again = place.open(requests(file.path(), errors.path())).await.unwrap();
        assert!(again.is_resumed());
        assert_eq!(again.progress(), reached, "it begins where the other one ended");
        import::run(again, |_| ()).await.unwrap();
        expected
            .assert_reached(&place, errors.path(), &format!("after {steps} batches"))
            .await;
    }
}

/// Polls a future so many times, then drops it where it is.
async fn abandon<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_batch_abandoned_at_any_point_leaves_all_of_it_or_nothing() {
    let file = common::file(text(25));
    let expected = expected(file.path()).await;
    let place_of = |polls: usize| {
        let (file, expected) = (file.path(), &expected);
        async move {
            let place = Place::create().await;
            let errors = tempfile::NamedTempFile::new().unwrap();
            let mut import = place.open(requests(file, errors.path())).await.unwrap();
            import.step().await.unwrap();
            let finished = abandon(import.step(), polls).await.is_some();
            drop(import);
            place.import(requests(file, errors.path())).await;
            expected
                .assert_reached(&place, errors.path(), &format!("after {polls} polls"))
                .await;
            finished
        }
    };
    // Every point at which the step waits for something is one poll further.
    let mut finished = 0;
    for polls in 1..200 {
        finished += usize::from(place_of(polls).await);
        if finished == 2 {
            return;
        }
    }
    panic!("a step never ended within 200 polls");
}

/// Runs in a process of its own, started by the next test, which kills it.
#[tokio::test]
#[ignore = "the other end of the next test"]
async fn child_that_imports_until_it_is_killed() {
    let told = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let config = Config {
        max_connections: 2,
        ..Config::new(told("IMPORT_URL").into())
    };
    let database = Database::connect(&config, Role::Worker).await.unwrap();
    let tenant: TenantId = told("IMPORT_TENANT").parse().unwrap();
    let request = requests(
        &PathBuf::from(told("IMPORT_FILE")),
        &PathBuf::from(told("IMPORT_ERRORS")),
    );
    let import = Import::open(&database, tenant, key(&database, tenant).await, request, clock())
        .await
        .unwrap();
    import::run(import, |_| ()).await.unwrap();
}

#[tokio::test]
async fn a_process_killed_in_the_middle_leaves_an_import_that_ends_with_the_same_totals() {
    use secrecy::ExposeSecret as _;
    let file = common::file(text(3_000));
    let expected = expected(file.path()).await;
    let place = Place::create().await;
    let errors = tempfile::NamedTempFile::new().unwrap();
    let read = "SELECT coalesce(max(rows_read), -1) FROM app.imports";
    let mut killed = 0;
    for target in [0, 400, 1_000, 2_000] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["child_that_imports_until_it_is_killed", "--exact", "--ignored"])
            .env("IMPORT_URL", place.server.url().expose_secret())
            .env("IMPORT_TENANT", place.tenant.to_string())
            .env("IMPORT_FILE", file.path())
            .env("IMPORT_ERRORS", errors.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while place.count(read).await < target {
            assert!(
                Instant::now() < deadline,
                "the child does not get to row {target}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let reached = place.count(read).await;
        assert!((target..3_000).contains(&reached), "killed at row {reached}");
    }
    assert_eq!(killed, 4);
    let last = place.open(requests(file.path(), errors.path())).await.unwrap();
    assert!(last.is_resumed());
    import::run(last, |_| ()).await.unwrap();
    expected
        .assert_reached(&place, errors.path(), "after four kills")
        .await;
}

#[tokio::test]
async fn two_processes_with_one_import_do_every_row_once() {
    let file = common::file(text(65));
    let expected = expected(file.path()).await;
    let place = Place::create().await;
    let errors = tempfile::NamedTempFile::new().unwrap();
    let mut one = place.open(requests(file.path(), errors.path())).await.unwrap();
    one.step().await.unwrap();
    let mut other = place.open(requests(file.path(), errors.path())).await.unwrap();
    other.step().await.unwrap();
    // Its next batch is in the tables, as if the confirmation of its own commit had been lost: it takes note.
    one.step().await.unwrap();
    assert_eq!(one.progress(), other.progress());
    other.step().await.unwrap();
    other.step().await.unwrap();
    // Two batches it did not write: somebody else is at work.
    assert!(matches!(one.step().await, Err(Error::TakenOver)));
    import::run(other, |_| ()).await.unwrap();
    expected.assert_reached(&place, errors.path(), "by two").await;
}

#[tokio::test]
async fn other_settings_begin_anew_and_close_what_was_begun() {
    let place = Place::create().await;
    let file = common::file(text(25));
    let request = Request {
        batch_rows: 10,
        ..request(file.path())
    };
    let mut first = place.open(request.clone()).await.unwrap();
    first.step().await.unwrap();
    let told = vec!["note=ignore".parse().unwrap()];
    let second = place.open(Request { told, ..request }).await.unwrap();
    assert!(!second.is_resumed());
    assert!(matches!(first.step().await, Err(Error::TakenOver)));
    import::run(second, |_| ()).await.unwrap();
    assert_eq!(
        place
            .rows("SELECT state, failure, rows_read::text FROM app.imports ORDER BY id")
            .await,
        ["failed|superseded|10", "completed||25"]
    );
}

#[tokio::test]
async fn an_error_file_that_is_not_the_one_begun_with_is_refused() {
    let place = Place::create().await;
    let file = common::file(text(25));
    let errors = tempfile::NamedTempFile::new().unwrap();
    let mut first = place.open(requests(file.path(), errors.path())).await.unwrap();
    first.step().await.unwrap();
    drop(first);
    let other = tempfile::NamedTempFile::new().unwrap();
    let refused = place.open(requests(file.path(), other.path())).await;
    assert!(matches!(
        refused.err(),
        Some(Error::OtherErrorFile { found: 0, .. })
    ));
    place.import(requests(file.path(), errors.path())).await;
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_stops_the_import() {
    let place = Place::create().await;
    let file = common::file(text(2_000));
    let mut import = place
        .open(Request {
            batch_rows: 10,
            ..request(file.path())
        })
        .await
        .unwrap();
    import.step().await.unwrap();
    std::fs::write(file.path(), text(2_000) + "p1,602123456,late,,,\n").unwrap();
    let end = loop {
        match import.step().await {
            Ok(true) => {}
            done => break done,
        }
    };
    assert_eq!(end.unwrap_err().kind(), "file_changed");
    assert_eq!(place.rows("SELECT state FROM app.imports").await, ["running"]);
}

#[test]
fn a_future_abandoned_before_its_first_poll_did_nothing() {
    let mut context = Context::from_waker(Waker::noop());
    let mut touched = false;
    let abandoned = pin!(abandon(async { touched = true }, 0)).poll(&mut context);
    assert!(matches!(abandoned, Poll::Ready(None)));
    assert!(!touched);
}
