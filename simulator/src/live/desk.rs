//! What a call does once it was picked up: it listens, waits, talks, sits in a room, and ends.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;
use voice_schemas::events::call::{AgentKind, CallOutcome, Carrier, HangupBy};

use super::{
    board::{Question, by_platform},
    limits::Lane,
    line::{Doing, Line, Phase},
    outage::Outage,
    population::{Callee, Fate, Population, of_try},
    post::{self, Post},
    script::{Seat, Sound, Step},
    stream::{self, caller::Caller, wire::Names},
    telling::{self, Tale},
    truth::Truth,
};
use crate::{
    plan::{End, Verdict},
    text::hex,
};

/// How long a spoken character takes.
const PER_CHARACTER_MS: i64 = 65;
/// An agent's telephone picks up by itself.
const AGENT_RING_MS: i64 = 200;
/// What callees say is drawn from other bits than who they are.
const STREAMS: u64 = 0x7374_7265_616d;
const FOR_EVER_MS: i64 = 86_400_000;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    Begin,
    Ring,
    PickUp,
    Fail(CallOutcome, u16),
    /// It has rung for as long as was asked for.
    GiveUp,
    Verdict(Verdict),
    /// The callee has waited for long enough, unless somebody spoke since.
    Impatient(u32),
    /// The machine has recorded enough.
    MachineOver,
    TimeLimit,
    /// A key is pressed, if the call is still at it.
    Pressed(u32),
    /// What the call does is over, if it still does it.
    StepOver(u32),
    /// An agent has come into the room.
    Met,
    /// The last agent has left it, or it was closed.
    Deserted,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub(crate) at: DateTime<Utc>,
    place: u64,
    pub(crate) line: u64,
    pub(crate) tick: Tick,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.place).cmp(&(other.at, other.place))
    }
}

/// A room with somebody in it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: String,
    customers: Vec<u64>,
    agents: Vec<u64>,
    sequence: u32,
}

#[cfg(test)]
impl Room {
    pub(crate) fn len(&self) -> usize {
        self.customers.len() + self.agents.len()
    }
}

/// Everything beside the lines themselves.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) seed: u64,
    pub(crate) population: Population,
    pub(crate) scale: f64,
    /// An agent sits in every room, with a telephone that is not the carrier's.
    pub(crate) people_in_rooms: bool,
    /// Calls come alive.
    pub(crate) awake: bool,
    /// What the carriers call the accounts.
    pub(crate) accounts: Vec<String>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) timers: BinaryHeap<Reverse<Timer>>,
    pub(crate) timed: u64,
    pub(crate) post: Post,
    pub(crate) questions: VecDeque<Question>,
    /// Calls that are told to stream open a socket.
    pub(crate) streamed: bool,
    /// Streams to be opened.
    pub(crate) streams: VecDeque<stream::Order>,
    /// Those under way, by call and what it did: one whose sender is gone has to end.
    pub(crate) streaming: HashMap<(u64, u32), Option<oneshot::Sender<()>>>,
    pub(crate) rooms: HashMap<(usize, String), Room>,
    pub(crate) fates: HashMap<u64, Fate>,
    pub(crate) everybody: Option<Fate>,
    pub(crate) tries: HashMap<u64, u32>,
    pub(crate) agents: HashSet<u64>,
    pub(crate) outages: Vec<Outage>,
    pub(crate) truth: Truth,
}

impl Desk {
    pub(crate) fn carrier(&self, account: usize) -> Carrier {
        self.lanes
            .get(account)
            .map_or(Carrier::Telnyx, |lane| lane.carrier())
    }

    pub(crate) fn callee(&self, number: u64, ordinal: u32, agent: bool) -> Callee {
        let fixed = self.fates.get(&number).copied().or(self.everybody);
        let fixed = if agent { Some(Fate::Person) } else { fixed };
        let callee = self
            .population
            .callee(self.seed, number, ordinal, fixed, self.scale);
        if !agent {
            return callee;
        }
        Callee {
            setup_ms: 0,
            ring_ms: AGENT_RING_MS,
            patience_ms: FOR_EVER_MS,
            talk_ms: FOR_EVER_MS,
            ai_talk_ms: FOR_EVER_MS,
            presses: None,
            ..callee
        }
    }

