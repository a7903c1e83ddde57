//! The tables of the daily summary.

use super::build::{Build, Hour, abandon_rate, aht, connect_rate, failed, service_level, sorted};
use super::words::{Heading, Term};
use super::{AnswerTime, Counts, Tally};
use crate::model::{Audience, Body, Column, Kind, Section, Table, Value};

impl Build<'_> {
    pub(super) fn campaign_table(&self) -> Section {
        let words = self.words;
        let mut columns = vec![self.column("campaign", &words.campaign, Kind::Text)];
        columns.extend(self.call_columns());
        let mut campaigns: Vec<_> = self.data.campaigns.iter().collect();
        campaigns.sort_by(|a, b| {
            b.counts
                .attempts
                .cmp(&a.counts.attempts)
                .then_with(|| a.name.cmp(&b.name))
        });
        let rows = campaigns
            .iter()
            .map(|campaign| self.call_cells(Value::text(&campaign.name), &campaign.counts))
            .collect();
        let sum = Counts::sum(campaigns.iter().map(|campaign| &campaign.counts));
        let totals = self.call_cells(self.total(), &sum);
        section(
            &words.campaigns,
            Audience::Everyone,
            "campaigns",
            columns,
            rows,
            totals,
        )
    }

    pub(super) fn hour_table(
        &self,
        name: &str,
        heading: &Heading,
        audience: Audience,
        hours: &[Hour],
    ) -> Section {
        let mut columns = vec![self.column("starts_at", &self.words.hour, Kind::Clock)];
        columns.extend(self.call_columns());
        let rows = hours
            .iter()
            .map(|(start, counts)| self.call_cells(Value::DateTime(*start), counts))
            .collect();
        let sum = Counts::sum(hours.iter().map(|(_, counts)| counts));
        section(
            heading,
            audience,
            name,
            columns,
            rows,
            self.call_cells(self.total(), &sum),
        )
    }

    pub(super) fn carrier_table(&self) -> Section {
        let words = self.words;
        let mut columns = vec![
            self.column("carrier", &words.carrier, Kind::Text),
            self.column("attempts", &words.attempts, Kind::Count),
            self.column("answered", &words.answered, Kind::Count),
            self.column("connect_rate", &words.connect_rate, Kind::Percent),
            self.column("failed", &words.failed, Kind::Count),
            self.column("failure_rate", &words.failure_rate, Kind::Percent),
            self.column("ring_to_answer_p50_s", &words.ring_p50, Kind::Seconds)
                .unit("s"),
            self.column("ring_to_answer_p95_s", &words.ring_p95, Kind::Seconds)
                .unit("s"),
            self.column("average_talk_s", &words.talk, Kind::Duration)
                .unit("m:ss"),
        ];
        if self.has_cost() {
            columns.push(self.cost_column());
        }
        let cells = |first: Value, counts: &Counts, times: &AnswerTime| {
            let mut cells = vec![
                first,
                Value::Count(counts.attempts),
                Value::Count(counts.answered),
                connect_rate(counts),
                Value::Count(failed(counts)),
                Value::ratio(failed(counts), counts.attempts),
                Value::millis(times.p50_ms),
                Value::millis(times.p95_ms),
                Value::mean_ms(counts.talk_ms, counts.handled),
            ];
            if self.has_cost() {
                cells.push(self.cost(counts));
            }
            cells
        };
        let mut carriers: Vec<_> = self.data.carriers.iter().collect();
        carriers.sort_by(|a, b| {
            b.counts
                .attempts
                .cmp(&a.counts.attempts)
                .then_with(|| a.name.cmp(&b.name))
        });
        let rows = carriers
            .iter()
            .map(|carrier| cells(Value::text(&carrier.name), &carrier.counts, &carrier.answer_time))
            .collect();
        let sum = Counts::sum(carriers.iter().map(|carrier| &carrier.counts));
        let totals = cells(self.total(), &sum, &self.data.answer_time);
        section(
            &words.carriers,
            Audience::Everyone,
            "carriers",
            columns,
            rows,
            totals,
        )
    }

    pub(super) fn cause_table(&self) -> Section {
        let (words, causes) = (self.words, &self.data.hangup_causes);
        self.tally_table(
            "hangup_causes",
            &words.causes,
            &words.cause,
            Audience::Everyone,
            causes,
        )
    }

    /// The outcomes are a chart for readers; the table is for machines.
    pub(super) fn outcome_table(&self) -> Section {
        let (words, outcomes) = (self.words, &self.data.outcomes);
        self.tally_table(
            "outcomes",
            &words.outcomes,
            &words.outcome,
            Audience::Data,
            outcomes,
        )
    }

    fn tally_table(
        &self,
        name: &str,
        heading: &Heading,
        first: &Term,
        audience: Audience,
        tallies: &[Tally],
    ) -> Section {
        let words = self.words;
        let total: u64 = tallies.iter().map(|tally| tally.calls).sum();
        let columns = vec![
            self.column("name", first, Kind::Text),
            self.column("calls", &words.calls, Kind::Count),
            self.column("share", &words.share, Kind::Percent),
        ];
        let cells = |first: Value, calls: u64| vec![first, Value::Count(calls), Value::ratio(calls, total)];
        let rows = sorted(tallies)
            .iter()
            .map(|tally| cells(Value::text(&tally.name), tally.calls))
            .collect();
        section(heading, audience, name, columns, rows, cells(self.total(), total))
    }

    fn call_columns(&self) -> Vec<Column> {
        let words = self.words;
        let mut columns = vec![
            self.column("attempts", &words.attempts, Kind::Count),
            self.column("answered", &words.answered, Kind::Count),
            self.column("connect_rate", &words.connect_rate, Kind::Percent),
            self.column("contacts", &words.contacts, Kind::Count),
            self.column("abandoned", &words.abandoned, Kind::Count),
            self.column("abandon_rate", &words.abandon_rate, Kind::Percent),
            self.column("service_level", &words.service_level, Kind::Percent),
            self.column("aht_s", &words.aht, Kind::Duration).unit("m:ss"),
        ];
        if self.has_cost() {
            columns.push(self.cost_column());
        }
        columns
    }

    fn call_cells(&self, first: Value, counts: &Counts) -> Vec<Value> {
        let mut cells = vec![
            first,
            Value::Count(counts.attempts),
            Value::Count(counts.answered),
            connect_rate(counts),
            Value::Count(counts.contacts),
            Value::Count(counts.abandoned),
            abandon_rate(counts),
            service_level(counts),
            aht(counts),
        ];
        if self.has_cost() {
            cells.push(self.cost(counts));
        }
        cells
    }

    fn column(&self, name: &str, term: &Term, kind: Kind) -> Column {
        let title = if term.short.is_empty() {
            term.title
        } else {
            term.short
        };
        Column::new(name, title, kind, &self.fill(term.formula))
    }

    /// The currency is part of the name, because a CSV file has no other place for it.
    fn cost_column(&self) -> Column {
        let code = self.data.currency.code();
        self.column(
            &format!("cost_{}", code.to_lowercase()),
            &self.words.cost,
            Kind::Money,
        )
        .unit(code)
    }

    fn total(&self) -> Value {
        Value::text(self.data.locale.frame().total)
    }
}

fn section(
    heading: &Heading,
    audience: Audience,
    name: &str,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    totals: Vec<Value>,
) -> Section {
    Section {
        title: heading.title.to_owned(),
        explanation: heading.explanation.to_owned(),
        audience,
        body: Body::Table(Table {
            name: name.to_owned(),
            columns,
            rows,
            totals: Some(totals),
        }),
    }
}
