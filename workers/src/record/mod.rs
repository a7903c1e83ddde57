//! Recordings: laid out by the task of the call, sealed and written by a thread of their own.
//!
//! A call hands out a second of both channels at a time. The [`spool`] seals it and appends it to a file on the local
//! disk, so that a killed process loses a second; when the call is over the file goes to the object store. Nothing of
//! this waits inside the task that moves the audio.

use voice_audio::{
    SAMPLES_PER_MS,
    g711::Law,
    recording::{Channel, Timeline},
};
pub(crate) use voice_recordings::spool;
use voice_recordings::{Piece, Spool, key};
use voice_schemas::{CallId, TenantId};

/// Behind the caller's clock by so much the recording is final: what is reordered has come by then.
const SETTLED: u64 = 400 * SAMPLES_PER_MS;
/// So much is handed out at a time.
const STRETCH: u64 = 1_000 * SAMPLES_PER_MS;
/// The longest answer that may lie ahead of its playing.
const MOST_AHEAD_MS: u32 = 120_000;

/// The recording of one call.
#[derive(Debug)]
pub(crate) struct Tape {
    timeline: Timeline,
    law: Law,
    /// The end of the caller's latest frame.
    position: u64,
    tenant: TenantId,
    call: CallId,
    spool: Spool,
}

impl Tape {
    pub(crate) fn new(tenant: TenantId, call: CallId, law: Law, spool: Spool) -> Self {
        Self {
            timeline: Timeline::new(law, MOST_AHEAD_MS),
            law,
            position: 0,
            tenant,
            call,
            spool,
        }
    }

    /// Where it will be in the object store.
    pub(crate) fn key(&self) -> String {
        key(self.tenant, self.call)
    }

    /// The caller was heard; `position` is where the stream is now.
    pub(crate) fn caller(&mut self, at: u64, codes: &[u8], position: u64) {
        self.timeline.lay(Channel::Caller, at, codes);
        self.position = self.position.max(position);
        let settled = self.position.saturating_sub(SETTLED);
        if settled >= self.timeline.handed_out() + STRETCH {
            self.hand_out(settled);
        }
    }

    /// The agent will be heard, so long from now.
    pub(crate) fn agent(&mut self, starts_in_ms: u64, codes: &[u8]) {
        // Behind what is already on its way without a seam, however the clock's guess wavers.
        let at = if starts_in_ms > 0 {
            self.timeline.end(Channel::Agent).max(self.position)
        } else {
            self.position
        };
        self.timeline.lay(Channel::Agent, at, codes);
    }

    /// From now on the agent is not heard: what was sent and not played was never said.
    pub(crate) fn cut_agent(&mut self) {
        self.timeline.cut(Channel::Agent, self.position);
    }

    /// From now on silence is laid in place of both sides, until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self) {
        self.timeline.mute(self.position);
    }

    /// From now on both sides are kept again.
    pub(crate) fn resume(&mut self) {
        self.timeline.unmute(self.position);
    }

    /// The call is over.
    pub(crate) fn finish(mut self) -> String {
        self.timeline.cut(Channel::Agent, self.position);
        self.hand_out(self.position);
        let samples = self.timeline.handed_out();
        self.spool.close(self.tenant, self.call, self.law, samples);
        self.key()
    }

    fn hand_out(&mut self, to: u64) {
        let offset = self.timeline.handed_out();
        let mut codes = Vec::new();
        self.timeline.advance(to, &mut codes);
        self.spool.write(Piece {
            tenant: self.tenant,
            call: self.call,
            law: self.law,
            offset,
            codes,
        });
    }
}
