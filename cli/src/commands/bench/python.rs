//! The Python peers: their packages, in environments of their own.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

const FOLDER: &str = "tests/bench/peers";
const CACHE: &str = ".local/cache";

/// A peer's program.
pub fn program(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// An interpreter with the packages a file of `tests/bench/peers` names, installed when they are not there yet or
/// others are pinned.
pub async fn with(requirements: &str, environment: &str) -> anyhow::Result<PathBuf> {
    let requirements = program(requirements);
    let wanted = std::fs::read_to_string(&requirements).with_context(|| {
        format!(
            "{} is missing: run the bench at the top of the checkout",
            requirements.display()
        )
    })?;
    let folder = Path::new(CACHE).join(environment);
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if std::fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
    succeed(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&requirements),
    )
    .await?;
    // Last: an installation that was cut off has none and starts over.
    std::fs::write(ready, wanted)?;
    Ok(python)
}

async fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .await
        .context("the peers of the bench need python3 with venv")?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
