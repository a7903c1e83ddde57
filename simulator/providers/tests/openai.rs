//! OpenAI's own client believes that the twins are OpenAI.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{judge, twins};
use voice_simulator_providers::{Reply, Script};

fn say(text: &str, ms: u64) -> Reply {
    Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    }
}

/// PRV-01
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_to_the_realtime_twin_and_every_event_has_the_official_shape() {
    let call = Reply::Call {
        tool: "transfer_call".to_owned(),
        arguments: json!({"to": "sales"}),
    };
    let script = Script {
        items: 2,
        ..Script::default().replying(vec![
            say("Good morning, how can I help you today?", 2_000),
            call,
            say("One moment please.", 20_000),
        ])
    };
    let port = twins(vec![script]).await;
    assert_eq!(judge("openai_realtime.py", port).await, "agreed");
}

/// PRV-01
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_to_the_live_twin_and_every_event_has_the_official_shape() {
    let call = Reply::Call {
        tool: "lookup".to_owned(),
        arguments: json!({"id": "7"}),
    };
    let script = Script::default().replying(vec![say("Good morning.", 600), call, say("Here it is.", 600)]);
    let port = twins(vec![script]).await;
    assert_eq!(judge("openai_live.py", port).await, "agreed");
}
