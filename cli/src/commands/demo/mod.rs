//! `voice demo`: a whole shift of simulated calls through the real pipeline, then a campaign dialled in real time, and
//! the proof that nothing was lost or doubled.
//!
//! Everything runs in this process on the stores it is pointed at, as a tenant of its own: ingest, dialer,
//! analytics and scheduler exactly as `voice all` runs them, and a carrier that plays the shift and takes the calls
//! of the campaign.

mod campaign;
pub mod company;
mod outcome;
mod report;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use voice_analytics::audit::Scope;
use voice_clickhouse::ClickHouse;
use voice_lifecycle::{Clock as _, Readiness, SystemClock};
use voice_simulator::{
    FactSet, Faults, Simulator,
    live::Live,
    plan::{LogNormal, PlannedCall, Shift},
    player::{Observer, PlayOptions, Progress, Tally},
    twin::{Twin, serve_twin},
    wire::Target,
};

use self::{company::Company, outcome::Outcome};
use crate::{
    args::DemoArgs,
    commands::{migrate, topics},
    progress,
    roles::{self, Role, Started},
    settings::Settings,
};

/// How long the platform may take to write what it took, before the audit judges it anyway.
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays the shift; fails when the audit does.
pub async fn run(mut settings: Settings, args: DemoArgs) -> anyhow::Result<ExitCode> {
    prepare(&mut settings).await?;
    let stop = CancellationToken::new();
    let providers = campaign::talks::providers(&mut settings, &stop).await?;
    voice_telemetry::init(&settings.telemetry)?;
    let wheel = progress::wheel("preparing the stores");
    migrate::postgres(&settings).await?;
    migrate::clickhouse(&settings).await?;
    topics::apply(&settings, 1).await?;
    let clickhouse = ClickHouse::new(&settings.clickhouse);
    let before = outcome::in_kafka(&settings)?;

    let twin = TcpListener::bind("127.0.0.1:0").await?;
    let carrier = Url::parse(&format!("http://{}", twin.local_addr()?))?;
    let now = SystemClock.now();
    let company = Company::found(&settings, &carrier, args.seed, now).await?;
    let context = Arc::new(settings.secrets.context_keys().map_err(anyhow::Error::msg)?);
    let simulator = Simulator::new(
        shift(&args, &company),
        faults(),
        company.accounts.clone(),
        Arc::clone(&context),
    )?;

    let started = roles::start(settings.clone(), &Role::ALL).await?;
    let live = Live::new(
        campaign::live_options(&args),
        Arc::clone(simulator.accounts()),
        started.clock.clone(),
    )?;
    live.deliver_to(target(&started, &settings)?);
    let living = tokio::spawn(live.clone().run(
        reqwest::Client::builder().build()?,
        stop.clone().cancelled_owned(),
    ));
    let serving = tokio::spawn({
        let answering = Twin::with_live(
            Arc::clone(simulator.plan()),
            Arc::clone(simulator.accounts()),
            Arc::clone(&context),
            simulator.shift_clock(),
            started.clock.clone(),
            live.clone(),
        );
        serve_twin(twin, answering, stop.clone().cancelled_owned())
    });
    ready(started.lifecycle.readiness()).await?;
    wheel.finish_and_clear();
    println!(
        "{} plays {} calls of {}, told by two carriers, with repeated, late and lost webhooks\n",
        company.name,
        args.calls,
        company.day.format("%A, %-d %B %Y"),
    );

    let played = play(&simulator, &started, target(&started, &settings)?, args.calls).await?;
    let outcome = settle(&settings, &clickhouse, &company, played, before).await?;
    let wheel = progress::wheel("making the report");
    let files = report::make(&settings, &started, &company, company.day, &args.out).await?;
    wheel.finish_and_clear();
    outcome.print(&files);

    let stage = campaign::Stage {
        settings: &settings,
        clickhouse: &clickhouse,
        company: &company,
        started: &started,
        context: &context,
        live: &live,
        args: &args,
    };
    let dialled = campaign::run(&stage).await?;
    if let Some(dialled) = &dialled {
        dialled.print(&stage).await?;
        let day = company.today.with_timezone(&company.zone).date_naive();
        for file in report::make(&settings, &started, &company, day, &args.out).await? {
            println!("the campaign's day: {}", file.display());
        }
    }

    stop.cancel();
    let report = started.lifecycle.run_until(std::future::ready(())).await;
    started.finish().await;
    serving.await?.context("the carrier twin")?;
    providers.await?.context("the providers' twins")?;
    living.await?;
    let audited = outcome.is_clean() && dialled.as_ref().is_none_or(campaign::Outcome::is_clean);
    println!(
        "\n{}",
        if audited {
            "the audit is green"
        } else {
            "THE AUDIT FAILED"
        }
    );
    let clean = audited && report.code() == 0;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a demo sets differently: keys of its own, free ports, quiet logs, a watchdog that is in a hurry.
async fn prepare(settings: &mut Settings) -> anyhow::Result<()> {
    company::bring_keys(settings)?;
    settings.ops.listen = ([127, 0, 0, 1], 0).into();
    settings.ops.readiness_delay_ms = 0;
    settings.ingest.listen = ([127, 0, 0, 1], 0).into();
    // One address plays both carriers.
    settings.ingest.per_address_per_second = 1_000_000;
    let media = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    settings.media.listen = media;
    settings.media.public_url = format!("ws://{media}");
    settings.media.drain_seconds = 5;
    settings.clickhouse.compress_inserts = false;
    settings.analytics.watchdog.interval_ms = 2_000;
    settings.analytics.watchdog.silence_ringing_ms = 8_000;
    settings.analytics.watchdog.silence_answered_ms = 8_000;
    // Longer than the answer to the first question takes to be written, else the same end stands in the log twice.
    settings.analytics.watchdog.ask_again_ms = 30_000;
    settings.scheduler.jobs.poll_ms = 200;
    if std::env::var_os("VOICE_TELEMETRY__FILTER").is_none() {
        settings.telemetry.filter = "error".to_owned();
    }
    settings.telemetry.format = voice_telemetry::LogFormat::Text;
    Ok(())
}

fn shift(args: &DemoArgs, company: &Company) -> Shift {
    // From eight in the morning to eight in the evening of the day that has just ended.
    let mut shift = Shift::new(args.seed, args.calls, company.today - TimeDelta::hours(16));
    // A dialler that keeps well below the legal ceiling of three abandoned calls in a hundred.
    shift.abandoned_share = 0.006;
    shift.agent_wait_ms = LogNormal::new(450.0, 0.5, 80, 6_000);
    shift
}

fn faults() -> Faults {
    Faults {
        duplicates: 0.02,
        reordered: 0.03,
        terminal_loss: 0.01,
        ..Faults::default()
    }
}

async fn ready(readiness: &Readiness) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !readiness.is_ready() {
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the platform did not become ready: {:?}",
            readiness.report().failing
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

struct Bar(indicatif::ProgressBar);

impl Observer for Bar {
    fn progress(&self, progress: &Progress) {
        self.0.set_position(progress.finished);
    }

    fn finished(&self, _: &PlannedCall, _: FactSet, _: FactSet) {}
}

/// Where the platform really is, and where it believes to be.
fn target(started: &Started, settings: &Settings) -> anyhow::Result<Target> {
    Ok(Target {
        connect: started.ingest.clone().context("ingest is not running")?,
        public: Url::parse(&settings.ingest.public_base_url)?,
    })
}

async fn play(simulator: &Simulator, started: &Started, target: Target, calls: u64) -> anyhow::Result<Tally> {
    let http = reqwest::Client::builder().build()?;
    let bar = Bar(progress::bar(calls, "calls"));
    let tally = simulator
        .play(&http, &target, &PlayOptions::default(), &started.clock, &bar)
        .await?;
    bar.0.finish();
    Ok(tally)
}

/// Waits until everything is written and every call has its end, then takes stock.
async fn settle(
    settings: &Settings,
    clickhouse: &ClickHouse,
    company: &Company,
    played: Tally,
    before: i64,
) -> anyhow::Result<Outcome> {
    let wheel = progress::wheel("waiting for the tables");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // Everything a demo plays is over, so no call of its tenant may lack its end.
    let scope = Scope {
        tenant: Some(company.tenant),
        silent_for_seconds: 0,
    };
    loop {
        let audit = voice_analytics::audit::run(&settings.kafka, clickhouse, scope).await?;
        let outcome = Outcome::take(settings, clickhouse, company, &played, audit, before).await?;
        if outcome.is_clean() || tokio::time::Instant::now() >= deadline {
            wheel.finish_and_clear();
            return Ok(outcome);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
