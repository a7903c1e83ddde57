//! The switchboard: every live call, driven by one queue of timers. Pure: whoever asks says what time it is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
};

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::{CallOutcome, Carrier, HangupBy};

use super::{
    LiveOptions,
    desk::{Desk, Tick, Timer},
    limits::{Declined, Lane, Limits},
    line::{Detection, Doing, Line, OnAnswer, Order, Outgoing, Phase},
    outage::{self, Outage, Trouble},
    population::{Fate, Population, key_of},
    post::{Delivery, Post, Reply},
    script::{Seat, Step},
    stream::Streams,
    truth::{CallTruth, Truth},
};
use crate::{Account, Faults, plan::End};

/// What a carrier calls a call: its id, and Telnyx's names of its leg and session.
pub(crate) struct Ids {
    pub(crate) id: String,
    pub(crate) leg: uuid::Uuid,
    pub(crate) session: uuid::Uuid,
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was done.
    Done,
    /// The call is over.
    Over,
    /// Nobody has picked up yet.
    NotAnswered,
}

/// Something the platform has to be asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) line: u64,
    pub(crate) turn: u32,
    pub(crate) account: usize,
    pub(crate) url: String,
    pub(crate) form: Vec<(&'static str, String)>,
    /// It tells what was pressed.
    pub(crate) pressed: bool,
}

/// Every call placed at the twin.
#[derive(Debug)]
pub(crate) struct Board {
    lines: HashMap<u64, Line>,
    ids: HashMap<String, u64>,
    order: VecDeque<u64>,
    keys: u64,
    remember: usize,
    desk: Desk,
}

impl Board {
    /// `awake`: calls come alive; else they stay queued until they are hung up.
    pub(crate) fn new(options: &LiveOptions, accounts: &[Account], awake: bool) -> Self {
        let lane = |place: usize, account: &Account| {
            let limits = options.limits.get(place).copied().unwrap_or_default();
            Lane::new(account.carrier(), limits)
        };
        Self {
            lines: HashMap::new(),
            ids: HashMap::new(),
            order: VecDeque::new(),
            keys: 0,
            remember: options.remember,
            desk: Desk {
                seed: options.seed,
                population: options.population.clone(),
                scale: options.time_scale,
                people_in_rooms: options.people_in_rooms,
                awake,
                accounts: accounts
                    .iter()
                    .map(|account| account.carrier_account().to_owned())
                    .collect(),
                lanes: accounts
                    .iter()
                    .enumerate()
                    .map(|(place, account)| lane(place, account))
                    .collect(),
                timers: BinaryHeap::new(),
                timed: 0,
                post: Post::new(options.faults, options.seed, options.retries),
                questions: VecDeque::new(),
                streamed: options.streams == Streams::Opened,
                streams: VecDeque::new(),
                streaming: HashMap::new(),
                rooms: HashMap::new(),
                fates: HashMap::new(),
                everybody: None,
                tries: HashMap::new(),
                agents: HashSet::new(),
                outages: Vec::new(),
                truth: Truth::default(),
            },
        }
    }

