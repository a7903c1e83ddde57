//! Twins on loopback and the environment of the official clients.

use std::path::Path;

use tokio::net::TcpListener;
use voice_simulator_providers::{Script, Scripts, Twins, serve};
use voice_tests::python::{Venv, venv};

pub const KEY: &str = "key-of-a-test";

/// Twins by these scripts; the port they listen on.
pub async fn twins(scripts: Vec<Script>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let twins = Twins::new(KEY, Scripts::in_turn(scripts));
    tokio::spawn(serve(listener, twins, None, std::future::pending()));
    port
}

/// One environment for the official clients of all providers.
fn clients() -> Venv {
    venv(&[
        "openai[realtime]==3.52.0",
        "google-genai==3.4.0",
        "deepgram-sdk==7.17.0",
    ])
    .unwrap()
}

/// Runs one of the scripts in `oracles/` against the twins; it fails where it disagrees.
pub async fn judge(script: &'static str, port: u16) -> String {
    let input = serde_json::json!({"key": KEY, "port": port}).to_string();
    let judged = tokio::task::spawn_blocking(move || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
        clients().run(folder.join(script), &input)
    });
    judged
        .await
        .unwrap()
        .unwrap_or_else(|wrong| panic!("{wrong}"))
        .trim()
        .to_owned()
}
