//! The end of a call: the last words, the order to the carrier, and what happens when neither helps.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use voice_providers::tools::{Action, Patience, TransferMode};

use super::{
    Call,
    errands::{Errand, Outcome},
    leaving::{Leaving, Next},
};
use crate::{error::Ending, hands::Deed};

/// How often it is looked whether everything was said.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// The caller who waits to be handed over hears the recorded sentence again after so much silence.
const AGAIN: Duration = Duration::from_secs(4);
/// How much later than the carrier the platform may say that the caller was handed over.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long the platform may take to tell the carrier.
const ACTS_WITHIN: Duration = Duration::from_secs(8);

/// The order to end the call.
pub(super) fn hang_up(ending: Ending) -> Deed {
    Deed::Act(Action::HangUp {
        reason: Some(ending.kind().to_owned()),
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Call<'_, S> {
    /// The call is on its way out from now on.
    pub(super) fn leave(&mut self, leaving: Leaving) {
        self.side.leaving = true;
        self.leaving = Some(leaving);
    }

    /// The caller spoke over the goodbye; whether that keeps the call alive.
    pub(super) fn stay(&mut self) -> bool {
        let stays = self.leaving.as_ref().is_some_and(Leaving::interrupted);
        if stays {
            self.leaving = None;
            self.side.leaving = false;
        }
        stays
    }

    /// The next step out; the ending once it is done.
    pub(super) fn leave_on(&mut self, now: Instant) -> Option<Ending> {
        let leaving = self.leaving.as_mut()?;
        let quiet = self.side.quiet(now);
        let next = leaving.step(quiet, now);
        let waits = leaving.has_acted() && matches!(leaving.ending(), Ending::ProviderFailed(_));
        if !quiet {
            self.still_since = now;
        } else if waits && now >= self.still_since + AGAIN {
            self.announce(now);
        }
        match next {
            Next::Wait => None,
            Next::End(ending) => Some(ending),
            Next::Act => {
                self.act_on_leaving(now);
                None
            }
        }
    }

    fn act_on_leaving(&mut self, now: Instant) {
        let Some(leaving) = &self.leaving else { return };
        let deed = match (leaving.ending(), &self.last_resort.transfer) {
            (Ending::ProviderFailed(_), Some(target)) => Deed::Act(Action::TransferCall {
                mode: TransferMode::Cold,
                target: target.clone(),
                summary: None,
            }),
            (ending, _) => hang_up(ending),
        };
        let transfer = deed.tool() == "transfer_call";
        let acting = self.shared.hands.act(&self.line, deed);
        let patience = Patience {
            filler_after: ACTS_WITHIN,
            filler: String::new(),
            deadline: ACTS_WITHIN,
        };
        self.errands
            .begin(Errand::Leave { transfer }, patience, acting, now);
    }

    /// Why the stream ended: the carrier may have taken the caller away before the platform could say that it told it to.
    pub(super) async fn taken_away(&mut self, ending: Ending) -> Ending {
        let deadline = tokio::time::Instant::now() + TOLD_WITHIN;
        while ending == Ending::Carrier && self.errands.hands_over() {
            let Ok((errand, took, outcome)) = tokio::time::timeout_at(deadline, self.errands.next()).await
            else {
                break;
            };
            if let (
                Errand::Tool {
                    transfer: true, name, ..
                },
                Ok(_),
            ) = (&errand, &outcome)
            {
                self.side.story.tool(name, "done", took);
                return Ending::Transferred;
            }
        }
        ending
    }

    /// The platform has acted, or could not.
    pub(super) fn acted(&mut self, transfer: bool, outcome: &Outcome, now: Instant) {
        if let Err(error) = outcome {
            tracing::warn!(call = %self.subject.call, kind = error.kind(), transfer, "the carrier could not be told");
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.acted(transfer && outcome.is_ok(), now);
        }
    }
}
