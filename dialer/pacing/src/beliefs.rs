//! Everything the pacer believes about the world, and the same compiled into tables that a decision can read.

use serde::{Deserialize, Serialize};

use crate::{
    config::Prior,
    estimate::{AnswerRate, Hazards, Scale, Survival},
};

/// Moments of the future that a decision looks at: the middles of equal shares of the time to answer.
pub const GRID: usize = 8;
/// Steps into which what is left of a talk is cut, when the wrap-up behind it has to end in time too.
const STEPS: usize = 6;

/// What has been learnt. A dialer that knows the truth can be given this by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beliefs {
    /// Does a dial end with a person?
    pub answers: AnswerRate,
    /// Seconds from the dial until a person answers.
    pub to_answer: Hazards,
    /// Seconds from the dial until it ends in any other way.
    pub to_other: Hazards,
    /// Seconds an agent talks.
    pub talk: Hazards,
    /// Seconds of wrap-up.
    pub wrap: Hazards,
}

impl Beliefs {
    /// Nothing but the prior.
    pub fn new(prior: &Prior) -> Self {
        Self {
            answers: AnswerRate::new(prior.answer, 30.0),
            to_answer: Hazards::new(Scale::RINGING, prior.to_answer, 4.0, 600.0),
            to_other: Hazards::new(Scale::RINGING, prior.to_other, 4.0, 1_500.0),
            talk: Hazards::new(Scale::SERVICE, prior.talk, 4.0, 1_500.0),
            wrap: Hazards::new(Scale::SERVICE, prior.wrap, 4.0, 1_500.0),
        }
    }
}

/// Beliefs compiled for one look ahead.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Seconds from now.
    pub grid: [f64; GRID],
    /// P(a person answers a fresh dial around each moment of the grid | a person answers).
    pub weights: [f64; GRID],
    ringing: Vec<Ringing>,
    talking: Vec<[f64; GRID]>,
    wrapping: Vec<[f64; GRID]>,
}

/// A dial of some age.
#[derive(Clone, Copy, Debug)]
struct Ringing {
    /// P(still unanswered at this age | it ends with a person).
    person: f64,
    /// P(not over at this age | it ends without one).
    other: f64,
    /// P(answered between this age and so much later | it ends with a person).
    answered: [f64; GRID],
}

impl Outlook {
    /// Compiles `beliefs` for people who wait `patience` seconds for an agent after they answered.
    pub fn new(beliefs: &Beliefs, patience: f64, grid: Option<[f64; GRID]>) -> Self {
        let (to_answer, to_other) = (beliefs.to_answer.survival(), beliefs.to_other.survival());
        let (talk, wrap) = (beliefs.talk.survival(), beliefs.wrap.survival());
        let quantile = |cell: usize| to_answer.age_at(1.0 - (cell as f64 + 0.5) / GRID as f64);
        let (grid, weights) = match grid {
            Some(grid) => (grid, weights(&to_answer, &grid)),
            None => (std::array::from_fn(quantile), [1.0 / GRID as f64; GRID]),
        };
        let ringing = (0..Scale::RINGING.bins)
            .map(|bin| {
                let age = Scale::RINGING.edge(bin);
                let person = to_answer.at(age);
                Ringing {
                    person,
                    other: to_other.at(age),
                    answered: grid.map(|ahead| person - to_answer.at(age + ahead)),
                }
            })
            .collect();
        let rests = grid.map(|ahead| {
            let within = ahead + patience;
            let step = within / STEPS as f64;
            std::array::from_fn(|part| 1.0 - wrap.at(within - step * (part as f64 + 0.5)))
        });
        let ages = || {
            let scale = Scale::SERVICE;
            (0..scale.bins).map(move |bin| f64::midpoint(scale.edge(bin), scale.edge(bin + 1)))
        };
        Self {
            grid,
            weights,
            ringing,
            talking: ages()
                .map(|age| {
                    std::array::from_fn(|cell| {
                        talk_and_wrap_end(&talk, &rests[cell], age, grid[cell] + patience)
                    })
                })
                .collect(),
            wrapping: ages()
                .map(|age| grid.map(|ahead| ends(&wrap, age, ahead + patience)))
                .collect(),
        }
    }

    /// P(a dial of this age reaches a person by each moment of the grid), and P(it ever does).
    pub fn person_by(&self, age: f64, answer: f64) -> ([f64; GRID], f64) {
        let Some(row) = self.ringing.get(Scale::RINGING.bin(age)) else {
            return ([0.0; GRID], 0.0);
        };
        let odds = answer / (answer * row.person + (1.0 - answer) * row.other).max(1e-12);
        (row.answered.map(|share| share * odds), row.person * odds)
    }

    /// P(an agent who has talked so long is free again by each moment of the grid).
    pub fn talk_ends_by(&self, age: f64) -> [f64; GRID] {
        self.talking[Scale::SERVICE.bin(age)]
    }

    /// P(an agent who has been wrapping up so long is free again by each moment of the grid).
    pub fn wrap_ends_by(&self, age: f64) -> [f64; GRID] {
        self.wrapping[Scale::SERVICE.bin(age)]
    }
}

/// The share of answers that is nearer to each moment of the grid than to the others.
fn weights(to_answer: &Survival, grid: &[f64; GRID]) -> [f64; GRID] {
    let mut before = 1.0;
    std::array::from_fn(|cell| {
        let after = match grid.get(cell + 1) {
            Some(next) => to_answer.at(f64::midpoint(grid[cell], *next)),
            None => 0.0,
        };
        std::mem::replace(&mut before, after) - after
    })
}

fn ends(survival: &Survival, age: f64, within: f64) -> f64 {
    1.0 - survival.at(age + within) / survival.at(age)
}

/// `wraps` is the chance that wrap-up fits into what is left when the talk ends in each step.
fn talk_and_wrap_end(talk: &Survival, wraps: &[f64; STEPS], age: f64, within: f64) -> f64 {
    let (alive, step) = (talk.at(age), within / STEPS as f64);
    let mut from = alive;
    let mut sum = 0.0;
    for (part, wraps) in wraps.iter().enumerate() {
        let to = talk.at(age + step * (part + 1) as f64);
        sum += (from - to) * wraps;
        from = to;
    }
    sum / alive
}
