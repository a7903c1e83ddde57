//! Who is measured, and how each is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::rig::{Offer, Target, Wish};
use crate::commands::bench::{
    process::{self, Server},
    python,
};

/// The peer's packages.
const REQUIREMENTS: &str = "requirements-media.txt";
const ENVIRONMENT: &str = "venv-bench-media";
const PEER: &str = "media_pipecat.py";

/// The peer with the quickest resampler it has, and without what it does beside the call.
pub const TUNED: &str = "Pipecat 1.14.0, tuned";
/// The peer as its manual sets it up.
pub const AS_IT_COMES: &str = "Pipecat 1.14.0";

/// What is asked of a worker, and of a peer that is to be its equal.
pub const EQUAL_MS: f64 = 5.0;
/// What the tuned peer can keep until it has too many calls.
pub const TUNED_MS: f64 = 50.0;
/// What the peer can keep as it comes: its resampler alone holds audio back for up to 140 ms.
pub const AS_IT_COMES_MS: f64 = 200.0;

/// Calls of which the figures are reported.
pub const COPIED: usize = 800;
/// The same where audio is converted and recorded.
pub const CONVERTED: usize = 400;

/// Somebody who is measured.
pub struct Contestant {
    /// What people call it.
    pub name: &'static str,
    kind: Kind,
    /// Numbers of calls to try.
    pub steps: &'static [usize],
    /// Until fewer than 99 of 100 moments are within this.
    pub within_ms: f64,
    /// So many are tried in any case.
    pub at_least: usize,
    folder: PathBuf,
    python: PathBuf,
}

#[derive(Clone, Copy)]
enum Kind {
    Worker(Wish),
    Peer { tuned: bool },
}

impl Contestant {
    /// Everybody. Recordings go below `folder`.
    pub async fn all(folder: &Path) -> anyhow::Result<[Self; 4]> {
        let python = python::with(REQUIREMENTS, ENVIRONMENT).await?;
        let contestant = |name, kind, steps, within_ms, at_least| Self {
            name,
            kind,
            steps,
            within_ms,
            at_least,
            folder: folder.to_owned(),
            python: python.clone(),
        };
        Ok([
            contestant(
                "a worker that copies",
                Kind::Worker(Wish::PassThrough),
                &[200, 400, 800, 1_000, 1_200, 1_400, 1_600, 1_800, 2_000],
                EQUAL_MS,
                COPIED,
            ),
            contestant(
                "a worker that converts and records",
                Kind::Worker(Wish::Transcoded),
                &[200, 400, 500, 600, 700, 800, 1_000, 1_200],
                EQUAL_MS,
                CONVERTED,
            ),
            contestant(
                TUNED,
                Kind::Peer { tuned: true },
                &[2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60],
                TUNED_MS,
                2,
            ),
            contestant(
                AS_IT_COMES,
                Kind::Peer { tuned: false },
                &[10, 20, 25, 30, 35, 40, 45, 50, 55, 60],
                AS_IT_COMES_MS,
                10,
            ),
        ])
    }

    /// A worker for calls of both kinds, whose recordings are deleted once they are stored.
    pub fn for_a_soak(folder: &Path) -> Self {
        Self {
            name: "a worker",
            kind: Kind::Worker(Wish::Mixed),
            steps: &[],
            within_ms: EQUAL_MS,
            at_least: 0,
            folder: folder.to_owned(),
            python: PathBuf::new(),
        }
    }

    /// Starts callers and provider, and whoever is measured.
    pub async fn start(&self) -> anyhow::Result<(Server, Server)> {
        let this = std::env::current_exe()?;
        let mut rig = process::pinned(process::CARRIER, &this);
        rig.args(["bench", "part", "media-rig"]);
        let rig = Server::start(&mut rig).await?;
        let offer: Offer =
            serde_json::from_str(&rig.address).context("the provider offers something else")?;
        let mut command = match self.kind {
            Kind::Worker(wish) => {
                let mut command = process::pinned(process::SERVER, &this);
                command.args(["bench", "part", "media-worker", "--provider", &offer.secure]);
                command.args(["--certificate", &offer.certificate, "--folder"]);
                command.arg(&self.folder);
                if wish == Wish::Mixed {
                    command.arg("--forget");
                }
                command
            }
            Kind::Peer { tuned } => {
                let mut command = process::pinned(process::SERVER, &self.python);
                command.arg(python::program(PEER)).env("PROVIDER", &offer.plain);
                if tuned {
                    command.env("TUNED", "1");
                }
                command
            }
        };
        Ok((rig, Server::start(&mut command).await?))
    }

    /// Recordings that were stored, where everything is recorded.
    pub fn recordings(&self) -> anyhow::Result<Option<usize>> {
        match self.kind {
            Kind::Worker(Wish::Transcoded) => Ok(Some(notes(&self.folder)?)),
            Kind::Worker(_) | Kind::Peer { .. } => Ok(None),
        }
    }

    /// Whom callers are to call.
    pub fn target(&self, address: &str) -> Target {
        let address = address.to_owned();
        match self.kind {
            Kind::Worker(wish) => Target::Worker { address, wish },
            Kind::Peer { .. } => Target::Peer { address },
        }
    }
}

/// The notes that stand beside recordings, in a folder and those below.
fn notes(folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += notes(&path)?;
        } else {
            count += usize::from(path.extension().is_some_and(|extension| extension == "json"));
        }
    }
    Ok(count)
}
