//! `voice bench pacing`: virtual shifts through the real pacing code.

use voice_pacing_bench::{
    findings::{BenchError, Finding, Plan, measure as play},
    scenario::{self, Scenario},
};

use super::{
    docs::{Entry, Promise},
    figures::Figure,
};
use crate::{args::PacingArgs, progress};

/// Plays the scenarios.
pub fn measure(args: &PacingArgs) -> anyhow::Result<Vec<Figure>> {
    let scenarios = chosen(args)?;
    let plan = Plan {
        seeds: args.seeds.max(1),
        seed: args.seed,
    };
    let mut figures = Vec::new();
    let sizes = scenarios
        .iter()
        .map(|scenario| scenario.agents.len() as u64)
        .sum();
    let bar = progress::bar(sizes, "virtual shifts");
    for scenario in &scenarios {
        for agents in &scenario.agents {
            let mut shifts = 0_u64;
            let mut played = || {
                shifts += 1;
                bar.set_message(format!("{} with {agents}: {shifts}", scenario.id));
            };
            // Nothing else runs in this process meanwhile.
            let found = tokio::task::block_in_place(|| play(scenario, *agents, plan, &mut played))?;
            figures.extend(found.into_iter().map(figure));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(figures)
}

fn chosen(args: &PacingArgs) -> anyhow::Result<Vec<Scenario>> {
    let mut all = scenario::all().map_err(BenchError::from)?;
    for wanted in &args.scenario {
        anyhow::ensure!(
            all.iter()
                .any(|scenario| scenario.id.eq_ignore_ascii_case(wanted)),
            "there is no scenario {wanted:?}"
        );
    }
    if !args.scenario.is_empty() {
        all.retain(|scenario| {
            args.scenario
                .iter()
                .any(|wanted| scenario.id.eq_ignore_ascii_case(wanted))
        });
    }
    Ok(all)
}

fn figure(finding: Finding) -> Figure {
    let figure = Figure::alone(finding.id, finding.unit, &[finding.value]);
    match finding.peer {
        Some((peer, value)) => figure.beside(&peer, &[value], [finding.value / value]),
        None => figure,
    }
}

/// What was typed.
pub fn command(args: &PacingArgs) -> String {
    let mut command = format!("voice bench pacing --seeds {} --seed {}", args.seeds, args.seed);
    if !args.scenario.is_empty() {
        command += &format!(" --scenario {}", args.scenario.join(","));
    }
    command
}

const fn entry(id: &'static str, what: &'static str, promise: Promise) -> Entry {
    Entry {
        bench: "pacing",
        id,
        what,
        limit: "",
        promise,
    }
}

/// The figures in words.
pub const ENTRIES: &[Entry] = &[
    entry(
        "*.objective",
        "utilisation beside the exact optimum of the exponential model, a month of 160 hours.",
        Promise::RatioAtLeast(0.99),
    ),
    entry(
        "r1.n5.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts.",
        Promise::ValueAtLeast(74.9),
    ),
    entry(
        "r1.n10.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts.",
        Promise::ValueAtLeast(81.2),
    ),
    entry(
        "r1.n20.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts.",
        Promise::ValueAtLeast(87.0),
    ),
    entry(
        "r1.n50.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts.",
        Promise::ValueAtLeast(92.6),
    ),
    entry(
        "r13.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts. AI takes whom no person can take.",
        Promise::ValueAtLeast(95.0),
    ),
    entry(
        "*.progressive.utilisation",
        "one dial per idle agent: utilisation.",
        Promise::None,
    ),
    entry(
        "*.progressive.abandoned",
        "one dial per idle agent: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.known.utilisation",
        "the same look ahead, told every parameter: utilisation.",
        Promise::None,
    ),
    entry(
        "*.known.abandoned",
        "the same look ahead, told every parameter: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.vicidial_hard.utilisation",
        "the rules that VICIdial publishes, re-implemented, HARD_LIMIT as shipped: utilisation.",
        Promise::None,
    ),
    entry(
        "*.vicidial_hard.abandoned",
        "the rules that VICIdial publishes, re-implemented, HARD_LIMIT as shipped: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.vicidial_average.utilisation",
        "the same, AVERAGE as shipped: utilisation.",
        Promise::None,
    ),
    entry(
        "*.vicidial_average.abandoned",
        "the same, AVERAGE as shipped: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.vicidial_tapered.utilisation",
        "the same, TAPERED as shipped: utilisation.",
        Promise::None,
    ),
    entry(
        "*.vicidial_tapered.abandoned",
        "the same, TAPERED as shipped: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.vicidial_tuned.utilisation",
        "the same, the best of 144 settings in hindsight: utilisation.",
        Promise::None,
    ),
    entry(
        "*.vicidial_tuned.abandoned",
        "the same, the best of 144 settings in hindsight: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.ratio_2.utilisation",
        "two dials per idle agent: utilisation.",
        Promise::None,
    ),
    entry(
        "*.ratio_2.abandoned",
        "two dials per idle agent: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.ratio_3.utilisation",
        "three dials per idle agent: utilisation.",
        Promise::None,
    ),
    entry(
        "*.ratio_3.abandoned",
        "three dials per idle agent: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.ratio_tuned.utilisation",
        "the fixed ratio that was best in hindsight: utilisation.",
        Promise::None,
    ),
    entry(
        "*.ratio_tuned.abandoned",
        "the fixed ratio that was best in hindsight: abandoned answers.",
        Promise::None,
    ),
    entry(
        "*.utilisation",
        "talk and wrap-up over the time agents were present, mean of the shifts.",
        Promise::None,
    ),
    entry(
        "*.abandoned",
        "abandoned of answered, mean of the shifts.",
        Promise::ValueAtMost(3.0),
    ),
    entry(
        "*.worst_shift",
        "the same in the worst shift.",
        Promise::ValueAtMost(3.0),
    ),
    entry(
        "*.shifts_over_limit",
        "shifts above 3.00 %.",
        Promise::ValueAtMost(0.0),
    ),
    entry("*.shifts", "shifts played.", Promise::None),
    entry(
        "*.usual_worst_hour",
        "the worst rolling hour of a shift, mean of the shifts.",
        Promise::None,
    ),
    entry(
        "*.worst_hour",
        "the worst rolling hour of all shifts.",
        Promise::ValueAtMost(4.0),
    ),
    entry(
        "*.silent",
        "people who heard neither an agent nor the message in time.",
        Promise::ValueAtMost(0.0),
    ),
    entry("*.answer_to_agent_p95", "answer to agent.", Promise::None),
    entry(
        "*.idle_p50",
        "an agent's idle time before a contact.",
        Promise::None,
    ),
    entry("*.idle_p95", "the same, 95th percentile.", Promise::None),
    entry(
        "*.decision_p99",
        "processor time of a decision, 99th percentile.",
        Promise::ValueAtMost(1000.0),
    ),
    entry("*.dials_per_contact", "dials per contact.", Promise::None),
    entry(
        "*.contacts_per_agent_hour",
        "contacts per agent and hour.",
        Promise::None,
    ),
    entry(
        "*.behind_known",
        "points of utilisation behind somebody who knows every parameter.",
        Promise::ValueAtMost(1.5),
    ),
    entry(
        "*.converged",
        "longest time after a jump until ten-minute utilisation is no longer three points, and two standard errors, behind the same.",
        Promise::ValueAtMost(120.0),
    ),
    entry(
        "*.over_progressive",
        "points of utilisation more than one dial per idle agent.",
        Promise::ValueAtLeast(8.0),
    ),
    entry(
        "*.abandoned_with_misjudged",
        "abandoned answers, people taken for machines included.",
        Promise::None,
    ),
    entry("*.taken_by_ai", "answers that AI took.", Promise::None),
    entry(
        "*.with_some_consent",
        "utilisation beside the most the exponential model allows when only those can be abandoned who did not agree to AI.",
        Promise::None,
    ),
    entry(
        "*.hours_over_limit",
        "shifts with a rolling hour above 4 %.",
        Promise::None,
    ),
    entry(
        "*.abandoned_calls",
        "people in all shifts who heard the message; those who hung up before are not in it.",
        Promise::ValueAtMost(0.0),
    ),
    entry(
        "*.worst_period",
        "the worst successive 30 days.",
        Promise::ValueAtMost(3.0),
    ),
    entry(
        "*.worst_day",
        "the worst rolling 24 hours.",
        Promise::ValueAtMost(3.0),
    ),
    entry(
        "*.worst_campaign",
        "the campaign with the largest abandoned share.",
        Promise::ValueAtMost(3.0),
    ),
];
