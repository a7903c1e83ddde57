//! The figures of reports, read from ClickHouse.
//!
//! Everything is counted from `calls_final` for exactly the report's period, so a report agrees with the
//! calls and not with how often a roll-up ran. Dials are outbound calls; what agents handle is both.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse, error::Remedy};
use voice_reports::{
    DailySummaryData,
    daily_summary::{AnswerTime, CampaignRow, CarrierRow, Counts, Interval, PreviousDay, Tally, Thresholds},
    model::{Branding, Currency},
};
use voice_schemas::CampaignId;

use crate::source::{DailyRequest, ReportSource, SourceError};

/// Reads figures from ClickHouse.
#[derive(Clone)]
pub struct Figures {
    clickhouse: ClickHouse,
}

/// What every grouping counts; the names are those of [`Counts`].
const COUNTS: &str = "\
    countIf(f.direction = 'outbound') AS attempts,
    countIf(f.direction = 'outbound' AND f.answered) AS answered,
    countIf(f.direction = 'outbound' AND f.contacted) AS contacts,
    countIf(f.direction = 'outbound' AND f.contacted AND (NOT f.bridged OR f.wait_ms > {abandon_after_ms:UInt32})) AS abandoned,
    countIf(f.direction = 'outbound' AND f.answered AND NOT f.contacted) AS machine,
    countIf(f.direction = 'outbound' AND f.outcome = 'busy') AS busy,
    countIf(f.direction = 'outbound' AND f.outcome = 'no_answer') AS no_answer,
    countIf(f.direction = 'outbound' AND NOT f.answered AND f.outcome NOT IN ('busy', 'no_answer')) AS failed,
    countIf(f.offered) AS offered,
    countIf(f.bridged AND f.wait_ms <= {service_level_ms:UInt32}) AS answered_in_threshold,
    countIf(f.short_abandoned) AS short_abandoned,
    countIf(f.bridged) AS handled,
    sumIf(toUInt64(f.talk_ms), f.bridged) AS talk_ms,
    quantileExactIf(0.5)(toUInt64(f.ring_ms), f.answered) AS ring_p50,
    quantileExactIf(0.95)(toUInt64(f.ring_ms), f.answered) AS ring_p95";

/// A day of one tenant. The hour in the sort key of `calls` is that of the call's id, give or take one;
/// ids that carry no time have the hour 1970-01-01 00:00.
const PERIOD: &str = "\
FROM calls_final AS f
WHERE f.tenant_id = {tenant:UUID}
    AND (f.hour BETWEEN toDateTime({from:Int64}, 'UTC') - INTERVAL 2 HOUR AND toDateTime({to:Int64}, 'UTC') OR f.hour = toDateTime(0, 'UTC'))
    AND f.started_at >= toDateTime({from:Int64}, 'UTC') AND f.started_at < toDateTime({to:Int64}, 'UTC')";

#[derive(Row, Deserialize)]
struct Counted {
    name: String,
    attempts: u64,
    answered: u64,
    contacts: u64,
    abandoned: u64,
    machine: u64,
    busy: u64,
    no_answer: u64,
    failed: u64,
    offered: u64,
    answered_in_threshold: u64,
    short_abandoned: u64,
    handled: u64,
    talk_ms: u64,
    ring_p50: u64,
    ring_p95: u64,
}

#[derive(Row, Deserialize)]
struct Named {
    name: String,
    calls: u64,
}

impl Counted {
    const fn counts(&self) -> Counts {
        Counts {
            attempts: self.attempts,
            answered: self.answered,
            contacts: self.contacts,
            abandoned: self.abandoned,
            machine: self.machine,
            busy: self.busy,
            no_answer: self.no_answer,
            failed: self.failed,
            offered: self.offered,
            answered_in_threshold: self.answered_in_threshold,
            short_abandoned: self.short_abandoned,
            handled: self.handled,
            talk_ms: self.talk_ms,
            hold_ms: 0,
            wrap_ms: 0,
            cost_micros: None,
        }
    }

    fn answer_time(&self) -> AnswerTime {
        let known = |ms: u64| (self.answered > 0).then_some(ms);
        AnswerTime {
            p50_ms: known(self.ring_p50),
            p95_ms: known(self.ring_p95),
        }
    }
}

impl Figures {
    /// Figures from this database.
    #[must_use]
    pub const fn new(clickhouse: ClickHouse) -> Self {
        Self { clickhouse }
    }

