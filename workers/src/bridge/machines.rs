//! What a call does about what picked up when that is no person.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use voice_providers::Command;
use voice_schemas::events::media::FarEnd;

use super::{Call, leaving::Leaving};
use crate::error::Ending;

/// For the model that talks to a bot that screens calls.
const SCREENED: &str = "An automated assistant of the person you are calling asks who is calling. Say in one sentence \
                        who you are and why you call, then wait until the person is on the line.";
/// For the model that talks to a menu.
const MENU: &str =
    "An automated menu has answered. Listen to it, and get through it with the tool `send_dtmf`.";

impl<S: AsyncRead + AsyncWrite + Unpin> Call<'_, S> {
    /// This picked up.
    pub(super) fn picked_up(&mut self, far_end: FarEnd, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        match far_end {
            // Whether anybody is there is asked by other rules.
            FarEnd::Human | FarEnd::Silence => {}
            FarEnd::Screening => self.command(Command::Instruct(SCREENED), now),
            FarEnd::Ivr => self.command(Command::Instruct(MENU), now),
            FarEnd::Machine if self.message.is_some() => self.side.hush(now),
            FarEnd::Machine | FarEnd::Fax => {
                self.side.hush(now);
                self.leave(Leaving::after_this(Ending::Machine, false, now));
            }
        }
    }

    /// The machine listens: what is to be left with it is said, and that is all.
    pub(super) fn leave_message(&mut self, now: Instant) {
        let Some(message) = self.message.take().filter(|_| self.leaving.is_none()) else {
            return;
        };
        self.side.hushed = false;
        self.command(Command::Say(&message), now);
        self.leave(Leaving::after_words(Ending::Machine, now));
    }
}
