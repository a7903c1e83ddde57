//! Agents: what they are doing, and who may be given a call.

mod records;
mod state;

pub use records::{AgentRow, Applied, apply, of_shard, sign_up};
pub use state::{AgentState, Change, Input, Refused, Reservation};
