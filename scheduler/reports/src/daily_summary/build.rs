//! From counts to the report model.

use chrono::{DateTime, Timelike, Utc};

use super::words::{Heading, Term, Words};
use super::{AnswerTime, Counts, DailySummaryData, KIND, Tally};
use crate::error::RenderError;
use crate::format::Formatter;
use crate::model::{
    Audience, Bar, Better, Body, Chart, Definition, Ink, Kpi, Limit, Line, Money, Plot, Report, Section,
    Series, Value,
};
use crate::period::{Period, day_bounds, hour_starts};

/// Bars of a chart before the rest is left to the table.
const MOST_BARS: usize = 7;
const SECONDS_PER_HOUR: i64 = 3_600;

pub(super) fn report(data: &DailySummaryData) -> Result<Report, RenderError> {
    let words = Words::of(data.locale);
    let build = Build {
        data,
        words,
        formatter: Formatter::new(data.locale, data.zone),
    };
    let (from, to) = day_bounds(data.day, data.zone);
    let hours = build.hours(from, to)?;
    let empty = data.totals.attempts == 0;
    // Two dozen rows of zeros are data, but nothing to read.
    let hour_readers = if empty { Audience::Data } else { Audience::Everyone };
    let mut sections = vec![
        build.hour_chart(&hours),
        build.outcome_chart(),
        build.campaign_chart(),
        build.campaign_table(),
        build.hour_table("hours", &words.hours, hour_readers, &hours),
        build.carrier_table(),
        build.cause_table(),
        build.outcome_table(),
    ];
    if data.intervals.len() > hours.len() {
        let fine: Vec<_> = data
            .intervals
            .iter()
            .map(|bucket| (bucket.start, bucket.counts))
            .collect();
        sections.push(build.hour_table("intervals", &words.intervals, Audience::Data, &fine));
    }
    Ok(Report {
        kind: KIND.to_owned(),
        title: words.title.to_owned(),
        subtitle: words.subtitle.to_owned(),
        tenant_name: data.tenant_name.clone(),
        period: Period {
            from,
            to,
            zone: data.zone,
            label: build.formatter.long_date(data.day),
        },
        generated_at: data.generated_at,
        locale: data.locale,
        branding: data.branding.clone(),
        provisional: data.provisional,
        empty_notice: empty.then(|| words.empty.to_owned()),
        kpis: build.kpis(&hours),
        sections,
        definitions: build.definitions(),
        primary_table: "hours".to_owned(),
    })
}

/// The data with the words and formats of their language.
pub(super) struct Build<'a> {
    pub(super) data: &'a DailySummaryData,
    pub(super) words: &'static Words,
    formatter: Formatter,
}

/// First instant of a bucket and its counts.
pub(super) type Hour = (DateTime<Utc>, Counts);

