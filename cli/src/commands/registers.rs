//! `voice contacts register`.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, BufReader},
};
use uuid::Uuid;
use voice_compliance::Rules;
use voice_contacts::{
    Numbers,
    registers::{self, Covers, Loading},
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::Database;
use voice_schemas::TenantId;

use super::{
    contacts::{Place, region},
    table,
};
use crate::{args::RegisterArgs, progress, settings::Settings};

/// Tokens written in one transaction.
const BATCH: usize = 5_000;
/// Lines that are named one by one; the others are only counted.
const NAMED: u64 = 20;
/// What a line is that is neither a number nor anything else we know.
const NOT_AN_ANSWER: &str = "not_a_number_comma_yes_or_no";

/// Loads a register.
pub async fn run(settings: &Settings, args: RegisterArgs) -> anyhow::Result<ExitCode> {
    let region = region(args.region.as_deref())?;
    known(&args.list, args.taken, SystemClock.now())?;
    let file = File::open(&args.file)
        .await
        .with_context(|| args.file.display().to_string())?;
    let bar = progress::bytes(file.metadata().await?.len(), "loading");
    let Place {
        database,
        tenant,
        key,
    } = Place::open(settings, &args.tenant).await?;
    let covers = if args.looked_up {
        Covers::Numbers
    } else {
        Covers::Register
    };
    let mut tx = database.tenant(tenant).await?;
    let loading = registers::begin(&mut tx, &args.list, covers, args.taken).await?;
    tx.commit().await?;
    let load = Load {
        database: &database,
        tenant,
        numbers: Numbers::new(Arc::new(key), region),
        covers,
        to: loading,
        bar: &bar,
    };
    let read = load.read(file).await;
    bar.finish_and_clear();
    let usable = read.as_ref().is_ok_and(Read::is_usable);
    let mut tx = database.tenant(tenant).await?;
    let used = if usable {
        registers::finish(&mut tx, loading).await?
    } else {
        registers::give_up(&mut tx, loading).await?;
        false
    };
    tx.commit().await?;
    let read = read.context("nothing was changed")?;
    println!(
        "{} numbers were loaded, {} lines were not understood",
        read.loaded,
        read.refused()
    );
    if !read.faults.is_empty() {
        let mut rows = table(&["code", "times"]);
        for (code, times) in &read.faults {
            rows.add_row([*code, &times.to_string()]);
        }
        println!("{rows}");
    }
    if read.loaded == 0 {
        println!("no line holds a number: the register was not changed");
    } else if !usable {
        println!("most lines were not understood: the register was not changed");
    } else if !used {
        println!("a newer register is in use: this one was dropped");
    }
    Ok(if read.faults.is_empty() && used {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A register that no rule asks for would be loaded in vain, and one from tomorrow would never grow old.
fn known(list: &str, taken: DateTime<Utc>, now: DateTime<Utc>) -> anyhow::Result<()> {
    let rules = Rules::embedded()?;
    let registers = rules.registers();
    if !registers.contains(list) {
        let names: Vec<&str> = registers.into_iter().collect();
        bail!(
            "no rule asks for a register `{list}`: use one of {}",
            names.join(", ")
        );
    }
    if taken > now {
        bail!("--taken is in the future: it says as of when the register was taken");
    }
    Ok(())
}

/// What was found in the file.
#[derive(Debug, Default)]
struct Read {
    loaded: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Read {
    fn refused(&self) -> u64 {
        self.faults.values().sum()
    }

    /// A whole register takes the place of the one before: a file of something else must not empty it.
    fn is_usable(&self) -> bool {
        self.loaded > self.refused()
    }
}

struct Load<'a> {
    database: &'a Database,
    tenant: TenantId,
    numbers: Numbers,
    covers: Covers,
    to: Loading,
    bar: &'a ProgressBar,
}

impl Load<'_> {
    async fn read(&self, file: File) -> anyhow::Result<Read> {
        let mut lines = BufReader::new(file);
        let mut read = Read::default();
        let (mut batch, mut line, mut number) = (Vec::new(), Vec::new(), 0_u64);
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).await?;
            if length == 0 {
                break;
            }
            number += 1;
            self.bar.inc(length as u64);
            // Numbers are ASCII whatever the encoding; what else stands there is not shown.
            let text = String::from_utf8_lossy(&line);
            self.take(&text, number, &mut batch, &mut read);
            if batch.len() >= BATCH {
                self.write(&mut batch, &mut read).await?;
            }
        }
        self.write(&mut batch, &mut read).await?;
        Ok(read)
    }

    fn take(&self, line: &str, number: u64, batch: &mut Vec<(Uuid, bool)>, read: &mut Read) {
        let mut refuse = |code: &'static str| {
            *read.faults.entry(code).or_default() += 1;
            if read.faults.values().sum::<u64>() <= NAMED {
                self.bar.suspend(|| println!("line {number}: {code}"));
            }
        };
        let line = line.trim_matches(|end: char| end.is_whitespace() || end == '\u{feff}');
        if line.is_empty() {
            return;
        }
        let Some((cell, listed)) = entry(line, self.covers) else {
            refuse(NOT_AN_ANSWER);
            return;
        };
        let found = self.numbers.cell(cell);
        if found.is_empty() {
            refuse(NOT_AN_ANSWER);
        }
        for found in found {
            match found {
                Ok(found) => batch.push((found.token, listed)),
                Err(code) => refuse(code.as_str()),
            }
        }
    }

    async fn write(
        &self,
        batch: &mut Vec<(Uuid, bool)>,
        read: &mut Read,
    ) -> Result<(), voice_postgres::Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut tx = self.database.tenant(self.tenant).await?;
        read.loaded += registers::add(&mut tx, self.to, batch).await?;
        tx.commit().await?;
        batch.clear();
        Ok(())
    }
}

/// The number of a line, and whether it is listed.
fn entry(line: &str, covers: Covers) -> Option<(&str, bool)> {
    match covers {
        Covers::Register => Some((line, true)),
        Covers::Numbers => {
            let (cell, word) = line.rsplit_once(',')?;
            match word.trim().to_ascii_lowercase().as_str() {
                "yes" => Some((cell, true)),
                "no" => Some((cell, false)),
                _ => None,
            }
        }
    }
}
