//! What the pacer has learnt about the people it calls and the agents it calls for.

mod answers;
mod hazards;

pub use answers::AnswerRate;
pub use hazards::{Hazards, Scale, Survival};
