//! `voice bench dial`: whole attempts a second, everything on one machine.
//!
//! Every role runs in this process as `voice all` runs them, beside both simulated carriers. Everybody who is called
//! answers at once and is done with the AI agent at once, so that an attempt is all of it and nothing but work: claimed,
//! judged by the rule packs, committed, asked of a carrier over HTTP, told back by signed webhooks (initiated, ringing,
//! answered, ended), through Kafka, ended in Postgres and written to ClickHouse.

mod campaigns;
mod tables;
mod ticks;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use voice_clickhouse::ClickHouse;
use voice_dialer::{attempts, campaigns as dialled};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role as DatabaseRole};
use voice_schemas::events::call::CallOutcome;
use voice_simulator::{
    live::{Fate, Live, LiveOptions, Population},
    twin::{Twin, serve_twin},
    wire::Target,
};

use self::ticks::Ticks;
use super::{figures::Figure, machine::Machine};
use crate::{
    args::DialArgs,
    commands::{
        demo::company::{self, Company},
        migrate, topics,
    },
    progress,
    roles::{self, Role},
    settings::Settings,
};

/// Rates are looked at over so long.
/// Everybody but media workers: the simulated carriers pretend that an agent talks.
const ROLES: [Role; 4] = [Role::Ingest, Role::Dialer, Role::Analytics, Role::Scheduler];
const LOOK: Duration = Duration::from_secs(10);
/// Until everybody has found their pace.
const WARM_UP: Duration = Duration::from_secs(20);
/// What is under way at the end may take so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures; fails when an attempt was lost or doubled.
pub async fn measure(
    settings: &Settings,
    args: &DialArgs,
    machine: &mut Machine,
) -> anyhow::Result<Vec<Figure>> {
    let tag = format!("bench_{:x}", SystemClock.now().timestamp());
    let mut settings = prepared(settings, &tag).await?;
    company::bring_keys(&mut settings)?;
    let wheel = progress::wheel("preparing the stores");
    migrate::postgres(&settings).await?;
    migrate::clickhouse(&settings).await?;
    topics::apply(&settings, 1).await?;
    wheel.finish_and_clear();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let carrier = Url::parse(&format!("http://{}", listener.local_addr()?))?;
    let company = Company::found(&settings, &carrier, 7, SystemClock.now()).await?;
    let api = Database::connect(&settings.postgres, DatabaseRole::Api).await?;
    let made = campaigns::make(&settings, &api, &company, args).await?;
    machine.pause().await?;

    let started = roles::start(settings.clone(), &ROLES).await?;
    let accounts: Arc<[_]> = company.accounts.clone().into();
    let options = LiveOptions {
        population: Population::instant(Fate::Person),
        // The truth of a call is asked of Postgres and ClickHouse here.
        remember: 10_000,
        ..LiveOptions::default()
    };
    let live = Live::new(options, Arc::clone(&accounts), started.clock.clone())?;
    live.deliver_to(Target {
        connect: started.ingest.clone().context("ingest is not running")?,
        public: Url::parse(&settings.ingest.public_base_url)?,
    });
    let stop = CancellationToken::new();
    let http = reqwest::Client::builder().pool_max_idle_per_host(512).build()?;
    let living = tokio::spawn(live.clone().run(http, stop.clone().cancelled_owned()));
    let twin = Twin::of_live(accounts, started.clock.clone(), live.clone());
    let serving = tokio::spawn(serve_twin(listener, twin, stop.clone().cancelled_owned()));

    campaigns::start(&api, &company, &made, started.clock.now()).await?;
    let clickhouse = ClickHouse::new(&settings.clickhouse);
    let found = watch(&settings, &clickhouse, args).await;
    let mut tx = api.tenant(company.tenant).await?;
    dialled::stop_dialling(&mut tx, "the bench is over", started.clock.now()).await?;
    tx.commit().await?;
    let found = found?;
    settle(&api, &clickhouse, &company, &live).await?;

    let report = started.lifecycle.run_until(std::future::ready(())).await;
    started.finish().await;
    stop.cancel();
    serving.await?.context("the carrier twin")?;
    living.await?;
    anyhow::ensure!(report.code() == 0, "the platform did not stop cleanly");
    tables::drop(&settings, &clickhouse).await?;
    Ok(figures(&found))
}

