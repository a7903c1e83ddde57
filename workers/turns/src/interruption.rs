//! Whether the caller interrupts, and what to do in which order.
//!
//! Two ears listen. The local one hears that it is loud within 60 ms and lets the agent fall silent at once,
//! for a caller who is talked over hangs up; but loud may be a cough. The provider's ear knows speech, later. So
//! silence is provisional: it is confirmed by the provider, or taken back, and then the agent goes on where it
//! stopped.
//!
//! An interruption is always carried out in this order: clear the carrier's queue (the caller hears the effect),
//! ignore what still comes of the item, cancel the answer if one is active, tell the provider how much was heard.
//! The last three are one command of the provider's adapter, [`Act::Interrupt`].

use std::time::{Duration, Instant};

use crate::back_channel::{Language, is_back_channel};

/// What the bridge is to do, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Tell the carrier to throw away what was not played, and keep it here.
    Mute,
    /// Send again what was kept, and what came since.
    Resume,
    /// Give up what was kept, and tell the provider what was heard.
    Interrupt,
}

/// How interruptions are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Fall silent on the local ear's word, before the provider's.
    pub pre_mute: bool,
    /// How long the provider may take to confirm.
    pub confirm: Duration,
    /// The provider stops its answer by itself when it hears speech: then there is nothing to weigh any more.
    pub provider_interrupts: bool,
    /// Speech up to this long may be a "mhm"; its text decides.
    pub back_channel: Duration,
    /// How long that text may take after the speech has ended.
    pub text: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pre_mute: true,
            confirm: Duration::from_millis(500),
            provider_interrupts: true,
            back_channel: Duration::from_millis(700),
            text: Duration::from_millis(600),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The agent may be heard.
    Open,
    /// Muted on the local ear's word.
    PreMuted { until: Instant },
    /// Muted; the provider hears speech, and its text or its length will tell.
    Weighing { until: Instant },
    /// Muted; the speech was short, and its text is awaited.
    AwaitingText { until: Instant },
}

/// Judges one call.
#[derive(Clone, Debug)]
pub struct Judge {
    policy: Policy,
    state: State,
}

