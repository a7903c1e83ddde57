//! Whose law it is: a country, a state of one, or `XX` where nobody knows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Every jurisdiction the packs may speak of. The position is only an index; the code is what is stored.
const CODES: [&str; 64] = [
    "XX", "US", "GB", "CZ", "ES", "FR", "DE", "CA", "US-AL", "US-AK", "US-AZ", "US-AR", "US-CA", "US-CO",
    "US-CT", "US-DE", "US-DC", "US-FL", "US-GA", "US-HI", "US-ID", "US-IL", "US-IN", "US-IA", "US-KS",
    "US-KY", "US-LA", "US-ME", "US-MD", "US-MA", "US-MI", "US-MN", "US-MS", "US-MO", "US-MT", "US-NE",
    "US-NV", "US-NH", "US-NJ", "US-NM", "US-NY", "US-NC", "US-ND", "US-OH", "US-OK", "US-OR", "US-PA",
    "US-RI", "US-SC", "US-SD", "US-TN", "US-TX", "US-UT", "US-VT", "US-VA", "US-WA", "US-WV", "US-WI",
    "US-WY", "US-PR", "US-GU", "US-VI", "US-AS", "US-MP",
];

/// States and the federal district: where somebody is who is said to be in the United States.
const STATES: std::ops::Range<usize> = 8..59;

/// One body of law, by its code: `US`, `US-FL`, `CZ`, `XX`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jurisdiction(u8);

impl Jurisdiction {
    /// Nobody knows where the person is, or the country has no pack.
    pub const UNKNOWN: Self = Self(0);

    /// The jurisdiction with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let index = CODES.iter().position(|known| *known == code)?;
        u8::try_from(index).ok().map(Self)
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        CODES[usize::from(self.0)]
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0_u8..).take(CODES.len()).map(Self)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Jurisdiction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Jurisdiction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| D::Error::custom(format!("`{code}` is no known jurisdiction")))
    }
}

/// A set of jurisdictions; on the wire, a list of codes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Jurisdictions(u128);

impl Jurisdictions {
    /// Nobody's law.
    pub const NONE: Self = Self(0);

    /// Everybody's law at once: what holds where nobody knows the place.
    pub const EVERY: Self = Self((1 << CODES.len()) - 1);

    /// The United States without knowing the state: federal law and that of every state.
    #[must_use]
    pub fn any_state() -> Self {
        let states = (1 << STATES.end) - (1 << STATES.start);
        Self(states | 1 << 1)
    }

    /// With one more.
    #[must_use]
    pub fn with(self, one: Jurisdiction) -> Self {
        Self(self.0 | 1 << one.0)
    }

    /// With those of another set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set has `one`.
    #[must_use]
    pub fn contains(self, one: Jurisdiction) -> bool {
        self.0 & 1 << one.0 != 0
    }

    /// Whether every member is also in `other`.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members.
    pub fn iter(self) -> impl Iterator<Item = Jurisdiction> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            u8::try_from(next).ok().map(Jurisdiction)
        })
    }
}

impl FromIterator<Jurisdiction> for Jurisdictions {
    fn from_iter<I: IntoIterator<Item = Jurisdiction>>(members: I) -> Self {
        members.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Jurisdictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Jurisdictions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Jurisdictions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Jurisdiction>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_one_jurisdiction_and_comes_back() {
        for one in Jurisdiction::all() {
            assert_eq!(Jurisdiction::parse(one.code()), Some(one));
        }
        assert_eq!(Jurisdiction::parse("US-ZZ"), None);
    }

    #[test]
    fn any_state_is_the_union_with_its_fifty_states_and_the_district() {
        let any = Jurisdictions::any_state();
        assert_eq!(any.iter().count(), 52);
        assert!(any.iter().all(|one| one.code().starts_with("US")));
        assert!(!any.contains(Jurisdiction::parse("US-PR").unwrap()));
        assert!(any.within(Jurisdictions::EVERY));
    }
}