    /// Takes a call on.
    pub(crate) fn place(&mut self, order: Order, ids: Ids, now: DateTime<Utc>) -> Result<&Line, Declined> {
        self.advance(now);
        let desk = &mut self.desk;
        let Some(lane) = desk.lanes.get_mut(order.account) else {
            return Err(Declined::TooManyCalls);
        };
        let begins_at = match lane.admit(now) {
            Ok(begins_at) => begins_at,
            Err(declined) => {
                desk.truth.declined += 1;
                return Err(declined);
            }
        };
        let carrier = desk.carrier(order.account);
        let number = key_of(&order.to);
        let tries = desk.tries.entry(number).or_default();
        let ordinal = *tries;
        *tries += 1;
        let address = ["sip:", "sips:", "client:"];
        let agent =
            address.iter().any(|scheme| order.to.starts_with(scheme)) || desk.agents.contains(&number);
        let callee = desk.callee(number, ordinal, agent);
        self.keys += 1;
        let key = self.keys;
        let line = Line {
            carrier,
            id: ids.id,
            leg: ids.leg,
            session: ids.session,
            number,
            ordinal,
            callee,
            agent,
            placed_at: now,
            begins_at,
            phase: Phase::Queued,
            answered_at: None,
            ended: None,
            script: VecDeque::new(),
            doing: Doing::Nothing,
            turn: 0,
            spoken: 0,
            silent_since: None,
            seat: None,
            action: None,
            keys: None,
            reports: false,
            connected: None,
            first_heard: None,
            heard_message: false,
            verdict: None,
            stream: None,
            out: Outgoing::default(),
            order,
        };
        desk.truth.alive += 1;
        desk.truth.placed += u64::from(!agent);
        if desk.awake {
            desk.at(begins_at, key, Tick::Begin);
        }
        self.forget();
        self.order.push_back(key);
        self.ids.insert(line.id.clone(), key);
        Ok(self.lines.entry(key).or_insert(line))
    }

    /// The oldest calls that are over are forgotten beyond as many as are to be remembered.
    fn forget(&mut self) {
        while self.order.len() >= self.remember
            && let Some(oldest) = self.order.pop_front()
        {
            let over = self
                .lines
                .get(&oldest)
                .is_none_or(|line| line.out.settled || !self.desk.awake);
            if !over {
                // It lives, or webhooks of it are under way.
                self.order.push_back(oldest);
                return;
            }
            if let Some(line) = self.lines.remove(&oldest) {
                self.ids.remove(&line.id);
            }
        }
    }

    /// The call, if the account may see it.
    pub(crate) fn get(&self, account: usize, id: &str) -> Option<&Line> {
        let line = self.lines.get(self.ids.get(id)?)?;
        (line.order.account == account).then_some(line)
    }

    fn with<T>(
        &mut self,
        account: usize,
        id: &str,
        now: DateTime<Utc>,
        act: impl FnOnce(&mut Desk, &mut Line, u64) -> T,
    ) -> Option<T> {
        self.advance(now);
        let key = *self.ids.get(id)?;
        let line = self
            .lines
            .get_mut(&key)
            .filter(|line| line.order.account == account)?;
        let result = act(&mut self.desk, line, key);
        // What follows at once does.
        self.advance(now);
        Some(result)
    }

    /// Ends a call in the platform's name.
    pub(crate) fn hang_up(&mut self, account: usize, id: &str, now: DateTime<Utc>) -> Option<Found> {
        self.with(account, id, now, |desk, line, key| {
            if line.ended.is_some() {
                return Found::Over;
            }
            desk.end(line, key, by_platform(line), now);
            Found::Done
        })
    }

    /// Gives an answered call new steps instead of those it has. Where there are none, it goes on as it is.
    pub(crate) fn instruct(
        &mut self,
        account: usize,
        id: &str,
        steps: Vec<Step>,
        now: DateTime<Utc>,
    ) -> Option<Found> {
        self.with(account, id, now, |desk, line, key| {
            if line.ended.is_some() {
                return Found::Over;
            }
            if line.answered_at.is_none() {
                return Found::NotAnswered;
            }
            // Whoever sits in a room at Telnyx stays there while something is played to them.
            let stays = line.carrier == Carrier::Telnyx && !matches!(steps.first(), Some(Step::Room(_)));
            if line.seat.is_some() && stays {
                return Found::Done;
            }
            desk.leave(line, key, now);
            desk.break_off(line, key, now);
            line.script = steps.into();
            desk.go_on(line, key, now);
            Found::Done
        })
    }

    /// Whether the call lives; `None` when there is no such call.
    pub(crate) fn is_alive(&self, account: usize, id: &str) -> Option<bool> {
        self.get(account, id).map(|line| line.ended.is_none())
    }

