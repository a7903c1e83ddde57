//! ClickHouse for one machine: the engine as a library behind ClickHouse's HTTP
//! interface, for development and tests. Production uses a ClickHouse server.

mod body;
mod compression;
mod engine;
mod errors;
mod request;
mod response;
mod run;
mod server;
mod sessions;
mod sql;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::Engine;
use crate::request::Credentials;
use crate::response::Identity;
use crate::server::App;
use crate::sessions::Sessions;

/// How long running queries may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the engine may take to close.
const CLOSE: Duration = Duration::from_secs(5);

/// ClickHouse's HTTP interface before libchdb.so.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engine, libchdb.so.
    #[arg(long)]
    lib: PathBuf,
    /// Folder of the databases; made if missing.
    #[arg(long)]
    data: PathBuf,
    /// Address to answer on.
    #[arg(long, default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// The one user.
    #[arg(long, env = "CLICKHOUSE_USER", default_value = "default")]
    user: String,
    /// The user's password.
    #[arg(long, env = "CLICKHOUSE_PASSWORD", default_value = "", hide_env_values = true)]
    password: String,
}

fn main() {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_unset| "info".into()),
        )
        .init();
    let code = match serve(arguments) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error:#}");
            70
        }
    };
    engine::leave(code)
}

fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let engine = Arc::new(Engine::open(&arguments.lib, &arguments.data).context("opening the engine")?);
    let sessions = Arc::new(Sessions::new(Arc::clone(&engine)));
    runtime.block_on(answer(arguments, Arc::clone(&sessions)))?;
    sessions.clear();
    drop(sessions);
    runtime.block_on(close(engine));
    // Its threads may hang in the engine.
    std::mem::forget(runtime);
    Ok(())
}

/// Closes the engine once nothing uses it. A query that outlived its deadline
/// keeps it; then the files stay as after a power cut, which the engine repairs
/// on the next start.
async fn close(mut engine: Arc<Engine>) {
    let closing = async {
        let engine = loop {
            match Arc::try_unwrap(engine) {
                Ok(engine) => break engine,
                Err(shared) => engine = shared,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        tokio::task::spawn_blocking(move || engine.close()).await
    };
    match tokio::time::timeout(CLOSE, closing).await {
        Ok(Ok(())) => tracing::info!("closed"),
        Ok(Err(error)) => tracing::warn!(%error, "the engine did not close"),
        Err(_elapsed) => tracing::warn!("the engine did not close in time"),
    }
}

async fn answer(arguments: Arguments, sessions: Arc<Sessions>) -> anyhow::Result<()> {
    let app = Arc::new(App {
        identity: identify(&sessions)?,
        credentials: Credentials {
            user: arguments.user,
            password: arguments.password,
        },
        sessions,
    });
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("listening on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, version = app.identity.version, "ready");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut asked = stopped.clone();
    let serving = axum::serve(listener, server::router(app)).with_graceful_shutdown(async move {
        let _sender_gone = asked.wait_for(|stop| *stop).await;
    });
    let serving = tokio::spawn(async move { serving.await });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    if tokio::time::timeout(DRAIN, serving).await.is_err() {
        tracing::warn!("queries were still running at the deadline");
    }
    Ok(())
}

fn identify(sessions: &Sessions) -> anyhow::Result<Identity> {
    let mut session = sessions.fresh()?;
    let mut ask = |expression: &str| -> anyhow::Result<String> {
        let answer = session.query(format!("SELECT {expression}").as_bytes(), "TSVRaw", &[])?;
        Ok(String::from_utf8_lossy(&answer.body).trim_end().to_owned())
    };
    Ok(Identity {
        version: ask("version()")?,
        timezone: ask("timezone()")?,
        display_name: ask("hostName()")?,
    })
}
