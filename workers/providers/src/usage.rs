//! What a call used up at a provider, in the units the provider charges for.

use serde::{Deserialize, Serialize};

/// What providers charge for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Tokens of text the model read for the first time.
    TextIn,
    /// Tokens of text it had read before.
    TextInCached,
    /// Tokens of text it wrote, thoughts among them.
    TextOut,
    /// Tokens of audio the model heard for the first time.
    AudioIn,
    /// Tokens of audio it had heard before.
    AudioInCached,
    /// Tokens of audio it spoke.
    AudioOut,
    /// How long the session stood.
    SessionMs,
    /// How much audio was recognised.
    RecognisedMs,
    /// Characters of text turned into speech.
    SpokenCharacters,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 9] = [
        Self::TextIn,
        Self::TextInCached,
        Self::TextOut,
        Self::AudioIn,
        Self::AudioInCached,
        Self::AudioOut,
        Self::SessionMs,
        Self::RecognisedMs,
        Self::SpokenCharacters,
    ];

    /// Stable name for events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextIn => "text_in",
            Self::TextInCached => "text_in_cached",
            Self::TextOut => "text_out",
            Self::AudioIn => "audio_in",
            Self::AudioInCached => "audio_in_cached",
            Self::AudioOut => "audio_out",
            Self::SessionMs => "session_ms",
            Self::RecognisedMs => "recognised_ms",
            Self::SpokenCharacters => "spoken_characters",
        }
    }
}

/// How much of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantities([u64; Unit::ALL.len()]);

impl Quantities {
    /// So much of one unit.
    #[must_use]
    pub fn of(unit: Unit, quantity: u64) -> Self {
        Self::default().and(unit, quantity)
    }

    /// And so much more of another.
    #[must_use]
    pub fn and(mut self, unit: Unit, quantity: u64) -> Self {
        self.add(unit, quantity);
        self
    }

    /// Adds to one unit.
    pub fn add(&mut self, unit: Unit, quantity: u64) {
        if let Some(slot) = self.0.get_mut(unit as usize) {
            *slot = slot.saturating_add(quantity);
        }
    }

    /// Adds all of another.
    pub fn add_all(&mut self, other: &Self) {
        for (unit, quantity) in other.iter() {
            self.add(unit, quantity);
        }
    }

    /// How much of a unit.
    #[must_use]
    pub fn get(&self, unit: Unit) -> u64 {
        self.0.get(unit as usize).copied().unwrap_or(0)
    }

    /// What there is any of.
    pub fn iter(&self) -> impl Iterator<Item = (Unit, u64)> + '_ {
        Unit::ALL
            .into_iter()
            .map(|unit| (unit, self.get(unit)))
            .filter(|(_, quantity)| *quantity > 0)
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// What one model used since the last time it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// The model that used it: not always the one that speaks, transcription has its own.
    pub model: &'a str,
    /// How much.
    pub quantities: Quantities,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_a_place_of_its_own() {
        let mut all = Quantities::default();
        for (quantity, unit) in (1..).zip(Unit::ALL) {
            all.add(unit, quantity);
        }
        let listed: Vec<_> = all.iter().collect();
        assert_eq!(listed, Unit::ALL.into_iter().zip(1..).collect::<Vec<_>>());
        all.add_all(&Quantities::of(Unit::AudioOut, 10));
        assert_eq!(all.get(Unit::AudioOut), 16);
    }
}
