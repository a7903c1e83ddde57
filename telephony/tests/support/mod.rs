//! The judges: official SDKs in a Python environment, and a server that writes down what it is asked.

#![allow(dead_code, reason = "each test uses other parts")]

pub(crate) mod clients;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::Value;
use voice_tests::python::{Venv, venv};

const REQUIREMENTS: &[&str] = &["pynacl==1.6.2", "telnyx==4.189.0", "twilio==9.13.0"];

/// Runs `tests/oracles/<script>` with `input` and returns what it answers.
pub(crate) fn ask(script: &str, input: &Value) -> Value {
    let printed = judges()
        .run(folder("tests/oracles").join(script), &input.to_string())
        .unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{script} printed {printed}: {error}"))
}

fn judges() -> Venv {
    venv(REQUIREMENTS).unwrap()
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Responder = dyn Fn(&Recorded) -> (StatusCode, HeaderMap, String) + Send + Sync;

#[derive(Clone)]
struct Shared {
    log: Arc<Mutex<Vec<Recorded>>>,
    respond: Arc<Responder>,
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) base: String,
    log: Arc<Mutex<Vec<Recorded>>>,
}

impl Server {
    pub(crate) async fn start(
        respond: impl Fn(&Recorded) -> (StatusCode, HeaderMap, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared {
            log: Arc::default(),
            respond: Arc::new(respond),
        };
        let log = Arc::clone(&shared.log);
        let app = Router::new().fallback(record).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, log }
    }

    /// A server that always answers the same.
    pub(crate) async fn answering(status: u16, body: &'static str) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        Self::start(move |_| (status, json_type(), body.to_owned())).await
    }

    /// What it was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

pub(crate) fn json_type() -> HeaderMap {
    [(
        "content-type".parse().unwrap(),
        "application/json".parse().unwrap(),
    )]
    .into_iter()
    .collect()
}

async fn record(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let recorded = Recorded {
        method,
        uri,
        headers,
        body,
    };
    let response = (shared.respond)(&recorded);
    shared.log.lock().unwrap().push(recorded);
    response
}
