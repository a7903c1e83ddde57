//! One attempt under way, folded from whatever carriers say about its call: in any order, twice or never.
//!
//! Facts only accumulate. Once it ended nothing changes but the content of that end, when a carrier's own word
//! replaces what we concluded for want of one.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_schemas::{
    AgentId, AttemptId, CallId, ContactId, EventType, ProviderAccountId,
    events::call::{AgentKind, Amd, AnsweredBy, CallEvent, Carrier, Ending},
};

use crate::retry::{Class, Tries};

/// How far a line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Committed; the carrier may or may not have been asked.
    Claimed,
    /// The carrier was asked and did not answer.
    Unknown,
    /// The carrier has taken it on.
    Placed,
    /// Somebody or something picked up.
    Answered,
    /// It is over.
    Ended,
}

impl Phase {
    /// The name of the state in the table of attempts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Unknown => "unknown",
            Self::Placed => "placed",
            Self::Answered => "answered",
            Self::Ended => "finished",
        }
    }

    /// The phase with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Claimed,
            Self::Unknown,
            Self::Placed,
            Self::Answered,
            Self::Ended,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == name)
    }
}

/// How a line ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What the carrier said.
    pub ending: Ending,
    /// When.
    pub at: DateTime<Utc>,
}

/// One attempt under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whom it is to reach.
    pub contact: ContactId,
    /// The call that carries it out.
    pub call: CallId,
    /// Which try this is, from 1.
    pub number: u16,
    /// The account it goes through.
    pub account: Option<ProviderAccountId>,
    /// The token of the number called.
    pub phone_token: Uuid,
    /// The number shown to them.
    pub caller_number: Option<Uuid>,
    /// How often the contact was tried before.
    pub tries: Tries,
    /// They agreed to talk to an AI agent.
    pub ai_consent: bool,
    /// When it was committed.
    pub claimed_at: DateTime<Utc>,
    /// How far it has come.
    pub phase: Phase,
    /// The carrier's id of the call.
    pub carrier: Option<(Carrier, String)>,
    /// When it was answered.
    pub answered_at: Option<DateTime<Utc>>,
    /// The strongest verdict so far.
    pub amd: Option<Amd>,
    /// When somebody was connected, and who: a person, if one ever was.
    pub bridged: Option<(DateTime<Utc>, AgentKind)>,
    /// A person answered and nobody was there for them.
    pub abandoned: bool,
    /// They pressed the key that ends all calls to them.
    pub opted_out: Option<DateTime<Utc>>,
    /// The agent it was given to.
    pub agent: Option<AgentId>,
    /// How it ended.
    pub end: Option<End>,
}

/// What an event added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The carrier has it, or it rings.
    Placed,
    /// It was answered.
    Answered,
    /// The detector spoke.
    Verdict,
    /// Somebody was connected.
    Bridged,
    /// A key was pressed: the one that ends all calls, or (empty) a question ran out.
    Key(Option<char>),
    /// It is over.
    Ended,
    /// It was over already, and now it came to something else: the carrier itself says how it ended, or a
    /// fact that was late says that somebody was talked to.
    EndedOtherwise,
    /// It was over already, and a fact that was late says more about it: what it came to stays.
    Late,
}

impl Line {
    /// A line just committed.
    #[must_use]
    pub fn new(
        attempt: AttemptId,
        contact: ContactId,
        call: CallId,
        number: u16,
        claimed_at: DateTime<Utc>,
    ) -> Self {
        Self {
            attempt,
            contact,
            call,
            number,
            account: None,
            phone_token: Uuid::nil(),
            caller_number: None,
            tries: Tries::new(),
            ai_consent: false,
            claimed_at,
            phase: Phase::Claimed,
            carrier: None,
            answered_at: None,
            amd: None,
            bridged: None,
            abandoned: false,
            opted_out: None,
            agent: None,
            end: None,
        }
    }

    /// Takes note of an event of its call. `None`: nothing new.
    pub fn hear(&mut self, event: &CallEvent) -> Option<News> {
        if self.carrier.is_none() {
            let call = &event.data.call;
            self.carrier = Some((call.carrier, call.carrier_call_id.clone()));
        }
        if event.kind == EventType::CallEnded {
            return self.hear_end(event.data.ending.clone()?, event.time);
        }
        let was = self.class();
        let news = self.hear_fact(event);
        // A fact that arrives after the end can still change what the end means: somebody was talked to.
        match (was, news) {
            (None, _) | (_, Some(News::Key(_))) => news,
            (Some(was), _) if self.class() != Some(was) => Some(News::EndedOtherwise),
            (Some(_), _) => news.map(|_| News::Late),
        }
    }

