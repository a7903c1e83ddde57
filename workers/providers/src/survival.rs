//! How a call survives its providers: when to hand a session over, to whom, and when to give up.
//!
//! Pure: it is told what happened and when, and says what to do. Inside a call somebody listens to the silence, so
//! everything from the failure on has five seconds (RES-02): the same provider again at once and after 0.2 s,
//! the next one after 2 s, and after 5 s a recorded sentence and a person.
//!
//! ```text
//!  0 s          0.2 s        0.6 s               2 s                              5 s
//!   │ same again │ same again │ same again …      │ the next provider, each once   │ the last resort
//! ```

use std::time::{Duration, Instant};

use voice_resilience::{IN_CALL, IN_CALL_FAILOVER, IN_CALL_HANDOVER};

use crate::{Class, Ending, FaultKind};

/// When sessions are handed over although nothing is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// So long before the end of a session that says how long it lasts.
    pub before_end: Duration,
    /// A moment without speech is waited for until so long before the end; then it happens all the same.
    pub patience_until: Duration,
}

impl HandOver {
    /// Five minutes before OpenAI's hour is over, at the latest one minute before.
    pub const OF_SESSIONS: Self = Self {
        before_end: Duration::from_secs(300),
        patience_until: Duration::from_secs(60),
    };

    /// As soon as an end is announced, at the latest ten seconds before it.
    pub const OF_CONNECTIONS: Self = Self {
        before_end: Duration::from_secs(60),
        patience_until: Duration::from_secs(10),
    };

    /// Whether to hand over now a session that ends at `ends_at`. `quiet` is when nobody speaks.
    #[must_use]
    pub fn is_due(&self, ends_at: Instant, quiet: bool, now: Instant) -> bool {
        let left = ends_at.saturating_duration_since(now);
        left <= self.patience_until || (quiet && left <= self.before_end)
    }
}

/// How the session that takes over begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continue {
    /// By the handle, which takes the conversation along. The old connection must be closed first.
    ByHandle,
    /// By telling what was said so far.
    ByReplay,
}

impl Continue {
    /// How, after this ending. A provider that rejected what it was told may not know the handle any more.
    #[must_use]
    pub const fn after(resumable: bool, ending: Ending) -> Self {
        let rejected = matches!(
            ending,
            Ending::Broken {
                kind: FaultKind::Rejected | FaultKind::Content,
                ..
            }
        );
        if resumable && !rejected {
            Self::ByHandle
        } else {
            Self::ByReplay
        }
    }
}

/// What to do next. `K` names a provider, or one of several accounts at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<K> {
    /// Connect to this provider now.
    Connect(K),
    /// Ask again then, and tell the caller nothing yet.
    Wait {
        /// When.
        until: Instant,
    },
    /// Play the recorded sentence and hand the caller to a person or to voicemail.
    LastResort,
}

/// The order in which providers are tried, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverOrder<K>(Vec<K>);

impl<K: Copy + PartialEq> FailoverOrder<K> {
    /// Providers the tenant has accounts at, each once.
    #[must_use]
    pub fn new(providers: impl IntoIterator<Item = K>) -> Self {
        let mut order = Vec::new();
        for provider in providers {
            if !order.contains(&provider) {
                order.push(provider);
            }
        }
        Self(order)
    }
}

/// A call between two sessions: from the failure of one until another is ready.
///
/// Time counts from the moment the caller began to wait, not from the last failure: a provider that connects and
/// fails again gets no new five seconds.
#[derive(Clone, Debug)]
pub struct Recovery<K> {
    order: FailoverOrder<K>,
    current: K,
    since: Instant,
    /// How many times the first provider was tried again.
    retries: u32,
    not_before: Instant,
    /// Which have been tried, or must not be.
    spent: Vec<K>,
    connecting: Option<K>,
    over: bool,
}

impl<K: Copy + PartialEq> Recovery<K> {
    /// The session at `failed` ended in this way, and the caller has waited since `now`. A call that begins has
    /// waited since its beginning for a session nobody has ended ([`Ending::Asked`]).
    #[must_use]
    pub fn begin(order: FailoverOrder<K>, failed: K, ending: Ending, now: Instant) -> Self {
        let mut recovery = Self {
            order,
            current: failed,
            since: now,
            retries: 0,
            not_before: now,
            spent: Vec::new(),
            connecting: None,
            over: false,
        };
        if let Ending::Broken { class, kind } = ending {
            recovery.note(failed, class, kind);
        }
        recovery
    }

    /// An end that will come the same way again spends the provider; so does one that throttles us, for it wants
    /// to be left alone.
    fn note(&mut self, provider: K, class: Class, kind: FaultKind) {
        if class == Class::Fatal || kind == FaultKind::Throttled {
            self.spend(provider);
        }
    }

