//! The service over HTTP, with the real brokers behind it: what hears 2xx can be read back from Kafka.
//!
//! Needs the test stack: `eval "$(VOICE_STACK=test deploy/local/stack env)"`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops here"
)]

mod addresses;
mod batches;
mod broker;
mod hooks;
mod postgres;
mod rejects;
mod replays;
mod support;
