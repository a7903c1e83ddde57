//! Turning logs on. Alone in its process, because it can be done once.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use voice_telemetry::{LogFormat, TelemetryConfig, init};

#[test]
fn a_bad_filter_is_refused_and_logs_are_turned_on_once() {
    let bad = init(&TelemetryConfig {
        filter: "voice=loud".to_owned(),
        ..TelemetryConfig::default()
    });
    assert_eq!(bad.unwrap_err().kind(), "log_filter");

    init(&TelemetryConfig {
        format: LogFormat::Json,
        filter: "warn,voice_kafka=debug".to_owned(),
    })
    .unwrap();
    assert!(tracing::enabled!(tracing::Level::WARN));
    assert!(!tracing::enabled!(tracing::Level::INFO));
    assert!(tracing::enabled!(target: "voice_kafka", tracing::Level::DEBUG));

    assert_eq!(
        init(&TelemetryConfig::default()).unwrap_err().kind(),
        "logs_twice"
    );
}

#[test]
fn the_defaults_are_json_at_info() {
    let config = TelemetryConfig::default();
    assert_eq!(
        (config.format.to_string().as_str(), config.filter.as_str()),
        ("json", "info")
    );
}
