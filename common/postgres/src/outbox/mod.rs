//! Events that are committed together with the change they tell of, and then brought to Kafka.
//!
//! [`enqueue`] writes an event into the transaction that makes the change. A [`Relay`] takes rows out,
//! hands them to a [`Publish`] and deletes them once that has the broker's acknowledgement.
//!
//! What holds: nothing committed is lost; within a key, events go out in the order of their ids. What does
//! not: a relay that dies between the acknowledgement and its delete leaves rows that are published again.
//! The event id is inside the payload, so the second copy is recognisably the same fact.

mod publish;
mod relay;

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;
use voice_schemas::{Envelope, envelope::EventData, topics::Topic};

pub use publish::{OutboundRecord, Publish, PublishError};
pub use relay::{Relay, RelayConfig};

use crate::{Error, Result, TenantTx};

/// An event on its way into the outbox.
#[derive(Clone, Debug)]
pub struct OutboxRecord {
    /// Where it goes.
    pub topic: &'static str,
    /// Its Kafka key; order is kept within it.
    pub key: String,
    /// The CloudEvents type, or the name of the entity on a compacted topic.
    pub kind: String,
    /// JSON, sent as it is; none deletes the key of a compacted topic.
    pub payload: Option<Box<RawValue>>,
    /// Kafka headers.
    pub headers: BTreeMap<String, String>,
}

impl OutboxRecord {
    /// An event in its envelope.
    ///
    /// # Errors
    /// Never for the types of `voice_schemas`, whose maps have text keys.
    pub fn event<T: EventData>(topic: &Topic, key: impl Into<String>, event: &Envelope<T>) -> Result<Self> {
        let payload = to_raw_value(event).map_err(|error| Error::Query(sqlx::Error::Encode(error.into())))?;
        Ok(Self {
            topic: topic.name,
            key: key.into(),
            kind: event.kind.as_str().to_owned(),
            payload: Some(payload),
            headers: BTreeMap::from([("tenant".to_owned(), event.tenantid.0.to_string())]),
        })
    }
}

/// Writes an event into the transaction. Relays are woken when it commits.
///
/// For order within a key, first change or lock the row the event is about, so that no two transactions
/// write events of one key at the same time.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(tx: &mut TenantTx, record: &OutboxRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.outbox (tenant_id, topic, key, type, payload, headers)
         VALUES ($1, $2, $3, $4, $5::json, $6)",
    )
    .bind(tx.tenant().0)
    .bind(record.topic)
    .bind(&record.key)
    .bind(&record.kind)
    // As text: the json type keeps the bytes, while sqlx would send a jsonb value.
    .bind(record.payload.as_deref().map(RawValue::get))
    .bind(Json(&record.headers))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
