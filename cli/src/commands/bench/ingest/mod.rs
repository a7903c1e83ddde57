//! `voice bench ingest`: what a webhook costs, beside the floor it stands on and a well-made Python service.
//!
//! Every server is a process of its own, pinned to one processor; the carriers that ask it have another
//! one. The broker takes what is left of both. Processor time is what the kernel says the server took, user
//! and system, its client library's threads included.

mod carrier;
mod peers;
mod servers;
mod webhooks;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use voice_kafka::admin::Admin;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::{events::call::Carrier, topics};

use self::carrier::Answers;
use super::{
    figures::{Figure, ratios},
    machine::Machine,
    process::{self, Server},
    python,
};
use crate::{
    args::{BenchArgs, IngestPart},
    progress,
    settings::Settings,
};

const WEBHOOKS: u64 = 60_000;
const WARM_UP: u64 = 5_000;
const CONNECTIONS: usize = 64;
/// Enough that an arrival never has to wait for a free one.
const CONNECTIONS_AT_HALF_LOAD: usize = 256;
/// How long half of the highest rate is kept up.
const HALF_LOAD_SECONDS: f64 = 5.0;
const FLOOR: &str = "signature + HTTP echo + produce";

/// Runs one process of the bench.
pub async fn part(settings: Settings, part: IngestPart) -> anyhow::Result<ExitCode> {
    match part {
        IngestPart::Service => servers::service(&settings).await?,
        IngestPart::Floor => servers::floor(&settings).await?,
        IngestPart::Carrier(args) => carrier::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Service,
    Floor,
    FastApi,
}

/// Figures of one server with the webhooks of one carrier, one element per run.
#[derive(Default)]
struct Series {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    half_load_p99_ms: Vec<f64>,
}

#[derive(Default)]
struct Found {
    service: Series,
    floor: Series,
    fastapi: Series,
}

/// Measures both carriers.
pub async fn measure(
    settings: &Settings,
    args: &BenchArgs,
    machine: &mut Machine,
) -> anyhow::Result<Vec<Figure>> {
    anyhow::ensure!(
        machine.cores >= 2,
        "this bench needs a processor for the server and one for the carriers"
    );
    let python = python::with(peers::REQUIREMENTS, peers::ENVIRONMENT).await?;
    let mut settings = settings.clone();
    settings.kafka.prefix = format!("bench-{:x}.", SystemClock.now().timestamp());
    let admin = Admin::new(&settings.kafka)?;
    for topic in [&topics::CALLS, &topics::DEAD_LETTERS] {
        admin.apply(topic, 1).await?;
    }
    let found = runs(&settings, &python, args, machine).await;
    let names = [
        settings.kafka.topic(&topics::CALLS),
        settings.kafka.topic(&topics::DEAD_LETTERS),
    ];
    let in_dead_letters: i64 = admin
        .watermarks(&names[1])?
        .values()
        .map(|marks| marks.high)
        .sum();
    admin.delete(&names.each_ref().map(String::as_str)).await?;
    anyhow::ensure!(
        in_dead_letters == 0,
        "{in_dead_letters} webhooks of the bench were not understood"
    );
    let [telnyx, twilio] = found?;
    Ok([figures("ed25519", &telnyx), figures("hmac", &twilio)].concat())
}

async fn runs(
    settings: &Settings,
    python: &Path,
    args: &BenchArgs,
    machine: &mut Machine,
) -> anyhow::Result<[Found; 2]> {
    let count = args.events.unwrap_or(WEBHOOKS);
    let mut found = [Found::default(), Found::default()];
    let mut first = 1;
    for run in 0..args.runs.max(1) {
        // Everybody is first, second and last in turn.
        let mut order = [Who::Service, Who::Floor, Who::FastApi];
        order.rotate_left(run % 3);
        for who in order {
            let wheel = progress::wheel(format!("run {}: {}", run + 1, who.name()));
            let server = who.start(settings, python).await?;
            for (found, carrier) in found.iter_mut().zip([Carrier::Telnyx, Carrier::Twilio]) {
                let series = match who {
                    Who::Service => &mut found.service,
                    Who::Floor => &mut found.floor,
                    Who::FastApi => &mut found.fastapi,
                };
                let mut bench = Bench {
                    server: &server,
                    carrier,
                    first: &mut first,
                };
                machine.pause().await?;
                bench.run(count, who != Who::FastApi, series).await?;
            }
            server.stop().await?;
            wheel.finish_and_clear();
        }
    }
    Ok(found)
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Service => "our ingest",
            Self::Floor => "the floor",
            Self::FastApi => "FastAPI",
        }
    }

    async fn start(self, settings: &Settings, python: &Path) -> anyhow::Result<Server> {
        let part = match self {
            Self::Service => "service",
            Self::Floor => "floor",
            Self::FastApi => return peers::fastapi(settings, python).await,
        };
        let mut command = process::pinned(process::SERVER, std::env::current_exe()?);
        command
            .args(["bench", "part", part])
            .env("VOICE_KAFKA__PREFIX", &settings.kafka.prefix);
        Server::start(&mut command).await
    }
}

