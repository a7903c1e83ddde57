//! The share of dials whose person agreed to talk to an AI agent.

use serde::{Deserialize, Serialize};

/// Dials that are taken for refusals before any was seen: who counts on consent that is not there abandons people.
const DOUBT: f64 = 10.0;
/// Half of what was seen is forgotten after so many dials.
const HALF_LIFE: f64 = 300.0;

/// How many of the last dials were to people who agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConsentShare {
    agreed: f64,
    dials: f64,
}

impl ConsentShare {
    pub(crate) fn observe(&mut self, agreed: bool) {
        let decay = 0.5_f64.powf(1.0 / HALF_LIFE);
        self.agreed = self.agreed * decay + f64::from(u8::from(agreed));
        self.dials = self.dials * decay + 1.0;
    }

    /// The probability that the next dial is to somebody who agreed.
    pub(crate) fn mean(self) -> f64 {
        self.agreed / (self.dials + DOUBT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_agreed_before_somebody_was_seen_to() {
        let mut share = ConsentShare::default();
        assert_eq!(share.mean(), 0.0);
        (0..5).for_each(|_| share.observe(true));
        assert!(share.mean() < 0.4, "{share:?}");
        (0..500).for_each(|_| share.observe(true));
        assert!(share.mean() > 0.95, "{share:?}");
    }

    #[test]
    fn another_list_is_noticed() {
        let mut share = ConsentShare::default();
        (0..1_000).for_each(|_| share.observe(true));
        (0..900).for_each(|_| share.observe(false));
        assert!(share.mean() < 0.15, "{share:?}");
    }
}
