//! From "so many dials now" to committed attempts: one transaction picks, judges, caps, chooses the number to
//! show and writes, so that nothing it saw can have changed when it is committed.
//!
//! Order of locks, the same everywhere: the campaign and its shard (shared), the contacts (those another
//! transaction holds are left out), the ledger by subject, the numbers' days by number.

mod candidates;
mod claim;
mod evidence;
mod explain;
mod judge;
mod offer;
mod writes;

pub(crate) use claim::fresh_id;
pub use claim::{Claim, ClaimError, Dial, Order, Orders, claim};
pub use explain::{Explanation, explain};
pub use judge::{Judged, judge};
pub use offer::{Accepted, accept, offer};
pub(crate) use writes::{passed_over, skipped_by_agent};
