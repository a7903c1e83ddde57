//! The daily report of one of the demo's days, ordered like any other and fetched from the object store.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use chrono::NaiveDate;
use voice_postgres::{Database, Role};
use voice_reports::Format;
use voice_scheduler::jobs::rows::{NewReport, Parameters, request};
use voice_schemas::ReportId;

use super::company::Company;
use crate::{roles::Started, settings::Settings};

const PATIENCE: Duration = Duration::from_secs(90);

/// Orders the report, waits for it and copies its files to `out`.
pub async fn make(
    settings: &Settings,
    started: &Started,
    company: &Company,
    day: NaiveDate,
    out: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    let database = Database::connect(&settings.postgres, Role::Worker).await?;
    let report = NewReport {
        id: ReportId::random(),
        scheduled: None,
        kind: "daily_summary".to_owned(),
        formats: Format::ALL.to_vec(),
        locale: None,
        zone: company.zone,
        parameters: Parameters { day: Some(day) },
    };
    let mut tx = database.tenant(company.tenant).await?;
    request(&mut tx, &report, started.clock.now(), &settings.scheduler.jobs).await?;
    tx.commit().await?;

    let deadline = tokio::time::Instant::now() + PATIENCE;
    let files = loop {
        let mut tx = database.tenant(company.tenant).await?;
        let state = voice_scheduler::jobs::progress::of(&mut tx, report.id)
            .await?
            .context("the report is gone")?;
        tx.rollback().await?;
        match state.status.as_str() {
            "completed" => break state.object_keys,
            "failed" | "cancelled" => anyhow::bail!(
                "the report {}: {}",
                state.status,
                state.failure.unwrap_or_default()
            ),
            _ => anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "the report was not made in time"
            ),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    std::fs::create_dir_all(out)?;
    files
        .iter()
        .map(|key| {
            let from = settings.objects.folder.join(key);
            let to = out.join(from.file_name().context("a file without a name")?);
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
            Ok(to)
        })
        .collect()
}
