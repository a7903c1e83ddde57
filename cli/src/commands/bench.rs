//! `voice bench`.

use std::process::ExitCode;

use crate::{args::Bench, settings::Settings};

/// Runs a bench.
pub async fn run(_settings: Settings, _bench: Bench) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
