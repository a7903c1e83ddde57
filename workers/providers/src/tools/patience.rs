//! How long a tool may take: what is said meanwhile, and when the model is told that nothing came.

use std::time::{Duration, Instant};

/// From one filler to the next: nobody listens to silence for longer than five seconds.
const AGAIN: Duration = Duration::from_secs(4);

/// How long a tool may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After so long the caller hears that something is being done.
    pub filler_after: Duration,
    /// What the caller hears.
    pub filler: String,
    /// After so long the tool is given up.
    pub deadline: Duration,
}

impl Patience {
    /// A filler after a second and a half, the end after ten seconds.
    #[must_use]
    pub fn with_filler(filler: &str) -> Self {
        Self {
            filler_after: Duration::from_millis(1_500),
            filler: filler.to_owned(),
            deadline: Duration::from_secs(10),
        }
    }
}

/// What is due while a tool runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing until then.
    Later(Instant),
    /// Say this, now and again every four seconds, and never while somebody speaks.
    Filler(String),
    /// Give the tool up and this to the model.
    GiveUp(String),
}

/// A tool that runs.
#[derive(Clone, Debug)]
pub struct Running {
    patience: Patience,
    since: Instant,
    filler_at: Instant,
}

impl Running {
    /// It began at `now`.
    #[must_use]
    pub fn begin(patience: Patience, now: Instant) -> Self {
        Self {
            filler_at: now + patience.filler_after,
            patience,
            since: now,
        }
    }

    /// What is due at `now`. A filler waits for a moment in which nobody speaks, and is dropped when the deadline
    /// comes first.
    pub fn due(&mut self, quiet: bool, now: Instant) -> Due {
        let deadline = self.since + self.patience.deadline;
        if now >= deadline {
            let error = serde_json::json!({"error": "the tool did not answer in time",
                "details": "Tell the caller that it did not work, and offer something else."});
            return Due::GiveUp(error.to_string());
        }
        if self.patience.filler.is_empty() || self.filler_at >= deadline {
            return Due::Later(deadline);
        }
        if now < self.filler_at {
            return Due::Later(self.filler_at);
        }
        if !quiet {
            return Due::Later(deadline.min(now + Duration::from_millis(200)));
        }
        self.filler_at = now + AGAIN;
        Due::Filler(self.patience.filler.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_slow_tool_is_bridged_now_and_again_and_a_hanging_one_given_up() {
        let start = Instant::now();
        let mut running = Running::begin(Patience::with_filler("One moment."), start);
        assert_eq!(running.due(true, start), Due::Later(start + ms(1_500)));
        assert_eq!(
            running.due(true, start + ms(1_500)),
            Due::Filler("One moment.".to_owned())
        );
        assert_eq!(
            running.due(true, start + ms(1_600)),
            Due::Later(start + ms(5_500))
        );
        assert!(matches!(running.due(true, start + ms(5_500)), Due::Filler(_)));
        let Due::GiveUp(answer) = running.due(true, start + ms(10_000)) else {
            panic!("it hangs for ever")
        };
        assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok());
    }

    #[test]
    fn nothing_is_said_while_somebody_speaks_and_nothing_where_there_is_nothing_to_say() {
        let start = Instant::now();
        let mut running = Running::begin(Patience::with_filler("One moment."), start);
        assert_eq!(
            running.due(false, start + ms(1_500)),
            Due::Later(start + ms(1_700))
        );
        assert_eq!(
            running.due(true, start + ms(1_700)),
            Due::Filler("One moment.".to_owned())
        );
        let mut silent = Running::begin(Patience::with_filler(""), start);
        assert_eq!(
            silent.due(true, start + ms(5_000)),
            Due::Later(start + ms(10_000))
        );
    }
}