    pub(crate) fn at(&mut self, at: DateTime<Utc>, line: u64, tick: Tick) {
        self.timed += 1;
        let place = self.timed;
        self.timers.push(Reverse(Timer {
            at,
            place,
            line,
            tick,
        }));
    }

    pub(crate) fn tell(&mut self, line: &mut Line, key: u64, tale: &Tale, at: DateTime<Utc>) {
        let Some(account) = self.accounts.get(line.order.account).filter(|_| self.awake) else {
            return;
        };
        for webhook in telling::webhooks(line, key, account, tale, at) {
            self.post.add(line, webhook, &self.outages, &mut self.truth, at);
        }
    }

    /// What the call did is over or broken off.
    pub(crate) const fn turn(&self, line: &mut Line) {
        line.turn += 1;
        line.doing = Doing::Nothing;
    }

    /// What the call does is broken off.
    pub(crate) fn break_off(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        if line.doing == Doing::Talking(AgentKind::Ai) {
            self.tell(line, key, &Tale::StreamStopped, at);
            if let Some(stream) = self.streaming.get_mut(&(key, line.turn)) {
                // The call does something else from now on.
                *stream = None;
            }
        }
        self.turn(line);
    }

    fn busy_for(&mut self, line: &mut Line, key: u64, doing: Doing, ms: i64, at: DateTime<Utc>) {
        self.turn(line);
        line.doing = doing;
        self.at(at + TimeDelta::milliseconds(ms), key, Tick::StepOver(line.turn));
    }

    /// Nobody speaks to them from now on.
    pub(crate) fn silence(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        if line.silent_since.is_some() || !line.callee.fate.is_person() || line.agent {
            return;
        }
        line.silent_since = Some(at);
        let until = at + TimeDelta::milliseconds(line.callee.patience_ms);
        self.at(until, key, Tick::Impatient(line.spoken));
    }

    pub(crate) fn hears(line: &mut Line, at: DateTime<Utc>) {
        line.spoken += 1;
        line.silent_since = None;
        line.first_heard.get_or_insert(at);
    }

    /// The next step of the call.
    pub(crate) fn go_on(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        let Some(step) = line.script.pop_front() else {
            match line.carrier {
                // A document that is over ends the call.
                Carrier::Twilio => self.end(line, key, by_platform(line), at),
                Carrier::Telnyx => {
                    self.turn(line);
                    self.silence(line, key, at);
                }
            }
            return;
        };
        match step {
            Step::Sound(sound) => {
                let ms = duration(&line.callee, &sound, self.scale);
                let spoken = matches!(sound, Sound::Said(_));
                line.heard_message = true;
                Self::hears(line, at);
                self.tell(line, key, &Tale::SpeechStarted { spoken }, at);
                self.busy_for(line, key, Doing::Hearing { spoken }, ms, at);
            }
            Step::Pause { seconds } => {
                self.silence(line, key, at);
                self.busy_for(line, key, Doing::Pausing, i64::from(seconds) * 1_000, at);
            }
            Step::Gather {
                sounds,
                seconds,
                action,
                keys,
                reports,
            } => {
                (line.action, line.keys, line.reports) = (action, keys, reports);
                self.gather(line, key, &sounds, seconds, at);
            }
            Step::Stream { url, parameters } => {
                self.tell(line, key, &Tale::StreamStarted, at);
                if self.streamed {
                    self.open_stream(line, key, url, parameters, at);
                } else {
                    self.talk(line, key, AgentKind::Ai, at);
                }
            }
            Step::Room(seat) => self.join(line, key, seat, at),
            Step::Record { seconds } => {
                self.silence(line, key, at);
                self.busy_for(line, key, Doing::Recording, i64::from(seconds) * 1_000, at);
            }
            Step::Redirect(url) => self.ask(line, key, url, None),
            Step::Hangup | Step::Reject => self.end(line, key, by_platform(line), at),
        }
    }

    fn gather(&mut self, line: &mut Line, key: u64, sounds: &[Sound], seconds: u32, at: DateTime<Utc>) {
        let spoken: i64 = sounds
            .iter()
            .map(|sound| duration(&line.callee, sound, self.scale))
            .sum();
        if sounds.is_empty() {
            self.silence(line, key, at);
        } else {
            line.heard_message = true;
            Self::hears(line, at);
        }
        self.busy_for(
            line,
            key,
            Doing::Gathering,
            spoken + i64::from(seconds) * 1_000,
            at,
        );
        if line.callee.presses.is_some() {
            let pressed = at + TimeDelta::milliseconds(spoken / 2 + 300);
            self.at(pressed, key, Tick::Pressed(line.turn));
        }
    }

