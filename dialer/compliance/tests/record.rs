//! A verdict as it is stored beside the attempt, before the carrier is called.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use serde_json::{Value, json};
use voice_compliance::{Code, Facts};

fn record(verdict: &voice_compliance::Verdict) -> Value {
    serde_json::to_value(verdict).unwrap()
}

#[test]
fn an_allowed_dial_is_stored_with_its_rules_its_clocks_and_what_it_must_say() {
    let florida = place(FLORIDA);
    let verdict = judged(&ai_request(&florida), &facts(), "2026-11-23T14:30:00.25Z");
    assert_eq!(
        record(&verdict),
        json!({
            "verdict": "allowed",
            "judged_at": "2026-11-23T14:30:00.250000Z",
            "rules": &**rules().version(),
            "jurisdictions": ["US", "US-FL"],
            "local": [
                { "zone": "America/New_York", "time": "2026-11-23T09:30:00-05:00" },
                { "zone": "America/Chicago", "time": "2026-11-23T08:30:00-06:00" },
            ],
            "obligations": ["identify_at_start", "key_press_opt_out", "all_party_recording_consent"],
        })
    );
}

#[test]
fn a_refused_dial_is_stored_with_every_reason_and_the_next_time() {
    let florida = place(FLORIDA);
    let mut facts = facts();
    let now = "2026-11-24T01:30:00Z";
    let end = voice_compliance::AttemptEnd::NotReached;
    facts.attempts = [1, 2, 3].map(|back| attempt(at(now) - hours(back), end)).into();
    let record = record(&judged(&request(&florida), &facts, now));
    assert_eq!(record["verdict"], "refused");
    assert_eq!(record["next_eligible_at"], "2026-11-24T22:30:00.000000Z");
    assert_eq!(
        record["reasons"],
        json!([
            {
                "code": "person_cap",
                "rule": "us-fl/three-a-day",
                "pack": "us-fl@2026.11.1",
                "until": "2026-11-24T22:30:00.000000Z",
            },
            {
                "code": "outside_calling_window",
                "rule": "us-fl/hours",
                "pack": "us-fl@2026.11.1",
                "local": { "zone": "America/New_York", "time": "2026-11-23T20:30:00-05:00" },
                "until": "2026-11-24T13:00:00.000000Z",
            },
        ])
    );
}

#[test]
fn a_dial_that_time_does_not_help_says_so() {
    let prague = place(PRAGUE);
    let record = record(&judged(
        &request(&prague),
        &Facts::default(),
        "2026-11-23T14:30:00Z",
    ));
    assert_eq!(record["next_eligible_at"], Value::Null);
    assert_eq!(record["reasons"][0]["code"], "consent_missing");
    assert!(record["reasons"][0].get("until").is_none());
}

#[test]
fn a_code_has_one_name_in_code_and_on_the_wire() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), json!(code.as_str()));
        assert_eq!(
            serde_json::from_value::<Code>(json!(code.as_str())).unwrap(),
            *code
        );
    }
}

#[test]
fn nothing_of_a_person_is_in_the_record() {
    let verdict = judged(
        &request(&place(PRAGUE)),
        &Facts::default(),
        "2026-11-23T03:30:00Z",
    );
    let text = serde_json::to_string(&verdict).unwrap();
    assert!(!text.contains("601000000") && !text.contains(&COMPANY.0.to_string()));
}
