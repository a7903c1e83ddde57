//! Bridges the audio of phone calls to AI voice providers.
//!
//! ```text
//! Twilio, Telnyx ══ WebSocket ══► way in ──► one task per call ══ WebSocket ══► provider
//!                              token, room      │  heard-truth, interruptions, turns
//!                                               ├──► facts ──► Kafka      (a queue that never waits)
//!                                               └──► recording ──► disk ──► object store
//! ```
//!
//! A carrier's request is judged before the upgrade ([`way_in`](crate::app)): by a signed token that opens one
//! stream, and by how late the loop runs. Then one task owns both sockets and copies Base64 from one to the other
//! where both sides speak G.711. What the caller has heard is known from the carrier's marks; what is said, how long
//! it took and how the stream ended is told as [`facts`].

pub mod agents;
pub mod app;
pub mod breakers;
mod bridge;
pub mod config;
pub mod deeds;
mod error;
pub(crate) mod events;
pub mod facts;
pub mod hands;
pub mod knowledge;
pub mod outbox;
pub mod plan;
mod record;
pub mod redaction;
mod way_in;

pub use app::{App, Deps};
pub use config::Config;
pub use error::{BuildError, Ending, Refusal};
