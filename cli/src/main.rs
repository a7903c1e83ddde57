//! The `voice` binary: every role of the platform and the operator's commands.

mod args;
mod commands;
mod progress;
mod roles;
mod settings;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser as _;
use settings::{Faults, Settings};

/// The configuration cannot be used (`EX_USAGE` of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    // One TLS implementation for the whole process; a second call cannot happen.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let outcome = runtime.block_on(run(command));
    // A blocking client call that outlives its deadline must not keep the process.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| match error.downcast_ref::<Faults>() {
        Some(faults) => {
            fail(faults);
            ExitCode::from(BAD_CONFIGURATION)
        }
        None => fail(&format!("{error:#}")),
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    // These bring their own settings, or exist to judge them.
    match command {
        Command::Check => return commands::check::run().await,
        Command::Demo(demo) => return Box::pin(commands::demo::run(Settings::load()?, demo)).await,
        Command::Bench { bench } => return Box::pin(commands::bench::run(Settings::load()?, bench)).await,
        _ => {}
    }
    let settings = Settings::load()?;
    let mut faults = settings.faults();
    if matches!(
        command,
        Command::All
            | Command::Ingest
            | Command::Dialer
            | Command::Media
            | Command::Analytics
            | Command::Scheduler
    ) {
        faults.extend(settings.key_faults());
    }
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    match command {
        Command::All => roles::run(settings, &roles::Role::ALL).await,
        Command::Ingest => roles::run(settings, &[roles::Role::Ingest]).await,
        Command::Dialer => roles::run(settings, &[roles::Role::Dialer]).await,
        Command::Media => roles::run(settings, &[roles::Role::Media]).await,
        Command::Analytics => roles::run(settings, &[roles::Role::Analytics]).await,
        Command::Scheduler => roles::run(settings, &[roles::Role::Scheduler]).await,
        Command::Migrate => commands::migrate::run(&settings).await,
        Command::Topics { action } => commands::topics::run(&settings, action).await,
        Command::Campaign { action } => commands::campaign::run(&settings, action).await,
        Command::Contacts { action } => commands::contacts::run(&settings, action).await,
        Command::Knowledge { action } => commands::knowledge::run(&settings, action).await,
        Command::Recordings { action } => commands::recordings::run(&settings, action).await,
        Command::Audit { json } => commands::audit::run(&settings, json).await,
        Command::DeadLetters { action } => commands::dead_letters::run(&settings, action).await,
        Command::Check | Command::Demo(_) | Command::Bench { .. } => Ok(ExitCode::SUCCESS),
    }
}

#[allow(clippy::print_stderr)] // The last word of a process goes to the terminal.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("voice: {error}");
    ExitCode::FAILURE
}
