//! Sessions that are opened before their calls, while the phones still ring.
//!
//! An agent's next call begins as its last one did, so its session can stand before anybody knows which call it will
//! be: that saves the caller the connection and the agreement, some hundred milliseconds of the greeting. How many are
//! kept is judged by what just happened: as many as calls began within [`AHEAD`], and one. The first call of an agent
//! after a rest opens its own. Only at providers that charge nothing for waiting.
//!
//! Each lane keeps its own, because a socket is served by the thread that opened it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    time::{sleep_until, timeout},
};
use voice_lifecycle::Clock as _;
use voice_providers::{Command, Connection, Connector, Ending, FaultKind, Session};
use voice_schemas::{AgentId, TenantId};
use voice_telemetry::Emit as _;

use super::{Agreed, GOODBYE, News};
use crate::{
    breakers::Account,
    bridge::Shared,
    events::{SessionEarly, SessionWaits},
    plan::Voice,
};

/// As many calls as began within this time are expected within it.
const AHEAD: Duration = Duration::from_secs(2);
/// A session waits so long for a call.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to stand, connection and agreement.
const STANDS_WITHIN: Duration = Duration::from_secs(5);

/// Whose calls.
pub(in crate::bridge) type Whose = (TenantId, AgentId);

/// A session that stands and has not spoken.
#[derive(Debug)]
pub(in crate::bridge) struct Standing {
    pub(super) connection: Connection,
    pub(super) agreed: Agreed,
    pub(super) handle: Option<String>,
}

/// One that waits for a call.
#[derive(Debug)]
struct Waiting {
    account: String,
    session: Session,
    give: oneshot::Sender<oneshot::Sender<Standing>>,
}

impl Waiting {
    fn fits(&self, voice: &Voice, session: &Session) -> bool {
        !self.give.is_closed() && self.account == voice.account && self.session == *session
    }
}

/// What is known of an agent's calls.
#[derive(Debug, Default)]
struct Expected {
    began: VecDeque<Instant>,
    waiting: VecDeque<Waiting>,
    opening: usize,
}

impl Expected {
    fn is_forgotten(&self) -> bool {
        self.waiting.is_empty() && self.opening == 0
    }

    /// A call begins, and so many sessions like its own stand. Gives how many more are to be opened.
    fn begins(&mut self, standing: usize, most: usize, now: Instant) -> usize {
        self.began.push_back(now);
        while self
            .began
            .front()
            .is_some_and(|at| now.duration_since(*at) > AHEAD)
        {
            self.began.pop_front();
        }
        let wanted = (self.began.len() + 1).min(most);
        let missing = wanted.saturating_sub(standing + self.opening);
        self.opening += missing;
        missing
    }

    /// Lets those go that do not fit, the oldest first, as far as there are too many.
    fn make_room(&mut self, most: usize, fits: impl Fn(&Waiting) -> bool) {
        while self.waiting.len() + self.opening > most {
            let Some(place) = self.waiting.iter().position(|one| !fits(one)) else {
                return;
            };
            self.waiting.remove(place);
        }
    }
}

/// The sessions of a lane that wait for calls.
#[derive(Debug)]
pub(crate) struct Early {
    /// For one agent, at most.
    most: usize,
    expected: Mutex<HashMap<Whose, Expected>>,
}

impl Early {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            expected: Mutex::default(),
        }
    }

    /// Those of another lane.
    pub(crate) fn of_another_lane(&self) -> Self {
        Self::new(self.most)
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<Whose, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, whose: Whose, voice: &Voice, session: &Session) -> Option<Standing> {
        loop {
            let waiting = {
                let mut expected = self.expected();
                let waiting = &mut expected.get_mut(&whose)?.waiting;
                let place = waiting.iter().position(|one| one.fits(voice, session))?;
                waiting.remove(place)?
            };
            let (give, given) = oneshot::channel();
            // One that broke in this moment does not answer; the next may.
            if waiting.give.send(give).is_ok()
                && let Ok(standing) = given.await
            {
                return Some(standing);
            }
        }
    }

    /// Forgets what is over.
    fn tidy(&self, whose: Whose) {
        let mut all = self.expected();
        if let Some(expected) = all.get_mut(&whose) {
            expected.waiting.retain(|one| !one.give.is_closed());
            if expected.is_forgotten() {
                all.remove(&whose);
            }
        }
    }
}

impl Shared {
    /// A call begins with this session: gives one that stands already, if there is one, and opens some for the calls
    /// to come.
    pub(in crate::bridge) async fn standing(
        &self,
        whose: Whose,
        voice: &Voice,
        session: Session,
        connector: &Connector,
        now: Instant,
    ) -> Option<Standing> {
        let early = &self.early;
        if early.most == 0 || !voice.engine.provider().capabilities().waits_for_free {
            return None;
        }
        let standing = early.take(whose, voice, &session).await;
        let missing = {
            let mut expected = early.expected();
            let expected = expected.entry(whose).or_default();
            let standing = expected.waiting.iter().filter(|one| one.fits(voice, &session));
            let missing = expected.begins(standing.count(), early.most, now);
            expected.make_room(early.most, |one| one.fits(voice, &session));
            missing
        };
        for _ in 0..missing {
            let next = (voice.clone(), session.clone(), connector.clone());
            tokio::spawn(self.clone().open_early(whose, next));
        }
        let kind = if standing.is_some() { "taken" } else { "none" };
        SessionEarly(kind).emit(&self.metrics);
        standing
    }

