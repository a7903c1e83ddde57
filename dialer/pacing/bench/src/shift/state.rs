//! Calls and agents of a shift, as they truly are.

use voice_pacing::{Agent, Ended};

/// A call from its dial to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) campaign: usize,
    pub(super) route: usize,
    pub(super) placed: f64,
    pub(super) truth: Ended,
    /// What the dialer is told.
    pub(super) judged: Ended,
    pub(super) answered: f64,
    pub(super) hangs_up: bool,
    pub(super) gone_early: bool,
    /// The dialer knows that it is over.
    pub(super) known: bool,
    /// Connected, gone, or never a person.
    pub(super) done: bool,
    pub(super) waiting: bool,
    /// AI may take it.
    pub(super) ai: bool,
}

/// The place of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) doing: Option<Agent>,
    pub(super) idle_since: f64,
    pub(super) leaving: bool,
    pub(super) campaign: usize,
    pub(super) wrap: f64,
}
