//! Records and requests that could not be processed: kept with their bytes and the reason, listed and
//! replayed by an operator.

use std::{collections::BTreeMap, fmt, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
};
use voice_schemas::topics;

use crate::{Config, Delivery, KafkaError, OutboundRecord, Producer, admin::Admin};

mod limits;

pub use limits::{Limits, TooMany};

/// Where a dead letter came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A record of a topic.
    Record {
        /// The topic's full name.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// A request, named by the path it came in on.
    Request {
        /// The path with its query: what the carrier gives back to us stands there.
        path: String,
    },
}

/// Something that could not be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it came from.
    pub origin: Origin,
    /// The stage that gave up (`ingest.parse`, `sink.decode`).
    pub stage: String,
    /// A stable label of the reason.
    pub code: String,
    /// The reason, for a person; no personal data.
    pub detail: String,
    /// When the stage gave up.
    pub at: DateTime<Utc>,
    /// The original key.
    pub key: Vec<u8>,
    /// The original bytes.
    pub payload: Vec<u8>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record {
                topic,
                partition,
                offset,
            } => write!(f, "{topic}[{partition}]@{offset}"),
            Self::Request { path } => f.write_str(path),
        }
    }
}

const TOPIC: &str = "dl-topic";
const PARTITION: &str = "dl-partition";
const OFFSET: &str = "dl-offset";
const PATH: &str = "dl-path";
const STAGE: &str = "dl-stage";
const CODE: &str = "dl-code";
const DETAIL: &str = "dl-detail";
const AT: &str = "dl-time";
const REPLAY_OF: &str = "dl-replay-of";

impl DeadLetter {
    /// The record that keeps it: original key and bytes, everything else in headers.
    #[must_use]
    pub fn into_record(self, config: &Config) -> OutboundRecord {
        let text = |value: String| value.into_bytes();
        let mut headers = match self.origin {
            Origin::Record {
                topic,
                partition,
                offset,
            } => vec![
                (TOPIC.to_owned(), text(topic)),
                (PARTITION.to_owned(), text(partition.to_string())),
                (OFFSET.to_owned(), text(offset.to_string())),
            ],
            Origin::Request { path } => vec![(PATH.to_owned(), text(path))],
        };
        headers.extend([
            (STAGE.to_owned(), text(self.stage)),
            (CODE.to_owned(), text(self.code)),
            (DETAIL.to_owned(), text(self.detail)),
            (
                AT.to_owned(),
                text(self.at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            ),
        ]);
        OutboundRecord {
            topic: config.topic(&topics::DEAD_LETTERS),
            key: self.key,
            payload: self.payload,
            headers,
        }
    }
}

/// A dead letter as it lies in its topic.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where it lies.
    pub at: Delivery,
    /// The letter; fields whose header is missing are empty.
    pub letter: DeadLetter,
}

/// Reads every kept dead letter, oldest first within a partition, and gives each to `each`. Blocks.
///
/// # Errors
/// When the cluster cannot be reached.
pub fn for_each(config: &Config, mut each: impl FnMut(Kept)) -> Result<(), KafkaError> {
    let topic = config.topic(&topics::DEAD_LETTERS);
    let mut remaining: BTreeMap<i32, i64> = Admin::new(config)?
        .watermarks(&topic)?
        .into_iter()
        .filter(|(_, marks)| marks.high > marks.low)
        .map(|(partition, marks)| (partition, marks.high))
        .collect();
    let reader: BaseConsumer = config
        .client()
        .set("group.id", config.group("dead-letters-reader"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(KafkaError::Client)?;
    let mut list = TopicPartitionList::new();
    for partition in remaining.keys() {
        list.add_partition_offset(&topic, *partition, Offset::Beginning)
            .map_err(KafkaError::Consume)?;
    }
    reader.assign(&list).map_err(KafkaError::Consume)?;
    while !remaining.is_empty() {
        match reader.poll(Duration::from_secs(5)) {
            Some(Ok(message)) => {
                let at = Delivery {
                    partition: message.partition(),
                    offset: message.offset(),
                };
                if remaining
                    .get(&at.partition)
                    .is_some_and(|high| at.offset + 1 >= *high)
                {
                    remaining.remove(&at.partition);
                }
                each(Kept {
                    at,
                    letter: read(&message),
                });
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                remaining.remove(&partition);
            }
            Some(Err(error)) => return Err(KafkaError::Consume(error)),
            None => {}
        }
    }
    Ok(())
}

fn read(message: &impl Message) -> DeadLetter {
    let headers: BTreeMap<&str, String> = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .map(|header| {
            (
                header.key,
                String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned(),
            )
        })
        .collect();
    let text = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let origin = match headers.get(PATH) {
        Some(path) => Origin::Request { path: path.clone() },
        None => Origin::Record {
            topic: text(TOPIC),
            partition: text(PARTITION).parse().unwrap_or(-1),
            offset: text(OFFSET).parse().unwrap_or(-1),
        },
    };
    DeadLetter {
        origin,
        stage: text(STAGE),
        code: text(CODE),
        detail: text(DETAIL),
        at: DateTime::parse_from_rfc3339(&text(AT))
            .map(Into::into)
            .unwrap_or_default(),
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().unwrap_or_default().to_vec(),
    }
}

/// Writes a dead letter's original record to its original topic again. The letter stays where it is; the
/// new record says in a header which letter it repeats.
///
/// # Errors
/// When the broker does not confirm the record.
pub async fn replay(producer: &Producer, kept: Kept) -> Result<Option<Delivery>, KafkaError> {
    let Origin::Record { topic, .. } = kept.letter.origin else {
        return Ok(None);
    };
    let record = OutboundRecord {
        topic,
        key: kept.letter.key,
        payload: kept.letter.payload,
        headers: vec![(
            REPLAY_OF.to_owned(),
            format!("{}@{}", kept.at.partition, kept.at.offset).into_bytes(),
        )],
    };
    producer.send(&record).await.map(Some)
}
