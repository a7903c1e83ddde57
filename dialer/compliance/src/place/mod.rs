//! Where the person is, as far as number, address and stated zone tell: whose rules hold and which clocks count.
//!
//! Evidence is added up, never traded: rules of every place the person may be in hold at once, each by the clocks of
//! that place. A number of Florida with an address in California is called in the hours both allow. Evidence that names
//! only the country says nothing against evidence that names the state. No evidence at all is `XX`: every rule of every
//! pack, and without a zone no hour is lawful.

mod plan;

use std::{fmt, str::FromStr, sync::Arc};

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub(crate) use plan::Plan;

use crate::jurisdiction::{Jurisdiction, Jurisdictions};

/// Zones a place can have; more are no place at all.
pub(crate) const MOST_ZONES: usize = 32;

/// A country by its two letters, ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    pub(crate) const fn of(letters: [u8; 2]) -> Self {
        Self(letters)
    }

    /// The country whose pack holds here: dependencies and overseas parts have that of another one.
    fn law(self) -> Option<Jurisdiction> {
        let code = match &self.0 {
            b"US" | b"PR" | b"GU" | b"VI" | b"AS" | b"MP" => "US",
            b"GB" | b"GG" | b"JE" | b"IM" => "GB",
            b"FR" | b"RE" | b"YT" | b"GP" | b"MQ" | b"GF" | b"PM" | b"BL" | b"MF" => "FR",
            b"CZ" => "CZ",
            b"ES" => "ES",
            b"DE" => "DE",
            b"CA" => "CA",
            _ => return None,
        };
        Jurisdiction::parse(code)
    }
}

impl FromStr for Country {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            [one, two] if one.is_ascii_uppercase() && two.is_ascii_uppercase() => Ok(Self([*one, *two])),
            _ => Err("a country is two capital letters".to_owned()),
        }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What is known of where the person is. It is personal data: nothing of it is printed.
#[derive(Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// The number to call, in E.164 with its `+`.
    pub number: &'a str,
    /// An address they gave.
    pub address: Option<Address<'a>>,
    /// A time zone they gave.
    pub zone: Option<Tz>,
}

/// As much of an address as helps.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// The country.
    pub country: Country,
    /// State or province, by its postal abbreviation: `FL`, `ON`.
    pub subdivision: Option<&'a str>,
    /// Postal code, or its beginning.
    pub postal_code: Option<&'a str>,
}

impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").finish_non_exhaustive()
    }
}

impl fmt::Debug for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

/// Law and clocks of one place the person may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) jurisdictions: Jurisdictions,
    /// Bit `n` is zone `n` of the place.
    pub(crate) zones: u32,
}

/// The places the person may be in, resolved once per contact by [`Rules::place`](crate::Rules::place).
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    candidates: Vec<Candidate>,
    jurisdictions: Jurisdictions,
    zones: Arc<[Tz]>,
}

impl Place {
    /// Whose rules hold.
    #[must_use]
    pub fn jurisdictions(&self) -> Jurisdictions {
        self.jurisdictions
    }

    /// The zones whose clocks count; none when nobody knows.
    #[must_use]
    pub fn zones(&self) -> &Arc<[Tz]> {
        &self.zones
    }

    /// Whether the person's country is known and has a pack.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.jurisdictions.contains(Jurisdiction::UNKNOWN)
    }

    /// The zones by whose clocks a rule of `jurisdiction` is read, one bit each.
    pub(crate) fn zones_of(&self, jurisdiction: Jurisdiction) -> u32 {
        self.candidates
            .iter()
            .filter(|candidate| candidate.jurisdictions.contains(jurisdiction))
            .fold(0, |zones, candidate| zones | candidate.zones)
    }

    fn of(places: &[Located], stated: Option<Tz>) -> Self {
        let mut zones: Vec<Tz> = Vec::new();
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut bits = |wanted: &[Tz]| {
            wanted.iter().fold(0_u32, |bits, zone| {
                let index = zones.iter().position(|known| known == zone).unwrap_or_else(|| {
                    zones.push(*zone);
                    zones.len() - 1
                });
                // Too many zones is caught below, where it empties the place.
                bits | 1_u32
                    .checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
                    .unwrap_or(0)
            })
        };
        for place in places {
            candidates.push(Candidate {
                jurisdictions: place.jurisdictions,
                zones: bits(&place.zones),
            });
        }
        if places.is_empty() {
            candidates.push(Candidate {
                jurisdictions: Jurisdictions::EVERY,
                zones: 0,
            });
        }
        // Wherever it is that a stated zone points to, every rule is read by its clock too.
        let stated = stated.map_or(0, |zone| bits(&[zone]));
        for candidate in &mut candidates {
            candidate.zones |= stated;
        }
        let mut zones: Arc<[Tz]> = zones.into();
        // A place one of whose parts has no clock may be anywhere.
        let lost = zones.len() > MOST_ZONES || candidates.iter().any(|candidate| candidate.zones == 0);
        if lost {
            zones = Arc::new([]);
            candidates = vec![Candidate {
                jurisdictions: Jurisdictions::EVERY,
                zones: 0,
            }];
        }
        let jurisdictions = candidates.iter().fold(Jurisdictions::NONE, |all, candidate| {
            all.union(candidate.jurisdictions)
        });
        Self {
            candidates,
            jurisdictions,
            zones,
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("jurisdictions", &self.jurisdictions)
            .field("zones", &self.zones)
            .finish()
    }
}

/// Where one piece of evidence puts the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// `None`: somewhere in the plan of North America.
    pub(crate) country: Option<Country>,
    pub(crate) jurisdictions: Jurisdictions,
    pub(crate) zones: Vec<Tz>,
    /// It says more than the country.
    pub(crate) precise: bool,
}

impl Located {
    /// Whether `other` says the same and more.
    fn adds_nothing_to(&self, other: &Self) -> bool {
        match self.country {
            Some(country) => !self.precise && other.precise && other.country == Some(country),
            None => {
                let american = [Country(*b"US"), Country(*b"CA")];
                other.country.is_some_and(|country| american.contains(&country))
            }
        }
    }
}

pub(crate) fn resolve(plan: &Plan, evidence: &Evidence<'_>) -> Place {
    let number = plan.number(evidence.number);
    let address = evidence.address.map(|address| plan.address(&address));
    let mut places = Vec::new();
    match (number, address) {
        (Some(number), Some(address)) => {
            if !number.adds_nothing_to(&address) {
                places.push(number.clone());
            }
            if !address.adds_nothing_to(&number) && !places.contains(&address) {
                places.push(address);
            }
        }
        (Some(one), None) => places.push(one),
        // A number that fits no plan may be anybody's: an address lends its clock, and every rule holds.
        (None, Some(address)) => {
            places.push(Located {
                country: None,
                jurisdictions: Jurisdictions::EVERY,
                ..address
            });
        }
        (None, None) => {}
    }
    Place::of(&places, evidence.zone)
}
