//! When a day begins and ends for the phone. T5: by the clock of the person called, across both changes of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::*;
use voice_compliance::{Clock, Code, Exception, Place, Purpose, Request, TenantCalendar, Tightening};

/// Allowed from the first instant on, refused from the second, with the exact next one.
fn opens_and_closes(place: &Place, opens: &str, closes: &str) {
    let request = request(place);
    let facts = facts();
    let judge = |now: DateTime<Utc>| rules().judge(&request, &facts, now);
    let (opens, closes) = (at(opens), at(closes));
    let second = TimeDelta::seconds(1);

    let before = judge(opens - second);
    assert!(!before.is_allowed(), "allowed before {opens}");
    assert_eq!(next(&before), Some(opens));
    assert!(
        judge(opens).is_allowed(),
        "refused at {opens}: {:?}",
        objections(&judge(opens))
    );
    assert!(judge(closes - second).is_allowed(), "refused before {closes}");
    assert!(!judge(closes).is_allowed(), "allowed at {closes}");

    let ends = |now| {
        let zones = &mut place.zones().iter().copied();
        rules().closes(place.jurisdictions(), (request.purpose, request.mode), zones, now)
    };
    assert_eq!(ends(closes - second), Some(closes));
    assert_eq!(ends(closes - TimeDelta::minutes(30)), Some(closes));
    assert_eq!(ends(closes), Some(closes), "it is over");
}

/// T5
#[test]
fn t5_prague_opens_at_eight_and_closes_at_nine_on_both_sides_of_both_clock_changes() {
    let prague = place(PRAGUE);
    for (opens, closes) in [
        ("2026-03-28T07:00:00Z", "2026-03-28T20:00:00Z"), // the day before
        ("2026-03-29T06:00:00Z", "2026-03-29T19:00:00Z"), // clocks went forward
        ("2026-10-24T06:00:00Z", "2026-10-24T19:00:00Z"),
        ("2026-10-25T07:00:00Z", "2026-10-25T20:00:00Z"), // clocks went back
    ] {
        opens_and_closes(&prague, opens, closes);
    }
}

/// T5
#[test]
fn t5_madrid_keeps_its_weekdays_on_both_sides_of_both_clock_changes() {
    let madrid = place(MADRID);
    for (opens, closes) in [
        ("2026-03-27T08:00:00Z", "2026-03-27T20:00:00Z"), // Friday before
        ("2026-03-30T07:00:00Z", "2026-03-30T19:00:00Z"), // Monday after
        ("2026-10-23T07:00:00Z", "2026-10-23T19:00:00Z"),
        ("2026-10-26T08:00:00Z", "2026-10-26T20:00:00Z"),
    ] {
        opens_and_closes(&madrid, opens, closes);
    }
    let friday_night = judged(&request(&madrid), &facts(), "2026-03-27T20:00:00Z");
    assert_eq!(next(&friday_night), Some(at("2026-03-30T07:00:00Z")));
}

/// T5
#[test]
fn t5_new_york_opens_at_eight_and_closes_at_nine_on_both_sides_of_both_clock_changes() {
    let new_york = place(NEW_YORK);
    for (opens, closes) in [
        ("2026-03-07T13:00:00Z", "2026-03-08T02:00:00Z"),
        ("2026-03-08T12:00:00Z", "2026-03-09T01:00:00Z"), // clocks went forward
        ("2026-10-31T12:00:00Z", "2026-11-01T01:00:00Z"),
        ("2026-11-01T13:00:00Z", "2026-11-02T02:00:00Z"), // clocks went back
    ] {
        opens_and_closes(&new_york, opens, closes);
    }
}

#[test]
fn a_split_state_is_called_when_both_of_its_zones_are_awake() {
    // Florida, 08:00-20:00: from eight Central to eight Eastern.
    opens_and_closes(&place(FLORIDA), "2026-06-10T13:00:00Z", "2026-06-11T00:00:00Z");
}

#[test]
fn evidence_for_two_places_is_called_in_the_hours_both_allow() {
    // Eight in Los Angeles to nine in New York.
    let place = place_with_address(NEW_YORK, "US", Some("CA"), None);
    opens_and_closes(&place, "2026-06-10T15:00:00Z", "2026-06-11T01:00:00Z");
}

