//! `voice bench`: the platform measured beside its peers, on the same machine, in the same run.
//!
//! A bench wants a stack that nobody else uses:
//!
//! ```sh
//! VOICE_STACK=bench deploy/local/stack up
//! eval "$(VOICE_STACK=bench deploy/local/stack env)"
//! voice bench sink --json docs/benchmarks/sink.json
//! voice bench docs
//! ```

mod dial;
mod docs;
mod figures;
mod ingest;
mod machine;
mod media;
mod pacing;
mod process;
mod python;
mod sink;
mod wide;

use std::{path::Path, process::ExitCode};

use self::{figures::Figure, machine::Machine};
use crate::{
    args::{Bench, BenchArgs, BenchPart, MediaArgs},
    settings::Settings,
};

/// Runs a bench.
pub async fn run(mut settings: Settings, bench: Bench) -> anyhow::Result<ExitCode> {
    if std::env::var_os("VOICE_TELEMETRY__FILTER").is_none() {
        settings.telemetry.filter = "error".to_owned();
    }
    settings.telemetry.format = voice_telemetry::LogFormat::Text;
    match bench {
        Bench::Docs => docs::write(),
        Bench::Part {
            part: BenchPart::Ingest(part),
        } => ingest::part(settings, part).await,
        Bench::Part {
            part: BenchPart::Media(part),
        } => media::part(settings, part).await,
        Bench::Sink(args) => {
            voice_telemetry::init(&settings.telemetry)?;
            let mut machine = Machine::look().await?;
            let figures = sink::measure(&settings, &args, &mut machine).await?;
            report(
                "sink",
                command("sink", &args),
                args.json.as_deref(),
                machine,
                figures,
            )
        }
        Bench::Ingest(args) => {
            voice_telemetry::init(&settings.telemetry)?;
            let mut machine = Machine::look().await?;
            let figures = ingest::measure(&settings, &args, &mut machine).await?;
            report(
                "ingest",
                command("ingest", &args),
                args.json.as_deref(),
                machine,
                figures,
            )
        }
        Bench::Dial(args) => {
            voice_telemetry::init(&settings.telemetry)?;
            let mut machine = Machine::look().await?;
            let figures = dial::measure(&settings, &args, &mut machine).await?;
            let command = format!(
                "voice bench dial --seconds {} --contacts {} --campaigns {}",
                args.seconds, args.contacts, args.campaigns
            );
            report("dial", command, args.json.as_deref(), machine, figures)
        }
        Bench::Media(args) => {
            voice_telemetry::init(&settings.telemetry)?;
            let mut machine = Machine::look().await?;
            let (name, figures) = if args.soak {
                ("media-soak", media::soak(&args, &mut machine).await?)
            } else {
                ("media", media::measure(&args, &mut machine).await?)
            };
            report(name, media_command(&args), args.json.as_deref(), machine, figures)
        }
        Bench::Pacing(args) => {
            let machine = Machine::look().await?;
            let figures = pacing::measure(&args)?;
            report(
                "pacing",
                pacing::command(&args),
                args.json.as_deref(),
                machine,
                figures,
            )
        }
    }
}

fn report(
    name: &str,
    command: String,
    json: Option<&Path>,
    machine: Machine,
    figures: Vec<Figure>,
) -> anyhow::Result<ExitCode> {
    let report = figures::Report {
        name: name.to_owned(),
        commit: machine::commit(),
        machine,
        command,
        figures,
    };
    println!("{}", docs::table(&report));
    if let Some(file) = json {
        report.write(file)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn command(name: &str, args: &BenchArgs) -> String {
    let mut command = format!("voice bench {name} --runs {}", args.runs);
    if let Some(events) = args.events {
        command += &format!(" --events {events}");
    }
    command
}

fn media_command(args: &MediaArgs) -> String {
    if args.soak {
        format!(
            "voice bench media --soak --calls {} --minutes {}",
            args.calls, args.minutes
        )
    } else {
        format!(
            "voice bench media --runs {} --seconds {}",
            args.runs, args.seconds
        )
    }
}
