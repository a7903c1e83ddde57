//! Watching a campaign until it is through.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use voice_dialer::campaigns::{self, Figures, Funnel};
use voice_postgres::Database;
use voice_schemas::{CampaignId, events::campaign::CampaignStatus};

use super::{Stage, staff::Staff, status};

const LOOK: Duration = Duration::from_millis(500);
/// Where nobody watches a bar, a line now and then.
const LINE: Duration = Duration::from_secs(20);

/// Where a campaign ended up.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its status.
    pub status: CampaignStatus,
    /// How long it took.
    pub took: Duration,
    /// The most people that were on calls at once, and the most lines that were in the air.
    pub most_lines: i64,
}

/// Looks until the campaign has completed, or `patience` is at its end.
pub async fn until_completed(
    stage: &Stage<'_>,
    api: &Database,
    campaign: CampaignId,
    staff: &Staff,
    patience: Duration,
) -> anyhow::Result<Seen> {
    let began = Instant::now();
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{pos:>5}/{len} contacts {bar:24.green/dim} {elapsed:>4}  {msg}")
    {
        bar.set_style(style);
    }
    let mut said = Instant::now();
    let mut most_lines = 0;
    loop {
        let (figures, funnel) = look(stage, api, campaign).await?;
        let left = funnel.due + funnel.waiting + funnel.out_of_window + funnel.capped + funnel.held_back;
        most_lines = most_lines.max(funnel.dialling);
        staff.busy_times.store(funnel.due > 0, Ordering::Relaxed);
        bar.set_length(funnel.total().unsigned_abs());
        bar.set_position((funnel.total() - left - funnel.dialling).unsigned_abs());
        let message = message(&figures, &funnel, left, staff.worked().utilisation());
        if bar.is_hidden() && said.elapsed() >= LINE {
            said = Instant::now();
            println!("{:>4} s  {message}", began.elapsed().as_secs());
        }
        bar.set_message(message);
        let status = status(api, stage, campaign).await?;
        if status != CampaignStatus::Active || began.elapsed() >= patience {
            bar.finish_and_clear();
            return Ok(Seen {
                status,
                took: began.elapsed(),
                most_lines,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Where the campaign stands now.
pub async fn look(
    stage: &Stage<'_>,
    api: &Database,
    campaign: CampaignId,
) -> anyhow::Result<(Figures, Funnel)> {
    let mut tx = api.tenant(stage.company.tenant).await?;
    let figures = campaigns::figures(&mut tx, campaign).await?;
    let funnel = campaigns::funnel(&mut tx, campaign, stage.started.clock.now()).await?;
    tx.rollback().await?;
    Ok((figures, funnel))
}

fn message(figures: &Figures, funnel: &Funnel, left: i64, utilisation: f64) -> String {
    format!(
        "dialled {} · ringing or talking {} · answered {} · to people {} · to AI {} · abandoned {} of at most 3 % · \
         people busy {:.0} % · left {left}",
        figures.attempts,
        funnel.dialling,
        figures.answered,
        figures.to_people,
        figures.to_ai,
        percent(figures.abandoned, figures.live()),
        utilisation * 100.0,
    )
}

/// A share, in per cent.
pub fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    #[allow(clippy::cast_precision_loss)] // Counts of a demo.
    let share = part as f64 * 100.0 / whole as f64;
    format!("{share:.1} %")
}
