//! Where the figures of a report come from, as the jobs see it.
//!
//! The real one is [`Figures`](crate::figures::Figures), over ClickHouse; tests bring their own.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use voice_reports::{DailySummaryData, Locale};
use voice_schemas::{CampaignId, TenantId};

/// Why figures could not be read. The text may not carry personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The store cannot be reached now.
    #[error("the store of figures is not available: {0}")]
    Unavailable(String),
    /// The store refused the query; a defect or a missing table.
    #[error("the store of figures refused the query: {0}")]
    Query(String),
}

impl SourceError {
    /// A stable label for logs, metrics and the report's `failure`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "source_unavailable",
            Self::Query(_) => "source_query",
        }
    }
}

/// What a daily summary is about, and what the reader is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyRequest {
    /// What the tenant calls its campaigns: figures know only their ids.
    pub campaign_names: HashMap<CampaignId, String>,
    /// Whose calls.
    pub tenant: TenantId,
    /// The tenant's name for the title.
    pub tenant_name: String,
    /// The local day.
    pub day: NaiveDate,
    /// The zone the day is cut in.
    pub zone: Tz,
    /// First instant of the day.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// The language of the report.
    pub locale: Locale,
    /// When the figures are read.
    pub generated_at: DateTime<Utc>,
    /// Events of the day may still be missing.
    pub provisional: bool,
}

/// Reads the figures of reports.
pub trait ReportSource: Send + Sync + 'static {
    /// The figures of one tenant's day.
    fn daily_summary<'a>(
        &'a self,
        request: &'a DailyRequest,
    ) -> BoxFuture<'a, Result<DailySummaryData, SourceError>>;
}

/// Knows how far the figures are complete.
pub trait Watermark: Send + Sync + 'static {
    /// The instant up to which every event of the tenant is in the store; none when nobody can say.
    fn complete_until(&self, tenant: TenantId) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, SourceError>>;
}

/// For deployments where nothing measures completeness: everything counts as complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysComplete;

impl Watermark for AlwaysComplete {
    fn complete_until(&self, _: TenantId) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, SourceError>> {
        Box::pin(std::future::ready(Ok(Some(DateTime::<Utc>::MAX_UTC))))
    }
}
