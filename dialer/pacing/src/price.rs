//! The price of an abandoned call, expressed as the risk that the next dial may run of meeting no free agent.
//!
//! The risk is the marginal exchange rate between idle agents and abandoned calls; a policy that dials while the
//! risk of the next dial is below one number is within a fraction of a per cent of the optimum where that is
//! known. The number hangs on the room in the ledger: with more room than the reserve it rises, with less it
//! falls, so that the share lands just below the limit and the count of abandoned calls stays near a straight
//! line in any stretch of time. Where it hangs is learnt slowly from the room that is left over.

use serde::{Deserialize, Serialize};

use crate::config::Steering;

/// A fraction whose multiples fall evenly into the unit interval, so that the choice between adjacent decisions
/// is spread without a source of randomness.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The risk at which the exact optimum abandons 3 %, over team sizes of the exponential model: about this for
/// one agent where a quarter answers, falling with this power of their number and rising with that power of the
/// answer probability.
const USUAL: f64 = 0.066;
const SHRINK: f64 = 0.44;
const GROW: f64 = 0.4;
/// Calls of room by which the price is taken to be wrong at most.
const ERROR: f64 = 2.0;
/// The most that the room moves the logarithm: what was saved for long is not spent at once.
const PULL: f64 = 1.5;

/// The risk that is accepted at the moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    logarithm: f64,
    /// Position between the two decisions next to an accepted risk that no whole number of dials meets.
    phase: f64,
}

impl Price {
    /// Begins at the usual risk.
    pub fn new(steering: &Steering) -> Self {
        Self {
            logarithm: steering.start.ln(),
            phase: 0.5,
        }
    }

    /// A person answered, with so much `spare` room in the ledger beyond the reserve.
    pub fn observe(&mut self, spare: f64, steering: &Steering) {
        let error = spare.clamp(-ERROR, ERROR);
        self.logarithm =
            (self.logarithm + steering.learning * error).clamp(steering.least.ln(), steering.most.ln());
        self.phase = (self.phase + GOLDEN).fract();
    }

    /// The risk that the next dial may run, over the usual one.
    pub fn factor(&self, spare: f64, steering: &Steering) -> f64 {
        let pull = (steering.gain * spare).clamp(-PULL, PULL);
        (self.logarithm + pull + steering.spread * (self.phase - 0.5)).exp()
    }
}

/// The risk at which a team of this size abandons about 3 %.
pub fn usual_risk(agents: usize, answer: f64) -> f64 {
    USUAL * (agents.max(1) as f64).powf(-SHRINK) * (answer / 0.25).powf(GROW)
}
