//! `voice audit`.

use std::process::ExitCode;

use comfy_table::Table;
use voice_analytics::audit::{self, Audit, MediaAudit, PartitionAudit, Scope};
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
    let clickhouse = ClickHouse::new(&settings.clickhouse);
    let calls = audit::run(&settings.kafka, &clickhouse, scope).await?;
    let media = audit::media(&settings.kafka, &clickhouse, scope).await?;
    let clean = calls.is_clean() && media.is_clean();
    if json {
        println!("{}", serde_json::to_string_pretty(&Both { calls, media })?);
    } else {
        println!("{}", show(&calls, &media));
        println!(
            "{} calls, {} without an end, {} with several ends",
            calls.calls, calls.calls_without_end, calls.calls_with_several_ends
        );
        println!(
            "{} media streams, {} without an end",
            media.streams, media.streams_without_end
        );
    }
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is printed as JSON.
#[derive(serde::Serialize)]
struct Both {
    #[serde(flatten)]
    calls: Audit,
    media: MediaAudit,
}

fn show(calls: &Audit, media: &MediaAudit) -> Table {
    let mut rows = table(&[
        "topic",
        "partition",
        "in Kafka",
        "in ClickHouse",
        "dead letters",
        "duplicates",
        "gaps",
        "not written yet",
    ]);
    let topics: [(&str, &[PartitionAudit]); 3] = [
        ("calls.events", &calls.partitions),
        ("media.events", &media.events),
        ("media.transcripts", &media.transcripts),
    ];
    for (topic, partitions) in topics {
        for one in partitions.iter().copied().chain([audit::total(partitions)]) {
            let partition = if one.partition < 0 {
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
            let names = [topic.to_owned(), partition].into_iter();
            rows.add_row(names.chain(figures.map(|figure| figure.to_string())));
        }
    }
    rows
}
