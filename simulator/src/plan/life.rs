//! How one call goes: drawn once, then told in the words of its carrier.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::{AgentKind, CallOutcome, Carrier, Direction, HangupBy};

use super::{
    Chatter, End, Fact, Party, PlannedFact, Shift, Verdict,
    chance::{Chance, between, happens, weighted},
    identity,
};

/// From dialling to the first ring, and the like.
const SETUP_MS: (i64, i64) = (250, 1_500);

/// A life: what happens and when, in milliseconds from the start, before anybody tells it.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) picked_up: Option<Party>,
    ringing: Option<i64>,
    pub(super) answered: Option<i64>,
    verdicts: Vec<(i64, Verdict, i64)>,
    pub(super) bridged: Option<i64>,
    pub(super) ended: i64,
    pub(super) end: End,
}

impl Life {
    pub(super) fn outbound(shift: &Shift, carrier: Carrier, chance: &mut Chance) -> Self {
        let outcomes = &shift.outcomes;
        let choices = [
            (CallOutcome::Completed, outcomes.answered),
            (CallOutcome::Busy, outcomes.busy),
            (CallOutcome::NoAnswer, outcomes.no_answer),
            (CallOutcome::InvalidNumber, outcomes.invalid_number),
            (CallOutcome::Rejected, outcomes.rejected),
            (CallOutcome::Canceled, outcomes.canceled),
            (CallOutcome::CarrierError, outcomes.carrier_error),
        ];
        let outcome = weighted(chance, &choices, CallOutcome::Completed);
        let ringing = between(chance, SETUP_MS.0, SETUP_MS.1);
        let timeout = ringing + i64::from(shift.ring_timeout_ms);
        if outcome == CallOutcome::Completed {
            let answered = ringing
                + shift
                    .ring_ms
                    .draw(chance)
                    .min(i64::from(shift.ring_timeout_ms) - 1);
            return if happens(chance, shift.machine_share) {
                Self::machine(shift, carrier, ringing, answered, chance)
            } else {
                Self::person(shift, ringing, answered, chance)
            };
        }
        let (rings, ended, hangup_by, sip) = match outcome {
            CallOutcome::Busy => (
                false,
                ringing + between(chance, 100, 1_500),
                HangupBy::Callee,
                Some(486),
            ),
            CallOutcome::InvalidNumber => (false, ringing, HangupBy::Unknown, Some(404)),
            CallOutcome::Rejected => (
                true,
                ringing + between(chance, 300, 6_000),
                HangupBy::Callee,
                Some(603),
            ),
            CallOutcome::Canceled => (
                true,
                ringing + between(chance, 1_000, timeout - ringing - 1),
                HangupBy::Caller,
                Some(487),
            ),
            CallOutcome::CarrierError => (false, ringing, HangupBy::Unknown, Some(503)),
            _ => (true, timeout, HangupBy::System, Some(487)),
        };
        Self {
            picked_up: None,
            ringing: rings.then_some(ringing),
            answered: None,
            verdicts: Vec::new(),
            bridged: None,
            ended,
            end: End {
                outcome,
                hangup_by,
                sip_code: sip,
            },
        }
    }

    /// Somebody says hello; an agent is there at once, late, or not at all.
    fn person(shift: &Shift, ringing: i64, answered: i64, chance: &mut Chance) -> Self {
        let verdict = if happens(chance, shift.unsure_share) {
            Verdict::Unsure
        } else {
            Verdict::Human
        };
        let detection = shift.detection_ms.draw(chance);
        let abandoned = happens(chance, shift.abandoned_share);
        let wait = shift.agent_wait_ms.draw(chance);
        let (bridged, ended) = if abandoned {
            (None, answered + between(chance, 2_500, 12_000))
        } else {
            (
                Some(answered + wait),
                answered + wait + shift.talk_ms.draw(chance),
            )
        };
        Self {
            picked_up: Some(Party::Person),
            ringing: Some(ringing),
            answered: Some(answered),
            verdicts: vec![(answered + detection, verdict, detection)],
            bridged,
            ended,
            end: hung_up(if abandoned { 1.0 } else { 0.6 }, chance),
        }
    }

