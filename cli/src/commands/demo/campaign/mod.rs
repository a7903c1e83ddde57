//! The live part of a demo: a campaign over a list of people, dialled through both carriers in real time by the dialer
//! that runs in this process, with simulated people behind every number.

mod log;
mod outcome;
mod people;
mod spoken;
mod staff;
pub mod talks;
mod watch;

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use voice_clickhouse::ClickHouse;
use voice_compliance::Rules;
use voice_contacts::import::Report;
use voice_dialer::{
    campaigns::{self, CommandError, Declarations, Mode},
    law::Law,
    setup::{self, NewCampaign, NewNumber},
};
use voice_postgres::{Database, Role};
use voice_schemas::{CampaignId, events::campaign::CampaignStatus};
use voice_simulator::{
    Faults,
    live::{Detector, Fate, Limits, Live, LiveOptions, Population, Streams},
    places::{self, Place},
    plan::LogNormal,
};
use voice_telephony::{ContextKeys, PhoneNumber};
use voice_workers::agents;

pub use self::outcome::Outcome;
use self::{people::Written, staff::Staff};
use super::company::Company;
use crate::{
    args::{ContactsAction, DemoArgs, ImportArgs, SuppressArgs},
    commands::contacts,
    roles::Started,
    settings::Settings,
};

/// Numbers to show, for each carrier.
const CALLERS: u32 = 4;
/// Dials a second through Telnyx and through Twilio, which would queue more.
const SPEEDS: [f32; 2] = [20.0, 4.0];
/// A campaign that is not through by then has got stuck.
const PATIENCE: Duration = Duration::from_secs(600);

/// The people behind the numbers: short talks, so that a campaign is through in some minutes.
pub fn live_options(args: &DemoArgs) -> LiveOptions {
    LiveOptions {
        seed: args.seed,
        population: Population {
            fates: vec![
                (Fate::Person, 0.28),
                (Fate::Machine, 0.27),
                (Fate::Fax, 0.005),
                (Fate::Screened, 0.015),
                (Fate::Busy, 0.06),
                (Fate::RingsOut, 0.27),
                (Fate::Disconnected, 0.06),
                (Fate::Rejected, 0.02),
                (Fate::CarrierFailure, 0.02),
            ],
            talk_ms: LogNormal::new(13_000.0, 0.5, 2_000, 60_000),
            ai_talk_ms: LogNormal::new(13_000.0, 0.5, 2_000, 60_000),
            noticing_ms: LogNormal::new(3_000.0, 0.3, 1_500, 8_000),
            recording_ms: LogNormal::new(8_000.0, 0.3, 4_000, 20_000),
            detector: Detector {
                person_ms: LogNormal::new(600.0, 0.25, 250, 3_000),
                machine_ms: LogNormal::new(750.0, 0.25, 300, 4_000),
                ..Detector::default()
            },
            ..Population::default()
        },
        // What a carrier allows is a little more than the platform makes use of.
        limits: SPEEDS
            .map(|speed| Limits {
                calls_per_second: f64::from(speed) * 1.25,
                calls_at_once: 1_000,
            })
            .into(),
        faults: Faults {
            latency_ms: LogNormal::new(80.0, 0.5, 20, 1_000),
            duplicates: 0.05,
            reordered: 0.03,
            reorder_window_ms: 1_500,
            terminal_loss: 0.02,
            ..Faults::none()
        },
        streams: Streams::Opened,
        ..LiveOptions::default()
    }
}

/// What the campaign runs with.
pub struct Stage<'a> {
    pub settings: &'a Settings,
    pub clickhouse: &'a ClickHouse,
    pub company: &'a Company,
    pub started: &'a Started,
    pub context: &'a ContextKeys,
    pub live: &'a Live,
    pub args: &'a DemoArgs,
}

/// Imports the list, dials it, and takes stock; `None` when the demo goes without a campaign.
pub async fn run(stage: &Stage<'_>) -> anyhow::Result<Option<Outcome>> {
    let args = stage.args;
    if args.contacts == 0 {
        return Ok(None);
    }
    let now = stage.started.clock.now();
    let place = choose(args, now)?;
    println!(
        "\na campaign over {} rows of people in {}, where it is lawful to call now: predictive, {} people, AI overflow\n",
        args.contacts, place.name, args.agents
    );
    let api = Database::connect(&stage.settings.postgres, Role::Api).await?;
    let (written, report) = bring_people_in(stage, &place, now).await?;
    let campaign = set_up(stage, &api, &place, now).await?;
    let staff = Staff::sign_in(
        api.clone(),
        stage.company.tenant,
        campaign,
        args.agents,
        Arc::clone(&stage.started.clock),
    )
    .await?;
    start(stage, &api, campaign).await?;
    let stop = CancellationToken::new();
    let working = tokio::spawn(staff.clone().work(args.seed, stop.clone()));
    staff.busy_times.store(true, Ordering::Relaxed);
    let seen = watch::until_completed(stage, &api, campaign, &staff, PATIENCE).await;
    stop.cancel();
    working.await.context("the people of the demo")??;
    let seen = seen?;
    if seen.status != CampaignStatus::Completed {
        println!("the campaign is {} after {} s", seen.status, PATIENCE.as_secs());
    }
    let outcome = outcome::settle(stage, &api, campaign, written, &report, seen, staff.worked()).await?;
    Ok(Some(outcome))
}

