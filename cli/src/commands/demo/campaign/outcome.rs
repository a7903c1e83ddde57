//! What came of the campaign: its figures, its funnel, and whether the carriers, Postgres, Kafka and ClickHouse agree.

use std::{collections::HashSet, time::Duration};

use serde::Deserialize;
use voice_analytics::audit::{self, Audit, Scope};
use voice_clickhouse::{Row, clickhouse};
use voice_contacts::import::Report;
use voice_dialer::campaigns::{Figures, Funnel};
use voice_postgres::Database;
use voice_schemas::{CampaignId, events::campaign::CampaignStatus};
use voice_simulator::live::{CallTruth, Truth};

use super::{
    Stage, log,
    people::Written,
    spoken::Spoken,
    staff::Worked,
    watch::{self, Seen, percent},
};
use crate::{commands::table, progress};

/// How long the platform may take to write what it took, before the audit judges it anyway.
const PATIENCE: Duration = Duration::from_secs(60);

/// What ClickHouse says.
#[derive(Clone, Copy, Row, Deserialize)]
struct Tables {
    call_events: u64,
    finished: u64,
    several_ends: u64,
    calls: u64,
    answered: u64,
    to_people: u64,
    to_ai: u64,
    abandoned: u64,
}

/// What came of the campaign.
pub struct Outcome {
    seen: Seen,
    worked: Worked,
    people: i64,
    figures: Figures,
    funnel: Funnel,
    truth: Truth,
    /// Attempts for which carriers have more than one call.
    doubled: u64,
    logged: log::Logged,
    tables: Tables,
    audit: Audit,
    written: Written,
    counters: [u64; 4],
    spoken: Spoken,
}

