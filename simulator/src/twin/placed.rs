//! Calls the platform placed at the twin.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// The oldest calls are forgotten beyond this many.
const MOST: usize = 100_000;
/// Telnyx ignores a second command with the same `command_id` for so long.
const SAME_COMMAND: TimeDelta = TimeDelta::seconds(60);

/// A call nobody picks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) account: usize,
    pub(super) id: String,
    pub(super) leg: Uuid,
    pub(super) session: Uuid,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) client_state: Option<String>,
    pub(super) at: DateTime<Utc>,
    pub(super) ended_at: Option<DateTime<Utc>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Registry {
    calls: HashMap<String, Placed>,
    order: VecDeque<String>,
    commands: HashMap<(usize, String), (DateTime<Utc>, String)>,
}

impl Registry {
    pub(super) fn add(&mut self, call: Placed) {
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
        self.order.push_back(call.id.clone());
        self.calls.insert(call.id.clone(), call);
    }

    pub(super) fn get(&self, account: usize, id: &str) -> Option<&Placed> {
        self.calls.get(id).filter(|call| call.account == account)
    }

    /// Ends a call; false when it had ended before, none when there is no such call.
    pub(super) fn end(&mut self, account: usize, id: &str, now: DateTime<Utc>) -> Option<bool> {
        let call = self.calls.get_mut(id).filter(|call| call.account == account)?;
        let lived = call.ended_at.is_none();
        call.ended_at.get_or_insert(now);
        Some(lived)
    }

    /// The call a command placed less than a minute ago.
    pub(super) fn by_command(&self, account: usize, command: &str, now: DateTime<Utc>) -> Option<&Placed> {
        let (at, id) = self.commands.get(&(account, command.to_owned()))?;
        if now - *at < SAME_COMMAND {
            self.calls.get(id)
        } else {
            None
        }
    }

    pub(super) fn remember_command(&mut self, account: usize, command: String, id: &str, now: DateTime<Utc>) {
        if self.commands.len() >= MOST {
            self.commands.retain(|_, (at, _)| now - *at < SAME_COMMAND);
        }
        self.commands.insert((account, command), (now, id.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Placed {
        Placed {
            account: 1,
            id: id.to_owned(),
            leg: Uuid::nil(),
            session: Uuid::nil(),
            from: String::new(),
            to: String::new(),
            client_state: None,
            at: DateTime::UNIX_EPOCH,
            ended_at: None,
        }
    }

    #[test]
    fn a_command_is_the_same_for_a_minute_and_only_for_its_account() {
        let mut registry = Registry::default();
        registry.add(call("a"));
        let then = DateTime::UNIX_EPOCH;
        registry.remember_command(1, "c".to_owned(), "a", then);
        let found = |account, seconds| {
            registry
                .by_command(account, "c", then + TimeDelta::seconds(seconds))
                .map(|call| call.id.as_str())
        };
        assert_eq!(found(1, 59), Some("a"));
        assert_eq!(found(1, 60), None);
        assert_eq!(found(2, 0), None);
    }

    #[test]
    fn a_call_ends_once_and_only_by_its_account() {
        let mut registry = Registry::default();
        registry.add(call("a"));
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(registry.end(2, "a", now), None);
        assert_eq!(registry.end(1, "a", now), Some(true));
        assert_eq!(registry.end(1, "a", now + TimeDelta::seconds(1)), Some(false));
        assert_eq!(registry.get(1, "a").and_then(|call| call.ended_at), Some(now));
    }

    #[test]
    fn the_oldest_call_is_forgotten_when_there_are_too_many() {
        let mut registry = Registry::default();
        for number in 0..=MOST {
            registry.add(call(&number.to_string()));
        }
        assert!(registry.get(1, "0").is_none());
        assert!(registry.get(1, "1").is_some());
        assert_eq!(registry.calls.len(), MOST);
    }
}
