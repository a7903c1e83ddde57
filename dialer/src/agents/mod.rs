//! Agents: what they are doing, who may be given a call, and the leg that keeps them in their room.

pub mod legs;
mod records;
pub mod share;
mod state;

pub use records::{AgentRow, Applied, Reach, apply, of_shard, sign_up, some};
pub use state::{AgentState, Change, Input, Refused, Reservation};
