//! `voice check`.

use std::{process::ExitCode, time::Duration};

use voice_clickhouse::ClickHouse;
use voice_kafka::admin::Admin;
use voice_schemas::topics;

use super::table;
use crate::settings::{Faults, Settings};

/// Says everything that is wrong, and what to do about it.
pub async fn run() -> anyhow::Result<ExitCode> {
    let mut findings: Vec<(&str, Vec<String>)> = Vec::new();
    match Settings::load() {
        Err(Faults(faults)) => findings.push(("configuration", faults)),
        Ok(settings) => {
            findings.push(("configuration", settings.faults()));
            findings.push(("keys", settings.key_faults()));
            findings.push(("kafka", kafka(&settings)));
            findings.push(("postgres", postgres(&settings).await));
            findings.push(("clickhouse", clickhouse(&settings).await));
        }
    }
    let mut rows = table(&["part", "state"]);
    let mut sound = true;
    for (part, faults) in findings {
        sound &= faults.is_empty();
        let state = if faults.is_empty() {
            "sound".to_owned()
        } else {
            faults.join("\n")
        };
        rows.add_row([part.to_owned(), state]);
    }
    println!("{rows}");
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn kafka(settings: &Settings) -> Vec<String> {
    let answer = Admin::new(&settings.kafka).and_then(|admin| {
        admin.ping(Duration::from_secs(5))?;
        topics::ALL
            .iter()
            .map(|topic| {
                let name = settings.kafka.topic(topic);
                let partitions = admin.partitions(&name)?.len();
                let wanted = usize::try_from(topic.partitions).unwrap_or(0);
                Ok((partitions < wanted).then(|| {
                    format!("{name} has {partitions} of {wanted} partitions: run `voice topics apply`")
                }))
            })
            .collect::<Result<Vec<_>, _>>()
    });
    match answer {
        Ok(faults) => faults.into_iter().flatten().collect(),
        Err(error) => vec![error.to_string()],
    }
}

async fn postgres(settings: &Settings) -> Vec<String> {
    match voice_postgres::migrate::status(&settings.postgres.url).await {
        Ok(status) if status.is_current() => Vec::new(),
        Ok(status) => {
            let mut faults = Vec::new();
            if !status.pending.is_empty() {
                faults.push(format!(
                    "{} migration(s) are pending: run `voice migrate`",
                    status.pending.len()
                ));
            }
            if !status.edited.is_empty() || !status.unknown.is_empty() {
                faults.push("the database was migrated by another release than this one".to_owned());
            }
            if status.login_bypasses_isolation {
                faults.push("the login bypasses row-level security: use one that is no superuser".to_owned());
            }
            faults
        }
        Err(error) => vec![error.to_string()],
    }
}

async fn clickhouse(settings: &Settings) -> Vec<String> {
    match voice_clickhouse::migrate::pending(&ClickHouse::new(&settings.clickhouse)).await {
        Ok(pending) if pending.is_empty() => Vec::new(),
        Ok(pending) => vec![format!(
            "{} migration(s) are pending: run `voice migrate`",
            pending.len()
        )],
        Err(error) => vec![error.to_string()],
    }
}
