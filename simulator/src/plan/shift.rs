//! The parameters of a shift: how many calls, when, and how they go.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::Carrier;

use super::{LogNormal, Profile};
use crate::SimulatorError;

/// Webhooks of Twilio with an older signed time are dropped by the platform as replays.
const OLDEST: TimeDelta = TimeDelta::hours(24);
/// Events of any carrier that are older than this, or further ahead than that, are poison.
const OLDEST_FACT: TimeDelta = TimeDelta::days(30);
const FURTHEST_AHEAD: TimeDelta = TimeDelta::days(1);
/// Time to play the shift before its first webhook grows too old.
const MARGIN: TimeDelta = TimeDelta::minutes(20);
/// No spread of ring, wait or talk times may reach further.
const LONGEST_MS: u32 = 4 * 3_600_000;

/// How outbound calls end, as weights that need not add up to anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcomes {
    /// Somebody or something picks up.
    pub answered: f64,
    /// The line is engaged.
    pub busy: f64,
    /// It rings until the time-out.
    pub no_answer: f64,
    /// The number does not exist.
    pub invalid_number: f64,
    /// The far end or its network refuses.
    pub rejected: f64,
    /// The dialer gives up while it rings.
    pub canceled: f64,
    /// The carrier fails.
    pub carrier_error: f64,
}

impl Outcomes {
    fn weights(&self) -> [f64; 7] {
        [
            self.answered,
            self.busy,
            self.no_answer,
            self.invalid_number,
            self.rejected,
            self.canceled,
            self.carrier_error,
        ]
    }
}

/// A shift. Equal shifts give equal plans, call by call and bit by bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Everything random comes from it.
    pub seed: u64,
    /// How many calls there are.
    pub calls: u64,
    /// When the first call may begin. Played at once, it must lie within the last 24 hours, see
    /// [`check_at`](Self::check_at); [`within_a_day`](Self::within_a_day) finds a good place.
    pub starts_at: DateTime<Utc>,
    /// How long calls keep beginning; the last ones end up to [`tail`](Self::tail) later.
    pub duration: TimeDelta,
    /// When in the shift they begin.
    pub profile: Profile,
    /// Share of calls that come from outside. They carry no context.
    pub inbound_share: f64,
    /// Share of calls at Telnyx; the others are at Twilio.
    pub telnyx_share: f64,
    /// Campaigns of each tenant.
    pub campaigns: u16,
    /// Shards of each campaign.
    pub shards: u16,
    /// Agents of each tenant. They are drawn for each call, not scheduled: one may be on two calls at once.
    pub agents: u16,
    /// People of each tenant who can be called; calls draw from them, so some are called more than once.
    pub contacts: u32,
    /// Share of campaigns whose calls are taken by AI agents.
    pub ai_share: f64,
    /// How outbound calls end.
    pub outcomes: Outcomes,
    /// Share of outbound pick-ups that are not a person.
    pub machine_share: f64,
    /// Share of people the carrier's detection is unsure of.
    pub unsure_share: f64,
    /// Share of people who pick up and get no agent.
    pub abandoned_share: f64,
    /// Share of inbound callers who hang up before an agent is free.
    pub queue_abandoned_share: f64,
    /// Share of calls about which the carrier also reports things that are no facts about a call.
    pub chatter_share: f64,
    /// From ringing to pick-up.
    pub ring_ms: LogNormal,
    /// How long the dialer lets it ring.
    pub ring_timeout_ms: u32,
    /// From pick-up to the verdict of machine detection.
    pub detection_ms: LogNormal,
    /// From pick-up to the agent, outbound.
    pub agent_wait_ms: LogNormal,
    /// From pick-up to the agent, inbound.
    pub queue_wait_ms: LogNormal,
    /// How long inbound callers wait who then give up.
    pub patience_ms: LogNormal,
    /// From the agent to the hang-up.
    pub talk_ms: LogNormal,
}

