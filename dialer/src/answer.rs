//! What to do with a call that was answered: a pure decision on evidence, clocks and who is free.
//!
//! The verdict of answering machine detection is a probability, not a fact. A call is ended or given a message only when
//! a machine is at least as likely as the campaign asks for; what the detector could not tell is a person.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::{Amd, AnsweredBy};

/// When nobody is free, an AI agent or a message must be on the line this soon after the answer.
pub const PATIENCE: TimeDelta = TimeDelta::milliseconds(1_200);
/// The law's limit; a message that starts later is no safe harbour (47 CFR 64.1200(a)(7), 16 CFR 310.4(b)(4)).
pub const LIMIT: TimeDelta = TimeDelta::milliseconds(2_000);

/// What a campaign does with machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMachine {
    /// It does not listen for them.
    Ignore,
    /// Hangs up.
    HangUp,
    /// Leaves its message.
    LeaveMessage,
}

/// A campaign's ways with answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerPolicy {
    /// What to do with machines.
    pub on_machine: OnMachine,
    /// How sure to be of one.
    pub certainty: f64,
    /// Who takes the calls.
    pub taken_by: TakenBy,
    /// An AI agent takes what no person is free for.
    pub ai_overflow: bool,
    /// There is a safe-harbour message.
    pub safe_harbour: bool,
}

/// Who takes a campaign's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// People.
    People,
    /// AI agents.
    Ai,
}

/// What is known about an answered call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// When it was answered.
    pub at: DateTime<Utc>,
    /// The chance that a machine picked up, once the detector spoke.
    pub machine: Option<f64>,
    /// A beep was heard.
    pub beep: bool,
    /// Somebody talks to them already.
    pub connected: bool,
    /// The contact agreed to talk to an AI agent.
    pub ai_consent: bool,
}

/// Who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staff {
    /// People who are free.
    pub free_people: usize,
    /// Calls AI agents could still take.
    pub free_ai: usize,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Connect a person.
    Person,
    /// Connect an AI agent.
    Ai,
    /// Decide again when something new is known, at the latest then.
    Wait(DateTime<Utc>),
    /// Leave the campaign's message, then hang up.
    LeaveMessage,
    /// Hang up on a machine.
    HangUp,
    /// Say who called and how to end it, then hang up. The call counts as abandoned.
    SafeHarbour,
    /// There is nothing that may be said: hang up. The call counts as abandoned, and as silent.
    GiveUp,
    /// Leave it as it is.
    Keep,
}

/// How likely a machine is, given what the detector said. Vendors publish error rates between 3 and 10 %; a
/// beep is nearly proof, silence and doubt are none.
#[must_use]
pub const fn machine_probability(verdict: &Amd) -> f64 {
    match (verdict.answered_by, verdict.beep) {
        (AnsweredBy::Fax, _) => 1.0,
        (AnsweredBy::Machine, true) => 0.995,
        (AnsweredBy::Machine, false) => 0.95,
        (AnsweredBy::Silence, _) => 0.5,
        (AnsweredBy::Unknown, _) => 0.3,
        (AnsweredBy::Human, _) => 0.03,
    }
}

/// What to do with the call at `now`.
#[must_use]
pub fn decide(policy: &AnswerPolicy, call: &Answered, staff: Staff, now: DateTime<Utc>) -> Action {
    let machine = call.machine.is_some_and(|chance| chance >= policy.certainty);
    if machine && policy.on_machine != OnMachine::Ignore {
        return on_machine(policy, call);
    }
    if call.connected {
        return Action::Keep;
    }
    let waited = now - call.at;
    let listening = policy.on_machine != OnMachine::Ignore && call.machine.is_none();
    if listening && waited < PATIENCE {
        return Action::Wait(call.at + PATIENCE);
    }
    let ai = call.ai_consent && staff.free_ai > 0;
    match policy.taken_by {
        TakenBy::Ai if ai => return Action::Ai,
        // An AI agent may not talk to them, whatever else is free.
        TakenBy::Ai if staff.free_people > 0 => return Action::Person,
        TakenBy::People if staff.free_people > 0 => return Action::Person,
        _ => {}
    }
    if waited < PATIENCE {
        return Action::Wait(call.at + PATIENCE);
    }
    if ai && policy.ai_overflow {
        Action::Ai
    } else if policy.safe_harbour {
        Action::SafeHarbour
    } else {
        Action::GiveUp
    }
}

