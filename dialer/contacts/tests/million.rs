//! How long a large file takes and what memory it needs. Ignored, since it measures:
//! `cargo test --release -p voice-contacts --test million -- --ignored --nocapture`, `IMPORT_ROWS` for another size.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it prints what it measures"
)]

mod common;

use std::{
    io::{BufWriter, Write as _},
    time::Instant,
};

use common::{Place, five, request};
use voice_contacts::import::Request;

/// The most memory this process ever had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn a_million_rows() {
    let rows: u64 = std::env::var("IMPORT_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(1_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = BufWriter::new(file.as_file());
    writeln!(text, "id;jméno;příjmení;telefon;e-mail;město;poznámka").unwrap();
    for row in 0..rows {
        // One in a hundred is bad, one in a hundred comes twice.
        let phone = if row % 100 == 99 {
            "4,2E+11".to_owned()
        } else {
            format!("60{:07}", 2_000_000 + row % 7_000_000)
        };
        let id = if row % 100 == 50 { row - 1 } else { row };
        writeln!(
            text,
            "Z{id};Šárka;Dvořáková {id};{phone};z{id}@example.com;Žďár nad Sázavou;volat odpoledne"
        )
        .unwrap();
    }
    drop(text);
    let bytes = file.as_file().metadata().unwrap().len();
    let place = Place::create().await;
    let began = peak();
    println!("{rows} rows, {} MiB; {began} MiB of memory before", bytes >> 20);
    for (name, dry_run) in [
        ("dry run, empty tables", true),
        ("first import", false),
        ("the same again", false),
        ("dry run, full tables", true),
    ] {
        let start = Instant::now();
        let report = place
            .import(Request {
                dry_run,
                ..request(file.path())
            })
            .await;
        let took = start.elapsed().as_secs_f64();
        println!(
            "{name}: {took:.1} s, {:.0} rows/s, peak {} MiB; created, updated, duplicate, invalid, suppressed: {:?}",
            rows as f64 / took,
            peak(),
            five(report.counters)
        );
        assert_eq!(report.counters.read(), rows);
        // The kernel starts a new peak.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
    }
}