#[test]
fn each_law_is_read_by_the_clock_of_its_own_place() {
    // Rhode Island closes at 18:00 of its own clock, not of Los Angeles'; California opens at eight of its own.
    let place = place_with_address("+14015550123", "US", Some("CA"), None);
    opens_and_closes(&place, "2026-06-10T15:00:00Z", "2026-06-10T22:00:00Z");
}

#[test]
fn places_far_apart_are_called_in_the_hour_they_share_and_never_if_they_share_none() {
    // Réunion's afternoon ends at 16:00 UTC, New York's morning begins at 12:00.
    let far = place_with_address(NEW_YORK, "FR", None, Some("97400"));
    opens_and_closes(&far, "2026-06-10T12:00:00Z", "2026-06-10T16:00:00Z");

    // Noon in Guam is four in the afternoon in Honolulu, the day before.
    let farther = place_with_address("+16715550123", "US", Some("HI"), None);
    let calendar = TenantCalendar {
        week: "mon-sun 12:00-13:00".parse().unwrap(),
        ..TenantCalendar::default()
    };
    let wishes = [Tightening {
        calendar: Some(calendar),
        ..Tightening::default()
    }];
    let request = Request {
        tightening: &wishes,
        ..request(&farther)
    };
    assert_eq!(next(&judged(&request, &facts(), "2026-06-10T10:00:00Z")), None);
}

#[test]
fn french_lunch_evenings_weekends_and_holidays_are_silent() {
    let paris = place(PARIS);
    opens_and_closes(&paris, "2026-11-23T09:00:00Z", "2026-11-23T12:00:00Z");
    opens_and_closes(&paris, "2026-11-23T13:00:00Z", "2026-11-23T19:00:00Z");
    let friday = judged(&request(&paris), &facts(), "2026-11-27T19:00:00Z");
    assert_eq!(next(&friday), Some(at("2026-11-30T09:00:00Z")));
    // Armistice, a Wednesday.
    let holiday = judged(&request(&paris), &facts(), "2026-11-11T10:00:00Z");
    assert_eq!(objections(&holiday), [(Code::Holiday, "fr/hours".to_owned())]);
    assert_eq!(next(&holiday), Some(at("2026-11-12T09:00:00Z")));
}

#[test]
fn hours_of_the_states_are_those_of_the_table() {
    // 2026-06-10 is a Wednesday; all Eastern or Central summer time, the split states at their later opening.
    for (number, opens, closes) in [
        ("+12055550123", "2026-06-10T13:00:00Z", "2026-06-11T01:00:00Z"), // AL 8-20 Central
        ("+12035550123", "2026-06-10T13:00:00Z", "2026-06-11T00:00:00Z"), // CT 9-20
        ("+15025550123", "2026-06-10T15:00:00Z", "2026-06-11T01:00:00Z"), // KY 10-21, both zones
        ("+12255550123", "2026-06-10T13:00:00Z", "2026-06-11T01:00:00Z"), // LA 8-20
        ("+16175550123", "2026-06-10T12:00:00Z", "2026-06-11T00:00:00Z"), // MA 8-20
        ("+12405550123", "2026-06-10T12:00:00Z", "2026-06-11T00:00:00Z"), // MD 8-20
        ("+13135550123", "2026-06-10T14:00:00Z", "2026-06-11T01:00:00Z"), // MI 9-21, both zones
        ("+16125550123", "2026-06-10T14:00:00Z", "2026-06-11T02:00:00Z"), // MN 9-21
        ("+15055550123", "2026-06-10T15:00:00Z", "2026-06-11T03:00:00Z"), // NM 9-21
        ("+16015550123", "2026-06-10T13:00:00Z", "2026-06-11T01:00:00Z"), // MS 8-20
        ("+17025550123", "2026-06-10T16:00:00Z", "2026-06-11T02:00:00Z"), // NV 9-20, both zones
        ("+14055550123", "2026-06-10T13:00:00Z", "2026-06-11T01:00:00Z"), // OK 8-20
        ("+12155550123", "2026-06-10T12:00:00Z", "2026-06-11T01:00:00Z"), // PA 8-21
        ("+14015550123", "2026-06-10T13:00:00Z", "2026-06-10T22:00:00Z"), // RI 9-18
        (TEXAS, "2026-06-10T15:00:00Z", "2026-06-11T02:00:00Z"),          // TX 9-21, both zones
        ("+12065550123", "2026-06-10T15:00:00Z", "2026-06-11T03:00:00Z"), // WA 8-20
    ] {
        opens_and_closes(&place(number), opens, closes);
    }
}

