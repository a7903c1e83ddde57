//! The call between its sessions: it loses one, finds another, or has to do without.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use voice_providers::{Ending as SessionEnding, FaultKind};
use voice_schemas::events::media::ChangeKind;

use super::{
    Call,
    leaving::Leaving,
    sessions::{Agreed, Change, Course, Now},
};
use crate::{error::Ending, facts::Fact};

/// Frames of carriers last so long.
const FRAME_MS: u64 = 20;

impl<S: AsyncRead + AsyncWrite + Unpin> Call<'_, S> {
    /// Does what follows from what sessions said about themselves, and from what they did not say.
    pub(super) fn survive(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return self.survive_leaving();
        }
        if let Some(ending) = self.side.news.closed.take() {
            let since = self.side.waiting_since(now).unwrap_or(now);
            self.lose(ending, since, now);
        } else if self.errands.model_waits() {
            self.side.waits_for_tool();
        } else if self.sessions.is_ready()
            && let Some(since) = self.side.unanswered(now)
        {
            tracing::warn!(call = %self.subject.call, provider = %self.subject.provider, "the provider does not answer");
            self.lose(SessionEnding::broken(FaultKind::Stalled), since, now);
        }
        // Every step leads nearer to a session or to the end of all; a few at most follow at once.
        while !self.side.news.is_empty() || self.sessions.wants(now) {
            let history = self.side.talk.history();
            let moment = Now {
                history: &history,
                said: self.side.talk.said(),
                quiet: self.side.quiet(now),
                wall: self.shared.clock.now(),
                at: now,
            };
            let course = self.sessions.advance(&mut self.side.news, moment);
            self.tell_breakers();
            match course {
                None => break,
                Some(Course::Speak(agreed, change)) => self.speak(agreed, change, now),
                Some(Course::LastResort(change)) => {
                    self.despair(&change, now);
                    break;
                }
            }
        }
    }

    /// Nobody is looked for any more.
    fn survive_leaving(&mut self) {
        self.side.news.handle = None;
        self.side.news.expiring = None;
        self.side.news.ready = None;
        if self.side.news.closed.take().is_some() {
            self.sessions.stop();
        }
    }

    fn lose(&mut self, ending: SessionEnding, since: Instant, now: Instant) {
        self.side.session_gone(now);
        let wall = self.shared.clock.now();
        self.sessions.lost(ending, since, wall, now);
        self.tell_breakers();
    }

    fn tell_breakers(&mut self) {
        for change in self.sessions.breaker_changes.drain(..) {
            self.side.story.tell(Fact::BreakerChanged(change));
        }
    }

    fn speak(&mut self, agreed: Agreed, change: Option<Change>, now: Instant) {
        if let Some(change) = &change {
            if matches!(change.kind, ChangeKind::HandOver | ChangeKind::Downgrade) {
                self.side.session_gone(now);
            }
            let lost = Duration::from_millis(self.side.ear.take_unheard() * FRAME_MS);
            self.side.story.changed(change, lost);
        }
        self.subject.provider = self.sessions.provider();
        self.side.speaker = (self.sessions.provider(), self.sessions.has_cheaper());
        let ready = self
            .side
            .session_ready(&agreed, change.is_some(), &mut self.sessions.current);
        if !ready {
            self.lose(SessionEnding::broken(FaultKind::FormatMismatch), now, now);
        }
    }

    /// No provider is left: a recorded sentence, and a person.
    fn despair(&mut self, change: &Change, now: Instant) {
        self.side.story.changed(change, Duration::ZERO);
        self.announce(now);
        let kind = self.sessions.last_fault();
        self.leave(Leaving::after_this(Ending::ProviderFailed(kind), false, now));
    }

    /// Plays the recorded sentence.
    pub(super) fn announce(&mut self, now: Instant) {
        if let Some(samples) = &self.last_resort.announcement {
            let to = (&mut self.side.leg, self.side.tape.as_mut(), now);
            self.side.mouth.announce(samples, to);
            self.still_since = now;
        }
    }
}