    /// The room with this name or id that is open at this account: its id and name.
    pub(crate) fn room(&self, account: usize, name_or_id: &str) -> Option<(String, String)> {
        let rooms = self.desk.rooms.iter();
        rooms
            .filter(|((owner, _), _)| *owner == account)
            .find(|((_, name), room)| name == name_or_id || room.id == name_or_id)
            .map(|((_, name), room)| (room.id.clone(), name.clone()))
    }

    /// Seats an answered call, in a room that is opened for it if need be.
    pub(crate) fn seat(&mut self, account: usize, id: &str, seat: Seat, now: DateTime<Utc>) -> Option<Found> {
        self.instruct(account, id, vec![Step::Room(seat)], now)
    }

    /// Takes a call out of a room; it hears nothing from then on.
    pub(crate) fn unseat(
        &mut self,
        account: usize,
        id: &str,
        room: &str,
        now: DateTime<Utc>,
    ) -> Option<Found> {
        self.with(account, id, now, |desk, line, key| {
            if line.seat.as_ref().is_none_or(|seat| seat.room != room) {
                return Found::Over;
            }
            desk.leave(line, key, now);
            desk.go_on(line, key, now);
            Found::Done
        })
    }

    /// What comes back with the webhooks of a call from now on.
    pub(crate) fn set_client_state(&mut self, account: usize, id: &str, state: String) {
        let line = self.ids.get(id).and_then(|key| self.lines.get_mut(key));
        if let Some(line) = line.filter(|line| line.order.account == account) {
            line.order.client_state = Some(state);
        }
    }

    /// Takes an answer of the platform to a question.
    pub(crate) fn answered(
        &mut self,
        (line, turn, pressed): (u64, u32, bool),
        steps: Option<Vec<Step>>,
        now: DateTime<Utc>,
    ) {
        self.advance(now);
        if let Some(asked) = self.lines.get_mut(&line).filter(|_| pressed && steps.is_some()) {
            asked.out.facts += 1;
            self.desk.truth.facts += 1;
        }
        let Some(asked) = self
            .lines
            .get_mut(&line)
            .filter(|asked| asked.turn == turn && asked.ended.is_none())
        else {
            return;
        };
        match steps {
            Some(steps) => {
                asked.script = steps.into();
                self.desk.go_on(asked, line, now);
            }
            // 11200: there is nothing to be done with a call whose instructions cannot be had.
            None => self.desk.end(asked, line, by_platform(asked), now),
        }
        self.advance(now);
    }

    /// What the platform has to be asked.
    pub(crate) fn question(&mut self) -> Option<Question> {
        self.desk.questions.pop_front()
    }

    /// The next webhook that is due.
    pub(crate) fn delivery(&mut self, now: DateTime<Utc>) -> Option<Delivery> {
        self.desk.post.take(now)
    }

    /// What the platform said to it.
    pub(crate) fn conclude(&mut self, delivery: Delivery, reply: Reply, now: DateTime<Utc>) {
        let line = self.lines.get_mut(&delivery.letter.webhook.line);
        let desk = &mut self.desk;
        desk.post.conclude(delivery, reply, line, &mut desk.truth, now);
    }

    /// When something happens by itself next.
    pub(crate) fn next_due(&self) -> Option<DateTime<Utc>> {
        let timer = self.desk.timers.peek().map(|Reverse(timer)| timer.at);
        [timer, self.desk.post.next_due()].into_iter().flatten().min()
    }

    /// Lets everything happen that is due.
    pub(crate) fn advance(&mut self, now: DateTime<Utc>) {
        while let Some(Reverse(timer)) = self.desk.timers.peek().filter(|Reverse(timer)| timer.at <= now) {
            let Timer {
                at, line: key, tick, ..
            } = *timer;
            self.desk.timers.pop();
            if let Some(line) = self.lines.get_mut(&key) {
                fire(&mut self.desk, line, key, tick, at);
            }
        }
    }

