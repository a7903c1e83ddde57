//! One campaign's pacer: it is told what happens, and asked how many numbers to dial now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    beliefs::{Beliefs, Outlook},
    config::{Config, ConfigError, Mode},
    decision::{Bound, Decision},
    estimate::AnswerRate,
    ledger::{Ledger, Room, Window, fits},
    lookahead::Lookahead,
    moment::Moment,
    price::{Price, usual_risk},
    world::{Ended, Event, Rival, Snapshot},
};

/// Seconds after which the tables are compiled again from what was learnt since.
const STALE: f64 = 60.0;
/// How many abandoned calls the forecast's own record is believed to hold at the beginning.
const TRUST: f64 = 4.0;
/// The forecast's record fades by this per answer.
const RECORD_DECAY: f64 = 0.999;
/// Answers before anything is borrowed.
const SETTLED: u64 = 60;
/// The share of the answers still to come that is believed in.
const CAUTION: f64 = 0.5;
/// The accepted chance that a call finds neither a person nor a place for AI.
const PLACES_ALPHA: f64 = 0.001;
/// How far the share that AI takes strays by chance, in answers, against a small team's abandoned calls.
const OVERFLOW_SCALE: f64 = 10.0;
/// The risk of meeting no free person that is accepted at most, where AI stands behind.
const OVERFLOW_MOST: f64 = 0.9;
/// Dials that may be placed by one decision; the next one follows at once where more are wanted.
const AT_ONCE: usize = 64;

/// A set of rules under which answers are counted: one ledger each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jurisdiction(pub String);

/// What a pacer has learnt and counted: everything that survives a restart or moves with a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    beliefs: Beliefs,
    price: Price,
    ledgers: BTreeMap<Jurisdiction, Ledger>,
    record: Record,
    /// Answers that AI might have taken beyond those it took.
    taken: f64,
}

/// How many abandoned calls the forecast promised and how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    promised: f64,
    happened: f64,
}

impl Record {
    /// What a promise has to be multiplied with; never less than one.
    fn correction(&self) -> f64 {
        (self.happened / self.promised).max(1.0)
    }
}

/// The pacer of one campaign.
#[derive(Clone, Debug)]
pub struct Pacer {
    config: Config,
    state: State,
    outlook: Outlook,
    compiled: Option<Moment>,
    /// What may be borrowed from the rest of the day, as of the last decision.
    credit: f64,
}

