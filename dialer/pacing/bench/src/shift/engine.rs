//! The shift itself.

use std::{collections::VecDeque, time::Instant};

use voice_pacing::{Agent, Ended, Event, Moment, Ringing, Snapshot};

use super::{
    blend::Blend,
    carriers::{Carriers, Taken},
    clock::{Clock, Due},
    outcome::{Minute, Outcome, Spans},
    state::{Call, Seat},
};
use crate::{dialers::Dialer, draw::Chance, scenario::Scenario};

const DAY: f64 = 86_400.0;
/// Dialling stops so long before the end of a shift, and the last calls are still taken.
const LAST_CALLS: f64 = 40.0;
/// The carrier is asked about a call that has not been heard of for so long beyond the longest ringing.
const ASK_AFTER: f64 = 10.0;

struct Engine<'a, 'd> {
    scenario: &'a Scenario,
    seed: u64,
    dialers: &'a mut [Box<dyn Dialer + 'd>],
    chance: Chance,
    /// Who agreed to AI, apart from everything else that is left to chance.
    agreed: Chance,
    clock: Clock,
    now: f64,
    shift_began: f64,
    closing: bool,
    calls: Vec<Call>,
    ringing: Vec<Vec<usize>>,
    waiting: VecDeque<usize>,
    seats: Vec<Seat>,
    blend: Blend,
    ai_busy: usize,
    carriers: Carriers,
    every: f64,
    eager: bool,
    turn: usize,
    snapshot: Snapshot,
    outcome: Outcome,
}

