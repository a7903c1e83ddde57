//! The people and machines behind the numbers: who picks up, when, and for how long they talk.
//!
//! What becomes of a call depends on the seed, the number and which try of that number it is, and on nothing else:
//! not on the account, not on the order of calls, not on the clock.

use rand::RngExt as _;

use crate::{
    SimulatorError,
    plan::{Chance, LogNormal, Verdict, happens, of_call, weighted},
};

/// What becomes of a call that is let ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// A person picks up.
    Person,
    /// An answering machine picks up.
    Machine,
    /// A fax picks up.
    Fax,
    /// The telephone picks up and asks who is calling; its owner rarely takes over.
    Screened,
    /// Engaged.
    Busy,
    /// Nobody picks up.
    RingsOut,
    /// Nobody has the number.
    Disconnected,
    /// The callee's telephone refuses.
    Rejected,
    /// The carrier cannot complete the call.
    CarrierFailure,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 9] = [
        Self::Person,
        Self::Machine,
        Self::Fax,
        Self::Screened,
        Self::Busy,
        Self::RingsOut,
        Self::Disconnected,
        Self::Rejected,
        Self::CarrierFailure,
    ];

    /// Somebody or something picks up.
    #[must_use]
    pub const fn picks_up(self) -> bool {
        matches!(self, Self::Person | Self::Machine | Self::Fax | Self::Screened)
    }

    /// Somebody can be kept waiting.
    #[must_use]
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Person | Self::Screened)
    }
}

/// How the carrier's machine detection errs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detector {
    /// From the pick-up to the verdict, when it is a person.
    pub person_ms: LogNormal,
    /// The same, when it is not.
    pub machine_ms: LogNormal,
    /// Share of people taken for machines.
    pub false_machine: f64,
    /// Share of machines taken for people.
    pub false_human: f64,
    /// Share of verdicts that say nothing.
    pub unsure: f64,
}

impl Default for Detector {
    /// What carriers publish: some errors in a hundred, about a second.
    fn default() -> Self {
        Self {
            person_ms: LogNormal::new(750.0, 0.3, 250, 4_000),
            machine_ms: LogNormal::new(1_400.0, 0.4, 400, 6_000),
            false_machine: 0.02,
            false_human: 0.06,
            unsure: 0.04,
        }
    }
}

impl Detector {
    /// Never wrong, and at once.
    #[must_use]
    pub fn perfect() -> Self {
        Self {
            person_ms: LogNormal::fixed(0),
            machine_ms: LogNormal::fixed(0),
            false_machine: 0.0,
            false_human: 0.0,
            unsure: 0.0,
        }
    }
}

/// The numbers' owners. Fates are weights and need not sum up to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// How often which fate.
    pub fates: Vec<(Fate, f64)>,
    /// From the request to the first ring, or to the refusal.
    pub setup_ms: LogNormal,
    /// How long people let it ring.
    pub ring_ms: LogNormal,
    /// How long machines do.
    pub machine_ring_ms: LogNormal,
    /// How long a person stays who hears nobody.
    pub patience_ms: LogNormal,
    /// How long a person talks to a person.
    pub talk_ms: LogNormal,
    /// How long a person talks to an AI agent.
    pub ai_talk_ms: LogNormal,
    /// The greeting of a machine, up to its beep.
    pub greeting_ms: LogNormal,
    /// How long a machine records.
    pub recording_ms: LogNormal,
    /// How long an agent needs to notice that they talk to a machine.
    pub noticing_ms: LogNormal,
    /// How long a sound file plays that is named and not known.
    pub message_ms: LogNormal,
    /// Share of people who press a key when they are asked to.
    pub presses: f64,
    /// The key they press.
    pub key: char,
    /// Share of conversations with a person the callee ends; the agent ends the others.
    pub callee_hangs_up: f64,
    /// Machine detection.
    pub detector: Detector,
}

impl Default for Population {
    /// A consumer list on an ordinary day: a quarter are people, a third machines.
    fn default() -> Self {
        Self {
            fates: vec![
                (Fate::Person, 0.26),
                (Fate::Machine, 0.30),
                (Fate::Fax, 0.005),
                (Fate::Screened, 0.02),
                (Fate::Busy, 0.05),
                (Fate::RingsOut, 0.285),
                (Fate::Disconnected, 0.06),
                (Fate::Rejected, 0.01),
                (Fate::CarrierFailure, 0.01),
            ],
            setup_ms: LogNormal::new(900.0, 0.4, 200, 4_000),
            ring_ms: LogNormal::new(9_000.0, 0.5, 1_000, 40_000),
            machine_ring_ms: LogNormal::new(15_000.0, 0.35, 500, 30_000),
            patience_ms: LogNormal::new(5_000.0, 0.5, 1_500, 20_000),
            talk_ms: LogNormal::new(90_000.0, 0.8, 3_000, 1_200_000),
            ai_talk_ms: LogNormal::new(60_000.0, 0.7, 3_000, 900_000),
            greeting_ms: LogNormal::new(9_000.0, 0.4, 2_000, 30_000),
            recording_ms: LogNormal::new(30_000.0, 0.3, 10_000, 120_000),
            noticing_ms: LogNormal::new(4_000.0, 0.4, 1_500, 15_000),
            message_ms: LogNormal::fixed(6_000),
            presses: 0.0,
            key: '1',
            callee_hangs_up: 0.6,
            detector: Detector::default(),
        }
    }
}

