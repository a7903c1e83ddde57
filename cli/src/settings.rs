//! The settings of a process: defaults, a file, the environment; all faults at once.

use std::{fmt, net::SocketAddr, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use voice_postgres::sealed::{MasterKey, Sealer};
use voice_telephony::{
    ContextKey, ContextKeys,
    media::{StreamKey, StreamTokens},
};

const DEFAULTS: &str = include_str!("../voice.default.toml");

/// Everything a process can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Logs.
    pub telemetry: voice_telemetry::TelemetryConfig,
    /// Health, readiness, metrics.
    pub ops: OpsConfig,
    /// Keys.
    pub secrets: SecretsConfig,
    /// The log.
    pub kafka: voice_kafka::Config,
    /// The store of what people configure.
    pub postgres: voice_postgres::Config,
    /// The store of facts.
    pub clickhouse: voice_clickhouse::Config,
    /// The store of files.
    pub objects: ObjectsConfig,
    /// The way in.
    pub ingest: voice_ingest::Config,
    /// Kafka to ClickHouse and what follows.
    pub analytics: voice_analytics::Config,
    /// Reports.
    pub scheduler: voice_scheduler::Config,
    /// Campaigns.
    pub dialer: voice_dialer::Config,
    /// Calls with AI agents.
    pub media: voice_workers::Config,
}

/// Health, readiness, metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Between turning unready and stopping.
    pub readiness_delay_ms: u64,
}

/// Keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// Open what is sealed in Postgres.
    pub master_keys: Vec<MasterKey>,
    /// Seals call contexts.
    pub context_key: SecretString,
    /// Still accepted after a rotation.
    #[serde(default)]
    pub context_key_previous: Option<SecretString>,
    /// Signs the tokens that open media streams.
    pub stream_key: SecretString,
    /// Still accepted after a rotation.
    #[serde(default)]
    pub stream_key_previous: Option<SecretString>,
}

/// The store of files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsConfig {
    /// A folder; made when it is missing.
    pub folder: PathBuf,
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} fault(s):", self.0.len())?;
        for fault in &self.0 {
            writeln!(f, "  - {fault}")?;
        }
        write!(f, "cli/voice.default.toml explains every setting")
    }
}

impl std::error::Error for Faults {}

impl SecretsConfig {
    /// What opens and seals secrets in Postgres.
    ///
    /// # Errors
    /// When there is no key or one of them is not 32 bytes in base64.
    pub fn sealer(&self) -> Result<Sealer, String> {
        Sealer::new(&self.master_keys)
            .map_err(|error| format!("secrets.master_keys: {error}; make one with `openssl rand -base64 32`"))
    }

    /// What opens and seals call contexts.
    ///
    /// # Errors
    /// When a key is not 32 bytes in base64.
    pub fn context_keys(&self) -> Result<ContextKeys, String> {
        let current = ContextKey::new(bits("context_key", &self.context_key)?);
        Ok(match &self.context_key_previous {
            Some(previous) => {
                ContextKeys::rotating(current, ContextKey::new(bits("context_key_previous", previous)?))
            }
            None => ContextKeys::new(current),
        })
    }

    /// What issues and opens the tokens of media streams.
    ///
    /// # Errors
    /// When a key is not 32 bytes in base64.
    pub fn stream_tokens(&self) -> Result<StreamTokens, String> {
        let current = StreamKey::new(bits("stream_key", &self.stream_key)?);
        let previous = match &self.stream_key_previous {
            Some(previous) => Some(StreamKey::new(bits("stream_key_previous", previous)?)),
            None => None,
        };
        Ok(StreamTokens::new(current, previous))
    }
}

fn bits(name: &str, text: &SecretString) -> Result<[u8; 32], String> {
    BASE64
        .decode(text.expose_secret())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("secrets.{name} must be 32 bytes in base64: `openssl rand -base64 32`"))
}

