//! The servers that are measured, each a process of its own: the platform's ingest, and the floor below it.

use std::{io::Write as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, Method, StatusCode, Uri};
use secrecy::SecretString;
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use voice_ingest::{AccountSource, App, Deps};
use voice_kafka::{OutboundRecord, Producer};
use voice_lifecycle::{Clock as _, Lifecycle, Readiness, SystemClock};
use voice_schemas::topics;
use voice_telemetry::{BuildInfo, Metrics};
use voice_telephony::{WebhookRequest, Webhooks as _, telnyx, twilio};

use super::webhooks::{self, PUBLIC, TWILIO_TOKEN};
use crate::settings::Settings;

/// The service as `voice ingest` runs it, but for the accounts, which come from no Postgres, and the limit
/// per address, because one address plays every carrier.
pub async fn service(settings: &Settings) -> anyhow::Result<()> {
    voice_telemetry::init(&settings.telemetry)?;
    let mut config = settings.ingest.clone();
    config.public_base_url = PUBLIC.to_owned();
    config.per_address_per_second = 10_000_000;
    let deps = Deps {
        clock: SystemClock::shared(),
        producer: Producer::new(&settings.kafka)?,
        kafka: settings.kafka.clone(),
        accounts: AccountSource::Fixed(webhooks::accounts()),
        context: Arc::new(webhooks::context_keys()),
        metrics: Metrics::new(&BuildInfo {
            role: "ingest",
            version: "bench",
            commit: "bench",
        }),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener)?;
    let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
    App::build(config, deps)?.spawn(&lifecycle, listener);
    let report = lifecycle.run_until(told_to_stop()).await;
    anyhow::ensure!(report.code() == 0, "the service did not stop cleanly");
    Ok(())
}

struct Floor {
    telnyx: telnyx::Webhooks,
    twilio: twilio::Webhooks,
    producer: Producer,
    topic: String,
}

/// What cannot be left out: read the request, check its signature, append the body with `acks=all`, answer.
/// It understands nothing, limits nothing, remembers nothing and counts nothing.
pub async fn floor(settings: &Settings) -> anyhow::Result<()> {
    let floor = Arc::new(Floor {
        telnyx: telnyx::Webhooks::new(&SecretString::from(webhooks::telnyx_public_key()), None)?,
        twilio: twilio::Webhooks::new(&SecretString::from(TWILIO_TOKEN), None)?,
        producer: Producer::new(&settings.kafka)?,
        topic: settings.kafka.topic(&topics::CALLS),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener)?;
    let router = Router::new()
        .route("/hooks/{carrier}/{ingress}/{kind}", post(append))
        .with_state(floor);
    axum::serve(listener, router)
        .with_graceful_shutdown(told_to_stop())
        .await
        .context("serving")
}

async fn append(State(floor): State<Arc<Floor>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let url = format!("{PUBLIC}{uri}");
    let request = WebhookRequest {
        method: &Method::POST,
        url: &url,
        headers: &headers,
        body: &body,
    };
    let now = SystemClock.now();
    let verified = if uri.path().starts_with("/hooks/telnyx/") {
        floor.telnyx.verify(&request, now)
    } else {
        floor.twilio.verify(&request, now)
    };
    if verified.is_err() {
        return StatusCode::FORBIDDEN;
    }
    let record = OutboundRecord {
        topic: floor.topic.clone(),
        key: uri.path().as_bytes().to_vec(),
        payload: body.to_vec(),
        headers: Vec::new(),
    };
    match floor.producer.send(&record).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The first line of a server says where it listens.
fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    Ok(out.flush()?)
}

/// The bench closes the input of a server it is done with, also when the bench itself dies.
async fn told_to_stop() {
    let mut end = Vec::new();
    let _an_error_ends_it_too = tokio::io::stdin().read_to_end(&mut end).await;
}
