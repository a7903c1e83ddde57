//! One scenario played by everybody, and the figures that come of it.

use voice_pacing::{Config, ConfigError, HOUR, Limits, Overflow, Prior};

use crate::{
    dialers::{Dialer, Known, Method, Ours, Ratio, Settings, Vicidial},
    oracle::{Chain, Optimum, solve},
    scenario::{Answer, Scenario},
    shift::{Outcome, Spans, play},
};

const LIMIT: f64 = 0.03;
/// Shifts that tell enough of a policy nobody has to trust.
const PEER_SEEDS: u64 = 4;
/// Shifts from which chance can be told from being behind.
const FEWEST: usize = 8;
/// Times the seeds of the plan, as far as the scenario is played so often: the difference to somebody who knows
/// is a small one.
const KNOWN_SEEDS: usize = 5;
/// Moments of the future that campaigns with common agents agree to look at.
const COMMON_GRID: [f64; voice_pacing::GRID] = [2.0, 5.0, 7.0, 9.0, 11.0, 13.0, 16.0, 19.0];

/// Which seeds to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many.
    pub seeds: u64,
    /// The first.
    pub seed: u64,
}

/// A figure: one value per seed, or a single one.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// `r1.n5.utilisation`.
    pub id: String,
    /// What it is counted in.
    pub unit: &'static str,
    /// What was found.
    pub value: f64,
    /// Beside whom, and what they reached.
    pub peer: Option<(String, f64)>,
}

/// Why a bench cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The scenarios cannot be read.
    #[error("scenarios.toml: {0}")]
    Scenarios(#[from] toml::de::Error),
    /// The pacer refuses its configuration.
    #[error("the pacer's configuration: {0:?}")]
    Config(Vec<ConfigError>),
}

impl BenchError {
    /// A stable label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scenarios(_) => "scenarios",
            Self::Config(_) => "config",
        }
    }
}

impl From<Vec<ConfigError>> for BenchError {
    fn from(errors: Vec<ConfigError>) -> Self {
        Self::Config(errors)
    }
}

/// How the pacer is set for a scenario: as shipped, but for what a campaign has to say.
pub fn config(scenario: &Scenario) -> Config {
    let mut config = Config {
        patience: scenario.patience(),
        overflow: scenario.ai.map(|ai| Overflow { share: ai.share }),
        grid: (scenario.answer.len() > 1).then_some(COMMON_GRID),
        prior: Prior::default(),
        ..Config::default()
    };
    if scenario.markov {
        // The optimum it is held against knows neither hour nor day, only the long run.
        config.limits = Limits {
            day: false,
            hour: 1.0,
            ..config.limits
        };
    }
    config
}

type Team<'a> = Vec<Box<dyn Dialer + 'a>>;

struct Case<'a> {
    scenario: &'a Scenario,
    agents: usize,
    plan: Plan,
    name: String,
    played: &'a mut dyn FnMut(),
    findings: Vec<Finding>,
}

/// Plays a scenario with one team size; `played` is called after every shift.
///
/// # Errors
/// When the pacer refuses its configuration.
pub fn measure(
    scenario: &Scenario,
    agents: usize,
    plan: Plan,
    played: &mut dyn FnMut(),
) -> Result<Vec<Finding>, BenchError> {
    let id = scenario.id.to_lowercase();
    let name = if scenario.agents.len() > 1 {
        format!("{id}.n{agents}")
    } else {
        id
    };
    let mut case = Case {
        scenario,
        agents,
        plan,
        name,
        played,
        findings: Vec::new(),
    };
    case.run()?;
    Ok(case.findings)
}

impl<'a> Case<'a> {
    fn run(&mut self) -> Result<(), BenchError> {
        let scenario = self.scenario;
        let seeds = self.seeds();
        let ours = self.play(seeds, |scenario, _| {
            let team = scenario
                .answer
                .iter()
                .map(|_| -> Result<Box<dyn Dialer>, BenchError> {
                    Ok(Box::new(Ours::new(config(scenario))?))
                });
            team.collect()
        })?;
        self.ours(&ours);
        let progressive = self.play(self.peers(), |scenario, _| Ok(ratio(scenario, 1.0)))?;
        self.peer("progressive", &progressive);
        if scenario.markov {
            self.objective(&ours);
            return Ok(());
        }
        if scenario.id == "R7" {
            let gain = 100.0 * (utilisation(&ours) - utilisation(&progressive));
            self.find("over_progressive", "points", gain, None);
        }
        if matches!(scenario.id.as_str(), "R1" | "R3" | "R4" | "R5") {
            self.known(&ours)?;
        }
        for (name, method) in [
            ("vicidial_hard", Method::Hard),
            ("vicidial_average", Method::Average),
            ("vicidial_tapered", Method::Tapered),
        ] {
            let played = self.play(self.peers(), |scenario, _| {
                Ok(vicidial(scenario, Settings::default_for(method)))
            })?;
            self.peer(name, &played);
        }
        if scenario.id == "R1" {
            self.tuned()?;
        }
        Ok(())
    }

