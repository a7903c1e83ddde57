//! The chain itself: its states, its transitions and what a table of decisions earns in the long run.

/// Mean times and odds of the exponential model. Times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// Agents.
    pub agents: usize,
    /// Probability that a dial ends with a person.
    pub answer: f64,
    /// Mean time a dial occupies the line before it resolves.
    pub ring: f64,
    /// Mean time of talk and wrap-up.
    pub service: f64,
}

/// Long-run rates per second under some policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// People who reached an agent.
    pub served: f64,
    /// People who found none.
    pub abandoned: f64,
}

impl Rates {
    /// The share of people who found no agent.
    pub fn abandonment(&self) -> f64 {
        let answered = self.served + self.abandoned;
        if answered > 0.0 {
            self.abandoned / answered
        } else {
            0.0
        }
    }

    /// The share of agents that are busy.
    pub fn utilisation(&self, chain: &Chain) -> f64 {
        self.served * chain.service / chain.agents as f64
    }
}

/// For every (busy, ringing), how many ought to ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    width: usize,
    targets: Vec<usize>,
}

impl Table {
    /// A table from a rule that answers with the number of calls that ought to ring.
    pub fn new(chain: &Chain, rule: impl Fn(usize, usize) -> usize) -> Self {
        let width = chain.width();
        let targets = (0..=chain.agents)
            .flat_map(|busy| (0..width).map(move |ringing| (busy, ringing)))
            .map(|(busy, ringing)| rule(busy, ringing).clamp(ringing, width - 1))
            .collect();
        Self { width, targets }
    }

    /// How many ought to ring.
    pub fn target(&self, busy: usize, ringing: usize) -> usize {
        self.targets[busy * self.width + ringing.min(self.width - 1)]
    }
}

impl Chain {
    /// The closed form of one dial per idle agent: the share of time an agent is busy.
    pub fn progressive(&self) -> f64 {
        self.service / (self.service + self.ring / self.answer)
    }

    /// Ringing calls are counted up to one less than this. Nobody wants to ring more than would on average
    /// be answered by all agents together.
    pub(super) fn width(&self) -> usize {
        (self.agents as f64 / self.answer).ceil() as usize + 4
    }

    pub(super) fn states(&self) -> usize {
        (self.agents + 1) * self.width()
    }

    /// The rate of the uniformised chain.
    pub(super) fn rate(&self) -> f64 {
        self.agents as f64 / self.service + (self.width() - 1) as f64 / self.ring
    }

    /// What a table earns in the long run, from the stationary distribution.
    pub fn evaluate(&self, table: &Table) -> Rates {
        let (width, rate) = (self.width(), self.rate());
        let mut now = vec![0.0; self.states()];
        now[table.target(0, 0)] = 1.0;
        let mut next = vec![0.0; self.states()];
        let mut before = f64::NAN;
        for step in 0_usize.. {
            next.fill(0.0);
            for busy in 0..=self.agents {
                for ringing in 0..width {
                    let mass = now[busy * width + ringing];
                    if mass < 1e-18 {
                        continue;
                    }
                    let mut stay = 1.0;
                    if ringing > 0 {
                        let ends = ringing as f64 / self.ring / rate;
                        let after = (busy + 1).min(self.agents);
                        next[after * width + table.target(after, ringing - 1)] += mass * ends * self.answer;
                        next[busy * width + table.target(busy, ringing - 1)] +=
                            mass * ends * (1.0 - self.answer);
                        stay -= ends;
                    }
                    if busy > 0 {
                        let frees = busy as f64 / self.service / rate;
                        next[(busy - 1) * width + table.target(busy - 1, ringing)] += mass * frees;
                        stay -= frees;
                    }
                    next[busy * width + ringing] += mass * stay;
                }
            }
            std::mem::swap(&mut now, &mut next);
            if step % 512 == 511 {
                let rates = self.rates(&now);
                let seen = rates.served + 1e3 * rates.abandoned;
                if (seen - before).abs() < 1e-9 * seen {
                    break;
                }
                before = seen;
            }
        }
        self.rates(&now)
    }

    fn rates(&self, distribution: &[f64]) -> Rates {
        let width = self.width();
        let mut rates = Rates {
            served: 0.0,
            abandoned: 0.0,
        };
        for (state, mass) in distribution.iter().enumerate() {
            let (busy, ringing) = (state / width, state % width);
            let answers = mass * ringing as f64 / self.ring * self.answer;
            if busy < self.agents {
                rates.served += answers;
            } else {
                rates.abandoned += answers;
            }
        }
        rates
    }
}
