//! What an operator decides about the way in.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde::Deserialize;
use url::Url;
use voice_http::ApiKey;
use voice_schemas::events::call::Carrier;

use crate::hooks::guard::address::Network;

/// Everything about this service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. TLS ends at the proxy in front.
    pub listen: SocketAddr,
    /// What carriers were told to call, without a path: `https://hooks.example.com`. Signatures of Twilio
    /// cover it, so it must be right to the letter.
    pub public_base_url: String,
    /// How many proxies of ours stand between the carrier and this process. Only what they append to
    /// `X-Forwarded-For` is believed; 0 means that the socket's peer is the client.
    pub trusted_hops: usize,
    /// Webhooks and batches per second from one address, whatever they are for.
    pub per_address_per_second: u32,
    /// How many addresses are told apart for that limit.
    pub tracked_addresses: usize,
    /// Webhooks.
    pub hooks: HooksConfig,
    /// Batches of events.
    pub events: EventsConfig,
}

/// Limits and texts of the webhooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// The largest body; carriers send a few kilobytes.
    pub max_body_bytes: usize,
    /// Webhooks worked on at once; more are answered 503. With `max_body_bytes` the bound on memory.
    pub max_in_flight: usize,
    /// How long a body may take to arrive.
    pub body_timeout_ms: u64,
    /// Ed25519 signatures verified in one go at most; 1 verifies each by itself, where it arrives.
    pub verify_batch: usize,
    /// What is remembered to recognise a replay.
    pub replay: ReplayConfig,
    /// Networks each carrier publishes as its own, beside those an account allows.
    pub networks: BTreeMap<Carrier, Vec<String>>,
    /// What a caller hears while no flow is configured, by language (`cs`). `en` is the fallback.
    pub messages: BTreeMap<String, VoiceMessage>,
}

/// How long and how much this process remembers.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayConfig {
    /// An event id is remembered at least this long, unless there are too many.
    pub window_seconds: u64,
    /// At least this many of the latest ids are remembered; at most twice as many. 17 to 40 bytes each.
    pub keys: usize,
}

/// A sentence and how to pronounce it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceMessage {
    /// BCP 47 with a region, as carriers want it: `cs-CZ`.
    pub language: String,
    /// The words.
    pub text: String,
}

/// Limits of `POST /api/v1/events` and who may use it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// The keys of trusted producers.
    pub keys: Vec<ApiKey>,
    /// Events in one batch.
    pub max_items: usize,
    /// The largest body.
    pub max_body_bytes: usize,
    /// Batches worked on at once; more are answered 503.
    pub max_in_flight: usize,
    /// Batches per second for one key; twice as many at once.
    pub batches_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_base_url: "http://127.0.0.1:8080".to_owned(),
            trusted_hops: 0,
            per_address_per_second: 1_000,
            tracked_addresses: 100_000,
            hooks: HooksConfig::default(),
            events: EventsConfig::default(),
        }
    }
}

impl Default for HooksConfig {
    fn default() -> Self {
        let message = |language: &str, text: &str| VoiceMessage {
            language: language.to_owned(),
            text: text.to_owned(),
        };
        Self {
            max_body_bytes: 64 * 1024,
            max_in_flight: 4_096,
            body_timeout_ms: 5_000,
            verify_batch: 64,
            replay: ReplayConfig::default(),
            // https://support.telnyx.com/en/articles/4334722-webhooks; Twilio publishes none.
            networks: BTreeMap::from([(Carrier::Telnyx, vec!["192.76.120.192/27".to_owned()])]),
            messages: BTreeMap::from([
                (
                    "en".to_owned(),
                    message(
                        "en-US",
                        "Thank you for calling. We cannot take your call right now. Goodbye.",
                    ),
                ),
                (
                    "cs".to_owned(),
                    message(
                        "cs-CZ",
                        "Děkujeme za zavolání. Váš hovor teď bohužel nemůžeme přijmout. Na shledanou.",
                    ),
                ),
                (
                    "es".to_owned(),
                    message(
                        "es-ES",
                        "Gracias por llamar. En este momento no podemos atenderle. Hasta pronto.",
                    ),
                ),
            ]),
        }
    }
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            window_seconds: 24 * 60 * 60,
            keys: 1_000_000,
        }
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            max_items: 500,
            max_body_bytes: 1024 * 1024,
            max_in_flight: 32,
            batches_per_second: 50,
        }
    }
}

