//! So many dials per idle agent, whatever happens. One is progressive dialling.

use voice_pacing::{Agent, Event, Moment, Snapshot};

use super::Dialer;

/// A fixed ratio.
pub struct Ratio(pub f64);

impl Dialer for Ratio {
    fn told(&mut self, _event: Event, _now: Moment) {}

    fn dial(&mut self, snapshot: &Snapshot, _now: Moment) -> usize {
        if snapshot.paused {
            return 0;
        }
        let idle = snapshot
            .agents
            .iter()
            .filter(|agent| **agent == Agent::Idle)
            .count();
        let wanted = idle.saturating_sub(snapshot.waiting) as f64 * self.0;
        (wanted as usize)
            .saturating_sub(snapshot.ringing.len())
            .min(snapshot.lines)
    }
}
