//! One campaign shard as its owner sees it: lines under way, agents, what pacing has learnt.
//!
//! Everything here can be lost: it is built again from Postgres by whoever takes the shard over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use voice_pacing::{
    Agent, Config, Ended, Event, Jurisdiction, Limits, Mode as Pace, Moment, Overflow, Pacer, Ringing,
    Snapshot, Window,
};
use voice_schemas::{
    AgentId, AttemptId, ProviderAccountId, TransferId,
    events::{
        agent::AgentStatus,
        call::{AgentKind, CallOutcome},
    },
};
use voice_telephony::media::Duties;

use super::{look::Look, say::LONGEST_MESSAGE, worker::REFRESH};
use crate::{
    agents::{AgentRow, Reach},
    answer::{Answered, Staff, machine_probability},
    attempts::{Line, Phase},
    calendar,
    campaigns::{Campaign, Mode},
    selection::Order,
    transfers::Place,
};

/// A line that ended is remembered for so long, in case its end turns out to have been another.
const REMEMBERED: TimeDelta = TimeDelta::minutes(10);

/// What was done about an answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// Nothing yet; look again then at the latest.
    Waiting(DateTime<Utc>),
    /// A person was reserved, with this token.
    Person(AgentId, u64),
    /// An AI agent.
    Ai,
    /// A machine: hung up, or a message.
    Machine,
    /// Nobody was there.
    Abandoned,
}

/// A line and what only its owner knows.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) line: Line,
    pub(super) jurisdiction: Jurisdiction,
    pub(super) handled: Option<Handled>,
    /// Pacing was told how the ringing ended.
    pub(super) told: bool,
    /// Something is not in the table yet.
    pub(super) dirty: bool,
    /// When the carrier was last asked about it.
    pub(super) asked: Option<DateTime<Utc>>,
    /// The carrier's request is under way or waits for its turn.
    pub(super) requesting: bool,
    /// It hears a message and is hung up afterwards, then at the latest.
    pub(super) closing: Option<DateTime<Utc>>,
    /// What the law asks of it where an AI agent talks; everything, where it was taken over from another process.
    pub(super) duties: Duties,
    /// An AI agent hands it over to this person, or has.
    pub(super) transfer: Option<(TransferId, Place)>,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) campaign: Arc<Campaign>,
    pub(super) number: u16,
    pub(super) epoch: u64,
    pub(super) lines: HashMap<AttemptId, Held>,
    pub(super) ended: HashMap<AttemptId, (Line, DateTime<Utc>)>,
    pub(super) agents: BTreeMap<AgentId, AgentRow>,
    /// People of other shards who were handed callers of this one.
    pub(super) guests: BTreeMap<AgentId, AgentRow>,
    pub(super) pacer: Pacer,
    /// Whose laws calls of this shard were counted under.
    pub(super) seen: BTreeSet<Jurisdiction>,
    /// On whose clocks people were dialled, and when last.
    pub(super) clocks: HashMap<Tz, DateTime<Utc>>,
    /// Dials wanted by the claim under way.
    pub(super) claiming: usize,
    /// How far claims look.
    pub(super) look: Look,
    /// Nobody is due before.
    pub(super) rest_until: DateTime<Utc>,
    pub(super) agents_seen: u64,
    pub(super) refreshed: DateTime<Utc>,
    /// When what agents in preview want was last read.
    pub(super) previews_read: DateTime<Utc>,
    pub(super) previews_seen: u64,
    /// Agents promised to other shards: they are not planned with any more.
    pub(super) owed: usize,
}

/// How pacing is set for a campaign.
pub(super) fn pacing(campaign: &Campaign) -> Config {
    let limits = Limits::default();
    Config {
        mode: match campaign.mode {
            Mode::Preview => Pace::Preview,
            Mode::Progressive => Pace::Progressive,
            Mode::Power => Pace::Power {
                ratio: campaign.power_ratio.clamp(1.0, 10.0),
            },
            Mode::Predictive => Pace::Predictive,
            Mode::Agentless => Pace::Agentless,
        },
        limits: Limits {
            share: campaign.abandon_target.clamp(0.001, limits.share),
            ..limits
        },
        overflow: (campaign.answers.ai_overflow && campaign.mode != Mode::Agentless)
            .then_some(Overflow { share: 0.5 }),
        ..Config::default()
    }
}