/// Waits until everything is written, then takes stock.
pub async fn settle(
    stage: &Stage<'_>,
    api: &Database,
    campaign: CampaignId,
    written: Written,
    report: &Report,
    seen: Seen,
    worked: Worked,
) -> anyhow::Result<Outcome> {
    let wheel = progress::wheel("waiting for the tables");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let outcome = take(stage, api, campaign, written, report, seen.clone(), worked).await?;
        if outcome.is_clean() || tokio::time::Instant::now() >= deadline {
            wheel.finish_and_clear();
            return Ok(outcome);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn take(
    stage: &Stage<'_>,
    api: &Database,
    campaign: CampaignId,
    written: Written,
    report: &Report,
    seen: Seen,
    worked: Worked,
) -> anyhow::Result<Outcome> {
    let scope = Scope {
        tenant: Some(stage.company.tenant),
        silent_for_seconds: 0,
    };
    let audit = audit::run(&stage.settings.kafka, stage.clickhouse, scope).await?;
    let tables = stage
        .clickhouse
        .row(
            "reading what the tables say about the campaign",
            include_str!("campaign.sql"),
            |query| {
                query
                    .param("tenant", stage.company.tenant.0)
                    .param("campaign", campaign.0)
            },
        )
        .await?;
    let (figures, funnel) = watch::look(stage, api, campaign).await?;
    let counters = &report.counters;
    Ok(Outcome {
        seen,
        worked,
        people: i64::from(stage.args.agents),
        figures,
        funnel,
        truth: stage.live.truth(),
        doubled: doubled(stage, &stage.live.calls()),
        logged: log::read(stage.settings, campaign).await?,
        tables,
        audit,
        written,
        spoken: Spoken::take(stage, api).await?,
        counters: [
            counters.read(),
            counters.invalid,
            counters.duplicate,
            counters.suppressed,
        ],
    })
}

/// Attempts for which more than one call was placed, and calls without an attempt.
fn doubled(stage: &Stage<'_>, calls: &[CallTruth]) -> u64 {
    let mut attempts = HashSet::new();
    let mut doubled = 0;
    for call in calls.iter().filter(|call| !call.agent) {
        let context = call.context.as_deref().and_then(|sealed| match call.carrier {
            voice_schemas::events::call::Carrier::Telnyx => stage.context.open_client_state(sealed).ok(),
            voice_schemas::events::call::Carrier::Twilio => stage.context.open_query(sealed).ok(),
        });
        let attempt = context.and_then(|context| context.attempt);
        doubled += u64::from(!attempt.is_some_and(|attempt| attempts.insert(attempt)));
    }
    doubled
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Outcome {
    /// What is, beside what it should be.
    fn checks(&self) -> Vec<(&'static str, u64, u64)> {
        let (truth, total) = (&self.truth, self.audit.total());
        let attempts = count(self.figures.attempts);
        let told = truth.facts + truth.ends_missing;
        let written = &self.written;
        let mut checks = vec![
            ("rows read", self.counters[0], written.rows),
            ("invalid rows", self.counters[1], written.invalid),
            ("duplicate rows", self.counters[2], written.duplicate),
            ("suppressed rows", self.counters[3], written.suppressed),
            (
                "contacts of the campaign",
                count(self.funnel.total()),
                written.callable(),
            ),
            (
                "calls the carriers took",
                count(self.figures.placed),
                truth.placed,
            ),
            (
                "attempts without an end, in Postgres",
                count(self.figures.open),
                0,
            ),
            ("attempts ended, in Kafka", self.logged.finished(), attempts),
            ("attempts ended, in ClickHouse", self.tables.finished, attempts),
            (
                "attempts ended twice",
                self.logged.ended_twice() + self.tables.several_ends,
                0,
            ),
            ("attempts with two calls", self.doubled, 0),
            ("events of calls, in Kafka", self.logged.call_events(), told),
            ("events of calls, in ClickHouse", self.tables.call_events, told),
            (
                "calls, in ClickHouse",
                self.tables.calls,
                truth.placed - truth.untold,
            ),
            (
                "answered, in Postgres",
                count(self.figures.answered),
                truth.answered,
            ),
            ("answered, in ClickHouse", self.tables.answered, truth.answered),
            (
                "connected with a person, in ClickHouse",
                self.tables.to_people,
                truth.to_people,
            ),
            (
                "taken by an AI agent, in ClickHouse",
                self.tables.to_ai,
                truth.carried(),
            ),
            (
                "abandoned, in ClickHouse",
                self.tables.abandoned,
                count(self.figures.abandoned),
            ),
            ("two customers with one agent", truth.crowded, 0),
            (
                "duplicates and gaps in the tables",
                total.duplicates + total.gaps,
                0,
            ),
            ("calls without an end", self.audit.calls_without_end, 0),
        ];
        checks.extend(self.spoken.checks(truth));
        checks
    }

    /// No more than three in a hundred people who answered had nobody to talk to.
    pub const fn is_lawful(&self) -> bool {
        self.figures.abandoned * 100 <= self.figures.live() * 3
    }

    /// Everything agrees, and the campaign is through.
    pub fn is_clean(&self) -> bool {
        self.seen.status == CampaignStatus::Completed
            && self.audit.is_clean()
            && self.truth.alive == 0
            && self.truth.undelivered == 0
            && self.is_lawful()
            && self.checks().iter().all(|(_, is, should)| is == should)
    }

    /// Shows the figures, the funnel and the audit.
    pub async fn print(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let (figures, truth) = (&self.figures, &self.truth);
        let mut rows = table(&["the campaign", "", ""]);
        let whole = |number: i64| number.to_string();
        for (what, figure, share) in [
            (
                "status",
                format!("{} after {} s", self.seen.status, self.seen.took.as_secs()),
                String::new(),
            ),
            (
                "attempts",
                whole(figures.attempts),
                format!("{} calls at once", self.seen.most_lines),
            ),
            (
                "answered",
                whole(figures.answered),
                percent(figures.answered, figures.attempts),
            ),
            (
                "of these machines",
                whole(figures.machines),
                percent(figures.machines, figures.answered),
            ),
            (
                "connected with a person",
                whole(figures.to_people),
                percent(figures.to_people, figures.answered),
            ),
            (
                "taken by an AI agent",
                whole(figures.to_ai),
                percent(figures.to_ai, figures.answered),
            ),
            (
                "abandoned, of those who are no machines (ceiling 3 %)",
                whole(figures.abandoned),
                percent(figures.abandoned, figures.live()),
            ),
            (
                "people busy, while there was somebody to call",
                format!("{:.1} %", self.worked.utilisation() * 100.0),
                format!("{} people", self.people),
            ),
            (
                "longest wait for a first word",
                format!("{} ms", truth.longest_silence_ms),
                "by the carriers' clocks".to_owned(),
            ),
            (
                "verdicts of the detector that were wrong",
                truth.wrong_verdicts.to_string(),
                String::new(),
            ),
        ] {
            rows.add_row([what.to_owned(), figure, share]);
        }
        println!("{rows}");
        self.spoken.print(stage, truth).await?;

        let funnel = &self.funnel;
        let mut rows = table(&["the list", "contacts"]);
        for (what, contacts) in [
            ("talked to", funnel.completed),
            ("tried as often as they may be", funnel.exhausted),
            ("no number that works", funnel.failed),
            ("must not be called", funnel.suppressed),
            ("due", funnel.due),
            ("waiting for another try", funnel.waiting),
            ("out of hours", funnel.out_of_window),
            ("capped", funnel.capped),
            ("held back", funnel.held_back),
            ("being called", funnel.dialling),
        ] {
            rows.add_row([what.to_owned(), contacts.to_string()]);
        }
        println!("{rows}");

        let mut rows = table(&["what the carriers did", ""]);
        for (what, number) in [
            ("webhooks sent", truth.requests),
            ("of these repeated", truth.repeated),
            ("never sent: the end of a call", truth.lost),
            ("ends the platform had to ask for", truth.ends_missing),
        ] {
            rows.add_row([what.to_owned(), number.to_string()]);
        }
        println!("{rows}");

        let mut rows = table(&["audit of the campaign", "is", "should be", ""]);
        for (what, is, should) in self.checks() {
            let mark = if is == should { "✓" } else { "✗" };
            rows.add_row([
                what.to_owned(),
                is.to_string(),
                should.to_string(),
                mark.to_owned(),
            ]);
        }
        println!("{rows}");
        if !self.is_lawful() {
            println!("more people were abandoned than the law allows");
        }
        Ok(())
    }
}
