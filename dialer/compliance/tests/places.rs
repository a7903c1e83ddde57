//! Where somebody is, by number, address and stated zone. T6: `+420` is not the United States.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use chrono_tz::Tz;
use common::*;
use voice_compliance::{Evidence, Jurisdictions, LineKind};

fn zones(place: &voice_compliance::Place) -> Vec<&'static str> {
    place.zones().iter().map(|zone: &Tz| zone.name()).collect()
}

/// T6
#[test]
fn t6_a_czech_number_is_in_the_czech_republic_whatever_kind_of_line_it_is() {
    for number in [
        "+420601123456",
        "+420777123456",
        "+420221123456",
        "+420800123456",
        "+420910123456",
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), codes(&["CZ"]), "{number}");
        assert_eq!(zones(&place), ["Europe/Prague"]);
    }
}

/// T6
#[test]
fn t6_a_number_nobody_can_place_is_held_to_every_rule_and_has_no_clock() {
    for number in [
        "+9990000000",
        "+0123456789",
        "420601123456",
        "",
        "+",
        "+1212555",
        "+1305abc0123",
        "+12",
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), Jurisdictions::EVERY, "{number}");
        assert!(zones(&place).is_empty(), "{number}");
        assert!(!place.is_known());
    }
}

/// T6
#[test]
fn t6_a_country_without_a_pack_is_held_to_every_rule_by_its_own_clock() {
    for (number, zone) in [
        ("+81300000000", "Asia/Tokyo"),
        ("+421200000000", "Europe/Bratislava"),
        ("+18765550123", "America/Jamaica"),
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), Jurisdictions::EVERY, "{number}");
        assert_eq!(zones(&place), [zone]);
    }
}

/// T6
#[test]
fn t6_a_number_of_north_america_without_a_place_is_not_taken_for_the_united_states() {
    for number in ["+18005550123", "+15005550123", "+19005550123"] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), Jurisdictions::EVERY, "{number}");
        for zone in [
            "Pacific/Honolulu",
            "America/St_Johns",
            "America/Adak",
            "America/New_York",
        ] {
            assert!(zones(&place).contains(&zone), "{zone}");
        }
    }
}

#[test]
fn an_area_code_gives_its_state_and_a_split_state_both_of_its_zones() {
    for (number, law, clocks) in [
        (NEW_YORK, "US-NY", &["America/New_York"][..]),
        (FLORIDA, "US-FL", &["America/New_York", "America/Chicago"]),
        (TEXAS, "US-TX", &["America/Chicago", "America/Denver"]),
        ("+16155550123", "US-TN", &["America/New_York", "America/Chicago"]),
        ("+15025550123", "US-KY", &["America/New_York", "America/Chicago"]),
        (
            "+13175550123",
            "US-IN",
            &["America/Indiana/Indianapolis", "America/Chicago"],
        ),
        ("+13135550123", "US-MI", &["America/Detroit", "America/Menominee"]),
        ("+17015550123", "US-ND", &["America/Chicago", "America/Denver"]),
        ("+16055550123", "US-SD", &["America/Chicago", "America/Denver"]),
        ("+14025550123", "US-NE", &["America/Chicago", "America/Denver"]),
        ("+13165550123", "US-KS", &["America/Chicago", "America/Denver"]),
        ("+12085550123", "US-ID", &["America/Boise", "America/Los_Angeles"]),
        ("+15035550123", "US-OR", &["America/Los_Angeles", "America/Boise"]),
        ("+19075550123", "US-AK", &["America/Anchorage", "America/Adak"]),
        ("+18085550123", "US-HI", &["Pacific/Honolulu"]),
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), codes(&["US", law]), "{law}");
        assert_eq!(zones(&place), clocks, "{law}");
    }
}

#[test]
fn every_state_and_the_district_has_an_area_code() {
    let found: Jurisdictions = (200..1000)
        .map(|area| place(&format!("+1{area}5550123")))
        .filter(voice_compliance::Place::is_known)
        .fold(Jurisdictions::NONE, |all, place| all.union(place.jurisdictions()));
    assert!(Jurisdictions::any_state().within(found));
}

#[test]
fn territories_are_under_federal_law_by_their_own_clocks() {
    for (number, law, zone) in [
        ("+17875550123", "US-PR", "America/Puerto_Rico"),
        ("+16715550123", "US-GU", "Pacific/Guam"),
        ("+13405550123", "US-VI", "America/St_Thomas"),
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), codes(&["US", law]));
        assert_eq!(zones(&place), [zone]);
    }
}

