//! The price of an abandoned call, expressed as the risk that the next dial may run of meeting no free agent.
//!
//! The risk is the marginal exchange rate between idle agents and abandoned calls; a policy that dials while the
//! risk of the next dial is below one number is within a fraction of a per cent of the optimum where that is
//! known. The number is pulled by the room in the ledger, so that the share lands just below the limit, and what
//! it is pulled around is learnt slowly from what is left over. There are two pulls, and the lower one decides:
//!
//! - *The law.* What is left (room and the allowance of the answers still to come) over that allowance: the
//!   factor by which everything that is still to be abandoned has to change for the account to be even when
//!   dialling ends. A surplus or a debt is spread over the whole rest, which costs least where the benefit of
//!   a risk is concave, and nothing is left over at the end.
//! - *The hour.* What is left of the hour's limit, over what is left of it when all is as usual. The fewer calls
//!   are left, the harder it pulls (with the square), so that the hour's guard seldom has to stop everything: stops
//!   cost more than the same caution spread out.
//!
//! Measured on 48 stationary shifts with ten agents and the same guard: pulled by the plain share that is left, 81.0 %
//! busy at 2.6 % abandoned, and eleven shifts with an hour above 4 %; pulled like this, 81.2 % at 2.3 % and one.

use serde::{Deserialize, Serialize};

use crate::{config::Steering, ledger::Room};

/// The risk at which the exact optimum abandons 3 %, over team sizes of the exponential model: about this for
/// one agent where a quarter answers, falling with this power of their number and rising with that power of the
/// answer probability.
const USUAL: f64 = 0.066;
const SHRINK: f64 = 0.44;
const GROW: f64 = 0.4;
/// Least and most that the room moves the logarithm: what was saved for long is not spent at once.
const PULL: (f64, f64) = (-3.0, 0.7);
/// What is left of an hour's limit when all is as usual: this share, the quarter between 3 % and 4 %, and in a small
/// team so many times the root, because that is how far chance carries its few calls.
const HOUR_SHARE: f64 = 0.25;
const HOUR_ROOT: f64 = 1.1;
/// How much lower the logarithm is as long as nothing is known.
const TIMID: f64 = 2.0;
/// Calls over which a debt or a surplus is spread at least.
const SPREAD: f64 = 4.0;

/// The risk that is accepted at the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    logarithm: f64,
}

impl Price {
    /// Begins at the usual risk.
    pub fn new(steering: &Steering) -> Self {
        Self {
            logarithm: steering.start.ln(),
        }
    }

    /// A person answered while the room pulled so hard.
    pub fn observe(&mut self, pull: f64, steering: &Steering) {
        self.logarithm =
            (self.logarithm + steering.learning * pull).clamp(steering.least.ln(), steering.most.ln());
    }

    /// The risk that the next dial may run, over the usual one.
    pub fn factor(&self, pull: f64) -> f64 {
        (self.logarithm + pull).exp()
    }
}

/// How hard the room pulls at the logarithm of the risk, where the answers still to come allow `allowance` more
/// abandoned calls.
pub fn pull(room: &Room, allowance: f64, steering: &Steering) -> f64 {
    let spread = allowance.max(SPREAD);
    let law = (room.lawful - steering.reserve + spread) / spread;
    let usual = (HOUR_SHARE * room.hour_limit).max(HOUR_ROOT * room.hour_limit.sqrt());
    // Not the square of a debt.
    let hour = (room.hour / usual).max(0.0).powi(2);
    let timid = TIMID * (1.0 - room.settled);
    law.min(hour).max(1e-3).ln().clamp(PULL.0, PULL.1) - timid
}

/// The risk at which a team of this size abandons about 3 %.
pub fn usual_risk(agents: usize, answer: f64) -> f64 {
    USUAL * (agents.max(1) as f64).powf(-SHRINK) * (answer / 0.25).powf(GROW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(lawful: f64, hour: f64) -> Room {
        Room {
            lawful,
            hour,
            hour_limit: 20.0,
            settled: 1.0,
            ..Room::NONE
        }
    }

    fn pulled(lawful: f64, hour: f64, allowance: f64) -> f64 {
        pull(&room(lawful, hour), allowance, &Steering::default())
    }

    #[test]
    fn a_debt_weighs_less_the_more_answers_are_still_to_come() {
        let (early, late) = (pulled(-2.0, 20.0, 30.0), pulled(-2.0, 20.0, 6.0));
        assert!(late < early && early < 0.0, "{late} {early}");
    }

    #[test]
    fn the_fewer_calls_an_hour_has_left_the_lower_is_the_price() {
        let pulls = [8.0, 4.0, 2.0, 1.0].map(|hour| pulled(20.0, hour, 30.0));
        assert!(pulls.windows(2).all(|pair| pair[0] > pair[1]), "{pulls:?}");
    }

    #[test]
    fn an_hour_that_was_passed_is_not_taken_for_one_with_room() {
        assert!(pulled(20.0, -5.0, 30.0) <= PULL.0);
    }

    #[test]
    fn who_knows_nothing_yet_risks_less() {
        let known = room(1.0, 20.0);
        let unknown = Room {
            settled: 0.0,
            ..known
        };
        let steering = Steering::default();
        assert!(pull(&unknown, 30.0, &steering) < pull(&known, 30.0, &steering) - 1.0);
    }
}