impl HooksConfig {
    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

impl Config {
    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(reason) = base_url(&self.public_base_url) {
            faults.push(format!(
                "ingest.public_base_url {reason}: give scheme and host, such as https://hooks.example.com"
            ));
        }
        let positive = [
            ("per_address_per_second", self.per_address_per_second as usize),
            ("tracked_addresses", self.tracked_addresses),
            ("hooks.max_body_bytes", self.hooks.max_body_bytes),
            ("hooks.max_in_flight", self.hooks.max_in_flight),
            (
                "hooks.body_timeout_ms",
                usize::try_from(self.hooks.body_timeout_ms).unwrap_or(usize::MAX),
            ),
            ("hooks.verify_batch", self.hooks.verify_batch),
            ("hooks.replay.keys", self.hooks.replay.keys),
            (
                "hooks.replay.window_seconds",
                usize::try_from(self.hooks.replay.window_seconds).unwrap_or(usize::MAX),
            ),
            ("events.max_items", self.events.max_items),
            ("events.max_body_bytes", self.events.max_body_bytes),
            ("events.max_in_flight", self.events.max_in_flight),
            (
                "events.batches_per_second",
                self.events.batches_per_second as usize,
            ),
        ];
        faults.extend(
            positive
                .iter()
                .filter(|(_, value)| *value == 0)
                .map(|(name, _)| format!("ingest.{name} must be above 0")),
        );
        for (carrier, networks) in &self.hooks.networks {
            for network in networks
                .iter()
                .filter(|network| Network::parse(network).is_none())
            {
                faults.push(format!(
                    "ingest.hooks.networks.{carrier}: `{network}` is not a network such as 192.0.2.0/24"
                ));
            }
        }
        if !self.hooks.messages.contains_key("en") {
            faults.push(
                "ingest.hooks.messages.en is missing: it is the fallback of every other language".to_owned(),
            );
        }
        for (index, key) in self.events.keys.iter().enumerate() {
            if !key.is_usable() {
                faults.push(format!(
                    "ingest.events.keys[{index}].sha256 is not 64 hexadecimal characters"
                ));
            }
        }
        faults
    }
}

/// Scheme and authority of the public address, as signatures see it: no trailing slash.
pub(crate) fn base_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not an HTTP address");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("has more than scheme and host");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_faults() {
        assert_eq!(Config::default().faults(), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let mut config = Config {
            public_base_url: "hooks.example.com".to_owned(),
            ..Config::default()
        };
        config.hooks.max_in_flight = 0;
        config.hooks.messages.clear();
        config
            .hooks
            .networks
            .insert(Carrier::Twilio, vec!["10.0.0.0/33".to_owned()]);
        config.events.keys.push(ApiKey {
            tenant: voice_schemas::TenantId::random(),
            sha256: "abc".to_owned(),
        });
        let faults = config.faults();
        let named = [
            "public_base_url",
            "max_in_flight",
            "messages.en",
            "networks.twilio",
            "keys[0].sha256",
        ];
        assert_eq!(faults.len(), named.len(), "{faults:#?}");
        for name in named {
            assert!(
                faults.iter().any(|fault| fault.contains(name)),
                "{name} in {faults:#?}"
            );
        }
    }

    #[test]
    fn a_public_address_is_scheme_and_host_and_nothing_else() {
        assert_eq!(
            base_url("https://hooks.example.com/").as_deref(),
            Ok("https://hooks.example.com")
        );
        assert_eq!(
            base_url("https://hooks.example.com:8443").as_deref(),
            Ok("https://hooks.example.com:8443")
        );
        for bad in [
            "ftp://x",
            "https://x/path",
            "https://x/?q",
            "https://u@x",
            "mailto:a@b",
            "",
        ] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
