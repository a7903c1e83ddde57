//! A set of facts of one call.

/// Some of the facts of a call, by their places in [`PlannedCall::facts`](crate::plan::PlannedCall::facts).
/// A call has far fewer than 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactSet(u32);

impl FactSet {
    /// The first `count` facts.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count >= 32 {
            Self(u32::MAX)
        } else {
            Self((1 << count) - 1)
        }
    }

    /// Whether the fact at `place` is among them.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        place < 32 && self.0 & (1 << place) != 0
    }

    /// Adds the fact at `place`; false when it was among them already.
    pub(crate) const fn add(&mut self, place: usize) -> bool {
        let new = place < 32 && !self.has(place);
        if new {
            self.0 |= 1 << place;
        }
        new
    }

    /// How many they are.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_added_once_and_places_beyond_the_set_are_never_in_it() {
        let mut set = FactSet::default();
        assert!(set.is_empty());
        assert!(set.add(3) && !set.add(3) && !set.add(32));
        assert!(set.has(3) && !set.has(2) && !set.has(32));
        assert_eq!(set.len(), 1);
        assert_eq!(FactSet::first(3).len(), 3);
        assert_eq!(FactSet::first(40).len(), 32);
    }
}
