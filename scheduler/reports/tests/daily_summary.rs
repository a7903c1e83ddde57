//! The daily summary as a report: ratios, hours and gaps.

#![allow(clippy::unwrap_used, reason = "shared steps of tests")]

mod sample;

use chrono::Duration;
use voice_reports::daily_summary::{AnswerTime, CampaignRow, Counts, DailySummaryData, Interval};
use voice_reports::model::{Body, Change, Kpi, Plot, Report, Table, Value};

fn table<'a>(report: &'a Report, name: &str) -> &'a Table {
    report
        .tables()
        .map(|(_, table)| table)
        .find(|table| table.name == name)
        .unwrap()
}

fn cell<'a>(table: &'a Table, row: &'a [Value], column: &str) -> &'a Value {
    &row[table
        .columns
        .iter()
        .position(|candidate| candidate.name == column)
        .unwrap()]
}

fn kpi<'a>(report: &'a Report, name: &str) -> &'a Kpi {
    report.kpis.iter().find(|kpi| kpi.name == name).unwrap()
}

fn one_campaign(name: &str, attempts: u64, answered: u64) -> CampaignRow {
    CampaignRow {
        name: name.to_owned(),
        counts: Counts {
            attempts,
            answered,
            ..Counts::default()
        },
    }
}

#[test]
fn every_figure_is_divided_by_its_stated_denominator() {
    let totals = Counts {
        attempts: 1_000,
        answered: 400,
        contacts: 250,
        abandoned: 5,
        offered: 110,
        short_abandoned: 10,
        answered_in_threshold: 85,
        handled: 245,
        talk_ms: 245 * 150_000,
        hold_ms: 245 * 10_000,
        wrap_ms: 245 * 20_000,
        ..Counts::default()
    };
    let data = DailySummaryData {
        totals,
        answer_time: AnswerTime {
            p50_ms: Some(9_000),
            p95_ms: Some(21_500),
        },
        ..sample::empty_day()
    };
    let report = data.report().unwrap();
    let value = |name| kpi(&report, name).value.clone();
    assert_eq!(value("connect_rate"), Value::Percent(0.4));
    assert_eq!(value("abandon_rate"), Value::Percent(0.02));
    assert_eq!(value("service_level"), Value::Percent(0.85));
    assert_eq!(value("aht_s"), Value::Duration(180.0));
    assert_eq!(value("average_talk_s"), Value::Duration(150.0));
    assert_eq!(value("ring_to_answer_p50_s"), Value::Duration(9.0));
    assert_eq!(value("ring_to_answer_p95_s"), Value::Duration(21.5));
    assert!(
        report.kpis.iter().all(|kpi| kpi.name != "cost"),
        "cost is not known and must not be shown"
    );
}

#[test]
fn a_total_rate_is_not_the_average_of_rates() {
    let data = DailySummaryData {
        campaigns: vec![one_campaign("small", 10, 9), one_campaign("large", 990, 99)],
        ..sample::empty_day()
    };
    let report = data.report().unwrap();
    let campaigns = table(&report, "campaigns");
    let totals = campaigns.totals.as_ref().unwrap();
    assert_eq!(cell(campaigns, totals, "connect_rate"), &Value::Percent(0.108));
    assert_eq!(
        cell(campaigns, &campaigns.rows[0], "campaign"),
        &Value::text("large")
    );
}

#[test]
fn nothing_to_divide_by_is_missing_and_never_zero() {
    let report = sample::empty_day().report().unwrap();
    for name in [
        "connect_rate",
        "abandon_rate",
        "service_level",
        "aht_s",
        "average_talk_s",
    ] {
        assert_eq!(kpi(&report, name).value, Value::Missing, "{name}");
        assert_eq!(kpi(&report, name).change(), None, "{name}");
    }
    let hours = table(&report, "hours");
    assert_eq!(hours.rows.len(), 24);
    assert!(
        hours
            .rows
            .iter()
            .all(|row| *cell(hours, row, "abandon_rate") == Value::Missing)
    );
}

#[test]
fn the_day_the_clock_goes_back_has_25_hours_and_loses_no_call() {
    let data = sample::long_day();
    let report = data.report().unwrap();
    let hours = table(&report, "hours");
    assert_eq!(hours.rows.len(), 25);
    assert_eq!(table(&report, "intervals").rows.len(), 100);
    let totals = hours.totals.as_ref().unwrap();
    assert_eq!(
        cell(hours, totals, "attempts"),
        &Value::Count(data.totals.attempts)
    );
    let columns = report.sections.iter().find_map(|section| match &section.body {
        Body::Chart(chart) => match &chart.plot {
            Plot::Columns { categories, .. } => Some(categories),
            Plot::Bars { .. } => None,
        },
        _ => None,
    });
    assert_eq!(columns.unwrap()[1..4], ["01", "02", "02"]);
}

#[test]
fn an_interval_outside_the_day_is_refused() {
    for shift in [Duration::minutes(-15), Duration::hours(24)] {
        let mut data = sample::empty_day();
        let (from, _) = voice_reports::period::day_bounds(data.day, data.zone);
        data.intervals = vec![Interval {
            start: from + shift,
            counts: Counts::default(),
        }];
        assert_eq!(data.report().unwrap_err().kind(), "malformed_report");
    }
}

#[test]
fn layers_of_the_hour_chart_add_up_to_the_attempts() {
    let data = sample::ordinary_day();
    let report = data.report().unwrap();
    let drawn: u64 = report
        .sections
        .iter()
        .filter_map(|section| match &section.body {
            Body::Chart(chart) => Some(&chart.plot),
            _ => None,
        })
        .filter_map(|plot| match plot {
            Plot::Columns { series, .. } => Some(series.iter().flat_map(|layer| &layer.values).sum::<u64>()),
            Plot::Bars { .. } => None,
        })
        .sum();
    assert_eq!(drawn, data.totals.attempts);
}

#[test]
fn rates_change_in_points_and_counts_in_percent() {
    let report = sample::ordinary_day().report().unwrap();
    assert!(matches!(
        kpi(&report, "connect_rate").change(),
        Some(Change::Points(_))
    ));
    assert!(matches!(
        kpi(&report, "attempts").change(),
        Some(Change::Relative(_))
    ));
}
