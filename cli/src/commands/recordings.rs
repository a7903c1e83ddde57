//! `voice recordings`.

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::{Database, Role, tenants};
use voice_recordings::{
    Fetched, KeyRing, Note,
    expiry::{self, Run},
};
use voice_schemas::{CallId, TenantId};

use super::table;
use crate::{args::RecordingsAction, settings::Settings};

/// Shows, opens, keeps or destroys recordings.
pub async fn run(settings: &Settings, action: RecordingsAction) -> anyhow::Result<ExitCode> {
    match action {
        RecordingsAction::List { tenant } => {
            let tenant = find(settings, &tenant).await?;
            let recordings = Recordings::open(settings)?;
            let mut rows = table(&["call", "ended", "seconds", "kept as", "salvaged"]);
            for stored in recordings.of(tenant).await? {
                rows.add_row([
                    stored.call.to_string(),
                    stored.at.format("%Y-%m-%d %H:%M:%S").to_string(),
                    format!("{:.1}", stored.seconds()),
                    stored.note.retention,
                    if stored.note.salvaged { "yes" } else { "" }.to_owned(),
                ]);
            }
            println!("{rows}");
        }
        RecordingsAction::Fetch { call, tenant, out } => {
            let tenant = find(settings, &tenant).await?;
            let recordings = Recordings::open(settings)?;
            let fetched = recordings.fetch(tenant, call, &out).await?;
            println!(
                "{}: {:.1} s, the caller left, the agent right",
                out.display(),
                fetched.summary.samples as f64 / 8_000.0
            );
        }
        RecordingsAction::Expire { tenant, dry_run } => {
            let tenant = match tenant {
                Some(tenant) => Some(find(settings, &tenant).await?),
                None => None,
            };
            return expire(settings, tenant, dry_run).await;
        }
        RecordingsAction::Hold { call, tenant, reason } => {
            let tenant = find(settings, &tenant).await?;
            let objects = voice_scheduler::jobs::files::folder(&settings.objects.folder)?;
            expiry::hold(&*objects, tenant, call, &reason).await?;
            println!("the recording of {call} is kept until it is released");
        }
        RecordingsAction::Release { call, tenant } => {
            let tenant = find(settings, &tenant).await?;
            let objects = voice_scheduler::jobs::files::folder(&settings.objects.folder)?;
            expiry::release(&*objects, tenant, call).await?;
            println!("nobody holds the recording of {call}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn expire(settings: &Settings, tenant: Option<TenantId>, dry_run: bool) -> anyhow::Result<ExitCode> {
    let objects = voice_scheduler::jobs::files::folder(&settings.objects.folder)?;
    let keep = &settings.media.recording.keep_days;
    let run = if dry_run { Run::Dry } else { Run::Real };
    let counts = expiry::expire(&*objects, keep, tenant, run, SystemClock.now()).await?;
    let mut rows = table(&[
        "found",
        "kept",
        "held",
        "no rule",
        "destroyed",
        "failed",
        "left over",
    ]);
    let figures = [
        counts.found,
        counts.kept,
        counts.held,
        counts.no_rule,
        counts.destroyed,
        counts.failed,
        counts.left_over,
    ];
    rows.add_row(figures.map(|figure| figure.to_string()));
    println!("{rows}");
    if dry_run {
        println!("a dry run: nothing was destroyed");
    }
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn find(settings: &Settings, name: &str) -> anyhow::Result<TenantId> {
    let database = Database::connect(&settings.postgres, Role::Worker).await?;
    let id: Option<TenantId> = name.parse().ok();
    let tenants = tenants::all(&database).await?;
    let Some(tenant) = tenants.iter().find(|one| Some(one.id) == id || one.slug == name) else {
        bail!("there is no tenant `{name}`");
    };
    Ok(tenant.id)
}

/// The recordings of a deployment, and what opens them.
pub struct Recordings {
    objects: Arc<dyn ObjectStore>,
    keys: KeyRing,
}

/// A recording in the object store.
pub struct Stored {
    /// The call.
    pub call: CallId,
    /// Where it is.
    pub key: String,
    /// When it was stored.
    pub at: DateTime<Utc>,
    /// What stands beside it.
    pub note: Note,
}

impl Stored {
    /// How long it plays.
    pub fn seconds(&self) -> f64 {
        self.note.duration_ms as f64 / 1_000.0
    }
}

impl Recordings {
    /// Those of these settings.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            objects: voice_scheduler::jobs::files::folder(&settings.objects.folder)?,
            keys: KeyRing::new(&settings.media.recording.keys).context("media.recording.keys")?,
        })
    }

    /// Those of a tenant, the oldest first.
    pub async fn of(&self, tenant: TenantId) -> anyhow::Result<Vec<Stored>> {
        let prefix = Key::from(format!("recordings/{}", tenant.0));
        let objects: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await?;
        let mut found = Vec::new();
        for object in objects {
            let call = object
                .location
                .filename()
                .and_then(|name| name.strip_suffix(".rec"))
                .and_then(|call| call.parse().ok());
            let Some(call) = call else { continue };
            let key = object.location.to_string();
            // The note is written after the recording: one without is only just being stored.
            let Ok(note) = self
                .objects
                .get(&Key::from(voice_recordings::note_key(&key)))
                .await
            else {
                continue;
            };
            let note = serde_json::from_slice(&note.bytes().await?)
                .with_context(|| format!("the note about {key} cannot be read"))?;
            found.push(Stored {
                call,
                key,
                at: object.last_modified,
                note,
            });
        }
        found.sort_by_key(|stored| stored.at);
        Ok(found)
    }

    /// Writes a recording as a WAV file. Where it does not open, no file is left.
    pub async fn fetch(&self, tenant: TenantId, call: CallId, out: &Path) -> anyhow::Result<Fetched> {
        let mut file = tokio::fs::File::create(out)
            .await
            .with_context(|| format!("writing {}", out.display()))?;
        let key = voice_recordings::key(tenant, call);
        match voice_recordings::fetch(&*self.objects, &key, &self.keys, &mut file).await {
            Ok(fetched) => Ok(fetched),
            Err(error) => {
                let _nothing_is_left = tokio::fs::remove_file(out).await;
                Err(error).with_context(|| format!("fetching the recording of {call}"))
            }
        }
    }
}
