//! What the relay reports: one struct per thing that happens, log line and metric together, per batch.

use std::time::Duration;

use voice_telemetry::{CounterDef, Definition, Emit, GaugeDef, HistogramDef, Label, Metrics, buckets};

use crate::outbox::PublishError;

/// The stable label of an error: [`Error::kind`](crate::Error::kind) or [`PublishError::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorKind(pub &'static str);

impl Label for ErrorKind {
    const NAME: &'static str = "kind";

    fn value(self) -> &'static str {
        self.0
    }
}

/// Records the broker acknowledged and the outbox let go.
pub const PUBLISHED: CounterDef<()> = CounterDef::new(
    "outbox_published_total",
    "Outbox records acknowledged by the broker.",
);
/// How long the oldest record of a batch had waited.
pub const LAG_SECONDS: HistogramDef<()> = HistogramDef::new(
    "outbox_lag_seconds",
    "Age of a batch's oldest record when published.",
    buckets::LATENCY_SECONDS,
);
/// Passes that failed.
pub const FAILURES: CounterDef<ErrorKind> = CounterDef::new(
    "outbox_failures_total",
    "Outbox passes that failed and are tried again.",
);
/// Records set aside for a person.
pub const PARKED: CounterDef<()> = CounterDef::new(
    "outbox_parked_total",
    "Outbox records the broker refuses for good.",
);
/// Connections of the pool.
pub const POOL_IN_USE: GaugeDef<()> = GaugeDef::new("db_pool_in_use", "Postgres connections lent out.");

/// All metrics of this crate.
pub const CATALOGUE: &[&dyn Definition] = &[&PUBLISHED, &LAG_SECONDS, &FAILURES, &PARKED, &POOL_IN_USE];

/// A batch is at the broker and out of the outbox.
#[derive(Debug)]
pub struct Published {
    /// How many records.
    pub records: usize,
    /// How long the oldest of them had waited.
    pub oldest: Duration,
}

impl Emit for Published {
    fn emit(&self, metrics: &Metrics) {
        tracing::debug!(
            records = self.records,
            oldest_ms = self.oldest.as_millis(),
            "outbox records published"
        );
        metrics.counter(&PUBLISHED).add((), self.records as u64);
        metrics.histogram(&LAG_SECONDS).observe_duration((), self.oldest);
    }
}

/// The broker did not take a batch; it stays and is tried again.
#[derive(Debug)]
pub struct PublishFailed<'a> {
    /// Why.
    pub error: &'a PublishError,
    /// How many records wait in it.
    pub records: usize,
}

impl Emit for PublishFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self { error, records } = self;
        tracing::warn!(kind = error.kind(), %error, records, "outbox batch not published, will be tried again");
        metrics.counter(&FAILURES).inc(ErrorKind(error.kind()));
    }
}

/// The broker refused a record for good; it waits in the outbox for a person.
#[derive(Debug)]
pub struct Parked<'a> {
    /// Its outbox id.
    pub id: i64,
    /// Why.
    pub reason: &'a str,
}

impl Emit for Parked<'_> {
    fn emit(&self, metrics: &Metrics) {
        let Self { id, reason } = self;
        tracing::error!(
            outbox_id = id,
            reason,
            "the broker refuses an outbox record for good, somebody must decide"
        );
        metrics.counter(&PARKED).inc(());
    }
}

/// Postgres failed under the relay; tried again.
#[derive(Debug)]
pub struct DatabaseFailed<'a> {
    /// How.
    pub error: &'a crate::Error,
}

impl Emit for DatabaseFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        let kind = self.error.kind();
        tracing::warn!(kind, error = %self.error, "the outbox relay cannot use Postgres, will try again");
        metrics.counter(&FAILURES).inc(ErrorKind(kind));
    }
}

/// How much of a pool is taken; emitted by whoever draws the metrics.
#[derive(Debug)]
pub struct PoolUsed(pub crate::PoolUse);

impl Emit for PoolUsed {
    fn emit(&self, metrics: &Metrics) {
        metrics
            .gauge(&POOL_IN_USE)
            .set((), f64::from(self.0.open.saturating_sub(self.0.idle)));
    }
}

#[cfg(test)]
mod tests {
    use voice_telemetry::{assert_documented, assert_emits};

    use super::*;
    use crate::{Error, PoolUse};

    #[test]
    fn every_metric_is_documented_and_moved_by_an_event() {
        assert_documented(CATALOGUE);
        assert_emits(CATALOGUE, |metrics| {
            Published {
                records: 3,
                oldest: Duration::from_millis(5),
            }
            .emit(metrics);
            PublishFailed {
                error: &PublishError::Unavailable("down".to_owned()),
                records: 3,
            }
            .emit(metrics);
            Parked {
                id: 1,
                reason: "too_large",
            }
            .emit(metrics);
            DatabaseFailed {
                error: &Error::Unavailable(sqlx::Error::PoolTimedOut),
            }
            .emit(metrics);
            PoolUsed(PoolUse {
                open: 3,
                idle: 1,
                most: 30,
            })
            .emit(metrics);
        });
    }
}
