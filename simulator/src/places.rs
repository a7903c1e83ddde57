//! Where simulated people live: somewhere it is lawful to call them now, whatever the hour.
//!
//! Their numbers are ones no subscriber has: `555` in North America, and the ranges Ofcom keeps for drama in Britain.
//! Those are too few for a crowd of a bench, whose carriers are on loopback: [`Place::crowd`].

use chrono::{DateTime, TimeDelta, Utc};
use voice_compliance::{
    CallerId, Capacity, Company, Consent, ConsentClass, Evidence, Facts, Mode, Purpose, Request, Rules,
    Verdict,
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
    /// What the numbers of a crowd begin with: seven digits follow. None where no seven digits are sure to be a number.
    area: Option<&'static str>,
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
        area: Some("+1614"),
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
        area: Some("+44207"),
    },
    Place {
        code: "us-hi",
        name: "Hawaii",
        region: "US",
        prefixes: &["+1808555"],
        first: 1_300,
        digits: 4,
        area: Some("+1808"),
    },
    Place {
        code: "gu",
        name: "Guam",
        region: "GU",
        prefixes: &["+1671555"],
        first: 1_300,
        digits: 4,
        area: None,
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

    /// The number of the `index`-th person of a crowd of up to five million, where there is room for one.
    pub fn crowd(&self, index: u32) -> Option<String> {
        // Exchanges like 411 are nobody's, and 555 is for [`Self::number`].
        let exchange = (400..1_000)
            .filter(|exchange| exchange % 100 != 11 && *exchange != 555)
            .nth(usize::try_from(index / 10_000).ok()?)?;
        Some(format!("{}{exchange}{:04}", self.area?, index % 10_000))
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

/// Whether people may call the number, and an AI agent somebody there who agreed to it.
fn is_lawful(rules: &Rules, number: &str, now: DateTime<Utc>) -> bool {
    let company = Company(uuid::Uuid::nil());
    let agreed = Consent {
        class: ConsentClass::Express,
        marketing: false,
        automated: true,
        proof: true,
        company,
        subject: None,
        given_at: DateTime::UNIX_EPOCH,
        expires_at: None,
        withdrawn_at: None,
    };
    let facts = Facts {
        consents: vec![agreed],
        ..Facts::default()
    };
    let place = rules.place(&Evidence {
        number,
        address: None,
        zone: None,
    });
    let request = |mode, capacity| Request {
        place: &place,
        tightening: &[],
        purpose: Purpose::Informational,
        mode,
        company,
        subject: None,
        debt: None,
        caller_id: CallerId {
            valid: true,
            owned: true,
            answers: true,
            presence: true,
            kind: rules.line(number),
        },
        capacity,
        live_agent_guaranteed: false,
        registered: voice_compliance::Jurisdictions::NONE,
    };
    [(Mode::Predictive, Capacity::Agents), (Mode::Ai, Capacity::Ai)]
        .into_iter()
        .all(|(mode, capacity)| {
            matches!(
                rules.judge(&request(mode, capacity), &facts, now),
                Verdict::Allowed(_)
            )
        })
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

    #[test]
    fn a_crowd_of_a_million_has_numbers_of_its_own_that_may_be_called_when_the_place_is_open() {
        let rules = Rules::embedded().unwrap();
        let midnight: DateTime<Utc> = "2026-01-14T00:00:00Z".parse().unwrap();
        for place in PLACES.iter().filter(|place| place.area.is_some()) {
            let crowd: BTreeSet<String> = (0..1_000_000)
                .step_by(999)
                .filter_map(|index| place.crowd(index))
                .collect();
            assert_eq!(crowd.len(), 1_002, "{}", place.code);
            for hour in 0..24 {
                let now = midnight + TimeDelta::hours(hour);
                let open = place.is_open(&rules, now);
                assert!(
                    !open || crowd.iter().all(|number| is_lawful(&rules, number, now)),
                    "{} at {now}",
                    place.code
                );
            }
        }
    }
}
