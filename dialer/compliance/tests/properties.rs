//! What holds for every dial, whatever the configuration, the person, the place and the moment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cases;
mod common;

use cases::*;
use chrono::TimeDelta;
use common::*;
use proptest::{collection::vec, prelude::*, sample::select};
use voice_compliance::{
    AttemptEnd, Code, ConsentClass, Evidence, Mode, PastAttempt, Purpose, Revocation, RevocationScope,
    Suppression, SuppressionScope,
};

/// Makes a dial unlawful in one way, and names it.
fn spoil(way: usize, case: &mut Case) -> Code {
    let (now, _, dial, facts, _) = case;
    let now = *now;
    match way {
        0 => {
            let scope = SuppressionScope::Campaign;
            facts.suppressions.push(Suppression {
                scope,
                reason: "asked".to_owned(),
                expires_at: None,
            });
            Code::Suppressed
        }
        1 => {
            facts.revocations.push(Revocation {
                at: now,
                scope: RevocationScope::All,
            });
            facts.consents.retain(|consent| consent.given_at <= now);
            Code::ConsentRevoked
        }
        2 => {
            dial.mode = Mode::Ai;
            facts
                .consents
                .iter_mut()
                .for_each(|consent| consent.automated = false);
            Code::AiConsentMissing
        }
        3 => {
            dial.mode = Mode::Ai;
            dial.purpose = Purpose::Telemarketing;
            facts
                .consents
                .iter_mut()
                .for_each(|consent| consent.class = ConsentClass::Express);
            Code::AiConsentMissing
        }
        4 => {
            dial.caller_id.owned = false;
            Code::CallerIdNotOwned
        }
        5 => {
            dial.caller_id.valid = false;
            Code::CallerIdInvalid
        }
        _ => {
            dial.staffed = false;
            Code::NoLiveLease
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_allowed_with_more_wishes_is_allowed_with_fewer(
        (now, place, dial, facts, wishes) in cases(),
    ) {
        let mut allowed = false;
        for count in (0..=wishes.len()).rev() {
            let verdict = rules().judge(&dial.request(&place, &wishes[..count]), &facts, now);
            prop_assert!(verdict.is_allowed() || !allowed, "{:?}", verdict);
            allowed = verdict.is_allowed();
        }
    }

    #[test]
    fn the_next_time_is_the_first_time_at_which_nothing_objects(
        (now, place, dial, facts, wishes) in cases(),
        probes in vec(0.0..1.0_f64, 12),
    ) {
        let request = dial.request(&place, &wishes);
        let allowed = |at| rules().judge(&request, &facts, at).is_allowed();
        let next = rules().next_eligible_at(&request, &facts, now);
        prop_assert_eq!(allowed(now), next == Some(now));
        let end = next.unwrap_or(now + TimeDelta::days(90));
        if let Some(next) = next {
            prop_assert!(allowed(next), "refused at {}", next);
            for before in [TimeDelta::nanoseconds(1), TimeDelta::seconds(1), TimeDelta::minutes(1)] {
                prop_assert!(next - before < now || !allowed(next - before), "allowed {} before {}", before, next);
            }
        }
        for probe in probes {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let seconds = ((end - now).num_seconds() as f64 * probe) as i64;
            let at = now + TimeDelta::seconds(seconds);
            prop_assert!(at >= end || !allowed(at), "allowed at {} already, not only from {:?}", at, next);
        }
    }

    #[test]
    fn a_verdict_names_the_next_time_that_is_computed_alone(
        (now, place, dial, facts, wishes) in cases(),
    ) {
        let request = dial.request(&place, &wishes);
        if let voice_compliance::Verdict::Refused(refused) = rules().judge(&request, &facts, now) {
            prop_assert!(!refused.reasons.is_empty());
            prop_assert_eq!(refused.next_eligible_at, rules().next_eligible_at(&request, &facts, now));
            // No single objection lets go later than all of them.
            let untils: Option<Vec<_>> = refused.reasons.iter().map(|reason| reason.until).collect();
            if let (Some(next), Some(untils)) = (refused.next_eligible_at, untils) {
                let changes = ["2026-08-02", "2026-08-11", "2027-01-31"];
                let changes: Vec<_> = changes.iter().map(|day| at(&format!("{day}T05:00:00Z"))).collect();
                let steady = changes.iter().all(|change| *change < now || *change > next + hours(12));
                prop_assert!(!steady || untils.iter().all(|until| *until <= next));
            }
        }
    }

    #[test]
    fn a_person_nobody_can_place_is_held_to_at_least_what_holds_anywhere(
        (now, _, dial, facts, wishes) in cases(),
        (number, (country, state, postal)) in select(vec![
            (NEW_YORK, ("US", Some("NY"), None)),
            (FLORIDA, ("US", Some("FL"), None)),
            (TEXAS, ("US", Some("TX"), None)),
            ("+14015550123", ("US", Some("RI"), None)),
            ("+12255550123", ("US", Some("LA"), None)),
            (PRAGUE, ("CZ", None, None)),
            (MADRID, ("ES", None, Some("28001"))),
            (PARIS, ("FR", None, Some("75001"))),
            (LONDON, ("GB", None, None)),
            (BERLIN, ("DE", None, None)),
            (TORONTO, ("CA", Some("ON"), None)),
        ]),
        daytime in prop::bool::weighted(0.8),
    ) {
        // Mostly at a moment when somebody could be allowed.
        let now = if daytime { now.date_naive().and_hms_opt(16, 0, 0).unwrap().and_utc() } else { now };
        let known = place(number);
        let unknown = place_with_address(NOWHERE, country, state, postal);
        prop_assert!(known.is_known() && !unknown.is_known());
        prop_assert_eq!(known.zones(), unknown.zones());
        let known = rules().judge(&dial.request(&known, &wishes), &facts, now);
        let unknown = rules().judge(&dial.request(&unknown, &wishes), &facts, now);
        prop_assert!(known.is_allowed() || !unknown.is_allowed());
        // Not only the answer: each objection of the known place is also one of the unknown.
        for reason in known.reasons() {
            let same = |other: &voice_compliance::Reason| other.code == reason.code && other.rule == reason.rule;
            prop_assert!(unknown.reasons().iter().any(same), "{:?} is missing", reason);
        }
    }

    #[test]
    fn more_evidence_of_a_place_that_is_known_never_allows_more(
        (now, place, dial, facts, wishes) in cases(),
        zone in zone(),
        number in select(&NUMBERS[..]),
    ) {
        let alone = rules().place(&Evidence { number, ..Evidence::default() });
        let stated = rules().place(&Evidence { number, zone: Some(zone), ..Evidence::default() });
        let with = rules().judge(&dial.request(&stated, &wishes), &facts, now);
        let without = rules().judge(&dial.request(&alone, &wishes), &facts, now);
        // A number without any clock is the one case in which a stated zone helps.
        prop_assert!(alone.zones().is_empty() || without.is_allowed() || !with.is_allowed());
        // And no place, however it was found, is called before eight or after nine of any of its clocks.
        if rules().judge(&dial.request(&place, &wishes), &facts, now).is_allowed() {
            for zone in place.zones().iter() {
                use chrono::Timelike;
                prop_assert!((8..21).contains(&now.with_timezone(zone).hour()));
            }
            prop_assert!(!place.zones().is_empty());
        }
    }

    #[test]
    fn what_is_forbidden_in_code_is_never_allowed_whatever_the_configuration(
        mut case in cases(),
        way in 0_usize..7,
    ) {
        let code = spoil(way, &mut case);
        let (now, place, dial, facts, wishes) = case;
        let verdict = rules().judge(&dial.request(&place, &wishes), &facts, now);
        prop_assert!(verdict.reasons().iter().any(|reason| reason.code == code), "{:?}", verdict);
    }

    #[test]
    fn a_person_who_was_called_as_often_as_the_law_allows_is_not_called_again(
        (now, _, mut dial, mut facts, wishes) in cases(),
        (number, purpose, calls, span) in select(vec![
            (FLORIDA, Purpose::Telemarketing, 3, hours(24)),
            ("+14055550123", Purpose::Telemarketing, 3, hours(24)),
            (NEW_YORK, Purpose::DebtCollection, 7, TimeDelta::days(7)),
            (PARIS, Purpose::Telemarketing, 4, TimeDelta::days(30)),
        ]),
        when in vec(0.0..1.0_f64, 7),
    ) {
        dial.purpose = purpose;
        for share in &when[..calls] {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let back = TimeDelta::seconds((span.num_seconds() as f64 * share) as i64);
            facts.attempts.push(PastAttempt {
                debt: dial.debt,
                subject: dial.subject,
                ..attempt(now - back, AttemptEnd::NotReached)
            });
        }
        let place = place(number);
        let verdict = rules().judge(&dial.request(&place, &wishes), &facts, now);
        prop_assert!(verdict.reasons().iter().any(|reason| reason.code == Code::PersonCap), "{:?}", verdict);
    }
}

/// Without this, the properties above could hold because nothing is ever allowed.
#[test]
fn a_fair_part_of_the_cases_is_allowed_and_a_fair_part_waits_for_a_time() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut allowed, mut waits) = (0, 0);
    for _ in 0..2_000 {
        let (now, place, dial, facts, wishes) = cases().new_tree(&mut runner).unwrap().current();
        match rules().judge(&dial.request(&place, &wishes), &facts, now) {
            voice_compliance::Verdict::Allowed(_) => allowed += 1,
            voice_compliance::Verdict::Refused(refused) if refused.next_eligible_at.is_some() => waits += 1,
            voice_compliance::Verdict::Refused(_) => {}
        }
    }
    assert!(allowed > 100, "{allowed} of 2000");
    assert!(waits > 300, "{waits} of 2000");
}