#[test]
fn sundays_are_closed_or_late_where_a_state_says_so() {
    // 2026-06-14 is a Sunday, 17:00 UTC everybody's midday.
    for (number, open) in [
        ("+12055550123", false), // AL
        ("+12255550123", false), // LA
        ("+16015550123", false), // MS
        ("+14015550123", false), // RI
        ("+12155550123", false), // PA opens at 13:30
        (TEXAS, false),          // TX opens at noon in Mountain time
        (NEW_YORK, true),
        (FLORIDA, true),
    ] {
        let verdict = judged(&request(&place(number)), &facts(), "2026-06-14T17:00:00Z");
        assert_eq!(verdict.is_allowed(), open, "{number}: {:?}", objections(&verdict));
    }
    let texas = judged(&request(&place(TEXAS)), &facts(), "2026-06-14T17:00:00Z");
    assert_eq!(next(&texas), Some(at("2026-06-14T18:00:00Z")));
    let pennsylvania = judged(&request(&place("+12155550123")), &facts(), "2026-06-07T17:00:00Z");
    assert_eq!(next(&pennsylvania), Some(at("2026-06-07T17:30:00Z")));
    // The Sunday after is Flag Day.
    let flag_day = judged(&request(&place("+12155550123")), &facts(), "2026-06-14T18:00:00Z");
    assert_eq!(objections(&flag_day), [(Code::Holiday, "us-pa/hours".to_owned())]);
}

#[test]
fn no_call_of_any_purpose_leaves_before_eight_or_after_nine() {
    for purpose in Purpose::ALL {
        for number in [NEW_YORK, LONDON, PRAGUE, BERLIN, MADRID] {
            let place = place(number);
            let request = Request {
                purpose,
                ..request(&place)
            };
            // Three at night in Europe, ten in the evening in New York.
            let verdict = judged(&request, &facts(), "2026-06-10T02:00:00Z");
            let outer = (Code::OutsideCallingWindow, "hard/outer-hours".to_owned());
            assert!(objections(&verdict).contains(&outer), "{purpose:?} {number}");
        }
    }
}

#[test]
fn a_tenant_calendar_and_its_exceptions_narrow_the_day_and_never_widen_it() {
    let calendar = TenantCalendar {
        week: "mon-sun 00:00-24:00".parse().unwrap(),
        exceptions: vec![
            Exception::closed("2026-11-24".parse().unwrap()),
            Exception::open("2026-11-25".parse().unwrap(), "15:00-23:00").unwrap(),
        ],
        clock: Clock::Called,
    };
    let wishes = [Tightening {
        calendar: Some(calendar),
        ..Tightening::default()
    }];
    let paris = place(PARIS);
    let request = Request {
        tightening: &wishes,
        ..request(&paris)
    };
    let monday_night = judged(&request, &facts(), "2026-11-23T19:00:00Z");
    assert_eq!(
        objections(&monday_night),
        [(Code::OutsideCallingWindow, "fr/hours".to_owned())]
    );
    assert_eq!(next(&monday_night), Some(at("2026-11-25T14:00:00Z")));
    assert!(!judged(&request, &facts(), "2026-11-25T20:00:00Z").is_allowed());
}

#[test]
fn a_tenant_calendar_may_be_read_by_the_clock_of_the_office() {
    let calendar = TenantCalendar {
        week: "mon-fri 09:00-17:00".parse().unwrap(),
        exceptions: Vec::new(),
        clock: Clock::Zone(chrono_tz::Europe::Prague),
    };
    let wishes = [Tightening {
        calendar: Some(calendar),
        ..Tightening::default()
    }];
    let new_york = place(NEW_YORK);
    let request = Request {
        tightening: &wishes,
        ..request(&new_york)
    };
    // The office closes at 16:00 UTC, New York opens at 13:00.
    assert!(judged(&request, &facts(), "2026-11-23T15:59:59Z").is_allowed());
    let late = judged(&request, &facts(), "2026-11-23T16:00:00Z");
    assert_eq!(
        objections(&late),
        [(Code::OutsideTenantCalendar, "tenant/calendar".to_owned())]
    );
    assert_eq!(next(&late), Some(at("2026-11-24T13:00:00Z")));
}
