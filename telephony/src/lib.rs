//! Telnyx and Twilio behind one neutral call model: what a carrier tells us becomes call events, and what
//! we want becomes the carrier's requests.
//!
//! A carrier is two objects. [`Webhooks`] judges and reads its deliveries: pure, no I/O, one per account.
//! [`CarrierClient`] places, asks about and ends calls over REST. Nobody outside this crate needs to know
//! which carrier is behind either. The [`CallContext`] travels through the carrier and back, so a webhook is
//! keyed without a look-up.
//!
//! | | Twilio | Telnyx |
//! |---|---|---|
//! | signature | HMAC-SHA1 over URL and form | Ed25519 over time and body |
//! | context | `?ctx=` of the callback URL | `client_state` |
//! | instructions | one TwiML document | one command each |
//! | idempotent dialling | no | `command_id` |
//! | audio | WebSocket, µ-law, in order | WebSocket, several codecs, order not promised |
//!
//! [`media`] is the audio of a call: its framing, and the tokens that let a carrier open a stream.

mod carrier;
mod context;
mod error;
mod instruction;
mod mac;
pub mod media;
mod model;
mod phone;
pub mod telnyx;
mod transport;
pub mod twilio;
mod webhook;

pub use carrier::{Answered, CarrierClient, CarrierFuture, Webhooks, webhooks};
pub use context::{CallContext, ContextError, ContextKey, ContextKeys, SealedContext};
pub use error::{CarrierError, InstructionError, KeyError, ParseError, VerifyError};
pub use instruction::{Conference, ConnectStream, Gather, Instruction, Prompt, Record, RejectReason};
pub use model::{AmdMode, CallSnapshot, CallState, HookUrls, OriginateRequest, Originated};
pub use phone::{Destination, PhoneNumber, PhoneTokenKey, phone_token};
pub use webhook::{Account, CarrierEvent, HookKind, Parsed, WebhookRequest, derived_call_id};
