//! What stands behind a dial: a number that is ours, and somebody to talk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use voice_compliance::{CallerId, Capacity, Code, Facts, Jurisdictions, LineKind, Mode, Request};

const NOW: &str = "2026-11-23T15:30:00Z";

fn with(number: &str, change: impl Fn(&mut CallerId)) -> Vec<(Code, String)> {
    let place = place(number);
    let mut request = request(&place);
    change(&mut request.caller_id);
    objections(&judged(&request, &facts(), NOW))
}

#[test]
fn a_number_that_is_not_ours_or_cannot_exist_is_never_shown() {
    for number in [NEW_YORK, PRAGUE, BERLIN] {
        let not_owned = with(number, |id| id.owned = false);
        assert_eq!(not_owned, [(Code::CallerIdNotOwned, "hard/caller-id".to_owned())]);
        let invalid = with(number, |id| id.valid = false);
        assert_eq!(invalid, [(Code::CallerIdInvalid, "hard/caller-id".to_owned())]);
    }
}

#[test]
fn spain_and_france_are_not_called_from_mobile_ranges() {
    for (number, rule) in [
        (MADRID, "es/no-mobile-caller-id"),
        (PARIS, "fr/no-mobile-caller-id"),
    ] {
        for kind in [LineKind::Mobile, LineKind::Unknown] {
            let shown = with(number, |id| id.kind = kind);
            assert_eq!(shown, [(Code::CallerIdKindForbidden, rule.to_owned())]);
        }
        assert_eq!(with(number, |id| id.kind = LineKind::Freephone), []);
    }
    assert_eq!(with(PRAGUE, |id| id.kind = LineKind::Mobile), []);
}

#[test]
fn the_spanish_ban_on_mobile_ranges_begins_with_its_order() {
    let madrid = place(MADRID);
    let mut request = request(&madrid);
    request.caller_id.kind = LineKind::Mobile;
    assert!(judged(&request, &facts(), "2025-06-06T10:00:00Z").is_allowed());
    let next_monday = judged(&request, &facts(), "2025-06-09T10:00:00Z");
    assert_eq!(
        objections(&next_monday),
        [(Code::CallerIdKindForbidden, "es/no-mobile-caller-id".to_owned())]
    );
}

#[test]
fn a_number_that_is_shown_is_answered_and_in_britain_belongs_where_the_company_is() {
    assert_eq!(
        with(NEW_YORK, |id| id.answers = false),
        [(Code::CallerIdUnanswered, "us/caller-id".to_owned())]
    );
    assert_eq!(
        with(LONDON, |id| id.presence = false),
        [(Code::CallerIdWithoutPresence, "gb/caller-id".to_owned())]
    );
    let freephone = with(LONDON, |id| {
        id.presence = false;
        id.kind = LineKind::Freephone;
    });
    assert_eq!(freephone, []);
}

#[test]
fn nobody_there_means_no_dial_however_right_everything_else_is() {
    let new_york = place(NEW_YORK);
    for (mode, capacity, staffed) in [
        (Mode::Predictive, Capacity::Agents, true),
        (Mode::Predictive, Capacity::Absent, false),
        (Mode::Predictive, Capacity::Ai, false),
        (Mode::Ai, Capacity::Ai, true),
        (Mode::Ai, Capacity::Absent, false),
        (Mode::Ai, Capacity::Agents, false),
        (Mode::Preview, Capacity::Absent, false),
    ] {
        let request = Request {
            mode,
            capacity,
            ..request(&new_york)
        };
        let verdict = judged(&request, &facts(), NOW);
        assert_eq!(verdict.is_allowed(), staffed, "{mode:?} {capacity:?}");
        if !staffed {
            assert_eq!(
                objections(&verdict),
                [(Code::NoLiveLease, "hard/live-lease".to_owned())]
            );
            assert_eq!(next(&verdict), None);
        }
    }
}

#[test]
fn texas_asks_for_a_registration() {
    let texas = place(TEXAS);
    let request = Request {
        registered: Jurisdictions::NONE,
        ..request(&texas)
    };
    let verdict = judged(&request, &facts(), "2026-11-23T17:00:00Z");
    assert_eq!(
        objections(&verdict),
        [(Code::RegistrationMissing, "us-tx/registration".to_owned())]
    );
}

#[test]
fn everything_that_objects_is_told_at_once() {
    let paris = place(PARIS);
    let mut request = Request {
        capacity: Capacity::Absent,
        ..request(&paris)
    };
    request.caller_id.owned = false;
    request.caller_id.kind = LineKind::Mobile;
    let codes: Vec<Code> = judged(&request, &Facts::default(), "2026-11-22T03:00:00Z")
        .reasons()
        .iter()
        .map(|r| r.code)
        .collect();
    assert_eq!(
        codes,
        [
            Code::NoLiveLease,
            Code::CallerIdNotOwned,
            Code::ConsentMissing,
            Code::CallerIdKindForbidden,
            Code::OutsideCallingWindow,
            Code::OutsideCallingWindow,
        ]
    );
}
