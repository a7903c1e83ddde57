//! A campaign that cannot lawfully run does not start, and says everything that is missing at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use voice_compliance::{
    CallerId, CampaignFacts, ConsentBasis, ConsentClass, FaultCode, Jurisdictions, LineKind, MeasuredFrom,
    Mode, Purpose, SafeHarbourMessage, Share, StartFault, Tightening, Window,
};

const NOW: &str = "2026-11-23T14:30:00Z";

/// Everything in order for a predictive campaign into these places.
fn campaign(places: &[&str]) -> CampaignFacts {
    CampaignFacts {
        jurisdictions: codes(places),
        purpose: Purpose::Telemarketing,
        mode: Mode::Predictive,
        ai_overflow: false,
        caller_ids: vec![CallerId {
            valid: true,
            owned: true,
            answers: true,
            presence: true,
            kind: LineKind::Geographic,
        }],
        safe_harbour: Some(SafeHarbourMessage {
            audio: true,
            company_name: true,
            phone_number: true,
            key_press_opt_out: true,
            sells: false,
            within_ms: 1_500,
        }),
        abandonment: Share::per_million(25_000),
        connect_within_ms: 1_200,
        ring_seconds: 20,
        consents: vec![ConsentBasis {
            class: ConsentClass::ExpressWritten,
            marketing: true,
            automated: true,
            proof: true,
        }],
        ai_discloses: true,
        identifies_at_start: true,
        ai_offers_opt_out: true,
        records_calls: true,
        asks_before_recording: true,
        registered: codes(&["US-TX"]),
        records_kept_days: 1827,
    }
}

fn faults(campaign: &CampaignFacts) -> Vec<StartFault> {
    rules()
        .may_start(campaign, &[], at(NOW))
        .err()
        .unwrap_or_default()
}

fn fault_codes(campaign: &CampaignFacts) -> Vec<FaultCode> {
    faults(campaign).into_iter().map(|fault| fault.code).collect()
}

#[test]
fn a_campaign_with_everything_in_order_starts_everywhere_in_every_mode() {
    for place in ["US", "US-FL", "US-TX", "GB", "CZ", "ES", "FR", "DE", "CA", "XX"] {
        for mode in Mode::ALL {
            let campaign = CampaignFacts {
                mode,
                ai_overflow: true,
                ..campaign(&[place])
            };
            assert_eq!(faults(&campaign), [], "{place} {mode:?}");
        }
    }
    let everywhere = CampaignFacts {
        jurisdictions: Jurisdictions::EVERY,
        ..campaign(&[])
    };
    assert_eq!(faults(&everywhere), []);
}

#[test]
fn every_fault_is_told_at_once_in_words_for_a_person() {
    let broken = CampaignFacts {
        mode: Mode::Predictive,
        ai_overflow: true,
        caller_ids: vec![CallerId {
            valid: true,
            owned: false,
            answers: false,
            presence: true,
            kind: LineKind::Mobile,
        }],
        safe_harbour: None,
        abandonment: Share::per_million(40_000),
        connect_within_ms: 5_000,
        ring_seconds: 10,
        consents: vec![],
        ai_discloses: false,
        ..campaign(&["ES"])
    };
    let faults = faults(&broken);
    let codes: Vec<FaultCode> = faults.iter().map(|fault| fault.code).collect();
    for expected in [
        FaultCode::NoOwnedCallerId,
        FaultCode::CallerIdNotOwned,
        FaultCode::CallerIdKindForbidden,
        FaultCode::CallerIdUnanswered,
        FaultCode::NoSafeHarbourAudio,
        FaultCode::AbandonmentAboveCeiling,
        FaultCode::ConnectTooLate,
        FaultCode::RingTooShort,
        FaultCode::NoAiConsentBasis,
        FaultCode::AiNotDisclosed,
    ] {
        assert!(
            codes.contains(&expected),
            "{expected:?} is missing from {codes:?}"
        );
    }
    for fault in &faults {
        assert!(
            fault.message.ends_with('.') && fault.message.len() > 40,
            "{}",
            fault.message
        );
        assert!(!fault.rule.as_str().is_empty());
    }
    let spanish = faults
        .iter()
        .find(|fault| fault.code == FaultCode::CallerIdKindForbidden)
        .unwrap();
    assert_eq!(spanish.rule.as_str(), "es/no-mobile-caller-id");
    assert!(spanish.message.contains("Number 1") && spanish.message.contains("Spain"));
    assert!(
        faults
            .iter()
            .any(|fault| fault.message.contains("4 %") && fault.message.contains("3 %"))
    );
}

