//! A virtual shift: calls, people, agents and carriers in virtual time, from one seed.
//!
//! What is true (who answers when, who hangs up, which agent is busy) is kept apart from what the dialer has been
//! told: news of a call travels as webhooks that can be late, doubled, out of order or lost, and a call whose
//! news is lost is found by asking the carrier. The safe-harbour message does not depend on news: it is part
//! of the instructions that go with the dial, so the carrier plays it when nobody was connected in time.

mod blend;
mod carriers;
mod clock;
mod engine;
mod outcome;
mod state;

pub use engine::play;
pub use outcome::{Outcome, Spans};