    fn hear_fact(&mut self, event: &CallEvent) -> Option<News> {
        match event.kind {
            EventType::CallAnswered => self.hear_answer(event.time),
            EventType::CallAmd => {
                let verdict = event.data.amd.clone()?;
                let stronger = self
                    .amd
                    .as_ref()
                    .is_none_or(|known| strength(&verdict) > strength(known));
                stronger.then(|| {
                    self.amd = Some(verdict);
                    News::Verdict
                })
            }
            EventType::CallBridged | EventType::CallTransferred => {
                let kind = event.data.bridge.as_ref()?.agent_kind;
                let since = match (self.bridged, kind) {
                    (None, _) => {
                        // Nobody is connected to a call that was not answered: its own event is late or lost.
                        let _the_bridge_says_more = self.hear_answer(event.time);
                        event.time
                    }
                    // An AI agent has handed them over: somebody talks to them since the first one did.
                    (Some((since, AgentKind::Ai)), AgentKind::Human) => since,
                    (Some(_), _) => return None,
                };
                self.bridged = Some((since, kind));
                Some(News::Bridged)
            }
            EventType::CallDtmf => Some(News::Key(event.data.dtmf.as_ref()?.digits.chars().next())),
            _ => {
                let moved = self.phase < Phase::Placed;
                if moved {
                    self.phase = Phase::Placed;
                }
                moved.then_some(News::Placed)
            }
        }
    }

    /// They pressed the key; true the first time.
    pub fn opt_out(&mut self, at: DateTime<Utc>) -> bool {
        let first = self.opted_out.is_none();
        self.opted_out.get_or_insert(at);
        first
    }

    /// The carrier has taken it on.
    pub fn placed(&mut self, carrier: Carrier, id: String) {
        self.carrier.get_or_insert((carrier, id));
        self.phase = self.phase.max(Phase::Placed);
    }

    /// The carrier did not answer; it may have dialled.
    pub fn unanswered(&mut self) {
        self.phase = self.phase.max(Phase::Unknown);
    }

    fn hear_answer(&mut self, at: DateTime<Utc>) -> Option<News> {
        let fresh = self.answered_at.is_none();
        self.answered_at = Some(self.answered_at.map_or(at, |known| known.min(at)));
        self.phase = self.phase.max(Phase::Answered);
        fresh.then_some(News::Answered)
    }

    fn hear_end(&mut self, ending: Ending, at: DateTime<Utc>) -> Option<News> {
        let known = self.end.as_ref();
        let news = match known {
            None => News::Ended,
            Some(end) if end.ending.reconciled && !ending.reconciled => News::EndedOtherwise,
            Some(_) => return None,
        };
        self.phase = Phase::Ended;
        self.end = Some(End { ending, at });
        Some(news)
    }

    /// What picked up, as far as anybody knows.
    #[must_use]
    pub fn answered_by(&self) -> Option<AnsweredBy> {
        self.amd.as_ref().map(|verdict| verdict.answered_by)
    }

    /// What it came to; `None` while it lives.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let end = self.end.as_ref()?;
        if self.opted_out.is_some() {
            return Some(Class::OptedOut);
        }
        Some(Class::of(
            end.ending.outcome,
            self.answered_by(),
            self.reached(),
            self.abandoned,
        ))
    }

    /// Somebody was talked to. An AI agent is connected before anybody knows what picked up; a person is not connected
    /// to what is known to be a machine.
    fn reached(&self) -> bool {
        match self.bridged {
            Some((_, AgentKind::Human)) => true,
            Some((_, AgentKind::Ai)) => {
                !matches!(self.answered_by(), Some(AnsweredBy::Machine | AnsweredBy::Fax))
            }
            None => false,
        }
    }
}

