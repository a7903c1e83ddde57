//! The way in: signed webhooks of carriers and batches of trusted producers become events on Kafka.
//!
//! A webhook passes four layers: how often (rate), from where (address), by whom (signature), when and
//! whether before (freshness and replay). What passes is understood, keyed and appended, and only when
//! the brokers have confirmed it does the carrier hear 2xx; until then it is the carrier who keeps it and
//! tries again. What is authentic and cannot be understood is kept as a dead letter with its bytes.
//!
//! | the carrier sent | it hears | afterwards |
//! |---|---|---|
//! | a call event | 200 (`voice`: with instructions) | in `calls.events` |
//! | an event that is no fact about a call | 200 | counted |
//! | the same again, or something stale | 200 | counted |
//! | an unknown event, a foreign context, an absurd time | 200 | in `dead-letters` |
//! | an authentic body nobody can read | 400 with the reason | in `dead-letters` |
//! | to an unknown carrier, account or kind | 404 | |
//! | without a valid signature, or from elsewhere | 403 | |
//! | too much, too often | 413, 429 | |
//! | anything while Kafka does not confirm | 503 | the carrier sends it again |
//!
//! Memory is bounded everywhere: requests in flight, bytes per body, remembered event ids, remembered
//! addresses, unconfirmed records. Postgres is read when accounts change and never for a request.

mod app;
mod config;
mod error;
mod events;
mod events_api;
mod hooks;
mod outlet;
mod redeliver;

pub use app::{App, BuildError, Deps};
pub use config::{Config, EventsConfig, HooksConfig, ReplayConfig, VoiceMessage};
pub use hooks::accounts::{AccountSource, HookAccount};
pub use redeliver::{Redeliver, RedeliverError, Redelivered};
