//! What an operator decides about media workers.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use url::Url;
use voice_recordings::{KeyConfig, KeyRing, expiry::Keep};

use crate::agents::Accounts;

/// Everything about this service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where carriers open their streams: `/media/{carrier}/{token}`. TLS ends at the proxy in front.
    pub listen: SocketAddr,
    /// What carriers are told to open: the address of `listen`, or of what stands before it.
    pub public_url: String,
    /// The operator's accounts at AI providers.
    pub providers: Accounts,
    /// How long a provider's connection may take to stand.
    pub provider_timeout_ms: u32,
    /// Threads that carry calls, each with its own listener on the same port. 0 is one for each core.
    pub lanes: usize,
    /// Calls of one lane at most, however idle it is.
    pub calls_per_lane: usize,
    /// Sessions of one agent, in each lane, that are opened before their calls at most; 0 opens none.
    pub sessions_early: usize,
    /// A lane whose loop runs later than this takes no further call.
    pub max_lag_ms: u32,
    /// How long the head of a request and the start of a stream may take.
    pub start_timeout_ms: u32,
    /// The longest call.
    pub max_call_seconds: u32,
    /// How long calls may go on once the process is told to stop.
    pub drain_seconds: u32,
    /// Tokens remembered until they expire.
    pub tokens_remembered: usize,
    /// Facts that may wait for Kafka.
    pub facts_waiting: usize,
    /// Recordings.
    pub recording: RecordingConfig,
}

/// Recordings, on their way to the object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Where recordings grow until their call is over. What is found there at the start is salvaged.
    pub spool: PathBuf,
    /// Seconds of audio, of all calls together, that may wait for the disk.
    pub waiting: usize,
    /// How long recordings may be kept, by the name of the rule.
    pub retention: String,
    /// For how many days each rule keeps recordings; what no rule names is kept for good.
    pub keep_days: Keep,
    /// What seals recordings: the last key seals new ones, all of them open old ones. Without one nothing is recorded.
    pub keys: Vec<KeyConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8083)),
            public_url: "ws://127.0.0.1:8083".to_owned(),
            providers: Accounts::default(),
            provider_timeout_ms: 3_000,
            lanes: 0,
            calls_per_lane: 1_000,
            sessions_early: 8,
            max_lag_ms: 20,
            start_timeout_ms: 5_000,
            max_call_seconds: 2 * 60 * 60,
            drain_seconds: 30 * 60,
            tokens_remembered: 100_000,
            facts_waiting: 4_096,
            recording: RecordingConfig::default(),
        }
    }
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            spool: PathBuf::from("var/recordings"),
            waiting: 4_096,
            retention: "standard".to_owned(),
            keep_days: Keep::new([("standard".to_owned(), 90)].into()),
            keys: Vec::new(),
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let positive = [
            ("calls_per_lane", self.calls_per_lane),
            ("max_lag_ms", self.max_lag_ms as usize),
            ("start_timeout_ms", self.start_timeout_ms as usize),
            ("max_call_seconds", self.max_call_seconds as usize),
            ("provider_timeout_ms", self.provider_timeout_ms as usize),
            ("tokens_remembered", self.tokens_remembered),
            ("facts_waiting", self.facts_waiting),
            ("recording.waiting", self.recording.waiting),
        ];
        let mut faults: Vec<String> = positive
            .into_iter()
            .filter(|(_, value)| *value == 0)
            .map(|(name, _)| format!("media.{name} must be above 0"))
            .collect();
        if self.public_address().is_none() {
            faults.push("media.public_url must be an address that begins with wss://".to_owned());
        }
        faults.extend(self.providers.faults());
        if !self.recording.keys.is_empty()
            && let Err(error) = KeyRing::new(&self.recording.keys)
        {
            faults.push(format!("media.recording.keys: {error}"));
        }
        if !(1..=64).contains(&self.recording.retention.len()) {
            faults.push("media.recording.retention must have 1 to 64 characters".to_owned());
        } else if !self.recording.keep_days.names(&self.recording.retention) {
            faults.push("media.recording.retention names no rule of media.recording.keep_days".to_owned());
        }
        faults
    }

    /// Where carriers reach media workers.
    #[must_use]
    pub fn public_address(&self) -> Option<Url> {
        Url::parse(&self.public_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "ws" | "wss"))
    }

    /// How long a provider's connection may take to stand.
    #[must_use]
    pub fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms.into())
    }

    pub(crate) fn lanes(&self) -> usize {
        match self.lanes {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            lanes => lanes,
        }
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms.into())
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    pub(crate) fn max_call(&self) -> Duration {
        Duration::from_secs(self.max_call_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_faults_and_every_fault_is_named_at_once() {
        assert_eq!(Config::default().faults(), [""; 0]);
        let mut config = Config {
            calls_per_lane: 0,
            tokens_remembered: 0,
            public_url: "https://media.example.com".to_owned(),
            ..Config::default()
        };
        config.recording.waiting = 0;
        config.recording.retention = "forever".to_owned();
        let faults = config.faults();
        for name in [
            "calls_per_lane",
            "tokens_remembered",
            "recording.waiting",
            "public_url",
            "keep_days",
        ] {
            assert!(faults.iter().any(|fault| fault.contains(name)), "{faults:?}");
        }
        assert_eq!(faults.len(), 5);
    }
}
