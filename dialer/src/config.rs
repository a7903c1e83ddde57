//! Settings of the dialer.

use std::net::SocketAddr;

use serde::Deserialize;
use voice_http::ApiKey;

/// Settings of the dialer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between two looks at a campaign shard.
    pub tick_ms: u64,
    /// Attempts made in one transaction, of all campaigns of a tenant, at most.
    pub claim: u32,
    /// Requests to carriers under way in this process, at most.
    pub requests_at_once: usize,
    /// How long after a call should have ended or been answered its carrier is asked.
    pub silence_ms: i64,
    /// How long a reserved agent waits for the call to reach them.
    pub reservation_ms: i64,
    /// Between two looks at whether agents and calls agree.
    pub reconcile_ms: i64,
    /// "Why not", over HTTP.
    pub api: ApiConfig,
}

/// Settings of the listener for "why not".
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Where to listen; nowhere when it is not said. TLS ends at the proxy in front.
    pub listen: Option<SocketAddr>,
    /// Whoever may ask, each about the campaigns of one tenant.
    pub keys: Vec<ApiKey>,
    /// Questions per second of one key; twice as many at once.
    pub requests_per_second: u32,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: None,
            keys: Vec::new(),
            requests_per_second: 50,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick_ms: 100,
            claim: 200,
            requests_at_once: 256,
            silence_ms: 60_000,
            reservation_ms: 10_000,
            reconcile_ms: 2_000,
            api: ApiConfig::default(),
        }
    }
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(10..=1_000).contains(&self.tick_ms) {
            faults.push(
                "dialer.tick_ms must lie between 10 and 1000: a pause is to hold within a second".to_owned(),
            );
        }
        if !(1..=500).contains(&self.claim) {
            faults.push("dialer.claim must lie between 1 and 500".to_owned());
        }
        if self.requests_at_once == 0 {
            faults.push("dialer.requests_at_once must be above 0".to_owned());
        }
        if self.silence_ms < 10_000 {
            faults.push("dialer.silence_ms must be at least 10000: webhooks are late at times".to_owned());
        }
        if self.reservation_ms < 1_000 || self.reconcile_ms < 100 {
            faults
                .push("dialer.reservation_ms must be at least 1000 and reconcile_ms at least 100".to_owned());
        }
        if self.api.requests_per_second == 0 {
            faults.push("dialer.api.requests_per_second must be above 0".to_owned());
        }
        for (index, key) in self.api.keys.iter().enumerate() {
            if !key.is_usable() {
                faults.push(format!(
                    "dialer.api.keys[{index}].sha256 is not 64 hexadecimal characters"
                ));
            }
        }
        faults
    }
}
