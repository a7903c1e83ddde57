//! AI voice providers behind one adapter: what is said to them, what they say, what it costs and what to do
//! when they fail.
//!
//! An [`Adapter`] is a state machine without sockets: [`Command`]s of the bridge become frames, frames become
//! [`Event`]s. A [`Connection`] moves its bytes. Everything that is decided rather than moved is pure and
//! takes `now`: when to hand a session over and to whom ([`survival`]), what it costs and whether it may cost
//! more ([`price`]), whether a tool may be called and how long it may take ([`tools`]).
//!
//! ```text
//!            Command ─►┌─────────┐─► Outgoing ─►┌────────────┐
//!   bridge             │ Adapter │              │ Connection │  WebSocket, SSE over TLS
//!            Event   ◄─└─────────┘◄─ Frame    ◄─└────────────┘
//! ```
//!
//! How a bridge uses it, in one task with its telephony socket:
//!
//! ```no_run
//! # use voice_providers::{Adapter, Command, Connection, Connector, Event, Payload};
//! # async fn bridge(adapter: Box<dyn Adapter>, connector: Connector) {
//! let mut provider = Connection::start(adapter, connector);
//! loop {
//!     // Cancel safe: an arm of a `select!` beside the telephony socket.
//!     let happened = provider.happening().await;
//!     provider.handle(&happened, &mut |event: Event<'_>| match event {
//!         Event::Audio { item, payload } => { /* into the telephony frame; `happened.keep(payload)` to keep it */ }
//!         Event::SpeechStarted { .. } => { /* clear the telephony queue, then `Command::Interrupt` */ }
//!         _ => {}
//!     });
//!     // Never waits: what the socket does not take at once, `happening` sends later.
//!     let frame = Payload::Base64("//8=");
//!     if provider.command(Command::Audio(frame), &mut |_| {}).is_err() { /* not ready yet */ }
//!     if provider.is_over() { break }
//! }
//! # }
//! ```
//!
//! | | pass-through | turns | truncate | resume | tools |
//! |---|---|---|---|---|---|
//! | OpenAI Realtime | G.711 | provider's | yes | replay | direct |
//! | GPT-Live | G.711 | full duplex | no | replay | delegated |
//! | Gemini Live | none (16 kHz in, 24 kHz out) | provider's | no | handle | direct |
//! | Deepgram Voice Agent | G.711 | provider's | no | replay | direct |
//! | Deepgram cascade | G.711 | ours, on the recogniser's word | yes | replay | direct |

mod adapter;
mod audio;
mod capability;
mod command;
mod connection;
mod deepgram;
pub mod deepgram_agent;
pub mod deepgram_cascade;
mod engine;
mod event;
mod events;
pub mod gemini_live;
mod judgement;
pub mod models;
pub mod openai_live;
pub mod openai_realtime;
mod phrases;
pub mod price;
#[cfg(test)]
mod recorder;
mod session;
pub mod survival;
mod text;
pub mod tools;
mod usage;

pub use adapter::{Adapter, Closure, Endpoint, Frame, Link, Outgoing, Output, Protocol};
pub use audio::{AudioFormat, Codec, Payload};
pub use capability::{Capabilities, Provider, Tools};
pub use command::{Command, CommandError};
pub use connection::{Connection, Connector, Happening, Tls};
pub use deepgram_agent::DeepgramAgent;
pub use deepgram_cascade::DeepgramCascade;
pub use engine::Engine;
pub use event::{
    Arguments, Class, Ending, Event, Fault, FaultKind, Ready, ResponseStatus, Speaker, Stage, ToolCall,
    Transcript,
};
pub use events::{ENDING_MODELS, ModelEnds};
pub use gemini_live::GeminiLive;
pub use openai_live::OpenaiLive;
pub use openai_realtime::OpenaiRealtime;
pub use session::{Account, Said, Session, ToolSpec, TurnHints, Turns};
pub use usage::{Quantities, Unit, Usage};
