//! How many calls somebody carries: more and more, until they no longer keep what is asked of them.

use serde::{Deserialize, Serialize};

use super::{
    contestants::Contestant,
    rig::{Order, sheet::Noted},
};
use crate::commands::bench::{machine::Machine, process::resident};

/// So many of the marks that were said must have been heard: what lies between is on its way at the ends.
const HEARD: f64 = 0.98;

/// One number of calls, measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Calls.
    pub calls: usize,
    /// Calls that were still there at the end.
    pub alive: usize,
    /// The share of its core that was measured.
    pub core: f64,
    /// The share of its core that callers and provider took.
    pub rig_core: f64,
    /// Bytes in memory at the end.
    pub resident: u64,
    /// What was noted.
    pub noted: Noted,
}

impl Row {
    /// Nobody was lost, and 99 of 100 moments took no longer than this in either direction.
    pub fn keeps(&self, within_ms: f64) -> bool {
        let Noted {
            up,
            first,
            down,
            marks,
            wrong,
            missing,
            ..
        } = &self.noted;
        // Wrong and missing are known only of those who pass frames on one by one.
        let whole = down.count == 0 || (*wrong == 0 && *missing == 0);
        #[allow(clippy::cast_precision_loss)] // Far below 2^52.
        let heard = up.count > 0 && first.count > 0 && up.count as f64 >= HEARD * *marks as f64;
        let slowest = up.p99_ms.max(first.p99_ms).max(down.p99_ms);
        self.alive == self.calls && heard && whole && self.core < 1.0 && slowest <= within_ms
    }
}

/// All numbers of calls that were tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Climb {
    /// Bytes in memory before the first call.
    pub empty: u64,
    /// In the order they were tried.
    pub rows: Vec<Row>,
}

impl Climb {
    /// Climbs. A step that is missed is tried once more, for the machine may have been busy elsewhere.
    pub async fn of(who: &Contestant, seconds: u64, machine: &mut Machine) -> anyhow::Result<Self> {
        let (mut rig, server) = who.start().await?;
        machine.pause().await?;
        let mut climb = Self {
            empty: resident(server.id()?)?,
            rows: Vec::new(),
        };
        let calling = Order::Call {
            target: who.target(&server.address),
            process: server.id()?,
        };
        let () = rig.ask(&calling).await?;
        for calls in who.steps {
            let step = Order::Step {
                calls: *calls,
                seconds,
            };
            let mut row: Row = rig.ask(&step).await?;
            if !row.keeps(who.within_ms) {
                row = rig.ask(&step).await?;
            }
            climb.rows.push(row);
            if !row.keeps(who.within_ms) && *calls >= who.at_least {
                break;
            }
        }
        let () = rig.ask(&Order::HangUp).await?;
        server.stop().await?;
        rig.stop().await?;
        if let Some(recordings) = who.recordings()? {
            let calls = climb.best(who.within_ms).map_or(0, |row| row.calls);
            anyhow::ensure!(
                recordings >= calls,
                "of {calls} calls only {recordings} recordings are stored"
            );
        }
        Ok(climb)
    }

    /// The most calls that kept this; 0 where none did.
    #[allow(clippy::cast_precision_loss)] // Some thousand calls.
    pub fn most(&self, within_ms: f64) -> f64 {
        self.best(within_ms).map_or(0.0, |row| row.calls as f64)
    }

    /// The row of the most calls that kept this.
    pub fn best(&self, within_ms: f64) -> Option<&Row> {
        let kept = self.rows.iter().filter(|row| row.keeps(within_ms));
        kept.max_by_key(|row| row.calls)
    }

    /// The row of so many calls.
    pub fn at(&self, calls: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.calls == calls)
    }

    /// Memory a call takes, in kilobytes.
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    pub fn kilobytes_of_a_call(&self, row: &Row) -> f64 {
        row.resident.saturating_sub(self.empty) as f64 / row.calls as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::media::rig::sheet::Times;

    fn times(p99_ms: f64) -> Times {
        Times {
            count: 1_000,
            p50_ms: 0.1,
            p99_ms,
            most_ms: 50.0,
        }
    }

    fn row(calls: usize, p99_ms: f64) -> Row {
        Row {
            calls,
            alive: calls,
            core: 0.5,
            rig_core: 0.4,
            resident: 30_000_000 + 100_000 * calls as u64,
            noted: Noted {
                up: times(p99_ms),
                first: times(1.0),
                down: times(1.0),
                marks: 1_001,
                ..Noted::default()
            },
        }
    }

    #[test]
    fn a_step_is_kept_only_when_everything_is() {
        assert!(row(800, 5.0).keeps(5.0));
        assert!(!row(800, 5.1).keeps(5.0));
        for spoil in [
            (|row| row.alive -= 1) as fn(&mut Row),
            |row| row.core = 1.0,
            |row| row.noted.wrong = 1,
            |row| row.noted.missing = 1,
            |row| row.noted.marks = 1_100,
            |row| row.noted.first = times(6.0),
            |row| row.noted.down = times(6.0),
            |row| row.noted.up = Times::default(),
        ] {
            let mut spoilt = row(800, 1.0);
            assert!(spoilt.keeps(5.0));
            spoil(&mut spoilt);
            assert!(!spoilt.keeps(5.0), "{spoilt:?}");
        }
    }

    #[test]
    fn of_a_peer_that_cuts_audio_anew_only_marks_are_known() {
        let mut peer = row(20, 40.0);
        peer.noted.down = Times::default();
        peer.noted.wrong = 3;
        assert!(peer.keeps(50.0) && !peer.keeps(5.0));
    }

    #[test]
    fn the_most_calls_are_those_of_the_highest_step_that_was_kept() {
        let climb = Climb {
            empty: 30_000_000,
            rows: vec![row(200, 1.0), row(400, 2.0), row(800, 20.0)],
        };
        assert_eq!(
            (climb.most(5.0), climb.most(50.0), climb.most(0.5)),
            (400.0, 800.0, 0.0)
        );
        assert_eq!(
            climb.best(5.0).map(|row| climb.kilobytes_of_a_call(row)),
            Some(100.0)
        );
        assert!(climb.at(400).is_some() && climb.at(500).is_none());
    }
}
