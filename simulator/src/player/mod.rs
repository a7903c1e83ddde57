//! Plays a shift: posts its webhooks at their time, repeats what the platform does not take, and counts.
//!
//! One task does everything: the work of a webhook is its signature and a request on a connection that is kept
//! open, and a second core would only take it from the platform. Memory is bounded by the calls that live at
//! once, the requests under way and the webhooks that wait for another try.

mod agenda;
mod pace;
mod tally;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;
use voice_lifecycle::SharedClock;

use self::{
    agenda::{Agenda, Conclusion, Finished, Job},
    pace::Timeline,
};
pub use self::{
    pace::{Pace, ShiftClock},
    tally::{Progress, ResponseTimes, Tally},
};
use crate::{
    FactSet, Faults, SimulatorError,
    plan::{Plan, PlannedCall},
    wire::{SealedCall, Wire},
};

/// How often and when a webhook that was not taken is sent again. Carriers do so for some minutes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Tries of one webhook, the first included.
    pub tries: u32,
    /// The wait before the second try, by the machine's clock; doubled for each try after that.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

impl Default for Retries {
    /// A patient carrier: a platform that is down for a minute misses nothing.
    fn default() -> Self {
        Self {
            tries: 12,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(15),
        }
    }
}

/// How a shift is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayOptions {
    /// How fast.
    pub pace: Pace,
    /// Requests under way at once, at most.
    pub concurrency: usize,
    /// What happens to webhooks that are not taken.
    pub retries: Retries,
    /// How long to wait for a response.
    pub timeout: Duration,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            pace: Pace::AsFastAsPossible,
            concurrency: 64,
            retries: Retries::default(),
            timeout: Duration::from_secs(15),
        }
    }
}

impl PlayOptions {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<(), SimulatorError> {
        let wrong = |field, reason| Err(SimulatorError::Parameter { field, reason });
        if let Pace::Scaled(scale) = self.pace
            && !(scale.is_finite() && scale > 0.0)
        {
            return wrong("pace", "must be positive");
        }
        if self.concurrency == 0 {
            return wrong("concurrency", "must be at least 1");
        }
        if self.retries.tries == 0 {
            return wrong("tries", "must be at least 1");
        }
        Ok(())
    }
}

/// Is told how the play goes on.
pub trait Observer: Sync {
    /// After every response.
    fn progress(&self, progress: &Progress) {
        let _ = progress;
    }

    /// When the last webhook of a call is concluded: which arrived, and which the carrier never sent.
    fn finished(&self, call: &PlannedCall, arrived: FactSet, lost: FactSet) {
        let _ = (call, arrived, lost);
    }
}

/// Looks away.
impl Observer for () {}

/// Everything a play needs.
pub(crate) struct Player<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) faults: &'a Faults,
    pub(crate) wire: Wire<'a>,
    pub(crate) http: &'a reqwest::Client,
    pub(crate) options: &'a PlayOptions,
    pub(crate) clock: &'a SharedClock,
    pub(crate) shift_clock: &'a ShiftClock,
    pub(crate) observer: &'a dyn Observer,
}

/// How the platform answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Status(u16),
    None,
}

