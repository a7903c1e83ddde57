//! Who speaks when: what the caller has heard of an answer, when they interrupt it, and how long they waited.
//!
//! Everything here is pure. Decisions take `now` and give back what is to be done; the bridge does it. Audio
//! is counted in samples of the line.
//!
//! | module | question |
//! |---|---|
//! | [`playout`] | How much of which item has the caller heard? |
//! | [`interruption`] | Is this an interruption, a "mhm", or a cough, and what follows from it? |
//! | [`back_channel`] | Does this text only say "I am listening"? |
//! | [`idle`] | Has nobody said anything for too long? |
//! | [`language`] | Which language is the call held in? |
//! | [`timeline`] | Where did the time of a turn go? |
//! | [`heard_text`] | Which words of an answer were heard? |

pub mod back_channel;
pub mod heard_text;
pub mod idle;
pub mod interruption;
pub mod language;
pub mod playout;
pub mod timeline;

/// Samples of the line in a millisecond.
pub const SAMPLES_PER_MS: u64 = 8;

/// One piece of an answer that provider and bridge talk about: a number of the bridge's own for the provider's
/// name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item(pub u32);
