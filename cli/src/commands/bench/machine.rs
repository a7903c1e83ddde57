//! What a bench ran on, and how quiet it was there.

use std::{fs, process::Command, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const LOOK: Duration = Duration::from_secs(1);
/// An idle stack and a shell; anything more distorts the figures.
const QUIET_PERCENT: f64 = 10.0;
/// Whoever else computes on the machine is waited for, so long before every measurement.
const PATIENCE: Duration = Duration::from_secs(240);

/// The machine, without anything that names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// What they are called.
    pub processor: String,
    /// Memory.
    pub memory_gib: u64,
    /// The largest share of all processors that was busy with something else just before a measurement.
    pub busy_elsewhere_percent: f64,
}

impl Machine {
    /// Looks around, and waits until the machine is quiet.
    pub async fn look() -> anyhow::Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let memory = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
        let processor = info
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
        let kibibytes: u64 = memory
            .lines()
            .find_map(|line| {
                line.strip_prefix("MemTotal:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let mut machine = Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: processor.unwrap_or("unknown").to_owned(),
            memory_gib: kibibytes.div_ceil(1024 * 1024),
            busy_elsewhere_percent: 0.0,
        };
        machine.pause().await?;
        Ok(machine)
    }

    /// Waits until the machine is quiet, or until waiting is no use, and notes how quiet it became.
    pub async fn pause(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (busy, whole) = processors()?;
            tokio::time::sleep(LOOK).await;
            let (busy_after, whole_after) = processors()?;
            #[allow(clippy::cast_precision_loss)] // Clock ticks since the machine was started.
            let percent = ((busy_after - busy) as f64 * 100.0 / (whole_after - whole).max(1) as f64).round();
            if percent <= QUIET_PERCENT || tokio::time::Instant::now() >= deadline {
                self.busy_elsewhere_percent = self.busy_elsewhere_percent.max(percent);
                return Ok(());
            }
        }
    }
}

/// Busy and all clock ticks of all processors, from `proc_stat(5)`.
fn processors() -> anyhow::Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; the guest times behind them are in user already.
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    let whole = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((whole - idle, whole))
}

/// The commit that is checked out, with `-dirty` where it was changed.
pub fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output();
    match described {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => option_env!("VOICE_COMMIT").unwrap_or("unknown").to_owned(),
    }
}