impl Shift {
    /// A shift of twelve hours with the mix of an ordinary campaign.
    #[must_use]
    pub fn new(seed: u64, calls: u64, starts_at: DateTime<Utc>) -> Self {
        Self {
            seed,
            calls,
            starts_at,
            duration: TimeDelta::hours(12),
            profile: Profile::default(),
            inbound_share: 0.1,
            telnyx_share: 0.5,
            campaigns: 4,
            shards: 4,
            agents: 60,
            contacts: 250_000,
            ai_share: 0.25,
            outcomes: Outcomes {
                answered: 0.45,
                busy: 0.06,
                no_answer: 0.36,
                invalid_number: 0.05,
                rejected: 0.04,
                canceled: 0.02,
                carrier_error: 0.02,
            },
            machine_share: 0.35,
            unsure_share: 0.03,
            abandoned_share: 0.02,
            queue_abandoned_share: 0.06,
            chatter_share: 0.05,
            ring_ms: LogNormal::new(9_000.0, 0.55, 900, 60_000),
            ring_timeout_ms: 25_000,
            detection_ms: LogNormal::new(1_300.0, 0.45, 350, 8_000),
            agent_wait_ms: LogNormal::new(550.0, 0.6, 80, 9_000),
            queue_wait_ms: LogNormal::new(7_000.0, 1.0, 300, 300_000),
            patience_ms: LogNormal::new(30_000.0, 0.9, 1_000, 300_000),
            talk_ms: LogNormal::new(95_000.0, 0.85, 3_000, 1_800_000),
        }
    }

    /// The longest a call of this shift can last.
    #[must_use]
    pub fn tail(&self) -> TimeDelta {
        let spreads = [
            &self.ring_ms,
            &self.detection_ms,
            &self.agent_wait_ms,
            &self.queue_wait_ms,
            &self.patience_ms,
            &self.talk_ms,
        ];
        // A minute covers set-up, greetings and messages; see `life`.
        let sum: i64 = spreads.iter().map(|spread| i64::from(spread.max_ms)).sum();
        TimeDelta::milliseconds(sum + i64::from(self.ring_timeout_ms) + 60_000)
    }

    /// The same shift, moved and shortened so that it can be played at once and lies within one calendar day:
    /// today if at least half of `duration` of it has passed, else yesterday, where webhooks of the last
    /// 24 hours are left of it. `midnight` is when today began in the time zone of whoever reads the report.
    ///
    /// Calls begin early enough for the last one to have ended by `now`, or by midnight.
    #[must_use]
    pub fn within_a_day(mut self, midnight: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let tail = self.tail();
        let oldest = now - OLDEST + MARGIN;
        let today = now - midnight.max(oldest) - tail;
        let yesterday = midnight - oldest - tail;
        let (day, begin, room) = if today >= self.duration / 2 || today >= yesterday {
            (midnight, now - tail - today, today)
        } else {
            (
                midnight - TimeDelta::days(1),
                midnight - tail - yesterday,
                yesterday,
            )
        };
        self.duration = self.duration.min(room).max(TimeDelta::minutes(1));
        // From eight in the morning on where there is a choice.
        let latest = begin + (room - self.duration).max(TimeDelta::zero());
        self.starts_at = (day + TimeDelta::hours(8)).clamp(begin, latest);
        self
    }

