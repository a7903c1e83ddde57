//! `voice knowledge`.

mod files;

use std::process::ExitCode;

use anyhow::bail;
use voice_postgres::{Database, Role, TenantTx, tenants};
use voice_schemas::TenantId;
use voice_workers::knowledge::{Shelf, Written, search};

use super::table;
use crate::{
    args::{KnowledgeAction, KnowledgeImportArgs, KnowledgeSearchArgs},
    progress,
    settings::Settings,
};

/// So many faults are shown; all of them are counted.
const SHOWN: usize = 50;

/// Imports articles, looks something up, or says who may.
pub async fn run(settings: &Settings, action: KnowledgeAction) -> anyhow::Result<ExitCode> {
    match action {
        KnowledgeAction::Import(args) => import(settings, args).await,
        KnowledgeAction::Search(args) => show(settings, args).await,
        KnowledgeAction::Allow {
            collections,
            tenant,
            agent,
        } => {
            let mut tx = open(settings, &tenant).await?;
            search::allow(&mut tx, agent, &collections).await?;
            tx.commit().await?;
            match collections.len() {
                0 => println!("{agent} may look up nothing"),
                _ => println!("{agent} may look things up in {}", collections.join(", ")),
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn open(settings: &Settings, name: &str) -> anyhow::Result<TenantTx> {
    let database = Database::connect(&settings.postgres, Role::Api).await?;
    let id: Option<TenantId> = name.parse().ok();
    let tenants = tenants::all(&database).await?;
    let Some(tenant) = tenants.iter().find(|one| Some(one.id) == id || one.slug == name) else {
        bail!("there is no tenant `{name}`");
    };
    Ok(database.tenant(tenant.id).await?)
}

#[derive(Default)]
struct Counters {
    read: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    invalid: u64,
    removed: u64,
}

async fn import(settings: &Settings, args: KnowledgeImportArgs) -> anyhow::Result<ExitCode> {
    let entries = files::read(&args.path, &args.language)?;
    let mut tx = open(settings, &args.tenant).await?;
    let bar = progress::bar(entries.len() as u64, "importing");
    let mut counters = Counters::default();
    let mut shelf = Shelf::open(&mut tx, &args.collection).await?;
    for entry in entries {
        counters.read += 1;
        let put = match &entry.article {
            Ok(article) => shelf.put(article).await?.map_err(|fault| fault.to_string()),
            Err(fault) => Err(fault.clone()),
        };
        match put {
            Ok(Written::Created) => counters.created += 1,
            Ok(Written::Updated) => counters.updated += 1,
            Ok(Written::Unchanged) => counters.unchanged += 1,
            Err(fault) => {
                counters.invalid += 1;
                if counters.invalid <= SHOWN as u64 {
                    bar.suspend(|| println!("{}: {fault}", entry.place));
                }
            }
        }
        bar.inc(1);
    }
    if args.prune {
        if counters.invalid > 0 {
            bail!("nothing was imported: what cannot be read might be what --prune would take out");
        }
        counters.removed = shelf.prune().await?;
    }
    shelf.close().await?;
    if args.dry_run {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    bar.finish_and_clear();
    if counters.invalid > SHOWN as u64 {
        println!("and {} more", counters.invalid - SHOWN as u64);
    }
    let mut rows = table(&["read", "created", "updated", "unchanged", "invalid", "removed"]);
    let Counters {
        read,
        created,
        updated,
        unchanged,
        invalid,
        removed,
    } = counters;
    rows.add_row([read, created, updated, unchanged, invalid, removed].map(|figure| figure.to_string()));
    println!("{rows}");
    if args.dry_run {
        println!("a dry run: nothing was written");
    }
    Ok(if invalid == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn show(settings: &Settings, args: KnowledgeSearchArgs) -> anyhow::Result<ExitCode> {
    let mut tx = open(settings, &args.tenant).await?;
    let collections = match args.agent {
        Some(agent) => search::allowed(&mut tx, agent).await?,
        None if args.collection.is_empty() => search::collections(&mut tx).await?,
        None => args.collection,
    };
    let found = search(&mut tx, &collections, &args.question).await?;
    tx.rollback().await?;
    if found.is_empty() {
        println!("nothing was found");
        return Ok(ExitCode::SUCCESS);
    }
    for passage in found {
        println!("{}  {}\n  {}\n", passage.article, passage.title, passage.text);
    }
    Ok(ExitCode::SUCCESS)
}
