//! A decision and its reasons.

use serde::Serialize;

use crate::ledger::Window;

/// What kept the number from being larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Paused, or the kill switch is thrown.
    Paused,
    /// No live agent lease and no AI place.
    NoAgents,
    /// Every idle agent, or AI place, has its dial; the mode allows no more.
    Covered,
    /// The fixed ratio.
    Ratio,
    /// The next dial's risk of meeting no free agent is not worth it.
    Risk,
    /// The ledger refused: one more dial might carry this window over its limit.
    Ledger(Window),
    /// The calls in flight may need every free AI place.
    Places,
    /// Lines or rate limits.
    Lines,
}

/// How many numbers to dial now, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Dials to place now.
    pub dials: usize,
    /// What kept the number from being larger.
    pub bound: Bound,
    /// Agents who wait for a call, less the people who wait for an agent.
    pub idle: i64,
    /// Agents who talk or wrap up.
    pub busy: usize,
    /// Calls in the air before this decision.
    pub ringing: usize,
    /// The believed probability that a dial ends with a person.
    pub answer_probability: f64,
    /// The risk that was accepted for the last dial.
    pub accepted_risk: f64,
    /// The risk of the first dial that was not made, where it was looked at.
    pub next_risk: Option<f64>,
    /// Abandoned calls expected of everything in the air after this decision.
    pub expected_abandoned: f64,
    /// What may still be abandoned in the tightest window.
    pub room: f64,
    /// That window.
    pub window: Window,
}
