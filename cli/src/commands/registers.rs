//! `voice contacts register`.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use uuid::Uuid;
use voice_contacts::{
    Numbers,
    registers::{self, Covers},
};

use super::contacts::{Place, region};
use crate::{args::RegisterArgs, progress, settings::Settings};

/// Tokens written in one transaction.
const BATCH: usize = 5_000;

/// Loads a register.
pub async fn run(settings: &Settings, args: RegisterArgs) -> anyhow::Result<ExitCode> {
    let region = region(args.region.as_deref())?;
    let Place {
        database,
        tenant,
        key,
    } = Place::open(settings, &args.tenant).await?;
    let numbers = Numbers::new(Arc::new(key), region);
    let covers = if args.looked_up {
        Covers::Numbers
    } else {
        Covers::Register
    };
    let file = tokio::fs::File::open(&args.file)
        .await
        .with_context(|| args.file.display().to_string())?;
    let bar = progress::bytes(file.metadata().await?.len(), "loading");
    let mut lines = BufReader::new(file).lines();
    let mut tx = database.tenant(tenant).await?;
    let loading = registers::begin(&mut tx, &args.list, covers, args.taken).await?;
    tx.commit().await?;
    let (mut batch, mut loaded, mut refused, mut number): (Vec<(Uuid, bool)>, u64, u64, u64) =
        Default::default();
    loop {
        let line = lines.next_line().await?;
        if batch.len() >= BATCH || (line.is_none() && !batch.is_empty()) {
            let mut tx = database.tenant(tenant).await?;
            loaded += registers::add(&mut tx, loading, &batch).await?;
            tx.commit().await?;
            batch.clear();
        }
        let Some(line) = line else { break };
        number += 1;
        bar.inc(line.len() as u64 + 1);
        let Some((cell, listed)) = entry(&line, covers) else {
            refused += 1;
            println!("line {number}: is not a number, a comma and yes or no");
            continue;
        };
        for found in numbers.cell(cell) {
            match found {
                Ok(found) => batch.push((found.token, listed)),
                Err(code) => {
                    refused += 1;
                    println!("line {number}: {code}");
                }
            }
        }
    }
    bar.finish_and_clear();
    let mut tx = database.tenant(tenant).await?;
    let used = registers::finish(&mut tx, loading).await?;
    tx.commit().await?;
    println!("{loaded} numbers were loaded, {refused} lines were not understood");
    if !used {
        println!("a newer register is in use: this one was dropped");
    }
    Ok(if refused == 0 && used {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
