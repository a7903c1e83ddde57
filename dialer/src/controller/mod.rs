//! Running campaign shards: one worker per partition of `calls.events`, which owns every shard keyed to it.
//!
//! A turn of a worker, in this order:
//!
//! 1. **hear**: what carriers said, folded into lines, and what they answered to our own requests; an answered call is
//!    decided at once, the rest waits for the tick;
//! 2. **write**: progress and ends, one transaction per tenant; then the events that tell of them; only then are the
//!    records that caused them finished. A crash in between tells the same again, under the same event ids;
//! 3. **act**: answered calls, overdue lines, agents that disagree with the calls;
//! 4. **claim**: pacing says how many, one transaction for all shards of a tenant commits them, beside the loop, and then
//!    each carrier is asked once.
//!
//! When the partition goes, the worker stops dialling, waits for the requests under way, writes and leaves. Its
//! successor raises the epoch, reads what is under way and goes on.

mod act;
mod claims;
mod dial;
mod directory;
mod flush;
mod hear;
mod legs;
mod look;
mod preview;
mod say;
mod shard;
mod share;
mod take_over;
mod transfer;
mod worker;

pub use directory::{Directory, Listing, Listings};
pub use worker::{Deps, run};
