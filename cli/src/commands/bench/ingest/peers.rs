//! The Python peer, and how it is started.

use std::path::Path;

use voice_schemas::topics;

use super::webhooks::{PUBLIC, TWILIO_TOKEN, telnyx_public_key};
use crate::{
    commands::bench::{
        process::{self, Server},
        python,
    },
    settings::Settings,
};

/// Its packages.
pub const REQUIREMENTS: &str = "requirements.txt";
/// Where they are installed.
pub const ENVIRONMENT: &str = "venv-bench-peers";

/// What the report calls it.
pub const FASTAPI: &str = "FastAPI, uvicorn (uvloop, httptools), aiokafka, PyNaCl, orjson";

/// Starts the peer.
pub async fn fastapi(settings: &Settings, python: &Path) -> anyhow::Result<Server> {
    let mut command = process::pinned(process::SERVER, python);
    command
        .arg(python::program("ingest_fastapi.py"))
        .env("KAFKA_BROKERS", &settings.kafka.brokers)
        .env("KAFKA_TOPIC", settings.kafka.topic(&topics::CALLS))
        .env("KAFKA_LINGER_MS", settings.kafka.producer.linger_ms.to_string())
        .env("PUBLIC_BASE_URL", PUBLIC)
        .env("TELNYX_PUBLIC_KEY", telnyx_public_key())
        .env("TWILIO_AUTH_TOKEN", TWILIO_TOKEN);
    Server::start(&mut command).await
}
