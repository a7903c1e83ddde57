//! What this crate tells operators.

use voice_telemetry::{CounterDef, Definition, Emit, Metrics, labels};

use crate::expiry::Counts;

labels! {
    /// What became of a recording.
    pub enum Fate: "kind" {
        /// It is in the object store.
        Stored = "stored",
        /// What a killed process had written of it is in the object store.
        Salvaged = "salvaged",
        /// A part of it was lost: silence stands in its place.
        Gapped = "gapped",
        /// Its time had run out: it is destroyed.
        Destroyed = "destroyed",
        /// Its time had run out and it could not be destroyed; the next run tries again.
        Undestroyed = "undestroyed",
        /// It is not in the object store; what there is of it stays on the disk.
        Failed = "failed"
    }
}

/// Recordings.
pub const RECORDINGS: CounterDef<Fate> = CounterDef::new(
    "media_recordings_total",
    "Recordings, by what became of them: stored, salvaged, gapped, failed, destroyed or undestroyed.",
);

/// Every metric of this crate.
pub const CATALOGUE: &[&dyn Definition] = &[&RECORDINGS];

/// A recording is where it belongs.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) key: &'a str,
    pub(crate) salvaged: bool,
}

impl Emit for Recorded<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::info!(key = self.key, salvaged = self.salvaged, "recording stored");
        let fate = if self.salvaged {
            Fate::Salvaged
        } else {
            Fate::Stored
        };
        metrics.counter(&RECORDINGS).inc(fate);
    }
}

/// Part of a recording, or all of it, could not be kept.
#[derive(Debug)]
pub(crate) struct RecordingFailed<'a> {
    pub(crate) key: &'a str,
    pub(crate) reason: &'a str,
    /// Only a part: silence stands in its place.
    pub(crate) gap: bool,
}

impl Emit for RecordingFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::error!(
            key = self.key,
            reason = self.reason,
            gap = self.gap,
            "recording damaged"
        );
        let fate = if self.gap { Fate::Gapped } else { Fate::Failed };
        metrics.counter(&RECORDINGS).inc(fate);
    }
}

/// Recordings whose time had run out were looked for.
#[derive(Debug)]
pub(crate) struct Destroyed {
    pub(crate) counts: Counts,
}

impl Emit for Destroyed {
    fn emit(&self, metrics: &Metrics) {
        let Counts {
            found,
            held,
            no_rule,
            destroyed,
            failed,
            left_over,
            kept: _,
        } = self.counts;
        tracing::info!(
            found,
            held,
            no_rule,
            destroyed,
            failed,
            left_over,
            "recordings that ran out"
        );
        metrics.counter(&RECORDINGS).add(Fate::Destroyed, destroyed);
        metrics.counter(&RECORDINGS).add(Fate::Undestroyed, failed);
    }
}

/// Nobody could look for recordings whose time has run out.
#[derive(Debug)]
pub(crate) struct ExpiryFailed<'a> {
    pub(crate) error: &'a object_store::Error,
}

impl Emit for ExpiryFailed<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::error!(error = %self.error, "recordings that ran out could not be looked for");
        metrics.counter(&RECORDINGS).inc(Fate::Undestroyed);
    }
}

#[cfg(test)]
mod tests {
    use voice_telemetry::assert_emits;

    use super::*;

    #[test]
    fn every_metric_is_moved_by_an_event() {
        assert_emits(CATALOGUE, |metrics| {
            Recorded {
                key: "k",
                salvaged: false,
            }
            .emit(metrics);
            RecordingFailed {
                key: "k",
                reason: "disk",
                gap: true,
            }
            .emit(metrics);
            Destroyed {
                counts: Counts::default(),
            }
            .emit(metrics);
            ExpiryFailed {
                error: &object_store::Error::NotImplemented {
                    operation: "list".to_owned(),
                    implementer: "test".to_owned(),
                },
            }
            .emit(metrics);
        });
    }
}
