//! `voice bench media`: how many calls one core bridges to an AI provider, and what they wait for, beside Pipecat.
//!
//! Whoever is measured is a process of its own on the first processor. Callers and the provider, which both are the
//! same for everybody, share a process on the second one. Calls are added until they wait too long.

mod climb;
mod contestants;
mod entries;
mod rig;
mod soak;
mod worker;

use std::process::ExitCode;

use self::{
    climb::{Climb, Row},
    contestants::{AS_IT_COMES, AS_IT_COMES_MS, CONVERTED, COPIED, Contestant, EQUAL_MS, TUNED, TUNED_MS},
    rig::sheet::Times,
};
pub use self::{entries::ENTRIES, soak::measure as soak};
use super::{
    figures::{Figure, ratios},
    machine::Machine,
};
use crate::{
    args::{MediaArgs, MediaPart},
    progress,
    settings::Settings,
};

/// Runs one process of the bench.
pub async fn part(settings: Settings, part: MediaPart) -> anyhow::Result<ExitCode> {
    voice_telemetry::init(&settings.telemetry)?;
    match part {
        MediaPart::MediaWorker(args) => worker::run(args).await?,
        // On a thread of its own with a loop of its own: nothing is handed from thread to thread.
        MediaPart::MediaRig => tokio::task::spawn_blocking(rig::run).await??,
    }
    Ok(ExitCode::SUCCESS)
}

/// What everybody found, one element per run.
#[derive(Default)]
struct Found {
    copied: Vec<Climb>,
    converted: Vec<Climb>,
    tuned: Vec<Climb>,
    as_it_comes: Vec<Climb>,
}

/// Measures everybody.
pub async fn measure(args: &MediaArgs, machine: &mut Machine) -> anyhow::Result<Vec<Figure>> {
    anyhow::ensure!(
        machine.cores >= 2,
        "this bench needs a processor for the worker and one for the callers"
    );
    let mut found = Found::default();
    for run in 0..args.runs.max(1) {
        // Everybody is first, second and last in turn.
        let mut order = [0, 1, 2, 3];
        order.rotate_left(run % 4);
        for place in order {
            let folder = tempfile::tempdir()?;
            let everybody = Contestant::all(folder.path()).await?;
            let Some(who) = everybody.get(place) else { continue };
            let wheel = progress::wheel(format!("run {}: {}", run + 1, who.name));
            let climb = Climb::of(who, args.seconds, machine).await?;
            wheel.finish_and_clear();
            print(who.name, &climb);
            let list = [
                &mut found.copied,
                &mut found.converted,
                &mut found.tuned,
                &mut found.as_it_comes,
            ];
            if let Some(list) = list.into_iter().nth(place) {
                list.push(climb);
            }
        }
    }
    Ok(found.figures())
}

/// The steps on a terminal, for whoever wants to know where it ended.
fn print(name: &str, climb: &Climb) {
    println!("{name}: {:.1} MB without a call", climb.empty as f64 / 1e6);
    for row in &climb.rows {
        let Row {
            calls,
            alive,
            core,
            rig_core,
            noted,
            ..
        } = row;
        let times = |times: Times| format!("{:.2}/{:.2}/{:.1}", times.p50_ms, times.p99_ms, times.most_ms);
        println!(
            "  {calls} calls ({alive}): core {:.0} %, rig {:.0} %, {:.0} kB a call; p50/p99/most ms up {}, first {}, \
             down {}, clear {}; {} wrong, {} missing",
            core * 100.0,
            rig_core * 100.0,
            climb.kilobytes_of_a_call(row),
            times(noted.up),
            times(noted.first),
            times(noted.down),
            times(noted.barge_in),
            noted.wrong,
            noted.missing,
        );
    }
}

/// One value of every run.
fn each(climbs: &[Climb], of: impl Fn(&Climb) -> Option<f64>) -> Vec<f64> {
    climbs.iter().filter_map(of).collect()
}

fn most(climbs: &[Climb], within_ms: f64) -> Vec<f64> {
    each(climbs, |climb| Some(climb.most(within_ms)))
}

impl Found {
    fn figures(&self) -> Vec<Figure> {
        let mut figures = at_a_step("copied", &self.copied, COPIED);
        let ours = most(&self.copied, EQUAL_MS);
        let beside = |id: &str, peer, theirs: &[Climb], within_ms| {
            let figure = Figure::alone(id, "calls", &ours);
            let theirs = most(theirs, within_ms);
            figure.beside(peer, &theirs, ratios(&ours, &theirs))
        };
        figures.push(beside("copied.beside_equal", TUNED, &self.tuned, EQUAL_MS));
        figures.push(beside("copied.beside_50ms", TUNED, &self.tuned, TUNED_MS));
        figures.push(beside(
            "copied.beside_as_it_comes",
            AS_IT_COMES,
            &self.as_it_comes,
            AS_IT_COMES_MS,
        ));
        figures.push(self.of_a_call("copied.core_of_a_call", "% of a core", |_, row| {
            row.core * 100.0 / row.calls as f64
        }));
        figures.push(self.of_a_call("copied.kb_of_a_call", "kB", Climb::kilobytes_of_a_call));
        figures.extend(at_a_step("converted", &self.converted, CONVERTED));
        figures
    }

    /// What a call takes at the most calls that either carries.
    fn of_a_call(&self, id: &str, unit: &str, of: impl Fn(&Climb, &Row) -> f64) -> Figure {
        let each = |climbs: &[Climb], within_ms| {
            each(climbs, |climb| climb.best(within_ms).map(|row| of(climb, row)))
        };
        let (ours, theirs) = (each(&self.copied, EQUAL_MS), each(&self.tuned, TUNED_MS));
        Figure::alone(id, unit, &ours).beside(TUNED, &theirs, ratios(&theirs, &ours))
    }
}

/// The figures of our own at a number of calls, and how many there may be.
fn at_a_step(name: &str, climbs: &[Climb], calls: usize) -> Vec<Figure> {
    let figure = |id: &str, unit, values: &[f64]| Figure::alone(format!("{name}.{id}"), unit, values);
    let at = |id, unit, of: fn(&Climb, &Row) -> f64| {
        let values = each(climbs, |climb| climb.at(calls).map(|row| of(climb, row)));
        figure(id, unit, &values)
    };
    vec![
        figure("calls", "calls", &most(climbs, EQUAL_MS)),
        at("up_p50_ms", "ms", |_, row| row.noted.up.p50_ms),
        at("up_p99_ms", "ms", |_, row| row.noted.up.p99_ms),
        at("down_p50_ms", "ms", |_, row| row.noted.down.p50_ms),
        at("down_p99_ms", "ms", |_, row| row.noted.down.p99_ms),
        at("barge_in_p99_ms", "ms", |_, row| row.noted.barge_in.p99_ms),
        at("lost", "frames", |_, row| {
            (row.noted.wrong + row.noted.missing) as f64
        }),
        at("core", "%", |_, row| row.core * 100.0),
        at("rig_core", "%", |_, row| row.rig_core * 100.0),
        at("memory_kb", "kB", Climb::kilobytes_of_a_call),
    ]
}
