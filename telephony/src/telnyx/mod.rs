//! Telnyx Call Control v2: JSON webhooks signed with Ed25519, one REST command per step, idempotent within
//! a minute through `command_id`.
//!
//! <https://developers.telnyx.com/api-reference/call-commands/dial>,
//! <https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks>.

mod client;
mod instructions;
pub(crate) mod media;
pub mod signature;
mod webhook;

pub use client::{Client, Config};
pub use instructions::{Command, Plan, plan};
pub use webhook::Webhooks;