    /// Small teams are ruled by chance and cheap to play: all get about the same agent-hours. The plainest scenario
    /// gets more, because it is the one that must not pass the limit in any of a thousand shifts.
    fn seeds(&self) -> u64 {
        let scenario = self.scenario;
        let times = match scenario.id.as_str() {
            // One of these is as long as twenty shifts.
            _ if scenario.markov => return self.plan.seeds.div_ceil(4),
            _ if scenario.days > 1 => 1,
            "R1" => 340 / self.agents,
            _ => 50 / self.agents,
        };
        self.plan.seeds * times.max(1) as u64
    }

    fn peers(&self) -> u64 {
        self.plan.seeds.min(PEER_SEEDS)
    }

    fn play(
        &mut self,
        seeds: u64,
        team: impl Fn(&'a Scenario, u64) -> Result<Team<'a>, BenchError>,
    ) -> Result<Vec<Outcome>, BenchError> {
        let mut outcomes = Vec::new();
        for seed in self.plan.seed..self.plan.seed + seeds {
            let mut team = team(self.scenario, seed)?;
            outcomes.push(play(self.scenario, self.agents, seed, &mut team));
            (self.played)();
        }
        Ok(outcomes)
    }

    fn find(&mut self, what: &str, unit: &'static str, value: f64, peer: Option<(&str, f64)>) {
        self.findings.push(Finding {
            id: format!("{}.{what}", self.name),
            unit,
            value,
            peer: peer.map(|(name, value)| (name.to_owned(), value)),
        });
    }

    fn ours(&mut self, outcomes: &[Outcome]) {
        let percent = |share: f64| 100.0 * share;
        let mean =
            |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64;
        let most = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).fold(0.0, f64::max);
        self.find("utilisation", "%", percent(utilisation(outcomes)), None);
        self.find("abandoned", "%", percent(mean(&Outcome::abandonment)), None);
        self.find("worst_shift", "%", percent(most(&Outcome::abandonment)), None);
        let over = outcomes
            .iter()
            .filter(|outcome| outcome.abandonment() > LIMIT)
            .count();
        self.find("shifts_over_limit", "", over as f64, None);
        self.find("shifts", "", outcomes.len() as f64, None);
        if self.scenario.markov {
            return;
        }
        self.find(
            "worst_hour",
            "%",
            percent(most(&|outcome| outcome.worst(3_600.0, false))),
            None,
        );
        let over = outcomes
            .iter()
            .filter(|outcome| outcome.worst(3_600.0, false) > HOUR)
            .count();
        self.find("hours_over_limit", "", over as f64, None);
        self.find(
            "usual_worst_hour",
            "%",
            percent(mean(&|outcome| outcome.worst(3_600.0, false))),
            None,
        );
        self.find(
            "silent",
            "calls",
            outcomes.iter().map(|outcome| outcome.silent as f64).sum(),
            None,
        );
        let mut spans = [Spans::new(0.01), Spans::new(0.5), Spans::new(1e-6)];
        for outcome in outcomes {
            for (all, one) in spans
                .iter_mut()
                .zip([&outcome.waits, &outcome.idles, &outcome.thinking])
            {
                all.merge(one);
            }
        }
        let [waits, idles, thinking] = spans;
        self.find("answer_to_agent_p95", "ms", 1e3 * waits.quantile(0.95), None);
        self.find("idle_p50", "s", idles.quantile(0.5), None);
        self.find("idle_p95", "s", idles.quantile(0.95), None);
        self.find("decision_p99", "µs", 1e6 * thinking.quantile(0.99), None);
        let contacts = mean(&|outcome| (outcome.answered() - outcome.abandoned()) as f64);
        let dials = mean(&|outcome| outcome.dials as f64);
        self.find("dials_per_contact", "", dials / contacts, None);
        let hours = mean(&Outcome::present) / 3_600.0;
        self.find("contacts_per_agent_hour", "", contacts / hours, None);
        if self.scenario.detection.is_some() {
            let with = mean(&|outcome| {
                let lost = (outcome.abandoned() + outcome.misjudged) as f64;
                lost / (outcome.answered() + outcome.misjudged) as f64
            });
            self.find("abandoned_with_misjudged", "%", percent(with), None);
        }
        if self.scenario.ai.is_some() {
            let taken = mean(&|outcome| outcome.ai_taken as f64 / outcome.answered() as f64);
            self.find("taken_by_ai", "%", percent(taken), None);
            self.behind_ai(outcomes);
        }
        if self.scenario.days > 1 {
            let period = most(&|outcome| outcome.periods().into_iter().fold(0.0, f64::max));
            self.find("worst_period", "%", percent(period), None);
            self.find(
                "worst_day",
                "%",
                percent(most(&|outcome| outcome.worst(86_400.0, true))),
                None,
            );
        }
        if self.scenario.answer.len() > 1 {
            let worst = most(&|outcome| {
                let shares = outcome
                    .campaigns
                    .iter()
                    .map(|(answered, lost)| *lost as f64 / (*answered as f64).max(1.0));
                shares.fold(0.0, f64::max)
            });
            self.find("worst_campaign", "%", percent(worst), None);
        }
    }

