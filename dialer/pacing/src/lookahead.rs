//! The look ahead: at each of a few moments, how likely is it that every agent is wanted?

use crate::{GRID, beliefs::Outlook, moment::Moment, occupancy::Occupancy, world::Agent, world::Snapshot};

/// The near future of one snapshot, to which dials can be added.
#[derive(Debug)]
pub(crate) struct Lookahead {
    /// Wanted agents at each moment of the grid: busy ones who are still busy, and people who answered by then.
    wanted: [Occupancy; GRID],
    /// People expected to have answered by each moment.
    answered: [f64; GRID],
    /// People expected ever.
    ever: f64,
    /// A fresh dial.
    fresh: [f64; GRID],
    fresh_weight: [f64; GRID],
    fresh_ever: f64,
    places: usize,
    /// Other campaigns want the same agents.
    pub(crate) shared: bool,
}

impl Lookahead {
    pub(crate) fn new(snapshot: &Snapshot, outlook: &Outlook, answer: f64, now: Moment) -> Self {
        let terms = snapshot.agents.len() + snapshot.ringing.len() + snapshot.rivals.len();
        // Some room for the dials that are going to be added.
        let wanted = std::array::from_fn(|_| Occupancy::expecting(terms + terms / 4));
        let (fresh, fresh_ever) = outlook.person_by(0.0, answer);
        let mut ahead = Self {
            wanted,
            answered: [0.0; GRID],
            ever: 0.0,
            fresh,
            fresh_weight: outlook.weights,
            fresh_ever,
            shared: !snapshot.rivals.is_empty(),
            places: snapshot.agents.len().saturating_sub(snapshot.waiting),
        };
        for agent in &snapshot.agents {
            let frees = match agent {
                Agent::Idle => continue,
                Agent::Talking { since } => outlook.talk_ends_by(now.since(*since)),
                Agent::Wrapping { since } => outlook.wrap_ends_by(now.since(*since)),
            };
            for (wanted, frees) in ahead.wanted.iter_mut().zip(frees) {
                wanted.add(1.0 - frees);
            }
        }
        for placed in &snapshot.ringing {
            let (by, ever) = outlook.person_by(now.since(*placed), answer);
            ahead.add(by, ever);
        }
        for rival in &snapshot.rivals {
            for (wanted, by) in ahead.wanted.iter_mut().zip(rival.by) {
                wanted.add(by);
            }
        }
        ahead
    }

    fn add(&mut self, by: [f64; GRID], ever: f64) {
        for ((wanted, answered), by) in self.wanted.iter_mut().zip(&mut self.answered).zip(by) {
            wanted.add(by);
            *answered += by;
        }
        self.ever += ever;
    }

    /// Adds one more dial.
    pub(crate) fn dial(&mut self) {
        self.add(self.fresh, self.fresh_ever);
    }

    /// At each moment, P(all agents and `more` places are taken).
    pub(crate) fn taken(&self, more: usize) -> [f64; GRID] {
        std::array::from_fn(|cell| self.wanted[cell].at_least(self.places + more))
    }

    /// At the worst moment, P(`more` people beyond all agents want one). Answers that come together find the same
    /// agents busy, which the mean alone does not tell.
    pub(crate) fn burst(&self, more: usize) -> f64 {
        let chances = self
            .wanted
            .iter()
            .map(|wanted| wanted.at_least(self.places + more));
        chances.fold(0.0, f64::max)
    }

    /// P(a dial placed now finds every place taken | a person answers).
    pub(crate) fn risk(&self, taken: &[f64; GRID]) -> f64 {
        taken
            .iter()
            .zip(&self.fresh_weight)
            .map(|(taken, weight)| taken * weight)
            .sum()
    }

    /// Expected abandoned calls of everything that rings.
    pub(crate) fn abandoned(&self, taken: &[f64; GRID]) -> f64 {
        let mut before = 0.0;
        let mut sum = 0.0;
        for (answered, taken) in self.answered.iter().zip(taken) {
            sum += (answered - before) * taken;
            before = *answered;
        }
        sum + (self.ever - before).max(0.0) * taken[GRID - 1]
    }
}
