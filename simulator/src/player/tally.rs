//! What came of playing a shift.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::Expected;

/// The count of everything that was sent and what the platform said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Calls played.
    pub calls: u64,
    /// Webhooks the calls have, each once: `lost + delivered + undelivered`.
    pub planned: u64,
    /// Webhooks the carrier never sent.
    pub lost: u64,
    /// Webhooks the platform took (2xx), each once.
    pub delivered: u64,
    /// Webhooks the platform did not take in any try.
    pub undelivered: u64,
    /// Webhooks the platform took again after it had taken them.
    pub repeated: u64,
    /// Webhooks the platform took after a later one of the same call.
    pub out_of_order: u64,
    /// Requests sent, with repetitions and retries.
    pub requests: u64,
    /// Requests that were sent because one before them was not taken.
    pub retries: u64,
    /// Responses that were not 2xx, by status.
    pub refusals: BTreeMap<u16, u64>,
    /// Requests without a response: no connection, or none in time.
    pub unanswered: u64,
    /// Calls whose end never arrived. The platform has to ask about those of which anything did:
    /// `expected.reconciled`.
    pub ends_missing: u64,
    /// What the platform must know now, from the webhooks it took.
    pub expected: Expected,
    /// How long the platform took to answer.
    pub response_times: ResponseTimes,
}

/// Response times, counted in steps of a quarter so that any number of them takes little room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResponseTimes {
    counts: BTreeMap<i32, u64>,
    total: u64,
}

const STEP: f64 = 1.25;

impl ResponseTimes {
    pub(super) fn add(&mut self, took: Duration) {
        // Below a microsecond there is nothing to tell apart.
        let micros = (took.as_secs_f64() * 1e6).max(1.0);
        // At most some hundred.
        let step = (micros.ln() / STEP.ln()).floor() as i32;
        *self.counts.entry(step).or_default() += 1;
        self.total += 1;
    }

    /// The time within which this share of all responses came, rounded up to the next step; none without
    /// responses.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.total as f64) * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.counts.iter().find_map(|(step, count)| {
            seen += count;
            (seen >= wanted).then(|| Duration::from_secs_f64(STEP.powi(step + 1) / 1e6))
        })
    }
}

/// How far the player is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Calls in the shift.
    pub calls: u64,
    /// Calls all of whose webhooks are concluded.
    pub finished: u64,
    /// Webhooks the platform took, each once.
    pub delivered: u64,
    /// Requests sent.
    pub requests: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_quarter_too_long() {
        let mut times = ResponseTimes::default();
        assert_eq!(times.quantile(0.5), None);
        for millis in 1..=100 {
            times.add(Duration::from_millis(millis));
        }
        for (share, millis) in [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)] {
            let (quantile, exact) = (times.quantile(share).unwrap(), Duration::from_millis(millis));
            assert!(
                quantile >= exact && quantile <= exact.mul_f64(STEP),
                "{share}: {quantile:?}"
            );
        }
    }
}
