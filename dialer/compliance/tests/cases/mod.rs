//! Dials of every kind, at every moment, with every history: generated, and mostly near to what is allowed.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test that cannot go on fails"
)]

use crate::common::*;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::{collection::vec, option, prelude::*, sample::select};
use voice_compliance::{
    Address, AttemptEnd, CallerId, Cap, Capacity, Clock, Consent, ConsentClass, ConsentNeed, CoolOff,
    Cooling, Evidence, Exception, Facts, LineKind, Mode, PastAttempt, Per, Place, Purpose, Registry,
    RegistryCheck, Relationship, Request, Revocation, RevocationScope, Suppression, SuppressionScope,
    TenantCalendar, Tightening,
};

pub const NUMBERS: [&str; 20] = [
    NEW_YORK,
    FLORIDA,
    TEXAS,
    PRAGUE,
    MADRID,
    SPANISH_MOBILE,
    PARIS,
    LONDON,
    BERLIN,
    TORONTO,
    NOWHERE,
    "+14015550123",
    "+15025550123",
    "+12255550123",
    "+18085550123",
    "+12155550123",
    "+18005550123",
    "+81300000000",
    "+262262000000",
    "+12065550123",
];

const ADDRESSES: [(&str, Option<&str>, Option<&str>); 9] = [
    ("US", Some("FL"), None),
    ("US", Some("CA"), Some("90210")),
    ("US", None, Some("10001")),
    ("US", None, None),
    ("FR", None, Some("75001")),
    ("FR", None, Some("97400")),
    ("ES", None, Some("35001")),
    ("CZ", None, None),
    ("JP", None, None),
];

const LISTS: [&str; 6] = [
    "us-dnc",
    "gb-tps",
    "gb-ctps",
    "es-robinson",
    "fr-bloctel",
    "ca-dncl",
];

pub fn zone() -> impl Strategy<Value = Tz> {
    select(vec![
        Tz::Europe__Prague,
        Tz::America__Los_Angeles,
        Tz::Asia__Tokyo,
        Tz::America__New_York,
    ])
}

fn places() -> impl Strategy<Value = Place> {
    let address = prop_oneof![3 => Just(None), 1 => select(&ADDRESSES[..]).prop_map(Some)];
    let zone = prop_oneof![4 => Just(None), 1 => zone().prop_map(Some)];
    (select(&NUMBERS[..]), address, zone).prop_map(|(number, address, zone)| {
        let address = address.map(|(country, subdivision, postal_code)| Address {
            country: country.parse().unwrap(),
            subdivision,
            postal_code,
        });
        rules().place(&Evidence {
            number,
            address,
            zone,
        })
    })
}

/// Around the law's changes and the clocks', in seconds.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (at("2026-02-20T00:00:00Z").timestamp()..at("2027-04-10T00:00:00Z").timestamp())
        .prop_map(|second| DateTime::from_timestamp(second, 0).unwrap())
}

/// So long before or, rarely, after the moment of judging.
fn ago(days: i64) -> impl Strategy<Value = TimeDelta> {
    prop_oneof![
        20 => (0..days * 86_400).prop_map(|seconds| TimeDelta::seconds(-seconds)),
        1 => (0..5 * 86_400_i64).prop_map(TimeDelta::seconds),
    ]
}

fn company() -> impl Strategy<Value = voice_compliance::Company> {
    prop_oneof![4 => Just(COMPANY), 1 => Just(OTHER_COMPANY)]
}

fn subject() -> impl Strategy<Value = Option<voice_compliance::Subject>> {
    prop_oneof![4 => Just(None), 3 => Just(Some(SUBJECT)), 1 => Just(Some(OTHER_SUBJECT))]
}

fn likely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.9)
}

fn class() -> impl Strategy<Value = ConsentClass> {
    prop_oneof![1 => Just(ConsentClass::Express), 3 => Just(ConsentClass::ExpressWritten)]
}

fn consents(now: DateTime<Utc>) -> impl Strategy<Value = Consent> {
    let lapses = prop_oneof![3 => Just(None), 1 => (-30_i64..60).prop_map(Some)];
    let withdrawn = prop::bool::weighted(0.1);
    (
        class(),
        likely(),
        likely(),
        likely(),
        company(),
        subject(),
        ago(400),
        lapses,
        withdrawn,
    )
        .prop_map(
            move |(class, marketing, automated, proof, company, subject, given, lapses, withdrawn)| Consent {
                class,
                marketing,
                automated,
                proof,
                company,
                subject,
                given_at: now + given,
                expires_at: lapses.map(|days| now + TimeDelta::days(days)),
                withdrawn_at: withdrawn.then_some(now - TimeDelta::days(1)),
            },
        )
}

