//! Settings of the analytics service, one struct per part.

use serde::Deserialize;

use crate::{rollups::RollupConfig, sink::SinkConfig, watchdog::WatchdogConfig};

/// Settings of the analytics service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kafka to ClickHouse.
    pub sink: SinkConfig,
    /// Minute and quarter-hour counts.
    pub rollups: RollupConfig,
    /// Calls whose end was lost.
    pub watchdog: WatchdogConfig,
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self, clickhouse: &voice_clickhouse::Config) -> Vec<String> {
        let mut faults = self.sink.faults(clickhouse.insert_timeout_ms);
        faults.extend(self.rollups.faults());
        faults.extend(self.watchdog.faults());
        faults
    }
}
