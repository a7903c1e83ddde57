//! A carrier on loopback: it plays a whole shift of calls to the platform as correctly signed webhooks of
//! Telnyx and Twilio, with the faults real carriers have, and answers when asked about a call.
//!
//! ```text
//!  Shift ──► Plan ──► Faults ──► Player ──POST /hooks/…──► platform
//!   seed     calls    lost,      signed at the               │
//!            facts    late,      moment of sending           │ GET a call whose
//!              │      twice                                  ▼ end never came
//!              └──────────────────────────────────────────► Twin
//! ```
//!
//! The twin also takes calls of the platform's own ([`live`]): a seeded population picks up, talks, waits and hangs
//! up, and every step is told in signed webhooks to the addresses the call was placed with.
//!
//! The same seed gives the same calls, ids, times and faults. A shift can be told after the event, in a minute
//! instead of twelve hours, as long as it lies within the last 24 hours: [`plan::Shift::check_at`].

mod account;
mod error;
mod expect;
mod facts;
mod faults;
pub mod live;
pub mod places;
pub mod plan;
pub mod player;
mod simulator;
mod text;
pub mod twin;
pub mod wire;

pub use account::{Account, Credentials};
pub use error::SimulatorError;
pub use expect::{Expected, reconciled_outcome};
pub use facts::FactSet;
pub use faults::{Decision, Departure, Faults};
pub use simulator::Simulator;
