//! The command line as an operator meets it.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A broken set-up ends a test here.

use std::process::{Command, Output};

fn voice(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voice"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_bad_configuration_exits_64_and_names_every_fault_before_a_port_opens() {
    let wrong = [
        ("VOICE_KAFKA__CONSUMER__DRAIN_DEADLINE_MS", "60000"),
        ("VOICE_CLICKHOUSE__DATABASE", "drop table;"),
        ("VOICE_INGEST__PUBLIC_BASE_URL", "ftp://here"),
        ("VOICE_ANALYTICS__SINK__MAX_ROWS", "0"),
        ("VOICE_MEDIA__MAX_LAG_MS", "0"),
    ];
    let output = voice(&["all"], &wrong);
    assert_eq!(output.status.code(), Some(64));
    let said = text(&output.stderr);
    for fault in [
        "kafka.consumer.drain_deadline_ms",
        "clickhouse.database",
        "ingest.public_base_url",
        "analytics.sink.max_rows",
        "secrets.master_keys",
        "secrets.context_key",
        "secrets.stream_key",
        "media.max_lag_ms",
    ] {
        assert!(said.contains(fault), "{fault} is not named in:\n{said}");
    }
}

#[test]
fn a_setting_that_does_not_exist_or_has_the_wrong_type_is_a_fault_with_its_name() {
    let output = voice(
        &["ingest"],
        &[
            ("VOICE_INGEST__LISTEN", "somewhere"),
            ("VOICE_OPS__COLOUR", "blue"),
        ],
    );
    assert_eq!(output.status.code(), Some(64));
    let said = text(&output.stderr);
    assert!(said.contains("listen") && said.contains("colour"), "{said}");
}

#[test]
fn check_says_what_is_missing_and_migrate_and_topics_apply_mend_it() {
    for name in ["KAFKA_BROKERS", "DATABASE_URL", "CLICKHOUSE_URL"] {
        std::env::var(name)
            .expect("the stack is not up: VOICE_STACK=test deploy/local/stack up, then eval its env");
    }
    let unique = format!("check_{}", std::process::id());
    let prefix = format!("{unique}.");
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let master = format!("[{{version=1,key=\"{key}\"}}]");
    let environment = [
        ("VOICE_KAFKA__PREFIX", prefix.as_str()),
        ("VOICE_CLICKHOUSE__DATABASE", unique.as_str()),
        ("VOICE_SECRETS__MASTER_KEYS", master.as_str()),
        ("VOICE_SECRETS__CONTEXT_KEY", key),
        ("VOICE_SECRETS__STREAM_KEY", key),
    ];
    let before = voice(&["check"], &environment);
    let said = text(&before.stdout);
    assert!(!before.status.success());
    assert!(
        said.contains("voice topics apply") && said.contains("voice migrate"),
        "{said}"
    );

    for command in [
        &["migrate"][..],
        &["topics", "apply"],
        &["topics", "apply"],
        &["check"],
    ] {
        let output = voice(command, &environment);
        assert!(
            output.status.success(),
            "{command:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    let audit = voice(&["audit", "--json"], &environment);
    assert!(
        audit.status.success(),
        "nothing was lost where there is nothing: {}{}",
        text(&audit.stdout),
        text(&audit.stderr)
    );
    let letters = voice(&["dead-letters", "list"], &environment);
    assert!(text(&letters.stdout).contains("0 dead letters"));
}
