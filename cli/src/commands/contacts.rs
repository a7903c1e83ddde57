//! `voice contacts`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use voice_contacts::{
    Code, Numbers, Region, Told, file,
    import::{self, Import, Progress, Report, Request, Setup},
    suppressions::{self, Reason, Scope},
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role, tenants};
use voice_schemas::{CampaignId, TenantId};
use voice_telephony::PhoneTokenKey;

use super::table;
use crate::{
    args::{ContactsAction, ImportArgs, SuppressArgs},
    progress,
    settings::Settings,
};

/// Imports people or suppresses numbers.
pub async fn run(settings: &Settings, action: ContactsAction) -> anyhow::Result<ExitCode> {
    match action {
        ContactsAction::Import(args) => import(settings, args).await,
        ContactsAction::Suppress(args) => suppress(settings, args).await,
        ContactsAction::Register(args) => super::registers::run(settings, args).await,
    }
}

/// A tenant whose numbers can be read.
pub(super) struct Place {
    pub(super) database: Database,
    pub(super) tenant: TenantId,
    pub(super) key: PhoneTokenKey,
}

impl Place {
    pub(super) async fn open(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let sealer = settings.secrets.sealer().map_err(anyhow::Error::msg)?;
        let database = Database::connect(&settings.postgres, Role::Worker).await?;
        let id: Option<TenantId> = name.parse().ok();
        let tenants = tenants::all(&database).await?;
        let Some(tenant) = tenants.iter().find(|one| Some(one.id) == id || one.slug == name) else {
            bail!("there is no tenant `{name}`");
        };
        let mut tx = database.tenant(tenant.id).await?;
        let key = tenants::phone_key(&mut tx, &sealer)
            .await?
            .context("the tenant has no key for phone tokens")?;
        tx.rollback().await?;
        let bytes: [u8; 32] = key
            .expose()
            .try_into()
            .context("the tenant's key for phone tokens is not 32 bytes")?;
        Ok(Self {
            database,
            tenant: tenant.id,
            key: PhoneTokenKey::new(bytes),
        })
    }
}

pub(super) fn region(code: Option<&str>) -> anyhow::Result<Option<Region>> {
    code.map(|code| Region::parse(code).with_context(|| format!("no country has the code `{code}`")))
        .transpose()
}

async fn import(settings: &Settings, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let dry_run = args.dry_run;
    let report = bring_in(settings, args).await?;
    if let Some(failure) = report.failure {
        println!("the import failed: {failure}");
        return Ok(ExitCode::FAILURE);
    }
    if dry_run {
        println!("a dry run: nothing was written");
    }
    Ok(ExitCode::SUCCESS)
}

/// Imports, and shows how it goes and what came of it.
pub async fn bring_in(settings: &Settings, args: ImportArgs) -> anyhow::Result<Report> {
    let request = Request {
        region: region(args.region.as_deref())?,
        told: args
            .mapping
            .iter()
            .map(|one| one.parse())
            .collect::<Result<Vec<Told>, _>>()?,
        delimiter: args.delimiter.as_deref().map(delimiter).transpose()?,
        encoding: match args.encoding {
            Some(name) => {
                Some(file::encoding(&name).with_context(|| format!("no encoding is called `{name}`"))?)
            }
            None => None,
        },
        dry_run: args.dry_run,
        errors: args.errors.clone(),
        ..Request::new(args.file, args.list)
    };
    let place = Place::open(settings, &args.tenant).await?;
    let looking = progress::wheel("looking at the file");
    let import = Import::open(
        &place.database,
        place.tenant,
        place.key,
        request,
        SystemClock::shared(),
    )
    .await;
    looking.finish_and_clear();
    let import = import?;
    println!("{}", show_setup(import.setup()));
    if import.is_resumed() {
        println!(
            "going on with an unfinished import, behind row {}",
            import.progress().counters.read()
        );
    }
    let bar = progress::bytes(import.progress().of_bytes, "importing");
    bar.set_position(import.progress().bytes);
    bar.reset_eta();
    let tell = |progress: Progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} rows", progress.counters.read()));
    };
    let report = import::run(import, tell).await;
    bar.finish_and_clear();
    let report = report.context("the same command goes on where this one ended")?;
    println!("{}", show_report(&report));
    if !report.faults.is_empty() {
        println!("{}", show_faults(&report.faults));
        match &args.errors {
            Some(path) => println!("every line and column: {}", path.display()),
            None => println!("--errors FILE.csv says every line and column"),
        }
    }
    Ok(report)
}

