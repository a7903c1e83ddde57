//! What a person said and what was done to them: consents, revocations, lists, caps and pauses. T7: no consent, no dial.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use chrono::TimeDelta;
use common::*;
use voice_compliance::{
    AttemptEnd, Cap, Code, Consent, ConsentClass, ConsentNeed, CoolOff, Cooling, Facts, Mode, Obligation,
    Per, Purpose, RegistryCheck, Relationship, Request, Revocation, RevocationScope, Suppression,
    SuppressionScope, Tightening,
};

/// A Monday, 15:30 in Paris and Prague, 14:30 in London, 09:30 in New York.
const NOW: &str = "2026-11-23T14:30:00Z";

fn pair(code: Code, rule: &str) -> (Code, String) {
    (code, rule.to_owned())
}

/// T7
#[test]
fn t7_opt_in_countries_refuse_a_dial_without_consent() {
    // Late enough for the west of Ontario.
    const LATER: &str = "2026-11-23T15:30:00Z";
    for (number, rule) in [
        (PRAGUE, "cz/opt-in"),
        (MADRID, "es/opt-in"),
        (PARIS, "fr/opt-in"),
        (BERLIN, "de/opt-in"),
        (FLORIDA, "us-fl/automated-dialling-consent"),
    ] {
        let place = place(number);
        let verdict = judged(&request(&place), &unasked(at(LATER)), LATER);
        assert_eq!(
            objections(&verdict),
            [pair(Code::ConsentMissing, rule)],
            "{number}"
        );
        assert_eq!(next(&verdict), None);
        assert!(judged(&request(&place), &facts(), LATER).is_allowed());
    }
    // Where people may be called until they object, a look-up in the register is enough.
    for number in [NEW_YORK, LONDON, TORONTO] {
        assert!(
            judged(&request(&place(number)), &unasked(at(LATER)), LATER).is_allowed(),
            "{number}"
        );
    }
}

/// T7
#[test]
fn t7_facts_that_were_stored_and_read_back_are_judged_the_same() {
    let mut facts = facts();
    facts.revocations.push(Revocation {
        at: at("2024-01-01T00:00:00Z"),
        scope: RevocationScope::All,
    });
    facts
        .attempts
        .push(attempt(at("2026-11-20T10:00:00Z"), AttemptEnd::Conversation));
    let stored = serde_json::to_string(&facts).unwrap();
    let read: Facts = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, facts);
    let prague = place(PRAGUE);
    assert_eq!(
        judged(&request(&prague), &read, NOW),
        judged(&request(&prague), &facts, NOW)
    );
    assert!(judged(&request(&prague), &read, NOW).is_allowed());
    assert!(!judged(&request(&prague), &Facts::default(), NOW).is_allowed());
}

#[test]
fn a_consent_counts_only_for_whom_it_names_while_it_lasts_and_for_what_it_covers() {
    let prague = place(PRAGUE);
    let good = consent(at("2025-01-10T10:00:00Z"));
    for (spoilt, why) in [
        (
            Consent {
                company: OTHER_COMPANY,
                ..good
            },
            "another company's",
        ),
        (
            Consent {
                subject: Some(OTHER_SUBJECT),
                ..good
            },
            "about something else",
        ),
        (
            Consent {
                marketing: false,
                ..good
            },
            "not for advertising",
        ),
        (
            Consent {
                expires_at: Some(at(NOW)),
                ..good
            },
            "expired this instant",
        ),
        (
            Consent {
                withdrawn_at: Some(at("2026-01-01T00:00:00Z")),
                ..good
            },
            "withdrawn",
        ),
    ] {
        let facts = Facts {
            consents: vec![spoilt],
            ..Facts::default()
        };
        let verdict = judged(&request(&prague), &facts, NOW);
        assert_eq!(
            objections(&verdict),
            [pair(Code::ConsentMissing, "cz/opt-in")],
            "{why}"
        );
    }
    let future = Consent {
        given_at: at("2026-11-24T10:00:00Z"),
        ..good
    };
    let facts = Facts {
        consents: vec![future],
        ..Facts::default()
    };
    assert_eq!(
        next(&judged(&request(&prague), &facts, NOW)),
        Some(at("2026-11-24T10:00:00Z"))
    );
}

#[test]
fn germany_asks_for_the_record_of_a_consent_and_knows_no_customers() {
    let berlin = place(BERLIN);
    let mut facts = facts();
    facts.relationship = Some(Relationship {
        last_purchase: Some(at("2026-11-01T00:00:00Z")),
        last_inquiry: None,
        contract: true,
    });
    facts.consents[0].proof = false;
    let verdict = judged(&request(&berlin), &facts, NOW);
    assert_eq!(objections(&verdict), [pair(Code::ConsentMissing, "de/opt-in")]);
}

