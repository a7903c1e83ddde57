//! The tables behind places: numbering plans and postal codes, parsed once from the files in `plans/`.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Address, Country, Located};
use crate::{
    capacity::LineKind,
    jurisdiction::{Jurisdiction, Jurisdictions},
    packs::PackError,
};

const NANP: &str = include_str!("../../plans/nanp.toml");
const EUROPE: &str = include_str!("../../plans/europe.toml");
const WORLD: &str = include_str!("../../plans/world.toml");
const POSTAL: &str = include_str!("../../plans/postal.toml");

/// Digits of the longest prefix that says anything.
const LONGEST: usize = 7;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Areas {
    area: Vec<Area>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    country: Country,
    subdivision: Option<String>,
    codes: Vec<u16>,
    zones: Vec<Tz>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefixes {
    prefix: BTreeMap<String, Prefix>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefix {
    country: Country,
    zones: Vec<Tz>,
    kind: Option<LineKind>,
    #[serde(default)]
    precise: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostalText {
    us: BTreeMap<String, String>,
    ca: BTreeMap<String, String>,
    es: Parts,
    fr: Parts,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    zones: Vec<Tz>,
    except: BTreeMap<String, Vec<Tz>>,
}

/// Numbering plans and postal codes, ready for look-ups.
#[derive(Debug)]
pub(crate) struct Plan {
    prefixes: HashMap<String, (Located, LineKind)>,
    /// Zones of the states and provinces.
    subdivisions: BTreeMap<(Country, String), Vec<Tz>>,
    countries: BTreeMap<Country, Vec<Tz>>,
    /// The first three digits of a ZIP code.
    zip: HashMap<String, String>,
    canadian: HashMap<char, String>,
    es: Parts,
    fr: Parts,
}

fn parsed<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PackError> {
    toml::from_str(text).map_err(|error| PackError::new(file, error.to_string()))
}

impl Plan {
    /// The plans that are built in.
    pub(crate) fn embedded() -> Result<Self, PackError> {
        let mut plan = Self {
            prefixes: HashMap::new(),
            subdivisions: BTreeMap::new(),
            countries: BTreeMap::new(),
            zip: HashMap::new(),
            canadian: HashMap::new(),
            es: Parts {
                zones: Vec::new(),
                except: BTreeMap::new(),
            },
            fr: Parts {
                zones: Vec::new(),
                except: BTreeMap::new(),
            },
        };
        for area in parsed::<Areas>("nanp.toml", NANP)?.area {
            plan.area(area)?;
        }
        for (file, text) in [("europe.toml", EUROPE), ("world.toml", WORLD)] {
            for (digits, prefix) in parsed::<Prefixes>(file, text)?.prefix {
                plan.prefix(file, digits, prefix)?;
            }
        }
        plan.postal(parsed("postal.toml", POSTAL)?)?;
        Ok(plan)
    }

    fn area(&mut self, area: Area) -> Result<(), PackError> {
        let wrong = |what: String| Err(PackError::new("nanp.toml", what));
        self.zones_of_country(area.country, &area.zones);
        let precise = area.subdivision.is_some();
        if let Some(subdivision) = &area.subdivision {
            self.subdivisions
                .insert((area.country, subdivision.clone()), area.zones.clone());
        }
        let located = Located {
            country: Some(area.country),
            jurisdictions: jurisdictions(area.country, area.subdivision.as_deref()),
            zones: area.zones,
            precise,
        };
        for code in area.codes {
            if !(200..1000).contains(&code) {
                return wrong(format!("{code} is no area code"));
            }
            if self
                .prefixes
                .insert(format!("1{code}"), (located.clone(), LineKind::Geographic))
                .is_some()
            {
                return wrong(format!("area code {code} stands twice"));
            }
        }
        Ok(())
    }

    fn prefix(&mut self, file: &str, digits: String, prefix: Prefix) -> Result<(), PackError> {
        if digits.len() > LONGEST
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
            || prefix.zones.is_empty()
        {
            return Err(PackError::new(
                file,
                format!("prefix {digits} is too long, no digits, or without zones"),
            ));
        }
        self.zones_of_country(prefix.country, &prefix.zones);
        let located = Located {
            country: Some(prefix.country),
            jurisdictions: jurisdictions(prefix.country, None),
            zones: prefix.zones,
            precise: prefix.precise,
        };
        let kind = prefix.kind.unwrap_or(LineKind::Unknown);
        if self.prefixes.insert(digits.clone(), (located, kind)).is_some() {
            return Err(PackError::new(file, format!("prefix {digits} stands twice")));
        }
        Ok(())
    }

    fn postal(&mut self, text: PostalText) -> Result<(), PackError> {
        let wrong = |what: &str| PackError::new("postal.toml", what.to_owned());
        for (state, ranges) in text.us {
            for range in ranges.split_whitespace() {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last): (u16, u16) = match (first.parse(), last.parse()) {
                    (Ok(first), Ok(last)) if first <= last && last < 1000 => (first, last),
                    _ => return Err(wrong(range)),
                };
                for three in first..=last {
                    if self.zip.insert(format!("{three:03}"), state.clone()).is_some() {
                        return Err(wrong(&format!("{three:03} stands twice")));
                    }
                }
            }
        }
        for (province, letters) in text.ca {
            for letter in letters.split_whitespace().flat_map(str::chars) {
                self.canadian.insert(letter, province.clone());
            }
        }
        (self.es, self.fr) = (text.es, text.fr);
        Ok(())
    }

    fn zones_of_country(&mut self, country: Country, zones: &[Tz]) {
        let known = self.countries.entry(country).or_default();
        known.extend(
            zones
                .iter()
                .filter(|zone| !known.contains(zone))
                .copied()
                .collect::<Vec<_>>(),
        );
    }

    fn lookup(&self, number: &str) -> Option<&(Located, LineKind)> {
        let digits = number.strip_prefix('+')?;
        // Everywhere but in North America a prefix tells the length only to those who know the whole plan.
        let length = if digits.starts_with('1') { 11..=11 } else { 7..=15 };
        let fits = length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !fits {
            return None;
        }
        (1..=LONGEST)
            .rev()
            .find_map(|length| self.prefixes.get(digits.get(..length)?))
    }

    /// Where a number is from; `None` when it fits no plan.
    pub(super) fn number(&self, number: &str) -> Option<Located> {
        if let Some((located, _)) = self.lookup(number) {
            return Some(located.clone());
        }
        let american = number.strip_prefix("+1").is_some_and(|rest| {
            rest.len() == 10
                && rest.bytes().all(|byte| byte.is_ascii_digit())
                && !rest.starts_with(['0', '1'])
        });
        american.then(|| self.somewhere_in_north_america())
    }

    /// What kind of line a number is.
    pub(crate) fn line(&self, number: &str) -> LineKind {
        if let Some((_, kind)) = self.lookup(number) {
            return *kind;
        }
        match number.strip_prefix("+1").and_then(|rest| rest.get(..3)) {
            Some("800" | "833" | "844" | "855" | "866" | "877" | "888") => LineKind::Freephone,
            Some("900") => LineKind::Premium,
            _ => LineKind::Unknown,
        }
    }

    fn somewhere_in_north_america(&self) -> Located {
        let mut zones = Vec::new();
        for country in [Country::of(*b"US"), Country::of(*b"CA")] {
            for zone in self.countries.get(&country).into_iter().flatten() {
                if !zones.contains(zone) {
                    zones.push(*zone);
                }
            }
        }
        Located {
            country: None,
            jurisdictions: Jurisdictions::EVERY,
            zones,
            precise: false,
        }
    }

    /// Where an address is.
    pub(super) fn address(&self, address: &Address<'_>) -> Located {
        let country = address.country;
        let national = || Located {
            country: Some(country),
            jurisdictions: jurisdictions(country, None),
            zones: self.countries.get(&country).cloned().unwrap_or_default(),
            precise: false,
        };
        let postal = address.postal_code.map(|code| code.trim().to_ascii_uppercase());
        let states: Vec<String> = match country.as_str() {
            "US" => {
                let zip = postal
                    .as_deref()
                    .and_then(|code| code.get(..3))
                    .and_then(|three| self.zip.get(three));
                stated(address).into_iter().chain(zip.cloned()).collect()
            }
            "CA" => {
                let letter = postal.as_deref().and_then(|code| code.chars().next());
                let province = letter.and_then(|letter| self.canadian.get(&letter));
                stated(address).into_iter().chain(province.cloned()).collect()
            }
            "ES" | "FR" => {
                let parts = if country.as_str() == "ES" {
                    &self.es
                } else {
                    &self.fr
                };
                let Some(code) = postal.filter(|code| code.len() == 5) else {
                    return national();
                };
                let part = parts
                    .except
                    .iter()
                    .find(|(prefix, _)| code.starts_with(prefix.as_str()));
                let zones = part.map_or(&parts.zones, |(_, zones)| zones).clone();
                return Located {
                    zones,
                    precise: true,
                    ..national()
                };
            }
            _ => return national(),
        };
        // A state and a code that disagree are two states, and both count.
        let mut located = Located {
            zones: Vec::new(),
            jurisdictions: Jurisdictions::NONE,
            precise: true,
            ..national()
        };
        for state in states {
            let Some(zones) = self.subdivisions.get(&(country, state.clone())) else {
                return national();
            };
            located.jurisdictions = located.jurisdictions.union(jurisdictions(country, Some(&state)));
            located.zones.extend(
                zones
                    .iter()
                    .filter(|zone| !located.zones.contains(zone))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
        if located.zones.is_empty() {
            national()
        } else {
            located
        }
    }
}

fn stated(address: &Address<'_>) -> Option<String> {
    address
        .subdivision
        .map(|state| state.trim().to_ascii_uppercase())
        .filter(|state| !state.is_empty())
}

/// Whose rules hold in a country, and in one of its states.
fn jurisdictions(country: Country, state: Option<&str>) -> Jurisdictions {
    let Some(law) = country.law() else {
        return Jurisdictions::EVERY;
    };
    let national = Jurisdictions::NONE.with(law);
    if law.code() != "US" {
        return national;
    }
    let own = match (country.as_str(), state) {
        ("US", Some(state)) => Jurisdiction::parse(&format!("US-{state}")),
        ("US", None) => return Jurisdictions::any_state(),
        (territory, _) => Jurisdiction::parse(&format!("US-{territory}")),
    };
    own.map_or_else(Jurisdictions::any_state, |own| national.with(own))
}