#[test]
fn a_message_for_abandoned_calls_names_company_and_number_offers_a_key_and_comes_in_time() {
    let spoilt = |change: fn(&mut SafeHarbourMessage)| {
        let mut campaign = campaign(&["US"]);
        change(campaign.safe_harbour.as_mut().unwrap());
        fault_codes(&campaign)
    };
    assert_eq!(
        spoilt(|message| message.audio = false),
        [FaultCode::NoSafeHarbourAudio]
    );
    assert_eq!(
        spoilt(|message| message.company_name = false),
        [FaultCode::SafeHarbourWithoutName]
    );
    assert_eq!(
        spoilt(|message| message.phone_number = false),
        [FaultCode::SafeHarbourWithoutNumber]
    );
    assert_eq!(
        spoilt(|message| message.key_press_opt_out = false),
        [FaultCode::SafeHarbourWithoutKeyPress]
    );
    assert_eq!(
        spoilt(|message| message.sells = true),
        [FaultCode::SafeHarbourSells]
    );
    assert_eq!(
        spoilt(|message| message.within_ms = 2_001),
        [FaultCode::SafeHarbourTooLate]
    );
    assert_eq!(spoilt(|message| message.within_ms = 2_000), []);
}

#[test]
fn a_mode_that_abandons_nobody_needs_no_message() {
    for (mode, needs) in [
        (Mode::Preview, false),
        (Mode::Ai, false),
        (Mode::Progressive, true),
        (Mode::Power, true),
        (Mode::Predictive, true),
    ] {
        for purpose in Purpose::ALL {
            let campaign = CampaignFacts {
                mode,
                purpose,
                safe_harbour: None,
                ..campaign(&["US", "CZ"])
            };
            let refused = fault_codes(&campaign).contains(&FaultCode::NoSafeHarbourAudio);
            assert_eq!(refused, needs, "{mode:?} {purpose:?}");
        }
    }
}

#[test]
fn an_ai_campaign_needs_a_written_consent_to_sell_and_a_spoken_one_to_tell() {
    let spoken = ConsentBasis {
        class: ConsentClass::Express,
        marketing: true,
        automated: true,
        proof: true,
    };
    let with = |purpose, consents| {
        fault_codes(&CampaignFacts {
            mode: Mode::Ai,
            purpose,
            consents,
            ..campaign(&["US"])
        })
    };
    assert!(with(Purpose::Telemarketing, vec![spoken]).contains(&FaultCode::NoAiConsentBasis));
    assert_eq!(with(Purpose::Informational, vec![spoken]), []);
    assert!(with(Purpose::Informational, vec![]).contains(&FaultCode::NoAiConsentBasis));
    let by_hand = ConsentBasis {
        automated: false,
        ..spoken
    };
    assert!(with(Purpose::Informational, vec![by_hand]).contains(&FaultCode::NoAiConsentBasis));
}

