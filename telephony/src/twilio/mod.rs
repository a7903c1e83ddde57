//! Twilio Programmable Voice: form-encoded callbacks signed with HMAC, TwiML instructions, a REST API that
//! queues what is dialled too fast and has no idempotency key.
//!
//! <https://www.twilio.com/docs/voice/api/call-resource>, <https://www.twilio.com/docs/usage/security>.

mod client;
mod instructions;
pub(crate) mod media;
pub mod signature;
mod webhook;

pub use client::{Client, Config};
pub use instructions::twiml;
pub use webhook::Webhooks;
