//! Telnyx's commands: a second one with the same `command_id` within a minute is ignored.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

const SAME: TimeDelta = TimeDelta::seconds(60);
/// Old ones are forgotten beyond this many.
const MOST: usize = 200_000;

/// The commands of the last minute.
#[derive(Debug, Default)]
pub(super) struct Commands(HashMap<(usize, String), (DateTime<Utc>, String)>);

impl Commands {
    /// What the command was about that came less than a minute ago.
    pub(super) fn known(&self, account: usize, command: &str, now: DateTime<Utc>) -> Option<&str> {
        let (at, about) = self.0.get(&(account, command.to_owned()))?;
        (now - *at < SAME).then_some(about)
    }

    pub(super) fn remember(&mut self, account: usize, command: &str, about: &str, now: DateTime<Utc>) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (at, _)| now - *at < SAME);
        }
        self.0
            .insert((account, command.to_owned()), (now, about.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_same_for_a_minute_and_only_for_its_account() {
        let mut commands = Commands::default();
        let then = DateTime::UNIX_EPOCH;
        commands.remember(1, "c", "a", then);
        let known = |account, seconds| commands.known(account, "c", then + TimeDelta::seconds(seconds));
        assert_eq!(known(1, 59), Some("a"));
        assert_eq!(known(1, 60), None);
        assert_eq!(known(2, 0), None);
    }
}