    /// Opens a session and keeps it until a call takes it, it breaks, or nobody comes.
    async fn open_early(self, whose: Whose, (voice, session, connector): (Voice, Session, Connector)) {
        let standing = self.stand(whose.0, &voice, &session, connector).await;
        let (give, asked) = oneshot::channel();
        {
            let mut expected = self.early.expected();
            let expected = expected.entry(whose).or_default();
            expected.opening = expected.opening.saturating_sub(1);
            if standing.is_some() {
                expected.waiting.push_back(Waiting {
                    account: voice.account,
                    session,
                    give,
                });
            }
        }
        let unused = if let Some(standing) = standing {
            SessionWaits::Begins.emit(&self.metrics);
            let unused = keep(standing, asked).await;
            SessionWaits::Ends.emit(&self.metrics);
            unused
        } else {
            Some("failed")
        };
        if let Some(kind) = unused {
            SessionEarly(kind).emit(&self.metrics);
        }
        self.early.tidy(whose);
    }

    async fn stand(
        &self,
        tenant: TenantId,
        voice: &Voice,
        session: &Session,
        connector: Connector,
    ) -> Option<Standing> {
        let account = Account {
            tenant,
            name: &voice.account,
            provider: voice.engine.provider(),
        };
        // Breakers tell the other workers themselves.
        let (permit, _) = self.breakers.acquire(account, self.clock.now());
        let permit = permit?;
        let mut connection = Connection::start(voice.engine.adapter(session.clone()), connector);
        let mut news = News::default();
        let stands = async {
            loop {
                let happening = connection.happening().await;
                connection.handle(&happening, &mut |event| {
                    news.take(&event);
                });
                match (news.closed, news.ready) {
                    (Some(Ending::Broken { kind, .. }), _) => return Err(kind),
                    (Some(Ending::Asked), _) => return Err(FaultKind::Connection),
                    (None, Some(agreed)) => return Ok(agreed),
                    (None, None) => {}
                }
            }
        };
        let stands = timeout(STANDS_WITHIN, stands).await;
        match stands.unwrap_or(Err(FaultKind::Stalled)) {
            Ok(agreed) => {
                self.breakers.succeeded(account, permit, self.clock.now());
                Some(Standing {
                    connection,
                    agreed,
                    handle: news.handle.flatten(),
                })
            }
            Err(kind) => {
                if kind.blames_provider() {
                    self.breakers.failed(account, Some(permit), self.clock.now());
                } else {
                    self.breakers.abandoned(account, permit);
                }
                None
            }
        }
    }
}

/// Keeps a session until it is asked for. Gives why it was not used, if it was not.
async fn keep(
    mut standing: Standing,
    mut asked: oneshot::Receiver<oneshot::Sender<Standing>>,
) -> Option<&'static str> {
    let opened = tokio::time::Instant::now();
    let patience = sleep_until(opened + PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            biased;
            reply = &mut asked => {
                // Another session of the agent needs the place.
                let Ok(reply) = reply else { break };
                let waited = opened.elapsed();
                standing.agreed.lasts = standing.agreed.lasts.map(|lasts| lasts.saturating_sub(waited));
                // Who asked is the task of a call, which does not wait for anything else meanwhile.
                let _call_is_gone = reply.send(standing);
                return None;
            }
            happening = standing.connection.happening() => {
                let mut news = News::default();
                standing.connection.handle(&happening, &mut |event| {
                    news.take(&event);
                });
                if news.closed.is_some() {
                    return Some("broken");
                }
                if news.expiring.is_some() {
                    break;
                }
                if let Some(handle) = news.handle {
                    standing.handle = handle;
                }
            }
            () = &mut patience => break,
        }
    }
    drop(asked);
    goodbye(standing.connection).await;
    Some("unused")
}

async fn goodbye(mut connection: Connection) {
    if connection.command(Command::Close, &mut |_| {}).is_err() {
        return;
    }
    let over = async {
        while !connection.is_over() {
            let happening = connection.happening().await;
            connection.handle(&happening, &mut |_| {});
        }
    };
    // It is dropped in any case.
    let _late = timeout(GOODBYE, over).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(began: &[u64], opening: usize, at: Instant) -> Expected {
        Expected {
            began: began.iter().map(|ago| at - Duration::from_millis(*ago)).collect(),
            waiting: VecDeque::new(),
            opening,
        }
    }

    #[test]
    fn as_many_are_opened_as_calls_began_in_the_last_moments_and_one() {
        let now = Instant::now() + Duration::from_secs(60);
        let missing = |began: &[u64], opening, most| {
            let mut expected = expected(began, opening, now);
            let missing = expected.begins(0, most, now);
            assert_eq!(expected.opening, opening + missing);
            missing
        };
        // The call itself, and one.
        assert_eq!(missing(&[], 0, 8), 2);
        // What is longer ago says nothing about the next moments.
        assert_eq!(missing(&[50_000, 2_001, 1_999, 3], 0, 8), 4);
        assert_eq!(missing(&[1, 1, 1], 3, 8), 2);
        assert_eq!(missing(&[1, 1, 1], 7, 8), 0);
        assert_eq!(missing(&[1; 100], 0, 8), 8);
    }
}
