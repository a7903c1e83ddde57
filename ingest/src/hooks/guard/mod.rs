//! The layers before the signature: how often, and from where.

pub(crate) mod address;
pub(crate) mod rate;
