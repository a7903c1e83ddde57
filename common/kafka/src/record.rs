//! Reading a single record again, by its place in the log.

use std::time::{Duration, Instant};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{Config, KafkaError};

const PATIENCE: Duration = Duration::from_secs(10);

/// Key and payload of a record.
pub type KeyAndPayload = (Vec<u8>, Vec<u8>);

/// Key and payload of the record at `offset`, or `None` when the log no longer has it. Blocks.
///
/// # Errors
/// When the broker cannot be reached.
pub fn read(
    config: &Config,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<KeyAndPayload>, KafkaError> {
    let reader: BaseConsumer = config
        .client()
        .set("group.id", config.group("single-record"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(KafkaError::Client)?;
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .map_err(KafkaError::Consume)?;
    reader.assign(&list).map_err(KafkaError::Consume)?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match reader.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() == offset => {
                let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
                return Ok(Some((bytes(message.key()), bytes(message.payload()))));
            }
            Some(Ok(_) | Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) => return Err(KafkaError::Consume(error)),
            None => {}
        }
    }
    Ok(None)
}
