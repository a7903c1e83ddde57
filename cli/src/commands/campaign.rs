//! `voice campaign`: start, pause, look, and ask why a contact is not called.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use voice_dialer::{
    campaigns::{self, CommandError},
    law::Law,
    selection, start,
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role, tenants};
use voice_schemas::TenantId;

use super::table;
use crate::{
    args::{CampaignAction, CampaignArgs},
    settings::Settings,
};

pub async fn run(settings: &Settings, action: CampaignAction) -> anyhow::Result<ExitCode> {
    let database = Database::connect(&settings.postgres, Role::Api)
        .await
        .context("connecting to Postgres")?;
    match action {
        CampaignAction::Start(campaign) => start_it(&database, &campaign).await,
        CampaignAction::Pause(campaign) => pause(&database, &campaign).await,
        CampaignAction::Status(campaign) => status(&database, &campaign).await,
        CampaignAction::Explain { campaign, contact } => explain(&database, &campaign, contact).await,
        CampaignAction::Funnel(campaign) => funnel(&database, &campaign).await,
        CampaignAction::Stop { tenant, reason } => {
            let tenant = whose(&database, tenant.as_deref()).await?;
            let mut tx = database.tenant(tenant).await?;
            campaigns::stop_dialling(&mut tx, &reason, SystemClock.now()).await?;
            tx.commit().await?;
            println!("dialling is stopped");
            Ok(ExitCode::SUCCESS)
        }
        CampaignAction::Allow { tenant } => {
            let tenant = whose(&database, tenant.as_deref()).await?;
            let mut tx = database.tenant(tenant).await?;
            campaigns::allow_dialling(&mut tx).await?;
            tx.commit().await?;
            println!("dialling is allowed");
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn whose(database: &Database, slug: Option<&str>) -> anyhow::Result<TenantId> {
    match slug {
        Some(slug) => tenant(database, slug).await,
        None => Ok(campaigns::EVERYBODY),
    }
}

async fn tenant(database: &Database, slug: &str) -> anyhow::Result<TenantId> {
    let all = tenants::all(database).await?;
    let found = all.into_iter().find(|tenant| tenant.slug == slug);
    found
        .map(|tenant| tenant.id)
        .with_context(|| format!("there is no tenant `{slug}`"))
}

async fn start_it(database: &Database, args: &CampaignArgs) -> anyhow::Result<ExitCode> {
    let law = Law::embedded()?;
    let mut tx = database.tenant(tenant(database, &args.tenant).await?).await?;
    match start::start(&mut tx, &law, args.campaign, SystemClock.now()).await {
        Ok(transition) => {
            tx.commit().await?;
            println!("{} is {}", args.campaign, transition.to);
            Ok(ExitCode::SUCCESS)
        }
        Err(CommandError::Faulty(faults)) => {
            println!("{} cannot start:", args.campaign);
            for fault in faults {
                println!("  {}: {}", fault.code, fault.text);
            }
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

async fn pause(database: &Database, args: &CampaignArgs) -> anyhow::Result<ExitCode> {
    let mut tx = database.tenant(tenant(database, &args.tenant).await?).await?;
    let transition = start::pause(&mut tx, args.campaign, SystemClock.now()).await?;
    tx.commit().await?;
    println!("{} is {}", args.campaign, transition.to);
    Ok(ExitCode::SUCCESS)
}

async fn status(database: &Database, args: &CampaignArgs) -> anyhow::Result<ExitCode> {
    let mut tx = database.tenant(tenant(database, &args.tenant).await?).await?;
    let Some(campaign) = campaigns::load(&mut tx, args.campaign).await? else {
        bail!("there is no such campaign");
    };
    let funnel = campaigns::funnel(&mut tx, args.campaign, SystemClock.now()).await?;
    let mut table = table(&[
        "campaign",
        "status",
        "mode",
        "contacts",
        "dialling",
        "completed",
        "left",
    ]);
    table.add_row([
        campaign.name.clone(),
        campaign.status.to_string(),
        campaign.mode.as_str().to_owned(),
        funnel.total().to_string(),
        funnel.dialling.to_string(),
        funnel.completed.to_string(),
        (funnel.due + funnel.waiting + funnel.out_of_window + funnel.capped + funnel.held_back).to_string(),
    ]);
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

async fn explain(
    database: &Database,
    args: &CampaignArgs,
    contact: voice_schemas::ContactId,
) -> anyhow::Result<ExitCode> {
    let law = Law::embedded()?;
    let mut tx = database.tenant(tenant(database, &args.tenant).await?).await?;
    let Some(campaign) = campaigns::load(&mut tx, args.campaign).await? else {
        bail!("there is no such campaign");
    };
    let found = selection::explain(&mut tx, &law, &campaign, contact, SystemClock.now()).await?;
    let Some(found) = found else {
        bail!("{contact} is not in the campaign");
    };
    println!("state          {}", found.state);
    println!("attempts       {}", found.attempts_made);
    println!(
        "last outcome   {}",
        found.last_outcome.as_deref().unwrap_or("none")
    );
    if found.reasons.is_empty() {
        println!("why not        nothing stands against a call");
    } else {
        println!("why not        {}", found.reasons.join(", "));
    }
    if let Some(next) = found.next_at {
        println!("next eligible  {next}");
    }
    if let Some(local) = found.local_time {
        println!("their clock    {local}");
    }
    println!("rules          {}", found.policy_version);
    Ok(ExitCode::SUCCESS)
}

async fn funnel(database: &Database, args: &CampaignArgs) -> anyhow::Result<ExitCode> {
    let mut tx = database.tenant(tenant(database, &args.tenant).await?).await?;
    let funnel = campaigns::funnel(&mut tx, args.campaign, SystemClock.now()).await?;
    let mut table = table(&["where", "contacts"]);
    for (name, count) in [
        ("due", funnel.due),
        ("waiting for a retry", funnel.waiting),
        ("out of hours", funnel.out_of_window),
        ("capped", funnel.capped),
        ("held back", funnel.held_back),
        ("dialling", funnel.dialling),
        ("completed", funnel.completed),
        ("exhausted", funnel.exhausted),
        ("suppressed", funnel.suppressed),
        ("failed", funnel.failed),
        ("all", funnel.total()),
    ] {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    println!("{table}");
    for (reason, contacts) in funnel.reasons {
        println!("  {contacts:>9}  {reason}");
    }
    if let Some(next) = funnel.next_at {
        println!("the next is due at {next}");
    }
    Ok(ExitCode::SUCCESS)
}