/// One callee on one try: everything that chance has a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    pub(crate) fate: Fate,
    pub(crate) setup_ms: i64,
    pub(crate) ring_ms: i64,
    pub(crate) patience_ms: i64,
    pub(crate) talk_ms: i64,
    pub(crate) ai_talk_ms: i64,
    pub(crate) greeting_ms: i64,
    pub(crate) recording_ms: i64,
    pub(crate) noticing_ms: i64,
    pub(crate) message_ms: i64,
    pub(crate) verdict: Verdict,
    pub(crate) verdict_ms: i64,
    pub(crate) presses: Option<char>,
    pub(crate) hangs_up: bool,
}

impl Population {
    /// Everybody has this fate, at once and in no time: for benches, and for tests that want one thing.
    #[must_use]
    pub fn instant(fate: Fate) -> Self {
        Self {
            fates: vec![(fate, 1.0)],
            setup_ms: LogNormal::fixed(0),
            ring_ms: LogNormal::fixed(0),
            machine_ring_ms: LogNormal::fixed(0),
            patience_ms: LogNormal::fixed(20_000),
            talk_ms: LogNormal::fixed(0),
            ai_talk_ms: LogNormal::fixed(0),
            greeting_ms: LogNormal::fixed(0),
            recording_ms: LogNormal::fixed(0),
            noticing_ms: LogNormal::fixed(0),
            message_ms: LogNormal::fixed(0),
            presses: 0.0,
            key: '1',
            callee_hangs_up: 1.0,
            detector: Detector::perfect(),
        }
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<(), SimulatorError> {
        let wrong = |field, reason| Err(SimulatorError::Parameter { field, reason });
        let sound = |weight: f64| weight.is_finite() && weight >= 0.0;
        if !self.fates.iter().all(|(_, weight)| sound(*weight)) {
            return wrong("fates", "must have weights that are finite and not negative");
        }
        if self.fates.iter().map(|(_, weight)| weight).sum::<f64>() <= 0.0 {
            return wrong("fates", "must have a positive weight");
        }
        let detector = &self.detector;
        let shares = [
            ("presses", self.presses),
            ("callee_hangs_up", self.callee_hangs_up),
            ("detector.false_machine", detector.false_machine),
            ("detector.false_human", detector.false_human),
            ("detector.unsure", detector.unsure),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return wrong(field, "must lie between 0 and 1");
            }
        }
        let spreads = [
            ("setup_ms", self.setup_ms),
            ("ring_ms", self.ring_ms),
            ("machine_ring_ms", self.machine_ring_ms),
            ("patience_ms", self.patience_ms),
            ("talk_ms", self.talk_ms),
            ("ai_talk_ms", self.ai_talk_ms),
            ("greeting_ms", self.greeting_ms),
            ("recording_ms", self.recording_ms),
            ("noticing_ms", self.noticing_ms),
            ("message_ms", self.message_ms),
            ("detector.person_ms", detector.person_ms),
            ("detector.machine_ms", detector.machine_ms),
        ];
        for (field, spread) in spreads {
            if !spread.is_sound() {
                return wrong(field, "must be finite and in order");
            }
        }
        Ok(())
    }

    /// The callee behind `number` on its `ordinal`-th try, from 0. `scale` makes rings, greetings and talks shorter
    /// or longer; patience and detection stay as they are, for the law's two seconds do too.
    pub(crate) fn callee(
        &self,
        seed: u64,
        number: u64,
        ordinal: u32,
        fixed: Option<Fate>,
        scale: f64,
    ) -> Callee {
        let chance = &mut of_try(seed, number, ordinal);
        // Every callee draws the same bits, so that one parameter changes one thing.
        let drawn = weighted(chance, &self.fates, Fate::RingsOut);
        let fate = fixed.unwrap_or(drawn);
        let scaled = |ms: i64| ((ms as f64) * scale) as i64;
        let setup_ms = scaled(self.setup_ms.draw(chance));
        let person_ring = scaled(self.ring_ms.draw(chance));
        let machine_ring = scaled(self.machine_ring_ms.draw(chance));
        let patience_ms = self.patience_ms.draw(chance);
        let talk_ms = scaled(self.talk_ms.draw(chance));
        let ai_talk_ms = scaled(self.ai_talk_ms.draw(chance));
        let greeting_ms = scaled(self.greeting_ms.draw(chance));
        let recording_ms = scaled(self.recording_ms.draw(chance));
        let noticing_ms = scaled(self.noticing_ms.draw(chance));
        let message_ms = scaled(self.message_ms.draw(chance));
        let (verdict, verdict_ms) = self.verdict(fate, chance);
        let presses = happens(chance, self.presses);
        let hangs_up = happens(chance, self.callee_hangs_up);
        let takes_over = happens(chance, 0.2);
        let cut_short = |talk: i64| {
            if fate == Fate::Screened && !takes_over {
                talk.min(noticing_ms)
            } else {
                talk
            }
        };
        Callee {
            fate,
            setup_ms,
            ring_ms: match fate {
                Fate::Machine | Fate::Fax => machine_ring,
                // Engaged and refused within a ring.
                Fate::Busy | Fate::Rejected => person_ring.min(scaled(2_000)),
                Fate::Screened => person_ring.min(scaled(4_000)),
                _ => person_ring,
            },
            patience_ms,
            talk_ms: cut_short(talk_ms),
            ai_talk_ms: cut_short(ai_talk_ms),
            greeting_ms,
            recording_ms,
            noticing_ms,
            message_ms,
            verdict,
            verdict_ms,
            presses: presses.then_some(self.key),
            hangs_up,
        }
    }

