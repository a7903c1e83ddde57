//! Jobs that make reports: a queue that says which report to look at, and a runner that makes it.

pub mod decide;
pub mod files;
pub mod progress;
pub mod queue;
pub mod rows;
pub mod runner;

use serde::{Deserialize, Serialize};
use voice_schemas::{ReportId, TenantId};

/// What the queue carries: which report to look at. Everything else is in the report's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportJob {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub report_id: ReportId,
}
