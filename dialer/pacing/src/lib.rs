//! How many numbers to dial now, so that agents stay busy and the abandonment ceiling holds.
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
pub use world::{Agent, Ended, Event, Rival, Snapshot};
