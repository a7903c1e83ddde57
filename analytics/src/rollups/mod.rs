//! Counts per minute and per quarter of an hour, rebuilt from the calls of every interval that changed.
//!
//! Nothing is ever added to a count. A round asks which calls were stored since the last one, takes every
//! minute between their first and their last event (a late event can move the start of a call, and the
//! minute it leaves needs counting too) and counts those intervals again from scratch. Repeated, late and
//! corrected events therefore end in the same numbers, and a round that failed half way is simply done
//! again. Minutes are replaced row by row under a higher version; quarters of an hour by swapping in a
//! whole day, so that no query ever sees half of one. Several processes may count at once: each has a stage
//! of its own, and what one of them counted from older calls is counted again within the overlap.

mod sql;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse};
use voice_telemetry::{Emit as _, Metrics};

use crate::events::{Granularity, RolledUp, RoundFailed};

/// When intervals are counted again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RollupConfig {
    /// Between two rounds.
    pub interval_ms: u64,
    /// A round looks this far back behind the last one: longer than an insert takes to become visible.
    pub overlap_seconds: u32,
    /// The first round after a start looks this far back.
    pub catch_up_hours: u32,
}

impl Default for RollupConfig {
    fn default() -> Self {
        Self {
            interval_ms: 2_000,
            overlap_seconds: 30,
            catch_up_hours: 48,
        }
    }
}

impl RollupConfig {
    pub(crate) fn faults(&self) -> Vec<String> {
        if self.interval_ms == 0 {
            vec!["analytics.rollups.interval_ms must be above 0".to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// Keeps the roll-ups true.
pub struct Rollups {
    clickhouse: ClickHouse,
    config: RollupConfig,
    metrics: Metrics,
    /// Calls stored before this are counted, by the clock of ClickHouse, milliseconds.
    counted_until: Option<i64>,
    /// Where this process builds a day before it is swapped in.
    stage: String,
}

/// What stages are called; behind it stands something that only one process has.
const STAGE: &str = "kpi_15m_stage_";

#[derive(Row, Deserialize)]
struct Millis {
    millis: i64,
}

#[derive(Row, Deserialize)]
struct Seconds {
    seconds: u32,
}

impl Rollups {
    /// Roll-ups of this database.
    #[must_use]
    pub fn new(clickhouse: ClickHouse, config: RollupConfig, metrics: Metrics) -> Self {
        let stage = format!("{STAGE}{}", Uuid::now_v7().simple());
        Self {
            clickhouse,
            config,
            metrics,
            counted_until: None,
            stage,
        }
    }

    /// Runs round after round until `stop` fires.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_millis(self.config.interval_ms));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.round().await {
                RoundFailed {
                    part: "rollups",
                    error: &error,
                }
                .log();
            }
        }
    }

    /// Counts every interval again that has changed since the last round.
    ///
    /// # Errors
    /// When ClickHouse refuses or is away; the next round makes up for it.
    pub async fn round(&mut self) -> Result<(), ClickHouseError> {
        let now: Millis = self
            .clickhouse
            .row(
                "reading the clock",
                "SELECT toUnixTimestamp64Milli(now64(3)) AS millis",
                |query| query,
            )
            .await?;
        if self.counted_until.is_none() {
            self.prepare_stage().await?;
        }
        let back = match self.counted_until {
            Some(until) => until - i64::from(self.config.overlap_seconds) * 1_000,
            None => now.millis - i64::from(self.config.catch_up_hours) * 3_600_000,
        };
        let dirty: Vec<Seconds> = self
            .clickhouse
            .rows("looking for changed minutes", sql::CHANGED_MINUTES, |query| {
                query.param("since", back)
            })
            .await?;
        let minutes: Vec<u32> = dirty.into_iter().map(|minute| minute.seconds).collect();
        if !minutes.is_empty() {
            self.count_minutes(&minutes, now.millis).await?;
            for day in days(&minutes) {
                self.count_day(day, now.millis).await?;
            }
        }
        self.counted_until = Some(now.millis);
        Ok(())
    }

    /// Makes the stage of this process and clears away those of processes that were killed.
    async fn prepare_stage(&self) -> Result<(), ClickHouseError> {
        #[derive(Row, Deserialize)]
        struct Left {
            name: String,
        }
        let left: Vec<Left> = self
            .clickhouse
            .rows("looking for old stages", sql::OLD_STAGES, |query| {
                query.param("prefix", STAGE)
            })
            .await?;
        for stage in left {
            self.drop_stage(&stage.name).await?;
        }
        let make = format!("CREATE TABLE IF NOT EXISTS {} AS kpi_15m", self.stage);
        self.clickhouse
            .execute("making a stage", &make, |query| query)
            .await
    }

    async fn drop_stage(&self, stage: &str) -> Result<(), ClickHouseError> {
        self.clickhouse
            .execute(
                "dropping a stage",
                &format!("DROP TABLE IF EXISTS {stage}"),
                |query| query,
            )
            .await
    }

    async fn count_minutes(&self, minutes: &[u32], version: i64) -> Result<(), ClickHouseError> {
        // A list in the query keeps a round to its own minutes; a thousand of them is half a day.
        for some in minutes.chunks(1_000) {
            let (first, last) = (some.iter().min().copied(), some.iter().max().copied());
            self.clickhouse
                .execute("counting minutes", &sql::count_minutes(), |query| {
                    query
                        .param("minutes", some)
                        .param("first", first.unwrap_or_default())
                        .param("last", last.unwrap_or_default())
                        .param("version", version)
                })
                .await?;
        }
        RolledUp {
            granularity: Granularity::Minute,
            intervals: minutes.len(),
        }
        .emit(&self.metrics);
        Ok(())
    }

    async fn count_day(&self, day: NaiveDate, version: i64) -> Result<(), ClickHouseError> {
        let partition = day.format("%Y%m%d").to_string();
        let day = day.to_string();
        let stage = &self.stage;
        let clear = format!("ALTER TABLE {stage} DROP PARTITION {partition}");
        self.clickhouse
            .execute("clearing the stage", &clear, |query| query)
            .await?;
        self.clickhouse
            .execute("counting a day", &sql::count_day(stage), |query| {
                query.param("day", &day).param("version", version)
            })
            .await?;
        let swap = format!("ALTER TABLE kpi_15m REPLACE PARTITION {partition} FROM {stage}");
        self.clickhouse
            .execute("swapping in a day", &swap, |query| query)
            .await?;
        RolledUp {
            granularity: Granularity::Quarter,
            intervals: 96,
        }
        .emit(&self.metrics);
        Ok(())
    }
}

fn days(minutes: &[u32]) -> Vec<NaiveDate> {
    let mut days: Vec<NaiveDate> = minutes
        .iter()
        .filter_map(|seconds| DateTime::<Utc>::from_timestamp(i64::from(*seconds), 0))
        .map(|minute| minute.date_naive())
        .collect();
    days.sort_unstable();
    days.dedup();
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_counted_once_however_many_of_its_minutes_changed() {
        let midnight = 1_795_219_200;
        let days = days(&[midnight + 60, midnight - 60, midnight, midnight + 120]);
        assert_eq!(days, ["2026-11-20", "2026-11-21"].map(|day| day.parse().unwrap()));
    }
}
