//! The dialer: calls the people of a campaign, keeps its agents busy, and can say why it did not call.
//!
//! ```text
//!  agents, ringing lines ──► pacing: how many ──► selection: whom, in one transaction ──► carrier, once
//!          ▲                                                                                │
//!          └──────── calls.events, in order, one owner per campaign shard ◄── webhooks ─────┘
//! ```
//!
//! [`campaigns`], [`agents`] and [`attempts`] are what stands in Postgres; [`retry`], [`answer`] and [`calendar`] decide
//! without I/O; [`selection`] makes attempts, [`origination`] makes calls of them.

pub mod agents;
pub mod answer;
mod api;
mod app;
pub mod attempts;
pub mod calendar;
pub mod campaigns;
mod config;
pub mod controller;
pub mod error;
mod events;
pub mod gate;
pub mod law;
pub mod origination;
mod outbox;
pub mod preview;
pub mod retry;
pub mod selection;
pub mod setup;
pub mod shards;
pub mod start;
pub mod transfers;

pub use app::{App, Dependencies, GROUP};
pub use config::{ApiConfig, Config};
