//! Google's own client believes that the twin is Google.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{judge, twins};
use voice_simulator_providers::{Fault, Reply, Script};

/// PRV-02
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_to_the_twin_and_knows_every_field() {
    let say = |text: &str, ms| Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    };
    let call = Reply::Call {
        tool: "transfer".to_owned(),
        arguments: json!({"to": "sales"}),
    };
    let leaving = Fault::GoAway {
        after: Duration::from_secs(4),
        left: Duration::from_secs(50),
    };
    let script = Script::default()
        .replying(vec![
            say("Good morning.", 400),
            call,
            say("One moment please.", 30_000),
        ])
        .with(leaving);
    let port = twins(vec![script, Script::default()]).await;
    assert_eq!(judge("gemini_live.py", port).await, "agreed");
}
