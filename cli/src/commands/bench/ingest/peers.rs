//! The Python peer: its packages, and how it is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;
use voice_schemas::topics;

use super::{
    process::{self, Server},
    webhooks::{PUBLIC, TWILIO_TOKEN, telnyx_public_key},
};
use crate::settings::Settings;

const FOLDER: &str = "tests/bench/peers";
const CACHE: &str = ".local/cache/venv-bench-peers";

/// What the report calls it.
pub const FASTAPI: &str = "FastAPI, uvicorn (uvloop, httptools), aiokafka, PyNaCl, orjson";

/// The interpreter with the peer's packages, installed when they are not there yet or others are pinned.
pub async fn python() -> anyhow::Result<PathBuf> {
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).with_context(|| {
        format!(
            "{} is missing: run the bench at the top of the checkout",
            requirements.display()
        )
    })?;
    let (python, ready) = (
        Path::new(CACHE).join("bin/python"),
        Path::new(CACHE).join("ready"),
    );
    if std::fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if Path::new(CACHE).exists() {
        std::fs::remove_dir_all(CACHE)?;
    }
    succeed(Command::new("python3").args(["-m", "venv", CACHE])).await?;
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

/// Starts the peer.
pub async fn fastapi(settings: &Settings, python: &Path) -> anyhow::Result<Server> {
    let mut command = process::pinned(process::SERVER, python);
    command
        .arg(Path::new(FOLDER).join("ingest_fastapi.py"))
        .env("KAFKA_BROKERS", &settings.kafka.brokers)
        .env("KAFKA_TOPIC", settings.kafka.topic(&topics::CALLS))
        .env("KAFKA_LINGER_MS", settings.kafka.producer.linger_ms.to_string())
        .env("PUBLIC_BASE_URL", PUBLIC)
        .env("TELNYX_PUBLIC_KEY", telnyx_public_key())
        .env("TWILIO_AUTH_TOKEN", TWILIO_TOKEN);
    Server::start(&mut command).await
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
