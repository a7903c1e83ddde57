//! How far into the hopper a claim looks.

use crate::selection::Claim;

/// Contacts looked at in one claim of a shard, at most.
const MOST: u32 = 500;
/// Until something was learnt: every other contact may be called.
const AT_FIRST: f64 = 2.0;

/// Contacts that have to be looked at for one that may be called, learnt from claims.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    per_dial: f64,
}

impl Default for Look {
    fn default() -> Self {
        Self { per_dial: AT_FIRST }
    }
}

impl Look {
    /// Contacts to look at for so many dials.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 1 and MOST.
    pub(super) fn far(self, want: u32) -> u32 {
        (f64::from(want) * self.per_dial)
            .ceil()
            .clamp(1.0, f64::from(MOST)) as u32
    }

    /// Learns from a claim. Nobody of all that were judged: the front of the hopper is full of them, look further.
    pub(super) fn learn(&mut self, claim: &Claim) {
        let judged = count(claim.dials.len() + claim.refused);
        if judged == 0.0 {
            return;
        }
        self.per_dial = if claim.dials.is_empty() {
            (self.per_dial * 4.0).min(f64::from(MOST))
        } else {
            // One more in ten than last time, since the next ten may be others.
            f64::midpoint(self.per_dial, 1.1 * judged / count(claim.dials.len()))
        };
    }
}

#[allow(clippy::cast_precision_loss)] // A few hundred.
fn count(contacts: usize) -> f64 {
    contacts as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refused: usize) -> Claim {
        Claim {
            looked_at: refused,
            refused,
            ..Claim::default()
        }
    }

    #[test]
    fn it_looks_further_as_long_as_nobody_may_be_called_and_no_further_than_the_most() {
        let mut look = Look::default();
        assert_eq!(look.far(8), 16);
        look.learn(&refused(16));
        assert_eq!(look.far(8), 64);
        for _ in 0..10 {
            look.learn(&refused(64));
        }
        assert_eq!(look.far(1), MOST);
    }

    #[test]
    fn a_claim_that_found_nobody_to_judge_teaches_nothing() {
        let mut look = Look::default();
        look.learn(&Claim {
            looked_at: 5,
            no_number: 5,
            ..Claim::default()
        });
        assert_eq!(look, Look::default());
    }

    #[test]
    fn at_least_one_contact_is_looked_at() {
        assert_eq!(Look { per_dial: 0.1 }.far(1), 1);
    }
}
