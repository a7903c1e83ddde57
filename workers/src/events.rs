//! What this service tells operators. Per frame nothing is counted here: a call counts its own frames and tells them
//! at its end.

use std::time::Duration;

use voice_telemetry::{
    CounterDef, Definition, Emit, GaugeDef, HistogramDef, Label, Metrics, buckets, labels,
};
use voice_turns::timeline::Turn;

use crate::{
    error::Refusal,
    facts::{Stopped, Subject},
};

/// A stable label of ours, such as [`Refusal::kind`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(pub(crate) &'static str);

impl Label for Kind {
    const NAME: &'static str = "kind";

    fn value(self) -> &'static str {
        self.0
    }
}

labels! {
    /// A stretch of a turn.
    pub(crate) enum Stretch: "stretch" {
        Decision = "decision", FirstToken = "first_token", FirstByteIn = "first_byte_in",
        FirstByteOut = "first_byte_out", FirstMark = "first_mark", Bridge = "bridge",
    }
}

/// Refused streams.
pub(crate) const REFUSED: CounterDef<Kind> = CounterDef::new(
    "media_streams_refused_total",
    "Streams refused before the upgrade, by reason.",
);
/// Ended streams.
pub(crate) const ENDED: CounterDef<Kind> = CounterDef::new(
    "media_streams_ended_total",
    "Streams that were open and ended, by reason.",
);
/// Live streams.
pub(crate) const LIVE: GaugeDef = GaugeDef::new("media_streams_live", "Streams that are open.");
/// Loop lag.
pub(crate) const LAG: GaugeDef = GaugeDef::new(
    "media_loop_lag_seconds",
    "How late the loop of the busiest lane runs; above the limit no call is taken.",
);
/// Frames of callers.
pub(crate) const FRAMES: CounterDef = CounterDef::new(
    "media_frames_total",
    "Frames of callers, counted when their stream ends.",
);
/// Frames of callers that did not come.
pub(crate) const MISSING: CounterDef = CounterDef::new(
    "media_frames_missing_total",
    "Frames of callers that never came, counted when their stream ends.",
);
/// Skipped messages.
pub(crate) const MALFORMED: CounterDef = CounterDef::new(
    "media_malformed_total",
    "Messages of carriers and pieces of providers that were skipped, counted when their stream ends.",
);
/// Where the time of turns goes.
pub(crate) const TURN_SECONDS: HistogramDef<Stretch> = HistogramDef::new(
    "media_turn_seconds",
    "From the end of the caller's speech; `bridge` is from the first audio in to the first audio out.",
    buckets::LATENCY_SECONDS,
);
/// Interrupted turns.
pub(crate) const INTERRUPTED: CounterDef =
    CounterDef::new("media_turns_interrupted_total", "Turns the caller interrupted.");
/// Sessions opened before their calls.
pub(crate) const EARLY: CounterDef<Kind> = CounterDef::new(
    "media_sessions_early_total",
    "Calls that began with a session that stood before them (taken) or without (none); sessions that waited for no \
     call (unused, broken) or never stood (failed).",
);
/// Sessions that wait for calls.
pub(crate) const WAITING: GaugeDef = GaugeDef::new(
    "media_sessions_waiting",
    "Sessions that stand and wait for a call to begin.",
);
/// Dropped facts.
pub(crate) const DROPPED: CounterDef<Kind> = CounterDef::new(
    "media_facts_dropped_total",
    "Facts that could not be told without holding up audio, by kind.",
);
/// All of them.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the catalogue is what tests hold the events against")
)]
pub(crate) const CATALOGUE: &[&dyn Definition] = &[
    &REFUSED,
    &ENDED,
    &LIVE,
    &LAG,
    &FRAMES,
    &MISSING,
    &MALFORMED,
    &TURN_SECONDS,
    &INTERRUPTED,
    &EARLY,
    &WAITING,
    &DROPPED,
];

/// A stream was refused. At debug: whoever can make us refuse could fill the log otherwise.
#[derive(Debug)]
pub(crate) struct StreamRefused<'a>(pub(crate) &'a Refusal);

impl Emit for StreamRefused<'_> {
    fn emit(&self, metrics: &Metrics) {
        tracing::debug!(reason = self.0.kind(), "media stream refused");
        metrics.counter(&REFUSED).inc(Kind(self.0.kind()));
    }
}

/// How busy the workers are.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) live: usize,
    pub(crate) lag: Duration,
}

impl Emit for Load {
    #[allow(clippy::cast_precision_loss, reason = "a gauge")]
    fn emit(&self, metrics: &Metrics) {
        metrics.gauge(&LIVE).set((), self.live as f64);
        metrics.gauge(&LAG).set((), self.lag.as_secs_f64());
    }
}

