//! What the Kafka clients report: each event writes its log line in one place.

use rdkafka::{config::RDKafkaLogLevel, error::KafkaError as ClientError};

/// Partitions were given to this process.
pub(crate) struct Assigned {
    pub(crate) partitions: usize,
}

impl Assigned {
    pub(crate) fn emit(&self) {
        tracing::info!(partitions = self.partitions, "partitions assigned");
    }
}

/// Partitions were taken from this process, after their workers drained.
pub(crate) struct Revoked {
    pub(crate) partitions: usize,
}

impl Revoked {
    pub(crate) fn emit(&self) {
        tracing::info!(partitions = self.partitions, "partitions revoked");
    }
}

/// A worker did not end cleanly while its partition was taken away; its records are read again.
pub(crate) struct DrainedWithError<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) reason: &'a str,
}

impl DrainedWithError<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(
            topic = self.topic,
            partition = self.partition,
            reason = self.reason,
            "a worker did not drain cleanly; the next owner reads its open records again"
        );
    }
}

/// Trouble the client recovers from by itself.
pub(crate) struct BrokerTrouble<'a> {
    pub(crate) error: &'a ClientError,
}

impl BrokerTrouble<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(error = %self.error, "the broker is in trouble; the client keeps trying");
    }
}

/// A line of the client library's own log.
pub(crate) fn client_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "librdkafka"),
    }
}