#[test]
fn the_ceiling_is_the_lowest_of_law_and_tenant_and_the_ring_the_longest() {
    let wishes = [Tightening {
        abandonment: Some(Share::per_million(10_000)),
        ring_at_least_seconds: Some(25),
        ..Tightening::default()
    }];
    let start = |share, ring_seconds| {
        let campaign = CampaignFacts {
            abandonment: Share::per_million(share),
            ring_seconds,
            ..campaign(&["US"])
        };
        let faults = rules()
            .may_start(&campaign, &wishes, at(NOW))
            .err()
            .unwrap_or_default();
        faults.into_iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(start(10_000, 25), []);
    assert_eq!(
        start(10_001, 24),
        [FaultCode::AbandonmentAboveCeiling, FaultCode::RingTooShort]
    );
    // A tenant who wishes for more than the law allows gets the law.
    let generous = [Tightening {
        abandonment: Some(Share::per_million(100_000)),
        ..Tightening::default()
    }];
    let campaign = CampaignFacts {
        abandonment: Share::per_million(30_001),
        ..campaign(&["GB"])
    };
    let refused = rules().may_start(&campaign, &generous, at(NOW)).unwrap_err();
    assert_eq!(refused[0].code, FaultCode::AbandonmentAboveCeiling);
}

#[test]
fn registration_records_recording_and_place_are_asked_for_where_they_are_law() {
    let unregistered = CampaignFacts {
        registered: Jurisdictions::NONE,
        ..campaign(&["US", "US-TX"])
    };
    assert_eq!(fault_codes(&unregistered), [FaultCode::NotRegistered]);
    let forgetful = CampaignFacts {
        records_kept_days: 365,
        ..campaign(&["US"])
    };
    assert_eq!(fault_codes(&forgetful), [FaultCode::RecordsTooShort]);
    let secret = CampaignFacts {
        asks_before_recording: false,
        ..campaign(&["US", "US-CA"])
    };
    assert_eq!(fault_codes(&secret), [FaultCode::RecordingWithoutConsent]);
    let unannounced = CampaignFacts {
        jurisdictions: codes(&["GB"]),
        ..secret.clone()
    };
    assert_eq!(fault_codes(&unannounced), [FaultCode::RecordingNotAnnounced]);
    let silent = CampaignFacts {
        records_calls: false,
        ..secret
    };
    assert_eq!(fault_codes(&silent), []);
    let empty = campaign(&[]);
    assert_eq!(fault_codes(&empty), [FaultCode::NoJurisdiction]);
}

#[test]
fn a_tenant_without_artificial_voices_starts_no_campaign_that_may_use_one() {
    let wishes = [Tightening {
        no_ai: true,
        ..Tightening::default()
    }];
    let overflow = CampaignFacts {
        ai_overflow: true,
        ..campaign(&["US"])
    };
    let faults = rules().may_start(&overflow, &wishes, at(NOW)).unwrap_err();
    assert_eq!(
        faults.iter().map(|fault| fault.code).collect::<Vec<_>>(),
        [FaultCode::AiForbidden]
    );
    assert_eq!(rules().may_start(&campaign(&["US"]), &wishes, at(NOW)), Ok(()));
}

#[test]
fn the_pacer_gets_the_ceiling_the_window_and_the_way_to_count_of_each_jurisdiction() {
    let places = codes(&["US", "US-FL", "GB", "CZ"]);
    let limits = rules().abandonment_limits(places, Purpose::Telemarketing, at(NOW));
    let told: Vec<_> = limits
        .iter()
        .map(|limit| {
            (
                limit.jurisdiction.code(),
                limit.window,
                limit.target.millionths(),
                limit.from,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "US",
                Window::SuccessiveDays(30),
                25_000,
                MeasuredFrom::GreetingEnd
            ),
            ("GB", Window::RollingHours(24), 10_000, MeasuredFrom::Answer),
            ("CZ", Window::SuccessiveDays(30), 30_000, MeasuredFrom::Answer),
            ("CZ", Window::RollingHours(24), 30_000, MeasuredFrom::Answer),
        ]
    );
    assert!(
        limits
            .iter()
            .all(|limit| limit.ceiling == voice_compliance::limits::ABANDONMENT_CEILING)
    );
    assert!(limits.iter().all(|limit| limit.connect_within_ms == 2_000));
    assert!(limits[0].consented_ai_message_is_no_abandon && !limits[1].consented_ai_message_is_no_abandon);
    assert!(limits[1].uncertain_machine_counts);

    let message = rules().safe_harbour(places, Purpose::Telemarketing, at(NOW));
    assert_eq!((message.within_ms, message.from), (2_000, MeasuredFrom::Answer));
    assert!(
        message.company_name && message.phone_number && message.key_press_opt_out && message.no_marketing
    );
}
