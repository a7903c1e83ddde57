//! The tools under way: what was asked for, by which session, and how long it may still take.

use std::{
    fmt,
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use serde_json::Value;
use voice_providers::tools::{Due, Patience, Running};

use crate::hands::HandsError;

/// More at a time are refused: a model that asks for so many is lost.
pub(super) const MOST: usize = 8;

/// What comes of an errand.
pub(super) type Outcome = Result<Value, HandsError>;

/// Why something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The model asked for it and waits for the answer.
    Tool {
        /// The model's name of the call.
        call: String,
        /// The tool.
        name: String,
        /// The session that asked.
        session: u32,
        /// The caller is handed over by it.
        transfer: bool,
    },
    /// The call is to end, whatever the model thinks.
    Leave {
        /// The caller is handed over by it.
        transfer: bool,
    },
}

struct UnderWay {
    errand: Errand,
    began: Instant,
    running: Running,
    future: BoxFuture<'static, Outcome>,
}

/// Something is due for an errand.
#[derive(Debug)]
pub(super) enum Overdue {
    /// The caller is to hear this meanwhile.
    Filler(String),
    /// It took too long; this is for the model.
    GivenUp(Errand, Duration, String),
}

/// All of them.
#[derive(Default)]
pub(super) struct Errands {
    under_way: Vec<UnderWay>,
}

impl fmt::Debug for Errands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.under_way.iter().map(|one| &one.errand))
            .finish()
    }
}

impl Errands {
    pub(super) fn begin(
        &mut self,
        errand: Errand,
        patience: Patience,
        future: BoxFuture<'static, Outcome>,
        now: Instant,
    ) {
        self.under_way.push(UnderWay {
            errand,
            began: now,
            running: Running::begin(patience, now),
            future,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// The caller is being handed over.
    pub(super) fn hands_over(&self) -> bool {
        let transfer = |one: &UnderWay| matches!(one.errand, Errand::Tool { transfer: true, .. });
        self.under_way.iter().any(transfer)
    }

    /// The model waits for one of them.
    pub(super) fn model_waits(&self) -> bool {
        self.under_way
            .iter()
            .any(|one| matches!(one.errand, Errand::Tool { .. }))
    }

    /// The next one that is done, with how long it took. Cancel safe; never ends while there is none.
    pub(super) async fn next(&mut self) -> (Errand, Duration, Outcome) {
        poll_fn(|context| {
            for index in 0..self.under_way.len() {
                if let Poll::Ready(outcome) = self.under_way[index].future.as_mut().poll(context) {
                    let done = self.under_way.swap_remove(index);
                    return Poll::Ready((done.errand, elapsed(done.began), outcome));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The answer is no longer wanted.
    pub(super) fn cancel(&mut self, id: &str) -> Option<(Errand, Duration)> {
        let index = self
            .under_way
            .iter()
            .position(|one| matches!(&one.errand, Errand::Tool { call, .. } if call == id))?;
        let cancelled = self.under_way.swap_remove(index);
        Some((cancelled.errand, elapsed(cancelled.began)))
    }

    /// What is due at `now`.
    pub(super) fn overdue(&mut self, quiet: bool, now: Instant) -> Option<Overdue> {
        for index in 0..self.under_way.len() {
            match self.under_way[index].running.due(quiet, now) {
                Due::Later(_) => {}
                Due::Filler(text) => return Some(Overdue::Filler(text)),
                Due::GiveUp(answer) => {
                    let one = self.under_way.swap_remove(index);
                    return Some(Overdue::GivenUp(
                        one.errand,
                        now.saturating_duration_since(one.began),
                        answer,
                    ));
                }
            }
        }
        None
    }

    /// When [`overdue`](Self::overdue) wants to be asked.
    pub(super) fn wake_at(&mut self, quiet: bool, now: Instant) -> Option<Instant> {
        let mut next = None;
        for one in &self.under_way {
            // Asked of a copy: a filler that is due at this moment is not yet said by asking for it.
            let at = match one.running.clone().due(quiet, now) {
                Due::Later(at) => at,
                Due::Filler(_) | Due::GiveUp(_) => now,
            };
            next = Some(next.map_or(at, |next: Instant| next.min(at)));
        }
        next
    }
}

fn elapsed(since: Instant) -> Duration {
    super::now().saturating_duration_since(since)
}