impl Player<'_> {
    pub(crate) async fn play(&self) -> Tally {
        let shift = self.plan.shift();
        let timeline = Timeline::new(self.options.pace, Instant::now(), shift.starts_at);
        let mut calls = self.plan.calls().peekable();
        let mut agenda = Agenda::new();
        let mut under_way = FuturesUnordered::new();
        let mut tally = Tally::default();
        loop {
            while under_way.len() < self.options.concurrency {
                while let Some(call) = calls.next_if(|call| agenda.wants(call)) {
                    let decision = self.faults.decide(shift.seed, &call);
                    if let Some(finished) = agenda.admit(self.wire.seal(call), &decision) {
                        self.book(&mut tally, &finished);
                    }
                }
                let now = Instant::now();
                let Some((job, call)) = agenda.next(timeline.shift_now(now), now) else {
                    break;
                };
                if let Some(fact) = call.call.facts.get(job.fact) {
                    self.shift_clock.advance(fact.at);
                }
                tally.requests += 1;
                tally.retries += u64::from(job.attempt > 1);
                under_way.push(self.send(job, call));
            }
            let wake = [
                agenda.next_due().map(|due| timeline.reaches(due)),
                agenda.next_try(),
            ];
            // A full house waits for a response, whatever is due.
            let wake = wake
                .into_iter()
                .flatten()
                .min()
                .filter(|_| under_way.len() < self.options.concurrency);
            // Responses first: they make room and unblock calls.
            tokio::select! {
                biased;
                Some((job, reply, took)) = under_way.next(), if !under_way.is_empty() => {
                    self.conclude(&mut agenda, &mut tally, job, reply, took);
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                else => {
                    if agenda.live() == 0 && calls.peek().is_none() {
                        break;
                    }
                }
            }
        }
        self.shift_clock.advance(shift.ends_at());
        tally
    }

    async fn send(&self, job: Job, call: Arc<SealedCall>) -> (Job, Reply, Duration) {
        let began = Instant::now();
        let reply = self.post(job, &call).await;
        (job, reply, began.elapsed())
    }

    async fn post(&self, job: Job, call: &SealedCall) -> Reply {
        let Some(fact) = call.call.facts.get(job.fact) else {
            return Reply::None;
        };
        let Ok(webhook) = self.wire.webhook(call, fact, job.attempt, self.clock.now()) else {
            return Reply::None;
        };
        let request = self
            .http
            .post(webhook.url)
            .headers(webhook.headers)
            .body(webhook.body);
        let Ok(response) = request.timeout(self.options.timeout).send().await else {
            return Reply::None;
        };
        let status = response.status().as_u16();
        // The connection is only used again once the body has been read.
        match response.bytes().await {
            Ok(_) => Reply::Status(status),
            Err(_) => Reply::None,
        }
    }

    fn conclude(&self, agenda: &mut Agenda, tally: &mut Tally, job: Job, reply: Reply, took: Duration) {
        let conclusion = match reply {
            Reply::Status(200..=299) => {
                tally.response_times.add(took);
                Conclusion::Accepted
            }
            Reply::Status(status) => {
                tally.response_times.add(took);
                *tally.refusals.entry(status).or_default() += 1;
                if is_final(status) {
                    Conclusion::GivenUp
                } else {
                    self.again(job)
                }
            }
            Reply::None => {
                tally.unanswered += 1;
                self.again(job)
            }
        };
        let (arrival, over) = agenda.conclude(job, conclusion);
        tally.delivered += u64::from(arrival.new);
        tally.repeated += u64::from(conclusion == Conclusion::Accepted && !arrival.new);
        tally.out_of_order += u64::from(arrival.out_of_order);
        if let Some(finished) = over {
            self.book(tally, &finished);
        }
        let (calls, finished) = (self.plan.shift().calls, tally.calls);
        let progress = Progress {
            calls,
            finished,
            delivered: tally.delivered,
            requests: tally.requests,
        };
        self.observer.progress(&progress);
    }

    fn again(&self, job: Job) -> Conclusion {
        let retries = &self.options.retries;
        if job.attempt >= retries.tries {
            return Conclusion::GivenUp;
        }
        let wait = retries
            .first_wait
            .saturating_mul(1_u32.checked_shl(job.attempt - 1).unwrap_or(u32::MAX));
        Conclusion::Again(Instant::now() + wait.min(retries.longest_wait))
    }

    fn book(&self, tally: &mut Tally, finished: &Finished) {
        let Finished { call, arrived, lost } = finished;
        let call = &call.call;
        let planned = call.facts.len() as u64;
        tally.calls += 1;
        tally.planned += planned;
        tally.lost += u64::from(lost.len());
        tally.undelivered += planned - u64::from(lost.len()) - u64::from(arrived.len());
        let ended = call
            .facts
            .iter()
            .enumerate()
            .any(|(place, fact)| fact.fact.is_terminal() && arrived.has(place));
        tally.ends_missing += u64::from(!ended);
        tally.expected.add(call, *arrived);
        self.observer.finished(call, *arrived, *lost);
    }
}

/// Whether another try cannot change the answer. Telnyx would try all the same; nothing is learnt from that.
const fn is_final(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}

/// Whether the shift is told while it happens, so that the times Twilio leaves out are those of arrival.
pub(crate) fn is_live(pace: Pace, starts_in: TimeDelta) -> bool {
    pace == Pace::Scaled(1.0) && starts_in.abs() < TimeDelta::minutes(1)
}
