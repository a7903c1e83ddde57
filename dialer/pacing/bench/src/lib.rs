//! Virtual shifts.
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
