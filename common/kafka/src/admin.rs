//! Creating the topics of the catalogue, and asking the cluster what it holds.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError as ClientError,
    metadata::{Metadata, MetadataTopic},
    types::RDKafkaErrorCode as Code,
};
use voice_schemas::topics::{Retention, Topic};

use crate::{Config, KafkaError};

const TIMEOUT: Duration = Duration::from_secs(15);
const ELECTION_TRIES: u32 = 20;
const ELECTION_WAIT: Duration = Duration::from_millis(250);

/// What [`Admin::apply`] did to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It did not exist.
    Created,
    /// It had fewer partitions than the catalogue says.
    Grown {
        /// Partitions before.
        from: i32,
    },
    /// It existed; its retention was set again.
    Kept,
}

/// The offsets a partition holds: `low` is the first one, `high` the one the next record gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset still kept.
    pub low: i64,
    /// One more than the last offset written.
    pub high: i64,
}

/// Administrative requests to a cluster.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    observer: BaseConsumer,
    config: Config,
}

impl Admin {
    /// An administrator of this cluster.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        Ok(Self {
            client: config.client().create().map_err(KafkaError::Client)?,
            observer: config.client().create().map_err(KafkaError::Client)?,
            config: config.clone(),
        })
    }

    /// Creates the topic or brings it to what the catalogue says, and waits until every partition has a leader.
    /// Partitions only ever grow.
    ///
    /// # Errors
    /// When the cluster cannot be reached or refuses.
    pub async fn apply(&self, topic: &Topic, replication: i32) -> Result<Applied, KafkaError> {
        let name = self.config.topic(topic);
        let what = || format!("applying the topic {name}");
        let settings = settings(topic);
        let wanted = settings.iter().fold(
            NewTopic::new(&name, topic.partitions, TopicReplication::Fixed(replication)),
            |wanted, (key, value)| wanted.set(key, value),
        );
        let mut tries = 0;
        loop {
            let answer = self
                .client
                .create_topics([&wanted], &AdminOptions::new().operation_timeout(Some(TIMEOUT)))
                .await
                .map_err(|source| KafkaError::Admin { what: what(), source })?;
            match answer.into_iter().next() {
                None | Some(Ok(_)) => {
                    self.led(&name, topic.partitions).await?;
                    return Ok(Applied::Created);
                }
                Some(Err((_, Code::TopicAlreadyExists))) => break,
                // Brokers that have just started, or were busy for a moment, are not counted yet.
                Some(Err((_, Code::InvalidReplicationFactor))) if tries < ELECTION_TRIES => {
                    tries += 1;
                    tokio::time::sleep(ELECTION_WAIT).await;
                }
                Some(Err((_, code))) => return Err(KafkaError::Refused { what: what(), code }),
            }
        }
        let change = settings.iter().fold(
            AlterConfig::new(ResourceSpecifier::Topic(&name)),
            |change, (key, value)| change.set(key, value),
        );
        first(
            self.client.alter_configs([&change], &AdminOptions::new()).await,
            &what(),
        )?;
        let from = self.led(&name, 1).await?;
        if from >= topic.partitions {
            return Ok(Applied::Kept);
        }
        let more = NewPartitions::new(&name, usize::try_from(topic.partitions).unwrap_or(0));
        first(
            self.client.create_partitions([&more], &AdminOptions::new()).await,
            &what(),
        )?;
        self.led(&name, topic.partitions).await?;
        Ok(Applied::Grown { from })
    }

    /// Waits until at least `wanted` partitions and all there are have a leader: the controller creates a topic before
    /// the brokers know of it. Returns how many there are.
    async fn led(&self, name: &str, wanted: i32) -> Result<i32, KafkaError> {
        for _ in 0..ELECTION_TRIES {
            let metadata = self.metadata(name)?;
            let partitions = metadata
                .topics()
                .iter()
                .filter(|topic| topic.name() == name)
                .flat_map(MetadataTopic::partitions);
            let led = partitions.clone().all(|partition| partition.error().is_none());
            let count = i32::try_from(partitions.count()).unwrap_or(i32::MAX);
            if led && count >= wanted {
                return Ok(count);
            }
            tokio::time::sleep(ELECTION_WAIT).await;
        }
        Err(KafkaError::Refused {
            what: format!("waiting for leaders of the topic {name}"),
            code: Code::LeaderNotAvailable,
        })
    }

    /// Deletes topics by their full names; one that does not exist is no error.
    ///
    /// # Errors
    /// When the cluster cannot be reached or refuses.
    pub async fn delete(&self, names: &[&str]) -> Result<(), KafkaError> {
        let what = || format!("deleting the topics {}", names.join(", "));
        let answers = self
            .client
            .delete_topics(names, &AdminOptions::new().operation_timeout(Some(TIMEOUT)))
            .await
            .map_err(|source| KafkaError::Admin { what: what(), source })?;
        match answers.into_iter().find_map(Result::err) {
            None | Some((_, Code::UnknownTopicOrPartition)) => Ok(()),
            Some((_, code)) => Err(KafkaError::Refused { what: what(), code }),
        }
    }

    /// Forgets everything a group committed, so that it starts over. It must have no members.
    ///
    /// # Errors
    /// When the cluster cannot be reached or refuses.
    pub async fn forget_group(&self, group: &str) -> Result<(), KafkaError> {
        let group = self.config.group(group);
        let what = || format!("forgetting the group {group}");
        let answers = self
            .client
            .delete_groups(&[&group], &AdminOptions::new())
            .await
            .map_err(|source| KafkaError::Admin { what: what(), source })?;
        match answers.into_iter().find_map(Result::err) {
            None | Some((_, Code::GroupIdNotFound)) => Ok(()),
            Some((_, code)) => Err(KafkaError::Refused { what: what(), code }),
        }
    }

    /// The partitions of a topic by its full name; empty when it does not exist. Blocks on the network.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub fn partitions(&self, name: &str) -> Result<Vec<i32>, KafkaError> {
        Ok(self
            .metadata(name)?
            .topics()
            .iter()
            .filter(|topic| topic.name() == name)
            .flat_map(|topic| topic.partitions().iter().map(|partition| partition.id()))
            .collect())
    }

    fn metadata(&self, name: &str) -> Result<Metadata, KafkaError> {
        self.observer
            .fetch_metadata(Some(name), TIMEOUT)
            .map_err(|source| KafkaError::Admin {
                what: format!("looking up the topic {name}"),
                source,
            })
    }

    /// What every partition of a topic holds. Blocks on the network, and for a moment on an election.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub fn watermarks(&self, name: &str) -> Result<BTreeMap<i32, Watermarks>, KafkaError> {
        self.partitions(name)?
            .into_iter()
            .map(|partition| Ok((partition, self.watermarks_of(name, partition)?)))
            .collect()
    }

    fn watermarks_of(&self, name: &str, partition: i32) -> Result<Watermarks, KafkaError> {
        let (low, high) =
            settled(|| self.observer.fetch_watermarks(name, partition, TIMEOUT)).map_err(|source| {
                KafkaError::Admin {
                    what: format!("reading the offsets of {name}"),
                    source,
                }
            })?;
        Ok(Watermarks { low, high })
    }

    /// The next offset a group reads, by partition; partitions it never committed are missing. Blocks.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub fn committed(&self, group: &str, name: &str) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let what = || format!("reading what {group} committed on {name}");
        let member: BaseConsumer = self
            .config
            .client()
            .set("group.id", self.config.group(group))
            .create()
            .map_err(KafkaError::Client)?;
        let mut list = TopicPartitionList::new();
        for partition in self.partitions(name)? {
            list.add_partition(name, partition);
        }
        let committed = settled(|| member.committed_offsets(list.clone(), TIMEOUT))
            .map_err(|source| KafkaError::Admin { what: what(), source })?;
        Ok(committed
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.partition(), offset)),
                _ => None,
            })
            .collect())
    }

    /// Whether the cluster answers at all. Blocks on the network.
    ///
    /// # Errors
    /// When it does not within `timeout`.
    pub fn ping(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.observer
            .fetch_metadata(None, timeout)
            .map(drop)
            .map_err(|source| KafkaError::Admin {
                what: format!("reaching {}", self.config.brokers),
                source,
            })
    }
}

