//! The campaigns of the bench and their people, who come in as an operator brings them in: from CSV files.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_compliance::Rules;
use voice_contacts::{
    import::{self, Import, Request},
    lists,
};
use voice_dialer::{
    campaigns::{Declarations, Mode},
    law::Law,
    setup::{self, NewCampaign, NewNumber},
    start,
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role, tenants};
use voice_providers::Provider;
use voice_schemas::{AgentId, CampaignId};
use voice_simulator::places::{PLACES, Place};
use voice_telephony::{PhoneNumber, PhoneTokenKey};
use voice_workers::agents::{self, Agent};

use crate::{args::DialArgs, commands::demo::company::Company, progress, settings::Settings};

/// What each account may dial in a second: twice what is promised of both.
const SPEED: f32 = 3_000.0;
/// Numbers to show, per account.
const CALLERS: u32 = 8;
/// Calls at once, of all campaigns.
const AT_ONCE: u32 = 4_000;

/// Makes the campaigns with their lists; none is started.
pub async fn make(
    settings: &Settings,
    api: &Database,
    company: &Company,
    args: &DialArgs,
) -> anyhow::Result<Vec<CampaignId>> {
    let worker = Database::connect(&settings.postgres, Role::Worker).await?;
    let sealer = settings.secrets.sealer().map_err(anyhow::Error::msg)?;
    let mut tx = worker.tenant(company.tenant).await?;
    let key = tenants::phone_key(&mut tx, &sealer)
        .await?
        .context("the company has no key for phone tokens")?;
    tx.rollback().await?;
    let bytes: [u8; 32] = key.expose().try_into().context("a key of another length")?;
    let place = open_place()?;
    let mut tx = api.tenant(company.tenant).await?;
    let pool = Uuid::now_v7();
    setup::caller_pool(&mut tx, pool, "bench").await?;
    for (block, account) in (0..).zip(&company.account_ids) {
        setup::line(&mut tx, *account, SPEED, SPEED).await?;
        for index in 0..CALLERS {
            let number = NewNumber {
                id: Uuid::now_v7(),
                pool,
                account: *account,
                number: parsed(&place.caller(block * CALLERS + index))?,
                country: place.region.to_owned(),
                presence: true,
                daily_cap: 100_000_000,
                verified_at: Some(DateTime::UNIX_EPOCH),
            };
            setup::caller_number(&mut tx, &number).await?;
        }
    }
    tx.commit().await?;

    let folder = settings.objects.folder.join("..").join("bench-contacts");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.csv", company.slug));
    let bar = progress::bar(args.contacts, "importing: people");
    let campaigns = u64::from(args.campaigns.max(1));
    let mut made = Vec::new();
    for campaign in 0..campaigns {
        let people = (args.contacts * campaign / campaigns)..(args.contacts * (campaign + 1) / campaigns);
        write(&file, &place, people.clone())?;
        let list = format!("bench {campaign}");
        let request = Request::new(&file, list.as_str());
        let key = PhoneTokenKey::new(bytes);
        let import = Import::open(&worker, company.tenant, key, request, SystemClock::shared()).await?;
        let report = import::run(import, |_| {}).await?;
        anyhow::ensure!(report.failure.is_none(), "the import failed: {report:?}");
        made.push(campaign_over(api, company, pool, &list, u32::try_from(campaigns)?).await?);
        bar.set_position(people.end);
    }
    bar.finish_and_clear();
    std::fs::remove_file(file)?;
    Ok(made)
}

fn parsed(number: &str) -> anyhow::Result<PhoneNumber> {
    PhoneNumber::parse(number).context("a number of the bench is none")
}

/// Where a crowd may be called now.
fn open_place() -> anyhow::Result<Place> {
    let (rules, now) = (Rules::embedded()?, SystemClock.now());
    PLACES
        .into_iter()
        .find(|place| place.crowd(0).is_some() && place.is_open(&rules, now))
        .context("no crowd may be called anywhere at this hour (07:00 to 08:00 UTC): try again later")
}

/// People who agreed to be surveyed by a machine.
fn write(file: &Path, place: &Place, people: std::ops::Range<u64>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(
        out,
        "phone,country,consent_type,consent_status,consent_captured_at"
    )?;
    for person in people {
        let number = place
            .crowd(u32::try_from(person)?)
            .context("there are not so many numbers")?;
        writeln!(
            out,
            "{number},{},ai_processing,granted,2026-01-01T00:00:00Z",
            place.region
        )?;
    }
    Ok(out.flush()?)
}

async fn campaign_over(
    api: &Database,
    company: &Company,
    pool: Uuid,
    list: &str,
    campaigns: u32,
) -> anyhow::Result<CampaignId> {
    let (id, agent) = (CampaignId::random(), AgentId::random());
    let mut tx = api.tenant(company.tenant).await?;
    // Nobody hears it: the carriers of the bench only pretend to stream.
    let talks = Agent::new(
        agent,
        list,
        Provider::OpenaiRealtime,
        "Ask how satisfied they are.",
    );
    agents::records::upsert(&mut tx, &talks).await?;
    let new = NewCampaign {
        mode: Mode::Agentless,
        max_concurrent: AT_ONCE.div_ceil(campaigns),
        purpose: "survey",
        caller_pool: Some(pool),
        ai_agent: Some(agent),
        safe_harbour_url: Some("https://audio.example/sorry.mp3".to_owned()),
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
        ..NewCampaign::new(id, list)
    };
    setup::campaign(&mut tx, &new).await?;
    let list = lists::find(&mut tx, list)
        .await?
        .context("the list was not made")?;
    setup::add_list(&mut tx, id, list.id).await?;
    tx.commit().await?;
    Ok(id)
}

/// Starts all of them.
pub async fn start(
    api: &Database,
    company: &Company,
    campaigns: &[CampaignId],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let law = Law::embedded()?;
    let bar = progress::bar(campaigns.len() as u64, "starting: campaigns");
    for campaign in campaigns {
        let mut tx = api.tenant(company.tenant).await?;
        start::start(&mut tx, &law, *campaign, now).await?;
        tx.commit().await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