impl Build<'_> {
    /// The hours of the local day with their counts: 23, 24 or 25 of them.
    fn hours(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Hour>, RenderError> {
        let mut hours: Vec<Hour> = hour_starts(from, to)
            .into_iter()
            .map(|start| (start, Counts::default()))
            .collect();
        for bucket in &self.data.intervals {
            let elapsed = (bucket.start - from).num_seconds();
            let index = usize::try_from(elapsed.div_euclid(SECONDS_PER_HOUR)).ok();
            match index.and_then(|index| hours.get_mut(index)) {
                Some((_, counts)) if bucket.start < to => counts.add(&bucket.counts),
                _ => {
                    return Err(RenderError::Malformed(format!(
                        "the interval starting {} is outside {} in {}",
                        bucket.start, self.data.day, self.data.zone
                    )));
                }
            }
        }
        Ok(hours)
    }

    pub(super) fn cost(&self, counts: &Counts) -> Value {
        counts.cost_micros.map_or(Value::Missing, |micros| {
            Value::Money(Money {
                micros,
                currency: self.data.currency,
            })
        })
    }

    pub(super) fn has_cost(&self) -> bool {
        self.data.totals.cost_micros.is_some()
    }

    fn part_of(&self, template: &str, part: u64, whole: u64) -> String {
        template
            .replace("{a}", &self.formatter.count(part))
            .replace("{b}", &self.formatter.count(whole))
    }

    pub(super) fn fill(&self, text: &str) -> String {
        let limits = &self.data.thresholds;
        text.replace("{sl}", &limits.service_level_s.to_string())
            .replace("{short}", &limits.short_abandon_s.to_string())
            .replace("{after}", &limits.abandon_after_s.to_string())
            .replace("{target}", &self.formatter.limit(limits.service_level_target))
            .replace("{ceiling}", &self.formatter.limit(limits.abandon_ceiling))
    }

    fn kpis(&self, hours: &[Hour]) -> Vec<Kpi> {
        let (data, words) = (self.data, self.words);
        let now = &data.totals;
        let before = data.previous.unwrap_or(super::PreviousDay {
            totals: Counts::default(),
            answer_time: AnswerTime::default(),
        });
        let compared = data.previous.is_some();
        let kpi = |name: &str, term: &Term, figure: &dyn Fn(&Counts, &AnswerTime) -> Value| Kpi {
            name: name.to_owned(),
            label: self.fill(term.title),
            value: figure(now, &data.answer_time),
            previous: if compared {
                figure(&before.totals, &before.answer_time)
            } else {
                Value::Missing
            },
            better: None,
            limit: None,
            note: String::new(),
            audience: Audience::Everyone,
        };
        let base = now.offered.saturating_sub(now.short_abandoned);
        let p95 = self.formatter.value(&Value::millis(data.answer_time.p95_ms));
        let mut kpis = vec![
            Kpi {
                note: self.busiest(words.note_busiest, hours).unwrap_or_default(),
                ..kpi("attempts", &words.attempts, &|counts, _| {
                    Value::Count(counts.attempts)
                })
            },
            Kpi {
                audience: Audience::Data,
                better: Some(Better::Up),
                ..kpi("answered", &words.answered, &|counts, _| {
                    Value::Count(counts.answered)
                })
            },
            Kpi {
                better: Some(Better::Up),
                note: self.part_of(words.note_of_attempts, now.answered, now.attempts),
                ..kpi("connect_rate", &words.connect_rate, &|counts, _| {
                    connect_rate(counts)
                })
            },
            Kpi {
                better: Some(Better::Up),
                note: words.note_contacts.replace(
                    "{rate}",
                    &self.formatter.value(&Value::ratio(now.contacts, now.attempts)),
                ),
                ..kpi("contacts", &words.contacts, &|counts, _| {
                    Value::Count(counts.contacts)
                })
            },
            Kpi {
                better: Some(Better::Down),
                limit: Some(Limit::AtMost(data.thresholds.abandon_ceiling)),
                note: self.part_of(words.note_of_contacts, now.abandoned, now.contacts),
                ..kpi("abandon_rate", &words.abandon_rate, &|counts, _| {
                    abandon_rate(counts)
                })
            },
            Kpi {
                better: Some(Better::Up),
                limit: Some(Limit::AtLeast(data.thresholds.service_level_target)),
                note: self.part_of(words.note_of_offered, now.answered_in_threshold, base),
                ..kpi("service_level", &words.service_level, &|counts, _| {
                    service_level(counts)
                })
            },
            Kpi {
                note: words
                    .note_handled
                    .replace("{a}", &self.formatter.count(now.handled)),
                ..kpi("aht_s", &words.aht, &|counts, _| aht(counts))
            },
            Kpi {
                note: words.note_talk.to_owned(),
                ..kpi("average_talk_s", &words.talk, &|counts, _| {
                    Value::mean_ms(counts.talk_ms, counts.handled)
                })
            },
            Kpi {
                better: Some(Better::Down),
                note: words.note_p95.replace("{p95}", &p95),
                ..kpi("ring_to_answer_p50_s", &words.ring_p50, &|_, times| {
                    Value::millis(times.p50_ms)
                })
            },
            Kpi {
                audience: Audience::Data,
                better: Some(Better::Down),
                ..kpi("ring_to_answer_p95_s", &words.ring_p95, &|_, times| {
                    Value::millis(times.p95_ms)
                })
            },
        ];
        if self.has_cost() {
            let per_contact = match now.cost_micros {
                Some(micros) if now.contacts > 0 => Value::Money(Money {
                    micros: (micros as f64 / now.contacts as f64).round() as i64,
                    currency: data.currency,
                }),
                _ => Value::Missing,
            };
            kpis.push(Kpi {
                note: words
                    .note_cost
                    .replace("{a}", &self.formatter.value(&per_contact)),
                ..kpi("cost", &words.cost, &|counts, _| self.cost(counts))
            });
        }
        if now.attempts == 0 {
            // "0 of 0" under a dash says nothing.
            kpis.iter_mut().for_each(|kpi| kpi.note.clear());
        }
        kpis
    }

    fn hour_chart(&self, hours: &[Hour]) -> Section {
        let words = self.words;
        let layer = |name: &str, ink: Ink, of: fn(&Counts) -> u64| Series {
            name: name.to_owned(),
            ink,
            values: hours.iter().map(|(_, counts)| of(counts)).collect(),
        };
        let alt = self
            .busiest(words.hour_chart_alt, hours)
            .unwrap_or_else(|| words.empty.to_owned());
        drawing(
            &words.hour_chart,
            Chart {
                alt,
                plot: Plot::Columns {
                    categories: hours.iter().map(|(start, _)| self.hour_label(*start)).collect(),
                    axis_title: words.hour_axis.replace("{zone}", self.data.zone.name()),
                    series: vec![
                        layer(words.conversations, Ink::Accent, |c| {
                            c.contacts.saturating_sub(c.abandoned)
                        }),
                        layer(words.abandoned.title, Ink::Alert, |c| c.abandoned),
                        layer(words.machine, Ink::AccentSoft, |c| c.machine),
                        layer(words.no_answer, Ink::Quiet, |c| c.no_answer),
                        layer(words.busy, Ink::Neutral, |c| c.busy),
                        layer(words.failed.title, Ink::Strong, failed),
                    ],
                    line: Some(Line {
                        name: words.connect_rate.title.to_owned(),
                        values: hours
                            .iter()
                            .map(|(_, counts)| connect_rate(counts).as_f64())
                            .collect(),
                    }),
                },
            },
        )
    }

    /// A sentence about the hour with most attempts; none on a day without any.
    fn busiest(&self, template: &str, hours: &[Hour]) -> Option<String> {
        let (start, counts) = hours.iter().rev().max_by_key(|(_, counts)| counts.attempts)?;
        (counts.attempts > 0).then(|| {
            template
                .replace("{hour}", &self.formatter.clock(*start))
                .replace("{a}", &self.formatter.count(counts.attempts))
        })
    }

    fn hour_label(&self, start: DateTime<Utc>) -> String {
        let local = start.with_timezone(&self.data.zone);
        if local.minute() == 0 {
            format!("{:02}", local.hour())
        } else {
            format!("{:02}:{:02}", local.hour(), local.minute())
        }
    }

    fn outcome_chart(&self) -> Section {
        let total: u64 = self.data.outcomes.iter().map(|tally| tally.calls).sum();
        let sorted = sorted(&self.data.outcomes);
        let shown = if sorted.len() > MOST_BARS + 1 {
            MOST_BARS
        } else {
            sorted.len()
        };
        let mut bars: Vec<Bar> = sorted[..shown]
            .iter()
            .map(|tally| Bar {
                label: tally.name.clone(),
                value: Value::Count(tally.calls),
                detail: Value::ratio(tally.calls, total),
            })
            .collect();
        let rest: u64 = sorted[shown..].iter().map(|tally| tally.calls).sum();
        if rest > 0 {
            bars.push(Bar {
                label: self.words.other.to_owned(),
                value: Value::Count(rest),
                detail: Value::ratio(rest, total),
            });
        }
        self.bars(&self.words.outcome_chart, bars, Ink::Accent)
    }

    fn campaign_chart(&self) -> Section {
        let mut campaigns: Vec<_> = self
            .data
            .campaigns
            .iter()
            .filter(|campaign| campaign.counts.contacts > 0)
            .collect();
        campaigns.sort_by(|a, b| {
            b.counts
                .contacts
                .cmp(&a.counts.contacts)
                .then_with(|| a.name.cmp(&b.name))
        });
        let bars = campaigns
            .into_iter()
            .take(MOST_BARS)
            .map(|campaign| Bar {
                label: campaign.name.clone(),
                value: Value::Count(campaign.counts.contacts),
                detail: Value::ratio(campaign.counts.contacts, campaign.counts.attempts),
            })
            .collect();
        self.bars(&self.words.campaign_chart, bars, Ink::Accent)
    }

    fn bars(&self, title: &Heading, bars: Vec<Bar>, ink: Ink) -> Section {
        let alt = bars
            .iter()
            .map(|bar| format!("{}: {}", bar.label, self.formatter.value(&bar.value)))
            .collect::<Vec<_>>()
            .join("; ");
        let alt = if bars.is_empty() {
            title.title.to_owned()
        } else {
            format!("{}. {alt}.", title.title)
        };
        let plot = Plot::Bars {
            value_title: self.words.calls.title.to_owned(),
            bars,
            ink,
        };
        drawing(title, Chart { alt, plot })
    }

    fn definitions(&self) -> Vec<Definition> {
        let words = self.words;
        let mut terms = vec![
            &words.attempts,
            &words.answered,
            &words.connect_rate,
            &words.contacts,
            &words.abandoned,
            &words.abandon_rate,
            &words.service_level,
            &words.aht,
            &words.talk,
            &words.ring_p50,
            &words.ring_p95,
            &words.failed,
            &words.failure_rate,
        ];
        if self.has_cost() {
            terms.push(&words.cost);
        }
        terms
            .into_iter()
            .map(|term| Definition {
                term: self.fill(term.title),
                formula: self.fill(term.formula),
                remark: self.fill(term.remark),
            })
            .collect()
    }
}

