//! `voice audit`.

use std::process::ExitCode;

use comfy_table::Table;
use voice_analytics::audit::{Audit, Scope};
use voice_clickhouse::ClickHouse;

use super::table;
use crate::settings::Settings;

/// Longer than any silence the watchdog allows before it asks, and than its questions take.
const SILENT_FOR_SECONDS: u32 = 3_600;

/// Compares the log with the tables; fails when anything is doubled, missing or unfinished.
pub async fn run(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let scope = Scope {
        tenant: None,
        silent_for_seconds: SILENT_FOR_SECONDS,
    };
    let audit =
        voice_analytics::audit::run(&settings.kafka, &ClickHouse::new(&settings.clickhouse), scope).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&audit)?);
    } else {
        println!("{}", show(&audit));
        println!(
            "{} calls, {} without an end, {} with several ends",
            audit.calls, audit.calls_without_end, audit.calls_with_several_ends
        );
    }
    Ok(if audit.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(audit: &Audit) -> Table {
    let mut rows = table(&[
        "partition",
        "in Kafka",
        "in ClickHouse",
        "dead letters",
        "duplicates",
        "gaps",
        "not written yet",
    ]);
    for one in audit.partitions.iter().copied().chain([audit.total()]) {
        let name = if one.partition < 0 {
            "all".to_owned()
        } else {
            one.partition.to_string()
        };
        let figures = [
            one.records,
            one.rows,
            one.dead_letters,
            one.duplicates,
            one.gaps,
            one.lag,
        ];
        rows.add_row([name].into_iter().chain(figures.map(|figure| figure.to_string())));
    }
    rows
}
