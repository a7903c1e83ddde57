//! Webhooks on their way: when each goes out, and what happens when it is not taken.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{line::Line, outage::Outage, telling::Webhook, truth::Truth};
use crate::{Faults, live::outage, player::Retries};

/// A webhook and whether the platform took it.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) webhook: Webhook,
    taken: AtomicBool,
}

/// One delivery of a letter.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    due: DateTime<Utc>,
    place: u64,
    pub(crate) letter: Arc<Letter>,
    /// From 1.
    pub(crate) attempt: u32,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Delivery {}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delivery {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.place).cmp(&(other.due, other.place))
    }
}

/// How the platform answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Taken,
    /// Another try cannot change it.
    Refused,
    /// Not now.
    NotTaken,
}

/// All webhooks that wait.
#[derive(Debug)]
pub(crate) struct Post {
    faults: Faults,
    seed: u64,
    retries: Retries,
    waiting: BinaryHeap<Reverse<Delivery>>,
    places: u64,
    /// Deliveries that wait or are under way.
    pub(crate) open: u64,
}

impl Post {
    pub(crate) const fn new(faults: Faults, seed: u64, retries: Retries) -> Self {
        Self {
            faults,
            seed,
            retries,
            waiting: BinaryHeap::new(),
            places: 0,
            open: 0,
        }
    }

    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Decides what becomes of a webhook of the line, and queues it.
    pub(crate) fn add(
        &mut self,
        line: &mut Line,
        webhook: Webhook,
        outages: &[Outage],
        truth: &mut Truth,
        at: DateTime<Utc>,
    ) {
        truth.webhooks += 1;
        let place = (u64::from(line.ordinal) << 32) | u64::from(line.out.told);
        line.out.told += 1;
        let late = outage::of_webhooks(outages, line.carrier, at);
        let sending = self.faults.decide_one(self.seed, line.number, place, webhook.end);
        let (Some(late), Some(sending)) = (late, sending) else {
            truth.lost += 1;
            return;
        };
        let in_order = (at + sending.latency).max(line.out.last_due.unwrap_or(at));
        line.out.last_due = Some(in_order);
        let due = in_order + sending.extra + late;
        let letter = Arc::new(Letter {
            webhook,
            taken: AtomicBool::new(false),
        });
        for due in [Some(due), sending.again.map(|again| due + again)]
            .into_iter()
            .flatten()
        {
            line.out.waiting += 1;
            self.open += 1;
            self.push(due, Arc::clone(&letter), 1);
        }
    }

    fn push(&mut self, due: DateTime<Utc>, letter: Arc<Letter>, attempt: u32) {
        self.places += 1;
        self.waiting.push(Reverse(Delivery {
            due,
            place: self.places,
            letter,
            attempt,
        }));
    }

    pub(crate) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.waiting.peek().map(|Reverse(delivery)| delivery.due)
    }

    /// The next delivery that is due.
    pub(crate) fn take(&mut self, now: DateTime<Utc>) -> Option<Delivery> {
        if self.next_due()? > now {
            return None;
        }
        self.waiting.pop().map(|Reverse(delivery)| delivery)
    }

    /// What the platform said to a delivery. `line` is the call it is about, while it is remembered.
    pub(crate) fn conclude(
        &mut self,
        delivery: Delivery,
        reply: Reply,
        line: Option<&mut Line>,
        truth: &mut Truth,
        now: DateTime<Utc>,
    ) {
        truth.requests += 1;
        let letter = &delivery.letter;
        if reply == Reply::NotTaken && delivery.attempt < self.retries.tries {
            let doubled = self
                .retries
                .first_wait
                .saturating_mul(1_u32.checked_shl(delivery.attempt - 1).unwrap_or(u32::MAX));
            let wait =
                TimeDelta::from_std(doubled.min(self.retries.longest_wait)).unwrap_or(TimeDelta::seconds(15));
            self.push(now + wait, delivery.letter, delivery.attempt + 1);
            return;
        }
        self.open -= 1;
        let again = letter.taken.load(Ordering::Relaxed);
        let webhook = &letter.webhook;
        match reply {
            Reply::Taken if again => truth.repeated += 1,
            Reply::Taken => {
                letter.taken.store(true, Ordering::Relaxed);
                truth.delivered += 1;
                truth.facts += u64::from(webhook.fact);
            }
            Reply::Refused | Reply::NotTaken => truth.undelivered += u64::from(!again),
        }
        let Some(line) = line else { return };
        line.out.waiting -= 1;
        if reply == Reply::Taken && !again {
            line.out.facts += u32::from(webhook.fact);
            line.out.end |= webhook.end;
        }
        count(line, truth);
    }
}

/// Counts a call once nothing can come of it any more: did the platform hear of its end?
pub(crate) fn count(line: &mut Line, truth: &mut Truth) {
    if line.ended.is_none() || line.out.waiting > 0 || line.out.settled {
        return;
    }
    line.out.settled = true;
    truth.ends_missing += u64::from(line.out.facts > 0 && !line.out.end);
    truth.untold += u64::from(line.out.facts == 0);
}
