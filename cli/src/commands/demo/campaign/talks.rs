//! The AI agent of the demo, and the simulated provider that speaks for it.

use std::{io, time::Duration};

use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;
use voice_providers::Provider;
use voice_schemas::AgentId;
use voice_simulator_providers::{Heard, Reply, Script, Scripts, Twins, serve};
use voice_workers::{
    agents::{Agent, accounts::AccountConfig},
    plan::Recording,
};

use crate::settings::Settings;

/// Lets twins of the providers in on loopback, and makes media workers use them.
pub async fn providers(
    settings: &mut Settings,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<io::Result<()>>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let key = "demo";
    let at = |scheme: &str| -> anyhow::Result<Option<AccountConfig>> {
        Ok(Some(AccountConfig {
            base_url: Url::parse(&format!("{scheme}://{address}"))?,
            key: Some(key.to_owned().into()),
        }))
    };
    let providers = &mut settings.media.providers;
    providers.openai = at("ws")?;
    providers.google = at("ws")?;
    providers.deepgram = at("ws")?;
    providers.deepgram_agent = at("ws")?;
    providers.chat = at("http")?;
    let twins = Twins::new(key, Scripts::in_turn(scripts()));
    Ok(tokio::spawn(serve(
        listener,
        twins,
        None,
        stop.clone().cancelled_owned(),
    )))
}

/// Who takes the calls no person is free for.
pub fn agent() -> Agent {
    let tools = [
        "hang_up",
        "opt_out",
        "set_disposition",
        "schedule_callback",
        "set_recording",
        "transfer_call",
    ];
    Agent {
        disclosure: Some(
            "Hello, I am an automated assistant of Demo Call Centre, and this call is recorded.".to_owned(),
        ),
        greeting: Some("Ask how satisfied the caller is with their last order.".to_owned()),
        tools: tools.map(str::to_owned).into(),
        failover: vec![Provider::DeepgramAgent, Provider::GeminiLive],
        budget_micros: Some(500_000),
        record: Recording::On,
        idle_ms: Some(8_000),
        ..Agent::new(
            AgentId::random(),
            "Ada",
            Provider::OpenaiRealtime,
            "You ask customers how satisfied they are. Be brief and friendly. Whoever does not want to be called is \
             never called again. Whoever wants to speak to a person is handed to the queue `team`.",
        )
    }
}

/// More connections than a demo has.
const CONNECTIONS: usize = 4_096;

/// What the agent calls the people of the campaign.
pub const QUEUE: &str = "team";

/// Most people answer two questions; one in eight wants no more calls, and one in eight a person.
fn scripts() -> Vec<Script> {
    let say = |text: &str, ms| Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    };
    let heard = |text: &str| Heard {
        text: text.to_owned(),
        language: "en".to_owned(),
    };
    let opening = || {
        vec![
            say(
                "Hello, I am an automated assistant of Demo Call Centre, and this call is recorded.",
                2_400,
            ),
            say("How satisfied are you with your last order?", 1_600),
        ]
    };
    let ending = [
        say("Thank you very much, and goodbye.", 1_200),
        Reply::Call {
            tool: "hang_up".to_owned(),
            arguments: json!({"reason": "all is said"}),
        },
    ];
    let satisfied = Script {
        hears: vec![
            heard("Very, thank you."),
            heard("It came a day late, that is all."),
        ],
        replies: opening()
            .into_iter()
            .chain([
                say(
                    "I am glad to hear that. Is there anything we could do better?",
                    2_000,
                ),
                Reply::Call {
                    tool: "set_disposition".to_owned(),
                    arguments: json!({"disposition": "success"}),
                },
            ])
            .chain(ending.clone())
            .collect(),
        ..Script::default()
    };
    let annoyed = Script {
        hears: vec![heard("Please do not call me again.")],
        replies: opening()
            .into_iter()
            .chain([Reply::Call {
                tool: "opt_out".to_owned(),
                arguments: json!({"wording": "Please do not call me again."}),
            }])
            .chain(ending.clone())
            .collect(),
        ..Script::default()
    };
    let insistent = Script {
        hears: vec![heard("I would rather speak to a person.")],
        replies: opening()
            .into_iter()
            .chain([
                Reply::Call {
                    tool: "transfer_call".to_owned(),
                    arguments: json!({"mode": "warm", "target": {"kind": "queue", "name": QUEUE},
                                      "summary": "Wants to speak to a person about the last order."}),
                },
                // Heard only by those nobody was free for.
                say(
                    "I am sorry, everybody is busy. A colleague will call you back.",
                    2_400,
                ),
            ])
            .chain(ending)
            .collect(),
        ..Script::default()
    };
    (1..=CONNECTIONS)
        .map(|number| match number % 8 {
            0 => &annoyed,
            4 => &insistent,
            _ => &satisfied,
        })
        .cloned()
        .collect()
}