/// A verdict with a beep says most, one that says nothing says least.
const fn strength(verdict: &Amd) -> u8 {
    match (verdict.answered_by, verdict.beep) {
        (AnsweredBy::Unknown, _) => 0,
        (AnsweredBy::Silence, _) => 1,
        (_, false) => 2,
        (_, true) => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use voice_schemas::{
        TenantId,
        events::call::{Bridge, CallFact, CallOutcome, CallRef, Direction, Dtmf, Evidence, HangupBy},
    };

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    fn line() -> Line {
        let id = Uuid::from_u128(7);
        Line::new(AttemptId(id), ContactId(id), CallId(id), 1, at(0))
    }

    fn event(fact: CallFact, ms: i64) -> CallEvent {
        let id = Uuid::from_u128(7);
        let call = CallRef {
            call_id: CallId(id),
            direction: Direction::Outbound,
            carrier: Carrier::Telnyx,
            carrier_call_id: "v3:x".to_owned(),
            campaign_id: None,
            shard: None,
            attempt_id: Some(AttemptId(id)),
            contact_id: None,
            queue_id: None,
            agent_id: None,
            phone_token: None,
        };
        let evidence = Evidence {
            carrier_event: "x".to_owned(),
            dedupe_key: ms.to_string(),
            sequence: None,
            received_at: at(ms),
        };
        fact.into_event(TenantId(id), "/test", at(ms), call, evidence)
    }

    fn ended(outcome: CallOutcome, reconciled: bool) -> CallFact {
        CallFact::Ended(Ending {
            outcome,
            hangup_by: HangupBy::Unknown,
            cause: String::new(),
            sip_code: None,
            duration_ms: None,
            reconciled,
        })
    }

    fn story() -> Vec<CallEvent> {
        vec![
            event(CallFact::Initiated, 1),
            event(CallFact::Ringing, 2),
            event(CallFact::Answered, 10),
            event(
                CallFact::Amd(Amd {
                    answered_by: AnsweredBy::Human,
                    beep: false,
                    detection_ms: None,
                }),
                20,
            ),
            event(
                CallFact::Bridged(Bridge {
                    agent_kind: AgentKind::Human,
                }),
                30,
            ),
            event(ended(CallOutcome::Completed, false), 90),
        ]
    }

    #[test]
    fn a_call_told_in_order_was_reached() {
        let mut line = line();
        let news: Vec<_> = story().iter().filter_map(|event| line.hear(event)).collect();
        assert_eq!(
            news,
            [
                News::Placed,
                News::Answered,
                News::Verdict,
                News::Bridged,
                News::Ended
            ]
        );
        assert_eq!(line.class(), Some(Class::Reached));
    }

    #[test]
    fn the_carriers_own_word_replaces_what_was_concluded_for_want_of_it() {
        let mut line = line();
        assert_eq!(
            line.hear(&event(ended(CallOutcome::Unknown, true), 50)),
            Some(News::Ended)
        );
        assert_eq!(
            line.hear(&event(ended(CallOutcome::Busy, false), 60)),
            Some(News::EndedOtherwise)
        );
        assert_eq!(line.hear(&event(ended(CallOutcome::NoAnswer, false), 70)), None);
        assert_eq!(line.class(), Some(Class::Busy));
    }

    /// The call was answered and hung up at once, and its end overtook its answer.
    #[test]
    fn an_answer_that_is_told_after_the_end_is_kept_once_and_changes_nothing_else() {
        let mut line = line();
        let end = event(ended(CallOutcome::Completed, false), 12);
        assert_eq!(line.hear(&end), Some(News::Ended));
        let class = line.class();
        let answer = event(CallFact::Answered, 10);
        assert_eq!(line.hear(&answer), Some(News::Late));
        assert_eq!(line.hear(&answer), None, "once");
        assert_eq!(line.answered_at, Some(at(10)));
        assert_eq!((line.phase, line.class()), (Phase::Ended, class));
        assert_eq!(line.hear(&event(CallFact::Ringing, 2)), None);
    }

    #[test]
    fn a_mailbox_an_ai_agent_talked_to_was_not_reached_whenever_that_is_known() {
        let bridged = |agent_kind| CallFact::Bridged(Bridge { agent_kind });
        let amd = |answered_by| {
            CallFact::Amd(Amd {
                answered_by,
                beep: false,
                detection_ms: None,
            })
        };
        let end = || event(ended(CallOutcome::Completed, false), 40);
        for kind in [AgentKind::Ai, AgentKind::Human] {
            let mut line = line();
            line.hear(&event(bridged(kind), 11));
            line.hear(&end());
            assert_eq!(line.class(), Some(Class::Reached));
            let news = line.hear(&event(amd(AnsweredBy::Machine), 14));
            let (wanted, class) = match kind {
                AgentKind::Ai => (News::EndedOtherwise, Class::Machine),
                AgentKind::Human => (News::Late, Class::Reached),
            };
            assert_eq!((news, line.class()), (Some(wanted), Some(class)));
        }
        let mut line = line();
        line.hear(&event(amd(AnsweredBy::Fax), 10));
        line.hear(&event(bridged(AgentKind::Ai), 11));
        line.hear(&end());
        assert_eq!(line.class(), Some(Class::Machine));
    }

    #[test]
    fn whoever_presses_the_key_has_opted_out_whatever_else_is_told_and_when() {
        let key = |digits: &str| {
            CallFact::Dtmf(Dtmf {
                digits: digits.to_owned(),
            })
        };
        for seconds in [40, 99] {
            let mut line = line();
            for told in story() {
                line.hear(&told);
            }
            assert_eq!(line.hear(&event(key(""), 95)), Some(News::Key(None)));
            assert_eq!(line.class(), Some(Class::Reached));
            let pressed = event(key("9"), seconds);
            assert_eq!(line.hear(&pressed), Some(News::Key(Some('9'))));
            assert!(line.opt_out(pressed.time));
            assert!(!line.opt_out(at(100)), "once");
            assert_eq!(line.class(), Some(Class::OptedOut));
            assert_eq!(line.opted_out, Some(pressed.time));
        }
    }

    proptest! {
        /// Webhooks twice and in any order: one end, and the same account of the call.
        #[test]
        fn a_story_told_in_any_order_and_twice_ends_once(
            order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut twice = story();
            twice.extend(story());
            let mut line = line();
            let mut ends = 0;
            for position in order {
                let news = line.hear(&twice[position]);
                ends += usize::from(news == Some(News::Ended));
            }
            prop_assert_eq!(ends, 1);
            prop_assert_eq!(line.phase, Phase::Ended);
            prop_assert_eq!(line.class(), Some(Class::Reached), "a late bridge still says that they were talked to");
        }
    }
}
