//! The same look ahead for somebody who knows every parameter of the scenario and has nothing to learn.

use voice_pacing::{AnswerRate, Beliefs, Config, ConfigError, Event, Hazards, Moment, Scale, Snapshot};

use super::{Dialer, Ours};
use crate::{
    draw::{Chance, Spread},
    scenario::Scenario,
};

const POINTS: usize = 20_000;
const DAY: f64 = 86_400.0;

/// Knows the truth.
pub struct Known<'a> {
    ours: Ours,
    scenario: &'a Scenario,
    campaign: usize,
    seed: u64,
}

impl<'a> Known<'a> {
    /// A dialer of one campaign of a scenario that is played with `seed`.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(
        scenario: &'a Scenario,
        campaign: usize,
        seed: u64,
        config: Config,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut ours = Ours::new(config)?;
        let mut chance = Chance::new(0, 3);
        let mut many = |scale, mut draw: Box<dyn FnMut(&mut Chance) -> f64 + '_>| {
            Hazards::of(scale, (0..POINTS).map(|_| draw(&mut chance)))
        };
        let of = |spread: &'a Spread| Box::new(move |chance: &mut Chance| spread.draw(chance));
        let beliefs = Beliefs {
            answers: AnswerRate::certain(0.25),
            to_answer: many(
                Scale::RINGING,
                Box::new(|chance| {
                    loop {
                        let rings = scenario.to_answer.draw(chance);
                        if rings < scenario.ring_limit {
                            return rings;
                        }
                    }
                }),
            ),
            to_other: many(
                Scale::RINGING,
                Box::new(|chance| {
                    let kind = chance.unit();
                    if kind < scenario.machines {
                        scenario.to_machine.draw(chance)
                    } else if kind < scenario.machines + scenario.busy {
                        scenario.to_busy.draw(chance)
                    } else {
                        scenario.ring_limit
                    }
                }),
            ),
            talk: many(Scale::SERVICE, of(&scenario.talk)),
            wrap: many(Scale::SERVICE, of(&scenario.wrap)),
        };
        ours.pacer.believe(beliefs);
        Ok(Self {
            ours,
            scenario,
            campaign,
            seed,
        })
    }
}

impl Dialer for Known<'_> {
    fn told(&mut self, event: Event, now: Moment) {
        match event {
            Event::RingingEnded { .. } | Event::TalkEnded { .. } | Event::WrapEnded { .. } => {}
            Event::Placed { .. }
            | Event::Connected
            | Event::Overflowed
            | Event::Abandoned
            | Event::Misjudged => {
                self.ours.told(event, now);
            }
        }
    }

    fn dial(&mut self, snapshot: &Snapshot, now: Moment) -> usize {
        let p = self.scenario.answer[self.campaign].at(now.seconds() % DAY, self.seed);
        self.ours.pacer.believe_answers(AnswerRate::certain(p));
        self.ours.dial(snapshot, now)
    }
}
