//! What tests of several crates need, without depending on any of them.

pub mod python;