    pub(crate) fn truth(&self) -> Truth {
        self.desk.truth.clone()
    }

    pub(crate) fn calls(&self) -> Vec<CallTruth> {
        self.order
            .iter()
            .filter_map(|key| self.lines.get(key))
            .map(Line::truth)
            .collect()
    }

    /// No call lives and no webhook waits.
    pub(crate) fn is_quiet(&self) -> bool {
        self.desk.truth.alive == 0 && self.desk.post.open == 0 && self.desk.streaming.is_empty()
    }

    pub(crate) fn set_fate(&mut self, number: &str, fate: Option<Fate>) {
        let key = key_of(number);
        match fate {
            Some(fate) => self.desk.fates.insert(key, fate),
            None => self.desk.fates.remove(&key),
        };
    }

    pub(crate) const fn set_everybody(&mut self, fate: Option<Fate>) {
        self.desk.everybody = fate;
    }

    pub(crate) fn set_population(&mut self, population: Population) {
        self.desk.population = population;
    }

    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.desk.post.set_faults(faults);
    }

    pub(crate) fn set_limits(&mut self, account: usize, limits: Limits) {
        if let Some(lane) = self.desk.lanes.get_mut(account) {
            lane.limits = limits;
        }
    }

    pub(crate) fn add_agent(&mut self, number: &str) {
        self.desk.agents.insert(key_of(number));
    }

    pub(crate) fn add_outage(&mut self, outage: Outage) {
        self.desk.outages.push(outage);
    }

    /// What is wrong with the REST API of the carrier now, and until when.
    pub(crate) fn trouble(
        &mut self,
        carrier: Carrier,
        now: DateTime<Utc>,
    ) -> Option<(Trouble, DateTime<Utc>)> {
        let trouble = outage::of_requests(&self.desk.outages, carrier, now);
        self.desk.truth.troubled += u64::from(trouble.is_some());
        trouble
    }
}

/// The end of a call its owner ends.
pub(crate) const fn by_platform(line: &Line) -> End {
    End {
        outcome: if line.answered_at.is_some() {
            CallOutcome::Completed
        } else {
            CallOutcome::Canceled
        },
        hangup_by: HangupBy::Caller,
        sip_code: None,
    }
}

const fn by_callee() -> End {
    End {
        outcome: CallOutcome::Completed,
        hangup_by: HangupBy::Callee,
        sip_code: None,
    }
}

const fn failed(outcome: CallOutcome, code: u16) -> End {
    End {
        outcome,
        hangup_by: HangupBy::Unknown,
        sip_code: Some(code),
    }
}

/// A timer of a live call runs out.
fn fire(desk: &mut Desk, line: &mut Line, key: u64, tick: Tick, at: DateTime<Utc>) {
    if line.ended.is_some() {
        return;
    }
    match tick {
        Tick::Begin => begin(desk, line, key, at),
        Tick::Ring if line.phase < Phase::Ringing => ring(desk, line, key, at),
        Tick::PickUp if line.phase < Phase::Answered => pick_up(desk, line, key, at),
        Tick::Fail(outcome, code) if line.phase < Phase::Answered => {
            desk.end(line, key, failed(outcome, code), at);
        }
        Tick::GiveUp if line.phase < Phase::Answered => {
            let end = End {
                hangup_by: HangupBy::System,
                ..failed(CallOutcome::NoAnswer, 487)
            };
            desk.end(line, key, end, at);
        }
        Tick::Verdict(verdict) => {
            line.verdict = Some(verdict);
            let took = line
                .answered_at
                .map_or(0, |answered| (at - answered).num_milliseconds());
            desk.tell(line, key, &super::telling::Tale::Verdict(verdict, took), at);
        }
        Tick::Impatient(spoken) if line.spoken == spoken && line.silent_since.is_some() => {
            desk.end(line, key, by_callee(), at);
        }
        Tick::MachineOver if line.connected.is_none() => desk.end(line, key, by_callee(), at),
        Tick::TimeLimit => desk.end(line, key, by_platform(line), at),
        Tick::Pressed(turn) if line.turn == turn => desk.pressed(line, key, at),
        Tick::StepOver(turn) if line.turn == turn => desk.step_over(line, key, at),
        Tick::Met => desk.met(line, key, at),
        Tick::Deserted => desk.deserted(line, key, at),
        _ => {}
    }
}

