//! What the pacer has learnt about the people it calls and the agents it calls for.

mod answers;
mod consent;
mod hazards;

pub use answers::AnswerRate;
pub(crate) use consent::ConsentShare;
pub use hazards::{Hazards, Scale, Survival};