    /// The callee presses their key.
    pub(crate) fn pressed(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        let Some(digit) = line.callee.presses else { return };
        self.tell(line, key, &Tale::Pressed(digit), at);
        let counts = line.keys.as_ref().is_none_or(|keys| keys.contains(digit));
        self.gathered(line, key, Some(digit).filter(|_| counts), at);
    }

    fn gathered(&mut self, line: &mut Line, key: u64, digit: Option<char>, at: DateTime<Utc>) {
        let status = if digit.is_some() { "valid" } else { "timeout" };
        let digits = digit.map(String::from).unwrap_or_default();
        self.tell(line, key, &Tale::Gathered { digits, status }, at);
        match line.action.take() {
            // Twilio only asks when there is something to tell.
            Some(url) if digit.is_some() => self.ask(line, key, url, digit),
            _ => self.go_on(line, key, at),
        }
    }

    /// Asks the platform what the call is to do.
    pub(crate) fn ask(&mut self, line: &mut Line, key: u64, url: String, digit: Option<char>) {
        self.turn(line);
        line.doing = Doing::Fetching;
        let account = self.accounts.get(line.order.account).cloned().unwrap_or_default();
        let mut form = vec![("AccountSid", account)];
        telling::parameters(line, &mut form);
        form.push(("CallStatus", "in-progress".to_owned()));
        if let Some(digit) = digit {
            form.push(("Digits", digit.to_string()));
        }
        self.questions.push_back(Question {
            line: key,
            turn: line.turn,
            account: line.order.account,
            url,
            form,
            pressed: digit.is_some() && !line.agent,
        });
    }

    /// Somebody will be heard when the platform has let the stream in and says something.
    fn open_stream(
        &mut self,
        line: &mut Line,
        key: u64,
        url: String,
        parameters: Vec<(String, String)>,
        at: DateTime<Utc>,
    ) {
        line.connected.get_or_insert((at, AgentKind::Ai));
        let callee = line.callee;
        let ms = if callee.fate.is_person() {
            callee.ai_talk_ms
        } else {
            callee.greeting_ms + callee.recording_ms
        };
        self.busy_for(line, key, Doing::Talking(AgentKind::Ai), ms, at);
        self.silence(line, key, at);
        let (sender, over) = oneshot::channel();
        self.streaming.insert((key, line.turn), Some(sender));
        self.streams.push_back(stream::Order {
            line: key,
            turn: line.turn,
            url,
            names: Names {
                carrier: line.carrier,
                account: self.accounts.get(line.order.account).cloned().unwrap_or_default(),
                call: line.id.clone(),
                session: line.session,
                client_state: line.order.client_state.clone(),
                parameters,
                stream: Names::stream(line.carrier),
            },
            caller: Caller::new(&callee, of_try(self.seed ^ STREAMS, line.number, line.ordinal)),
            over,
        });
    }

    fn talk(&mut self, line: &mut Line, key: u64, with: AgentKind, at: DateTime<Utc>) {
        match &mut line.connected {
            // A person took the call over from an AI agent.
            Some((_, who)) if with == AgentKind::Human => *who = with,
            connected => {
                connected.get_or_insert((at, with));
            }
        }
        Self::hears(line, at);
        let ms = match (line.callee.fate.is_person(), with) {
            (true, AgentKind::Human) => line.callee.talk_ms,
            (true, AgentKind::Ai) => line.callee.ai_talk_ms,
            // Whoever talks to a machine notices after a while.
            (false, _) => line.callee.noticing_ms,
        };
        self.busy_for(line, key, Doing::Talking(with), ms, at);
    }

    /// What the call did has come to its end.
    pub(crate) fn step_over(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        match line.doing {
            Doing::Hearing { spoken } => {
                self.tell(line, key, &Tale::SpeechEnded { spoken }, at);
                self.go_on(line, key, at);
            }
            Doing::Gathering => self.gathered(line, key, None, at),
            Doing::Pausing | Doing::Recording => self.go_on(line, key, at),
            Doing::Talking(_) => {
                let callee = line.callee.fate.is_person() && line.callee.hangs_up;
                let hangup_by = if callee {
                    HangupBy::Callee
                } else {
                    HangupBy::Caller
                };
                let end = End {
                    outcome: CallOutcome::Completed,
                    hangup_by,
                    sip_code: None,
                };
                self.end(line, key, end, at);
            }
            Doing::Nothing | Doing::Alone | Doing::Fetching => {}
        }
    }

