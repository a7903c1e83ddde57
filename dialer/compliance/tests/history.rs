//! How often and how soon again: caps on attempts and pauses, over all campaigns. EXT-10.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use chrono::TimeDelta;
use common::*;
use voice_compliance::{AttemptEnd, Code, Facts, Mode, PastAttempt, Purpose, Request};

/// A Monday, 15:30 in Paris, 14:30 in London, 09:30 in New York.
const NOW: &str = "2026-11-23T14:30:00Z";

fn pair(code: Code, rule: &str) -> (Code, String) {
    (code, rule.to_owned())
}

/// The attempts before `NOW`, so many hours back.
fn tried(hours_back: &[i64]) -> Facts {
    let attempts = hours_back
        .iter()
        .map(|back| attempt(at(NOW) - hours(*back), AttemptEnd::NotReached))
        .collect();
    Facts { attempts, ..facts() }
}

#[test]
fn florida_and_oklahoma_allow_three_calls_in_a_day_on_one_subject() {
    for (number, rule) in [
        (FLORIDA, "us-fl/three-a-day"),
        ("+14055550123", "us-ok/three-a-day"),
    ] {
        let place = place(number);
        assert!(judged(&request(&place), &tried(&[2, 20]), NOW).is_allowed());
        let full = judged(&request(&place), &tried(&[2, 1, 20]), NOW);
        assert_eq!(objections(&full), [pair(Code::PersonCap, rule)]);
        // The oldest leaves the day four hours later.
        assert_eq!(next(&full), Some(at(NOW) + hours(4)));
        assert!(judged(&request(&place), &tried(&[2, 1, 24]), NOW).is_allowed());

        let mut elsewhere = tried(&[1, 2, 3]);
        elsewhere.attempts[0].subject = Some(OTHER_SUBJECT);
        assert!(judged(&request(&place), &elsewhere, NOW).is_allowed());
        elsewhere.attempts[0].subject = None;
        assert!(!judged(&request(&place), &elsewhere, NOW).is_allowed());
        elsewhere.attempts[0].company = Some(OTHER_COMPANY);
        assert!(judged(&request(&place), &elsewhere, NOW).is_allowed());
    }
}

#[test]
fn more_attempts_than_the_cap_wait_until_one_fewer_than_it_are_left() {
    let florida = place(FLORIDA);
    let full = judged(&request(&florida), &tried(&[1, 2, 3, 4, 23]), NOW);
    // 23, 4 and 3 hours old must be gone: 21 hours from now it is 11:30 UTC in the night, so Florida's morning.
    assert_eq!(next(&full), Some(at("2026-11-24T14:00:00Z")));
}

#[test]
fn a_debt_is_called_about_seven_times_in_seven_days_and_not_after_a_conversation() {
    let new_york = place(NEW_YORK);
    let request = Request {
        purpose: Purpose::DebtCollection,
        debt: Some(DEBT),
        ..request(&new_york)
    };
    let about = |debt, end, days: i64| PastAttempt {
        debt,
        ..attempt(at(NOW) - TimeDelta::days(days), end)
    };
    let tried = |times: i64, debt| {
        let attempts = (0..times)
            .map(|day| about(debt, AttemptEnd::NotReached, day % 6))
            .collect();
        judged(&request, &Facts { attempts, ..facts() }, NOW)
    };
    assert!(tried(6, Some(DEBT)).is_allowed());
    assert_eq!(
        objections(&tried(7, Some(DEBT))),
        [pair(Code::PersonCap, "us/debt-calls")]
    );
    assert_eq!(
        objections(&tried(7, None)),
        [pair(Code::PersonCap, "us/debt-calls")]
    );
    assert!(tried(7, Some(OTHER_DEBT)).is_allowed());

    let talked = |days| {
        let attempts = vec![about(Some(DEBT), AttemptEnd::Conversation, days)];
        judged(&request, &Facts { attempts, ..facts() }, NOW)
    };
    assert_eq!(
        objections(&talked(6)),
        [pair(Code::CoolOffConversation, "us/debt-conversation")]
    );
    assert!(talked(8).is_allowed());
}

#[test]
fn france_allows_four_calls_in_thirty_days_and_sixty_days_of_silence_after_a_no() {
    let paris = place(PARIS);
    assert!(judged(&request(&paris), &tried(&[24, 48, 72]), NOW).is_allowed());
    let full = judged(&request(&paris), &tried(&[24, 48, 72, 96]), NOW);
    assert_eq!(
        objections(&full),
        [pair(Code::PersonCap, "fr/four-in-thirty-days")]
    );
    // Thirty days after the fourth but last, 19 November, and an hour for a change of the clock: a Saturday.
    assert_eq!(next(&full), Some(at("2026-12-21T09:00:00Z")));

    let refused = attempt(at("2026-10-01T14:30:00Z"), AttemptEnd::Refusal);
    let facts = Facts {
        attempts: vec![refused],
        ..facts()
    };
    let verdict = judged(&request(&paris), &facts, NOW);
    assert_eq!(
        objections(&verdict),
        [pair(Code::CoolOffRefusal, "fr/after-refusal")]
    );
    // 60 days and an hour: 30 November, 15:30 UTC.
    assert_eq!(next(&verdict), Some(at("2026-11-30T15:30:00Z")));
}

#[test]
fn britain_waits_three_days_after_an_abandoned_call_and_one_after_a_machine_unless_an_agent_is_there() {
    let london = place(LONDON);
    for (end, code, rule, length) in [
        (
            AttemptEnd::Abandoned,
            Code::CoolOffAbandoned,
            "gb/after-abandoned",
            72,
        ),
        (AttemptEnd::Machine, Code::CoolOffMachine, "gb/after-machine", 24),
    ] {
        let ago = |hours_back| {
            let mut past = attempt(at(NOW) - hours(hours_back), end);
            past.company = Some(OTHER_COMPANY);
            Facts {
                attempts: vec![past],
                ..facts()
            }
        };
        let verdict = judged(&request(&london), &ago(length - 2), NOW);
        assert_eq!(objections(&verdict), [pair(code, rule)]);
        assert_eq!(next(&verdict), Some(at(NOW) + hours(2)));
        assert!(judged(&request(&london), &ago(length), NOW).is_allowed());
        let certain = Request {
            live_agent_guaranteed: true,
            mode: Mode::Preview,
            ..request(&london)
        };
        assert!(judged(&certain, &ago(1), NOW).is_allowed());
    }
    // Nobody knows how it ended: it may have been abandoned.
    let facts = Facts {
        attempts: vec![attempt(at(NOW) - hours(1), AttemptEnd::Unknown)],
        ..facts()
    };
    assert_eq!(objections(&judged(&request(&london), &facts, NOW)).len(), 2);
}