    /// Whether the parameters describe a shift at all.
    ///
    /// # Errors
    /// Names the first parameter that is out of its range.
    pub fn check(&self) -> Result<(), SimulatorError> {
        let wrong = |field, reason| Err(SimulatorError::Parameter { field, reason });
        let shares = [
            ("inbound_share", self.inbound_share),
            ("telnyx_share", self.telnyx_share),
            ("ai_share", self.ai_share),
            ("machine_share", self.machine_share),
            ("unsure_share", self.unsure_share),
            ("abandoned_share", self.abandoned_share),
            ("queue_abandoned_share", self.queue_abandoned_share),
            ("chatter_share", self.chatter_share),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return wrong(field, "must lie between 0 and 1");
            }
        }
        let weights = self.outcomes.weights();
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0)
            || weights.iter().sum::<f64>() <= 0.0
        {
            return wrong("outcomes", "must be weights of which one is positive");
        }
        let spreads = [
            ("ring_ms", self.ring_ms),
            ("detection_ms", self.detection_ms),
            ("agent_wait_ms", self.agent_wait_ms),
            ("queue_wait_ms", self.queue_wait_ms),
            ("patience_ms", self.patience_ms),
            ("talk_ms", self.talk_ms),
        ];
        for (field, spread) in spreads {
            if !spread.is_sound() || spread.max_ms > LONGEST_MS {
                return wrong(field, "must be finite, in order and at most four hours");
            }
        }
        if self.campaigns == 0 || self.shards == 0 || self.agents == 0 || self.contacts == 0 {
            return wrong("campaigns, shards, agents, contacts", "must be at least 1");
        }
        if self.contacts > 9_000_000 {
            return wrong(
                "contacts",
                "must be at most 9 million: their numbers have seven digits",
            );
        }
        if self.duration <= TimeDelta::zero() || self.duration > TimeDelta::days(7) {
            return wrong("duration", "must be positive and at most a week");
        }
        if !(5_000..=600_000).contains(&self.ring_timeout_ms) {
            return wrong("ring_timeout_ms", "must lie between 5 s and 600 s");
        }
        Ok(())
    }

    /// Whether the platform believes a shift that is played from `now` on, at whatever pace. Twilio signs the
    /// time of an event, and what is older than 24 hours is dropped as a replay. Telnyx signs the time of
    /// sending, which is always now; its events may be 30 days old. Nothing may lie a day ahead.
    ///
    /// # Errors
    /// When it begins too early or ends too late.
    pub fn check_at(&self, now: DateTime<Utc>) -> Result<(), SimulatorError> {
        let (age, margin) = if self.has(Carrier::Twilio) {
            (OLDEST, MARGIN / 2)
        } else {
            (OLDEST_FACT, MARGIN)
        };
        let oldest = now - age + margin;
        if self.starts_at < oldest {
            return Err(SimulatorError::TooOld {
                starts_at: self.starts_at,
                oldest,
            });
        }
        let (ends_at, latest) = (self.ends_at(), now + FURTHEST_AHEAD);
        if ends_at > latest {
            return Err(SimulatorError::TooNew { ends_at, latest });
        }
        Ok(())
    }

    /// When the last call has ended at the latest.
    #[must_use]
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.starts_at + self.duration + self.tail()
    }

    /// Whether it has calls at this carrier.
    pub(crate) fn has(&self, carrier: Carrier) -> bool {
        match carrier {
            Carrier::Telnyx => self.telnyx_share > 0.0,
            Carrier::Twilio => self.telnyx_share < 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_219_200 + seconds, 0).unwrap()
    }

    #[test]
    fn the_defaults_are_sound_and_every_absurd_parameter_is_named() {
        let sound = Shift::new(1, 10, at(0));
        assert!(sound.check().is_ok());
        type Change = fn(&mut Shift);
        let changes: [(&str, Change); 9] = [
            ("inbound_share", |shift| shift.inbound_share = 1.1),
            ("machine_share", |shift| shift.machine_share = f64::NAN),
            ("outcomes", |shift| shift.outcomes.busy = -0.1),
            ("talk_ms", |shift| shift.talk_ms.sigma = f64::INFINITY),
            ("ring_ms", |shift| shift.ring_ms.min_ms = 70_000),
            ("contacts", |shift| shift.contacts = 9_000_001),
            ("campaigns, shards, agents, contacts", |shift| shift.shards = 0),
            ("duration", |shift| shift.duration = TimeDelta::zero()),
            ("ring_timeout_ms", |shift| shift.ring_timeout_ms = 4_999),
        ];
        for (field, change) in changes {
            let mut shift = sound.clone();
            change(&mut shift);
            let named = match shift.check() {
                Err(SimulatorError::Parameter { field, .. }) => field,
                other => panic!("{field}: {other:?}"),
            };
            assert_eq!(named, field);
        }
    }

    #[test]
    fn a_shift_older_than_a_day_is_refused_only_where_the_signed_time_is_that_of_the_event() {
        let mut shift = Shift::new(1, 10, at(0));
        let now = at(0) + TimeDelta::hours(25);
        assert!(matches!(shift.check_at(now), Err(SimulatorError::TooOld { .. })));
        shift.telnyx_share = 1.0;
        assert!(shift.check_at(now).is_ok());
        let late = at(0) + TimeDelta::days(30);
        assert!(matches!(shift.check_at(late), Err(SimulatorError::TooOld { .. })));
        let early = at(0) - TimeDelta::hours(12);
        assert!(matches!(
            shift.check_at(early),
            Err(SimulatorError::TooNew { .. })
        ));
    }

    proptest! {
        #[test]
        fn at_any_time_of_day_there_is_a_shift_within_one_day_that_can_be_played_at_once(
            into_the_day in 0_i64..86_400,
            hours in 1_i64..24,
        ) {
            let (midnight, now) = (at(0), at(into_the_day));
            let mut wanted = Shift::new(1, 10, at(0));
            wanted.duration = TimeDelta::hours(hours);
            let shift = wanted.clone().within_a_day(midnight, now);
            prop_assert!(shift.check_at(now).is_ok(), "{:?}", shift.check_at(now));
            let ends_at = shift.ends_at();
            prop_assert!(ends_at <= now);
            let yesterday = midnight - TimeDelta::hours(24);
            let today = shift.starts_at >= midnight;
            prop_assert!(today || (shift.starts_at >= yesterday && ends_at <= midnight));
            // Half a day always fits, less what the longest call and the margin take.
            let room = TimeDelta::hours(12) - wanted.tail() - MARGIN;
            prop_assert!(shift.duration >= wanted.duration.min(room) / 2, "{}", shift.duration);
        }
    }
}
