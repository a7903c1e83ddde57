//! How many numbers to dial now, so that agents stay busy and the abandonment ceiling holds.
//!
//! ```text
//!  events ──► Beliefs ──► Outlook ─┐ tables: P(person by t | age of the call), P(free by t | age of the talk)
//!     │                            ▼
//!     │      Snapshot ───────► look ahead ──► risk of the next dial: P(its answer finds no free agent)
//!     │                            │
//!     └──► Ledger ──► room ──► accepted risk ──► dial while the risk is lower and the ledger admits it
//! ```
//!
//! AI agents behind the people are counted on only for calls they may take: whether they may is known of every call in
//! the air, and learnt for the next one. Who agreed to an AI agent costs a little of the share of calls that AI is to
//! take when no person is free; whoever did not is abandoned then, and costs the ledger.
//!
//! Nothing here reads a clock or does I/O: a controller tells the [`Pacer`] what happens, with the time, and asks
//! it whenever something happened and at least once a second. Only live agent leases and AI places in the
//! [`Snapshot`] mint dials. What was learnt and counted is a [`State`], which a controller keeps and hands over.
//!
//! The rule (dial while the risk of the next dial is below one number) is within 0.1 % of the exact optimum of the
//! exponential model; `voice-pacing-bench` holds the whole pacer against that optimum and against other policies.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod beliefs;
mod config;
mod decision;
mod estimate;
mod ledger;
mod lookahead;
mod moment;
mod occupancy;
mod pacer;
mod price;
mod world;

pub use beliefs::{Beliefs, GRID, Outlook};
pub use config::{Config, ConfigError, Limits, Mode, Overflow, Prior, Steering};
pub use decision::{Bound, Decision};
pub use estimate::{AnswerRate, Hazards, Scale};
pub use ledger::{CEILING, Count, HOUR, Ledger, Room, Window};
pub use moment::Moment;
pub use pacer::{Jurisdiction, Pacer, State};
pub use world::{Agent, Ended, Event, Ringing, Rival, Snapshot};
