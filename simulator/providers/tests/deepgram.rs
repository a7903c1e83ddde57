//! Deepgram's own client believes that the twins are Deepgram, and OpenAI's that the mind is OpenAI's.

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

fn call(tool: &str, arguments: serde_json::Value) -> Reply {
    Reply::Call {
        tool: tool.to_owned(),
        arguments,
    }
}

/// PRV-03
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_to_both_ears_the_mouth_and_the_agent_and_knows_every_field() {
    let replies = vec![
        call("transfer", json!({"to": "sales"})),
        say("One moment please.", 20_000),
    ];
    let port = twins(vec![Script::default().replying(replies)]).await;
    assert_eq!(judge("deepgram_sockets.py", port).await, "agreed");
}

/// PRV-03
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_talks_to_the_mind_of_the_cascade() {
    let replies = vec![say("Good morning.", 400), call("lookup", json!({"id": "7"}))];
    let port = twins(vec![Script::default().replying(replies)]).await;
    assert_eq!(judge("chat.py", port).await, "agreed");
}
