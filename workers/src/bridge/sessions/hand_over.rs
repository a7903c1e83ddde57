//! Sessions that are replaced although nothing is wrong with them: because they end soon, because a cheaper model is
//! to speak, or because the caller speaks a language the present one does not.

use std::time::{Duration, Instant};

use voice_providers::{
    Command, Connection, Ending, FaultKind, models,
    survival::{FailoverOrder, HandOver, Recovery},
};
use voice_schemas::events::media::ChangeKind;
use voice_turns::language::primary;

use super::{
    Before, GOODBYE, Now, Sessions,
    news::{Agreed, Change, Course},
};

/// How long the next session is kept waiting for the goodbye of the one before, where both cannot stand at once.
const CLOSE_FIRST: Duration = Duration::from_millis(300);
/// How long a session that is to take over may take to be ready, and until it is tried again.
pub(super) const SPARE_WITHIN: Duration = Duration::from_secs(5);

/// A session that will take over in a quiet moment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) connection: Connection,
    pub(super) agreed: Option<Agreed>,
    pub(super) opened: Instant,
    voice: usize,
    kind: ChangeKind,
    cause: &'static str,
    /// How many things had been said when it was opened.
    knows: u64,
}

/// A session that ends soon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) ends_at: Instant,
    pub(super) policy: HandOver,
}

/// Another session is wanted, without hurry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    since: Instant,
    voice: usize,
    kind: ChangeKind,
    cause: &'static str,
}

impl Sessions {
    /// Whether there is a cheaper model than the one that speaks.
    pub(in crate::bridge) fn has_cheaper(&self) -> bool {
        !self.cheaper && models::cheaper_model(self.provider()).is_some()
    }

    /// Goes on with the cheaper model, from the next quiet moment on.
    pub(in crate::bridge) const fn downgrade(&mut self, now: Instant) {
        self.cheaper = true;
        self.wish = Some(Wish {
            since: now,
            voice: self.speaking,
            kind: ChangeKind::Downgrade,
            cause: "budget",
        });
    }

    /// Goes on with somebody who speaks this language, if the one who speaks does not.
    pub(in crate::bridge) fn speak(&mut self, language: &str, now: Instant) {
        let knows = |voice: usize| {
            let languages = &self.voices[voice].session.languages;
            languages.is_empty() || languages.iter().any(|known| primary(known) == primary(language))
        };
        if knows(self.speaking) {
            return;
        }
        if let Some(voice) = (0..self.voices.len()).find(|voice| knows(*voice)) {
            self.wish = Some(Wish {
                since: now,
                voice,
                kind: ChangeKind::HandOver,
                cause: "language",
            });
        }
    }

    /// Replaces a session with which nothing is wrong.
    pub(super) fn hand_over(&mut self, now: Now<'_>) -> Option<Course> {
        if !self.ready {
            return None;
        }
        let forced = self
            .due
            .is_some_and(|due| due.policy.is_due(due.ends_at, false, now.at));
        let due = self
            .due
            .is_some_and(|due| due.policy.is_due(due.ends_at, now.quiet, now.at));
        if let Some(spare) = self.spare.take() {
            let knows = spare.knows == now.said;
            if let Some(agreed) = spare.agreed
                && (now.quiet && knows || forced)
            {
                return Some(self.swap(*spare, agreed, now));
            }
            // One that does not know what was said since, or never became ready, is replaced.
            let late = now.at >= spare.opened + SPARE_WITHIN;
            if (spare.agreed.is_some() && !knows && now.quiet) || (spare.agreed.is_none() && late) {
                self.spare_not_before = None;
            } else {
                self.spare = Some(spare);
                return None;
            }
        }
        let wish = self.wish.filter(|_| now.quiet);
        if !(due || wish.is_some()) || self.spare_not_before.is_some_and(|at| at > now.at) {
            return None;
        }
        let wish = wish.unwrap_or(Wish {
            since: now.at,
            voice: self.speaking,
            kind: ChangeKind::HandOver,
            cause: FaultKind::Expired.as_str(),
        });
        if due && wish.voice == self.speaking && self.handle.is_some() {
            self.close_first(now);
            return None;
        }
        self.spare = Some(Box::new(Spare {
            connection: self.session(wish.voice, None, now.history),
            agreed: None,
            opened: now.at,
            voice: wish.voice,
            kind: wish.kind,
            cause: wish.cause,
            knows: now.said,
        }));
        None
    }

    /// Another connection takes up the same session: the old one must be closed before.
    fn close_first(&mut self, now: Now<'_>) {
        let order = FailoverOrder::new(0..self.voices.len());
        let mut recovery = Recovery::begin(order, self.speaking, Ending::Asked, now.at);
        // Notes that it is the same provider that is connected to.
        let _same = recovery.step(now.at, |_| true);
        self.next_at = Some(recovery.connect_until());
        self.recovery = Some(recovery);
        self.before = Some(Before {
            voice: self.speaking,
            cause: FaultKind::Expired.as_str(),
            planned: true,
        });
        let handle = self.handle.take();
        let next = self.session(self.speaking, handle, now.history);
        self.retire(next, now.at + CLOSE_FIRST);
        (self.ready, self.attempting, self.held, self.due) = (false, true, true, None);
    }

    pub(super) fn swap(&mut self, spare: Spare, agreed: Agreed, now: Now<'_>) -> Course {
        let from = self.provider();
        self.speaking = spare.voice;
        let change = Change {
            kind: spare.kind,
            from,
            to: Some(self.provider()),
            cause: spare.cause,
            gap: self
                .recovery
                .take()
                .map_or(Duration::ZERO, |recovery| recovery.gap(now.at)),
        };
        self.retire(spare.connection, now.at + GOODBYE);
        (self.wish, self.before, self.handle) = (None, None, None);
        self.agreed(&agreed, now.at);
        Course::Speak(agreed, Some(change))
    }

    fn retire(&mut self, next: Connection, until: Instant) {
        let mut old = std::mem::replace(&mut self.current, next);
        self.number += 1;
        // One that is over already says nothing more.
        let closing = old.command(Command::Close, &mut |_| {});
        self.retiring = closing.is_ok().then(|| Box::new((old, until)));
    }

    /// From when on a quiet moment is looked for.
    pub(super) fn looks_at(&self) -> Option<Instant> {
        if !self.ready {
            return None;
        }
        if let Some(spare) = &self.spare {
            return Some(spare.opened);
        }
        let due = self
            .due
            .and_then(|due| due.ends_at.checked_sub(due.policy.before_end));
        let at = self.wish.map(|wish| wish.since).or(due)?;
        Some(self.spare_not_before.map_or(at, |not_before| at.max(not_before)))
    }
}
