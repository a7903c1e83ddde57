//! How to reach the brokers, and the limits the clients keep.

use std::time::Duration;

use rdkafka::ClientConfig;
use serde::Deserialize;

/// Settings shared by every Kafka client of a process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Put before every topic and group name, so that deployments and tests can share a cluster.
    pub prefix: String,
    /// The consumer's settings.
    pub consumer: ConsumerConfig,
    /// The producer's settings.
    pub producer: ProducerConfig,
}

/// Which group protocol the cluster speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// KIP-848, brokers from 4.0: the broker reconciles assignments, rebalances are incremental.
    Consumer,
    /// The protocol before it, with the cooperative sticky assignor.
    Classic,
}

/// Limits of the consumer loop.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Which group protocol the cluster speaks.
    pub group_protocol: GroupProtocol,
    /// After this long without a heartbeat the group gives a member's partitions to others. With the
    /// KIP-848 protocol the broker decides; this states what it is set to.
    pub session_timeout_ms: u64,
    /// How long in-flight work may take when partitions are revoked or the process is told to stop.
    pub drain_deadline_ms: u64,
    /// Records in memory over all partitions before fetching pauses.
    pub budget_records: usize,
    /// Payload bytes in memory over all partitions before fetching pauses.
    pub budget_bytes: usize,
    /// A partition with work and no progress for this long is fatal.
    pub stall_ms: u64,
}

/// Limits of the producer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProducerConfig {
    /// How long a batch waits for company.
    pub linger_ms: u64,
    /// After this long without the broker's ack a record has failed.
    pub delivery_timeout_ms: u64,
    /// Bytes that may wait for acks; a full queue refuses at once.
    pub queue_kilobytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:19092".to_owned(),
            prefix: String::new(),
            consumer: ConsumerConfig::default(),
            producer: ProducerConfig::default(),
        }
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_protocol: GroupProtocol::Consumer,
            session_timeout_ms: 45_000,
            drain_deadline_ms: 20_000,
            budget_records: 200_000,
            budget_bytes: 128 * 1024 * 1024,
            stall_ms: 120_000,
        }
    }
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            linger_ms: 2,
            delivery_timeout_ms: 5_000,
            queue_kilobytes: 65_536,
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.brokers.trim().is_empty() {
            faults.push("kafka.brokers is empty: name at least one host:port".to_owned());
        }
        let consumer = &self.consumer;
        if consumer.drain_deadline_ms >= consumer.session_timeout_ms {
            faults.push(format!(
                "kafka.consumer.drain_deadline_ms ({}) must be below session_timeout_ms ({}): a drain that \
                 outlives the session loses its partitions half way",
                consumer.drain_deadline_ms, consumer.session_timeout_ms
            ));
        }
        if consumer.budget_records == 0 || consumer.budget_bytes == 0 {
            faults.push("kafka.consumer.budget_records and budget_bytes must be above 0".to_owned());
        }
        if self.producer.delivery_timeout_ms <= self.producer.linger_ms {
            faults.push("kafka.producer.delivery_timeout_ms must be above linger_ms".to_owned());
        }
        faults
    }

    /// The name of `topic` in this deployment.
    #[must_use]
    pub fn topic(&self, topic: &voice_schemas::topics::Topic) -> String {
        format!("{}{}", self.prefix, topic.name)
    }

    /// The name of a consumer group in this deployment.
    #[must_use]
    pub fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "voice")
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true");
        client
    }

    pub(crate) fn consumer_client(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.min.bytes", "1")
            .set("max.partition.fetch.bytes", "4194304")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "16384")
            // By default a full queue stops fetching for a second, which is what a busy consumer then waits.
            .set("fetch.queue.backoff.ms", "5")
            .set("max.poll.interval.ms", "300000")
            .set("statistics.interval.ms", "500");
        match self.consumer.group_protocol {
            GroupProtocol::Consumer => {
                client.set("group.protocol", "consumer");
            }
            GroupProtocol::Classic => {
                client
                    .set("partition.assignment.strategy", "cooperative-sticky")
                    .set("session.timeout.ms", self.consumer.session_timeout_ms.to_string());
            }
        }
        client
    }

    pub(crate) fn producer_client(&self) -> ClientConfig {
        let mut client = self.client();
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", self.producer.linger_ms.to_string())
            .set(
                "delivery.timeout.ms",
                self.producer.delivery_timeout_ms.to_string(),
            )
            .set(
                "queue.buffering.max.kbytes",
                self.producer.queue_kilobytes.to_string(),
            );
        client
    }

    pub(crate) fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.consumer.drain_deadline_ms)
    }

    pub(crate) fn stall(&self) -> Duration {
        Duration::from_millis(self.consumer.stall_ms)
    }
}
