//! How far the tables are complete, for reports that should not be made too early.

use chrono::{DateTime, Utc};
use voice_analytics::sink::GROUP;
use voice_kafka::{Config, KafkaError, admin::Admin};
use voice_lifecycle::SharedClock;
use voice_scheduler::source::{SourceError, Watermark};
use voice_schemas::{TenantId, topics};

/// Complete up to now while the sink has written everything the log holds; unknown while it lags.
pub struct SinkLag {
    kafka: Config,
    clock: SharedClock,
}

impl SinkLag {
    /// The sink of this cluster.
    pub const fn new(kafka: Config, clock: SharedClock) -> Self {
        Self { kafka, clock }
    }

    async fn read(&self) -> Result<Option<DateTime<Utc>>, SourceError> {
        let now = self.clock.now();
        let kafka = self.kafka.clone();
        let lag = tokio::task::spawn_blocking(move || lag(&kafka)).await;
        match lag {
            Ok(Ok(lag)) => Ok((lag == 0).then_some(now)),
            Ok(Err(error)) => Err(SourceError::Unavailable(error.to_string())),
            Err(stopped) => Err(SourceError::Unavailable(stopped.to_string())),
        }
    }
}

fn lag(kafka: &Config) -> Result<i64, KafkaError> {
    let admin = Admin::new(kafka)?;
    let topic = kafka.topic(&topics::CALLS);
    let committed = admin.committed(GROUP, &topic)?;
    let marks = admin.watermarks(&topic)?;
    Ok(marks
        .iter()
        .map(|(partition, marks)| {
            let next = committed.get(partition).copied().unwrap_or(marks.low);
            (marks.high - next.max(marks.low)).max(0)
        })
        .sum())
}

impl Watermark for SinkLag {
    fn complete_until(
        &self,
        _: TenantId,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<DateTime<Utc>>, SourceError>> + Send + '_>> {
        Box::pin(self.read())
    }
}
