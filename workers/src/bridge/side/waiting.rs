//! Who waits for whom: the caller for an answer, the call for a session, the agent for a machine's beep.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use voice_providers::Connection;

use super::{Side, Todo};
use crate::{
    bridge::{convert::Path, sessions::Agreed},
    facts::Fact,
};

/// So long somebody may wait for an answer before the provider is taken for dead: what is left of five seconds is for
/// the next one.
pub(super) const NO_ANSWER: Duration = Duration::from_millis(2_800);
/// Speech of this length is heard by a provider that hears at all.
const UNMISTAKABLE: Duration = Duration::from_millis(800);
/// So long after such speech a provider that has not noticed it is asked to answer all the same.
const UNNOTICED: Duration = Duration::from_millis(1_300);

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// What picked up, as soon as that is known.
    pub(super) fn judge_far_end(&mut self) {
        let Some(listener) = self.ear.listener.as_mut().filter(|listener| listener.judges()) else {
            return;
        };
        if let Some(verdict) = listener.verdict() {
            self.todo.push_back(Todo::PickedUp(verdict.likely));
            self.story.tell(Fact::Verdict(verdict));
        }
        if listener.machine_listens() {
            self.todo.push_back(Todo::MachineListens);
        }
        if listener.is_done() {
            self.ear.listener = None;
        }
    }

    /// From now on nothing of the agent is passed on.
    pub(in crate::bridge) fn hush(&mut self, now: Instant) {
        self.hushed = true;
        let playing = self.mouth.mute((&mut self.leg, self.tape.as_mut(), now));
        self.mouth.drop_held();
        self.pressing.dropped();
        self.todo.push_back(Todo::Interrupt {
            item: playing.map(|truth| truth.item),
            heard_ms: playing.map_or(0, |truth| truth.heard_ms()),
        });
    }

    /// A provider that is alive will answer this, or has at least noticed it.
    pub(super) fn caller_stopped(&mut self, end: Instant, now: Instant) {
        let spoke = self
            .caller_since
            .take()
            .map(|since| end.saturating_duration_since(since));
        // An answer of which nothing is heard may be one that will never be given.
        let answered = self.answering && self.mouth.audible(now);
        if spoke.is_some_and(|spoke| spoke >= UNMISTAKABLE) && !answered && self.opened {
            self.silence.expect_answer(end);
            self.ask_at = Some(now + UNNOTICED);
        }
    }

    /// The provider is there: it has said something that a dead one would not.
    pub(super) fn noticed(&mut self) {
        self.silence.heard();
        self.ask_at = None;
    }

    /// A piece of an answer came, so the next one will: one that breaks off in the middle was no end.
    pub(super) fn goes_on(&mut self, now: Instant) {
        self.noticed();
        // Who speaks all the time, if only silence, is known to be there by that.
        if !self.speaker.0.capabilities().full_duplex {
            self.silence.expect_answer(now);
        }
    }

    pub(super) fn expect_answer(&mut self, now: Instant) {
        self.owed = true;
        self.ask_at = None;
        self.silence.expect_answer(now);
    }

    /// The answer was asked for with a command.
    pub(in crate::bridge) fn asked(&mut self, now: Instant) {
        self.expect_answer(now);
    }

    /// There is no session at the moment: what it would have been told, the next one is told.
    pub(in crate::bridge) fn put_off(&mut self) {
        for todo in std::mem::take(&mut self.todo) {
            match todo {
                Todo::Interrupt { .. } | Todo::Say(_) => {}
                Todo::Respond(_) => self.owed = true,
                later => self.todo.push_back(later),
            }
        }
    }

    /// Since when somebody has been waiting for an answer; none while the agent is heard.
    pub(in crate::bridge) fn waiting_since(&self, now: Instant) -> Option<Instant> {
        let since = self.silence.gives_up_at()?.checked_sub(NO_ANSWER)?;
        (!self.mouth.audible(now)).then_some(since)
    }

    /// Somebody waits since then for a provider that says nothing; not while a tool runs.
    pub(in crate::bridge) fn unanswered(&mut self, now: Instant) -> Option<Instant> {
        if self.hushed || !self.silence.is_too_long(now) {
            return None;
        }
        let since = self.waiting_since(now);
        if since.is_none() {
            // What is heard now is no silence; what follows it may be.
            self.silence.heard();
            self.silence.expect_answer(now);
        }
        since
    }

    /// The model waits for us, not we for it.
    pub(in crate::bridge) fn waits_for_tool(&mut self) {
        self.noticed();
    }

    /// A session is ready to speak. `changed`: another one spoke before. Fails where there is no way between its
    /// formats and ours.
    pub(in crate::bridge) fn session_ready(
        &mut self,
        agreed: &Agreed,
        changed: bool,
        provider: &mut Connection,
    ) -> bool {
        let up = Path::between(self.format, agreed.input);
        let down = Path::between(agreed.output, self.format);
        let (Some(up), Some(down)) = (up, down) else {
            return false;
        };
        self.mouth.set_path(down);
        self.ear.set_path(Some(up));
        self.ear.hear_early(provider);
        if changed && self.opened {
            if self.owed {
                self.todo.push_back(Todo::Respond(Some(
                    "The line was interrupted for a moment. Go on where the conversation stopped: answer what \
                     the caller said last, or finish what you were saying. Do not greet again."
                        .to_owned(),
                )));
            }
        } else if !agreed.resumed {
            let greeting = self.rules.greeting.as_deref();
            let opening = match &self.disclosure {
                Some(disclosure) => Some(disclosure.opening(greeting)),
                None => greeting.map(str::to_owned),
            };
            if opening.is_some() && !self.leaving {
                self.todo.push_back(Todo::Respond(opening));
            } else {
                self.opened = true;
            }
        }
        true
    }

    /// The session that spoke is gone, or about to be: nothing more comes of what it was saying.
    pub(in crate::bridge) fn session_gone(&mut self, now: Instant) {
        self.owed |= self.answering;
        self.answering = false;
        self.noticed();
        self.ear.set_path(None);
        for item in self.talk.open() {
            self.mouth.done(item, self.judge.is_muted(), &mut self.leg, now);
        }
        self.mouth.forget_names();
    }
}
