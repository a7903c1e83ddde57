//! `voice dead-letters`.

use std::{process::ExitCode, sync::Arc};

use voice_ingest::{Redeliver, Redelivered};
use voice_kafka::{
    Producer,
    dead_letters::{Kept, Origin, for_each, replay},
};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role};

use super::table;
use crate::{
    args::{DeadLettersAction, Selection},
    settings::Settings,
};

/// Lists dead letters or processes them again.
pub async fn run(settings: &Settings, action: DeadLettersAction) -> anyhow::Result<ExitCode> {
    match action {
        DeadLettersAction::List(selection) => {
            let letters = select(settings, selection).await?;
            let mut rows = table(&["at", "when", "stage", "code", "from", "bytes", "detail"]);
            for Kept { at, letter } in &letters {
                rows.add_row([
                    format!("{}@{}", at.partition, at.offset),
                    letter.at.format("%Y-%m-%d %H:%M:%S").to_string(),
                    letter.stage.clone(),
                    letter.code.clone(),
                    letter.origin.to_string(),
                    letter.payload.len().to_string(),
                    letter.detail.clone(),
                ]);
            }
            println!("{rows}\n{} dead letters", letters.len());
            Ok(ExitCode::SUCCESS)
        }
        DeadLettersAction::Replay(selection) => {
            replay_all(settings, select(settings, selection).await?).await
        }
    }
}

async fn select(settings: &Settings, selection: Selection) -> anyhow::Result<Vec<Kept>> {
    let kafka = settings.kafka.clone();
    let read = move || {
        let wanted = |kept: &Kept| {
            let place = format!("{}@{}", kept.at.partition, kept.at.offset);
            selection
                .code
                .as_ref()
                .is_none_or(|code| *code == kept.letter.code)
                && selection
                    .stage
                    .as_ref()
                    .is_none_or(|stage| *stage == kept.letter.stage)
                && selection.at.as_ref().is_none_or(|at| *at == place)
        };
        let mut letters = Vec::new();
        for_each(&kafka, |kept| {
            if letters.len() < selection.limit && wanted(&kept) {
                letters.push(kept);
            }
        })?;
        Ok(letters)
    };
    tokio::task::spawn_blocking(read).await?
}

async fn replay_all(settings: &Settings, letters: Vec<Kept>) -> anyhow::Result<ExitCode> {
    let producer = Producer::new(&settings.kafka)?;
    let mut webhooks = None;
    let mut failed = 0;
    for kept in letters {
        let place = format!("{}@{}", kept.at.partition, kept.at.offset);
        let outcome = match &kept.letter.origin {
            // What people said is not copied into a letter; an empty record would only come back.
            origin @ Origin::Record { .. } if kept.letter.payload.is_empty() => Err(anyhow::anyhow!(
                "the letter holds no bytes; the record itself is {origin}, as long as that topic keeps it"
            )),
            Origin::Record { .. } => replay(&producer, kept)
                .await
                .map(|_| "in its topic again".to_owned())
                .map_err(anyhow::Error::from),
            Origin::Request { .. } => {
                if webhooks.is_none() {
                    webhooks = Some(redeliver(settings, producer.clone()).await?);
                }
                match &webhooks {
                    Some(webhooks) => webhooks
                        .redeliver(&kept.letter, SystemClock.now())
                        .await
                        .map(|done| match done {
                            Redelivered::Stored(id) => format!("stored as {id}"),
                            Redelivered::Ignored => "understood, and no fact about a call".to_owned(),
                        })
                        .map_err(anyhow::Error::from),
                    None => Ok(String::new()),
                }
            }
        };
        match outcome {
            Ok(done) => println!("{place}  {done}"),
            Err(error) => {
                failed += 1;
                println!("{place}  failed: {error:#}");
            }
        }
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn redeliver(settings: &Settings, producer: Producer) -> anyhow::Result<Redeliver> {
    let database = Database::connect(&settings.postgres, Role::Worker).await?;
    let sealer = settings.secrets.sealer().map_err(anyhow::Error::msg)?;
    let context = Arc::new(settings.secrets.context_keys().map_err(anyhow::Error::msg)?);
    Ok(Redeliver::load(&database, &sealer, context, producer, settings.kafka.clone()).await?)
}
