//! Whatever bytes stand in a file, its counters add up and a dry run says the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Place, clock, file, key, request};
use encoding_rs::UTF_8;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use voice_contacts::{
    Told,
    file::records::{Records, Row},
    import::{self, Import, Request},
};

/// Pieces of rows, so that numbers, quotes and broken bytes all come up often.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"602123456",
        b"603123456",
        b"604123456",
        b"4.2E+11",
        b"x",
        b"7",
        b"8",
        b"Jan",
        b";",
        b";",
        b";",
        b"\n",
        b"\n",
        b"\r\n",
        b"\"",
        b"\"\"",
        b" ",
        b"\xe1",
        b"\xc5\xa1",
        b"/",
        b"\0",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

fn rows(bytes: &[u8]) -> u64 {
    let file = file(bytes);
    let mut records = Records::open(file.path(), UTF_8, b';').unwrap();
    let (mut row, mut rows) = (Row::default(), 0);
    while records.next(&mut row).unwrap().is_some() {
        rows += 1;
    }
    rows
}

/// CON-02
#[test]
fn counters_add_up_on_any_file_and_a_dry_run_counts_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::create());
    let run = |request: Request| {
        runtime.block_on(async {
            let key = key(&place.database, place.tenant).await;
            let import = Import::open(&place.database, place.tenant, key, request, clock())
                .await
                .unwrap();
            import::run(import, |_| ()).await.unwrap()
        })
    };
    let told: Vec<Told> = ["phone=phone", "id=external_id"]
        .map(|one| one.parse().unwrap())
        .to_vec();
    // The tables fill up from case to case: later files meet the people of earlier ones.
    let mut runner = TestRunner::new(Config {
        cases: 120,
        ..Config::default()
    });
    let outcome = runner.run(&(bytes(), 1..8_usize), |(body, batch_rows)| {
        let bytes = [b"phone;id;note\n", &body[..]].concat();
        let file = file(&bytes);
        let request = Request {
            told: told.clone(),
            delimiter: Some(b';'),
            encoding: Some(UTF_8),
            batch_rows,
            ..request(file.path())
        };
        let dry = run(Request {
            dry_run: true,
            ..request.clone()
        });
        let report = run(request.clone());
        prop_assert_eq!(report.counters.read(), rows(&bytes) - 1);
        prop_assert_eq!(dry.counters, report.counters);
        prop_assert_eq!(&dry.faults, &report.faults);
        let again = run(request);
        prop_assert_eq!(
            again.counters.created + again.counters.updated,
            0,
            "it brings nothing new"
        );
        prop_assert_eq!(again.counters.invalid, report.counters.invalid);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