fn delimiter(name: &str) -> anyhow::Result<u8> {
    match name {
        "tab" | "\\t" => Ok(b'\t'),
        one if one.len() == 1 && one.is_ascii() && !"\"\r\n".contains(one) => Ok(one.as_bytes()[0]),
        other => bail!("`{other}` is no delimiter: use one character, or `tab`"),
    }
}

fn show_setup(setup: &Setup) -> String {
    let mut rows = table(&["column", "is"]);
    for column in &setup.columns.columns {
        rows.add_row([column.name.as_str(), column.field.as_str()]);
    }
    let delimiter = match setup.delimiter {
        b'\t' => "tabs".to_owned(),
        other => format!("`{}`", char::from(other)),
    };
    let header = if setup.columns.has_header {
        "with"
    } else {
        "without"
    };
    format!(
        "{}: {} bytes, {}, cells separated by {delimiter}, {header} a heading\n{rows}",
        setup.file_name,
        setup.bytes,
        setup.encoding.name()
    )
}

fn show_report(report: &Report) -> String {
    let mut rows = table(&["read", "created", "updated", "duplicate", "invalid", "suppressed"]);
    let counters = &report.counters;
    let figures = [
        counters.read(),
        counters.created,
        counters.updated,
        counters.duplicate,
        counters.invalid,
        counters.suppressed,
    ];
    rows.add_row(figures.map(|figure| figure.to_string()));
    rows.to_string()
}

fn show_faults(faults: &BTreeMap<Code, u64>) -> String {
    let mut rows = table(&["code", "times"]);
    for (code, times) in faults {
        rows.add_row([code.as_str(), &times.to_string()]);
    }
    rows.to_string()
}

async fn suppress(settings: &Settings, args: SuppressArgs) -> anyhow::Result<ExitCode> {
    let reason = Reason::parse(&args.reason).with_context(|| {
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        format!(
            "no reason is called `{}`: use one of {}",
            args.reason,
            reasons.join(", ")
        )
    })?;
    let scope = match &args.campaign {
        Some(id) => Scope::Campaign(id.parse::<CampaignId>()?),
        None => Scope::Tenant,
    };
    let region = region(args.region.as_deref())?;
    // Numbers are not arguments: arguments are seen by every user of the machine and kept by shells.
    let text = if args.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        tokio::fs::read_to_string(&args.file)
            .await
            .with_context(|| args.file.display().to_string())?
    };
    let place = Place::open(settings, &args.tenant).await?;
    let numbers = Numbers::new(std::sync::Arc::new(place.key), region);
    let (mut tokens, mut refused) = (Vec::new(), 0);
    for (line, cell) in text.lines().enumerate() {
        for number in numbers.cell(cell) {
            match number {
                Ok(number) => tokens.push(number.token),
                Err(code) => {
                    refused += 1;
                    println!("line {}: {code}", line + 1);
                }
            }
        }
    }
    let now = SystemClock.now();
    let until = args.days.map(|days| now + TimeDelta::days(i64::from(days)));
    let mut tx = place.database.tenant(place.tenant).await?;
    let written = suppressions::suppress(&mut tx, &tokens, scope, reason, until, now).await?;
    tx.commit().await?;
    println!("{written} numbers are suppressed, {refused} lines were not understood");
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
