//! Where the people of a demo live: somewhere it is lawful to call them now, whatever the hour.
//!
//! The numbers are ones no subscriber has: `555` in North America, and the ranges Ofcom keeps for drama in Britain.

use chrono::{DateTime, TimeDelta, Utc};
use voice_compliance::{
    CallerId, Capacity, Company, Evidence, Facts, Mode, Purpose, Request, Rules, Verdict,
};

/// A place people are called in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is called on the command line.
    pub code: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// ISO 3166-1, for numbers without `+`.
    pub region: &'static str,
    /// What numbers begin with.
    prefixes: &'static [&'static str],
    /// The first of the numbers after a prefix, and how many digits they have.
    first: u32,
    digits: usize,
}

/// In the order they are looked at. Some place among them is open at any hour of any day; a test asks the rules.
pub const PLACES: [Place; 4] = [
    Place {
        code: "us-east",
        name: "Ohio and Georgia",
        region: "US",
        prefixes: &[
            "+1614555", "+1216555", "+1513555", "+1937555", "+1419555", "+1404555", "+1678555", "+1706555",
            "+1912555", "+1229555",
        ],
        first: 200,
        digits: 4,
    },
    Place {
        code: "gb",
        name: "Britain",
        region: "GB",
        prefixes: &[
            "+442079460",
            "+441134960",
            "+441144960",
            "+441154960",
            "+441164960",
            "+441174960",
            "+441184960",
            "+441214960",
            "+441314960",
            "+441414960",
            "+441514960",
            "+441614960",
        ],
        first: 100,
        digits: 3,
    },
    Place {
        code: "us-hi",
        name: "Hawaii",
        region: "US",
        prefixes: &["+1808555"],
        first: 1_300,
        digits: 4,
    },
    Place {
        code: "gu",
        name: "Guam",
        region: "GU",
        prefixes: &["+1671555"],
        first: 1_300,
        digits: 4,
    },
];

/// How long a place must stay open once a campaign begins.
pub const STAYS: TimeDelta = TimeDelta::minutes(10);

impl Place {
    /// The number of the `index`-th person.
    pub fn number(&self, index: u32) -> String {
        let prefixes = u32::try_from(self.prefixes.len()).unwrap_or(1);
        let prefix = self.prefixes[usize::try_from(index % prefixes).unwrap_or(0)];
        let line = self.first + index / prefixes;
        format!("{prefix}{line:0width$}", width = self.digits)
    }

    /// The `index`-th number to show, of the same place and of nobody on the list.
    pub fn caller(&self, index: u32) -> String {
        let prefixes = u32::try_from(self.prefixes.len()).unwrap_or(1);
        let prefix = self.prefixes[usize::try_from(index % prefixes).unwrap_or(0)];
        format!("{prefix}{:0width$}", index, width = self.digits)
    }

    /// Whether the law allows such a call at `now` and for as long as a campaign takes.
    pub fn is_open(&self, rules: &Rules, now: DateTime<Utc>) -> bool {
        (0..10).all(|index| {
            let number = self.number(index);
            is_lawful(rules, &number, now) && is_lawful(rules, &number, now + STAYS)
        })
    }
}

/// The first place that is open.
pub fn open_now(rules: &Rules, now: DateTime<Utc>) -> Option<Place> {
    PLACES.into_iter().find(|place| place.is_open(rules, now))
}

/// The place with this code.
pub fn named(code: &str) -> Option<Place> {
    PLACES.into_iter().find(|place| place.code == code)
}

fn is_lawful(rules: &Rules, number: &str, now: DateTime<Utc>) -> bool {
    let place = rules.place(&Evidence {
        number,
        address: None,
        zone: None,
    });
    let request = Request {
        place: &place,
        tightening: &[],
        purpose: Purpose::Informational,
        mode: Mode::Predictive,
        company: Company(uuid::Uuid::nil()),
        subject: None,
        debt: None,
        caller_id: CallerId {
            valid: true,
            owned: true,
            answers: true,
            presence: true,
            kind: rules.line(number),
        },
        capacity: Capacity::Agents,
        live_agent_guaranteed: false,
        registered: voice_compliance::Jurisdictions::NONE,
    };
    matches!(rules.judge(&request, &Facts::default(), now), Verdict::Allowed(_))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The whole year in steps of a quarter of an hour would do; two weeks on either side of the clock changes do too.
    #[test]
    fn at_any_hour_of_any_day_there_is_a_place_where_it_is_lawful_to_call() {
        let rules = Rules::embedded().unwrap();
        let mut chosen = BTreeSet::new();
        for monday in [
            "2026-01-12",
            "2026-03-23",
            "2026-07-13",
            "2026-10-26",
            "2026-12-21",
        ] {
            let begins: DateTime<Utc> = format!("{monday}T00:00:00Z").parse().unwrap();
            for quarter in 0..7 * 24 * 4 {
                let now = begins + TimeDelta::minutes(15 * quarter + 7);
                let place = open_now(&rules, now);
                assert!(place.is_some(), "nobody may be called at {now}");
                chosen.extend(place.map(|place| place.code));
            }
        }
        assert_eq!(chosen, PLACES.map(|place| place.code).into());
    }

    #[test]
    fn no_place_is_open_at_night() {
        let rules = Rules::embedded().unwrap();
        // Three in the morning in Ohio, ten in the morning in Guam the same day.
        let now: DateTime<Utc> = "2026-01-14T08:00:00Z".parse().unwrap();
        assert!(!named("us-east").unwrap().is_open(&rules, now));
        assert!(named("gu").unwrap().is_open(&rules, now));
    }

    #[test]
    fn every_person_has_a_number_of_their_own_and_nobody_that_of_the_caller() {
        for place in PLACES {
            let numbers: BTreeSet<String> = (0..5_000).map(|index| place.number(index)).collect();
            assert_eq!(numbers.len(), 5_000, "{}", place.code);
            assert!((0..8).all(|index| !numbers.contains(&place.caller(index))));
            assert!(
                numbers
                    .iter()
                    .all(|number| voice_telephony::PhoneNumber::parse(number).is_some())
            );
            assert_eq!(numbers.iter().map(String::len).collect::<BTreeSet<_>>().len(), 1);
        }
    }
}