/// Plays the scenario with a team of `agents`, one dialer per campaign.
pub fn play(scenario: &Scenario, agents: usize, seed: u64, dialers: &mut [Box<dyn Dialer + '_>]) -> Outcome {
    let every = dialers.first().and_then(|dialer| dialer.every());
    let campaigns = dialers.len();
    let mut engine = Engine {
        scenario,
        seed,
        dialers,
        chance: Chance::new(seed, 1),
        agreed: Chance::new(seed, 4),
        clock: Clock::default(),
        now: 0.0,
        shift_began: 0.0,
        closing: true,
        calls: Vec::new(),
        ringing: vec![Vec::new(); campaigns],
        waiting: VecDeque::new(),
        seats: Vec::new(),
        blend: Blend::new(campaigns, agents),
        ai_busy: 0,
        carriers: Carriers::new(scenario.carriers),
        every: every.unwrap_or(1.0),
        eager: every.is_none(),
        turn: 0,
        snapshot: Snapshot::default(),
        outcome: Outcome {
            minutes: Vec::new(),
            answers: Vec::new(),
            campaigns: vec![(0, 0); campaigns],
            misjudged: 0,
            ai_taken: 0,
            hung_up: 0,
            gone_early: 0,
            silent: 0,
            dials: 0,
            line_seconds: 0.0,
            waits: Spans::new(0.01),
            idles: Spans::new(0.5),
            thinking: Spans::new(1e-6),
            shifts: Vec::new(),
        },
    };
    for day in (0..scenario.days).filter(|day| day % 7 < 5) {
        engine.shift(day as f64 * DAY, agents);
    }
    engine.outcome
}

impl Engine<'_, '_> {
    fn shift(&mut self, began: f64, agents: usize) {
        let length = self.scenario.hours * 3_600.0;
        self.shift_began = began;
        self.now = began;
        self.closing = false;
        self.calls.clear();
        self.outcome.shifts.push((began, began + length));
        let seat = Seat {
            doing: Some(Agent::Idle),
            idle_since: began,
            leaving: false,
            campaign: 0,
            wrap: 0.0,
        };
        self.seats = vec![seat; agents];
        self.clock.set(began, Due::Look);
        self.clock.set(began + length - LAST_CALLS, Due::Closing);
        self.clock.set(began + length, Due::Closed);
        for change in &self.scenario.roster {
            for _ in 0..change.by.unsigned_abs() {
                let at = began + change.hour * 3_600.0 + change.within * self.chance.unit();
                self.clock
                    .set(at, if change.by > 0 { Due::Comes } else { Due::Leaves });
            }
        }
        while let Some((at, due)) = self.clock.next() {
            self.pass(at);
            let news = self.happen(due);
            if !self.closing && (due == Due::Look || (self.eager && news)) {
                self.decide();
            }
            if due == Due::Look && !self.closing {
                self.clock.set(at + self.every, Due::Look);
            }
        }
        // Whoever answered was connected, heard the message, or hung up first; anything else is silence.
        let silent = |call: &&Call| call.truth == Ended::Person && !call.done;
        self.outcome.silent += self.calls.iter().filter(silent).count() as u64;
    }

    /// Lets time pass, and counts who did what meanwhile.
    fn pass(&mut self, at: f64) {
        if !self.closing {
            let present = self.seats.iter().filter(|seat| seat.doing.is_some()).count() as f64;
            let busy = self
                .seats
                .iter()
                .filter(|seat| !matches!(seat.doing, None | Some(Agent::Idle)))
                .count();
            let minute = (self.now / 60.0) as usize;
            if self.outcome.minutes.len() <= minute {
                self.outcome.minutes.resize(minute + 1, Minute::default());
            }
            let minute = &mut self.outcome.minutes[minute];
            minute.present += (at - self.now) * present;
            minute.busy += (at - self.now) * busy as f64;
        }
        self.now = at;
    }

    fn moment(&self) -> Moment {
        Moment::from_seconds(self.now)
    }

    fn tell(&mut self, campaign: usize, event: Event) {
        let now = self.moment();
        self.dialers[campaign].told(event, now);
    }

    /// Returns whether the dialer has learnt something.
    fn happen(&mut self, due: Due) -> bool {
        match due {
            Due::RingOver(call) => self.ring_over(call),
            Due::News(call) => return self.news(call),
            Due::GivesUp(call) => self.gives_up(call),
            Due::AiTakes(call) => self.ai_takes(call),
            Due::AiFree => self.ai_busy -= 1,
            Due::TalkEnd(seat) => self.talk_end(seat),
            Due::WrapEnd(seat) => self.wrap_end(seat),
            Due::Comes => self.comes(),
            Due::Leaves => self.leaves(),
            Due::Look => {}
            Due::Closing => self.closing = true,
            Due::Closed => self.seats.iter_mut().for_each(|seat| seat.leaving = true),
        }
        true
    }

    fn decide(&mut self) {
        let campaigns = self.dialers.len();
        if campaigns == 1 {
            let dials = self.ask(0, usize::MAX);
            self.place(0, dials);
            return;
        }
        self.blend.update(&self.outcome.campaigns);
        // One dial each in turn, so that nobody takes the agents of all.
        let mut refused = 0;
        while refused < campaigns {
            let campaign = self.turn % campaigns;
            self.turn += 1;
            let dials = self.ask(campaign, 1);
            self.place(campaign, dials);
            refused = if dials == 0 { refused + 1 } else { 0 };
        }
    }

    fn ask(&mut self, campaign: usize, most: usize) -> usize {
        let now = self.moment();
        let mut snapshot = std::mem::take(&mut self.snapshot);
        snapshot.agents.clear();
        snapshot.agents.extend(
            self.seats
                .iter()
                .enumerate()
                .filter(|(at, seat)| !seat.leaving && self.blend.plans_with(campaign, *at))
                .filter_map(|(_, seat)| seat.doing),
        );
        snapshot.ringing.clear();
        snapshot.rivals.clear();
        for (other, ringing) in self.ringing.iter().enumerate() {
            let ringing = ringing.iter().map(|call| &self.calls[*call]);
            if other == campaign {
                snapshot.ringing.extend(ringing.map(|call| Ringing {
                    since: Moment::from_seconds(call.placed),
                    ai: f64::from(u8::from(call.ai)),
                }));
            } else if self.blend.rivals(campaign, other) {
                let placed: Vec<Moment> = ringing.map(|call| Moment::from_seconds(call.placed)).collect();
                snapshot.rivals.extend(self.dialers[other].rivals(&placed, now));
            }
        }
        let wants = |call: &&usize| {
            let other = self.calls[**call].campaign;
            other == campaign || self.blend.rivals(campaign, other)
        };
        snapshot.waiting = self.waiting.iter().filter(wants).count();
        snapshot.ai_free = self.scenario.ai.map_or(0, |ai| ai.places - self.ai_busy);
        let closes = self.shift_began + self.scenario.hours * 3_600.0 - LAST_CALLS;
        snapshot.closes = Some(Moment::from_seconds(closes));
        snapshot.lines = self.carriers.lines(self.now).min(most);
        let began = Instant::now();
        let dials = self.dialers[campaign].dial(&snapshot, now);
        self.outcome.thinking.add(began.elapsed().as_secs_f64());
        self.snapshot = snapshot;
        dials
    }

    fn place(&mut self, campaign: usize, dials: usize) {
        for _ in 0..dials {
            let (route, alive) = match self.carriers.place(self.now, self.now - self.shift_began) {
                Taken::TooMany => {
                    let since = self.moment();
                    self.tell(
                        campaign,
                        Event::RingingEnded {
                            since,
                            how: Ended::Refused,
                        },
                    );
                    break;
                }
                Taken::Dead(route) => (route, false),
                Taken::Yes(route) => (route, true),
            };
            let (truth, rings) = if alive {
                self.fate(campaign)
            } else {
                (Ended::Refused, 1.0)
            };
            self.outcome.dials += u64::from(alive);
            self.outcome.line_seconds += rings;
            let ai = self.scenario.ai.is_some_and(|ai| self.agreed.happens(ai.consent));
            self.tell(campaign, Event::Placed { ai });
            let call = self.calls.len();
            self.calls.push(Call {
                campaign,
                route,
                placed: self.now,
                truth,
                judged: truth,
                answered: 0.0,
                hangs_up: false,
                gone_early: false,
                known: false,
                done: false,
                waiting: false,
                ai,
            });
            self.ringing[campaign].push(call);
            self.clock.set(self.now + rings, Due::RingOver(call));
        }
    }

    /// What a number is going to do.
    fn fate(&mut self, campaign: usize) -> (Ended, f64) {
        let scenario = self.scenario;
        let chance = &mut self.chance;
        let p = scenario.answer[campaign].at(self.now - self.shift_began, self.seed);
        if chance.happens(p) {
            loop {
                let rings = scenario.to_answer.draw(chance);
                if rings < scenario.ring_limit {
                    return (Ended::Person, rings);
                }
            }
        }
        let kind = chance.unit();
        if kind < scenario.machines {
            (Ended::Machine, scenario.to_machine.draw(chance))
        } else if kind < scenario.machines + scenario.busy {
            let how = if chance.happens(0.5) {
                Ended::Busy
            } else {
                Ended::Failed
            };
            (how, scenario.to_busy.draw(chance))
        } else {
            (Ended::NoAnswer, scenario.ring_limit)
        }
    }

    fn ring_over(&mut self, call: usize) {
        let scenario = self.scenario;
        let truth = self.calls[call].truth;
        let mut after = 0.0;
        if let (Some(detection), Ended::Person | Ended::Machine) = (&scenario.detection, truth) {
            after = detection.delay.draw(&mut self.chance);
            let person = truth == Ended::Person;
            let wrong = if person {
                detection.false_positive
            } else {
                detection.false_negative
            };
            if self.chance.happens(wrong) {
                self.calls[call].judged = if person { Ended::Machine } else { Ended::Person };
            }
            if after > detection.within {
                // Nobody hangs up on somebody unknown.
                after = detection.within;
                self.calls[call].judged = Ended::Person;
            }
        }
        let judged = self.calls[call].judged;
        if truth == Ended::Person || judged == Ended::Person {
            let mut gives_up = scenario.connect_within + scenario.greeting.draw(&mut self.chance);
            if scenario.hang_up > 0.0 {
                let hangs_up = -scenario.hang_up * (1.0 - self.chance.unit()).ln();
                self.calls[call].hangs_up = hangs_up < gives_up;
                gives_up = gives_up.min(hangs_up);
            }
            self.calls[call].answered = self.now;
            if judged == Ended::Person {
                self.clock.set(self.now + gives_up, Due::GivesUp(call));
            }
        }
        let hooks = scenario.webhooks;
        if self.chance.happens(hooks.lost) {
            let longest = scenario.ring_limit.min(120.0) + ASK_AFTER;
            let asked = (self.calls[call].placed + longest).max(self.now + ASK_AFTER);
            self.clock.set(asked, Due::News(call));
            return;
        }
        let mut delay = after + hooks.least + (hooks.most - hooks.least) * self.chance.unit();
        if self.chance.happens(hooks.reordered) {
            delay += 1.0 + 2.0 * self.chance.unit();
        }
        if self.chance.happens(hooks.duplicates) {
            self.clock
                .set(self.now + delay + 2.0 * self.chance.unit(), Due::News(call));
        }
        if delay > 0.0 {
            self.clock.set(self.now + delay, Due::News(call));
        } else {
            self.news(call);
        }
    }

    /// The dialer hears that a call is no longer ringing. Hearing it twice is hearing it once.
    fn news(&mut self, at: usize) -> bool {
        let call = self.calls[at];
        if call.known {
            return false;
        }
        self.calls[at].known = true;
        let ringing = &mut self.ringing[call.campaign];
        if let Some(place) = ringing.iter().position(|other| *other == at) {
            ringing.remove(place);
        }
        self.carriers
            .heard(call.route, call.judged == Ended::Refused, self.now);
        let since = Moment::from_seconds(call.placed);
        self.tell(
            call.campaign,
            Event::RingingEnded {
                since,
                how: call.judged,
            },
        );
        if call.judged == Ended::Person {
            if call.gone_early {
                // Nobody is there any more.
            } else if call.done {
                self.tell(call.campaign, Event::Abandoned);
            } else {
                self.seek_agent(at);
            }
        } else if call.truth == Ended::Person {
            self.calls[at].done = true;
            self.outcome.misjudged += 1;
        }
        true
    }

    fn seek_agent(&mut self, call: usize) {
        let campaign = self.calls[call].campaign;
        let free = self
            .seats
            .iter()
            .enumerate()
            .filter(|(at, seat)| seat.doing == Some(Agent::Idle) && self.blend.takes(campaign, *at))
            .min_by(|(_, one), (_, other)| one.idle_since.total_cmp(&other.idle_since));
        if let Some((seat, _)) = free {
            self.connect(call, seat);
            return;
        }
        if self.scenario.connect_within <= 0.0 {
            self.gives_up(call);
            return;
        }
        self.calls[call].waiting = true;
        self.waiting.push_back(call);
        if let Some(ai) = self.scenario.ai.filter(|_| self.calls[call].ai) {
            let at = (self.calls[call].answered + ai.after).max(self.now);
            self.clock.set(at, Due::AiTakes(call));
        }
    }

    fn connect(&mut self, at: usize, seat: usize) {
        let call = self.calls[at];
        self.calls[at].done = true;
        self.calls[at].waiting = false;
        let person = call.truth == Ended::Person;
        let talk = match &self.scenario.detection {
            Some(detection) if !person => detection.machine_talk.draw(&mut self.chance),
            _ => self.scenario.talk.draw(&mut self.chance),
        };
        let wrap = self.scenario.wrap.draw(&mut self.chance);
        self.outcome.line_seconds += talk;
        let since = self.moment();
        let state = &mut self.seats[seat];
        state.doing = Some(Agent::Talking { since });
        state.campaign = call.campaign;
        state.wrap = wrap;
        if person {
            self.outcome.idles.add(self.now - state.idle_since);
            self.outcome.waits.add(self.now - call.answered);
            self.count(call.campaign, false);
        }
        self.clock.set(self.now + talk, Due::TalkEnd(seat));
        self.tell(call.campaign, Event::Connected);
        if !person {
            // The agent says so at once.
            self.tell(call.campaign, Event::Misjudged);
        }
    }

    fn count(&mut self, campaign: usize, lost: bool) {
        self.outcome.answers.push((self.now, lost));
        self.outcome.campaigns[campaign].0 += 1;
        self.outcome.campaigns[campaign].1 += u64::from(lost);
    }

    fn gives_up(&mut self, at: usize) {
        let call = self.calls[at];
        if call.done {
            return;
        }
        self.calls[at].done = true;
        if call.hangs_up && (!call.known || call.ai) {
            // Gone within the time the law gives, before the verdict was there or AI took over.
            self.outcome.gone_early += 1;
            self.calls[at].gone_early = true;
            self.stop_waiting(at);
            return;
        }
        if call.truth == Ended::Person {
            self.count(call.campaign, true);
            self.outcome.hung_up += u64::from(call.hangs_up);
        }
        self.stop_waiting(at);
        if call.known {
            self.tell(call.campaign, Event::Abandoned);
        }
    }

    fn stop_waiting(&mut self, at: usize) {
        if std::mem::take(&mut self.calls[at].waiting) {
            self.waiting.retain(|other| *other != at);
        }
    }

    fn ai_takes(&mut self, at: usize) {
        let Some(ai) = self.scenario.ai else { return };
        if self.calls[at].done || self.ai_busy >= ai.places {
            return;
        }
        let call = self.calls[at];
        self.calls[at].done = true;
        self.stop_waiting(at);
        self.ai_busy += 1;
        self.outcome.ai_taken += 1;
        self.outcome.waits.add(self.now - call.answered);
        self.count(call.campaign, false);
        let talk = self.scenario.talk.draw(&mut self.chance);
        self.clock.set(self.now + talk, Due::AiFree);
        self.tell(call.campaign, Event::Overflowed);
    }

    fn talk_end(&mut self, seat: usize) {
        let state = self.seats[seat];
        if let Some(Agent::Talking { since }) = state.doing {
            self.tell(state.campaign, Event::TalkEnded { since });
        }
        let since = self.moment();
        self.seats[seat].doing = Some(Agent::Wrapping { since });
        if state.wrap > 0.0 {
            self.clock.set(self.now + state.wrap, Due::WrapEnd(seat));
        } else {
            self.wrap_end(seat);
        }
    }

    fn wrap_end(&mut self, seat: usize) {
        let state = self.seats[seat];
        if let Some(Agent::Wrapping { since }) = state.doing {
            self.tell(state.campaign, Event::WrapEnded { since });
        }
        self.free(seat);
    }

    fn free(&mut self, seat: usize) {
        if self.seats[seat].leaving {
            self.seats[seat].doing = None;
            return;
        }
        self.seats[seat].doing = Some(Agent::Idle);
        self.seats[seat].idle_since = self.now;
        let takes = |call: &usize| self.blend.takes(self.calls[*call].campaign, seat);
        let alone = |call: &usize| takes(call) && !self.calls[*call].ai;
        // Those whom nobody else may take come first.
        if let Some(call) = self
            .waiting
            .iter()
            .position(alone)
            .or_else(|| self.waiting.iter().position(takes))
            .and_then(|at| self.waiting.remove(at))
        {
            self.connect(call, seat);
        }
    }

    fn comes(&mut self) {
        let seat = self.seats.len();
        self.seats.push(Seat {
            doing: None,
            idle_since: self.now,
            leaving: false,
            campaign: 0,
            wrap: 0.0,
        });
        self.free(seat);
    }

    /// Who is idle leaves at once; otherwise somebody leaves when the wrap-up is done.
    fn leaves(&mut self) {
        let staying = |seat: &&mut Seat| seat.doing.is_some() && !seat.leaving;
        if let Some(seat) = self.seats.iter_mut().filter(staying).last() {
            seat.leaving = true;
            if seat.doing == Some(Agent::Idle) {
                seat.doing = None;
            }
        }
    }
}
