//! AI agents: who talks, through which provider, with which tools.
//!
//! Operators write them into Postgres ([`records`]). Media workers keep all of them in memory ([`Book`]), because a
//! caller who has picked up cannot wait for a database, and read them again when Postgres says that one changed.

pub mod accounts;
mod book;
mod lawful;
mod prepared;
pub mod records;
pub mod targets;

pub use accounts::Accounts;
pub use book::Book;
pub use records::{Agent, OnMachine, Webhook};