    fn join(&mut self, line: &mut Line, key: u64, seat: Seat, at: DateTime<Utc>) {
        self.leave(line, key, at);
        let place = (line.order.account, seat.room.clone());
        let opened = !self.rooms.contains_key(&place);
        let room = self.rooms.entry(place).or_insert_with(|| Room {
            id: match line.carrier {
                Carrier::Twilio => format!("CF{}", hex(Uuid::new_v4().as_bytes())),
                Carrier::Telnyx => Uuid::new_v4().to_string(),
            },
            customers: Vec::new(),
            agents: Vec::new(),
            sequence: 0,
        });
        room.sequence += 1;
        let (conference, sequence, agents) = (room.id.clone(), room.sequence, !room.agents.is_empty());
        let waiting = if line.agent {
            room.agents.push(key);
            room.customers.clone()
        } else {
            self.truth.crowded += u64::from(!room.customers.is_empty());
            room.customers.push(key);
            Vec::new()
        };
        let room = seat.room.clone();
        line.seat = Some(seat);
        let joined = Tale::Joined {
            conference,
            room,
            opened,
            sequence,
        };
        self.tell(line, key, &joined, at);
        for customer in waiting {
            self.at(at, customer, Tick::Met);
        }
        if line.agent {
            self.turn(line);
            line.doing = Doing::Alone;
        } else if agents || self.people_in_rooms {
            self.talk(line, key, AgentKind::Human, at);
        } else {
            self.turn(line);
            line.doing = Doing::Alone;
            self.silence(line, key, at);
        }
    }

    /// An agent came to a customer who waited.
    pub(crate) fn met(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        if line.doing == Doing::Alone && line.seat.is_some() {
            self.talk(line, key, AgentKind::Human, at);
        }
    }

    /// Nobody is left in the room.
    pub(crate) fn deserted(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        if line.seat.is_some() {
            self.end(line, key, by_platform(line), at);
        }
    }

    /// Leaves the room, if it is in one.
    pub(crate) fn leave(&mut self, line: &mut Line, key: u64, at: DateTime<Utc>) {
        let Some(seat) = line.seat.clone() else { return };
        let place = (line.order.account, seat.room.clone());
        if let Some(room) = self.rooms.get_mut(&place) {
            room.sequence += 1;
            room.customers.retain(|customer| *customer != key);
            room.agents.retain(|agent| *agent != key);
            let left = Tale::Left {
                conference: room.id.clone(),
                room: seat.room.clone(),
                sequence: room.sequence,
            };
            let deserted = line.agent && room.agents.is_empty();
            let mut others = Vec::new();
            if deserted || seat.ends_it {
                others.extend(&room.customers);
            }
            if seat.ends_it {
                others.extend(&room.agents);
            }
            if room.customers.is_empty() && room.agents.is_empty() {
                self.rooms.remove(&place);
            }
            self.tell(line, key, &left, at);
            for other in others {
                self.at(at, other, Tick::Deserted);
            }
        }
        line.seat = None;
    }

    /// Ends the call.
    pub(crate) fn end(&mut self, line: &mut Line, key: u64, end: End, at: DateTime<Utc>) {
        if line.ended.is_some() {
            return;
        }
        self.break_off(line, key, at);
        line.ended = Some((at, end));
        line.phase = Phase::Ended;
        self.leave(line, key, at);
        self.tell(line, key, &Tale::Ended(end), at);
        if let Some(lane) = self.lanes.get_mut(line.order.account) {
            lane.alive = lane.alive.saturating_sub(1);
        }
        self.truth.end(line);
        post::count(line, &mut self.truth);
    }
}

fn duration(callee: &Callee, sound: &Sound, scale: f64) -> i64 {
    match sound {
        Sound::Said(characters) => {
            let ms = i64::try_from(*characters)
                .unwrap_or(FOR_EVER_MS)
                .saturating_mul(PER_CHARACTER_MS);
            ((ms as f64) * scale) as i64
        }
        Sound::Played => callee.message_ms,
    }
}