impl Held {
    pub(super) fn new(line: Line, jurisdiction: String) -> Self {
        // Whoever heard the message, or asked for no more calls, is given to nobody any more.
        let over = line.abandoned || line.opted_out.is_some();
        Self {
            told: line.phase >= Phase::Answered,
            jurisdiction: Jurisdiction(jurisdiction),
            handled: over.then_some(Handled::Abandoned),
            dirty: false,
            asked: None,
            requesting: false,
            closing: line.answered_at.filter(|_| over).map(|at| at + LONGEST_MESSAGE),
            duties: Duties::STRICTEST,
            transfer: None,
            line,
        }
    }

    /// What the decision on an answer has to know.
    pub(super) fn answered(&self) -> Option<Answered> {
        Some(Answered {
            at: self.line.answered_at?,
            machine: self.line.amd.as_ref().map(machine_probability),
            beep: self.line.amd.as_ref().is_some_and(|verdict| verdict.beep),
            connected: self.line.bridged.is_some()
                || matches!(self.handled, Some(Handled::Person(..) | Handled::Ai)),
            ai_consent: self.line.ai_consent,
        })
    }

    /// The person it was given or handed to.
    pub(super) fn with(&self) -> Option<AgentId> {
        match (self.handled, self.transfer) {
            (Some(Handled::Person(agent, _)), _) => Some(agent),
            (_, transfer) => transfer.map(|(_, place)| place.agent),
        }
    }

    /// The time by which something must have been heard of it.
    pub(super) fn overdue(&self, campaign: &Campaign, patience: TimeDelta) -> DateTime<Utc> {
        let line = &self.line;
        match line.answered_at {
            Some(answered) => answered + campaign.longest_call + patience,
            None => line.claimed_at + campaign.ring + patience,
        }
    }
}

