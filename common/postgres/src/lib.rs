//! Postgres for every service: what people configure and what must be transactional.
//!
//! The only crate that names the sqlx pool. A service opens a [`Database`] in its [`Role`] and reaches the
//! tables of a tenant through one type, [`TenantTx`], whose first statement tells the server which tenant
//! it is; row-level security does the rest. What must be read across tenants has a named function:
//! [`tenants::all`], [`accounts::load_all`], the [`doors`] and the relay of the [`outbox`].
//!
//! Secrets at rest go through [`sealed`]; a change and the event that tells of it are committed together
//! through the [`outbox`]; the schema comes from `voice_schemas::migrations` through [`migrate`].

pub mod accounts;
mod config;
mod database;
pub mod doors;
mod error;
pub mod events;
mod listen;
pub mod migrate;
pub mod outbox;
pub mod sealed;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::Config;
pub use database::{Database, PoolUse, Role, TenantTx};
pub use error::{Error, Result};
pub use listen::{Heard, Listener};
