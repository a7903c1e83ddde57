//! A small report for the unit tests of the writers.

use chrono_tz::Tz;

use crate::model::{
    Align, Audience, Better, Body, Branding, Column, Currency, Definition, Kind, Kpi, Limit, Money, Report,
    Section, Table, Value,
};
use crate::{Locale, Period};

pub(crate) fn report(rows: Vec<Vec<Value>>) -> Report {
    let mut count = Column::new("calls", "Calls", Kind::Count, "Number of calls.");
    count.align = Align::Right;
    let columns = vec![
        Column::new("campaign", "Campaign", Kind::Text, "Name."),
        count,
        Column::new("answer_rate", "Answer rate", Kind::Percent, "answered ÷ calls"),
        Column::new("aht_s", "AHT", Kind::Duration, "handle time ÷ handled").unit("m:ss"),
        Column::new("cost", "Cost", Kind::Money, "Cost.").unit("EUR"),
        Column::new("starts_at", "Starts", Kind::DateTime, "Start."),
    ];
    let totals = Some(vec![
        Value::text("Total"),
        Value::Count(rows.len() as u64),
        Value::Missing,
        Value::Missing,
        Value::Missing,
        Value::Missing,
    ]);
    Report {
        kind: "sample".to_owned(),
        title: "Sample".to_owned(),
        subtitle: "A small report".to_owned(),
        tenant_name: "Tenant".to_owned(),
        period: Period {
            from: "2026-11-19T23:00:00Z".parse().unwrap(),
            to: "2026-11-20T23:00:00Z".parse().unwrap(),
            zone: Tz::Europe__Madrid,
            label: "Friday, 20 Nov 2026".to_owned(),
        },
        generated_at: "2026-11-20T23:37:00Z".parse().unwrap(),
        locale: Locale::En,
        branding: Branding::default(),
        provisional: false,
        empty_notice: None,
        kpis: vec![Kpi {
            name: "abandon_rate".to_owned(),
            label: "Abandon rate".to_owned(),
            value: Value::Percent(0.041),
            previous: Value::Percent(0.035),
            better: Some(Better::Down),
            limit: Some(Limit::AtMost(0.03)),
            note: "41 of 1,000 contacts".to_owned(),
            audience: Audience::Everyone,
        }],
        sections: vec![Section {
            title: "Campaigns".to_owned(),
            explanation: "All of them.".to_owned(),
            audience: Audience::Everyone,
            body: Body::Table(Table {
                name: "campaigns".to_owned(),
                columns,
                rows,
                totals,
            }),
        }],
        definitions: vec![Definition {
            term: "Abandon rate".to_owned(),
            formula: "abandoned ÷ contacts".to_owned(),
            remark: "Ceiling 3%.".to_owned(),
        }],
        primary_table: "campaigns".to_owned(),
    }
}

/// A row of [`report`]'s table.
pub(crate) fn row(name: &str, calls: u64) -> Vec<Value> {
    vec![
        Value::text(name),
        Value::Count(calls),
        Value::Percent(0.25),
        Value::Duration(204.0),
        Value::Money(Money {
            micros: -1_500_000,
            currency: Currency::EUR,
        }),
        Value::DateTime("2026-11-20T08:00:00Z".parse().unwrap()),
    ]
}
