//! The real pacer on virtual shifts: scenarios, other people's policies and the exact optimum, from one seed.
//!
//! `scenarios.toml` says what a shift is like, [`shift`] plays it in virtual time, [`dialers`] decide how many
//! to dial, [`oracle`] knows the optimum where everything is exponential, and [`findings`] compares them.
//! `voice bench pacing` shows the figures.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

pub mod dialers;
pub mod draw;
pub mod findings;
pub mod oracle;
pub mod scenario;
pub mod shift;