/// Asks again while leaders and coordinators are being elected: they are for a moment after a partition was created or
/// moved, and when the first group of a cluster is asked for. Blocks meanwhile.
fn settled<T>(mut ask: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    for _ in 0..ELECTION_TRIES {
        match ask() {
            Err(error) if error.rdkafka_error_code().is_some_and(is_election) => {
                std::thread::park_timeout(ELECTION_WAIT);
            }
            answer => return answer,
        }
    }
    ask()
}

const fn is_election(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
    )
}

/// What the client makes of an answer about several resources.
type Answers<T> = Result<Vec<Result<T, (T, Code)>>, ClientError>;

fn first<T>(answer: Answers<T>, what: &str) -> Result<(), KafkaError> {
    let answers = answer.map_err(|source| KafkaError::Admin {
        what: what.to_owned(),
        source,
    })?;
    match answers.into_iter().next() {
        Some(Err((_, code))) => Err(KafkaError::Refused {
            what: what.to_owned(),
            code,
        }),
        _ => Ok(()),
    }
}

fn settings(topic: &Topic) -> Vec<(&'static str, String)> {
    match topic.retention {
        Retention::Compacted => vec![("cleanup.policy", "compact".to_owned())],
        Retention::Time(kept) => {
            vec![
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", kept.as_millis().to_string()),
            ]
        }
    }
}
