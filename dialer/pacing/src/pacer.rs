//! One campaign's pacer: it is told what happens, and asked how many numbers to dial now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    beliefs::{Beliefs, Outlook},
    config::{Config, ConfigError, Mode},
    decision::{Bound, Decision},
    estimate::{AnswerRate, ConsentShare},
    ledger::{Ledger, Room, Window, fits},
    lookahead::Lookahead,
    moment::Moment,
    price::{Price, pull, usual_risk},
    world::{Ended, Event, Rival, Snapshot},
};

/// Seconds after which the tables are compiled again from what was learnt since.
const STALE: f64 = 60.0;
/// How many abandoned calls the forecast's own record is believed to hold at the beginning.
const TRUST: f64 = 4.0;
/// The forecast's record fades by this per answer.
const RECORD_DECAY: f64 = 0.999;
/// Answers until as much is borrowed as may be.
const SETTLED: f64 = 60.0;
/// Calls an hour's limit allows a team that borrows as much as is set; a larger team strays further.
const BORROWER: f64 = 4.0;
/// The share of the last hour's pace of answers that is counted on.
const PACE: f64 = 0.9;
/// Seconds over which a debt or a surplus is spread at most.
const HORIZON: f64 = 28_800.0;
/// The share of the answers still to come that is believed in.
const CAUTION: f64 = 0.5;
/// How hard one answer too many or too few that AI took pulls at the price, and how hard all may.
const OVERFLOW_GAIN: f64 = 0.02;
const OVERFLOW_PULL: f64 = 1.5;
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
    /// The price of an answer that AI takes.
    #[serde(default)]
    overflow: Price,
    /// Who of those dialled agreed to an AI agent.
    #[serde(default)]
    consent: ConsentShare,
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
    /// Answers per second without any risk, as of the last decision.
    least: f64,
    /// Answers until dialling ends, likewise.
    to_come: f64,
    /// Whether it was the law and not AI's share that said how much may be risked, likewise.
    lawful: bool,
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
            overflow: Price::default(),
            consent: ConsentShare::default(),
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
            least: 0.0,
            to_come: 0.0,
            lawful: true,
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
            Event::Placed { ai } => self.state.consent.observe(ai),
            Event::RingingEnded { since, how } => {
                let took = now.since(since);
                match how {
                    Ended::Person => beliefs.to_answer.observe(took),
                    Ended::Machine | Ended::NoAnswer | Ended::Busy | Ended::Failed => {
                        beliefs.to_other.observe(took);
                    }
                    Ended::Refused => return,
                }
                beliefs.answers.observe(since, how == Ended::Person, now);
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
                    let most = OVERFLOW_PULL / OVERFLOW_GAIN;
                    self.state.taken =
                        (self.state.taken * RECORD_DECAY + overflow.share - taken).clamp(-most, most);
                }
                // A price that nobody was asked for learns nothing.
                if self.lawful {
                    let room = self.room(std::slice::from_ref(jurisdiction), now);
                    let pull = self.pull(room);
                    self.state.price.observe(pull, &self.config.steering);
                } else {
                    let pull = self.overflow_pull();
                    self.state.overflow.observe(pull, &self.config.steering);
                }
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
        self.least = self.least_pace(snapshot.agents.len());
        self.to_come = self.least
            * match snapshot.closes {
                Some(closes) => closes.since(now).min(HORIZON),
                None => 0.0,
            };
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
        let answers = &self.state.beliefs.answers;
        // As long as little is known, or when the list has just changed, a burst of answers is what costs: plan with
        // the upper end of what is likely.
        let answer = (answers.mean() + answers.deviation()).min(1.0);
        let correction = self.state.record.correction();
        let places = if self.config.overflow.is_some() {
            snapshot.ai_free
        } else {
            0
        };
        let consent = if places > 0 {
            self.state.consent.mean()
        } else {
            0.0
        };
        let accepted = match self.config.mode {
            Mode::Power { .. } => 1.0,
            _ => self.accepted(snapshot.agents.len(), answer, consent, room),
        };
        let most = match self.config.mode {
            Mode::Power { ratio } => {
                ((decision.idle.max(0) as f64 * ratio) as usize).saturating_sub(decision.ringing)
            }
            _ => AT_ONCE,
        };
        decision.accepted_risk = accepted;
        let mut ahead = Lookahead::new(snapshot, &self.outlook, answer, consent, now);
        let lost = |ahead: &Lookahead, taken: &[f64; crate::GRID]| {
            let ai_taken = if places > 0 { ahead.taken(places) } else { *taken };
            ahead.abandoned(taken, &ai_taken)
        };
        let mut taken = ahead.taken(0);
        let (alone, backed) = lost(&ahead, &taken);
        let mut promised = alone + backed;
        decision.bound = if matches!(self.config.mode, Mode::Power { .. }) {
            Bound::Ratio
        } else {
            Bound::Lines
        };
        while decision.dials < most.max(covered).min(snapshot.lines) {
            let risk = ahead.risk(&taken);
            let backed_by_agent = decision.dials < covered;
            if !backed_by_agent && risk > accepted {
                decision.next_risk = Some(risk);
                decision.bound = Bound::Risk;
                break;
            }
            ahead.dial();
            let taken_then = ahead.taken(0);
            let (alone, backed) = lost(&ahead, &taken_then);
            let expected = (alone + backed) * correction;
            let ringing = decision.ringing + decision.dials + 1;
            if !backed_by_agent && !self.admits(room, &ahead, places, expected, ringing) {
                decision.next_risk = Some(risk);
                decision.bound = if backed > alone {
                    Bound::Places
                } else {
                    Bound::Ledger(room.window)
                };
                break;
            }
            self.state.record.promised += alone + backed - promised;
            promised = alone + backed;
            decision.expected_abandoned = expected;
            decision.dials += 1;
            taken = taken_then;
        }
    }

    /// Whether what may be abandoned of the calls in the air fits into every window.
    fn admits(&self, room: Room, ahead: &Lookahead, places: usize, expected: f64, ringing: usize) -> bool {
        let limits = &self.config.limits;
        [
            (room.lawful + room.credit, limits.alpha),
            (room.hour, limits.hour_alpha),
        ]
        .into_iter()
        .all(|(room, alpha)| {
            fits(room, expected, ringing, alpha)
                && (ahead.shared || room < 0.0 || ahead.burst(room as usize + 1, places) < alpha)
        })
    }

    /// The risk of meeting no free person that the next dial may run. Who did not agree to an AI agent is abandoned
    /// then, so the law's price is paid for that share of the dials; of those who did, AI may take only so many.
    fn accepted(&mut self, agents: usize, answer: f64, consent: f64, room: Room) -> f64 {
        let law = usual_risk(agents, answer) * self.state.price.factor(self.pull(room)) / (1.0 - consent);
        let share = match self.config.overflow {
            Some(overflow) if consent > 0.0 => {
                overflow.share * self.state.overflow.factor(self.overflow_pull())
            }
            _ => f64::INFINITY,
        };
        self.lawful = law <= share;
        law.min(share).min(OVERFLOW_MOST)
    }

    /// How hard what is left in the ledger pulls at the price.
    fn pull(&self, room: Room) -> f64 {
        pull(
            &room,
            self.config.limits.share * self.to_come,
            &self.config.steering,
        )
    }

    /// How hard what is left of the share that AI may take pulls at its price.
    fn overflow_pull(&self) -> f64 {
        (OVERFLOW_GAIN * self.state.taken).clamp(-OVERFLOW_PULL, OVERFLOW_PULL)
    }

    /// How many people answer per second even if nothing is risked: the closed form of one dial per idle agent.
    fn least_pace(&self, agents: usize) -> f64 {
        let beliefs = &self.state.beliefs;
        let answer = beliefs.answers.mean();
        let line = answer * beliefs.to_answer.mean() + (1.0 - answer) * beliefs.to_other.mean();
        agents as f64 / (beliefs.talk.mean() + beliefs.wrap.mean() + line / answer)
    }

    fn room(&mut self, jurisdictions: &[Jurisdiction], now: Moment) -> Room {
        let limits = self.config.limits;
        let (least, to_come) = (self.least, self.to_come);
        let rooms = jurisdictions.iter().map(|jurisdiction| {
            let ledger = self.ledger_of(jurisdiction);
            let pace = (PACE * ledger.pace(least, now)).max(least);
            let mut room = ledger.room(limits.share, limits.day, limits.hour, pace, now);
            let answered = ledger.count(Window::Period, now).answered as f64;
            let settled = (answered / SETTLED).min(1.0);
            let lent = CAUTION * to_come * limits.share;
            let most = limits.borrow * (room.hour_limit / BORROWER).sqrt().max(1.0);
            room.settled = settled;
            room.credit = (settled * lent.min(most)).min(room.unlent - room.lawful);
            if room.window != Window::Hour {
                room.calls = (room.lawful + room.credit).min(room.hour);
            }
            room
        });
        // The strictest of each. Where nobody says under whose rules, nothing may be risked.
        rooms
            .reduce(|one, other| {
                let calls = if one.calls <= other.calls { &one } else { &other };
                let lawful = if one.lawful + one.credit <= other.lawful + other.credit {
                    &one
                } else {
                    &other
                };
                let hour = if one.hour <= other.hour { &one } else { &other };
                Room {
                    calls: calls.calls,
                    window: calls.window,
                    lawful: lawful.lawful,
                    unlent: lawful.unlent,
                    credit: lawful.credit,
                    hour: hour.hour,
                    hour_limit: hour.hour_limit,
                    settled: one.settled.min(other.settled),
                }
            })
            .unwrap_or(Room::NONE)
    }

    fn compile(&mut self, now: Moment) {
        if self.compiled.is_none_or(|at| now.since(at) >= STALE) {
            self.outlook = Outlook::new(&self.state.beliefs, self.config.patience, self.config.grid);
            self.compiled = Some(now);
        }
    }
}