/// One server and the carrier that asks it.
struct Bench<'a> {
    server: &'a Server,
    carrier: Carrier,
    /// The number of the next webhook: none is sent twice, or the service would drop it as a replay.
    first: &'a mut u64,
}

impl Bench<'_> {
    async fn run(&mut self, count: u64, half_load: bool, series: &mut Series) -> anyhow::Result<()> {
        self.fire(WARM_UP, None).await?;
        let before = self.server.processor_time()?;
        let answers = self.fire(count, None).await?;
        let took = self.server.processor_time()? - before;
        #[allow(clippy::cast_precision_loss)] // Far below 2^52.
        series.cpu_us.push(took.as_secs_f64() * 1e6 / count as f64);
        series.per_second.push(answers.per_second);
        if half_load {
            let rate = answers.per_second / 2.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // A positive rate times seconds.
            let answers = self.fire((rate * HALF_LOAD_SECONDS) as u64, Some(rate)).await?;
            series.half_load_p99_ms.push(answers.p99_ms);
        }
        Ok(())
    }

    async fn fire(&mut self, count: u64, rate: Option<f64>) -> anyhow::Result<Answers> {
        let first = std::mem::replace(self.first, *self.first + count);
        let connections = if rate.is_some() {
            CONNECTIONS_AT_HALF_LOAD
        } else {
            CONNECTIONS
        };
        let mut command = process::pinned(process::CARRIER, std::env::current_exe()?);
        command
            .args([
                "bench",
                "part",
                "carrier",
                "--carrier",
                self.carrier.as_str(),
                "--at",
                &self.server.address,
            ])
            .args(["--count", &count.to_string(), "--first", &first.to_string()])
            .args(["--connections", &connections.to_string()]);
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let output = command.output().await?;
        anyhow::ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("the carrier said something else")
    }
}

fn figures(signature: &str, found: &Found) -> Vec<Figure> {
    let Found {
        service,
        floor,
        fastapi,
    } = found;
    let id = |name: &str| format!("{signature}.{name}");
    vec![
        Figure::alone(id("cpu_us"), "µs", &service.cpu_us).beside(
            peers::FASTAPI,
            &fastapi.cpu_us,
            ratios(&fastapi.cpu_us, &service.cpu_us),
        ),
        Figure::alone(id("over_floor"), "µs", &service.cpu_us).beside(
            FLOOR,
            &floor.cpu_us,
            ratios(&service.cpu_us, &floor.cpu_us),
        ),
        Figure::alone(id("per_second"), "webhooks/s", &service.per_second).beside(
            peers::FASTAPI,
            &fastapi.per_second,
            ratios(&service.per_second, &fastapi.per_second),
        ),
        Figure::alone(id("half_load_p99_ms"), "ms", &service.half_load_p99_ms).beside(
            FLOOR,
            &floor.half_load_p99_ms,
            ratios(&service.half_load_p99_ms, &floor.half_load_p99_ms),
        ),
    ]
}
