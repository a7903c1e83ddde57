//! `voice bench media --soak`: calls that begin and end all the time, and what becomes of the worker's memory.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    contestants::Contestant,
    rig::{Churned, Order},
};
use crate::{
    args::MediaArgs,
    commands::bench::{figures::Figure, figures::median, machine::Machine, process::resident},
    progress,
};

const LOOK: Duration = Duration::from_secs(10);
/// Of the time, so much passes before memory is held to anything: the longest calls, and what the allocator keeps of
/// the largest moment.
const WARM_UP: f64 = 0.2;
/// Of the time, so much makes a beginning and an end that are compared.
const WINDOW: f64 = 0.1;

/// Memory at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    minutes: f64,
    kilobytes: f64,
}

/// Measures; fails when a call did not end as its caller wanted.
pub async fn measure(args: &MediaArgs, machine: &mut Machine) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let who = Contestant::for_a_soak(folder.path());
    let (mut rig, server) = who.start().await?;
    machine.pause().await?;
    let process = server.id()?;
    let calling = Order::Call {
        target: who.target(&server.address),
        process,
    };
    let () = rig.ask(&calling).await?;
    let seconds = args.minutes * 60;
    let order = Order::Churn {
        calls: args.calls,
        seconds,
    };
    let bar = progress::bar(seconds, "calls begin and end: seconds");
    let began = Instant::now();
    let before = server.processor_time()?;
    let mut looks = Vec::new();
    let churned: Churned = {
        let churning = rig.ask(&order);
        tokio::pin!(churning);
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                churned = &mut churning => break churned?,
                _ = ticks.tick() => {
                    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
                    let kilobytes = resident(process)? as f64 / 1e3;
                    let minutes = began.elapsed().as_secs_f64() / 60.0;
                    looks.push(Look { minutes, kilobytes });
                    bar.set_position(began.elapsed().as_secs());
                    bar.set_message(format!("{:.1} MB", kilobytes / 1e3));
                }
            }
        }
    };
    bar.finish_and_clear();
    let core = (server.processor_time()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let () = rig.ask(&Order::HangUp).await?;
    server.stop().await?;
    rig.stop().await?;
    #[allow(clippy::cast_precision_loss)] // Some ten thousand calls.
    let (carried, failed) = (churned.carried as f64, churned.failed as f64);
    let memory = Memory::of(&looks);
    let alone = |id: &str, unit, value: f64| Figure::alone(id, unit, &[value]);
    Ok(vec![
        alone("calls", "calls", args.calls as f64),
        alone("minutes", "min", args.minutes as f64),
        alone("carried", "calls", carried),
        alone("failed", "calls", failed),
        alone("after_warm_up_mb", "MB", memory.begin / 1e3),
        alone("at_the_end_mb", "MB", memory.end / 1e3),
        alone("growth", "%", memory.growth()),
        alone("slope", "kB/min", memory.slope),
        alone("up_p99_ms", "ms", churned.noted.up.p99_ms),
        alone("down_p99_ms", "ms", churned.noted.down.p99_ms),
        alone("core", "%", core * 100.0),
    ])
}

/// What became of the memory, in kilobytes and in kilobytes a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Memory {
    begin: f64,
    end: f64,
    slope: f64,
}

impl Memory {
    fn of(looks: &[Look]) -> Self {
        let length = looks.last().map_or(0.0, |look| look.minutes);
        let warm: Vec<Look> = looks
            .iter()
            .copied()
            .filter(|look| look.minutes >= WARM_UP * length)
            .collect();
        let middle = |from: f64, to: f64| {
            let inside = warm
                .iter()
                .filter(|look| (from * length..=to * length).contains(&look.minutes));
            median(&inside.map(|look| look.kilobytes).collect::<Vec<_>>())
        };
        Self {
            begin: middle(WARM_UP, WARM_UP + WINDOW),
            end: middle(1.0 - WINDOW, 1.0),
            slope: slope(&warm),
        }
    }

    fn growth(&self) -> f64 {
        if self.begin > 0.0 {
            (self.end / self.begin - 1.0) * 100.0
        } else {
            0.0
        }
    }
}

/// The line with the least squares.
#[allow(clippy::cast_precision_loss)] // Some hundred looks.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len().max(1) as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (minutes, kilobytes) = (mean(|look| look.minutes), mean(|look| look.kilobytes));
    let (mut both, mut square) = (0.0, 0.0);
    for look in looks {
        both += (look.minutes - minutes) * (look.kilobytes - kilobytes);
        square += (look.minutes - minutes).powi(2);
    }
    if square > 0.0 { both / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(kilobytes: impl Fn(f64) -> f64) -> Vec<Look> {
        (0..=360)
            .map(|look| {
                let minutes = f64::from(look) / 6.0;
                Look {
                    minutes,
                    kilobytes: kilobytes(minutes),
                }
            })
            .collect()
    }

    #[test]
    fn a_leak_is_seen_behind_the_noise_of_calls_that_come_and_go() {
        let noise = |minutes: f64| (minutes * 7.0).sin() * 500.0;
        let memory = Memory::of(&looks(|minutes| 60_000.0 + 20.0 * minutes + noise(minutes)));
        assert!((memory.slope - 20.0).abs() < 2.0, "{memory:?}");
        let memory = Memory::of(&looks(|minutes| 60_000.0 + noise(minutes)));
        assert!(
            memory.slope.abs() < 2.0 && memory.growth().abs() < 1.0,
            "{memory:?}"
        );
    }

    #[test]
    fn what_is_taken_while_it_warms_up_is_no_growth() {
        let memory = Memory::of(&looks(|minutes| 60_000.0 - 30_000.0 * (-minutes).exp()));
        assert_eq!((memory.begin.round(), memory.growth().round()), (60_000.0, 0.0));
        assert!(memory.slope.abs() < 0.1);
        assert_eq!(Memory::of(&[]), Memory::default());
    }
}