#[test]
fn european_numbers_give_country_kind_of_line_and_the_zones_their_holder_may_be_in() {
    for (number, law, kind, clocks) in [
        (MADRID, "ES", LineKind::Geographic, &["Europe/Madrid"][..]),
        ("+34928000000", "ES", LineKind::Geographic, &["Atlantic/Canary"]),
        (
            SPANISH_MOBILE,
            "ES",
            LineKind::Mobile,
            &["Europe/Madrid", "Atlantic/Canary"],
        ),
        (
            "+34711000000",
            "ES",
            LineKind::Mobile,
            &["Europe/Madrid", "Atlantic/Canary"],
        ),
        (
            "+34900000000",
            "ES",
            LineKind::Freephone,
            &["Europe/Madrid", "Atlantic/Canary"],
        ),
        (PARIS, "FR", LineKind::Geographic, &["Europe/Paris"]),
        ("+33612345678", "FR", LineKind::Mobile, &["Europe/Paris"]),
        (
            "+262262000000",
            "FR",
            LineKind::Unknown,
            &["Indian/Reunion", "Indian/Mayotte"],
        ),
        ("+590590000000", "FR", LineKind::Unknown, &["America/Guadeloupe"]),
        (LONDON, "GB", LineKind::Geographic, &["Europe/London"]),
        ("+447700900000", "GB", LineKind::Mobile, &["Europe/London"]),
        ("+447000000000", "GB", LineKind::NonGeographic, &["Europe/London"]),
        ("+441534000000", "GB", LineKind::Geographic, &["Europe/Jersey"]),
        (BERLIN, "DE", LineKind::Geographic, &["Europe/Berlin"]),
        ("+4915100000000", "DE", LineKind::Mobile, &["Europe/Berlin"]),
        (PRAGUE, "CZ", LineKind::Mobile, &["Europe/Prague"]),
        (
            TORONTO,
            "CA",
            LineKind::Geographic,
            &["America/Toronto", "America/Winnipeg", "America/Atikokan"],
        ),
    ] {
        let place = place(number);
        assert_eq!(place.jurisdictions(), codes(&[law]), "{number}");
        assert_eq!(zones(&place), clocks, "{number}");
        assert_eq!(rules().line(number), kind, "{number}");
    }
}

#[test]
fn number_and_address_that_disagree_both_count() {
    let place = place_with_address(NEW_YORK, "US", Some("CA"), None);
    assert_eq!(place.jurisdictions(), codes(&["US", "US-NY", "US-CA"]));
    assert_eq!(zones(&place), ["America/New_York", "America/Los_Angeles"]);

    let abroad = place_with_address(PRAGUE, "ES", None, Some("35001"));
    assert_eq!(abroad.jurisdictions(), codes(&["CZ", "ES"]));
    assert_eq!(zones(&abroad), ["Europe/Prague", "Atlantic/Canary"]);
}

#[test]
fn an_address_settles_what_a_number_leaves_open_and_the_other_way_round() {
    let freephone = place_with_address("+18005550123", "US", None, Some("90210"));
    assert_eq!(freephone.jurisdictions(), codes(&["US", "US-CA"]));
    assert_eq!(zones(&freephone), ["America/Los_Angeles"]);

    let without_state = place_with_address(NEW_YORK, "US", None, None);
    assert_eq!(without_state.jurisdictions(), codes(&["US", "US-NY"]));

    let canaries = place_with_address(SPANISH_MOBILE, "ES", None, Some("38001"));
    assert_eq!(zones(&canaries), ["Atlantic/Canary"]);

    let mainland = place_with_address(SPANISH_MOBILE, "ES", None, Some("28001"));
    assert_eq!(zones(&mainland), ["Europe/Madrid"]);

    let overseas = place_with_address("+33612345678", "FR", None, Some("97400"));
    assert_eq!(overseas.jurisdictions(), codes(&["FR"]));
    assert_eq!(zones(&overseas), ["Indian/Reunion"]);
}

#[test]
fn a_country_known_without_its_state_has_every_state_and_every_zone() {
    let place = place_with_address("+18005550123", "US", None, None);
    assert_eq!(place.jurisdictions(), Jurisdictions::any_state());
    for zone in [
        "Pacific/Honolulu",
        "America/Adak",
        "America/Los_Angeles",
        "America/New_York",
    ] {
        assert!(zones(&place).contains(&zone));
    }
}

#[test]
fn a_state_and_a_postal_code_that_disagree_are_two_states() {
    let place = place_with_address("+18005550123", "US", Some("fl"), Some("90210"));
    assert_eq!(place.jurisdictions(), codes(&["US", "US-FL", "US-CA"]));
}

#[test]
fn a_state_that_does_not_exist_is_any_state() {
    let place = place_with_address("+18005550123", "US", Some("ZZ"), None);
    assert_eq!(place.jurisdictions(), Jurisdictions::any_state());
}

#[test]
fn a_stated_zone_only_adds_a_clock() {
    let stated = rules().place(&Evidence {
        number: NEW_YORK,
        zone: Some(chrono_tz::America::Los_Angeles),
        ..Evidence::default()
    });
    assert_eq!(stated.jurisdictions(), codes(&["US", "US-NY"]));
    assert_eq!(zones(&stated), ["America/New_York", "America/Los_Angeles"]);

    let unknown = rules().place(&Evidence {
        number: NOWHERE,
        zone: Some(chrono_tz::Asia::Tokyo),
        ..Evidence::default()
    });
    assert_eq!(unknown.jurisdictions(), Jurisdictions::EVERY);
    assert_eq!(zones(&unknown), ["Asia/Tokyo"]);
}

#[test]
fn evidence_prints_nothing_of_a_person() {
    let evidence = Evidence {
        number: NEW_YORK,
        ..Evidence::default()
    };
    assert!(!format!("{evidence:?}").contains("212"));
}