#[test]
fn a_customer_may_be_called_where_the_law_says_so_and_as_long_as_it_says() {
    let customer = |month: &str| {
        let relationship = Relationship {
            last_purchase: Some(at(month)),
            last_inquiry: None,
            contract: false,
        };
        Facts {
            relationship: Some(relationship),
            ..unasked(at(NOW))
        }
    };
    for (number, in_time, too_late) in [
        (PRAGUE, "2024-12-01T00:00:00Z", "2024-11-01T00:00:00Z"),
        (MADRID, "2025-12-01T00:00:00Z", "2025-11-01T00:00:00Z"),
        (FLORIDA, "2025-06-01T00:00:00Z", "2025-05-01T00:00:00Z"),
    ] {
        let place = place(number);
        assert!(
            judged(&request(&place), &customer(in_time), NOW).is_allowed(),
            "{number}"
        );
        assert!(
            !judged(&request(&place), &customer(too_late), NOW).is_allowed(),
            "{number}"
        );
    }
    let contract = Relationship {
        contract: true,
        ..Relationship::default()
    };
    let facts = Facts {
        relationship: Some(contract),
        ..unasked(at(NOW))
    };
    assert!(judged(&request(&place(PARIS)), &facts, NOW).is_allowed());
}

#[test]
fn france_turns_from_its_register_to_opt_in_on_the_eleventh_of_august_2026() {
    let paris = place(PARIS);
    // The last lawful hour before, and the first after.
    let last = "2026-08-10T17:59:59Z";
    let first = "2026-08-11T08:00:00Z";
    assert!(judged(&request(&paris), &unasked(at(last)), last).is_allowed());
    let verdict = judged(&request(&paris), &unasked(at(first)), first);
    assert_eq!(objections(&verdict), [pair(Code::ConsentMissing, "fr/opt-in")]);
    let unasked_before = judged(&request(&paris), &Facts::default(), last);
    assert_eq!(
        objections(&unasked_before),
        [pair(Code::RegisterCheckMissing, "fr/bloctel")]
    );
    // Paris' midnight, not that of UTC: the window is closed, and the law has changed.
    let before = judged(&request(&paris), &unasked(at(last)), "2026-08-10T21:59:59Z");
    let after = judged(&request(&paris), &unasked(at(last)), "2026-08-10T22:00:00Z");
    assert!(!objections(&before).contains(&pair(Code::ConsentMissing, "fr/opt-in")));
    assert!(objections(&after).contains(&pair(Code::ConsentMissing, "fr/opt-in")));
    // Waiting for tomorrow does not help any more.
    assert_eq!(next(&before), None);
}

#[test]
fn from_the_end_of_january_2027_a_revoked_topic_revokes_every_automated_call() {
    let new_york = place(NEW_YORK);
    let mut facts = facts();
    facts.revocations.push(Revocation {
        at: at("2026-12-01T00:00:00Z"),
        scope: RevocationScope::Subject(OTHER_SUBJECT),
    });
    let (last, first) = ("2027-01-30T15:00:00Z", "2027-01-31T15:00:00Z");
    assert!(judged(&ai_request(&new_york), &facts, last).is_allowed());
    let verdict = judged(&ai_request(&new_york), &facts, first);
    assert!(objections(&verdict).contains(&pair(Code::ConsentRevoked, "hard/revocation")));
    // A person who calls is not meant by it.
    assert!(judged(&request(&new_york), &facts, first).is_allowed());
    // Agreeing again afterwards counts.
    facts.consents.push(consent(at("2026-12-02T00:00:00Z")));
    assert!(judged(&ai_request(&new_york), &facts, first).is_allowed());
}

#[test]
fn a_revocation_counts_at_once_for_what_it_is_about() {
    let new_york = place(NEW_YORK);
    let revoked = |scope| {
        let mut facts = unasked(at(NOW));
        facts.revocations.push(Revocation {
            at: at("2026-11-23T14:29:59Z"),
            scope,
        });
        objections(&judged(&request(&new_york), &facts, NOW))
    };
    let refused = vec![pair(Code::ConsentRevoked, "hard/revocation")];
    assert_eq!(revoked(RevocationScope::All), refused);
    assert_eq!(revoked(RevocationScope::Company(COMPANY)), refused);
    assert_eq!(revoked(RevocationScope::Subject(SUBJECT)), refused);
    assert_eq!(revoked(RevocationScope::Company(OTHER_COMPANY)), []);
    assert_eq!(revoked(RevocationScope::Subject(OTHER_SUBJECT)), []);
}