/// Topics and tables of the bench's own; free ports; no limits on simulated carriers.
async fn prepared(settings: &Settings, tag: &str) -> anyhow::Result<Settings> {
    let mut settings = settings.clone();
    settings.kafka.prefix = format!("{tag}.");
    settings.clickhouse.database = tag.to_owned();
    settings.clickhouse.compress_inserts = false;
    settings.ops.listen = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    settings.ops.readiness_delay_ms = 0;
    settings.ingest.listen = ([127, 0, 0, 1], 0).into();
    settings.ingest.per_address_per_second = 10_000_000;
    Ok(settings)
}

/// What was seen while it ran.
#[derive(Default)]
struct Found {
    /// Attempts a second in each look.
    rates: Vec<f64>,
    whole: f64,
    ticks: Ticks,
}

async fn watch(settings: &Settings, clickhouse: &ClickHouse, args: &DialArgs) -> anyhow::Result<Found> {
    let bar = progress::bar(args.seconds, "dialling: seconds");
    tokio::time::sleep(WARM_UP).await;
    let ticks = Ticks::read(settings.ops.listen).await?;
    let began = tokio::time::Instant::now();
    let first = tables::finished(clickhouse).await?;
    let (mut at, mut before) = (began, first);
    let mut found = Found::default();
    while began.elapsed() < Duration::from_secs(args.seconds) {
        tokio::time::sleep(LOOK).await;
        let (now, finished) = (tokio::time::Instant::now(), tables::finished(clickhouse).await?);
        found.rates.push(rate(finished - before, now - at));
        found.whole = rate(finished - first, now - began);
        (at, before) = (now, finished);
        bar.set_position(began.elapsed().as_secs());
        bar.set_message(format!("dialling: {:.0} a second", found.whole));
    }
    bar.finish_and_clear();
    found.ticks = Ticks::read(settings.ops.listen).await?.since(&ticks);
    Ok(found)
}

/// Waits until nothing is under way, and holds the stores and the carriers against each other.
async fn settle(
    api: &Database,
    clickhouse: &ClickHouse,
    company: &Company,
    live: &Live,
) -> anyhow::Result<()> {
    let wheel = progress::wheel("waiting for the last calls");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut tx = api.tenant(company.tenant).await?;
        let totals = attempts::totals(&mut tx).await?;
        tx.rollback().await?;
        let finished = tables::finished(clickhouse).await?;
        let truth = live.truth();
        // Whoever was claimed when the bench ended was not called any more.
        let completed = totals.ended.get(&CallOutcome::Completed).copied().unwrap_or(0);
        let same =
            totals.finished() == finished && completed == truth.placed && truth.answered == truth.placed;
        if totals.open == 0 && same && live.is_quiet() {
            wheel.finish_and_clear();
            println!(
                "{completed} calls: all answered, and ended once in Postgres, in ClickHouse and at the carriers"
            );
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the stores do not agree: {totals:?} in Postgres, {finished} in ClickHouse, {truth:?} at the carriers"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn figures(found: &Found) -> Vec<Figure> {
    let slowest = found.rates.iter().copied().fold(f64::INFINITY, f64::min);
    vec![
        Figure::alone("attempts_per_second", "attempts/s", &[found.whole]),
        Figure::alone("slowest_ten_seconds", "attempts/s", &[slowest]),
        Figure::alone("tick_ms", "ms", &[found.ticks.tick.mean_ms()]),
        Figure::alone("claim_ms", "ms", &[found.ticks.claim.mean_ms()]),
    ]
}

#[allow(clippy::cast_precision_loss)] // Far below 2^52.
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
