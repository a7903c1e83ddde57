//! What a carrier account may do at once and in a second, and what the carrier does about the rest.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::Carrier;

/// Telnyx counts dials over this trailing window.
const WINDOW: TimeDelta = TimeDelta::seconds(5);
/// Twilio queues calls for so long and no longer.
const LONGEST_QUEUE: TimeDelta = TimeDelta::hours(24);

/// The limits of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Calls begun in a second. Twilio queues what exceeds it, Telnyx refuses it.
    pub calls_per_second: f64,
    /// Calls at once, ringing and talking.
    pub calls_at_once: usize,
}

impl Default for Limits {
    /// So much that nobody meets them.
    fn default() -> Self {
        Self {
            calls_per_second: 1_000_000.0,
            calls_at_once: usize::MAX,
        }
    }
}

/// Why a call was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    /// Telnyx: too many dials; there is room again after this.
    TooFast(TimeDelta),
    /// Twilio: the queue reaches past a day.
    QueueFull,
    /// As many calls as the account may have.
    TooManyCalls,
}

/// One account's way out.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    carrier: Carrier,
    pub(crate) limits: Limits,
    /// Twilio: when the next queued call begins.
    next: Option<DateTime<Utc>>,
    /// Telnyx: the dials of the trailing window.
    recent: VecDeque<DateTime<Utc>>,
    pub(crate) alive: usize,
}

impl Lane {
    pub(crate) const fn new(carrier: Carrier, limits: Limits) -> Self {
        Self {
            carrier,
            limits,
            next: None,
            recent: VecDeque::new(),
            alive: 0,
        }
    }

    pub(crate) const fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Takes a call on, and says when it begins.
    pub(crate) fn admit(&mut self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Declined> {
        if self.alive >= self.limits.calls_at_once {
            return Err(Declined::TooManyCalls);
        }
        let begins = match self.carrier {
            Carrier::Twilio => self.queued(now)?,
            Carrier::Telnyx => self.refused(now)?,
        };
        self.alive += 1;
        Ok(begins)
    }

    fn queued(&mut self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Declined> {
        let begins = self.next.map_or(now, |next| next.max(now));
        if begins - now > LONGEST_QUEUE {
            return Err(Declined::QueueFull);
        }
        let apart = TimeDelta::microseconds((1e6 / self.limits.calls_per_second.max(1e-6)) as i64);
        self.next = Some(begins + apart);
        Ok(begins)
    }

    fn refused(&mut self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Declined> {
        while self.recent.front().is_some_and(|at| now - *at >= WINDOW) {
            self.recent.pop_front();
        }
        let most = self.limits.calls_per_second * WINDOW.as_seconds_f64();
        if self.recent.len() as f64 + 1.0 > most {
            let until = self
                .recent
                .front()
                .map_or(TimeDelta::zero(), |at| *at + WINDOW - now);
            return Err(Declined::TooFast(until.max(TimeDelta::milliseconds(1))));
        }
        // A window nobody can fill need not be kept.
        if most < 1e6 {
            self.recent.push_back(now);
        }
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    fn lane(carrier: Carrier, calls_per_second: f64) -> Lane {
        Lane::new(
            carrier,
            Limits {
                calls_per_second,
                ..Limits::default()
            },
        )
    }

    #[test]
    fn twilio_queues_what_comes_too_fast_up_to_a_day() {
        let mut twilio = lane(Carrier::Twilio, 1.0);
        for place in 0..=86_400 {
            assert_eq!(twilio.admit(at(0)), Ok(at(place * 1_000)));
        }
        assert_eq!(twilio.admit(at(0)), Err(Declined::QueueFull));
        // The queue runs dry by itself.
        assert_eq!(twilio.admit(at(86_401_000)), Ok(at(86_401_000)));
    }

    #[test]
    fn telnyx_refuses_what_exceeds_the_window_and_says_when_there_is_room() {
        let mut telnyx = lane(Carrier::Telnyx, 30.0);
        for place in 0..150 {
            assert!(telnyx.admit(at(place)).is_ok());
        }
        assert_eq!(
            telnyx.admit(at(1_000)),
            Err(Declined::TooFast(TimeDelta::milliseconds(4_000)))
        );
        assert_eq!(telnyx.admit(at(5_000)), Ok(at(5_000)));
    }

    #[test]
    fn an_account_has_no_more_calls_than_it_may() {
        let limits = Limits {
            calls_at_once: 2,
            ..Limits::default()
        };
        for carrier in [Carrier::Twilio, Carrier::Telnyx] {
            let mut lane = Lane::new(carrier, limits);
            assert!(lane.admit(at(0)).is_ok() && lane.admit(at(0)).is_ok());
            assert_eq!(lane.admit(at(0)), Err(Declined::TooManyCalls));
            lane.alive -= 1;
            assert!(lane.admit(at(0)).is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_window_of_five_seconds_ever_holds_more_than_telnyx_allows(
            gaps in proptest::collection::vec(0_i64..400, 1..400), rate in 1.0_f64..40.0,
        ) {
            let mut telnyx = lane(Carrier::Telnyx, rate);
            let (mut now, mut taken) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if telnyx.admit(at(now)).is_ok() { taken.push(now); }
            }
            for begin in &taken {
                let within = taken.iter().filter(|at| (*begin..begin + 5_000).contains(*at)).count();
                prop_assert!(within as f64 <= rate * 5.0);
            }
        }
    }
}
