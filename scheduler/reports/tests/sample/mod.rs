//! Made-up days for tests and the gallery, from a fixed seed.
#![allow(dead_code, reason = "each user needs some of the days")]

use chrono::{DateTime, Duration, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;
use voice_reports::daily_summary::{
    AnswerTime, CampaignRow, CarrierRow, Counts, DailySummaryData, Interval, PreviousDay, Tally, Thresholds,
};
use voice_reports::model::{Branding, Currency, Rgb};
use voice_reports::{Locale, period};

const CAMPAIGNS: [(&str, f64); 7] = [
    ("Winter renewals", 0.31),
    ("Fibre upgrade Madrid & Barcelona", 0.22),
    ("Debt reminder, stage 1", 0.17),
    ("#import \"x\" for $y$ — pilot", 0.12),
    ("=HYPERLINK(\"evil\") survey", 0.09),
    ("winter_renewals_2026_reactivation_north_east", 0.06),
    ("Callback requests", 0.03),
];
const CARRIERS: [(&str, f64); 4] = [
    ("Telco Iberia", 0.46),
    ("Nordvoice", 0.29),
    ("Kabelnet SIP trunk 2", 0.18),
    ("Backup route", 0.07),
];
const OUTCOMES: [(&str, f64); 12] = [
    ("Not interested", 0.24),
    ("Callback agreed", 0.17),
    ("Sale", 0.13),
    ("Wrong person", 0.11),
    ("Hung up during greeting", 0.09),
    ("Information sent", 0.07),
    ("Appointment", 0.06),
    ("Already a customer", 0.05),
    ("Language barrier", 0.03),
    ("Do not call again", 0.03),
    ("Complaint", 0.01),
    ("Transferred to human agent", 0.01),
];
const CAUSES: [(&str, f64); 8] = [
    ("16 Normal call clearing", 0.47),
    ("19 No answer from user", 0.29),
    ("17 User busy", 0.09),
    ("34 No circuit available", 0.06),
    ("1 Unallocated number", 0.04),
    ("21 Call rejected", 0.03),
    ("18 No user responding", 0.015),
    ("102 Recovery on timer expiry", 0.005),
];

/// Calls by hour of the local clock: a working day with a lunch dip.
const SHAPE: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.04, 0.09, 0.11, 0.115, 0.1, 0.07, 0.05, 0.07, 0.095, 0.105,
    0.085, 0.045, 0.015, 0.0, 0.0, 0.0,
];

fn counts(random: &mut fastrand::Rng, attempts: u64) -> Counts {
    let mut share = |of: u64, rate: f64| {
        let wobble = 0.88 + random.f64() * 0.24;
        ((of as f64 * rate * wobble).round() as u64).min(of)
    };
    let answered = share(attempts, 0.41);
    let contacts = share(answered, 0.68);
    let rest = attempts - answered;
    let no_answer = share(rest, 0.66);
    let busy = share(rest - no_answer, 0.52);
    let abandoned = share(contacts, 0.017);
    let offered = share(contacts, 0.35);
    let short_abandoned = share(offered, 0.01);
    let handled = contacts - abandoned;
    Counts {
        attempts,
        answered,
        contacts,
        abandoned,
        machine: answered - contacts,
        busy,
        no_answer,
        failed: rest - no_answer - busy,
        offered,
        answered_in_threshold: share(offered - short_abandoned, 0.86),
        short_abandoned,
        handled,
        talk_ms: share(handled * 171_000, 0.95),
        hold_ms: share(handled * 9_000, 0.9),
        wrap_ms: share(handled * 24_000, 0.9),
        cost_micros: Some((attempts * 4_100 + handled * 61_000) as i64),
    }
}

