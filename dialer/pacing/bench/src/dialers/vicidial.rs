//! VICIdial's adaptive dialling, re-implemented from the rules that its scripts publish. It is not the product.
//!
//! Every 15 s the level grows or shrinks with the mean of the last 15 one-second samples of ready agents less
//! waiting calls, over all agents; every 60 s the drops of the day are counted, and over the limit the method
//! says what happens to the level. Every 2.5 s calls are placed until `level * count` of them, connected ones
//! included, are under way.

use std::collections::VecDeque;

use voice_pacing::{Agent, Ended, Event, Moment, Snapshot};

use super::Dialer;

const SAMPLES: usize = 15;
/// The script compares times of day as numbers: 2100 - 1330 is 770.
const LATEST: f64 = 2_100.0;
const OPENING_HOUR: f64 = 9.0;

/// What happens when the drops of the day pass the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The level falls to 1.
    Hard,
    /// The level is halved.
    Average,
    /// The level shrinks the more the later it is.
    Tapered,
}

/// What an operator can set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The method.
    pub method: Method,
    /// The highest level.
    pub most: f64,
    /// Adaptive intensity, in per cent.
    pub intensity: f64,
    /// Agents the difference is moved by.
    pub target: f64,
    /// Only ready agents count, instead of ready and talking ones.
    pub available_only: bool,
}

impl Settings {
    /// As shipped.
    pub fn default_for(method: Method) -> Self {
        Self {
            method,
            most: 3.0,
            intensity: 0.0,
            target: 0.0,
            available_only: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    ready: f64,
    waiting: f64,
    all: f64,
}

/// One campaign.
pub struct Vicidial {
    settings: Settings,
    level: f64,
    samples: VecDeque<Sample>,
    levelled: f64,
    counted: f64,
    placed: f64,
    calls: u64,
    drops: u64,
    answers: u64,
    /// Calls and drops as of each of the last minutes.
    minute: (u64, u64),
    last_minute: (u64, u64),
    drop_share: f64,
}

impl Vicidial {
    /// A campaign with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            level: 1.0,
            samples: VecDeque::with_capacity(SAMPLES + 1),
            levelled: 0.0,
            counted: 0.0,
            placed: 0.0,
            calls: 0,
            drops: 0,
            answers: 0,
            minute: (0, 0),
            last_minute: (0, 0),
            drop_share: 0.0,
        }
    }

    fn count(&mut self) {
        self.last_minute = (self.calls - self.minute.0, self.drops - self.minute.1);
        self.minute = (self.calls, self.drops);
        self.drop_share = if self.answers > 0 {
            self.drops as f64 / self.answers as f64
        } else {
            0.0
        };
    }

    fn adapt(&mut self, seconds: f64) {
        let count = self.samples.len().max(1) as f64;
        let mean = |of: fn(&Sample) -> f64| self.samples.iter().map(of).sum::<f64>() / count;
        let (ready, waiting, all) = (
            mean(|sample| sample.ready),
            mean(|sample| sample.waiting),
            mean(|sample| sample.all),
        );
        let difference = ready - waiting + self.settings.target;
        let relative = if all > 0.0 { difference / all } else { 0.0 };
        let intensity = self.settings.intensity / 100.0;
        let gain = if relative >= 0.0 {
            1.0 + intensity
        } else {
            (intensity - 1.0).abs()
        };
        let mut level = (self.level * (1.0 + relative * gain))
            .min(self.settings.most)
            .max(1.0);
        let (calls, drops) = self.last_minute;
        if calls > 20 && drops as f64 > 0.5 * calls as f64 {
            level /= 2.0;
        }
        if self.calls > 50 && self.drop_share > 0.03 {
            level = match self.settings.method {
                Method::Hard => 1.0,
                Method::Average => level / 2.0,
                Method::Tapered => {
                    let hours = OPENING_HOUR + (seconds / 3_600.0) % 24.0;
                    let left = LATEST - (hours.floor() * 100.0 + hours.fract() * 60.0);
                    if left < 0.0 {
                        1.0
                    } else {
                        level * (left / 1_000.0).min(1.0)
                    }
                }
            };
        }
        self.level = level.max(1.0);
    }
}

impl Dialer for Vicidial {
    fn every(&self) -> Option<f64> {
        Some(0.5)
    }

    fn told(&mut self, event: Event, _now: Moment) {
        match event {
            Event::RingingEnded { how, .. } => self.calls += u64::from(how != Ended::Refused),
            Event::Connected | Event::Overflowed => self.answers += 1,
            Event::Abandoned => {
                self.answers += 1;
                self.drops += 1;
            }
            Event::Placed { .. } | Event::Misjudged | Event::TalkEnded { .. } | Event::WrapEnded { .. } => {}
        }
    }

    fn dial(&mut self, snapshot: &Snapshot, now: Moment) -> usize {
        let seconds = now.seconds();
        let ready = snapshot
            .agents
            .iter()
            .filter(|agent| **agent == Agent::Idle)
            .count();
        let talking = snapshot
            .agents
            .iter()
            .filter(|agent| matches!(agent, Agent::Talking { .. }))
            .count();
        if seconds.fract() < 0.25 {
            self.samples.push_back(Sample {
                ready: ready as f64,
                waiting: snapshot.waiting as f64,
                all: snapshot.agents.len() as f64,
            });
            if self.samples.len() > SAMPLES {
                self.samples.pop_front();
            }
        }
        if seconds - self.counted >= 60.0 {
            self.counted = seconds;
            self.count();
        }
        if seconds - self.levelled >= 15.0 {
            self.levelled = seconds;
            self.adapt(seconds);
        }
        if seconds - self.placed < 2.5 || snapshot.paused {
            return 0;
        }
        self.placed = seconds;
        let count = if self.settings.available_only {
            ready
        } else {
            ready + talking
        };
        let goal = (self.level * count as f64).round() as usize;
        // Calls that have an agent count as under way, except where only ready agents count.
        let under_way = snapshot.ringing.len()
            + snapshot.waiting
            + if self.settings.available_only { 0 } else { talking };
        goal.saturating_sub(under_way).min(snapshot.lines)
    }
}