fn attempts(now: DateTime<Utc>) -> impl Strategy<Value = PastAttempt> {
    let ends = select(vec![
        AttemptEnd::NotReached,
        AttemptEnd::NotReached,
        AttemptEnd::Machine,
        AttemptEnd::Abandoned,
        AttemptEnd::Conversation,
        AttemptEnd::Refusal,
        AttemptEnd::Unknown,
    ]);
    let debt = option::of(select(vec![DEBT, OTHER_DEBT]));
    (ago(70), ends, option::of(company()), subject(), debt).prop_map(
        move |(at, end, company, subject, debt)| PastAttempt {
            at: now + at,
            end,
            company,
            subject,
            debt,
        },
    )
}

fn suppression(now: DateTime<Utc>) -> impl Strategy<Value = Suppression> {
    let scope = select(vec![
        SuppressionScope::Tenant,
        SuppressionScope::Company,
        SuppressionScope::Campaign,
    ]);
    (scope, option::weighted(0.9, -10_i64..40)).prop_map(move |(scope, ends)| Suppression {
        scope,
        reason: "asked".to_owned(),
        expires_at: ends.map(|days| now + TimeDelta::days(days)),
    })
}

fn revocation(now: DateTime<Utc>) -> impl Strategy<Value = Revocation> {
    let scope = select(vec![
        RevocationScope::All,
        RevocationScope::Company(COMPANY),
        RevocationScope::Company(OTHER_COMPANY),
        RevocationScope::Subject(SUBJECT),
        RevocationScope::Subject(OTHER_SUBJECT),
    ]);
    (ago(500), scope).prop_map(move |(at, scope)| Revocation { at: now + at, scope })
}

fn checks(now: DateTime<Utc>) -> impl Strategy<Value = RegistryCheck> {
    (select(&LISTS[..]), ago(40), prop::bool::weighted(0.1)).prop_map(move |(list, at, listed)| {
        RegistryCheck {
            list: list.to_owned(),
            at: now + at,
            listed,
        }
    })
}

/// Facts of which a good part allows a dial.
fn facts_at(now: DateTime<Utc>) -> impl Strategy<Value = Facts> {
    let relationship = option::of((option::of(ago(700)), option::of(ago(200)), any::<bool>())).prop_map(
        move |relationship| {
            relationship.map(|(purchase, inquiry, contract)| Relationship {
                last_purchase: purchase.map(|ago| now + ago),
                last_inquiry: inquiry.map(|ago| now + ago),
                contract,
            })
        },
    );
    (
        prop_oneof![4 => Just(Vec::new()), 1 => vec(suppression(now), 1..3)],
        prop_oneof![4 => Just(Vec::new()), 1 => vec(revocation(now), 1..3)],
        vec(consents(now), 0..4),
        relationship,
        prop_oneof![1 => Just(Vec::new()), 1 => vec(attempts(now), 0..9)],
        vec(checks(now), 0..8),
    )
        .prop_map(
            |(suppressions, revocations, consents, relationship, attempts, registry_checks)| Facts {
                suppressions,
                revocations,
                consents,
                relationship,
                attempts,
                registry_checks,
            },
        )
}

fn weeks() -> impl Strategy<Value = &'static str> {
    select(vec![
        "mon-sun 00:00-24:00",
        "mon-fri 09:00-17:00",
        "mon-sun 02:30-23:00",
        "tue-thu 10:00-12:00 15:00-16:30",
        "sat 09:00-12:00",
    ])
}

fn calendar(now: DateTime<Utc>) -> impl Strategy<Value = TenantCalendar> {
    let exception = (0_u64..10, option::of(select(vec!["08:00-20:00", "13:00-14:00"])));
    let clock = prop_oneof![Just(Clock::Called), zone().prop_map(Clock::Zone)];
    (weeks(), vec(exception, 0..3), clock).prop_map(move |(week, exceptions, clock)| TenantCalendar {
        week: week.parse().unwrap(),
        exceptions: exceptions
            .into_iter()
            .map(|(days, hours)| {
                let date = now.date_naive() + chrono::Days::new(days);
                hours.map_or_else(
                    || Exception::closed(date),
                    |hours| Exception::open(date, hours).unwrap(),
                )
            })
            .collect(),
        clock,
    })
}

fn per() -> impl Strategy<Value = Per> {
    select(vec![Per::Person, Per::Company, Per::Subject, Per::Debt])
}

