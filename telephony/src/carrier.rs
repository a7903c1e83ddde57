//! The two sides of a carrier: what it tells us, and what we ask of it.

use std::{pin::Pin, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use voice_schemas::events::call::Carrier;

use crate::{
    CallSnapshot, CarrierError, HookKind, Instruction, InstructionError, KeyError, OriginateRequest,
    Originated, ParseError, Parsed, VerifyError, WebhookRequest, telnyx, twilio, webhook::Account,
};

/// Judges and reads the deliveries of one carrier account. Pure: no I/O, no clock.
pub trait Webhooks: Send + Sync + std::fmt::Debug {
    /// The carrier.
    fn carrier(&self) -> Carrier;

    /// Whether the carrier signed exactly this, with the key of this account, and lately. Works on the raw
    /// bytes; nothing of the request is to be believed before it said yes.
    ///
    /// # Errors
    /// [`VerifyError::Stale`] when it is authentic but old; any other means that it is not authentic.
    fn verify(&self, request: &WebhookRequest<'_>, now: DateTime<Utc>) -> Result<(), VerifyError>;

    /// What a verified delivery says.
    ///
    /// # Errors
    /// When it cannot be understood; see [`ParseError`] for what to do with each.
    fn parse(
        &self,
        kind: HookKind,
        request: &WebhookRequest<'_>,
        account: &Account<'_>,
    ) -> Result<Parsed, ParseError>;

    /// The body of the response that gives instructions, and its content type; `None` where the carrier
    /// takes commands instead.
    ///
    /// # Errors
    /// When the carrier has no words for an instruction.
    fn response(
        &self,
        instructions: &[Instruction],
    ) -> Result<Option<(&'static str, String)>, InstructionError>;
}

/// The webhook side of an account. `key` is Twilio's auth token or Telnyx's public key (Base64); `other` is
/// the one before or after it while keys are rotated.
///
/// # Errors
/// When a key is unusable.
pub fn webhooks(
    carrier: Carrier,
    key: &SecretString,
    other: Option<&SecretString>,
) -> Result<Arc<dyn Webhooks>, KeyError> {
    Ok(match carrier {
        Carrier::Telnyx => Arc::new(telnyx::Webhooks::new(key, other)?),
        Carrier::Twilio => Arc::new(twilio::Webhooks::new(key, other)?),
    })
}

/// What a request to a carrier gives, some time.
pub type CarrierFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, CarrierError>> + Send + 'a>>;

/// Asks a carrier to do things, through one account.
pub trait CarrierClient: Send + Sync + std::fmt::Debug {
    /// The carrier.
    fn carrier(&self) -> Carrier;

    /// Places a call. After [`CarrierError::Unknown`] it may have been placed.
    fn originate<'a>(&'a self, request: &'a OriginateRequest) -> CarrierFuture<'a, Originated>;

    /// Ends a call, whatever its state. A call that is over already is no error.
    fn hangup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, ()>;

    /// Asks where a call stands. A call the carrier no longer knows is ended, with an unknown outcome.
    fn lookup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, CallSnapshot>;

    /// Tells a live call what to do next. An inbound call must have been picked up, see [`pick_up`](Self::pick_up).
    fn answer<'a>(
        &'a self,
        carrier_call_id: &'a str,
        instructions: &'a [Instruction],
    ) -> CarrierFuture<'a, Answered>;

    /// Picks up an inbound call, giving it its context. Twilio picks up by itself with the first instruction.
    fn pick_up<'a>(
        &'a self,
        carrier_call_id: &'a str,
        context: &'a crate::SealedContext,
    ) -> CarrierFuture<'a, ()>;
}

/// What became of a list of instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// What is left to do. Twilio takes the whole list and leaves none. Telnyx starts a command and goes on
    /// at once, so what follows a prompt, a gather or a recording waits until the carrier reports its end
    /// (`call.speak.ended`, `call.playback.ended`, `call.gather.ended`): then answer again with these.
    pub remaining: Vec<Instruction>,
}