impl Judge {
    /// A call on which nobody has interrupted yet.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            state: State::Open,
        }
    }

    /// The agent is kept from being heard at the moment: what it says meanwhile is to be kept.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.state != State::Open
    }

    /// When to ask [`woken`](Self::woken) next.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Open => None,
            State::PreMuted { until } | State::Weighing { until } | State::AwaitingText { until } => {
                Some(until)
            }
        }
    }

    /// The local ear hears somebody, or nobody any more. `audible`: the caller hears the agent at the moment.
    pub fn local(&mut self, speaking: bool, audible: bool, now: Instant) -> &'static [Act] {
        match (self.state, speaking) {
            (State::Open, true) if audible && self.policy.pre_mute => {
                self.state = State::PreMuted {
                    until: now + self.policy.confirm,
                };
                &[Act::Mute]
            }
            (State::PreMuted { .. }, false) => self.resume(),
            _ => &[],
        }
    }

    /// The provider hears somebody.
    pub fn provider_started(&mut self, audible: bool, now: Instant) -> &'static [Act] {
        match self.state {
            State::Open if !audible => &[],
            State::Open if self.policy.provider_interrupts => &[Act::Mute, Act::Interrupt],
            State::PreMuted { .. } if self.policy.provider_interrupts => self.interrupt(),
            state @ (State::Open | State::PreMuted { .. }) => {
                self.state = State::Weighing {
                    until: now + self.policy.back_channel,
                };
                if state == State::Open { &[Act::Mute] } else { &[] }
            }
            State::Weighing { .. } | State::AwaitingText { .. } => &[],
        }
    }

    /// The provider hears nobody any more.
    pub fn provider_stopped(&mut self, now: Instant) -> &'static [Act] {
        if matches!(self.state, State::Weighing { .. }) {
            self.state = State::AwaitingText {
                until: now + self.policy.text,
            };
        }
        &[]
    }

    /// What the caller says, as far as it is known. `last`: no more will come of it.
    pub fn text(&mut self, text: &str, language: Option<Language>, last: bool) -> &'static [Act] {
        match self.state {
            State::Weighing { .. } | State::AwaitingText { .. } => {
                if !is_back_channel(text, language) {
                    self.interrupt()
                } else if last {
                    self.resume()
                } else {
                    &[]
                }
            }
            State::Open | State::PreMuted { .. } => &[],
        }
    }

    /// The provider has cut its own answer.
    pub fn provider_interrupted(&mut self, audible: bool) -> &'static [Act] {
        match self.state {
            State::Open if audible => &[Act::Mute, Act::Interrupt],
            State::Open => &[],
            State::PreMuted { .. } | State::Weighing { .. } | State::AwaitingText { .. } => self.interrupt(),
        }
    }

    /// The time of [`wake_at`](Self::wake_at) has come.
    pub fn woken(&mut self, now: Instant) -> &'static [Act] {
        match self.state {
            // Nobody confirms: it was a cough, or the provider does not hear the caller.
            State::PreMuted { until } if until <= now => self.resume(),
            // Nobody says "mhm" for so long.
            State::Weighing { until } if until <= now => self.interrupt(),
            // Short, and no text: noise. A word would have had one.
            State::AwaitingText { until } if until <= now => self.resume(),
            _ => &[],
        }
    }

    const fn resume(&mut self) -> &'static [Act] {
        self.state = State::Open;
        &[Act::Resume]
    }

    const fn interrupt(&mut self) -> &'static [Act] {
        self.state = State::Open;
        &[Act::Interrupt]
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const LATE: Duration = Duration::from_secs(10);

    fn weighing() -> Policy {
        Policy {
            provider_interrupts: false,
            ..Policy::default()
        }
    }

    #[test]
    fn a_cough_mutes_and_is_taken_back() {
        let now = Instant::now();
        let mut judge = Judge::new(Policy::default());
        assert_eq!(judge.local(true, true, now), [Act::Mute]);
        assert!(judge.is_muted());
        assert_eq!(judge.local(false, false, now), [Act::Resume]);
        // Loud for long, and the provider hears nobody: noise in the room.
        assert_eq!(judge.local(true, true, now), [Act::Mute]);
        assert_eq!(judge.woken(now + Policy::default().confirm), [Act::Resume]);
        assert!(!judge.is_muted());
    }

    #[test]
    fn speech_is_confirmed_by_the_provider() {
        let now = Instant::now();
        let mut judge = Judge::new(Policy::default());
        judge.local(true, true, now);
        assert_eq!(judge.provider_started(false, now), [Act::Interrupt]);
        assert_eq!(judge.wake_at(), None);
        // Without the local ear both follow from the provider's word.
        assert_eq!(judge.provider_started(true, now), [Act::Mute, Act::Interrupt]);
    }

    #[test]
    fn a_caller_who_speaks_into_silence_interrupts_nothing() {
        let now = Instant::now();
        let mut judge = Judge::new(Policy::default());
        assert_eq!(judge.local(true, false, now), []);
        assert_eq!(judge.provider_started(false, now), []);
        assert_eq!(judge.provider_interrupted(false), []);
    }

    #[test]
    fn a_back_channel_lets_the_agent_go_on_and_a_sentence_does_not() {
        let now = Instant::now();
        let english = Some(Language::English);
        let mut judge = Judge::new(weighing());
        assert_eq!(judge.provider_started(true, now), [Act::Mute]);
        assert_eq!(judge.text("uh", english, false), []);
        judge.provider_stopped(now);
        assert_eq!(judge.text("Uh-huh.", english, true), [Act::Resume]);

        judge.provider_started(true, now);
        assert_eq!(judge.text("no wait", english, false), [Act::Interrupt]);

        judge.local(true, true, now);
        assert_eq!(judge.provider_started(false, now), [], "already muted");
        assert_eq!(judge.woken(now + weighing().back_channel), [Act::Interrupt]);

        judge.provider_started(true, now);
        judge.provider_stopped(now);
        assert_eq!(judge.woken(now + LATE), [Act::Resume], "no words: noise");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Local(bool),
        Started,
        Stopped,
        Text(bool, bool),
        Interrupted,
        Wait(u64),
    }

    proptest! {
        /// Whatever happens in whatever order: muting and its end alternate, nothing stays muted for ever,
        /// and an interruption is told to the provider only after the carrier was cleared.
        #[test]
        fn every_mute_ends_and_acts_are_in_order(
            steps in vec(prop_oneof![
                any::<bool>().prop_map(Step::Local),
                Just(Step::Started),
                Just(Step::Stopped),
                (any::<bool>(), any::<bool>()).prop_map(|(filler, last)| Step::Text(filler, last)),
                Just(Step::Interrupted),
                (0..400_u64).prop_map(Step::Wait),
            ], 0..80),
            pre_mute in any::<bool>(),
            provider_interrupts in any::<bool>(),
            speaks in any::<bool>(),
        ) {
            let policy = Policy { pre_mute, provider_interrupts, ..Policy::default() };
            let mut judge = Judge::new(policy);
            let mut now = Instant::now();
            let mut muted = false;
            for step in steps {
                let audible = speaks && !muted;
                let acts = match step {
                    Step::Local(speaking) => judge.local(speaking, audible, now),
                    Step::Started => judge.provider_started(audible, now),
                    Step::Stopped => judge.provider_stopped(now),
                    Step::Text(filler, last) => {
                        judge.text(if filler { "mhm" } else { "stop it" }, None, last)
                    }
                    Step::Interrupted => judge.provider_interrupted(audible),
                    Step::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        judge.woken(now)
                    }
                };
                for act in acts {
                    match act {
                        Act::Mute => {
                            prop_assert!(!muted && speaks);
                            muted = true;
                        }
                        Act::Resume | Act::Interrupt => {
                            prop_assert!(muted);
                            muted = false;
                        }
                    }
                }
                prop_assert_eq!(judge.is_muted(), muted);
                prop_assert_eq!(judge.wake_at().is_some(), muted);
            }
            for _ in 0..3 {
                if let Some(at) = judge.wake_at() {
                    judge.woken(at);
                }
            }
            prop_assert!(!judge.is_muted());
        }
    }
}