/// A turn is over.
#[derive(Debug)]
pub(crate) struct TurnOver<'a>(pub(crate) &'a Turn);

impl Emit for TurnOver<'_> {
    fn emit(&self, metrics: &Metrics) {
        let turn = self.0;
        let stretches = [
            (Stretch::Decision, turn.decision_us),
            (Stretch::FirstToken, turn.first_token_us),
            (Stretch::FirstByteIn, turn.first_byte_in_us),
            (Stretch::FirstByteOut, turn.first_byte_out_us),
            (Stretch::FirstMark, turn.first_mark_us),
            (Stretch::Bridge, turn.bridge_us),
        ];
        let seconds = metrics.histogram(&TURN_SECONDS);
        for (stretch, us) in stretches {
            if let Some(us) = us {
                seconds.observe_duration(stretch, Duration::from_micros(us));
            }
        }
        if turn.interrupted {
            metrics.counter(&INTERRUPTED).inc(());
        }
    }
}

/// A stream has ended.
#[derive(Debug)]
pub(crate) struct StreamEnded<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) stopped: &'a Stopped,
}

impl Emit for StreamEnded<'_> {
    fn emit(&self, metrics: &Metrics) {
        let stopped = self.stopped;
        tracing::info!(
            tenant = %self.subject.tenant,
            call = %self.subject.call,
            provider = %self.subject.provider,
            ending = ?stopped.ending,
            duration_ms = stopped.duration_ms,
            frames = stopped.frames,
            missing = stopped.lost.missing,
            late = stopped.lost.late,
            malformed = stopped.malformed,
            "media stream ended"
        );
        metrics.counter(&ENDED).inc(Kind(stopped.ending.kind()));
        metrics.counter(&FRAMES).add((), stopped.frames);
        metrics.counter(&MISSING).add((), stopped.lost.missing);
        metrics.counter(&MALFORMED).add((), stopped.malformed);
    }
}

/// A call began with a session that stood before it or without, or a session was opened for no call.
#[derive(Debug)]
pub(crate) struct SessionEarly(pub(crate) &'static str);

impl Emit for SessionEarly {
    fn emit(&self, metrics: &Metrics) {
        metrics.counter(&EARLY).inc(Kind(self.0));
    }
}

/// A session waits for a call from now on, or does so no more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionWaits {
    Begins,
    Ends,
}

impl Emit for SessionWaits {
    fn emit(&self, metrics: &Metrics) {
        let change = match self {
            Self::Begins => 1.0,
            Self::Ends => -1.0,
        };
        metrics.gauge(&WAITING).add((), change);
    }
}

/// A fact was dropped.
#[derive(Debug)]
pub(crate) struct FactDropped {
    pub(crate) kind: &'static str,
    pub(crate) reason: &'static str,
}

impl Emit for FactDropped {
    fn emit(&self, metrics: &Metrics) {
        tracing::error!(
            kind = self.kind,
            reason = self.reason,
            "a fact about a call was lost"
        );
        metrics.counter(&DROPPED).inc(Kind(self.kind));
    }
}

#[cfg(test)]
mod tests {
    use voice_providers::{Provider, Quantities};
    use voice_schemas::{CallId, TenantId, events::call::Carrier};
    use voice_telemetry::assert_emits;
    use voice_telephony::media::Lost;

    use super::*;
    use crate::error::Ending;

    #[test]
    fn every_metric_is_moved_by_an_event() {
        assert_emits(CATALOGUE, |metrics| {
            StreamRefused(&Refusal::Busy).emit(metrics);
            Load {
                live: 1,
                lag: Duration::from_millis(1),
            }
            .emit(metrics);
            TurnOver(&Turn {
                bridge_us: Some(100),
                interrupted: true,
                ..Turn::default()
            })
            .emit(metrics);
            StreamEnded {
                subject: &Subject {
                    tenant: TenantId::random(),
                    call: CallId::random(),
                    agent: None,
                    carrier: Carrier::Twilio,
                    provider: Provider::OpenaiRealtime,
                },
                stopped: &Stopped {
                    ending: Ending::Carrier,
                    duration_ms: 1,
                    frames: 1,
                    lost: Lost {
                        missing: 1,
                        ..Lost::default()
                    },
                    malformed: 1,
                    recording: None,
                    usage: Quantities::default(),
                    micros: 0,
                    currency: "USD".to_owned(),
                },
            }
            .emit(metrics);
            SessionEarly("taken").emit(metrics);
            SessionWaits::Begins.emit(metrics);
            FactDropped {
                kind: "turn",
                reason: "queue_full",
            }
            .emit(metrics);
        });
    }
}