    /// A machine: hung up on after the verdict, or left a message after the beep.
    fn machine(shift: &Shift, carrier: Carrier, ringing: i64, answered: i64, chance: &mut Chance) -> Self {
        let silence = if carrier == Carrier::Telnyx { 0.04 } else { 0.0 };
        let kinds = [
            (Verdict::Machine, 0.92),
            (Verdict::Fax, 0.03),
            (Verdict::Silence, silence),
        ];
        let verdict = weighted(chance, &kinds, Verdict::Machine);
        let detection = shift.detection_ms.draw(chance);
        let heard = answered + detection;
        let message = verdict == Verdict::Machine && happens(chance, 0.3);
        let beep = heard + between(chance, 3_000, 12_000);
        let (verdicts, ended) = match (message, carrier) {
            (false, _) => (
                vec![(heard, verdict, detection)],
                heard + between(chance, 150, 900),
            ),
            // Telnyx reports the machine and then its beep; Twilio reports once, when it knows most.
            (true, Carrier::Telnyx) => (
                vec![
                    (heard, verdict, detection),
                    (beep, Verdict::Beep, beep - answered),
                ],
                beep + between(chance, 8_000, 20_000),
            ),
            (true, Carrier::Twilio) => (
                vec![(beep, Verdict::Beep, beep - answered)],
                beep + between(chance, 8_000, 20_000),
            ),
        };
        Self {
            picked_up: Some(Party::Machine),
            ringing: Some(ringing),
            answered: Some(answered),
            verdicts,
            bridged: None,
            ended,
            end: hung_up(0.0, chance),
        }
    }

    /// Somebody calls, waits, and talks to an agent or gives up.
    pub(super) fn inbound(shift: &Shift, chance: &mut Chance) -> Self {
        let answered = between(chance, 150, 900);
        let (bridged, ended, caller_hangs_up) = if happens(chance, shift.queue_abandoned_share) {
            (None, answered + shift.patience_ms.draw(chance), 1.0)
        } else {
            let bridged = answered + shift.queue_wait_ms.draw(chance);
            (Some(bridged), bridged + shift.talk_ms.draw(chance), 0.6)
        };
        let end = hung_up(caller_hangs_up, chance);
        // Inbound, the person outside is the caller.
        let hangup_by = if end.hangup_by == HangupBy::Callee {
            HangupBy::Caller
        } else {
            HangupBy::Callee
        };
        Self {
            picked_up: Some(Party::Person),
            ringing: None,
            answered: Some(answered),
            verdicts: Vec::new(),
            bridged,
            ended,
            end: End { hangup_by, ..end },
        }
    }

    /// Everything the carrier says about it, in order.
    pub(super) fn told(&self, told: &Told, chance: &mut Chance) -> Vec<PlannedFact> {
        let twilio = told.carrier == Carrier::Twilio;
        let outbound = told.direction == Direction::Outbound;
        let mut facts = vec![(0, Fact::Initiated)];
        if let Some(at) = self.ringing.filter(|_| twilio && outbound) {
            facts.push((at, Fact::Ringing));
        }
        if let Some(at) = self.answered.filter(|_| !twilio || outbound) {
            facts.push((at, Fact::Answered));
        }
        for (at, verdict, detection) in self.verdicts.iter().filter(|(at, ..)| *at < self.ended) {
            let detection_ms = u32::try_from(*detection).unwrap_or(u32::MAX);
            facts.push((
                *at,
                Fact::Amd {
                    verdict: *verdict,
                    detection_ms,
                },
            ));
        }
        if let Some(at) = self.bridged {
            facts.push((at, Fact::Bridged(told.agent_kind)));
        }
        facts.push((self.ended, Fact::Ended(self.end)));
        if let Some(answered) = self.answered.filter(|_| happens(chance, told.chatter_share)) {
            if !twilio {
                facts.push((
                    (answered + 200).min(self.ended),
                    Fact::Chatter(Chatter::StreamingStarted),
                ));
                facts.push((self.ended + 1_500, Fact::Chatter(Chatter::Cost)));
            } else if self.bridged.is_some() {
                facts.push((self.ended, Fact::Chatter(Chatter::ParticipantLeft)));
                facts.push((self.ended, Fact::Chatter(Chatter::ConferenceEnded)));
            }
        }
        facts.sort_by_key(|(at, _)| *at);
        let (mut status, mut conference) = (0, 0);
        facts
            .into_iter()
            .map(|(at, fact)| {
                let counter = match fact {
                    Fact::Bridged(_) | Fact::Chatter(_) => &mut conference,
                    // These two have no counter at Twilio.
                    Fact::Amd { .. } => &mut 0,
                    Fact::Initiated if !outbound => &mut 0,
                    _ => &mut status,
                };
                let sequence = *counter;
                *counter += 1;
                let at = told.starts_at + TimeDelta::milliseconds(at);
                PlannedFact {
                    at,
                    fact,
                    id: identity::uuid(chance),
                    sequence,
                }
            })
            .collect()
    }
}

/// Who tells a life, and about whom.
pub(super) struct Told {
    pub(super) carrier: Carrier,
    pub(super) direction: Direction,
    pub(super) agent_kind: AgentKind,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) chatter_share: f64,
}

fn hung_up(by_callee: f64, chance: &mut Chance) -> End {
    let hangup_by = if happens(chance, by_callee) {
        HangupBy::Callee
    } else {
        HangupBy::Caller
    };
    End {
        outcome: CallOutcome::Completed,
        hangup_by,
        sip_code: Some(200),
    }
}