impl Pacer {
    /// A pacer that has seen nothing yet.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn new(config: Config) -> Result<Self, Vec<ConfigError>> {
        let state = State {
            beliefs: Beliefs::new(&config.prior),
            price: Price::new(&config.steering),
            ledgers: BTreeMap::new(),
            record: Record {
                promised: TRUST,
                happened: TRUST,
            },
            taken: 0.0,
        };
        Self::resume(config, state)
    }

    /// A pacer that goes on where another stopped.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn resume(config: Config, state: State) -> Result<Self, Vec<ConfigError>> {
        config.check()?;
        let outlook = Outlook::new(&state.beliefs, config.patience, config.grid);
        Ok(Self {
            config,
            state,
            outlook,
            compiled: None,
            credit: 0.0,
        })
    }

    /// What has to be kept to go on elsewhere.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is believed at the moment.
    pub fn beliefs(&self) -> &Beliefs {
        &self.state.beliefs
    }

    /// Puts other beliefs in place of the learnt ones.
    pub fn believe(&mut self, beliefs: Beliefs) {
        self.state.beliefs = beliefs;
        self.compiled = None;
    }

    /// Puts another answer probability in place of the learnt one.
    pub fn believe_answers(&mut self, answers: AnswerRate) {
        self.state.beliefs.answers = answers;
    }

    /// The ledger of a jurisdiction, where it has one.
    pub fn ledger(&self, jurisdiction: &Jurisdiction) -> Option<&Ledger> {
        self.state.ledgers.get(jurisdiction)
    }

    /// Takes note of an event of a call in `jurisdiction`.
    pub fn observe(&mut self, event: Event, jurisdiction: &Jurisdiction, now: Moment) {
        let State { beliefs, record, .. } = &mut self.state;
        match event {
            Event::RingingEnded { since, how } => {
                let took = now.since(since);
                match how {
                    Ended::Person => beliefs.to_answer.observe(took),
                    Ended::Machine | Ended::NoAnswer | Ended::Busy | Ended::Failed => {
                        beliefs.to_other.observe(took);
                    }
                    Ended::Refused => return,
                }
                beliefs.answers.observe(how == Ended::Person);
            }
            Event::TalkEnded { since } => beliefs.talk.observe(now.since(since)),
            Event::WrapEnded { since } => beliefs.wrap.observe(now.since(since)),
            Event::Misjudged => self.ledger_of(jurisdiction).retract(now),
            Event::Connected | Event::Overflowed | Event::Abandoned => {
                let abandoned = event == Event::Abandoned;
                record.promised = (record.promised - TRUST) * RECORD_DECAY + TRUST;
                record.happened = (record.happened - TRUST) * RECORD_DECAY + TRUST;
                if abandoned {
                    record.happened += 1.0;
                }
                self.ledger_of(jurisdiction).observe(abandoned, now);
                if let Some(overflow) = self.config.overflow {
                    let taken = f64::from(u8::from(event != Event::Connected));
                    self.state.taken = (self.state.taken * RECORD_DECAY) + overflow.share - taken;
                }
                let room = self.room(std::slice::from_ref(jurisdiction), now);
                let spare = self.spare(room);
                self.state.price.observe(spare, &self.config.steering);
            }
        }
    }

    fn ledger_of(&mut self, jurisdiction: &Jurisdiction) -> &mut Ledger {
        if !self.state.ledgers.contains_key(jurisdiction) {
            self.state.ledgers.insert(jurisdiction.clone(), Ledger::default());
        }
        // Just inserted where it was missing.
        self.state.ledgers.entry(jurisdiction.clone()).or_default()
    }

    /// What this campaign's ringing calls look like to a campaign that shares its agents.
    pub fn rivals(&mut self, ringing: &[Moment], now: Moment) -> Vec<Rival> {
        self.compile(now);
        let answer = self.state.beliefs.answers.mean();
        let by = |placed: &Moment| self.outlook.person_by(now.since(*placed), answer).0;
        ringing.iter().map(|placed| Rival { by: by(placed) }).collect()
    }

    /// How many numbers to dial now. `jurisdictions` are those of the calls in the air and of the numbers that
    /// come next; the strictest of their ledgers decides.
    pub fn decide(&mut self, snapshot: &Snapshot, jurisdictions: &[Jurisdiction], now: Moment) -> Decision {
        let busy = snapshot
            .agents
            .iter()
            .filter(|agent| **agent != crate::Agent::Idle)
            .count();
        let idle = snapshot.agents.len() as i64 - busy as i64 - snapshot.waiting as i64;
        let ringing = snapshot.ringing.len();
        self.credit = self.credit(snapshot, now);
        let room = self.room(jurisdictions, now);
        let mut decision = Decision {
            dials: 0,
            bound: Bound::Covered,
            idle,
            busy,
            ringing,
            answer_probability: self.state.beliefs.answers.mean(),
            accepted_risk: 0.0,
            next_risk: None,
            expected_abandoned: 0.0,
            room: room.calls,
            window: room.window,
        };
        if snapshot.paused {
            decision.bound = Bound::Paused;
            return decision;
        }
        let agentless = self.config.mode == Mode::Agentless;
        if if agentless {
            snapshot.ai_free == 0
        } else {
            snapshot.agents.is_empty()
        } {
            decision.bound = Bound::NoAgents;
            return decision;
        }
        let in_the_air = ringing + snapshot.rivals.len();
        let covered = (idle.max(0) as usize).saturating_sub(in_the_air);
        match self.config.mode {
            Mode::Preview | Mode::Progressive => decision.dials = covered,
            Mode::Agentless => {
                decision.dials = snapshot.ai_free.saturating_sub(in_the_air + snapshot.waiting)
            }
            Mode::Power { .. } | Mode::Predictive => {
                self.look_ahead(&mut decision, snapshot, covered, room, now)
            }
        }
        if decision.dials > snapshot.lines {
            decision.dials = snapshot.lines;
            decision.bound = Bound::Lines;
        }
        decision
    }

    fn look_ahead(
        &mut self,
        decision: &mut Decision,
        snapshot: &Snapshot,
        covered: usize,
        room: Room,
        now: Moment,
    ) {
        self.compile(now);
        let answer = decision.answer_probability;
        let correction = self.state.record.correction();
        let accepted = match self.config.mode {
            Mode::Power { .. } => 1.0,
            _ => {
                let usual = match self.config.overflow {
                    Some(overflow) => overflow.share,
                    None => usual_risk(snapshot.agents.len(), answer),
                };
                let factor = self.state.price.factor(self.spare(room), &self.config.steering);
                (usual * factor).min(OVERFLOW_MOST)
            }
        };
        let most = match self.config.mode {
            Mode::Power { ratio } => {
                ((decision.idle.max(0) as f64 * ratio) as usize).saturating_sub(decision.ringing)
            }
            _ => AT_ONCE,
        };
        decision.accepted_risk = accepted;
        let places = if self.config.overflow.is_some() {
            snapshot.ai_free
        } else {
            0
        };
        let mut ahead = Lookahead::new(snapshot, &self.outlook, answer, now);
        let mut taken = ahead.taken(0);
        let mut promised = ahead.abandoned(&taken);
        decision.bound = if matches!(self.config.mode, Mode::Power { .. }) {
            Bound::Ratio
        } else {
            Bound::Lines
        };
        while decision.dials < most.max(covered).min(snapshot.lines) {
            let risk = ahead.risk(&taken);
            let backed = decision.dials < covered;
            if !backed && risk > accepted {
                decision.next_risk = Some(risk);
                decision.bound = Bound::Risk;
                break;
            }
            ahead.dial();
            let taken_then = ahead.taken(0);
            let lost = if places > 0 {
                ahead.taken(places)
            } else {
                taken_then
            };
            let expected = ahead.abandoned(&lost) * correction;
            if !backed
                && !self.admits(
                    room,
                    &ahead,
                    places,
                    expected,
                    decision.ringing + decision.dials + 1,
                )
            {
                decision.next_risk = Some(risk);
                decision.bound = if places > 0 {
                    Bound::Places
                } else {
                    Bound::Ledger(room.window)
                };
                break;
            }
            if places == 0 {
                let more = expected / correction;
                self.state.record.promised += more - promised;
                promised = more;
            }
            decision.expected_abandoned = expected;
            decision.dials += 1;
            taken = taken_then;
        }
    }

    /// Whether what may be abandoned of the calls in the air fits into every window.
    /// Whether what may be abandoned of the calls in the air fits into every window.
    fn admits(&self, room: Room, ahead: &Lookahead, places: usize, expected: f64, ringing: usize) -> bool {
        let limits = &self.config.limits;
        // Behind AI nobody is to be abandoned at all.
        let strictest = if places > 0 { PLACES_ALPHA } else { 1.0 };
        [
            (room.lawful + room.credit, limits.alpha),
            (room.hour, limits.hour_alpha),
        ]
        .into_iter()
        .all(|(room, alpha)| {
            let alpha = alpha.min(strictest);
            fits(room, expected, ringing, alpha)
                && (ahead.shared || room < 0.0 || ahead.burst(places + room as usize + 1) < alpha)
        })
    }

    /// What the price hangs on: room beyond the reserve, in the ledger or in the share that AI may take.
    fn spare(&self, room: Room) -> f64 {
        let steering = &self.config.steering;
        if self.config.overflow.is_some() {
            self.state.taken / OVERFLOW_SCALE
        } else {
            let hour_reserve = steering.hour_reserve.min(0.5 * room.hour_limit / room.scale);
            (room.lawful / room.scale - steering.reserve).min(room.hour / room.scale - hour_reserve)
        }
    }

    /// Abandoned calls that the rest of the day makes up for even if nothing is risked any more.
    fn credit(&self, snapshot: &Snapshot, now: Moment) -> f64 {
        let Some(closes) = snapshot.closes else { return 0.0 };
        let beliefs = &self.state.beliefs;
        let answer = beliefs.answers.mean();
        let line = answer * beliefs.to_answer.mean() + (1.0 - answer) * beliefs.to_other.mean();
        let each = beliefs.talk.mean() + beliefs.wrap.mean() + line / answer;
        let answers = snapshot.agents.len() as f64 * closes.since(now) / each;
        CAUTION * answers * self.config.limits.share
    }

    fn room(&mut self, jurisdictions: &[Jurisdiction], now: Moment) -> Room {
        let limits = self.config.limits;
        let mut tightest = Room {
            calls: f64::INFINITY,
            lawful: f64::INFINITY,
            credit: 0.0,
            hour: f64::INFINITY,
            hour_limit: 0.0,
            scale: 1.0,
            window: Window::Period,
        };
        for jurisdiction in jurisdictions {
            let credit = self.credit;
            let ledger = self.ledger_of(jurisdiction);
            let settled = ledger.count(Window::Period, now).answered >= SETTLED;
            let mut room = ledger.room(limits.share, limits.hour, now);
            tightest.scale = tightest.scale.max(room.scale);
            if settled {
                room.credit = credit.min(limits.borrow * room.scale);
                if room.window != Window::Hour {
                    room.calls = (room.lawful + room.credit).min(room.hour);
                }
            }
            if room.lawful < tightest.lawful {
                tightest.lawful = room.lawful;
                tightest.credit = room.credit;
            }
            if room.hour < tightest.hour {
                tightest.hour = room.hour;
                tightest.hour_limit = room.hour_limit;
            }
            if room.calls < tightest.calls {
                tightest.calls = room.calls;
                tightest.window = room.window;
            }
        }
        if jurisdictions.is_empty() {
            // Nobody said under whose rules: nothing may be risked.
            tightest = Room {
                calls: 0.0,
                lawful: 0.0,
                credit: 0.0,
                hour: 0.0,
                hour_limit: 0.0,
                scale: 1.0,
                window: Window::Period,
            };
        }
        tightest
    }

    fn compile(&mut self, now: Moment) {
        if self.compiled.is_none_or(|at| now.since(at) >= STALE) {
            self.outlook = Outlook::new(&self.state.beliefs, self.config.patience, self.config.grid);
            self.compiled = Some(now);
        }
    }
}
