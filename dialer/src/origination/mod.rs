//! From a committed attempt to a call at a carrier.

pub mod caller_id;
pub mod carriers;
pub mod cps;
pub(crate) mod number_days;