#[test]
fn an_ai_agent_needs_the_right_consent_wherever_it_calls() {
    for number in [
        NEW_YORK,
        LONDON,
        PRAGUE,
        MADRID,
        PARIS,
        BERLIN,
        TORONTO,
        "+421200000000",
    ] {
        let place = place(number);
        for purpose in Purpose::ALL {
            let request = Request {
                purpose,
                ..ai_request(&place)
            };
            let now = "2026-11-23T15:30:00Z";
            for facts in [
                unasked(at(now)),
                Facts {
                    consents: vec![person_only()],
                    ..unasked(at(now))
                },
            ] {
                let verdict = judged(&request, &facts, now);
                let hard = pair(Code::AiConsentMissing, "hard/ai-consent");
                assert!(objections(&verdict).contains(&hard), "{number} {purpose:?}");
            }
        }
    }
    let mut express = facts();
    express.consents[0].class = ConsentClass::Express;
    let new_york = place(NEW_YORK);
    let sells = judged(&ai_request(&new_york), &express, NOW);
    assert!(objections(&sells).contains(&pair(Code::AiConsentMissing, "us/ai-written-consent")));
    let tells = Request {
        purpose: Purpose::Informational,
        ..ai_request(&new_york)
    };
    assert!(judged(&tells, &express, NOW).is_allowed());
}

fn person_only() -> Consent {
    Consent {
        automated: false,
        ..consent(at("2025-01-10T10:00:00Z"))
    }
}

#[test]
fn an_ai_agent_says_what_it_is_in_europe_and_offers_a_way_out_in_america() {
    let obligations = |number: &str, now: &str| match judged(&ai_request(&place(number)), &facts(), now) {
        voice_compliance::Verdict::Allowed(allowed) => allowed.obligations.iter().collect::<Vec<_>>(),
        refused => panic!("{refused:?}"),
    };
    assert_eq!(
        obligations(PRAGUE, NOW),
        [Obligation::DiscloseAi, Obligation::AnnounceRecording]
    );
    assert_eq!(
        obligations(PRAGUE, "2026-07-31T12:00:00Z"),
        [Obligation::AnnounceRecording]
    );
    assert_eq!(
        obligations(NEW_YORK, NOW),
        [Obligation::IdentifyAtStart, Obligation::KeyPressOptOut]
    );
    assert!(
        obligations("+14155550123", "2026-11-23T18:00:00Z").contains(&Obligation::AllPartyRecordingConsent)
    );
}

#[test]
fn an_ai_agent_takes_over_a_call_only_from_somebody_who_agreed_to_it() {
    let new_york = place(NEW_YORK);
    let request = request(&new_york);
    // At ten in the evening and after three attempts: the call is under way, and only the person's will counts.
    let night = at("2026-11-24T03:00:00Z");
    let mut good = facts();
    good.attempts = (1..4)
        .map(|hour| attempt(night - hours(hour), AttemptEnd::NotReached))
        .collect();
    let obligations = rules().ai_may_take_over(&request, &good, night).unwrap();
    assert!(obligations.has(Obligation::KeyPressOptOut));

    let spoilt = Facts {
        consents: vec![person_only()],
        ..unasked(night)
    };
    let reasons = rules().ai_may_take_over(&request, &spoilt, night).unwrap_err();
    assert!(reasons.iter().all(|reason| reason.code == Code::AiConsentMissing));
    assert!(!reasons.is_empty());

    let wishes = [Tightening {
        no_ai: true,
        ..Tightening::default()
    }];
    let request = Request {
        tightening: &wishes,
        ..request
    };
    let reasons = rules().ai_may_take_over(&request, &good, night).unwrap_err();
    assert_eq!(reasons[0].code, Code::AiForbidden);
}