    fn verdict(&self, fate: Fate, chance: &mut Chance) -> (Verdict, i64) {
        let detector = &self.detector;
        let (person_ms, machine_ms) = (detector.person_ms.draw(chance), detector.machine_ms.draw(chance));
        let (unsure, errs) = (happens(chance, detector.unsure), chance.random::<f64>());
        let verdict = match fate {
            _ if unsure => Verdict::Unsure,
            Fate::Machine if errs < detector.false_human => Verdict::Human,
            Fate::Machine => Verdict::Machine,
            Fate::Fax => Verdict::Fax,
            Fate::Screened => Verdict::Unsure,
            _ if errs < detector.false_machine => Verdict::Machine,
            _ => Verdict::Human,
        };
        let took = if fate == Fate::Person {
            person_ms
        } else {
            machine_ms
        };
        (verdict, took)
    }
}

/// Which number it is, for drawing: FNV-1a, the same on every machine and in every release.
pub(crate) fn key_of(number: &str) -> u64 {
    number.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The random bits of one try of one number.
pub(crate) fn of_try(seed: u64, number: u64, ordinal: u32) -> Chance {
    of_call(seed ^ number, u64::from(ordinal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn callees(population: &Population) -> Vec<Callee> {
        (0..20_000)
            .map(|number| population.callee(7, key_of(&format!("+1555{number:07}")), 0, None, 1.0))
            .collect()
    }

    #[test]
    fn fates_come_in_proportion_to_their_weights() {
        let callees = callees(&Population::default());
        for (fate, weight) in &Population::default().fates {
            let share =
                callees.iter().filter(|callee| callee.fate == *fate).count() as f64 / callees.len() as f64;
            assert!((share - weight).abs() < 0.012, "{fate:?}: {share} for {weight}");
        }
    }

    #[test]
    fn the_detector_errs_as_often_as_it_is_told_to() {
        let population = Population {
            fates: vec![(Fate::Person, 1.0)],
            detector: Detector {
                false_machine: 0.05,
                unsure: 0.1,
                ..Detector::default()
            },
            ..Population::default()
        };
        let callees = callees(&population);
        let share = |verdict| {
            callees.iter().filter(|callee| callee.verdict == verdict).count() as f64 / callees.len() as f64
        };
        assert!((share(Verdict::Unsure) - 0.1).abs() < 0.01);
        assert!((share(Verdict::Machine) - 0.045).abs() < 0.008);
        assert!((share(Verdict::Human) - 0.855).abs() < 0.012);
    }

    #[test]
    fn scale_shortens_rings_and_talks_and_leaves_patience_and_detection() {
        let population = Population::default();
        let (whole, half) = (
            population.callee(3, 5, 0, Some(Fate::Person), 1.0),
            population.callee(3, 5, 0, Some(Fate::Person), 0.5),
        );
        assert!(
            (whole.talk_ms - 2 * half.talk_ms).abs() <= 2 && (whole.ring_ms - 2 * half.ring_ms).abs() <= 2
        );
        assert_eq!(
            (whole.patience_ms, whole.verdict_ms),
            (half.patience_ms, half.verdict_ms)
        );
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        let named = |population: Population| match population.check() {
            Err(SimulatorError::Parameter { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            named(Population {
                fates: vec![],
                ..Population::default()
            }),
            "fates"
        );
        assert_eq!(
            named(Population {
                presses: 1.5,
                ..Population::default()
            }),
            "presses"
        );
        assert!(Population::default().check().is_ok());
    }

    proptest! {
        #[test]
        fn a_try_is_the_same_again_and_the_next_one_is_another(seed: u64, number: u64, ordinal in 0_u32..50) {
            let population = Population::default();
            let draw = |ordinal| population.callee(seed, number, ordinal, None, 1.0);
            prop_assert_eq!(draw(ordinal), draw(ordinal));
            prop_assert_ne!(draw(ordinal), draw(ordinal + 1));
        }
    }
}