impl Settings {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// With everything that cannot be read; see [`faults`](Self::faults) for what can be read and is wrong.
    pub fn load() -> Result<Self, Faults> {
        let mut sources = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = std::env::var_os("VOICE_CONFIG") {
            sources = sources.merge(Toml::file_exact(PathBuf::from(file)));
        }
        Self::read(
            &sources
                .merge(
                    Env::raw()
                        .only(&["KAFKA_BROKERS"])
                        .map(|_| "kafka.brokers".into()),
                )
                .merge(Env::raw().only(&["DATABASE_URL"]).map(|_| "postgres.url".into()))
                .merge(
                    Env::raw()
                        .only(&["CLICKHOUSE_URL"])
                        .map(|_| "clickhouse.url".into()),
                )
                .merge(
                    Env::prefixed("VOICE_")
                        .filter(|key| key.as_str().contains("__"))
                        .split("__"),
                ),
        )
    }

    fn read(sources: &Figment) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        // Every section is read before any of them is given up, so that all faults come out at once.
        let telemetry = section(sources, "telemetry", &mut faults);
        let ops = section(sources, "ops", &mut faults);
        let secrets = section(sources, "secrets", &mut faults);
        let kafka = section(sources, "kafka", &mut faults);
        let postgres = section(sources, "postgres", &mut faults);
        let clickhouse = section(sources, "clickhouse", &mut faults);
        let objects = section(sources, "objects", &mut faults);
        let ingest = section(sources, "ingest", &mut faults);
        let analytics = section(sources, "analytics", &mut faults);
        let scheduler = section(sources, "scheduler", &mut faults);
        let dialer = section(sources, "dialer", &mut faults);
        let media = section(sources, "media", &mut faults);
        let whole = || {
            Some(Self {
                telemetry: telemetry?,
                ops: ops?,
                secrets: secrets?,
                kafka: kafka?,
                postgres: postgres?,
                clickhouse: clickhouse?,
                objects: objects?,
                ingest: ingest?,
                analytics: analytics?,
                scheduler: scheduler?,
                dialer: dialer?,
                media: media?,
            })
        };
        whole().ok_or(Faults(faults))
    }

    /// Everything that is wrong with these settings, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.kafka.faults();
        faults.extend(self.clickhouse.faults());
        faults.extend(self.ingest.faults());
        faults.extend(self.analytics.faults(&self.clickhouse));
        faults.extend(self.dialer.faults());
        faults.extend(self.media.faults());
        faults
    }

    /// What is wrong with the keys. Roles need them; most operator commands do not.
    #[must_use]
    pub fn key_faults(&self) -> Vec<String> {
        [
            self.secrets.sealer().err(),
            self.secrets.context_keys().err(),
            self.secrets.stream_tokens().err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn section<T: DeserializeOwned>(sources: &Figment, name: &str, faults: &mut Vec<String>) -> Option<T> {
    match sources.extract_inner(name) {
        Ok(section) => Some(section),
        Err(errors) => {
            faults.extend(errors.into_iter().map(|error| format!("{name}: {error}")));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_is_complete_and_names_only_settings_that_exist() {
        let settings = Settings::read(&Figment::from(Toml::string(DEFAULTS))).unwrap();
        assert_eq!(settings.faults(), Vec::<String>::new());
        // Keys are the one thing that has no default.
        assert_eq!(settings.key_faults().len(), 3);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let wrong =
            "[kafka]\nbrokers = 7\n[clickhouse]\nlinger = 1\n[ops]\nlisten = 'here'\n[media]\nlines = 1\n";
        let Err(Faults(faults)) =
            Settings::read(&Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(wrong)))
        else {
            panic!("accepted");
        };
        for section in ["kafka", "clickhouse", "ops", "media"] {
            assert!(
                faults.iter().any(|fault| fault.starts_with(section)),
                "{section} is missing in {faults:?}"
            );
        }
    }
}