impl Shard {
    /// What pacing is to see. `free_lines` is how many more calls there may be.
    pub(super) fn snapshot(&self, paused: bool, law: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Snapshot {
        let people = self
            .agents
            .values()
            .filter(|agent| agent.kind == AgentKind::Human && agent.state.is_leased(now));
        let agents = people.filter_map(|agent| {
            let since = Moment::from(agent.state.since);
            match agent.state.status {
                AgentStatus::Available if agent.takes(None, now) => Some(Agent::Idle),
                AgentStatus::Reserved | AgentStatus::OnCall => Some(Agent::Talking { since }),
                AgentStatus::WrapUp => Some(Agent::Wrapping { since }),
                _ => None,
            }
        });
        // Those who are to go are not planned with; the idle first, so that nobody is dialled for them.
        let mut agents: Vec<Agent> = agents.collect();
        agents.sort_by_key(|agent| *agent != Agent::Idle);
        agents.drain(..self.owed.min(agents.len()));
        let ringing = self
            .lines
            .values()
            .filter(|held| held.line.answered_at.is_none())
            .map(|held| Ringing {
                since: Moment::from(held.line.claimed_at),
                ai: f64::from(u8::from(held.line.ai_consent)),
            });
        let answered = self.lines.values().filter(|held| held.line.answered_at.is_some());
        let waiting = answered.clone().filter(|held| {
            matches!(held.handled, None | Some(Handled::Waiting(_))) && held.line.bridged.is_none()
        });
        let ours = calendar::closes(
            self.campaign.calendar.as_ref(),
            self.campaign.end_at,
            self.clocks.keys().copied(),
            now,
        );
        Snapshot {
            agents,
            ringing: ringing.collect(),
            waiting: if self.campaign.mode == Mode::Agentless {
                0
            } else {
                waiting.count()
            },
            closes: [ours, law].into_iter().flatten().min().map(Moment::from),
            ai_free: self.staff(None, now).free_ai,
            paused,
            lines: self.room(),
            ..Snapshot::default()
        }
    }

    /// Who could take a call of this account now; of any, where it does not say.
    pub(super) fn staff(&self, account: Option<ProviderAccountId>, now: DateTime<Utc>) -> Staff {
        let ai_used = self
            .lines
            .values()
            .filter(|held| {
                held.line.answered_at.is_some()
                    && (self.campaign.mode == Mode::Agentless || held.handled == Some(Handled::Ai))
            })
            .count();
        let ai = if self.campaign.ai_agent.is_some() {
            self.share()
        } else {
            0
        };
        Staff {
            free_people: self
                .agents
                .values()
                .filter(|agent| agent.kind == AgentKind::Human && agent.takes(account, now))
                .count(),
            free_ai: ai.saturating_sub(ai_used),
        }
    }

    /// This shard's part of the calls the campaign may have at once.
    fn share(&self) -> usize {
        let (all, shards) = (
            self.campaign.max_concurrent,
            u32::from(self.campaign.shards.max(1)),
        );
        let extra = u32::from(u32::from(self.number) < all % shards);
        usize::try_from(all / shards + extra).unwrap_or(usize::MAX)
    }

    /// What the shard wants, as a claim is asked for it.
    pub(super) fn order(&self, want: u32, look: u32, accounts: BTreeSet<ProviderAccountId>) -> Order {
        Order {
            campaign: Arc::clone(&self.campaign),
            shard: self.number,
            epoch: self.epoch,
            want,
            look,
            accounts,
        }
    }

    fn room(&self) -> usize {
        self.share().saturating_sub(self.lines.len())
    }

    /// An agent of ours, or of another shard's who talks to a caller of ours.
    pub(super) fn colleague(&self, agent: AgentId) -> Option<&AgentRow> {
        self.agents.get(&agent).or_else(|| self.guests.get(&agent))
    }

    /// Takes note of people who talk to callers of ours, and forgets those who do not any more.
    pub(super) fn welcome(&mut self, people: Vec<AgentRow>) {
        self.guests
            .extend(people.into_iter().map(|agent| (agent.id, agent)));
        let talking: HashSet<AgentId> = self.lines.values().filter_map(Held::with).collect();
        self.guests
            .retain(|id, _| talking.contains(id) && !self.agents.contains_key(id));
    }

    /// Nobody reads its agents beside whoever asks for one, and it was a while ago.
    pub(super) fn is_stale(&self, now: DateTime<Utc>) -> bool {
        !self.campaign.needs_people() && now - self.refreshed >= REFRESH
    }

    /// The person who has waited longest, of those not in `taken`.
    pub(super) fn longest_idle_but(
        &self,
        taken: &HashSet<AgentId>,
        account: Option<ProviderAccountId>,
        now: DateTime<Utc>,
    ) -> Option<AgentId> {
        self.agents
            .values()
            .filter(|agent| {
                agent.kind == AgentKind::Human && agent.takes(account, now) && !taken.contains(&agent.id)
            })
            .min_by_key(|agent| (agent.state.available_since, agent.id))
            .map(|agent| agent.id)
    }

    /// Calls that are claimed or ring, or were answered and have nobody yet.
    pub(super) fn in_the_air(&self) -> usize {
        let waits = |held: &&Held| {
            held.line.bridged.is_none() && matches!(held.handled, None | Some(Handled::Waiting(_)))
        };
        self.claiming + self.lines.values().filter(waits).count()
    }

    /// The person who is reserved for the attempt already, with the token.
    pub(super) fn holder(&self, attempt: AttemptId) -> Option<(AgentId, u64)> {
        self.agents.values().find_map(|agent| {
            let place = agent.state.reservation?;
            (place.attempt == attempt && agent.state.status == AgentStatus::Reserved)
                .then_some((agent.id, place.token))
        })
    }

    /// Whether somebody could take calls of this account: agents whose leg is at another one cannot.
    pub(super) fn serves(&self, account: ProviderAccountId, now: DateTime<Utc>) -> bool {
        !self.campaign.needs_people()
            || self.agents.values().any(|agent| {
                agent.state.is_leased(now)
                    && match agent.reach {
                        Reach::Open => true,
                        Reach::Nowhere => false,
                        Reach::At(at) => at == account,
                    }
            })
    }

    /// A person whose place was given up before the call reached them (the carrier refused the command, they went
    /// offline) does not take it: the call is decided again.
    pub(super) fn take_back_lost_reservations(&mut self, now: DateTime<Utc>) {
        for held in self.lines.values_mut() {
            let Some(Handled::Person(agent, token)) = held.handled else {
                continue;
            };
            let kept = held.line.bridged.is_some()
                || self.agents.get(&agent).is_some_and(|agent| {
                    agent.state.call == Some(held.line.call)
                        || agent
                            .state
                            .reservation
                            .is_some_and(|place| place.token == token && place.until > now)
                });
            if !kept {
                held.handled = Some(Handled::Waiting(now));
                held.line.agent = None;
            }
        }
    }

    /// Jurisdictions of the calls in the air and of all under which people answered before: what comes next is likely
    /// of one of them, and the strictest ledger decides. One nobody was ever called under says nothing, and its
    /// empty ledger would allow nothing for ever.
    pub(super) fn jurisdictions(&self, now: DateTime<Utc>) -> Vec<Jurisdiction> {
        let in_the_air: BTreeSet<&Jurisdiction> =
            self.lines.values().map(|held| &held.jurisdiction).collect();
        let counted = |jurisdiction: &Jurisdiction| {
            self.pacer
                .ledger(jurisdiction)
                .is_some_and(|ledger| ledger.clone().count(Window::Period, now.into()).answered > 0)
        };
        let known: Vec<Jurisdiction> = self
            .seen
            .iter()
            .filter(|jurisdiction| in_the_air.contains(jurisdiction) || counted(jurisdiction))
            .cloned()
            .collect();
        if known.is_empty() {
            return self.seen.iter().cloned().collect();
        }
        known
    }

    /// Takes a line on, and tells pacing whom it is to reach.
    pub(super) fn take_on(&mut self, held: Held, zone: Tz, now: DateTime<Utc>) {
        self.clocks.insert(zone, now);
        let ai = held.line.ai_consent;
        self.pacer
            .observe(Event::Placed { ai }, &held.jurisdiction, now.into());
        self.seen.insert(held.jurisdiction.clone());
        self.lines.insert(held.line.attempt, held);
    }

    /// Tells pacing how the ringing of a line ended, once.
    pub(super) fn tell_ringing(&mut self, attempt: AttemptId, how: Ended, now: DateTime<Utc>) {
        if let Some(held) = self.lines.get_mut(&attempt)
            && !held.told
        {
            held.told = true;
            let since = Moment::from(held.line.claimed_at);
            self.pacer
                .observe(Event::RingingEnded { since, how }, &held.jurisdiction, now.into());
        }
    }

    /// Tells pacing what came of a person who answered.
    pub(super) fn tell(&mut self, attempt: AttemptId, event: Event, now: DateTime<Utc>) {
        if let Some(held) = self.lines.get(&attempt) {
            self.pacer.observe(event, &held.jurisdiction, now.into());
        }
    }

    /// Forgets lines that ended long ago, and clocks nobody was dialled on for as long.
    pub(super) fn forget(&mut self, now: DateTime<Utc>) {
        self.ended.retain(|_, (_, at)| now - *at < REMEMBERED);
        self.clocks.retain(|_, at| now - *at < REMEMBERED);
    }
}

/// What pacing calls the end of a line nobody answered.
pub(super) const fn ended_as(outcome: CallOutcome, refused: bool) -> Ended {
    match outcome {
        _ if refused => Ended::Refused,
        CallOutcome::Completed | CallOutcome::NoAnswer | CallOutcome::Canceled | CallOutcome::Unknown => {
            Ended::NoAnswer
        }
        CallOutcome::Busy => Ended::Busy,
        CallOutcome::InvalidNumber | CallOutcome::Rejected => Ended::Failed,
        CallOutcome::CarrierError => Ended::Refused,
    }
}