fn begin(desk: &mut Desk, line: &mut Line, key: u64, at: DateTime<Utc>) {
    use super::telling::Tale;
    line.phase = Phase::Dialling;
    desk.tell(line, key, &Tale::Initiated, at);
    let set_up = at + TimeDelta::milliseconds(line.callee.setup_ms);
    desk.at(at + line.order.ring, key, Tick::GiveUp);
    let tick = match line.callee.fate {
        Fate::Disconnected => Tick::Fail(CallOutcome::InvalidNumber, 404),
        Fate::CarrierFailure => Tick::Fail(CallOutcome::CarrierError, 503),
        _ => Tick::Ring,
    };
    desk.at(set_up, key, tick);
}

fn ring(desk: &mut Desk, line: &mut Line, key: u64, at: DateTime<Utc>) {
    line.phase = Phase::Ringing;
    desk.tell(line, key, &super::telling::Tale::Ringing, at);
    let rung = at + TimeDelta::milliseconds(line.callee.ring_ms);
    match line.callee.fate {
        Fate::Busy => desk.at(rung, key, Tick::Fail(CallOutcome::Busy, 486)),
        Fate::Rejected => desk.at(rung, key, Tick::Fail(CallOutcome::Rejected, 603)),
        fate if fate.picks_up() => desk.at(rung, key, Tick::PickUp),
        _ => {}
    }
}

fn pick_up(desk: &mut Desk, line: &mut Line, key: u64, at: DateTime<Utc>) {
    use crate::plan::Verdict;
    line.phase = Phase::Answered;
    line.answered_at = Some(at);
    desk.tell(line, key, &super::telling::Tale::Answered, at);
    desk.at(at + line.order.limit, key, Tick::TimeLimit);
    let callee = line.callee;
    let after = |ms: i64| at + TimeDelta::milliseconds(ms);
    let beep = after(callee.greeting_ms);
    let (verdict, verdict_at) = (callee.verdict, after(callee.verdict_ms));
    match line.order.detection {
        Detection::AtBeep if verdict == Verdict::Machine => {
            let by_then = beep.max(verdict_at);
            desk.at(by_then, key, Tick::Verdict(Verdict::Beep));
        }
        Detection::Detect | Detection::AtBeep => desk.at(verdict_at, key, Tick::Verdict(verdict)),
        Detection::AndBeep => {
            desk.at(verdict_at, key, Tick::Verdict(verdict));
            if verdict == Verdict::Machine && callee.fate == Fate::Machine {
                desk.at(beep.max(verdict_at), key, Tick::Verdict(Verdict::Beep));
            }
        }
        Detection::Off => {}
    }
    match callee.fate {
        Fate::Machine => desk.at(
            after(callee.greeting_ms + callee.recording_ms),
            key,
            Tick::MachineOver,
        ),
        Fate::Fax => desk.at(after(callee.recording_ms), key, Tick::MachineOver),
        _ => {}
    }
    desk.silence(line, key, at);
    match std::mem::replace(&mut line.order.on_answer, OnAnswer::Wait) {
        OnAnswer::Script(steps) => {
            line.script = steps.into();
            desk.go_on(line, key, at);
        }
        OnAnswer::Fetch(url) => desk.ask(line, key, url, None),
        OnAnswer::Wait => {}
    }
}

mod streams;
#[cfg(test)]
mod tests;
