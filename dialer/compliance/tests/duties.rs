//! What a call with an AI agent is obliged to, country by country.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{at, rules};
use voice_compliance::{
    Evidence, Jurisdictions,
    Obligation::{self, AllPartyRecordingConsent, AnnounceRecording, DiscloseAi},
};

const NOW: &str = "2026-11-24T12:00:00Z";

/// Whether the AI must be disclosed, the recording announced, consented to.
fn owed(number: &str, now: &str) -> [bool; 3] {
    let evidence = Evidence {
        number,
        ..Evidence::default()
    };
    let owed = rules().obliges_ai(rules().place(&evidence).jurisdictions(), at(now));
    [DiscloseAi, AnnounceRecording, AllPartyRecordingConsent].map(|one: Obligation| owed.has(one))
}

#[test]
fn every_country_asks_for_what_its_pack_says() {
    for (place, number, disclosed, announced, agreed) in [
        ("Prague", "+420602123456", true, true, false),
        ("Madrid", "+34612345678", true, true, false),
        ("Paris", "+33612345678", true, true, false),
        ("Berlin", "+4915112345678", true, false, true),
        ("London", "+447911123456", false, true, false),
    ] {
        assert_eq!(owed(number, NOW), [disclosed, announced, agreed], "{place}");
    }
}

#[test]
fn in_the_united_states_recording_depends_on_the_state_and_the_strictest_counts_where_it_is_not_certain() {
    for (state, number, agreed) in [
        ("California", "+14155550123", true),
        ("Florida", "+13055550123", true),
        ("Illinois", "+13125550123", true),
        ("Washington", "+12065550123", true),
        ("Pennsylvania", "+12155550123", true),
        ("Massachusetts", "+16175550123", true),
        ("Maryland", "+14105550123", true),
        ("New York", "+12125550123", false),
        ("Texas", "+12145550123", false),
    ] {
        assert_eq!(owed(number, NOW), [false, false, agreed], "{state}");
    }
    let anywhere = rules().obliges_ai(Jurisdictions::any_state(), at(NOW));
    assert!(anywhere.has(AllPartyRecordingConsent), "some state asks for it");
}

#[test]
fn where_nobody_knows_the_place_or_its_law_everything_is_asked() {
    for number in ["+8613812345678", "+5511912345678", "not a number", ""] {
        assert_eq!(owed(number, NOW), [true; 3], "{number}");
    }
    let nobody = rules().obliges_ai(Jurisdictions::NONE, at(NOW));
    assert!(
        [DiscloseAi, AnnounceRecording, AllPartyRecordingConsent]
            .into_iter()
            .all(|one| nobody.has(one))
    );
}

/// Regulation (EU) 2024/1689, Art. 50 holds from the second of August 2026.
#[test]
fn a_duty_holds_from_the_day_of_its_law() {
    assert_eq!(
        owed("+420602123456", "2026-08-01T12:00:00Z"),
        [false, true, false]
    );
    assert_eq!(owed("+420602123456", "2026-08-02T12:00:00Z"), [true, true, false]);
    assert_eq!(owed("+13055550123", "2026-08-01T12:00:00Z"), [false, false, true]);
}
