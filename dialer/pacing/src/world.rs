//! What a decision is given to see, and what the pacer is told.

use serde::{Deserialize, Serialize};

use crate::{GRID, moment::Moment};

/// What an agent with a live lease is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// Waits for a call of this campaign.
    Idle,
    /// Talks.
    Talking {
        /// Since when.
        since: Moment,
    },
    /// Wraps up.
    Wrapping {
        /// Since when.
        since: Moment,
    },
}

/// A call that was placed, has not ended and was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ringing {
    /// When it was placed.
    pub since: Moment,
    /// The probability that an AI agent may take it: one or zero where it is known what the person agreed to.
    pub ai: f64,
}

/// A call of another campaign that rings for the same agents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// P(it has become a person by each moment of the grid).
    pub by: [f64; GRID],
}

/// The world at one moment. Agents on a break, and those whose lease ran out, are not in it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every live lease.
    pub agents: Vec<Agent>,
    /// Calls in the air.
    pub ringing: Vec<Ringing>,
    /// People who answered and have no agent yet.
    pub waiting: usize,
    /// Calls of other campaigns that want the same agents.
    pub rivals: Vec<Rival>,
    /// Free places for AI agents, who take only calls that they may take.
    pub ai_free: usize,
    /// The campaign, the company or the platform is paused.
    pub paused: bool,
    /// When dialling ends today, where that is known and the list lasts until then.
    pub closes: Option<Moment>,
    /// How many dials the lines and the carriers' rate limits take now.
    pub lines: usize,
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A person answered.
    Person,
    /// A machine answered.
    Machine,
    /// Nobody answered in time.
    NoAnswer,
    /// Busy.
    Busy,
    /// The network found no such number, or rejected the call.
    Failed,
    /// The carrier did not take the call (rate limit, outage). Says nothing about the person.
    Refused,
}

/// Something happened. Times are those of the beginning; `now` is the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A number was dialled.
    Placed {
        /// An AI agent may take the call.
        ai: bool,
    },
    /// A dial is no longer ringing.
    RingingEnded {
        /// When it was placed.
        since: Moment,
        /// How it ended.
        how: Ended,
    },
    /// A person who answered got an agent.
    Connected,
    /// A person who answered got an AI agent because no person was free.
    Overflowed,
    /// A person who answered got nobody in time, or gave up waiting.
    Abandoned,
    /// Whom an agent got was no person after all, though the call was reported as one.
    Misjudged,
    /// An agent's talk ended.
    TalkEnded {
        /// When it began.
        since: Moment,
    },
    /// An agent's wrap-up ended.
    WrapEnded {
        /// When it began.
        since: Moment,
    },
}