    /// Counts grouped by an expression over `f`; a constant gives one row, or none without calls.
    async fn counted(
        &self,
        request: &DailyRequest,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        group: &str,
    ) -> Result<Vec<Counted>, SourceError> {
        let thresholds = Thresholds::default();
        let sql =
            format!("SELECT toString({group}) AS name,\n{COUNTS}\n{PERIOD}\nGROUP BY name ORDER BY name");
        self.clickhouse
            .rows("counting the calls of a report", &sql, |query| {
                query
                    .param("tenant", request.tenant.0)
                    .param("from", from.timestamp())
                    .param("to", to.timestamp())
                    .param("abandon_after_ms", thresholds.abandon_after_s * 1_000)
                    .param("service_level_ms", thresholds.service_level_s * 1_000)
            })
            .await
            .map_err(failed)
    }

    async fn tallies(&self, request: &DailyRequest, column: &str) -> Result<Vec<Tally>, SourceError> {
        let sql = format!(
            "SELECT toString(f.{column}) AS name, count() AS calls\n{PERIOD} AND f.{column} != ''\n\
             GROUP BY name ORDER BY calls DESC, name LIMIT 12"
        );
        let rows: Vec<Named> = self
            .clickhouse
            .rows("tallying the calls of a report", &sql, |query| {
                query
                    .param("tenant", request.tenant.0)
                    .param("from", request.from.timestamp())
                    .param("to", request.to.timestamp())
            })
            .await
            .map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|row| Tally {
                name: row.name,
                calls: row.calls,
            })
            .collect())
    }

    async fn read(&self, request: &DailyRequest) -> Result<DailySummaryData, SourceError> {
        let day = (request.from, request.to);
        let before = (request.from - TimeDelta::days(1), request.from);
        let whole = self.counted(request, day, "''").await?.into_iter().next();
        let previous = self.counted(request, before, "''").await?.into_iter().next();
        let quarters = self
            .counted(
                request,
                day,
                "toUnixTimestamp(toStartOfFifteenMinutes(toDateTime(f.started_at, 'UTC')))",
            )
            .await?;
        let campaigns = self.counted(request, day, "f.campaign_id").await?;
        let carriers = self.counted(request, day, "f.carrier").await?;
        Ok(DailySummaryData {
            tenant_name: request.tenant_name.clone(),
            day: request.day,
            zone: request.zone,
            generated_at: request.generated_at,
            locale: request.locale,
            branding: Branding::default(),
            provisional: request.provisional,
            currency: Currency::EUR,
            thresholds: Thresholds::default(),
            totals: whole.as_ref().map(Counted::counts).unwrap_or_default(),
            answer_time: whole.as_ref().map(Counted::answer_time).unwrap_or_default(),
            previous: previous.map(|previous| PreviousDay {
                totals: previous.counts(),
                answer_time: previous.answer_time(),
            }),
            intervals: quarters
                .iter()
                .filter_map(|row| {
                    let start = DateTime::from_timestamp(row.name.parse().ok()?, 0)?;
                    Some(Interval {
                        start,
                        counts: row.counts(),
                    })
                })
                .collect(),
            campaigns: campaigns
                .iter()
                .filter_map(|row| {
                    let id: Uuid = row.name.parse().ok()?;
                    // Inbound calls belong to no campaign.
                    let id = (!id.is_nil()).then_some(CampaignId(id))?;
                    let name = request.campaign_names.get(&id);
                    Some(CampaignRow {
                        name: name.cloned().unwrap_or_else(|| id.to_string()),
                        counts: row.counts(),
                    })
                })
                .collect(),
            carriers: carriers
                .iter()
                .map(|row| CarrierRow {
                    name: row.name.clone(),
                    counts: row.counts(),
                    answer_time: row.answer_time(),
                })
                .collect(),
            outcomes: self.tallies(request, "outcome").await?,
            hangup_causes: self.tallies(request, "cause").await?,
        })
    }
}

fn failed(error: ClickHouseError) -> SourceError {
    if error.remedy() == Remedy::Retry {
        SourceError::Unavailable(error.to_string())
    } else {
        SourceError::Query(error.to_string())
    }
}

impl ReportSource for Figures {
    fn daily_summary<'a>(
        &'a self,
        request: &'a DailyRequest,
    ) -> BoxFuture<'a, Result<DailySummaryData, SourceError>> {
        Box::pin(self.read(request))
    }
}