    fn spend(&mut self, provider: K) {
        if !self.spent.contains(&provider) {
            self.spent.push(provider);
        }
    }

    /// By when a connection must be ready, or be given up for the next one.
    #[must_use]
    pub fn connect_until(&self) -> Instant {
        let failover = self.since + IN_CALL_FAILOVER;
        let handover = self.since + IN_CALL_HANDOVER;
        if self.connecting == Some(self.current) {
            failover
        } else {
            handover
        }
    }

    /// How long the caller has been waiting.
    #[must_use]
    pub fn gap(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// What to do at `now`. `open` says whether a provider's circuit breaker lets calls through.
    pub fn step(&mut self, now: Instant, open: impl Fn(K) -> bool) -> Step<K> {
        if self.over || self.gap(now) >= IN_CALL_HANDOVER {
            self.over = true;
            return Step::LastResort;
        }
        let may = |spent: &[K], provider: K| !spent.contains(&provider) && open(provider);
        if self.gap(now) < IN_CALL_FAILOVER
            && self.retries <= IN_CALL.retries
            && may(&self.spent, self.current)
        {
            if now < self.not_before {
                return Step::Wait {
                    until: self.not_before,
                };
            }
            self.connecting = Some(self.current);
            return Step::Connect(self.current);
        }
        self.spend(self.current);
        let next = self
            .order
            .0
            .iter()
            .copied()
            .find(|provider| may(&self.spent, *provider));
        match next {
            Some(provider) => {
                self.spend(provider);
                self.connecting = Some(provider);
                Step::Connect(provider)
            }
            None => {
                self.over = true;
                Step::LastResort
            }
        }
    }

    /// The connection [`step`](Self::step) asked for has failed or was not ready in time.
    pub fn failed(&mut self, ending: Ending, now: Instant) {
        let Some(provider) = self.connecting.take() else {
            return;
        };
        if let Ending::Broken { class, kind } = ending {
            self.note(provider, class, kind);
        }
        if provider == self.current {
            let wait = IN_CALL.first_wait * 2_u32.saturating_pow(self.retries);
            self.not_before = now + wait.min(IN_CALL.longest_wait);
            self.retries += 1;
        }
    }
}

/// Notices a provider that takes everything and says nothing: no fault, no end, only silence.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    limit: Duration,
    waiting_since: Option<Instant>,
}