    /// Where everybody agreed to AI, nobody is to be abandoned. Where not, the risk that the law allows grows with the share
    /// that did: the exponential model says how busy people can be at most at that risk.
    fn behind_ai(&mut self, outcomes: &[Outcome]) {
        let Some(ai) = self.scenario.ai else { return };
        if ai.consent >= 1.0 {
            let kept = |outcome: &Outcome| (outcome.abandoned() - outcome.hung_up) as f64;
            self.find("abandoned_calls", "calls", outcomes.iter().map(kept).sum(), None);
        } else if let [Answer::Constant { p }] = self.scenario.answer[..] {
            let scenario = self.scenario;
            let rest = scenario.machines * scenario.to_machine.mean()
                + scenario.busy * scenario.to_busy.mean()
                + (1.0 - scenario.machines - scenario.busy) * scenario.ring_limit;
            let chain = Chain {
                agents: self.agents,
                answer: p,
                ring: p * scenario.to_answer.mean() + (1.0 - p) * rest,
                service: scenario.talk.mean() + scenario.wrap.mean(),
            };
            let best = 100.0
                * solve(&chain, LIMIT / (1.0 - ai.consent))
                    .rates
                    .utilisation(&chain);
            let value = 100.0 * utilisation(outcomes);
            let peer = "exponential model at 3 % of all";
            self.find("with_some_consent", "%", value, Some((peer, best)));
        }
    }

    fn peer(&mut self, name: &str, outcomes: &[Outcome]) {
        let abandoned = outcomes.iter().map(Outcome::abandonment).sum::<f64>() / outcomes.len() as f64;
        self.find(
            &format!("{name}.utilisation"),
            "%",
            100.0 * utilisation(outcomes),
            None,
        );
        self.find(&format!("{name}.abandoned"), "%", 100.0 * abandoned, None);
    }

    fn objective(&mut self, ours: &[Outcome]) {
        if let Some((chain, optimum)) = optimum(self.scenario, self.agents) {
            let best = 100.0 * optimum.rates.utilisation(&chain);
            let value = 100.0 * utilisation(ours);
            self.find("objective", "%", value, Some(("exact optimum at 3 %", best)));
        }
    }

    fn known(&mut self, ours: &[Outcome]) -> Result<(), BenchError> {
        let ours = &ours[..ours.len().min(self.plan.seeds as usize * KNOWN_SEEDS)];
        let known = self.play(ours.len() as u64, |scenario, seed| {
            Ok(vec![Box::new(Known::new(scenario, 0, seed, config(scenario))?)])
        })?;
        self.peer("known", &known);
        let behind = 100.0 * (utilisation(&known) - utilisation(ours));
        self.find("behind_known", "points", behind, None);
        let jumps: Vec<f64> = self.scenario.answer.iter().flat_map(Answer::jumps).collect();
        if !jumps.is_empty() && ours.len() >= FEWEST {
            self.find("converged", "s", converged(ours, &known, &jumps), None);
        }
        Ok(())
    }

