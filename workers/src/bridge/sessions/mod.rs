//! The sessions of one call at its providers: the one that speaks, the one that will take over, the one that is
//! saying goodbye.
//!
//! ```text
//!  current ──fails──► recovery: the same again, the next one …, the last resort
//!     │
//!     └─ends soon──► spare: opened beside it, takes over in a quiet moment; the old one retires
//! ```

pub(in crate::bridge) mod early;
mod hand_over;
mod news;

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use voice_providers::{
    Connection, Connector, Ending, Event, FaultKind, Happening, Provider, Said, ToolSpec, models,
    survival::{Continue, FailoverOrder, HandOver, Recovery, Step},
};
use voice_resilience::Permit;
use voice_schemas::{TenantId, events::media::ChangeKind};

pub(in crate::bridge) use self::news::{Agreed, Change, Course, News, Which};
use self::{
    early::Standing,
    hand_over::{Due, SPARE_WITHIN, Spare, Wish},
};
use crate::{
    breakers::{Account, Breakers},
    facts::BreakerChange,
    plan::Voice,
};

/// How long a session may take to say goodbye, with what it cost.
pub(in crate::bridge) const GOODBYE: Duration = Duration::from_millis(1_500);
/// How often a quiet moment is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The session that was, until the next one is ready.
#[derive(Clone, Copy, Debug)]
struct Before {
    voice: usize,
    cause: &'static str,
    /// Nothing was wrong with it.
    planned: bool,
}

/// What there is to know about the call when sessions are opened.
#[derive(Clone, Copy, Debug)]
pub(in crate::bridge) struct Now<'a> {
    pub(in crate::bridge) history: &'a [Said],
    /// How many things were ever said.
    pub(in crate::bridge) said: u64,
    /// Nobody speaks.
    pub(in crate::bridge) quiet: bool,
    pub(in crate::bridge) wall: DateTime<Utc>,
    pub(in crate::bridge) at: Instant,
}

#[derive(Debug)]
pub(in crate::bridge) struct Sessions {
    voices: Vec<Voice>,
    connector: Connector,
    tools: Arc<[ToolSpec]>,
    tenant: TenantId,
    breakers: Arc<Breakers>,
    pub(in crate::bridge) current: Connection,
    speaking: usize,
    /// Counts the sessions, so that an answer can be told from one to another.
    number: u32,
    /// What was agreed on with a session that stood before the call, until it is told.
    early: Option<Agreed>,
    ready: bool,
    permit: Option<Permit>,
    spare: Option<Box<Spare>>,
    spare_not_before: Option<Instant>,
    retiring: Option<Box<(Connection, Instant)>>,
    /// The current session waits for the goodbye of the one before.
    held: bool,
    recovery: Option<Recovery<usize>>,
    before: Option<Before>,
    /// When the attempt under way is given up, or the next one made.
    next_at: Option<Instant>,
    attempting: bool,
    handle: Option<String>,
    due: Option<Due>,
    cheaper: bool,
    wish: Option<Wish>,
    last_fault: FaultKind,
    over: bool,
    pub(in crate::bridge) breaker_changes: Vec<BreakerChange>,
}

impl Sessions {
    /// The sessions of a call that begins, with one that stands already or without. The first
    /// [`advance`](Self::advance) goes on with that one or asks the first provider whose breaker is closed, and must
    /// come before anything else.
    pub(in crate::bridge) fn begin(
        voices: Vec<Voice>,
        connector: Connector,
        tools: Arc<[ToolSpec]>,
        tenant: TenantId,
        breakers: Arc<Breakers>,
        standing: Option<Standing>,
        began: Instant,
    ) -> Option<Self> {
        let first = voices.first()?;
        let order = FailoverOrder::new(0..voices.len());
        let recovery = Recovery::begin(order, 0, Ending::Asked, began);
        let (current, early, handle, recovery) = if let Some(standing) = standing {
            (standing.connection, Some(standing.agreed), standing.handle, None)
        } else {
            // Never begun: the first step replaces it.
            let none = Connection::start(first.engine.adapter(first.session.clone()), connector.clone());
            (none, None, None, Some(recovery))
        };
        Some(Self {
            recovery,
            voices,
            connector,
            tools,
            tenant,
            breakers,
            current,
            speaking: 0,
            number: u32::from(early.is_some()),
            early,
            ready: false,
            permit: None,
            spare: None,
            spare_not_before: None,
            retiring: None,
            held: false,
            before: None,
            next_at: Some(began),
            attempting: false,
            handle,
            due: None,
            cheaper: false,
            wish: None,
            last_fault: FaultKind::Connection,
            over: false,
            breaker_changes: Vec::new(),
        })
    }

    /// Who speaks, or is to.
    pub(in crate::bridge) fn provider(&self) -> Provider {
        self.voice().engine.provider()
    }

    pub(in crate::bridge) fn voice(&self) -> &Voice {
        &self.voices[self.speaking]
    }