impl Silence {
    /// Somebody waits for an answer at most so long.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            waiting_since: None,
        }
    }

    /// The caller has finished, or an answer was asked for.
    pub fn expect_answer(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Something came: audio, a tool call, or the caller speaks again.
    pub fn heard(&mut self) {
        self.waiting_since = None;
    }

    /// When it is too long.
    #[must_use]
    pub fn gives_up_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.limit)
    }

    /// Whether it has been too long.
    #[must_use]
    pub fn is_too_long(&self, now: Instant) -> bool {
        self.gives_up_at().is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::Provider;

    const FIRST: Provider = Provider::OpenaiRealtime;
    const SECOND: Provider = Provider::GeminiLive;
    const THIRD: Provider = Provider::DeepgramCascade;

    fn order() -> FailoverOrder<Provider> {
        FailoverOrder::new([FIRST, SECOND, THIRD, SECOND])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const BROKEN: Ending = Ending::broken(FaultKind::Connection);

    /// RES-02
    #[test]
    fn the_same_provider_is_tried_again_at_once_after_200_ms_and_after_600_ms_and_the_next_by_2_s() {
        let start = Instant::now();
        let mut recovery = Recovery::begin(order(), FIRST, BROKEN, start);
        assert_eq!(recovery.step(start, |_| true), Step::Connect(FIRST));
        assert_eq!(recovery.connect_until(), start + ms(2_000));
        recovery.failed(BROKEN, start);
        assert_eq!(
            recovery.step(start, |_| true),
            Step::Wait {
                until: start + ms(200)
            }
        );
        assert_eq!(recovery.step(start + ms(200), |_| true), Step::Connect(FIRST));
        recovery.failed(BROKEN, start + ms(200));
        assert_eq!(
            recovery.step(start + ms(300), |_| true),
            Step::Wait {
                until: start + ms(600)
            }
        );
        assert_eq!(recovery.step(start + ms(600), |_| true), Step::Connect(FIRST));
        recovery.failed(BROKEN, start + ms(2_000));
        assert_eq!(recovery.step(start + ms(2_000), |_| true), Step::Connect(SECOND));
        assert_eq!(recovery.connect_until(), start + ms(5_000));
        recovery.failed(BROKEN, start + ms(2_100));
        assert_eq!(recovery.step(start + ms(2_100), |_| true), Step::Connect(THIRD));
        recovery.failed(BROKEN, start + ms(2_200));
        assert_eq!(recovery.step(start + ms(2_200), |_| true), Step::LastResort);
    }

    #[test]
    fn what_will_fail_the_same_way_is_not_tried_again() {
        let start = Instant::now();
        let fatal = Ending::broken(FaultKind::Auth);
        let mut recovery = Recovery::begin(order(), FIRST, fatal, start);
        assert_eq!(recovery.step(start, |_| true), Step::Connect(SECOND));
        let throttled = Ending::broken(FaultKind::Throttled);
        let mut recovery = Recovery::begin(order(), FIRST, throttled, start);
        assert_eq!(recovery.step(start, |_| true), Step::Connect(SECOND));
    }

    /// RES-01
    #[test]
    fn a_provider_whose_circuit_is_open_is_passed_over() {
        let start = Instant::now();
        let mut recovery = Recovery::begin(order(), FIRST, BROKEN, start);
        assert_eq!(
            recovery.step(start, |provider| provider == THIRD),
            Step::Connect(THIRD)
        );
        let mut nobody = Recovery::begin(order(), FIRST, BROKEN, start);
        assert_eq!(nobody.step(start, |_| false), Step::LastResort);
        assert_eq!(
            nobody.step(start, |_| true),
            Step::LastResort,
            "the last resort is final"
        );
    }

    proptest! {
        /// RES-02: nobody is left in silence for more than five seconds, whatever fails and however slowly.
        #[test]
        fn within_five_seconds_there_is_another_session_or_a_person(
            takes in vec((0..3_000_u64, 0..4_usize), 1..40), breakers in vec(any::<bool>(), 5),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut recovery = Recovery::begin(order(), FIRST, BROKEN, now);
            let kinds = [FaultKind::Connection, FaultKind::Auth, FaultKind::Throttled, FaultKind::Provider];
            let open = |provider: Provider| breakers[provider as usize];
            let mut tried = Vec::new();
            let mut takes = takes.into_iter().cycle();
            loop {
                match recovery.step(now, open) {
                    Step::LastResort => break,
                    Step::Wait { until } => {
                        prop_assert!(until > now && until <= start + IN_CALL_HANDOVER);
                        now = until;
                    }
                    Step::Connect(provider) => {
                        prop_assert!(open(provider));
                        if provider != FIRST {
                            prop_assert!(!tried.contains(&provider), "{provider} twice");
                        }
                        tried.push(provider);
                        let (took, kind) = takes.next().unwrap();
                        let until = recovery.connect_until();
                        prop_assert!(until <= start + IN_CALL_HANDOVER);
                        now = (now + ms(took)).min(until.max(now));
                        recovery.failed(Ending::broken(kinds[kind]), now);
                    }
                }
            }
            prop_assert!(now <= start + IN_CALL_HANDOVER);
        }
    }

    #[test]
    fn a_session_is_handed_over_in_a_quiet_moment_and_at_the_latest_a_minute_before_its_end() {
        let start = Instant::now();
        let ends = start + crate::openai_realtime::SESSION_LASTS;
        let due = |before_end: u64, quiet| {
            HandOver::OF_SESSIONS.is_due(ends, quiet, ends - Duration::from_secs(before_end))
        };
        assert!(!due(301, true));
        assert!(due(300, true));
        assert!(!due(61, false));
        assert!(due(60, false));
        assert!(HandOver::OF_SESSIONS.is_due(ends, false, ends + Duration::from_secs(1)));
    }

    #[test]
    fn a_handle_is_used_where_there_is_one_unless_it_may_be_what_was_rejected() {
        let expired = Ending::broken(FaultKind::Expired);
        assert_eq!(Continue::after(true, expired), Continue::ByHandle);
        assert_eq!(Continue::after(false, expired), Continue::ByReplay);
        let rejected = Ending::broken(FaultKind::Rejected);
        assert_eq!(Continue::after(true, rejected), Continue::ByReplay);
    }

    #[test]
    fn a_provider_that_says_nothing_is_noticed_once_somebody_waits() {
        let start = Instant::now();
        let mut silence = Silence::new(ms(3_000));
        assert!(!silence.is_too_long(start + ms(60_000)));
        silence.expect_answer(start);
        silence.expect_answer(start + ms(2_000));
        assert!(!silence.is_too_long(start + ms(2_999)));
        assert!(silence.is_too_long(start + ms(3_000)));
        silence.heard();
        assert!(!silence.is_too_long(start + ms(9_000)));
    }
}
