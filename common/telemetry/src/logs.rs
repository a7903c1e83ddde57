//! Turning logs on, once per process.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::time::SystemTime,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

use crate::json::JsonLines;

/// How logs are written and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// One JSON object per line, or text for people.
    pub format: LogFormat,
    /// Which events are written, in the syntax of `tracing-subscriber`: `info,voice_kafka=debug`.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            filter: "info".to_owned(),
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    #[default]
    Json,
    /// Readable lines, for terminals.
    Text,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// Why logs cannot be turned on.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter `{filter}` does not parse")]
    Filter {
        /// What was configured.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody turned logs on before.
    #[error("logs are turned on already")]
    Twice(#[from] TryInitError),
}

impl TelemetryError {
    /// Stable label of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Filter { .. } => "log_filter",
            Self::Twice(_) => "logs_twice",
        }
    }
}

/// Turns logs on for this process: standard error, UTC with microseconds, the fields of all spans around
/// an event beside the event's own.
///
/// # Errors
/// [`TelemetryError`] when the filter does not parse or logs are on already.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&config.filter)
        .map_err(|source| TelemetryError::Filter {
            filter: config.filter.clone(),
            source,
        })?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => Box::new(JsonLines::new(std::io::stderr)),
        LogFormat::Text => Box::new(
            tracing_subscriber::fmt::layer()
                .with_timer(SystemTime)
                .with_writer(std::io::stderr),
        ),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()?;
    Ok(())
}
