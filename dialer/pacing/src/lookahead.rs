//! The look ahead: at each of a few moments, how likely is it that every agent is wanted?

use crate::{GRID, beliefs::Outlook, moment::Moment, occupancy::Occupancy, world::Agent, world::Snapshot};

/// A chance that no limit is sensitive to.
const NEGLIGIBLE: f64 = 1e-5;

/// People expected to answer.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    /// By each moment of the grid.
    by: [f64; GRID],
    /// Ever.
    ever: f64,
}

impl Expected {
    fn add(&mut self, by: [f64; GRID], ever: f64, share: f64) {
        for (sum, by) in self.by.iter_mut().zip(by) {
            *sum += by * share;
        }
        self.ever += ever * share;
    }

    /// Those of them who come when everything is taken.
    fn lost(&self, taken: &[f64; GRID]) -> f64 {
        let mut before = 0.0;
        let mut sum = 0.0;
        for (by, taken) in self.by.iter().zip(taken) {
            sum += (by - before) * taken;
            before = *by;
        }
        sum + (self.ever - before).max(0.0) * taken[GRID - 1]
    }
}

/// The near future of one snapshot, to which dials can be added.
#[derive(Debug)]
pub(crate) struct Lookahead {
    /// Wanted agents at each moment of the grid: busy ones who are still busy, and people who answered by then.
    wanted: [Occupancy; GRID],
    /// People expected to have answered by each moment whom only people may take, and whom AI may take.
    alone: Expected,
    backed: Expected,
    /// A fresh dial.
    fresh: [f64; GRID],
    fresh_weight: [f64; GRID],
    fresh_ever: f64,
    fresh_ai: f64,
    /// There are free places for AI agents.
    ai: bool,
    places: usize,
    /// Other campaigns want the same agents.
    pub(crate) shared: bool,
}

impl Lookahead {
    /// `ai` is how likely AI may take the next dial.
    pub(crate) fn new(snapshot: &Snapshot, outlook: &Outlook, answer: f64, ai: f64, now: Moment) -> Self {
        let terms = snapshot.agents.len() + snapshot.ringing.len() + snapshot.rivals.len();
        // Some room for the dials that are going to be added.
        let wanted = std::array::from_fn(|_| Occupancy::expecting(terms + terms / 4));
        let (fresh, fresh_ever) = outlook.person_by(0.0, answer);
        let mut ahead = Self {
            wanted,
            alone: Expected::default(),
            backed: Expected::default(),
            fresh,
            fresh_weight: outlook.weights,
            fresh_ever,
            fresh_ai: ai,
            ai: snapshot.ai_free > 0,
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
        for call in &snapshot.ringing {
            let (by, ever) = outlook.person_by(now.since(call.since), answer);
            ahead.add(by, ever, call.ai);
        }
        for rival in &snapshot.rivals {
            for (wanted, by) in ahead.wanted.iter_mut().zip(rival.by) {
                wanted.add(by);
            }
        }
        ahead
    }

    fn add(&mut self, by: [f64; GRID], ever: f64, ai: f64) {
        for (wanted, by) in self.wanted.iter_mut().zip(by) {
            wanted.add(by);
        }
        let ai = if self.ai { ai } else { 0.0 };
        self.alone.add(by, ever, 1.0 - ai);
        self.backed.add(by, ever, ai);
    }

    /// Adds one more dial.
    pub(crate) fn dial(&mut self) {
        self.add(self.fresh, self.fresh_ever, self.fresh_ai);
    }

    /// At each moment, P(all agents and `more` places are taken).
    pub(crate) fn taken(&self, more: usize) -> [f64; GRID] {
        std::array::from_fn(|cell| self.wanted[cell].at_least(self.places + more))
    }

    /// At the worst moment, P(`more` people or more are abandoned). Answers that come together find the same agents
    /// busy, which the mean alone does not tell.
    pub(crate) fn burst(&self, more: usize, ai_places: usize) -> f64 {
        let chances = self.wanted.iter().map(|wanted| {
            let alone = self.alone.ever / (self.alone.ever + self.backed.ever).max(1e-12);
            let full = if alone < 1.0 {
                wanted.at_least(self.places + ai_places + more)
            } else {
                0.0
            };
            full + self.abandons(wanted, more, alone)
        });
        chances.fold(0.0, f64::max)
    }

    /// P(`more` or more of those beyond the agents are among the share `alone` that AI may not take). Counted by who is
    /// the last of them: the one beyond the agents who is the `more`th of their kind.
    fn abandons(&self, wanted: &Occupancy, more: usize, alone: f64) -> f64 {
        let mut last = alone.powi(i32::try_from(more).unwrap_or(i32::MAX));
        let (mut sum, mut seen) = (0.0, 0.0);
        for beyond in more.. {
            let wanted = wanted.at_least(self.places + beyond);
            sum += wanted * last;
            seen += last;
            // What is left adds less than this.
            if wanted * (1.0 - seen) < NEGLIGIBLE {
                break;
            }
            last *= (1.0 - alone) * beyond as f64 / (beyond + 1 - more) as f64;
        }
        sum
    }

    /// P(a dial placed now finds every place taken | a person answers).
    pub(crate) fn risk(&self, taken: &[f64; GRID]) -> f64 {
        taken
            .iter()
            .zip(&self.fresh_weight)
            .map(|(taken, weight)| taken * weight)
            .sum()
    }

    /// Expected abandoned calls of everything that rings: of those whom only people may take, who come when people are
    /// `taken`, and of those whom AI may take as well, who come when AI is taken too.
    pub(crate) fn abandoned(&self, taken: &[f64; GRID], ai_taken: &[f64; GRID]) -> (f64, f64) {
        (self.alone.lost(taken), self.backed.lost(ai_taken))
    }
}
