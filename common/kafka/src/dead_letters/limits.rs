//! When dead letters stop being about single records and start being about us.

use serde::Deserialize;

/// How many records may go to the dead letters before the stage stops. A run without a good record in
/// between, or a share of the last window, means that a release or a schema is wrong; carrying on would
/// move the whole topic to the dead letters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Dead letters in a row.
    pub max_run: u32,
    /// Dead letters per hundred records, judged over windows of `window` records.
    pub max_percent: u32,
    /// Records per window.
    pub window: u32,
    #[serde(skip)]
    count: Count,
}

#[derive(Clone, Debug, Default)]
struct Count {
    run: u32,
    seen: u32,
    dead: u32,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Every one of the last records failed.
    #[error("{0} records in a row went to the dead letters: the fault is not in single records")]
    Run(u32),
    /// Too large a share of the last window failed.
    #[error("{dead} of the last {seen} records went to the dead letters: the fault is not in single records")]
    Share {
        /// Dead letters in the window.
        dead: u32,
        /// Records in the window.
        seen: u32,
    },
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_run: 1_000,
            max_percent: 50,
            window: 10_000,
            count: Count::default(),
        }
    }
}

impl Limits {
    /// Counts a record that was processed.
    pub fn good(&mut self) {
        self.count.run = 0;
        self.step();
    }

    /// Counts a dead letter.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn dead(&mut self) -> Result<(), TooMany> {
        self.count.run += 1;
        self.count.dead += 1;
        if self.count.run > self.max_run {
            return Err(TooMany::Run(self.count.run));
        }
        let Count { seen, dead, .. } = self.count;
        let over = u64::from(dead) * 100 > u64::from(self.max_percent) * u64::from(self.window);
        self.step();
        if over {
            Err(TooMany::Share { dead, seen: seen + 1 })
        } else {
            Ok(())
        }
    }

    fn step(&mut self) {
        self.count.seen += 1;
        if self.count.seen >= self.window {
            self.count.seen = 0;
            self.count.dead = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_run: 3,
            max_percent: 50,
            window: 10,
            count: Count::default(),
        }
    }

    #[test]
    fn a_run_of_dead_letters_stops_the_stage_and_a_good_record_breaks_the_run() {
        let mut limits = limits();
        for _ in 0..2 {
            for _ in 0..2 {
                assert_eq!(limits.dead(), Ok(()));
            }
            limits.good();
        }
        let mut limits = self::limits();
        assert_eq!([limits.dead(), limits.dead(), limits.dead()], [Ok(()); 3]);
        assert_eq!(limits.dead(), Err(TooMany::Run(4)));
    }

    #[test]
    fn a_window_that_is_mostly_dead_stops_the_stage_and_a_new_window_starts_afresh() {
        let mut limits = limits();
        for _ in 0..4 {
            assert_eq!(limits.dead(), Ok(()));
            limits.good();
        }
        assert_eq!(limits.dead(), Ok(()));
        assert_eq!(limits.dead(), Err(TooMany::Share { dead: 6, seen: 10 }));
        for _ in 0..5 {
            assert_eq!(limits.dead(), Ok(()));
            limits.good();
        }
    }
}
