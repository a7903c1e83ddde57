//! Which webhook goes out next. Pure: it is told the time and does no I/O.
//!
//! Three things decide. The shift's clock: a webhook goes out when it is due. The order within a call: one at a
//! time, so that only faults and retries change it. And memory: calls are drawn as they begin and forgotten
//! when all their webhooks are concluded; while many wait for another try, no new ones go out.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::{Decision, FactSet, plan::PlannedCall, wire::SealedCall};

/// How many webhooks may wait for another try before no new ones go out.
const PARKED: usize = 4096;

/// One try of one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    /// The call, by its place in the shift.
    pub(super) call: u64,
    /// The fact, by its place in the call.
    pub(super) fact: usize,
    /// Whether it is the second of two.
    pub(super) duplicate: bool,
    /// The try, from 1.
    pub(super) attempt: u32,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// The platform took it.
    Accepted,
    /// It did not, and it is tried again then.
    Again(Instant),
    /// It did not, and that is that.
    GivenUp,
}

/// What an accepted webhook turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    /// It said something the platform had not been told.
    pub(super) new: bool,
    /// A later fact of the call had been told before.
    pub(super) out_of_order: bool,
}

/// A call all of whose webhooks are concluded.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) call: Arc<SealedCall>,
    pub(super) arrived: FactSet,
    pub(super) lost: FactSet,
}

