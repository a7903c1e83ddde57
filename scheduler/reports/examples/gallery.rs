//! Writes sample reports in every format: `cargo run -p voice-reports --example gallery -- DIR`.
//!
//! The data are made up from a fixed seed, so two runs write the same bytes.
#![allow(clippy::print_stdout, reason = "a command-line example")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use voice_reports::{DailySummaryData, Format, Locale, render};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: gallery DIR")?);
    fs::create_dir_all(&directory)?;
    for (name, data) in samples() {
        let report = data.report()?;
        for format in Format::ALL {
            let started = Instant::now();
            let bytes = render(&report, format)?;
            let path = directory.join(format!("{name}.{}", format.extension()));
            println!(
                "{:>8} bytes  {:>6.0?}  {}",
                bytes.len(),
                started.elapsed(),
                path.display()
            );
            fs::write(path, bytes)?;
        }
    }
    Ok(())
}

fn samples() -> Vec<(&'static str, DailySummaryData)> {
    let day = sample::ordinary_day();
    let spanish = DailySummaryData {
        locale: Locale::Es,
        ..sample::ordinary_day()
    };
    let czech = DailySummaryData {
        locale: Locale::Cs,
        ..sample::branded_day()
    };
    vec![
        ("daily-summary", day),
        ("daily-summary-es", spanish),
        ("daily-summary-branded-cs", czech),
        ("daily-summary-25-hours", sample::long_day()),
        ("daily-summary-empty", sample::empty_day()),
    ]
}
