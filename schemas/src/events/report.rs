//! What became of a report: the facts on `reports.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Envelope, ReportId, ScheduleId, envelope::EventData};

/// An event on `reports.events`.
pub type ReportEvent = Envelope<ReportData>;

/// The report and its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportData {
    /// The report.
    pub report_id: ReportId,
    /// The schedule that asked for it; absent when a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<ScheduleId>,
    /// What it is about, such as `daily_summary`.
    pub kind: String,
    /// Keys in the object store, one per format.
    #[serde(default)]
    pub object_keys: Vec<String>,
    /// On `report.failed`: the stable label of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl EventData for ReportData {
    const SCHEMA: &'static str = "report-event.v1.json";

    fn subject(&self) -> String {
        self.report_id.0.to_string()
    }
}