fn on_machine(policy: &AnswerPolicy, call: &Answered) -> Action {
    match policy.on_machine {
        OnMachine::HangUp | OnMachine::Ignore => Action::HangUp,
        OnMachine::LeaveMessage if call.beep => Action::LeaveMessage,
        // A message before the beep is not recorded; the greeting ends within a minute or the line does.
        OnMachine::LeaveMessage => Action::Wait(call.at + TimeDelta::seconds(60)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    const POLICY: AnswerPolicy = AnswerPolicy {
        on_machine: OnMachine::HangUp,
        certainty: 0.9,
        taken_by: TakenBy::People,
        ai_overflow: true,
        safe_harbour: true,
    };

    fn call() -> Answered {
        Answered {
            at: at(0),
            machine: None,
            beep: false,
            connected: false,
            ai_consent: true,
        }
    }

    const ONE_PERSON: Staff = Staff {
        free_people: 1,
        free_ai: 1,
    };
    const AI_ONLY: Staff = Staff {
        free_people: 0,
        free_ai: 1,
    };

    #[test]
    fn a_free_person_gets_the_call_at_once_when_nobody_listens_for_machines() {
        let policy = AnswerPolicy {
            on_machine: OnMachine::Ignore,
            ..POLICY
        };
        assert_eq!(decide(&policy, &call(), ONE_PERSON, at(0)), Action::Person);
    }

    #[test]
    fn a_detector_that_says_nothing_delays_a_person_no_longer_than_their_patience() {
        assert_eq!(
            decide(&POLICY, &call(), ONE_PERSON, at(100)),
            Action::Wait(at(1_200))
        );
        assert_eq!(decide(&POLICY, &call(), ONE_PERSON, at(1_200)), Action::Person);
    }

    #[test]
    fn an_ai_agent_takes_what_no_person_is_free_for_and_only_with_consent() {
        assert_eq!(decide(&POLICY, &call(), AI_ONLY, at(1_200)), Action::Ai);
        let unasked = Answered {
            ai_consent: false,
            ..call()
        };
        assert_eq!(decide(&POLICY, &unasked, AI_ONLY, at(1_200)), Action::SafeHarbour);
        let no_message = AnswerPolicy {
            safe_harbour: false,
            ..POLICY
        };
        assert_eq!(
            decide(&no_message, &unasked, Staff::default(), at(1_200)),
            Action::GiveUp
        );
    }

    #[test]
    fn a_message_is_left_only_after_the_beep() {
        let policy = AnswerPolicy {
            on_machine: OnMachine::LeaveMessage,
            ..POLICY
        };
        let machine = Answered {
            machine: Some(0.95),
            ..call()
        };
        assert!(matches!(
            decide(&policy, &machine, ONE_PERSON, at(900)),
            Action::Wait(_)
        ));
        let beeped = Answered {
            beep: true,
            ..machine
        };
        assert_eq!(
            decide(&policy, &beeped, ONE_PERSON, at(9_000)),
            Action::LeaveMessage
        );
    }

    proptest! {
        #[test]
        fn nobody_the_detector_is_unsure_about_is_hung_up_on_for_being_a_machine(
            verdict in proptest::sample::select(vec![AnsweredBy::Unknown, AnsweredBy::Silence, AnsweredBy::Human]),
            beep: bool, certainty in 0.5001_f64..1.0, waited in 0_i64..5_000, people in 0_usize..3, ai in 0_usize..3,
        ) {
            let amd = Amd { answered_by: verdict, beep, detection_ms: None };
            let policy = AnswerPolicy { certainty, ..POLICY };
            let call = Answered { machine: Some(machine_probability(&amd)), beep, ..call() };
            let action = decide(&policy, &call, Staff { free_people: people, free_ai: ai }, at(waited));
            prop_assert!(!matches!(action, Action::HangUp | Action::LeaveMessage));
        }

        /// No silent call: within the law's two seconds somebody or something speaks.
        #[test]
        fn whoever_answers_hears_somebody_or_a_message_before_the_limit(
            machine in proptest::option::of(0.0_f64..1.0), consent: bool, people in 0_usize..2, ai in 0_usize..2,
            taken_by in proptest::sample::select(vec![TakenBy::People, TakenBy::Ai]), ai_overflow: bool,
            on_machine in proptest::sample::select(vec![OnMachine::Ignore, OnMachine::HangUp]),
        ) {
            let policy = AnswerPolicy { taken_by, ai_overflow, on_machine, ..POLICY };
            let call = Answered { machine, ai_consent: consent, ..call() };
            let mut now = at(0);
            let action = loop {
                match decide(&policy, &call, Staff { free_people: people, free_ai: ai }, now) {
                    Action::Wait(until) => { prop_assert!(until > now); now = until; }
                    action => break action,
                }
            };
            prop_assert!(now - call.at <= PATIENCE);
            prop_assert!(PATIENCE < LIMIT);
            prop_assert!(!matches!(action, Action::GiveUp | Action::Keep));
            if action == Action::Ai { prop_assert!(consent); }
        }
    }
}