/// Where it is lawful to call, or where the person wants to, come what may.
fn choose(args: &DemoArgs, now: DateTime<Utc>) -> anyhow::Result<Place> {
    let rules = Rules::embedded()?;
    let Some(code) = &args.place else {
        return places::open_now(&rules, now)
            .context("nobody anywhere may be called at this hour: try again later");
    };
    let Some(place) = places::named(code) else {
        let codes: Vec<&str> = places::PLACES.iter().map(|place| place.code).collect();
        bail!("no place is called `{code}`: use one of {}", codes.join(", "));
    };
    if !place.is_open(&rules, now) {
        println!(
            "{}: it is not lawful to call there now or within {} minutes; the campaign will wait and not complete",
            place.name,
            places::STAYS.num_minutes()
        );
    }
    Ok(place)
}

/// Writes the list, keeps some numbers from being called, and imports it as `voice contacts import` does.
async fn bring_people_in(
    stage: &Stage<'_>,
    place: &Place,
    now: DateTime<Utc>,
) -> anyhow::Result<(Written, Report)> {
    let folder = stage.settings.objects.folder.join("..").join("demo-contacts");
    std::fs::create_dir_all(&folder)?;
    let named = |name: &str| folder.join(format!("{}-{name}", stage.company.slug));
    let (list, stopped, errors) = (named("people.csv"), named("do-not-call.txt"), named("errors.csv"));
    let written = people::write(
        &list,
        &stopped,
        place,
        stage.args.contacts,
        (stage.args.seed, stage.args.ai_consent),
        now,
    )?;
    let suppress = SuppressArgs {
        file: stopped,
        tenant: stage.company.slug.clone(),
        reason: "do_not_call_list".to_owned(),
        campaign: None,
        days: None,
        region: Some(place.region.to_owned()),
    };
    contacts::run(stage.settings, ContactsAction::Suppress(suppress)).await?;
    let import = ImportArgs {
        file: list,
        tenant: stage.company.slug.clone(),
        list: "People".to_owned(),
        region: Some(place.region.to_owned()),
        mapping: Vec::new(),
        dry_run: false,
        errors: Some(errors),
        delimiter: None,
        encoding: None,
    };
    let report = contacts::bring_in(stage.settings, import).await?;
    if let Some(failure) = &report.failure {
        bail!("the import failed: {failure}");
    }
    Ok((written, report))
}

/// Writes the campaign and everything it refers to.
async fn set_up(
    stage: &Stage<'_>,
    api: &Database,
    place: &Place,
    now: DateTime<Utc>,
) -> anyhow::Result<CampaignId> {
    let (campaign, pool, policy) = (CampaignId::random(), Uuid::now_v7(), Uuid::now_v7());
    let mut tx = api.tenant(stage.company.tenant).await?;
    let agent = talks::agent();
    agents::records::upsert(&mut tx, &agent).await?;
    let agent = agent.id;
    setup::caller_pool(&mut tx, pool, "Demo").await?;
    setup::retry_policy(&mut tx, policy, "Once", 1).await?;
    setup::disposition(&mut tx, Uuid::now_v7(), "success", "sale").await?;
    let accounts = stage.company.account_ids.iter().zip(SPEEDS);
    for (at, (account, speed)) in (0..).zip(accounts) {
        setup::line(&mut tx, *account, speed, speed).await?;
        for index in 0..CALLERS {
            let number = NewNumber {
                id: Uuid::now_v7(),
                pool,
                account: *account,
                number: PhoneNumber::parse(&place.caller(at * CALLERS + index))
                    .context("a number to show is none")?,
                country: place.region.to_owned(),
                presence: true,
                daily_cap: 10_000,
                verified_at: Some(now),
            };
            setup::caller_number(&mut tx, &number).await?;
        }
    }
    let list = voice_contacts::lists::find(&mut tx, "People")
        .await?
        .context("the list was not made")?
        .id;
    let new = NewCampaign {
        mode: Mode::Predictive,
        max_concurrent: 300,
        amd: "hang_up",
        safe_harbour_url: Some("https://audio.example/sorry.mp3".to_owned()),
        ai_agent: Some(agent),
        ai_overflow: true,
        purpose: "survey",
        caller_pool: Some(pool),
        retry_policy: Some(policy),
        declarations: Declarations {
            consent_automated: true,
            consent_proof: true,
            message_names_company: true,
            message_says_number: true,
            ai_discloses: true,
            ai_offers_opt_out: true,
            identifies_at_start: true,
            records_kept_days: 1_900,
            ..Declarations::default()
        },
        ..NewCampaign::new(campaign, "How satisfied are you?")
    };
    setup::campaign(&mut tx, &new).await?;
    let people = agents::targets::Target::Queue(campaign);
    agents::targets::allow(&mut tx, agent, talks::QUEUE, people).await?;
    setup::add_list(&mut tx, campaign, list).await?;
    tx.commit().await?;
    Ok(campaign)
}

/// Starts it, or says everything that stands against it.
async fn start(stage: &Stage<'_>, api: &Database, campaign: CampaignId) -> anyhow::Result<()> {
    let law = Law::embedded()?;
    let mut tx = api.tenant(stage.company.tenant).await?;
    match voice_dialer::start::start(&mut tx, &law, campaign, stage.started.clock.now()).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(())
        }
        Err(CommandError::Faulty(faults)) => {
            println!("the campaign cannot start:");
            for fault in faults {
                println!("  {}: {}", fault.code, fault.text);
            }
            bail!("the campaign of the demo cannot start")
        }
        Err(error) => Err(error.into()),
    }
}

async fn status(api: &Database, stage: &Stage<'_>, campaign: CampaignId) -> anyhow::Result<CampaignStatus> {
    let mut tx = api.tenant(stage.company.tenant).await?;
    let loaded = campaigns::load(&mut tx, campaign).await?;
    tx.rollback().await?;
    Ok(loaded.context("the campaign is gone")?.status)
}