#[derive(Debug)]
struct Live {
    call: Arc<SealedCall>,
    lost: FactSet,
    arrived: FactSet,
    latest: Option<usize>,
    open: usize,
    busy: bool,
    waiting: VecDeque<Job>,
}

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Agenda {
    due: BinaryHeap<Reverse<(DateTime<Utc>, Job)>>,
    parked: BinaryHeap<Reverse<(Instant, Job)>>,
    /// May go at once: what stood before them has been concluded.
    ready: VecDeque<Job>,
    live: HashMap<u64, Live>,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            due: BinaryHeap::new(),
            parked: BinaryHeap::new(),
            ready: VecDeque::new(),
            live: HashMap::new(),
        }
    }

    /// Takes a call on. Calls are to be admitted in the order they begin, each before anything that is due
    /// after its beginning is asked for. Comes back at once when nothing of it is ever sent.
    pub(super) fn admit(&mut self, call: SealedCall, decision: &Decision) -> Option<Finished> {
        let index = call.call.index;
        let call = Arc::new(call);
        let open = decision.departures.len();
        if open == 0 {
            return Some(Finished {
                call,
                arrived: FactSet::default(),
                lost: decision.lost,
            });
        }
        let live = Live {
            call,
            lost: decision.lost,
            arrived: FactSet::default(),
            latest: None,
            open,
            busy: false,
            waiting: VecDeque::new(),
        };
        for departure in &decision.departures {
            let job = Job {
                call: index,
                fact: departure.fact,
                duplicate: departure.duplicate,
                attempt: 1,
            };
            self.due.push(Reverse((departure.due, job)));
        }
        self.live.insert(index, live);
        None
    }

    /// Whether this call has to be admitted before anything else is asked for.
    pub(super) fn wants(&self, next: &PlannedCall) -> bool {
        self.due
            .peek()
            .is_none_or(|Reverse((due, _))| next.starts_at() <= *due)
    }

    /// The next webhook that may go out by the shift's clock and by the machine's.
    pub(super) fn next(&mut self, shift_now: DateTime<Utc>, now: Instant) -> Option<(Job, Arc<SealedCall>)> {
        loop {
            let unblocked = self.ready.pop_front();
            let job = match unblocked {
                Some(job) => job,
                None => self.take_parked(now).or_else(|| self.take_due(shift_now))?,
            };
            let Some(live) = self.live.get_mut(&job.call) else {
                continue;
            };
            if live.busy && unblocked.is_none() {
                live.waiting.push_back(job);
                continue;
            }
            live.busy = true;
            return Some((job, Arc::clone(&live.call)));
        }
    }

    fn take_parked(&mut self, now: Instant) -> Option<Job> {
        let first = self.parked.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if first {
            self.parked.pop().map(|Reverse((_, job))| job)
        } else {
            None
        }
    }

    fn take_due(&mut self, shift_now: DateTime<Utc>) -> Option<Job> {
        let first =
            self.parked.len() < PARKED && self.due.peek().is_some_and(|Reverse((at, _))| *at <= shift_now);
        if first {
            self.due.pop().map(|Reverse((_, job))| job)
        } else {
            None
        }
    }

    /// When the next webhook is due by the shift's clock, unless too many wait for another try.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due
            .peek()
            .filter(|_| self.parked.len() < PARKED)
            .map(|Reverse((at, _))| *at)
    }

    /// When the next try is due by the machine's clock.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.parked.peek().map(|Reverse((at, _))| *at)
    }

    /// Books the end of a try; with the last one of a call comes the call.
    pub(super) fn conclude(&mut self, job: Job, conclusion: Conclusion) -> (Arrival, Option<Finished>) {
        let mut arrival = Arrival::default();
        let Some(live) = self.live.get_mut(&job.call) else {
            return (arrival, None);
        };
        match live.waiting.pop_front() {
            // The call stays busy: this one is next.
            Some(next) => self.ready.push_back(next),
            None => live.busy = false,
        }
        match conclusion {
            Conclusion::Again(at) => {
                self.parked.push(Reverse((
                    at,
                    Job {
                        attempt: job.attempt + 1,
                        ..job
                    },
                )));
                return (arrival, None);
            }
            Conclusion::Accepted => {
                arrival.new = live.arrived.add(job.fact);
                arrival.out_of_order = arrival.new && live.latest.is_some_and(|latest| latest > job.fact);
                live.latest = live.latest.max(Some(job.fact));
            }
            Conclusion::GivenUp => {}
        }
        live.open = live.open.saturating_sub(1);
        let over = live.open == 0;
        let finished = over.then(|| self.live.remove(&job.call)).flatten();
        (
            arrival,
            finished.map(|live| Finished {
                call: live.call,
                arrived: live.arrived,
                lost: live.lost,
            }),
        )
    }

    /// Calls with webhooks still to be concluded.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use voice_schemas::{TenantId, events::call::Carrier};

    use super::*;
    use crate::{
        Account, Departure,
        plan::{Plan, Shift},
    };

    fn calls(count: u64) -> Vec<SealedCall> {
        let account = Account::generate(
            TenantId(uuid::Uuid::nil()),
            Carrier::Telnyx,
            "in",
            &mut ChaCha8Rng::seed_from_u64(1),
        );
        let mut shift = Shift::new(1, count, nine());
        shift.telnyx_share = 1.0;
        let plan = Plan::new(shift, &[account]).unwrap();
        plan.calls()
            .map(|call| SealedCall { call, sealed: None })
            .collect()
    }

    fn nine() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_248_000, 0).unwrap()
    }

    /// Departures of these facts, a second apart.
    fn decision(facts: &[usize]) -> Decision {
        let departures = facts
            .iter()
            .zip(0..)
            .map(|(fact, second)| Departure {
                due: nine() + TimeDelta::seconds(second),
                fact: *fact,
                duplicate: false,
            })
            .collect();
        Decision {
            departures,
            lost: FactSet::default(),
        }
    }

    fn job(call: u64, fact: usize) -> Job {
        Job {
            call,
            fact,
            duplicate: false,
            attempt: 1,
        }
    }

    fn end_of_time() -> DateTime<Utc> {
        DateTime::<Utc>::MAX_UTC
    }

    fn next(agenda: &mut Agenda, now: Instant) -> Option<Job> {
        agenda.next(end_of_time(), now).map(|(job, _)| job)
    }

    #[test]
    fn a_webhook_waits_for_the_one_before_it_of_its_call_and_not_for_those_of_others() {
        let (mut agenda, now) = (Agenda::new(), Instant::now());
        for call in calls(2) {
            agenda.admit(call, &decision(&[0, 1]));
        }
        assert_eq!(next(&mut agenda, now), Some(job(0, 0)));
        assert_eq!(next(&mut agenda, now), Some(job(1, 0)));
        assert_eq!(next(&mut agenda, now), None, "both calls have one under way");
        agenda.conclude(job(1, 0), Conclusion::Accepted);
        assert_eq!(next(&mut agenda, now), Some(job(1, 1)));
        assert_eq!(next(&mut agenda, now), None);
    }

    #[test]
    fn a_webhook_that_was_not_taken_lets_later_ones_pass_and_comes_again_when_it_is_time() {
        let (mut agenda, now) = (Agenda::new(), Instant::now());
        for call in calls(1) {
            agenda.admit(call, &decision(&[0, 1]));
        }
        let first = next(&mut agenda, now).unwrap();
        let later = now + Duration::from_secs(1);
        agenda.conclude(first, Conclusion::Again(later));
        let second = next(&mut agenda, now).unwrap();
        assert_eq!(second, job(0, 1));
        assert_eq!(
            agenda.conclude(second, Conclusion::Accepted).0,
            Arrival {
                new: true,
                out_of_order: false
            }
        );
        assert_eq!((next(&mut agenda, now), agenda.next_try()), (None, Some(later)));
        let again = next(&mut agenda, later).unwrap();
        assert_eq!(again, Job { attempt: 2, ..first });
        let (arrival, finished) = agenda.conclude(again, Conclusion::Accepted);
        assert_eq!(
            arrival,
            Arrival {
                new: true,
                out_of_order: true
            }
        );
        assert_eq!(finished.unwrap().arrived, FactSet::first(2));
        assert_eq!(agenda.live(), 0);
    }

    #[test]
    fn a_repetition_is_no_news_and_a_call_is_over_when_its_last_webhook_is() {
        let (mut agenda, now) = (Agenda::new(), Instant::now());
        for call in calls(1) {
            agenda.admit(call, &decision(&[0, 0, 1]));
        }
        let mut news = Vec::new();
        let mut over = Vec::new();
        for conclusion in [Conclusion::Accepted, Conclusion::Accepted, Conclusion::GivenUp] {
            let job = next(&mut agenda, now).unwrap();
            let (arrival, finished) = agenda.conclude(job, conclusion);
            news.push(arrival.new);
            over.push(finished.is_some());
        }
        assert_eq!(news, [true, false, false]);
        assert_eq!(over, [false, false, true]);
    }

    #[test]
    fn nothing_goes_out_before_it_is_due() {
        let (mut agenda, now) = (Agenda::new(), Instant::now());
        for call in calls(1) {
            agenda.admit(call, &decision(&[0, 1]));
        }
        assert_eq!(agenda.next_due(), Some(nine()));
        assert!(agenda.next(nine() - TimeDelta::milliseconds(1), now).is_none());
        let (first, _) = agenda.next(nine(), now).unwrap();
        agenda.conclude(first, Conclusion::Accepted);
        assert!(agenda.next(nine(), now).is_none());
        assert_eq!(agenda.next_due(), Some(nine() + TimeDelta::seconds(1)));
    }

    #[test]
    fn while_too_many_wait_for_another_try_no_new_ones_go_out() {
        let (mut agenda, now) = (Agenda::new(), Instant::now());
        for call in calls(PARKED as u64 + 1) {
            agenda.admit(call, &decision(&[0]));
        }
        let later = now + Duration::from_secs(1);
        for _ in 0..PARKED {
            let job = next(&mut agenda, now).unwrap();
            agenda.conclude(job, Conclusion::Again(later));
        }
        assert_eq!((next(&mut agenda, now), agenda.next_due()), (None, None));
        let again = next(&mut agenda, later).unwrap();
        assert_eq!(again.attempt, 2);
        agenda.conclude(again, Conclusion::Accepted);
        assert_eq!(next(&mut agenda, now).map(|job| job.attempt), Some(1));
    }

    #[test]
    fn a_call_of_which_nothing_is_sent_is_over_at_once() {
        let mut agenda = Agenda::new();
        let call = calls(1).pop().unwrap();
        let lost = FactSet::first(call.call.facts.len());
        let finished = agenda
            .admit(
                call,
                &Decision {
                    departures: Vec::new(),
                    lost,
                },
            )
            .unwrap();
        assert_eq!((finished.arrived, finished.lost), (FactSet::default(), lost));
        assert_eq!(agenda.live(), 0);
    }
}
