//! What the analytics service reports.

use chrono::{DateTime, Utc};
use voice_telemetry::{CounterDef, Definition, Emit, HistogramDef, Metrics, buckets, labels};

labels! {
    /// What the sink did about a batch its predecessor left open.
    pub enum Repair: "repair" {
        /// The whole block was sent again under its token.
        Repeated = "repeated",
        /// The table was asked, and lacked nothing.
        Complete = "complete",
        /// The table was asked, and rows it lacked were inserted.
        Repaired = "repaired"
    }
}

labels! {
    /// Which roll-up.
    pub enum Granularity: "granularity" {
        /// `kpi_1m`.
        Minute = "1m",
        /// `kpi_15m`.
        Quarter = "15m"
    }
}

labels! {
    /// What the carrier answered about a silent call.
    pub enum Finding: "finding" {
        /// It is over; the end was reported.
        Ended = "ended",
        /// It still goes on.
        Alive = "alive",
        /// No answer; asked again later.
        NoAnswer = "no_answer"
    }
}

/// Rows written to the tables of facts.
pub const SINK_ROWS: CounterDef<()> =
    CounterDef::new("sink_rows_total", "Rows written to the tables of facts.");
/// From a webhook's arrival to its row, per batch, by its earliest event.
pub const SINK_LATENCY: HistogramDef<()> = HistogramDef::new(
    "sink_latency_seconds",
    "From the earliest arrival in a batch to the batch being stored.",
    buckets::LATENCY_SECONDS,
);
/// Records that could not become rows.
pub const SINK_DEAD_LETTERS: CounterDef<()> = CounterDef::new(
    "sink_dead_letters_total",
    "Records that went to the dead letters.",
);
/// Batches found open at the start of an assignment.
pub const SINK_RECOVERIES: CounterDef<Repair> = CounterDef::new(
    "sink_recoveries_total",
    "Open batches of a predecessor, by what was done about them.",
);
/// Tries that had to wait for a store.
pub const SINK_WAITS: CounterDef<()> = CounterDef::new(
    "sink_waits_total",
    "Writes and commits that have to be tried again.",
);
/// Roll-up intervals rebuilt.
pub const ROLLUP_BUCKETS: CounterDef<Granularity> = CounterDef::new(
    "rollup_intervals_total",
    "Intervals counted again because a call in them changed.",
);
/// Silent calls asked about.
pub const WATCHDOG_FINDINGS: CounterDef<Finding> = CounterDef::new(
    "call_terminal_reconciled_total",
    "Silent calls the carrier was asked about, by its answer.",
);

/// Every metric of this crate.
pub const CATALOGUE: &[&dyn Definition] = &[
    &SINK_ROWS,
    &SINK_LATENCY,
    &SINK_DEAD_LETTERS,
    &SINK_RECOVERIES,
    &SINK_WAITS,
    &ROLLUP_BUCKETS,
    &WATCHDOG_FINDINGS,
];

/// A batch is in the table and its offsets are committed.
pub(crate) struct BatchWritten {
    pub(crate) rows: usize,
    pub(crate) earliest_arrival_us: Option<i64>,
    pub(crate) now: DateTime<Utc>,
}

impl Emit for BatchWritten {
    fn emit(&self, metrics: &Metrics) {
        metrics.counter(&SINK_ROWS).add((), self.rows as u64);
        if let Some(arrival) = self.earliest_arrival_us {
            #[allow(clippy::cast_precision_loss)] // Fifty years of microseconds fit.
            let seconds = (self.now.timestamp_micros() - arrival).max(0) as f64 / 1e6;
            metrics.histogram(&SINK_LATENCY).observe((), seconds);
            tracing::debug!(rows = self.rows, latency_seconds = seconds, "batch written");
        }
    }
}

/// A record went to the dead letters.
pub(crate) struct DeadLettered {
    pub(crate) code: &'static str,
}

impl Emit for DeadLettered {
    fn emit(&self, metrics: &Metrics) {
        tracing::warn!(code = self.code, "a record went to the dead letters");
        metrics.counter(&SINK_DEAD_LETTERS).inc(());
    }
}

/// A batch that a predecessor left open is finished.
pub(crate) struct Recovered {
    /// Rows the table lacked; `None` when the block was simply repeated.
    pub(crate) repaired_rows: Option<usize>,
}

impl Emit for Recovered {
    fn emit(&self, metrics: &Metrics) {
        let repair = match self.repaired_rows {
            None => Repair::Repeated,
            Some(0) => Repair::Complete,
            Some(_) => Repair::Repaired,
        };
        tracing::info!(
            repair = repair.as_str(),
            rows = self.repaired_rows,
            "took over an open batch"
        );
        metrics.counter(&SINK_RECOVERIES).inc(repair);
    }
}

/// Something the sink needs is away.
pub(crate) struct Waiting<'a> {
    pub(crate) partition: i32,
    pub(crate) error: &'a (dyn std::error::Error + Sync),
}

impl Emit for Waiting<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::warn!(partition = self.partition, error = %self.error, "the sink waits and tries again");
        metrics.counter(&SINK_WAITS).inc(());
    }
}

/// Intervals were counted again.
pub(crate) struct RolledUp {
    pub(crate) granularity: Granularity,
    pub(crate) intervals: usize,
}

impl Emit for RolledUp {
    fn emit(&self, metrics: &Metrics) {
        tracing::debug!(
            granularity = self.granularity.as_str(),
            intervals = self.intervals,
            "rolled up"
        );
        metrics
            .counter(&ROLLUP_BUCKETS)
            .add(self.granularity, self.intervals as u64);
    }
}

/// A keeper's round failed; the next one does its work too.
pub(crate) struct RoundFailed<'a> {
    pub(crate) part: &'static str,
    pub(crate) error: &'a dyn std::error::Error,
}

impl RoundFailed<'_> {
    pub(crate) fn log(&self) {
        tracing::warn!(part = self.part, error = %self.error, "a round failed and is tried again");
    }
}

/// The carrier was asked about a silent call.
pub(crate) struct Asked {
    pub(crate) call: voice_schemas::CallId,
    pub(crate) finding: Finding,
}

impl Emit for Asked {
    fn emit(&self, metrics: &Metrics) {
        tracing::info!(call_id = %self.call, finding = self.finding.as_str(), "asked about a silent call");
        metrics.counter(&WATCHDOG_FINDINGS).inc(self.finding);
    }
}

#[cfg(test)]
mod tests {
    use voice_telemetry::{assert_documented, assert_emits};

    use super::*;

    #[test]
    fn every_metric_is_documented_and_emitted() {
        assert_documented(CATALOGUE);
        assert_emits(CATALOGUE, |metrics| {
            BatchWritten {
                rows: 1,
                earliest_arrival_us: Some(0),
                now: DateTime::UNIX_EPOCH,
            }
            .emit(metrics);
            DeadLettered { code: "malformed" }.emit(metrics);
            Recovered { repaired_rows: None }.emit(metrics);
            Waiting {
                partition: 0,
                error: &std::fmt::Error,
            }
            .emit(metrics);
            RolledUp {
                granularity: Granularity::Minute,
                intervals: 1,
            }
            .emit(metrics);
            Asked {
                call: voice_schemas::CallId::random(),
                finding: Finding::Ended,
            }
            .emit(metrics);
        });
    }
}