fn drawing(heading: &Heading, chart: Chart) -> Section {
    Section {
        title: heading.title.to_owned(),
        explanation: heading.explanation.to_owned(),
        audience: Audience::Everyone,
        body: Body::Chart(chart),
    }
}

pub(super) fn sorted(tallies: &[Tally]) -> Vec<&Tally> {
    let mut sorted: Vec<_> = tallies.iter().filter(|tally| tally.calls > 0).collect();
    sorted.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
    sorted
}

pub(super) fn connect_rate(counts: &Counts) -> Value {
    Value::ratio(counts.answered, counts.attempts)
}

pub(super) fn abandon_rate(counts: &Counts) -> Value {
    Value::ratio(counts.abandoned, counts.contacts)
}

pub(super) fn service_level(counts: &Counts) -> Value {
    Value::ratio(
        counts.answered_in_threshold,
        counts.offered.saturating_sub(counts.short_abandoned),
    )
}

pub(super) fn aht(counts: &Counts) -> Value {
    let sum = counts
        .talk_ms
        .saturating_add(counts.hold_ms)
        .saturating_add(counts.wrap_ms);
    Value::mean_ms(sum, counts.handled)
}

/// Failed attempts, plus whatever none of the groups claims, so that the groups always add
/// up to the attempts.
pub(super) fn failed(counts: &Counts) -> u64 {
    let claimed = [counts.contacts, counts.machine, counts.busy, counts.no_answer];
    let claimed = claimed.into_iter().fold(0u64, u64::saturating_add);
    counts.attempts.saturating_sub(claimed).max(counts.failed)
}
