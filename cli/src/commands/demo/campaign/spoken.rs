//! What came of the talks with the AI agent: how quickly it answered, what it cost, and what can be listened to.

use std::path::PathBuf;

use serde::Deserialize;
use voice_clickhouse::{Row, clickhouse};
use voice_dialer::transfers::{self, Totals};
use voice_postgres::Database;
use voice_simulator::live::Truth;

use super::{Stage, watch::percent};
use crate::commands::{
    recordings::{Recordings, Stored},
    table,
};

/// Recordings to show.
const SHOWN: usize = 5;
/// Recordings to open.
const OPENED: usize = 3;

/// What ClickHouse says.
#[derive(Clone, Copy, Debug, Row, Deserialize)]
struct Figures {
    started: u64,
    stopped: u64,
    disclosed: u64,
    turns: u64,
    interrupted: u64,
    p50_ms: f64,
    p95_ms: f64,
    micros: i64,
    tools: u64,
    recorded: u64,
    utterances: u64,
}

/// What came of the talks.
pub struct Spoken {
    figures: Figures,
    transfers: Totals,
    recordings: Vec<Stored>,
}

impl Spoken {
    /// Takes stock.
    pub async fn take(stage: &Stage<'_>, api: &Database) -> anyhow::Result<Self> {
        let tenant = stage.company.tenant;
        let figures = stage
            .clickhouse
            .row(
                "reading what the tables say about the talks",
                include_str!("talks.sql"),
                |query| query.param("tenant", tenant.0),
            )
            .await?;
        let recordings = Recordings::open(stage.settings)?.of(tenant).await?;
        let mut tx = api.tenant(tenant).await?;
        let transfers = transfers::totals(&mut tx).await?;
        tx.rollback().await?;
        Ok(Self {
            figures,
            transfers,
            recordings,
        })
    }

    /// What is, beside what it should be.
    pub fn checks(&self, truth: &Truth) -> [(&'static str, u64, u64); 4] {
        let carried = truth.carried();
        [
            ("streams media workers refused", truth.streams_refused, 0),
            ("talks begun, in ClickHouse", self.figures.started, carried),
            ("talks ended, in ClickHouse", self.figures.stopped, carried),
            (
                "recordings in the object store",
                self.recordings.len() as u64,
                self.figures.recorded,
            ),
        ]
    }

    /// Shows the figures, and opens some recordings.
    pub async fn print(&self, stage: &Stage<'_>, truth: &Truth) -> anyhow::Result<()> {
        let Figures {
            started,
            disclosed,
            turns,
            interrupted,
            p50_ms,
            p95_ms,
            micros,
            tools,
            utterances,
            ..
        } = self.figures;
        let transfers = self.transfers;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        #[allow(clippy::cast_precision_loss)] // Cents of a demo.
        let dollars = micros as f64 / 1e6;
        #[allow(clippy::cast_precision_loss)]
        let each = if started == 0 {
            0.0
        } else {
            dollars / started as f64
        };
        let mut rows = table(&["talks with the AI agent", "", ""]);
        for (what, figure, more) in [
            (
                "talks, over media workers",
                started.to_string(),
                format!("{} more found no worker with room", truth.streams_full),
            ),
            (
                "who heard that it is a machine",
                disclosed.to_string(),
                percent(signed(disclosed), signed(started)),
            ),
            ("answers", turns.to_string(), format!("{utterances} utterances")),
            (
                "interrupted by the caller",
                interrupted.to_string(),
                format!("{} times the queue was cleared", truth.clears),
            ),
            (
                "end of speech to first audio",
                format!("{p50_ms:.0} ms"),
                format!("95 in 100 within {p95_ms:.0} ms"),
            ),
            ("tools used", tools.to_string(), String::new()),
            (
                "callers who asked for a person",
                transfers.asked.to_string(),
                format!(
                    "{} were put through, nobody was free for {}",
                    transfers.connected, transfers.nobody_free
                ),
            ),
            (
                "cost, by the providers' prices",
                format!("{dollars:.2} USD"),
                format!("{each:.4} USD a talk"),
            ),
            (
                "audio the callers heard",
                format!("{:.0} s", truth.agents_heard_ms as f64 / 1_000.0),
                format!("{} frames of theirs", truth.frames_sent),
            ),
        ] {
            rows.add_row([what.to_owned(), figure, more]);
        }
        println!("{rows}");
        self.listen(stage).await
    }

    async fn listen(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let store = Recordings::open(stage.settings)?;
        let mut longest: Vec<&Stored> = self.recordings.iter().collect();
        longest.sort_by_key(|stored| std::cmp::Reverse(stored.note.duration_ms));
        std::fs::create_dir_all(&stage.args.out)?;
        println!("recordings, sealed: {}", self.recordings.len());
        for (place, stored) in longest.iter().take(SHOWN).enumerate() {
            let object: PathBuf = stage.settings.objects.folder.join(&stored.key);
            println!("  {} ({:.1} s)", object.display(), stored.seconds());
            if place < OPENED {
                let out = stage.args.out.join(format!("talk-{}.wav", place + 1));
                store.fetch(stage.company.tenant, stored.call, &out).await?;
                println!("    to listen to: {}", out.display());
            }
        }
        Ok(())
    }
}