fn tightenings(now: DateTime<Utc>) -> impl Strategy<Value = Tightening> {
    let cap = (0_u32..4, 1_u32..60, 0_u32..3, per()).prop_map(|(calls, hours, days, per)| Cap {
        calls,
        hours,
        days,
        per,
    });
    let after = select(vec![
        Cooling::Refusal,
        Cooling::Abandoned,
        Cooling::Machine,
        Cooling::Conversation,
    ]);
    let pause =
        (after, 1_u32..100, per(), any::<bool>()).prop_map(|(after, hours, per, unless_live_agent)| {
            CoolOff {
                after,
                hours,
                days: 0,
                per,
                unless_live_agent,
            }
        });
    let need = (class(), any::<bool>(), any::<bool>(), any::<bool>(), 0_u32..3).prop_map(
        |(class, marketing, automated, proof, customer_months)| ConsentNeed {
            class,
            marketing,
            automated,
            proof,
            customer_months,
            inquiry_months: 0,
            contract: false,
        },
    );
    let registry =
        (select(&LISTS[..]), 1_u32..20, option::of(class())).prop_map(|(list, max_age_days, consent)| {
            Registry {
                list: list.to_owned(),
                max_age_days,
                consent,
                customer_months: 0,
                inquiry_months: 0,
                contract: false,
            }
        });
    let only = prop_oneof![4 => Just(None), 1 => Just(Some(codes(&["US", "CZ", "FR"])))];
    (
        option::weighted(0.5, calendar(now)),
        vec(cap, 0..2),
        vec(pause, 0..2),
        option::weighted(0.3, need),
        vec(registry, 0..2),
        prop::bool::weighted(0.1),
        only,
    )
        .prop_map(
            |(calendar, caps, cool_offs, consent, registries, no_ai, only)| Tightening {
                calendar,
                caps,
                cool_offs,
                consent,
                registries,
                no_ai,
                only,
                ..Tightening::default()
            },
        )
}

/// Everything about a dial but its place and what the tenant adds.
#[derive(Clone, Debug)]
pub struct Dial {
    pub purpose: Purpose,
    pub mode: Mode,
    pub subject: Option<voice_compliance::Subject>,
    pub debt: Option<voice_compliance::Debt>,
    pub caller_id: CallerId,
    pub staffed: bool,
    pub live_agent_guaranteed: bool,
    pub registered: bool,
}

impl Dial {
    pub fn request<'a>(&self, place: &'a Place, tightening: &'a [Tightening]) -> Request<'a> {
        let capacity = match (self.staffed, self.mode) {
            (false, _) => Capacity::Absent,
            (true, Mode::Ai) => Capacity::Ai,
            (true, _) => Capacity::Agents,
        };
        Request {
            tightening,
            purpose: self.purpose,
            mode: self.mode,
            subject: self.subject,
            debt: self.debt,
            caller_id: self.caller_id,
            capacity,
            live_agent_guaranteed: self.live_agent_guaranteed,
            registered: if self.registered {
                codes(&["US-TX"])
            } else {
                codes(&[])
            },
            ..request(place)
        }
    }
}

fn dials() -> impl Strategy<Value = Dial> {
    let kind = prop_oneof![
        8 => Just(LineKind::Geographic),
        1 => Just(LineKind::Mobile),
        1 => Just(LineKind::Unknown),
    ];
    let sure = || prop::bool::weighted(0.97);
    let caller_id =
        (sure(), sure(), sure(), sure(), kind).prop_map(|(valid, owned, answers, presence, kind)| CallerId {
            valid,
            owned,
            answers,
            presence,
            kind,
        });
    (
        select(&Purpose::ALL[..]),
        select(&Mode::ALL[..]),
        subject(),
        option::of(select(vec![DEBT, OTHER_DEBT])),
        caller_id,
        sure(),
        any::<bool>(),
        sure(),
    )
        .prop_map(
            |(purpose, mode, subject, debt, caller_id, staffed, live_agent_guaranteed, registered)| Dial {
                purpose,
                mode,
                subject,
                debt,
                caller_id,
                staffed,
                live_agent_guaranteed,
                registered,
            },
        )
}

pub type Case = (DateTime<Utc>, Place, Dial, Facts, Vec<Tightening>);

pub fn cases() -> impl Strategy<Value = Case> {
    moment().prop_flat_map(|now| {
        let wishes = prop_oneof![1 => Just(Vec::new()), 1 => vec(tightenings(now), 1..3)];
        (Just(now), places(), dials(), facts_at(now), wishes)
    })
}
