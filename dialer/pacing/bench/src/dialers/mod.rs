//! Who decides how many to dial: the real pacer, and the policies it is held against.

mod known;
mod optimal;
mod ours;
mod ratio;
mod vicidial;

use voice_pacing::{Event, Moment, Rival, Snapshot};

pub use known::Known;
pub use optimal::Optimal;
pub use ours::Ours;
pub use ratio::Ratio;
pub use vicidial::{Method, Settings, Vicidial};

/// A policy under test.
pub trait Dialer {
    /// Seconds between its decisions; `None` decides whenever something happened and once a second.
    fn every(&self) -> Option<f64> {
        None
    }

    /// Something happened.
    fn told(&mut self, event: Event, now: Moment);

    /// How many to dial now.
    fn dial(&mut self, snapshot: &Snapshot, now: Moment) -> usize;

    /// What its ringing calls look like to others who want the same agents.
    fn rivals(&mut self, _ringing: &[Moment], _now: Moment) -> Vec<Rival> {
        Vec::new()
    }
}