    /// Peers whose settings were chosen with the answers at hand.
    fn tuned(&mut self) -> Result<(), BenchError> {
        let mut best: Option<(f64, f64)> = None;
        for step in 0..=16 {
            let dials = 1.0 + 0.25 * f64::from(step);
            let played = self.play(1, |scenario, _| Ok(ratio(scenario, dials)))?;
            let reached = utilisation(&played);
            if played[0].abandonment() <= LIMIT && best.is_none_or(|(most, _)| reached > most) {
                best = Some((reached, dials));
            }
        }
        for (name, dials) in [
            ("ratio_2", 2.0),
            ("ratio_3", 3.0),
            ("ratio_tuned", best.map_or(1.0, |best| best.1)),
        ] {
            let played = self.play(self.peers(), |scenario, _| Ok(ratio(scenario, dials)))?;
            self.peer(name, &played);
        }
        if !matches!(self.agents, 10 | 20) {
            return Ok(());
        }
        let mut best: Option<(f64, Settings)> = None;
        for settings in grid() {
            let played = self.play(1, |scenario, _| Ok(vicidial(scenario, settings)))?;
            let reached = utilisation(&played);
            if played[0].abandonment() <= LIMIT + 0.001 && best.is_none_or(|(most, _)| reached > most) {
                best = Some((reached, settings));
            }
        }
        if let Some((_, settings)) = best {
            let played = self.play(self.peers(), |scenario, _| Ok(vicidial(scenario, settings)))?;
            self.peer("vicidial_tuned", &played);
        }
        Ok(())
    }
}

/// Every setting an operator might try.
fn grid() -> impl Iterator<Item = Settings> {
    let methods = [Method::Hard, Method::Average, Method::Tapered];
    methods.into_iter().flat_map(|method| {
        [1.5, 2.0, 3.0, 6.0].into_iter().flat_map(move |most| {
            [-40.0, 0.0, 40.0].into_iter().flat_map(move |intensity| {
                [-1.0, 0.0].into_iter().flat_map(move |target| {
                    [false, true].into_iter().map(move |available_only| Settings {
                        method,
                        most,
                        intensity,
                        target,
                        available_only,
                    })
                })
            })
        })
    })
}

fn ratio<'a>(scenario: &Scenario, dials: f64) -> Team<'a> {
    scenario
        .answer
        .iter()
        .map(|_| Box::new(Ratio(dials)) as Box<dyn Dialer>)
        .collect()
}

fn vicidial<'a>(scenario: &Scenario, settings: Settings) -> Team<'a> {
    scenario
        .answer
        .iter()
        .map(|_| Box::new(Vicidial::new(settings)) as Box<dyn Dialer>)
        .collect()
}

/// The exact optimum of an exponential scenario.
pub fn optimum(scenario: &Scenario, agents: usize) -> Option<(Chain, Optimum)> {
    let [Answer::Constant { p }] = scenario.answer[..] else {
        return None;
    };
    let chain = Chain {
        agents,
        answer: p,
        ring: scenario.to_answer.mean(),
        service: scenario.talk.mean() + scenario.wrap.mean(),
    };
    scenario.markov.then(|| (chain, solve(&chain, LIMIT)))
}

fn utilisation(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(Outcome::utilisation).sum::<f64>() / (outcomes.len() as f64).max(1.0)
}

/// The longest time after a jump until ten-minute utilisation, averaged over the shifts, no longer falls more than
/// three points, and two standard errors of the difference, behind that of somebody who knew.
fn converged(ours: &[Outcome], known: &[Outcome], jumps: &[f64]) -> f64 {
    const WINDOW: usize = 10;
    let behind = |minute: usize| {
        let in_window = |outcome: &Outcome| outcome.utilisation_between(minute, minute + WINDOW);
        let pairs = ours.iter().zip(known);
        let each: Vec<f64> = pairs
            .map(|(ours, known)| in_window(known) - in_window(ours))
            .collect();
        let shifts = each.len() as f64;
        let mean = each.iter().sum::<f64>() / shifts;
        let squares: f64 = each.iter().map(|one| (one - mean).powi(2)).sum();
        mean - 2.0 * (squares / (shifts * (shifts - 1.0))).sqrt()
    };
    let last = ours
        .first()
        .map_or(0, |outcome| outcome.minutes.len().saturating_sub(WINDOW));
    let mut longest: f64 = 0.0;
    for (at, jump) in jumps.iter().enumerate() {
        let from = (jump / 60.0) as usize;
        let to = jumps
            .get(at + 1)
            .map_or(last, |next| (next / 60.0) as usize - WINDOW);
        let astray = (from..to).rev().find(|minute| behind(*minute) > 0.03);
        longest = longest.max(astray.map_or(0.0, |minute| ((minute + 1 - from) * 60) as f64));
    }
    longest
}
