//! A dial to which nothing objects, to be spoilt in one way by each test.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses a part of it, and a test that cannot go on fails"
)]

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voice_compliance::{
    Address, AttemptEnd, CallerId, Capacity, Code, Company, Consent, ConsentClass, Debt, Evidence, Facts,
    Jurisdiction, Jurisdictions, LineKind, Mode, PastAttempt, Place, Purpose, RegistryCheck, Request, Rules,
    Subject, Verdict,
};

pub fn rules() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::embedded().unwrap());
    &RULES
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn code(text: &str) -> Jurisdiction {
    Jurisdiction::parse(text).unwrap()
}

pub fn codes(text: &[&str]) -> Jurisdictions {
    text.iter().map(|text| code(text)).collect()
}

pub const COMPANY: Company = Company(Uuid::from_u128(1));
pub const OTHER_COMPANY: Company = Company(Uuid::from_u128(2));
pub const SUBJECT: Subject = Subject(Uuid::from_u128(3));
pub const OTHER_SUBJECT: Subject = Subject(Uuid::from_u128(4));
pub const DEBT: Debt = Debt(Uuid::from_u128(5));
pub const OTHER_DEBT: Debt = Debt(Uuid::from_u128(6));

/// Numbers from ranges kept for fiction where there are some.
pub const NEW_YORK: &str = "+12125550123";
pub const FLORIDA: &str = "+13055550123";
pub const TEXAS: &str = "+12145550123";
pub const PRAGUE: &str = "+420601000000";
pub const MADRID: &str = "+34910000000";
pub const SPANISH_MOBILE: &str = "+34600000000";
pub const PARIS: &str = "+33199000000";
pub const LONDON: &str = "+442079460000";
pub const BERLIN: &str = "+4930000000";
pub const TORONTO: &str = "+14165550123";
pub const NOWHERE: &str = "+9990000000";

pub fn place(number: &str) -> Place {
    rules().place(&Evidence {
        number,
        ..Evidence::default()
    })
}

pub fn place_with_address(number: &str, country: &str, state: Option<&str>, postal: Option<&str>) -> Place {
    let address = Address {
        country: country.parse().unwrap(),
        subdivision: state,
        postal_code: postal,
    };
    rules().place(&Evidence {
        number,
        address: Some(address),
        ..Evidence::default()
    })
}

/// A person dials to sell, with everything in order.
pub fn request(place: &Place) -> Request<'_> {
    Request {
        place,
        tightening: &[],
        purpose: Purpose::Telemarketing,
        mode: Mode::Predictive,
        company: COMPANY,
        subject: Some(SUBJECT),
        debt: None,
        caller_id: CallerId {
            valid: true,
            owned: true,
            answers: true,
            presence: true,
            kind: LineKind::Geographic,
        },
        capacity: Capacity::Agents,
        live_agent_guaranteed: false,
        registered: codes(&["US-TX"]),
    }
}

pub fn ai_request(place: &Place) -> Request<'_> {
    Request {
        mode: Mode::Ai,
        capacity: Capacity::Ai,
        ..request(place)
    }
}

pub const fn consent(given_at: DateTime<Utc>) -> Consent {
    Consent {
        class: ConsentClass::ExpressWritten,
        marketing: true,
        automated: true,
        proof: true,
        company: COMPANY,
        subject: None,
        given_at,
        expires_at: None,
        withdrawn_at: None,
    }
}

/// Agreed to everything, and nobody called yet.
pub fn facts() -> Facts {
    Facts {
        consents: vec![consent(at("2025-01-10T10:00:00Z"))],
        ..Facts::default()
    }
}

/// Never agreed to anything, but looked up everywhere at `now`.
pub fn unasked(now: DateTime<Utc>) -> Facts {
    let lists = [
        "us-dnc",
        "gb-tps",
        "gb-ctps",
        "es-robinson",
        "fr-bloctel",
        "ca-dncl",
    ];
    let checks = lists.map(|list| RegistryCheck {
        list: list.to_owned(),
        at: now,
        listed: false,
    });
    Facts {
        registry_checks: checks.into(),
        ..Facts::default()
    }
}

pub fn attempt(at: DateTime<Utc>, end: AttemptEnd) -> PastAttempt {
    PastAttempt {
        at,
        end,
        company: Some(COMPANY),
        subject: Some(SUBJECT),
        debt: None,
    }
}

pub fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub fn judged(request: &Request<'_>, facts: &Facts, now: &str) -> Verdict {
    rules().judge(request, facts, at(now))
}

/// The codes and rules that stand against it.
pub fn objections(verdict: &Verdict) -> Vec<(Code, String)> {
    verdict
        .reasons()
        .iter()
        .map(|reason| (reason.code, reason.rule.to_string()))
        .collect()
}

pub fn next(verdict: &Verdict) -> Option<DateTime<Utc>> {
    match verdict {
        Verdict::Allowed(_) => panic!("it is allowed"),
        Verdict::Refused(refused) => refused.next_eligible_at,
    }
}
