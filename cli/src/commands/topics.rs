//! `voice topics`.

use std::process::ExitCode;

use voice_kafka::admin::{Admin, Applied};
use voice_schemas::topics;

use super::table;
use crate::{args::TopicsAction, settings::Settings};

/// Applies or lists the catalogue.
pub async fn run(settings: &Settings, action: TopicsAction) -> anyhow::Result<ExitCode> {
    match action {
        TopicsAction::Apply { replication } => {
            for (name, applied) in apply(settings, replication).await? {
                match applied {
                    Applied::Created => println!("created  {name}"),
                    Applied::Grown { from } => println!("grown    {name} (had {from} partitions)"),
                    Applied::Kept => println!("kept     {name}"),
                }
            }
        }
        TopicsAction::List => list(settings)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates or corrects every topic of the catalogue.
pub async fn apply(settings: &Settings, replication: i32) -> anyhow::Result<Vec<(String, Applied)>> {
    let admin = Admin::new(&settings.kafka)?;
    let mut done = Vec::new();
    for topic in topics::ALL {
        done.push((
            settings.kafka.topic(topic),
            admin.apply(topic, replication).await?,
        ));
    }
    Ok(done)
}

fn list(settings: &Settings) -> anyhow::Result<()> {
    let admin = Admin::new(&settings.kafka)?;
    let mut rows = table(&["topic", "keyed by", "partitions", "records"]);
    for topic in topics::ALL {
        let name = settings.kafka.topic(topic);
        let marks = admin.watermarks(&name)?;
        let records: i64 = marks.values().map(|marks| marks.high - marks.low).sum();
        rows.add_row([
            name,
            topic.key.to_owned(),
            marks.len().to_string(),
            records.to_string(),
        ]);
    }
    println!("{rows}");
    Ok(())
}