fn split(
    total: &Counts,
    random: &mut fastrand::Rng,
    shares: &[(&'static str, f64)],
) -> Vec<(&'static str, Counts)> {
    shares
        .iter()
        .map(|(name, share)| (*name, counts(random, (total.attempts as f64 * share) as u64)))
        .collect()
}

fn tallies(total: u64, shares: &[(&str, f64)]) -> Vec<Tally> {
    shares
        .iter()
        .map(|(name, share)| Tally {
            name: (*name).to_owned(),
            calls: (total as f64 * share) as u64,
        })
        .collect()
}

/// A day in `zone` with about `attempts` attempts in quarter hours.
pub(crate) fn day(day: NaiveDate, zone: Tz, attempts: u64) -> DailySummaryData {
    let mut random = fastrand::Rng::with_seed(20_261_121);
    let (from, to) = period::day_bounds(day, zone);
    let mut intervals = Vec::new();
    let mut start = from;
    while start < to {
        let hour = start.with_timezone(&zone).hour() as usize;
        let expected = attempts as f64 * SHAPE[hour] / 4.0 * (0.9 + random.f64() * 0.2);
        intervals.push(Interval {
            start,
            counts: counts(&mut random, expected as u64),
        });
        start += Duration::minutes(15);
    }
    let totals = Counts::sum(intervals.iter().map(|bucket| &bucket.counts));
    let before = counts(&mut random, totals.attempts * 96 / 100);
    let campaigns = split(&totals, &mut random, &CAMPAIGNS)
        .into_iter()
        .map(|(name, counts)| CampaignRow {
            name: name.to_owned(),
            counts,
        })
        .collect();
    let carriers = split(&totals, &mut random, &CARRIERS)
        .into_iter()
        .map(|(name, counts)| CarrierRow {
            name: name.to_owned(),
            answer_time: AnswerTime {
                p50_ms: (counts.answered > 0).then(|| 8_000 + random.u64(0..3_000)),
                p95_ms: (counts.answered > 0).then(|| 19_000 + random.u64(0..6_000)),
            },
            counts,
        })
        .collect();
    let measured = totals.answered > 0;
    DailySummaryData {
        tenant_name: "Horizonte Telecom".to_owned(),
        day,
        zone,
        generated_at: generated_at(to),
        locale: Locale::En,
        branding: Branding::default(),
        provisional: false,
        currency: Currency::EUR,
        thresholds: Thresholds::default(),
        totals,
        answer_time: AnswerTime {
            p50_ms: measured.then_some(9_200),
            p95_ms: measured.then_some(21_700),
        },
        previous: Some(PreviousDay {
            totals: before,
            answer_time: AnswerTime {
                p50_ms: Some(9_800),
                p95_ms: Some(22_400),
            },
        }),
        intervals,
        campaigns,
        carriers,
        outcomes: tallies(totals.handled, &OUTCOMES),
        hangup_causes: tallies(totals.attempts, &CAUSES),
    }
}

fn generated_at(to: DateTime<Utc>) -> DateTime<Utc> {
    to + Duration::minutes(37)
}

/// A Friday in Madrid.
pub(crate) fn ordinary_day() -> DailySummaryData {
    day(
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap_or_default(),
        Tz::Europe__Madrid,
        12_600,
    )
}

/// The day the clock goes back: 25 hours.
pub(crate) fn long_day() -> DailySummaryData {
    let mut data = day(
        NaiveDate::from_ymd_opt(2026, 10, 25).unwrap_or_default(),
        Tz::Europe__Madrid,
        2_400,
    );
    data.provisional = true;
    data
}

/// A tenant with its own colour and logo, in breach of the ceiling, without cost.
pub(crate) fn branded_day() -> DailySummaryData {
    let mut data = day(
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap_or_default(),
        Tz::Europe__Prague,
        184_000,
    );
    data.tenant_name = "Zelený kůň, a. s.".to_owned();
    data.branding = Branding {
        accent: Some(Rgb(0x0B, 0x6E, 0x4F)),
        logo_svg: Some(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 36"><g fill="#ffffff"><circle cx="18" cy="18" r="17" fill-opacity=".25"/><path d="M8 24 18 8l10 16h-6l-4-7-4 7z"/><rect x="46" y="8" width="66" height="7" rx="3.5"/><rect x="46" y="21" width="42" height="7" rx="3.5" fill-opacity=".6"/></g></svg>"##
                .to_owned(),
        ),
    };
    data.provisional = true;
    data.totals.abandoned = data.totals.contacts * 41 / 1000;
    data.totals.cost_micros = None;
    data.campaigns
        .iter_mut()
        .for_each(|campaign| campaign.counts.cost_micros = None);
    data
}

/// A Sunday without a single call.
pub(crate) fn empty_day() -> DailySummaryData {
    let mut data = day(
        NaiveDate::from_ymd_opt(2026, 11, 22).unwrap_or_default(),
        Tz::Europe__Madrid,
        0,
    );
    data.totals = Counts::default();
    data.previous = None;
    data.intervals.clear();
    data.campaigns.clear();
    data.carriers.clear();
    data.outcomes.clear();
    data.hangup_causes.clear();
    data
}