    pub(in crate::bridge) const fn number(&self) -> u32 {
        self.number
    }

    pub(in crate::bridge) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Why the latest session was lost.
    pub(in crate::bridge) const fn last_fault(&self) -> FaultKind {
        self.last_fault
    }

    /// No session is opened any more.
    pub(in crate::bridge) fn stop(&mut self) {
        self.over = true;
        self.spare = None;
        self.next_at = None;
    }

    /// Waits for whatever happens next on any session. Cancel safe.
    pub(in crate::bridge) async fn happening(&mut self) -> (Which, Happening) {
        let (held, alone) = (self.held, self.spare.is_none() && self.retiring.is_none());
        let current = &mut self.current;
        let current = async {
            if held {
                pending().await
            } else {
                current.happening().await
            }
        };
        if alone {
            return (Which::Current, current.await);
        }
        let (spare, retiring) = (&mut self.spare, &mut self.retiring);
        let spare = async {
            match spare {
                Some(spare) => spare.connection.happening().await,
                None => pending().await,
            }
        };
        let retiring = async {
            match retiring {
                Some(retiring) => retiring.0.happening().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            happening = current => (Which::Current, happening),
            happening = spare => (Which::Spare, happening),
            happening = retiring => (Which::Retiring, happening),
        }
    }

    /// Something happened on a session that does not speak. What it says of money goes to `events`.
    pub(in crate::bridge) fn aside(
        &mut self,
        which: Which,
        happening: &Happening,
        events: &mut dyn FnMut(Event<'_>),
    ) {
        match which {
            Which::Current => {}
            Which::Spare => {
                let Some(spare) = &mut self.spare else { return };
                let mut news = News::default();
                spare.connection.handle(happening, &mut |event| {
                    if !news.take(&event) {
                        events(event);
                    }
                });
                spare.agreed = news.ready.or(spare.agreed);
                if news.closed.is_some() {
                    // The one that speaks still does; another is tried while there is time.
                    self.spare_not_before = Some(spare.opened + SPARE_WITHIN);
                    self.spare = None;
                }
            }
            Which::Retiring => {
                let Some(retiring) = &mut self.retiring else {
                    return;
                };
                retiring.0.handle(happening, events);
                if retiring.0.is_over() {
                    self.retired();
                }
            }
        }
    }

    fn retired(&mut self) {
        self.retiring = None;
        self.held = false;
    }

    /// The session that speaks is over or says nothing any more. The caller has waited since `since`.
    pub(in crate::bridge) fn lost(
        &mut self,
        ending: Ending,
        since: Instant,
        wall: DateTime<Utc>,
        now: Instant,
    ) {
        let kind = match ending {
            Ending::Asked => FaultKind::Connection,
            Ending::Broken { kind, .. } => kind,
        };
        self.last_fault = kind;
        self.blame(kind, wall);
        self.before.get_or_insert(Before {
            voice: self.speaking,
            cause: kind.as_str(),
            planned: false,
        });
        let resumable = self.provider().capabilities().resumable && self.handle.is_some();
        if Continue::after(resumable, ending) == Continue::ByReplay {
            self.handle = None;
        }
        match &mut self.recovery {
            Some(recovery) => recovery.failed(ending, now),
            None => {
                let order = FailoverOrder::new(0..self.voices.len());
                self.recovery = Some(Recovery::begin(order, self.speaking, ending, since));
            }
        }
        (self.ready, self.attempting, self.held) = (false, false, false);
        (self.due, self.next_at) = (None, Some(now));
    }

    fn blame(&mut self, kind: FaultKind, wall: DateTime<Utc>) {
        let permit = self.permit.take();
        let account = self.account(self.speaking);
        let change = if kind.blames_provider() {
            self.breakers.failed(account, permit, wall)
        } else {
            if let Some(permit) = permit {
                self.breakers.abandoned(account, permit);
            }
            None
        };
        self.breaker_changes.extend(change);
    }

    /// Takes in what the session that speaks said about itself, and does what is due.
    pub(in crate::bridge) fn advance(&mut self, news: &mut News, now: Now<'_>) -> Option<Course> {
        if self.over {
            return None;
        }
        if let Some(agreed) = self.early.take() {
            self.agreed(&agreed, now.at);
            return Some(Course::Speak(agreed, None));
        }
        if let Some(handle) = news.handle.take() {
            self.handle = handle;
        }
        if let Some(left) = news.expiring.take() {
            self.due = Some(Due {
                ends_at: now.at + left,
                policy: HandOver::OF_CONNECTIONS,
            });
        }
        if self
            .retiring
            .as_ref()
            .is_some_and(|retiring| retiring.1 <= now.at)
        {
            self.retired();
        }
        if let Some(agreed) = news.ready.take() {
            return Some(self.stands(agreed, now));
        }
        if self.next_at.is_some_and(|at| at <= now.at) {
            if self.attempting {
                self.lost(Ending::broken(FaultKind::Stalled), now.at, now.wall, now.at);
            }
            return self.recover(now);
        }
        self.hand_over(now)
    }

    /// The session that was asked for is ready.
    fn stands(&mut self, agreed: Agreed, now: Now<'_>) -> Course {
        self.agreed(&agreed, now.at);
        if let Some(permit) = self.permit.take() {
            let account = self.account(self.speaking);
            let change = self.breakers.succeeded(account, permit, now.wall);
            self.breaker_changes.extend(change);
        }
        let gap = self
            .recovery
            .take()
            .map_or(Duration::ZERO, |recovery| recovery.gap(now.at));
        let change = self.before.take().map(|before| Change {
            kind: if before.voice != self.speaking {
                ChangeKind::Failover
            } else if before.planned {
                ChangeKind::HandOver
            } else {
                ChangeKind::Reconnect
            },
            from: self.voices[before.voice].engine.provider(),
            to: Some(self.provider()),
            cause: before.cause,
            gap,
        });
        Course::Speak(agreed, change)
    }

    fn agreed(&mut self, agreed: &Agreed, now: Instant) {
        (self.ready, self.attempting, self.next_at) = (true, false, None);
        self.due = agreed.lasts.map(|lasts| Due {
            ends_at: now + lasts,
            policy: HandOver::OF_SESSIONS,
        });
    }

    /// Makes the next attempt.
    fn recover(&mut self, now: Now<'_>) -> Option<Course> {
        if let Some(spare) = self.spare.take()
            && let Some(agreed) = spare.agreed
        {
            return Some(self.swap(*spare, agreed, now));
        }
        loop {
            let mut recovery = self.recovery.take()?;
            let step = recovery.step(now.at, |index| {
                self.breakers.lets_through(self.account(index), now.wall)
            });
            let until = recovery.connect_until();
            let gap = recovery.gap(now.at);
            self.recovery = Some(recovery);
            match step {
                Step::Connect(index) => {
                    if self.connect(index, now) {
                        self.next_at = Some(until);
                        return None;
                    }
                    if let Some(recovery) = &mut self.recovery {
                        // Others are probing it at the moment.
                        recovery.failed(Ending::broken(FaultKind::Throttled), now.at);
                    }
                }
                Step::Wait { until } => {
                    self.next_at = Some(until);
                    return None;
                }
                Step::LastResort => {
                    let before = self.before.unwrap_or(Before {
                        voice: self.speaking,
                        cause: "circuit_open",
                        planned: false,
                    });
                    self.stop();
                    return Some(Course::LastResort(Change {
                        kind: ChangeKind::LastResort,
                        from: self.voices[before.voice].engine.provider(),
                        to: None,
                        cause: before.cause,
                        gap,
                    }));
                }
            }
        }
    }

    fn connect(&mut self, index: usize, now: Now<'_>) -> bool {
        let (permit, change) = self.breakers.acquire(self.account(index), now.wall);
        self.breaker_changes.extend(change);
        let Some(permit) = permit else { return false };
        if index != self.speaking {
            // Its handle is not theirs. A first choice that was passed over is a change, too.
            self.handle = None;
            self.before.get_or_insert(Before {
                voice: self.speaking,
                cause: "circuit_open",
                planned: false,
            });
        }
        let handle = self.handle.take();
        self.current = self.session(index, handle, now.history);
        (self.speaking, self.permit, self.attempting) = (index, Some(permit), true);
        self.number += 1;
        true
    }

    fn session(&self, index: usize, resume: Option<String>, history: &[Said]) -> Connection {
        let voice = &self.voices[index];
        let mut session = voice.session_with(&self.tools);
        if resume.is_none() {
            session.history = history.to_vec();
        }
        session.resume = resume;
        if self.cheaper
            && let Some(model) = models::cheaper_model(voice.engine.provider())
        {
            model.clone_into(&mut session.model);
        }
        Connection::start(voice.engine.adapter(session), self.connector.clone())
    }

    fn account(&self, index: usize) -> Account<'_> {
        let voice = &self.voices[index];
        Account {
            tenant: self.tenant,
            name: &voice.account,
            provider: voice.engine.provider(),
        }
    }

    /// Whether [`advance`](Self::advance) has anything to do, beside what there is of news.
    pub(in crate::bridge) fn wants(&self, now: Instant) -> bool {
        !self.over
            && (self.next_at.is_some_and(|at| at <= now)
                || self.retiring.as_ref().is_some_and(|retiring| retiring.1 <= now)
                || self.looks_at().is_some_and(|at| at <= now))
    }

    /// When [`advance`](Self::advance) wants to be called although nothing happens.
    pub(in crate::bridge) fn wake_at(&self, now: Instant) -> Option<Instant> {
        if self.over {
            return None;
        }
        let retiring = self.retiring.as_ref().map(|retiring| retiring.1);
        let looks = self.looks_at().map(|at| at.max(now + LOOK));
        [self.next_at, retiring, looks].into_iter().flatten().min()
    }
}
