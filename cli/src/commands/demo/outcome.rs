//! What came of the demo: the figures of the shift, and the audit.

use std::path::PathBuf;

use serde::Deserialize;
use voice_analytics::audit::Audit;
use voice_clickhouse::{ClickHouse, Row, clickhouse};
use voice_kafka::admin::Admin;
use voice_schemas::topics;
use voice_simulator::player::Tally;

use super::company::Company;
use crate::{commands::table, settings::Settings};

/// Figures of the tenant's calls.
#[derive(Row, Deserialize)]
struct Figures {
    calls: u64,
    answered: u64,
    contacted: u64,
    bridged: u64,
    abandoned: u64,
    dropped: u64,
    live: u64,
    service: f64,
    reconciled: u64,
    rows: u64,
    facts: u64,
    p50_ms: f64,
    p95_ms: f64,
    in_minutes: u64,
    in_quarters: u64,
}

/// What came of the demo.
pub struct Outcome {
    played: Tally,
    figures: Figures,
    audit: Audit,
    in_kafka: i64,
}

/// Records `calls.events` has ever been given.
pub fn in_kafka(settings: &Settings) -> anyhow::Result<i64> {
    let marks = Admin::new(&settings.kafka)?.watermarks(&settings.kafka.topic(&topics::CALLS))?;
    Ok(marks.values().map(|marks| marks.high).sum())
}

impl Outcome {
    /// Takes stock.
    pub async fn take(
        settings: &Settings,
        clickhouse: &ClickHouse,
        company: &Company,
        played: &Tally,
        audit: Audit,
        before: i64,
    ) -> anyhow::Result<Self> {
        let figures = clickhouse
            .row(
                "reading the demo's figures",
                include_str!("figures.sql"),
                |query| query.param("tenant", company.tenant.0),
            )
            .await?;
        Ok(Self {
            played: played.clone(),
            figures,
            audit,
            in_kafka: in_kafka(settings)? - before,
        })
    }

    /// What is, beside what the simulated carriers know it should be.
    fn checks(&self) -> [(&'static str, u64, u64); 10] {
        let total = self.audit.total();
        let sent = self.played.expected.event_count() + self.played.expected.reconciled;
        [
            (
                "ends found by the watchdog",
                self.figures.reconciled,
                self.played.expected.reconciled,
            ),
            ("events in Kafka", u64::try_from(self.in_kafka).unwrap_or(0), sent),
            ("events in ClickHouse", self.figures.rows, sent),
            ("distinct events", self.figures.facts, sent),
            ("calls", self.figures.calls, self.played.expected.calls),
            (
                "calls in the minute roll-up",
                self.figures.in_minutes,
                self.played.expected.calls,
            ),
            (
                "calls in the quarter-hour roll-up",
                self.figures.in_quarters,
                self.played.expected.calls,
            ),
            ("duplicates", total.duplicates, 0),
            ("gaps", total.gaps, 0),
            ("calls without an end", self.audit.calls_without_end, 0),
        ]
    }

    /// Everything agrees.
    pub fn is_clean(&self) -> bool {
        self.audit.is_clean()
            && self.played.undelivered == 0
            && self.checks().iter().all(|(_, is, should)| is == should)
    }

    /// Shows the figures, the audit and where the files are.
    pub fn print(&self, files: &[PathBuf]) {
        let Figures {
            calls,
            answered,
            contacted,
            bridged,
            dropped,
            live,
            service,
            p50_ms,
            p95_ms,
            ..
        } = &self.figures;
        #[allow(clippy::cast_precision_loss)] // Counts of a demo.
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                "–".to_owned()
            } else {
                format!("{:.1} %", part as f64 * 100.0 / whole as f64)
            }
        };
        let mut shift = table(&["the shift", "", ""]);
        shift.add_row(["calls".to_owned(), calls.to_string(), String::new()]);
        shift.add_row([
            "answered".to_owned(),
            answered.to_string(),
            share(*answered, *calls),
        ]);
        shift.add_row([
            "people reached".to_owned(),
            contacted.to_string(),
            share(*contacted, *calls),
        ]);
        shift.add_row([
            "connected to an agent".to_owned(),
            bridged.to_string(),
            share(*bridged, *contacted),
        ]);
        shift.add_row([
            "outbound abandoned (ceiling 3 %)".to_owned(),
            dropped.to_string(),
            share(*dropped, *live),
        ]);
        shift.add_row([
            "left without an agent, both directions".to_owned(),
            self.figures.abandoned.to_string(),
            String::new(),
        ]);
        shift.add_row([
            "service level, 20 s".to_owned(),
            format!("{:.1} %", service * 100.0),
            String::new(),
        ]);
        shift.add_row([
            "webhook to row, p50".to_owned(),
            format!("{:.0} ms", p50_ms),
            String::new(),
        ]);
        shift.add_row([
            "webhook to row, p95".to_owned(),
            format!("{:.0} ms", p95_ms),
            String::new(),
        ]);
        println!("{shift}");

        let mut carriers = table(&["what the carriers did", ""]);
        for (what, count) in [
            ("webhooks sent", self.played.requests),
            ("of these repeated, and dropped by ingest", self.played.repeated),
            ("out of order", self.played.out_of_order),
            (
                "facts about calls among them, each once",
                self.played.expected.event_count(),
            ),
            ("never sent", self.played.lost),
            ("of these the end of a call", self.played.ends_missing),
        ] {
            carriers.add_row([what.to_owned(), count.to_string()]);
        }
        println!("{carriers}");

        let mut audit = table(&["audit", "is", "should be", ""]);
        for (what, is, should) in self.checks() {
            let mark = if is == should { "✓" } else { "✗" };
            audit.add_row([
                what.to_owned(),
                is.to_string(),
                should.to_string(),
                mark.to_owned(),
            ]);
        }
        println!("{audit}");
        println!("reports:");
        for file in files {
            println!("  {}", file.display());
        }
    }
}
