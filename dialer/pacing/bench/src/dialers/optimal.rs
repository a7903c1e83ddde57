//! The exact optimum of the exponential model, played: two tables in turns.

use voice_pacing::{Agent, Event, Moment, Snapshot};

use super::Dialer;
use crate::{draw::Chance, oracle::Optimum};

/// How long one of the two tables is played; long against a call, short against a shift.
const TURN: f64 = 1_800.0;

/// Plays an optimum.
pub struct Optimal {
    optimum: Optimum,
    chance: Chance,
    bold: bool,
    until: f64,
}

impl Optimal {
    /// A player whose turns come from `seed`.
    pub fn new(optimum: Optimum, seed: u64) -> Self {
        Self {
            optimum,
            chance: Chance::new(seed, 2),
            bold: false,
            until: f64::NEG_INFINITY,
        }
    }
}

impl Dialer for Optimal {
    fn told(&mut self, _event: Event, _now: Moment) {}

    fn dial(&mut self, snapshot: &Snapshot, now: Moment) -> usize {
        if now.seconds() >= self.until {
            self.until = now.seconds() + TURN;
            self.bold = self.chance.happens(self.optimum.boldness);
        }
        let table = if self.bold {
            &self.optimum.bold
        } else {
            &self.optimum.timid
        };
        let busy = snapshot
            .agents
            .iter()
            .filter(|agent| **agent != Agent::Idle)
            .count();
        let ringing = snapshot.ringing.len();
        table.target(busy, ringing).saturating_sub(ringing)
    }
}