#[test]
fn a_suppression_of_any_scope_refuses_every_purpose_and_mode_until_it_ends() {
    let new_york = place(NEW_YORK);
    for (scope, rule) in [
        (SuppressionScope::Tenant, "hard/suppression-tenant"),
        (SuppressionScope::Company, "hard/suppression-company"),
        (SuppressionScope::Campaign, "hard/suppression-campaign"),
    ] {
        for purpose in Purpose::ALL {
            for mode in Mode::ALL {
                let entry = Suppression {
                    scope,
                    reason: "asked".to_owned(),
                    expires_at: None,
                };
                let facts = Facts {
                    suppressions: vec![entry],
                    ..facts()
                };
                let capacity = if mode == Mode::Ai {
                    voice_compliance::Capacity::Ai
                } else {
                    voice_compliance::Capacity::Agents
                };
                let request = Request {
                    purpose,
                    mode,
                    capacity,
                    ..request(&new_york)
                };
                let verdict = judged(&request, &facts, NOW);
                assert_eq!(objections(&verdict), [pair(Code::Suppressed, rule)]);
                assert_eq!(next(&verdict), None);
            }
        }
    }
    let ends = Some(at("2026-11-25T03:00:00Z"));
    let entry = Suppression {
        scope: SuppressionScope::Campaign,
        reason: "later".to_owned(),
        expires_at: ends,
    };
    let facts = Facts {
        suppressions: vec![entry],
        ..facts()
    };
    let verdict = judged(&request(&new_york), &facts, NOW);
    // It ends at ten in the evening; the next morning is the first lawful moment.
    assert_eq!(next(&verdict), Some(at("2026-11-25T13:00:00Z")));
}

#[test]
fn a_register_is_asked_in_time_and_what_it_says_is_obeyed() {
    let new_york = place(NEW_YORK);
    let check = |at, listed| RegistryCheck {
        list: "us-dnc".to_owned(),
        at,
        listed,
    };
    let with = |checks| {
        let facts = Facts {
            registry_checks: checks,
            ..Facts::default()
        };
        objections(&judged(&request(&new_york), &facts, NOW))
    };
    let now = at(NOW);
    assert_eq!(
        with(vec![]),
        [pair(Code::RegisterCheckMissing, "us/national-do-not-call")]
    );
    assert_eq!(
        with(vec![check(
            now - TimeDelta::days(31) + TimeDelta::seconds(1),
            false
        )]),
        []
    );
    assert_eq!(
        with(vec![check(now - TimeDelta::days(31), false)]),
        [pair(Code::RegisterCheckMissing, "us/national-do-not-call")]
    );
    assert_eq!(
        with(vec![check(now, true)]),
        [pair(Code::OnRegister, "us/national-do-not-call")]
    );
    assert_eq!(with(vec![check(now - hours(9), true), check(now, false)]), []);
    assert_eq!(with(vec![check(now, true), check(now, false)]).len(), 1);

    let mut customer = Facts {
        registry_checks: vec![check(now, true)],
        ..Facts::default()
    };
    customer.relationship = Some(Relationship {
        last_inquiry: Some(at("2026-09-01T00:00:00Z")),
        ..Relationship::default()
    });
    assert!(judged(&request(&new_york), &customer, NOW).is_allowed());
}

#[test]
fn both_british_registers_are_asked() {
    let verdict = judged(&request(&place(LONDON)), &Facts::default(), NOW);
    assert_eq!(
        objections(&verdict),
        [
            pair(Code::RegisterCheckMissing, "gb/tps"),
            pair(Code::RegisterCheckMissing, "gb/ctps")
        ]
    );
}

#[test]
fn what_a_tenant_adds_is_named_as_the_tenants() {
    let wishes = [Tightening {
        caps: vec![Cap {
            calls: 1,
            hours: 0,
            days: 7,
            per: Per::Person,
        }],
        cool_offs: vec![CoolOff {
            after: Cooling::Abandoned,
            hours: 72,
            days: 0,
            per: Per::Person,
            unless_live_agent: false,
        }],
        consent: Some(ConsentNeed {
            class: ConsentClass::ExpressWritten,
            marketing: true,
            automated: false,
            proof: true,
            customer_months: 0,
            inquiry_months: 0,
            contract: false,
        }),
        only: Some(codes(&["CZ"])),
        ..Tightening::default()
    }];
    let new_york = place(NEW_YORK);
    let request = Request {
        tightening: &wishes,
        ..request(&new_york)
    };
    let facts = Facts {
        attempts: vec![attempt(at(NOW) - hours(1), AttemptEnd::Abandoned)],
        ..unasked(at(NOW))
    };
    let verdict = judged(&request, &facts, NOW);
    assert_eq!(
        objections(&verdict),
        [
            pair(Code::PlaceExcluded, "tenant/only"),
            pair(Code::PersonCap, "tenant/cap"),
            pair(Code::CoolOffAbandoned, "tenant/cool-off"),
            pair(Code::ConsentMissing, "tenant/consent"),
        ]
    );
}
