//! Lets each delivery through once, also when two copies arrive at the same moment.
//!
//! The first copy gets a [`Ticket`] and appends the record. A copy that arrives meanwhile waits for that
//! outcome: when the record is confirmed it is a duplicate and hears 200; when it fails, or its
//! connection is closed half way, both carriers' attempts hear 503 and the next one is first again.
//! Letting the copy through would put the record in twice; refusing it at once would answer 503
//! for something that is about to be stored, and a carrier with no retries left would give up on it.
//! Waiting costs nothing new: a copy holds one of the in-flight slots like everybody else.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

use super::replay::{KeyIsHash, ReplayKey, Window};
use crate::config::ReplayConfig;

/// Locks of their own, so that a table that grows holds up a sixteenth of the requests.
const SHARDS: usize = 16;

/// The memory of all webhooks of this process.
#[derive(Debug)]
pub(crate) struct Admission {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    window: Window,
    in_flight: HashMap<ReplayKey, Vec<oneshot::Sender<()>>, BuildHasherDefault<KeyIsHash>>,
}

/// What to do with a delivery.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// Nobody has seen it: append it, then [`Ticket::stored`].
    First(Ticket),
    /// It is stored.
    Seen,
    /// Another copy is being stored; an error says that it was not.
    Waits(oneshot::Receiver<()>),
}

/// The right to append one record. Dropped without [`stored`](Self::stored), the key is free again.
#[derive(Debug)]
#[must_use = "dropping it means that the record was not stored"]
pub(crate) struct Ticket {
    /// Taken when it is stored.
    admission: Option<Arc<Admission>>,
    key: ReplayKey,
}

impl Admission {
    pub(crate) fn new(config: &ReplayConfig) -> Arc<Self> {
        let life = i64::try_from(config.window_seconds)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(TimeDelta::MAX / 4);
        let most = config.keys.div_ceil(SHARDS);
        let shard = || {
            Mutex::new(Shard {
                window: Window::new(life, most),
                in_flight: HashMap::default(),
            })
        };
        Arc::new(Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
        })
    }

    /// Judges a delivery.
    pub(crate) fn admit(self: &Arc<Self>, key: ReplayKey, now: DateTime<Utc>) -> Admitted {
        let mut shard = self.shard(key);
        if shard.window.saw(key, now) {
            return Admitted::Seen;
        }
        if let Some(waiting) = shard.in_flight.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            // Who waited and went away makes room for who waits now.
            waiting.retain(|sender| !sender.is_closed());
            waiting.push(sender);
            return Admitted::Waits(receiver);
        }
        shard.in_flight.insert(key, Vec::new());
        Admitted::First(Ticket {
            admission: Some(Arc::clone(self)),
            key,
        })
    }

    /// How many keys are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).window.len()).sum()
    }

    fn shard(&self, key: ReplayKey) -> MutexGuard<'_, Shard> {
        // Not the bits the hash tables use first.
        let index = usize::try_from((key.0 >> 20) % SHARDS as u128).unwrap_or(0);
        lock(&self.shards[index])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ticket {
    /// The broker has the record: whoever waits is told, and later copies are duplicates.
    pub(crate) fn stored(mut self, now: DateTime<Utc>) {
        let Some(admission) = self.admission.take() else {
            return;
        };
        let waiting = {
            let mut shard = admission.shard(self.key);
            shard.window.mark(self.key, now);
            shard.in_flight.remove(&self.key)
        };
        for waiter in waiting.into_iter().flatten() {
            let _who_went_away_needs_no_answer = waiter.send(());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            // The senders go with the entry, which tells the waiting copies that it failed.
            admission.shard(self.key).in_flight.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const KEY: ReplayKey = ReplayKey(7);

    fn admission() -> Arc<Admission> {
        Admission::new(&ReplayConfig::default())
    }

    fn first(admission: &Arc<Admission>) -> Ticket {
        match admission.admit(KEY, NOW) {
            Admitted::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn waits(admission: &Arc<Admission>) -> oneshot::Receiver<()> {
        match admission.admit(KEY, NOW) {
            Admitted::Waits(receiver) => receiver,
            other => panic!("{other:?}"),
        }
    }

    /// T12
    #[tokio::test]
    async fn a_copy_that_arrives_meanwhile_gets_the_outcome_of_the_first() {
        let admission = admission();
        let ticket = first(&admission);
        let (second, third) = (waits(&admission), waits(&admission));
        ticket.stored(NOW);
        assert_eq!(second.await, Ok(()));
        assert_eq!(third.await, Ok(()));
        assert!(matches!(admission.admit(KEY, NOW), Admitted::Seen));
        assert_eq!(admission.remembered(), 1);
    }

    #[tokio::test]
    async fn a_failed_append_frees_the_key_so_that_the_retry_is_no_loss() {
        let admission = admission();
        let ticket = first(&admission);
        let second = waits(&admission);
        drop(ticket);
        assert!(second.await.is_err());
        assert_eq!(admission.remembered(), 0);
        first(&admission).stored(NOW);
        assert!(matches!(admission.admit(KEY, NOW), Admitted::Seen));
    }

    #[test]
    fn copies_that_went_away_are_not_kept() {
        let admission = admission();
        let _ticket = first(&admission);
        for _ in 0..1_000 {
            drop(waits(&admission));
        }
        let waiting = admission.shard(KEY).in_flight[&KEY].len();
        assert!(waiting <= 1, "{waiting} senders are kept");
    }

    #[test]
    fn different_keys_do_not_wait_for_each_other() {
        let admission = admission();
        let _ticket = first(&admission);
        assert!(matches!(admission.admit(ReplayKey(8), NOW), Admitted::First(_)));
    }
}
