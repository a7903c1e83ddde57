//! What we ask of a carrier and what it answers, the same for every carrier.

use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;
use voice_schemas::{
    AttemptId,
    events::call::{AnsweredBy, Ending},
};

use crate::{
    context::SealedContext,
    instruction::Instruction,
    phone::{Destination, PhoneNumber},
    webhook::HookKind,
};

/// Whether and how the carrier listens for an answering machine. Always beside the call, never before it:
/// a person who says hello is not kept waiting for a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmdMode {
    /// It does not.
    #[default]
    Off,
    /// Person or machine.
    Detect,
    /// Person or machine, and the end of the machine's greeting.
    DetectBeep,
}

/// Where a carrier account delivers: `https://host/hooks/{carrier}/{ingress}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookUrls(String);

impl HookUrls {
    /// The hooks below `base`; its query and a slash at its end are dropped.
    #[must_use]
    pub fn new(base: &Url) -> Self {
        let mut base = base.clone();
        base.set_query(None);
        base.set_fragment(None);
        Self(base.as_str().trim_end_matches('/').to_owned())
    }

    /// The hook of this kind.
    #[must_use]
    pub fn url(&self, kind: HookKind) -> String {
        format!("{}/{}", self.0, kind.as_str())
    }

    /// The hook of this kind, with the context in its query.
    #[must_use]
    pub fn url_with(&self, kind: HookKind, context: &SealedContext) -> String {
        format!("{}/{}?ctx={}", self.0, kind.as_str(), context.as_query())
    }
}

/// A call to place.
#[derive(Clone, Debug)]
pub struct OriginateRequest {
    /// Makes the request idempotent where the carrier can (Telnyx: for 60 s); names the attempt, or the leg.
    pub attempt: AttemptId,
    /// What the call belongs to, to come back with every webhook.
    pub context: SealedContext,
    /// Whom to call.
    pub to: Destination,
    /// The number shown to them.
    pub from: PhoneNumber,
    /// Where events go.
    pub hooks: HookUrls,
    /// How long to let it ring. Twilio takes up to 600 s, Telnyx 5 to 600 s; clamped.
    pub ring_timeout: Duration,
    /// When to end the call at the latest.
    pub time_limit: Option<Duration>,
    /// Answering machine detection.
    pub amd: AmdMode,
    /// Record from the answer on, both sides on their own channel.
    pub record: bool,
    /// What to do on answer. Twilio: sent along as TwiML when it fits 4 000 characters, else (and when empty)
    /// Twilio asks the `voice` hook. Telnyx: only a media stream can be sent along; for the rest, give
    /// instructions when `call.answered` arrives, with [`CarrierClient::answer`](crate::CarrierClient::answer).
    pub on_answer: Vec<Instruction>,
}

/// A call the carrier has taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originated {
    /// The carrier's id of it.
    pub carrier_call_id: String,
    /// How long the carrier will hold it back before dialling. A call that waits longer than the pacing
    /// looked ahead rings when the agent is gone: hang it up. Zero at Telnyx, which refuses instead of queueing.
    pub queue_time_ms: u32,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The carrier has not dialled yet.
    Queued,
    /// It is ringing, or about to.
    Ringing,
    /// Somebody or something picked up.
    Answered,
    /// It lives; the carrier does not say whether it was answered (Telnyx).
    Alive,
    /// It is over.
    Ended,
}

/// What the carrier says about a call when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSnapshot {
    /// Where it stands.
    pub state: CallState,
    /// How it ended, with `reconciled` set; present exactly when the state is [`CallState::Ended`].
    pub ending: Option<Ending>,
    /// The verdict of answering machine detection.
    pub answered_by: Option<AnsweredBy>,
    /// When it began; at Twilio, when it was answered.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}
