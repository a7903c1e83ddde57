//! Kafka as the platform uses it: one consumer loop, one producer, dead letters, topic administration.
//!
//! This is the only crate that names `rdkafka`; everything else sees records, offsets and outcomes.

pub mod admin;
pub mod config;
pub mod consumer;
pub mod dead_letters;
pub mod error;
pub mod events;
pub mod producer;
pub mod record;

pub use config::Config;
pub use error::KafkaError;
pub use producer::{Delivery, OutboundRecord, Producer};
